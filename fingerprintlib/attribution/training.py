"""The one supervised loop: labelled images, a network, an objective (cross-entropy by default), Adam.

Everything random is a function of (seed, step), and the checkpoint holds everything else, so a run that is killed at
any moment and started again ends in the very same weights. What is kept is the moving average of the weights (EMA) at
the evaluation where it did best on the validation images.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.images import check_images, check_labels, to_network
from ..errors import UsageError
from ..processes import Shares
from ..runtime import Fabric, computed_with, step_generator, update_ema
from ..training_run import Run

BETAS = (0.0, 0.99)  #: Adam's, the paper's
EMA_DECAY = 0.999  #: of the moving average

Labelled = tuple[np.ndarray, np.ndarray]  #: images, uint8 [N, H, W, 3], and labels, int [N], from 0 to K - 1
Augment = Callable[[Tensor, torch.Generator], Tensor]


class Objective(Protocol):
    """What `fit` minimizes. It may own networks of its own, and trains them itself: a critic, say."""

    @property
    def together(self) -> int:
        """How many neighbours in the batch it looks at together, see `processes.Shares`; 1: each image for itself."""

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

    together = 1

    def __init__(self, fabric: Fabric):
        self.fabric = fabric
        self.saved: dict[str, Any] = {}

    def loss(self, network: nn.Module, x: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """See `Objective`."""
        with self.fabric.autocast():
            return F.cross_entropy(network(x), targets)


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What shapes the weights, besides the images and the objective. Each epoch visits each image once.

    Attributes:
        steps: number of weight updates.
        batch_size: images a step, over all processes together.
        learning_rate: of Adam.
        decay: the last part of the steps, in which the learning rate falls in a straight line to nothing; 0: it stays.
        flip: mirror each image with probability 1/2.
        evaluate_every: steps between evaluations; by default a tenth of `steps`, or as many as it takes to learn from
            three times the images that an evaluation judges, if that is more. The last step is always evaluated.
        seed: of the order, the flips and the augmentation (not of the initial weights).

    Raises:
        UsageError: one is out of range.
    """

    steps: int
    batch_size: int = 32
    learning_rate: float = 1e-3
    decay: float = 0.0
    flip: bool = True
    evaluate_every: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.learning_rate <= 0:
            raise UsageError(
                "steps and batch_size must be at least 1 and learning_rate above 0, not "
                f"{self.steps}, {self.batch_size} and {self.learning_rate}."
            )
        if not 0 <= self.decay <= 1:
            raise UsageError(f"decay must be from 0 to 1, not {self.decay}.")

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        left = (self.steps - step) / self.steps
        return self.learning_rate * (min(1.0, left / self.decay) if self.decay else 1.0)


def fit(
    network: nn.Module,
    examples: Labelled,
    validation: Labelled,
    hyperparameters: Hyperparameters,
    *,
    checkpoint: Path | str,
    recipe: Mapping[str, Any],
    fabric: Fabric,
    objective: Objective | None = None,
    augment: Augment | None = None,
    description: str = "training",
) -> list[dict[str, float]]:
    """Train `network` in place and leave in it the averaged weights that did best on the validation images.

    Args:
        network: takes float images ``[N, 3, H, W]`` in [-1, 1], gives logits ``[N, K]``.
        examples: images, uint8 ``[N, H, W, 3]``, and labels, int ``[N]``, from 0 to K - 1. The images may be
            memory-mapped, only batches are read.
        validation: another such pair, to choose by: highest accuracy, then lowest loss, then earliest.
        hyperparameters: steps, batch size and the like.
        checkpoint: file to save to and to resume from; it stays when done, and then a second call trains nothing.
        recipe: JSON-able; whatever else this run depends on. With another recipe the checkpoint is refused.
        fabric: device, precision, processes.
        objective: what to minimize, by default the `CrossEntropy` of the logits. Validation always goes by that.
        augment: ``(uint8 [n, H, W, 3], generator) -> the same``, on the CPU, after the flip (an attack, say).
        description: what the progress bar says.

    Returns:
        A dictionary per evaluation: ``step``, ``loss`` (mean over the training batches since the last one),
        ``validation_loss``, ``validation_accuracy`` in [0, 1], and ``seconds`` so far, those before a resume included.

    Raises:
        UsageError: an argument is out of range.
        CheckpointError: the checkpoint is damaged, foreign, or of a run with another recipe.
        FingerprintsError: the loss is not finite.
    """
    class_count = getattr(network, "class_count", None)
    for name, (images, labels) in {"": examples, "validation ": validation}.items():
        check_images(images, f"{name}images")
        check_labels(labels, len(images), f"{name}labels", class_count)
    objective = objective or CrossEntropy(fabric)
    run = _Run(network, examples, validation, hyperparameters, objective, augment, recipe, fabric, Path(checkpoint))
    run.train(description)
    network.load_state_dict(run.best.state_dict())
    network.eval()
    return run.history


class _Run(Run):
    """A training of one network: `draw`, `advance` by a step, `record` how it does."""

    kind = "supervised-training"
    kept = ("history",)

    def __init__(
        self,
        network: nn.Module,
        examples: Labelled,
        validation: Labelled,
        hyper: Hyperparameters,
        objective: Objective,
        augment: Augment | None,
        recipe: Mapping[str, Any],
        fabric: Fabric,
        path: Path,
    ):
        self.hyper = hyper
        self.shares = Shares(fabric, hyper.batch_size, objective.together)
        judged = 3 * len(validation[0]) // hyper.batch_size
        self.evaluate_every = hyper.evaluate_every or max(1, hyper.steps // 10, judged)
        whole = {**recipe, **asdict(hyper), "evaluate_every": self.evaluate_every, **computed_with(fabric)}
        super().__init__(("network",), (), whole, fabric, path)
        self.network = network.to(fabric.device).to(memory_format=torch.channels_last)
        self.ema, self.best = copy.deepcopy(network), copy.deepcopy(network)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=hyper.learning_rate, betas=BETAS, fused=True)
        self.examples, self.validation, self.objective, self.augment = examples, validation, objective, augment
        self.history: list[dict[str, float]] = []
        network.train()

    @property
    def images(self) -> int:
        """In all epochs."""
        return self.hyper.steps * self.hyper.batch_size

    def parts(self) -> Mapping[str, Any]:
        """The network, its averages, Adam, and what the objective has."""
        networks = {"network": self.network, "ema": self.ema, "best": self.best}
        return {**networks, "optimizer": self.optimizer, **self.objective.saved}

    def advance(self) -> None:
        """Take a step of Adam, and the average along."""
        x, targets, generator = self.draw()
        for group in self.optimizer.param_groups:
            group["lr"] = self.hyper.rate(self.step)
        with self.shares.joined():
            loss = self.objective.loss(self.network, x, targets, generator)
        self.update(self.network, self.optimizer, loss)
        update_ema(self.ema, self.network, EMA_DECAY, self.step)
        self.count(self.hyper.batch_size, loss)

    def draw(self) -> tuple[Tensor, Tensor, torch.Generator]:
        """The step's images ``[n, 3, H, W]`` and labels ``[n]`` of this process, on the device, and random numbers."""
        images, labels = self.examples
        rows = batch_indices(self.step, self.hyper.batch_size, len(images), self.hyper.seed)[self.shares.mine]
        generator = step_generator(self.hyper.seed, self.step)
        drawn = torch.from_numpy(images[rows])  # uint8 [n, H, W, 3]
        with self.shares.joined():
            if self.hyper.flip:
                mirrored = torch.rand(len(rows), generator=generator) < 0.5
                drawn = torch.where(mirrored[:, None, None, None], drawn.flip(2), drawn)
            if self.augment is not None:
                drawn = self.augment(drawn, generator)
        targets = torch.from_numpy(labels[rows]).to(self.fabric.device, torch.int64)
        return to_network(drawn, self.fabric.device), targets, generator

    def is_due(self, before: float) -> bool:
        """Whether an evaluation is."""
        return self.step % self.evaluate_every == 0

    def record(self, means: dict[str, Any]) -> None:
        """Judge the average on the validation images, and keep it if it is the best so far."""
        accuracy, loss = evaluate(self.ema, *self.validation, fabric=self.fabric)
        if all((accuracy, -loss) > (past["validation_accuracy"], -past["validation_loss"]) for past in self.history):
            self.best.load_state_dict(self.ema.state_dict())
        self.tick()
        entry = {"step": self.step, "loss": means["network"], "validation_loss": loss}
        self.history.append({**entry, "validation_accuracy": accuracy, "seconds": self.seconds})


def batch_indices(step: int, batch_size: int, count: int, seed: int) -> np.ndarray:
    """Which images a step sees, int64 ``[batch_size]``: the epochs' permutations in one row, cut into batches."""
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = positions // count
    return np.concatenate(
        [_permutation(count, seed, epoch)[positions[epochs == epoch] % count] for epoch in np.unique(epochs).tolist()]
    )


@lru_cache(maxsize=2)
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    # A stream of its own: the order must not share its random numbers with any step's flips.
    return torch.randperm(count, generator=step_generator(seed, epoch, stream=-1)).numpy()


@torch.no_grad()
def evaluate(network: nn.Module, images: np.ndarray, labels: np.ndarray, *, fabric: Fabric) -> tuple[float, float]:
    """Accuracy in [0, 1] and cross-entropy of a network on uint8 images ``[N, H, W, 3]`` and their labels ``[N]``.

    Of several processes, which all call this, each judges a part.
    """
    count, rank, world = len(labels), fabric.global_rank, fabric.world_size
    mine = slice(count * rank // world, count * (rank + 1) // world)
    targets = torch.from_numpy(np.asarray(labels[mine], np.int64))
    sums = torch.zeros(2)
    if len(targets):
        logits = apply(network, images[mine], fabric=fabric)
        sums[0] = (logits.argmax(1) == targets).sum()
        sums[1] = F.cross_entropy(logits, targets) * (len(targets) / count)
    correct, loss = cast(Tensor, fabric.all_reduce(sums.to(fabric.device), reduce_op="sum")).tolist()
    return correct / count, loss


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
