"""What every training here does around its steps: go on where it was stopped, show how it goes, save, stop in time."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .checkpoints import load_checkpoint, pack, require_same_recipe, save_checkpoint, unpack
from .errors import FingerprintsError
from .processes import average_gradients
from .progress import progress
from .runtime import Fabric
from .store import agreed

SAVE_SECONDS = 60  # at most this much work is lost to a kill
LOOK = 20  # steps between two looks at the losses; each makes an accelerator wait


class Run(ABC):
    """A training that can be killed at any moment: made anew and resumed, it ends in the very same weights.

    All that its next step depends on is in its checkpoint, or is a function of (seed, step). Several processes compute
    what one would but for rounding (see `processes`), so another number of them can go on from there.

    Args:
        learners: whose losses there are.
        shape: of one loss; ``()`` but for several networks that are trained at once.
        recipe: JSON-able; all that decides the weights. The checkpoint of another is refused.
        fabric: device, precision, processes.
        path: of the checkpoint; it stays when done, and is then all there is to do.

    Attributes:
        step, seen: steps done, images shown.
        seconds: how long they took, those before a resume included.
        losses: sums since they were last recorded, a row for each learner, and the number of their steps.
    """

    kind: ClassVar[str]  #: of the checkpoint
    kept: ClassVar[tuple[str, ...]]  #: attributes to be kept in it, besides those above and the parts

    def __init__(
        self, learners: tuple[str, ...], shape: tuple[int, ...], recipe: dict[str, Any], fabric: Fabric, path: Path
    ):
        self.learners, self.recipe, self.fabric, self.path = learners, recipe, fabric, path
        self.step = self.seen = 0
        self.seconds = 0.0
        self.clock = time.monotonic()
        self.losses = torch.zeros(len(learners) + 1, *shape, device=fabric.device)

    # What each training says for itself

    @property
    @abstractmethod
    def images(self) -> int:
        """How many are to be shown."""

    @abstractmethod
    def parts(self) -> Mapping[str, Any]:
        """Modules and optimizers by name."""

    @abstractmethod
    def advance(self) -> None:
        """Take one step; it ends with `count`."""

    @abstractmethod
    def is_due(self, before: float) -> bool:
        """Whether losses are to be recorded after the step that began at this share."""

    @abstractmethod
    def record(self, means: dict[str, Any]) -> None:
        """Keep the mean losses since the last time, by learner."""

    # The loop

    @property
    def done(self) -> bool:
        """Whether all images were shown."""
        return self.seen >= self.images

    @property
    def share(self) -> float:
        """Of the images, those shown; in [0, 1]."""
        return min(self.seen / self.images, 1.0)

    def train(self, description: str) -> None:
        """Go on to the end, from the checkpoint if there is one.

        Raises:
            CheckpointError: the checkpoint is damaged, foreign, or of another recipe.
            FingerprintsError: a loss or a weight is no longer finite, or a step needs more memory than there is; the
                last good checkpoint stays.
        """
        self.resume()
        saved = self.clock = time.monotonic()
        with progress(self.images, description, "images", initial=min(self.seen, self.images)) as bar:
            bar.disable |= not self.fabric.is_global_zero
            while not self.done:
                before = self.share
                try:
                    self.advance()
                except (MemoryError, RuntimeError) as error:
                    raise self.told_of_memory(error) from error
                self.report(before, bar)
                bar.update(min(self.seen, self.images) - bar.n)
                self.tick()
                if self.done or self.is_late(saved):
                    self.save()
                    saved = time.monotonic()
        self.fabric.barrier()

    def is_late(self, saved: float) -> bool:
        """Whether to save. Clocks differ, so one process decides for several, now and then only: they wait for it."""

        def late() -> bool:
            return self.clock - saved > SAVE_SECONDS

        if self.fabric.world_size == 1:
            return late()
        return self.step % LOOK == 0 and agreed(late, self.fabric)

    def told_of_memory(self, error: Exception) -> Exception:
        """The error in a sentence with its mend, if memory has run out; else as it is."""
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and "can't allocate memory" not in str(error):
            return error
        return FingerprintsError(
            f"Step {self.step + 1} of the training needs more memory than {self.fabric.device} has free. Take a "
            f"smaller batch or width, or share the batch among more processes (torchrun). {self.kept_so_far()}"
        )

    def update(self, network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """Take the optimizer's step down the gradient of the loss, averaged over all processes."""
        optimizer.zero_grad()
        loss.backward()
        average_gradients(self.fabric, network)
        optimizer.step()

    def count(self, images: int, *losses: Tensor) -> None:
        """Note that a step was done: so many images by all processes, one loss for each learner."""
        self.losses += torch.stack([*(loss.detach() for loss in losses), torch.ones_like(self.losses[-1])])
        self.step += 1
        self.seen += images

    def tick(self) -> None:
        """Count the time since the last call."""
        now = time.monotonic()
        self.seconds += now - self.clock
        self.clock = now

    def report(self, before: float, bar: tqdm) -> None:
        """Look at the losses now and then, after a step that began at the share `before`, and record what is due."""
        due = self.done or self.is_due(before)
        if due or self.step % LOOK == 0 or self.step == 1:
            means = self.look(bar)
            if due:
                self.record(means)
                self.losses.zero_()

    def look(self, bar: tqdm) -> dict[str, Any]:
        """The mean losses since the last record, by learner, once they are known to be finite; the bar shows them."""
        self.share_losses()
        *sums, steps = self.losses.cpu().double()
        means = {learner: total / steps for learner, total in zip(self.learners, sums, strict=True)}
        for learner, mean in means.items():
            self.require_finite(f"the {learner}'s loss", mean.mean())
        labels = [learner[0].upper() for learner in means] if len(means) > 1 else ["loss"]
        shown = {label: f"{mean.mean():.3f}" for label, mean in zip(labels, means.values(), strict=True)}
        bar.set_postfix(shown, refresh=False)
        return {learner: mean.tolist() for learner, mean in means.items()}

    def share_losses(self) -> None:
        """Let every process have the mean of all processes' losses, so that all decide and keep the same."""
        if self.fabric.world_size > 1:
            self.losses = cast(Tensor, self.fabric.all_reduce(self.losses, reduce_op="mean"))

    def kept_so_far(self) -> str:
        """Where the last good checkpoint is."""
        return f"The last good checkpoint is {self.path}." if self.path.is_file() else "Nothing was saved yet."

    def require_finite(self, name: str, value: Tensor) -> None:
        """Stop if the number is not finite.

        Raises:
            FingerprintsError: naming the last good checkpoint, if any.
        """
        if not value.isfinite():
            raise FingerprintsError(
                f"Training stopped at step {self.step}: {name} is {value:g}. {self.kept_so_far()} "
                "Lower the learning rate or use float32."
            )

    @torch.no_grad()
    def check(self) -> None:
        """Stop if a weight or a loss is no longer finite."""
        modules = [part for part in self.parts().values() if isinstance(part, nn.Module)]
        norms = torch._foreach_norm([weight for module in modules for weight in module.parameters()])
        self.require_finite("a weight", torch.stack(norms).sum())
        self.require_finite("a loss", self.losses.sum())

    # The checkpoint

    def state_dict(self) -> dict[str, Any]:
        """What there is to keep besides the parts."""
        return {name: getattr(self, name) for name in ("step", "seen", "seconds", "losses", *self.kept)}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Take it up again."""
        self.__dict__.update(values | {"losses": values["losses"].to(self.fabric.device)})

    def save(self) -> None:
        """Write the checkpoint, unless something has ceased to be finite: that would spoil the last good one."""
        self.share_losses()
        self.check()
        if self.fabric.is_global_zero:
            tensors, plain = pack({**self.parts(), "run": self})
            save_checkpoint(self.path, self.kind, tensors, {"recipe": self.recipe, "state": plain})

    def resume(self) -> None:
        """Take up the checkpoint, if there is one."""
        if self.path.is_file():
            tensors, metadata = load_checkpoint(self.path, self.kind)
            require_same_recipe(metadata["recipe"], self.recipe, self.path)
            unpack({**self.parts(), "run": self}, tensors, metadata["state"])
