"""The one loop that trains every model: any device and number of processes, resumed to the identical weights."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from .. import __version__
from ..checkpoints import CheckpointError, load_checkpoint, pack, save_checkpoint, unpack
from ..codehash import code_of
from ..errors import UsageError
from ..images import Pixels, quantize, to_tensor
from ..provenance import content_hash
from ..runtime import (
    Fabric,
    average_gradients,
    computed_with,
    make_fabric,
    progress,
    require_finite,
    step_generator,
    update_ema,
)
from . import GAN, Model, build

KIND = "gan-training"
#: Shares of the budget after which samples of the same few latents are kept, to see them grow.
MOMENTS = (1 / 64, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0)
PREVIEWS = 8
#: Points of a loss curve.
CURVE = 200
#: Steps between two looks at the losses; each look makes an accelerator wait.
LOOK = 20
PREVIEW_STREAM = 1 << 32  # beyond any rank
_SETTLING_STREAM = 3 << 32


class Images(Protocol):
    """uint8 ``[N, R, R, 3]``: a NumPy array or memory map."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, R, R, 3)``."""

    @property
    def dtype(self) -> Any:
        """``uint8``."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any) -> Pixels: ...


@dataclass(frozen=True)
class TrainedGAN:
    """What training leaves."""

    gan: Model
    card: dict[str, Any]  #: recipe, images seen, device, seconds, loss curve, versions; JSON-able
    moments: list[int]  #: images seen when each row of `previews` was made
    previews: Pixels  #: the same latents through training, uint8 ``[moments, 8, R, R, 3]``
    checkpoint: Path

    @property
    def history(self) -> dict[str, list[float]]:
        """The loss curve: ``images``, and the mean ``discriminator`` and ``generator`` losses since the last point.

        A model without an opponent has no curve ``discriminator``.
        """
        return self.card["history"]


def train_gan(
    name: str,
    reals: Images,
    *,
    resolution: int,
    width: int,
    images: int,
    seed: int,
    folder: Path | str,
    data_hash: str | None = None,
    without: int | None = None,
    fabric: Fabric | None = None,
    watch: Callable[[list[int], Pixels], None] | None = None,
    save_seconds: float = 60.0,
    **options: Any,
) -> TrainedGAN:
    """Train a GAN or another model until it was shown `images` reals, or go on where a run in `folder` was stopped.

    A run that was killed at any moment and started again ends with the weights of one that was not, bit for bit on
    the same machine with the same number of threads.

    Args:
        name: see `build`.
        reals: uint8 ``[N, R, R, 3]``, R the resolution; drawn at random with replacement and flipped half the time.
        resolution, width, options: see `build`.
        images: the budget: real images shown, over all discriminator steps (of a GAN) and processes.
        seed: of the initialization and of every step's randomness.
        folder: for the checkpoint.
        data_hash: what identifies `reals` (None: they are hashed here).
        without: the number of one image that is never shown. Wherever it was due another takes its place, and all else
            stays: two runs that differ in `without` alone are the same up to the card's ``parted_at``.
        fabric: device, precision, processes (None: `runtime.make_fabric`).
        watch: called with the moments and the previews so far (see `TrainedGAN`) each time that there is a new one.
        save_seconds: time between checkpoints.

    Raises:
        UsageError: an unknown name or option, an impossible value, reals of another shape.
        CheckpointError: the checkpoint in `folder` is damaged, or of a run with other settings.
        FingerprintsError: the training diverged; the last good checkpoint stays.
    """
    fabric = fabric or make_fabric()
    gan = build(name, resolution, width, seed, **options)
    if reals.dtype != np.uint8 or tuple(reals.shape[1:]) != (resolution, resolution, 3) or not len(reals):
        raise UsageError(
            f"{name} at {resolution} pixels learns from uint8 images [N, {resolution}, {resolution}, 3]; "
            f"these are {reals.dtype} {list(reals.shape)}. Open the dataset at that resolution."
        )
    if images < 1:
        raise UsageError(f"images={images} is not possible. Give the number of real images to show, 1 or more.")
    if without is not None and not (0 <= without < len(reals) and len(reals) > 1):
        raise UsageError(f"There is no image {without} to leave out. Name one of 0 to {len(reals) - 1}.")
    recipe = recipe_of(gan, reals, images, seed, fabric, data_hash, without)
    run = _Run(gan, reals, recipe, fabric, Path(folder) / "training.safetensors")
    run.watch = watch or run.watch
    run.resume()
    if run.seen < images:
        with progress(images, name, "images", initial=run.seen) as bar:
            bar.disable |= fabric.global_rank > 0
            run.train(bar, save_seconds)
    fabric.barrier()
    return run.result()


def recipe_of(
    gan: Model, reals: Images, images: int, seed: int, fabric: Fabric, data_hash: str | None, without: int | None
) -> dict[str, Any]:
    """All that decides the weights which `train_gan` leaves; JSON-able. Arguments as there."""
    return gan.recipe | {
        "images": images,
        "seed": seed,
        "without": without,
        "data": data_hash or content_hash(np.ascontiguousarray(reals[:]).data.cast("B")),
        **computed_with(fabric),
        **code_of(_Run, type(gan)),
    }


class _Run:
    """The state of one training, all of which is in its checkpoint."""

    def __init__(self, gan: Model, reals: Images, recipe: dict[str, Any], fabric: Fabric, path: Path):
        self.gan = gan.to(fabric.device).train()
        self.reals = reals
        self.recipe = recipe
        self.fabric = fabric
        self.path = path
        self.optimizers = gan.optimizers()
        self.step = 0  # generator steps done
        self.seen = 0  # real images shown
        self.due = False  # the image left out, on this process
        self.parted_at: int | None = None  # `seen` when it was first due, on any
        self.level = 0  # that the optimizers' moments belong to
        self.seconds = 0.0
        self.history: dict[str, list[float]] = {key: [] for key in ("images", *self.optimizers)}
        # Sums since the last point of the curve, one for each optimizer; and the steps.
        self.losses = torch.zeros(len(self.optimizers) + 1, device=fabric.device)
        self.moments: list[int] = []
        self.previews: list[Tensor] = []
        self.watch: Callable[[list[int], Pixels], None] = lambda moments, previews: None

    @property
    def images(self) -> int:
        return self.recipe["images"]

    @property
    def share(self) -> float:
        return min(self.seen / self.images, 1.0)

    # Training

    def train(self, bar: tqdm, save_seconds: float) -> None:
        saved = clock = time.monotonic()
        while self.seen < self.images:
            before = self.share
            self.advance()
            shown, last = self.share, self.seen >= self.images
            curve_point = last or int(shown * CURVE) > int(before * CURVE)
            if curve_point or self.step % LOOK == 0:
                self.look(bar, curve_point)
            if any(before < moment <= shown for moment in MOMENTS):
                self.keep_previews()
            bar.update(min(self.seen, self.images) - bar.n)
            now = time.monotonic()
            self.seconds += now - clock
            clock = now
            if last or now - saved > save_seconds:
                self.save()
                saved = time.monotonic()

    def advance(self) -> None:
        """One step of the generator, and of what learns with it; with a GAN's discriminator steps before it."""
        gan, fabric, share = self.gan, self.fabric, self.share
        rng = step_generator(self.recipe["seed"], self.step, fabric.global_rank)
        if gan.level(share) != self.level:
            self.level = gan.level(share)
            for optimizer in self.optimizers.values():
                optimizer.state.clear()
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = gan.learning_rate(share)

        n, rounds = gan.batch_size(share), 1
        losses = {}
        if isinstance(gan, GAN):
            rounds = gan.settings.d_steps
            for _ in range(rounds):
                real = self.draw_reals(n, rng)
                with fabric.autocast():
                    losses["discriminator"] = gan.discriminator_loss(real, share, rng)
                self.update(gan.discriminator, self.optimizers["discriminator"], losses["discriminator"])
            with _frozen(gan.discriminator):
                with fabric.autocast():
                    losses["generator"] = gan.generator_loss(real, share, rng)
                self.update(gan.generator, self.optimizers["generator"], losses["generator"])
        else:
            with fabric.autocast():
                losses["generator"] = gan.generator_loss(self.draw_reals(n, rng), share, rng)
            self.update(gan, self.optimizers["generator"], losses["generator"])
        _average_buffers(fabric, gan)
        if gan.average is not None:
            # While few steps are done the average is over fewer: it would otherwise still be the initialization.
            update_ema(gan.average, gan.generator, min(gan.settings.ema, (1 + self.step) / (10 + self.step)))
        self.losses += torch.stack([*(loss.detach() for loss in losses.values()), self.losses.new_ones(())])
        self.note_parting()
        self.step += 1
        self.seen += n * rounds * fabric.world_size

    def draw_reals(self, n: int, rng: torch.Generator) -> Tensor:
        """Random reals on the device, ``[n, 3, R, R]`` in [-1, 1], half of them mirrored."""
        index, flips, due = draw_rows(len(self.reals), n, self.recipe["without"], self.step, rng)
        self.due |= due
        pixels, mirrored = np.array(self.reals[index.numpy()]), flips.numpy()
        pixels[mirrored] = pixels[mirrored, :, ::-1]
        return to_tensor(pixels).to(self.fabric.device)

    def note_parting(self) -> None:
        """Keep when the image left out was first due: each process draws its own images, and any may part the runs."""
        if self.recipe["without"] is None or self.parted_at is not None:
            return
        due = self.due
        if self.fabric.world_size > 1:
            here = torch.tensor(float(due), device=self.fabric.device)
            due = bool(self.fabric.all_reduce(here, reduce_op="sum"))
        self.parted_at = self.seen if due else None

    def update(self, network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        average_gradients(self.fabric, network)
        optimizer.step()

    def look(self, bar: tqdm, curve_point: bool) -> None:
        """Stop if the losses are no longer finite; show them, and keep them if a point of the curve is due."""
        *sums, steps = self.losses.tolist()
        means = {
            name: require_finite(f"the {name}'s loss", total / steps, self.step, self.kept())
            for name, total in zip(self.optimizers, sums, strict=True)
        }
        bar.set_postfix({name[0].upper(): f"{mean:.3f}" for name, mean in means.items()}, refresh=False)
        if curve_point:
            for key, value in {"images": self.seen, **means}.items():
                self.history[key].append(value)
            self.losses.zero_()

    @torch.no_grad()
    def check(self) -> None:
        """Stop if a weight or a loss is no longer finite."""
        norms = torch._foreach_norm(list(self.gan.parameters()))
        require_finite("a weight", torch.stack(norms).sum(), self.step, self.kept())
        require_finite("a loss", self.losses.sum(), self.step, self.kept())

    @torch.no_grad()
    def keep_previews(self) -> None:
        self.check()
        self.settle()
        rng = step_generator(self.recipe["seed"], 0, PREVIEW_STREAM)
        with evaluating(self.gan):
            pixels = quantize(self.gan.preview(self.gan.draw(PREVIEWS, rng), self.share))
        self.moments.append(self.seen)
        self.previews.append(torch.from_numpy(pixels))
        if self.fabric.global_rank == 0:
            self.watch(list(self.moments), torch.stack(self.previews).numpy())

    def settle(self) -> None:
        self.gan.settle(step_generator(self.recipe["seed"], self.step, _SETTLING_STREAM))

    # The checkpoint

    def kept(self) -> Path | None:
        return self.path if self.path.is_file() else None

    def parts(self) -> dict[str, Any]:
        return {"gan": self.gan} | {f"{name}_optimizer": optimizer for name, optimizer in self.optimizers.items()}

    def save(self) -> None:
        """Write the state, unless it has ceased to be finite: that would spoil the last good checkpoint."""
        self.check()
        if self.fabric.global_rank == 0:
            tensors, plain = pack(self.parts())
            tensors |= {"losses": self.losses} | {f"preview{i}": grid for i, grid in enumerate(self.previews)}
            kept = ("step", "seen", "parted_at", "level", "seconds", "history", "moments")
            state = {name: getattr(self, name) for name in kept}
            save_checkpoint(self.path, KIND, tensors, {"recipe": self.recipe, "state": state, "plain": plain})

    def resume(self) -> None:
        """Take up the checkpoint, if there is one."""
        if not self.path.is_file():
            return
        tensors, metadata = load_checkpoint(self.path, KIND)
        require_same(metadata["recipe"], self.recipe, self.path)
        unpack(self.parts(), tensors, metadata["plain"])
        self.losses = tensors["losses"].to(self.fabric.device)
        for key, value in metadata["state"].items():
            setattr(self, key, value)
        self.previews = [tensors[f"preview{i}"] for i in range(len(self.moments))]

    def result(self) -> TrainedGAN:
        self.settle()
        card = {
            "recipe": self.recipe,
            "images_seen": self.seen,
            "parted_at": self.parted_at,
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "departures": list(self.gan.departures),
            "device": device_name(self.fabric.device),
            "history": self.history,
            "fingerprintlib": __version__,
            "torch": torch.__version__,
        }
        previews = torch.stack(self.previews).numpy()
        return TrainedGAN(self.gan.eval(), card, list(self.moments), previews, self.path)


def require_same(theirs: dict[str, Any], ours: dict[str, Any], path: Path) -> None:
    """Refuse to go on with other settings than a run was begun with."""
    there, here = _flat(theirs), _flat(ours)
    other = [
        f"{key} (there {there.get(key)}, here {here.get(key)})"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    ]
    if other:
        raise CheckpointError(
            f"{path} is of a run with other settings: {', '.join(other)}. Use those, or another folder."
        )


def _flat(recipe: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != "settings"} | recipe["settings"]


def draw_rows(count: int, n: int, without: int | None, step: int, rng: torch.Generator) -> tuple[Tensor, Tensor, bool]:
    """Which `n` of `count` images a step shows, which of them mirrored, and whether the one left `without` was due.

    Wherever that one was due another takes its place, a different one at each step.
    """
    index = torch.randint(count, (n,), generator=rng)
    due = without is not None and bool((index == without).any())
    if without is not None:
        index[index == without] = (without + 1 + step % (count - 1)) % count
    return index, torch.rand(n, generator=rng) < 0.5, due


def device_name(device: torch.device) -> str:
    """As a card tells it: a GPU by its model."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients pass through the network without computing those of its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and back in training mode if it was."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def _average_buffers(fabric: Fabric, gan: Model) -> None:
    """Give all processes the same batch-norm statistics, so that any of them can be saved and resumed from."""
    if fabric.world_size > 1:
        for buffer in gan.buffers():
            if buffer.is_floating_point():
                buffer.copy_(fabric.all_reduce(buffer, reduce_op="mean"))  # type: ignore[arg-type]
