"""The one loop that trains every model: any device and number of processes, resumed to the identical weights."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from .. import __version__
from ..codehash import code_of
from ..data.images import Pixels, quantize, to_tensor
from ..errors import UsageError
from ..processes import Shares
from ..provenance import content_hash
from ..runtime import Fabric, computed_with, make_fabric, step_generator, update_ema
from ..training_run import Run
from . import GAN, Model

#: Shares of the budget after which samples of the same few latents are kept, to see them grow.
MOMENTS = (1 / 64, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0)
PREVIEWS = 8
#: Points of a loss curve.
CURVE = 200
PREVIEW_STREAM = 1 << 32
_SETTLING_STREAM = 3 << 32


Watch = Callable[[list[int], Pixels], None]  #: called with moments and previews, see `TrainedGAN`


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
    gan: Model,
    reals: Images,
    *,
    images: int,
    folder: Path | str,
    data_hash: str | None = None,
    without: int | None = None,
    fabric: Fabric | None = None,
    watch: Watch | None = None,
) -> TrainedGAN:
    """Train a GAN or another model until it was shown `images` reals, or go on where a run in `folder` was stopped.

    A run that was killed at any moment and started again ends with the weights of one that was not, bit for bit on
    the same machine with the same number of threads.

    Args:
        gan: as `build` gave it; it is trained in place. Its seed is that of every step's randomness, too.
        reals: uint8 ``[N, R, R, 3]``, R the resolution; drawn at random with replacement and flipped half the time.
        images: the budget: real images shown, over all discriminator steps (of a GAN).
        folder: for the checkpoint.
        data_hash: what identifies `reals` (None: they are hashed here).
        without: the number of one image that is never shown. Wherever it was due another takes its place, and all else
            stays: two runs that differ in `without` alone are the same up to the card's ``parted_at``.
        fabric: device, precision, processes (None: `runtime.make_fabric`).
        watch: called with the moments and the previews so far (see `TrainedGAN`) each time that there is a new one.

    Raises:
        UsageError: an impossible value, or reals of another shape.
        CheckpointError: the checkpoint in `folder` is damaged, or of a run with other settings.
        FingerprintsError: the training diverged; the last good checkpoint stays.
    """
    fabric = fabric or make_fabric()
    side = gan.resolution
    if reals.dtype != np.uint8 or tuple(reals.shape[1:]) != (side, side, 3) or not len(reals):
        raise UsageError(
            f"{gan.name} at {side} pixels learns from uint8 images [N, {side}, {side}, 3]; "
            f"these are {reals.dtype} {list(reals.shape)}. Open the dataset at that resolution."
        )
    if images < 1:
        raise UsageError(f"images={images} is not possible. Give the number of real images to show, 1 or more.")
    if without is not None and not (0 <= without < len(reals) and len(reals) > 1):
        raise UsageError(f"There is no image {without} to leave out. Name one of 0 to {len(reals) - 1}.")
    recipe = recipe_of(gan, reals, images, fabric, data_hash, without)
    run = _Run(gan, reals, recipe, fabric, Path(folder) / "training.safetensors")
    run.watch = watch or run.watch
    run.train(gan.name)
    return run.result()


def recipe_of(
    gan: Model, reals: Images, images: int, fabric: Fabric, data_hash: str | None, without: int | None
) -> dict[str, Any]:
    """All that decides the weights which `train_gan` leaves; JSON-able. Arguments as there."""
    return gan.recipe | {
        "images": images,
        "seed": gan.seed,
        "without": without,
        "data": data_hash or content_hash(np.ascontiguousarray(reals[:]).data.cast("B")),
        **computed_with(fabric),
        **code_of(_Run, type(gan), make_fabric),
    }


class ModelRun(Run):
    """What the training of one model and that of several alike have in common: schedule, curve, previews, card.

    Args:
        gan: whose schedule it follows.
        networks, optimizers: all there are, by name; the optimizers by whose loss they minimize.
        shape, recipe, fabric, path: see `training_run.Run`.
    """

    kept = ("level", "parted_at", "history", "moments", "previews")

    def __init__(
        self,
        gan: Model,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, torch.optim.Optimizer],
        shape: tuple[int, ...],
        recipe: dict[str, Any],
        fabric: Fabric,
        path: Path,
    ):
        super().__init__(tuple(optimizers), shape, recipe, fabric, path)
        self.gan, self.networks, self.optimizers = gan, networks, optimizers
        self.level = 0  # that the optimizers' moments belong to
        self.parted_at: Any = None  # `seen` when the image left out was first due; of several models, a list
        self.history: dict[str, list[Any]] = {key: [] for key in ("images", *optimizers)}
        self.moments: list[int] = []
        self.previews: list[Tensor] = []

    @abstractmethod
    def preview(self) -> Tensor:
        """Samples of the same few latents as they are now, uint8 ``[..., 8, R, R, 3]`` on the CPU."""

    @property
    def images(self) -> int:
        """The budget."""
        return self.recipe["images"]

    def parts(self) -> Mapping[str, Any]:
        """All networks and their optimizers."""
        return {**self.networks, **{f"{name}_optimizer": some for name, some in self.optimizers.items()}}

    def follow_schedule(self) -> None:
        """Set the learning rates of the step to come; forget the moments of another level."""
        level, rate = self.gan.level(self.share), self.gan.learning_rate(self.share)
        for optimizer in self.optimizers.values():
            if level != self.level:
                optimizer.state.clear()
            for group in optimizer.param_groups:
                group["lr"] = rate
        self.level = level

    def is_due(self, before: float) -> bool:
        """Whether a point of the curve is."""
        return int(self.share * CURVE) > int(before * CURVE)

    def record(self, means: dict[str, Any]) -> None:
        """Put a point on the curve."""
        for key, value in {"images": self.seen, **means}.items():
            self.history[key].append(value)

    def report(self, before: float, bar: tqdm) -> None:
        """See `Run.report`; and keep previews at their moments."""
        super().report(before, bar)
        if any(before < moment <= self.share for moment in MOMENTS):
            self.check()
            self.previews.append(self.preview())
            self.moments.append(self.seen)

    def card(self, gan: Model, recipe: dict[str, Any]) -> dict[str, Any]:
        """How a model was trained; JSON-able."""
        return {
            "recipe": recipe,
            "images_seen": self.seen,
            "parted_at": self.parted_at,
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "departures": list(gan.departures),
            "device": device_name(self.fabric.device),
            "history": self.history,
            "fingerprintlib": __version__,
            "torch": torch.__version__,
        }


class _Run(ModelRun):
    """The training of one model, on any number of processes."""

    kind = "gan-training"

    def __init__(self, gan: Model, reals: Images, recipe: dict[str, Any], fabric: Fabric, path: Path):
        gan.to(fabric.device).train()
        super().__init__(gan, {"gan": gan}, gan.optimizers(), (), recipe, fabric, path)
        self.reals = reals
        self.due = False  # the image left out
        for part in range(100):  # batches may change on the way; better refused now than then
            self.shares(part / 100)
        self.watch: Watch = lambda moments, previews: None

    def advance(self) -> None:
        """Take one step of the generator, and of what learns with it; after a GAN's discriminator steps."""
        gan, share, shares, rounds = self.gan, self.share, self.shares(self.share), 1
        rng = step_generator(self.recipe["seed"], self.step)
        self.follow_schedule()
        losses: tuple[Tensor, ...]
        if isinstance(gan, GAN):
            rounds, losses = gan.settings.d_steps, self.play(gan, shares, rng)
        else:
            real = self.draw(shares, rng)
            with shares.joined(), self.fabric.autocast():
                loss = gan.generator_loss(real, share, rng)
            self.update(gan, self.optimizers["generator"], loss)
            losses = (loss,)
        if gan.average is not None:
            update_ema(gan.average, gan.generator, gan.settings.ema, self.step)
        if self.due and self.parted_at is None:
            self.parted_at = self.seen
        self.count(shares.batch * rounds, *losses)

    def shares(self, progress: float) -> Shares:
        """What this process has of the batch at `progress`."""
        return Shares(self.fabric, self.gan.batch_size(progress), self.gan.batch_multiple)

    def play(self, gan: GAN, shares: Shares, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Steps of the discriminator, then one of the generator; the last loss of each."""
        for _ in range(gan.settings.d_steps):
            real = self.draw(shares, rng)
            with shares.joined(), self.fabric.autocast():
                d_loss = gan.discriminator_loss(real, self.share, rng)
            self.update(gan.discriminator, self.optimizers["discriminator"], d_loss)
        with frozen(gan.discriminator):
            with shares.joined(), self.fabric.autocast():
                g_loss = gan.generator_loss(real, self.share, rng)
            self.update(gan.generator, self.optimizers["generator"], g_loss)
        return d_loss, g_loss

    def draw(self, shares: Shares, rng: torch.Generator) -> Tensor:
        """This process's share of the random reals, on the device, ``[n, 3, R, R]`` in [-1, 1]; half are mirrored."""
        index, flips, due = draw_rows(len(self.reals), shares.batch, self.recipe["without"], self.step, rng)
        self.due |= due
        pixels, mirrored = np.array(self.reals[index[shares.mine].numpy()]), flips[shares.mine].numpy()
        pixels[mirrored] = pixels[mirrored, :, ::-1]
        return to_tensor(pixels).to(self.fabric.device)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Of the model as it would be sampled."""
        self.settle()
        rng = step_generator(self.recipe["seed"], 0, PREVIEW_STREAM)
        with evaluating(self.gan):
            return torch.from_numpy(quantize(self.gan.preview(self.gan.draw(PREVIEWS, rng), self.share)))

    def report(self, before: float, bar: tqdm) -> None:
        """See `ModelRun.report`; and show new previews to whoever watches."""
        known = len(self.moments)
        super().report(before, bar)
        if len(self.moments) > known and self.fabric.is_global_zero:
            self.watch(list(self.moments), torch.stack(self.previews).numpy())

    def settle(self) -> None:
        """See `Model.settle`."""
        self.gan.settle(step_generator(self.recipe["seed"], self.step, _SETTLING_STREAM))

    def result(self) -> TrainedGAN:
        """What is left at the end."""
        self.settle()
        previews = torch.stack(self.previews).numpy()
        return TrainedGAN(self.gan.eval(), self.card(self.gan, self.recipe), list(self.moments), previews, self.path)


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
def frozen(network: nn.Module) -> Iterator[None]:
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
