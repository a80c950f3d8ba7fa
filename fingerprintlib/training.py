"""The one supervised loop: labelled images, a network, an objective (cross-entropy by default), Adam.

Everything random is a function of (seed, step), and the checkpoint holds everything else, so a run that is killed at
any moment and started again ends in the very same weights. What is kept is the moving average of the weights (EMA) at
the evaluation where it did best on the validation images.
"""

import copy
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoints import CheckpointError, load_checkpoint, pack, save_checkpoint, unpack
from .errors import UsageError
from .images import check_images, check_labels, to_network
from .runtime import (
    Fabric,
    average_gradients,
    computed_with,
    make_fabric,
    progress,
    require_finite,
    step_generator,
    update_ema,
)

KIND = "supervised-training"
SAVE_SECONDS = 60  # at most this much work is lost to a kill

Augment = Callable[[Tensor, torch.Generator], Tensor]


class Objective(Protocol):
    """What `fit` minimizes. It may own networks of its own, and trains them itself: a critic, say."""

    @property
    def saved(self) -> Mapping[str, Any]:
        """Its own modules and optimizers by name, to be kept in the checkpoint: all that its next step depends on."""

    def loss(self, network: nn.Module, x: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """The scalar to be differentiated by the network's weights; called once a step, outside autocast.

        Args:
            network: in training mode; its gradients are cleared afterwards.
            x: images ``[n, 3, H, W]`` in [-1, 1], on the device.
            targets: labels, int64 ``[n]``, on the device.
            generator: the step's random numbers, on the CPU.
        """


class CrossEntropy:
    """Of the network's logits: the objective of attribution."""

    def __init__(self, fabric: Fabric):
        self.fabric = fabric
        self.saved: dict[str, Any] = {}

    def loss(self, network: nn.Module, x: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """See `Objective`."""
        with self.fabric.autocast():
            return F.cross_entropy(network(x), targets)


def fit(
    network: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray],
    *,
    steps: int,
    checkpoint: Path | str,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.0, 0.99),
    eps: float = 1e-8,
    flip: bool = True,
    augment: Augment | None = None,
    ema_decay: float = 0.999,
    evaluate_every: int | None = None,
    seed: int = 0,
    recipe: Mapping[str, Any] | None = None,
    fabric: Fabric | None = None,
    objective: Objective | None = None,
    description: str = "training",
) -> list[dict[str, float]]:
    """Train `network` in place and leave in it the averaged weights that did best on the validation images.

    The defaults are the paper's. Each epoch visits each image once.

    Args:
        network: takes float images ``[N, 3, H, W]`` in [-1, 1], gives logits ``[N, K]``.
        images: uint8 ``[N, H, W, 3]``; may be memory-mapped, only batches are read.
        labels: int ``[N]``, from 0 to K - 1.
        validation: another such pair, to choose by: highest accuracy, then lowest loss, then earliest.
        steps: number of weight updates.
        checkpoint: file to save to and to resume from; it stays when done, and then a second call trains nothing.
        batch_size: images a step, over all processes together.
        learning_rate: of Adam, constant; `betas` and `eps` likewise.
        flip: mirror each image with probability 1/2.
        augment: ``(uint8 [n, H, W, 3], generator) -> the same``, on the CPU, after the flip (an attack, say).
        ema_decay: of the moving average; shorter at first, (1 + step) / (10 + step), so that short runs work too.
        evaluate_every: steps between evaluations; by default a tenth of `steps`, or as many as it takes to learn from
            three times the images that an evaluation judges, if that is more. The last step is always evaluated.
        seed: of the order, the flips and the augmentation (not of the initial weights).
        recipe: JSON-able; whatever else this run depends on. With another recipe the checkpoint is refused.
        fabric: device, precision, processes; by default `runtime.make_fabric()`.
        objective: what to minimize, by default the `CrossEntropy` of the logits. Validation always goes by that.
        description: what the progress bar says.

    Returns:
        A dictionary per evaluation: ``step``, ``loss`` (mean over the training batches since the last one),
        ``validation_loss``, ``validation_accuracy`` in [0, 1], and ``seconds`` so far, those before a resume included.

    Raises:
        UsageError: an argument is out of range, or the checkpoint is of a run with another recipe.
        CheckpointError: the checkpoint is damaged or foreign.
        FingerprintsError: the loss is not finite.
    """
    fabric = fabric or make_fabric()
    objective = objective or CrossEntropy(fabric)
    class_count = getattr(network, "class_count", None)
    for name, (pixels, numbers) in {"": (images, labels), "validation ": validation}.items():
        check_images(pixels, f"{name}images")
        check_labels(numbers, len(pixels), f"{name}labels", class_count)
    if steps < 1 or batch_size < 1 or learning_rate <= 0 or not 0 <= ema_decay < 1:
        raise UsageError(
            f"steps and batch_size must be at least 1, learning_rate above 0 and ema_decay in [0, 1), not "
            f"{steps}, {batch_size}, {learning_rate} and {ema_decay}."
        )
    if batch_size % fabric.world_size:
        raise UsageError(f"batch_size {batch_size} cannot be shared by {fabric.world_size} processes. Use a multiple.")
    evaluate_every = evaluate_every or max(1, steps // 10, 3 * len(validation[0]) // batch_size)
    share = batch_size // fabric.world_size

    network.to(fabric.device).to(memory_format=torch.channels_last)
    ema, best = copy.deepcopy(network), copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, betas=betas, eps=eps, fused=True)
    state = _State()
    saved = {"network": network, "optimizer": optimizer, "ema": ema, "best": best, "state": state, **objective.saved}
    recipe = {
        **(recipe or {}),
        **{"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "betas": list(betas), "eps": eps},
        **{"flip": flip, "ema_decay": ema_decay, "evaluate_every": evaluate_every, "seed": seed},
        **computed_with(fabric),
    }
    if Path(checkpoint).exists():
        _resume(saved, checkpoint, recipe)

    def save() -> None:
        if fabric.is_global_zero:
            tensors, plain = pack(saved)
            save_checkpoint(checkpoint, KIND, tensors, {"recipe": recipe, "state": plain})

    bar = progress(steps, description, "steps", initial=state.step)
    started = last_save = time.monotonic()
    started -= state.seconds
    loss_sum = torch.tensor(state.loss_sum, device=fabric.device)
    network.train()
    while state.step < steps:
        step = state.step
        batch = batch_indices(step, batch_size, len(images), seed)
        batch = batch[fabric.global_rank * share :][:share]
        generator = step_generator(seed, step, fabric.global_rank)
        drawn = torch.from_numpy(images[batch])  # uint8 [n, H, W, 3]
        if flip:
            mirrored = torch.rand(len(drawn), generator=generator) < 0.5
            drawn = torch.where(mirrored[:, None, None, None], drawn.flip(2), drawn)
        if augment is not None:
            drawn = augment(drawn, generator)
        targets = torch.from_numpy(labels[batch]).to(fabric.device, torch.int64)

        value = objective.loss(network, to_network(drawn, fabric.device), targets, generator)
        optimizer.zero_grad()
        value.backward()
        average_gradients(fabric, network)
        optimizer.step()
        update_ema(ema, network, min(ema_decay, (1 + step) / (10 + step)))

        loss_sum += value.detach()
        state.step += 1
        bar.update()
        if state.step % 20 == 0 or state.step == 1:  # reading the loss waits for a GPU, so not at each step
            now = require_finite("the loss", value.detach(), state.step, _existing(checkpoint))
            rate = bar.format_dict["rate"]
            speed = f"{rate * batch_size:.0f} images/s, " if rate else ""  # unknown at first
            bar.set_postfix_str(f"{speed}loss {now:.3f}", refresh=False)
        if state.step % evaluate_every == 0 or state.step == steps:
            mean = float(loss_sum) / (state.step - state.evaluated)
            require_finite("the mean loss", mean, state.step, _existing(checkpoint))
            accuracy, validation_loss = evaluate(ema, *validation, fabric=fabric)
            state.record(mean, accuracy, validation_loss, time.monotonic() - started)
            if state.is_best:
                best.load_state_dict(ema.state_dict())
            loss_sum.zero_()
        if state.step == steps or time.monotonic() - last_save > SAVE_SECONDS:
            state.loss_sum, state.seconds = float(loss_sum), time.monotonic() - started
            save()
            last_save = time.monotonic()
    bar.close()
    fabric.barrier()
    network.load_state_dict(best.state_dict())
    network.eval()
    return state.history


class _State:
    """What a run knows besides its tensors: where it is, and how it went."""

    def __init__(self) -> None:
        self.step = 0
        self.evaluated = 0  # the last step evaluated
        self.loss_sum = 0.0  # since then
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []

    def record(self, loss: float, accuracy: float, validation_loss: float, seconds: float) -> None:
        self.evaluated, self.seconds = self.step, seconds
        entry = {"step": self.step, "loss": loss, "validation_loss": validation_loss}
        self.history.append({**entry, "validation_accuracy": accuracy, "seconds": seconds})

    @property
    def is_best(self) -> bool:
        """Whether the last evaluation beats all before it."""
        scores = [(entry["validation_accuracy"], -entry["validation_loss"]) for entry in self.history]
        return all(scores[-1] > score for score in scores[:-1])

    def state_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def load_state_dict(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def _resume(saved: Mapping[str, Any], checkpoint: Path | str, recipe: Mapping[str, Any]) -> None:
    tensors, metadata = load_checkpoint(checkpoint, KIND)
    theirs = metadata["recipe"]
    differing = [name for name in sorted({*recipe, *theirs}) if recipe.get(name) != theirs.get(name)]
    if differing:
        told = ", ".join(f"{name} (there {theirs.get(name)!r}, here {recipe.get(name)!r})" for name in differing)
        raise UsageError(
            f"{checkpoint} is of a run with another {told}. Ask for the same, or delete it to train from the start."
        )
    try:
        unpack(saved, tensors, metadata["state"])
    except KeyError as error:
        raise CheckpointError(f"{checkpoint} lacks {error}. Delete it to train from the start.") from error


def _existing(path: Path | str) -> Path | None:
    return Path(path) if Path(path).exists() else None


def batch_indices(step: int, batch_size: int, count: int, seed: int) -> np.ndarray:
    """Which images a step sees, int64 ``[batch_size]``: the epochs' permutations in one row, cut into batches."""
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = positions // count
    return np.concatenate(
        [_permutation(count, seed, epoch)[positions[epochs == epoch] % count] for epoch in np.unique(epochs).tolist()]
    )


@lru_cache(maxsize=2)
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    # Rank -1 is nobody's: the order must not share its random numbers with any step's flips.
    return torch.randperm(count, generator=step_generator(seed, epoch, rank=-1)).numpy()


@torch.no_grad()
def evaluate(network: nn.Module, images: np.ndarray, labels: np.ndarray, *, fabric: Fabric) -> tuple[float, float]:
    """Accuracy in [0, 1] and cross-entropy of a network on uint8 images ``[N, H, W, 3]`` and their labels ``[N]``."""
    logits = apply(network, images, fabric=fabric)
    targets = torch.from_numpy(np.asarray(labels, np.int64))
    correct = int((logits.argmax(1) == targets).sum())
    return correct / len(targets), float(F.cross_entropy(logits, targets))


@torch.no_grad()
def apply(
    function: Callable[[Tensor], Tensor],
    images: np.ndarray,
    *,
    fabric: Fabric,
    prepare: Callable[[np.ndarray], np.ndarray] = np.array,
    batch_size: int = 256,
) -> Tensor:
    """A network, or a method of one, over uint8 images ``[N, H, W, 3]``: float32 on the CPU, one row an image.

    Images may be memory-mapped: they are read, prepared (uint8 to uint8) and judged batch by batch.
    """
    rows = []
    for start in range(0, len(images), batch_size):
        pixels = torch.from_numpy(prepare(images[start : start + batch_size]))
        with fabric.autocast():
            rows.append(function(to_network(pixels, fabric.device)).float().cpu())
    return torch.cat(rows)
