"""Trained generators: sampled alike whatever the batch or the threads, kept as safe files, trained when missing.

A generator is two files: ``NAME.safetensors``, what sampling needs, and beside it ``NAME.json``, its training card, for
people to read. The first carries a hash of the second, so neither can be changed or swapped alone.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from ..checkpoints import (
    CheckpointError,
    load_checkpoint,
    narrowed,
    pack,
    save_checkpoint,
    tensors_hash,
    unpack,
    widened,
)
from ..data.images import Pixels, quantize
from ..data.splits import SPLITS
from ..errors import FingerprintsError, UsageError, unknown
from ..gans import Model, build
from ..gans.training import Images, TrainedGAN, evaluating, recipe_of, train_gan
from ..provenance import recipe_hash, write_atomically
from ..runtime import Fabric, _keep_memory, make_fabric, step_generator
from ..store import trained

KIND = "generator"
#: Images computed together. Fixed, and aligned to multiples of itself: rounding may differ with the shape of a batch.
CHUNK = 50
_SAMPLE_STREAM = 2 << 32  # beyond what training draws from


class PrecisionError(FingerprintsError):
    """Sixteen bits are not enough for a generator's weights: its samples would change visibly."""


@dataclass(frozen=True)
class Generator:
    """A trained generator with its training card."""

    name: str
    gan: Model  #: for its generator; what else learned with it is untrained
    card: dict[str, Any]
    moments: list[int] = field(default_factory=list)  #: images seen when each row of `previews` was made
    previews: Pixels | None = None  #: samples through training, uint8 ``[moments, 8, R, R, 3]``
    path: Path | None = None  #: the file it was loaded from

    @property
    def hash(self) -> str:
        """Of the weights."""
        return tensors_hash(self.gan.sampler.state_dict())

    @property
    def seconds(self) -> float:
        """How long the training took."""
        return float(self.card["seconds"])

    def sample(self, n: int, seed: int, start: int = 0) -> Pixels:
        """See `sample`."""
        return sample(self.gan, n, seed, start)


@dataclass(frozen=True)
class GeneratorSource:
    """A generator as a source of a corpus: image `i` of a split is always the same.

    No two splits share a latent, nor do two generators of different names.
    """

    generator: Generator
    seed: int  # of the sampling

    def images(self, split: str, start: int, n: int) -> Pixels:
        """Images `start` to `start + n` of the split, uint8 ``[n, R, R, 3]``."""
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        stream = crc32(self.generator.name.encode()) * 8 + SPLITS.index(split) + 1
        return sample(self.generator.gan, n, self.seed, start, stream)

    @property
    def provenance(self) -> dict[str, Any]:
        """What the images depend on; JSON-able."""
        card = self.generator.card
        recipe = {"generator": self.generator.name, "weights": self.generator.hash, "sampling_seed": self.seed}
        return recipe | {"recipe": card.get("recipe"), "images_seen": card.get("images_seen")}


def sample(gan: Model, n: int, seed: int, start: int = 0, stream: int = 0) -> Pixels:
    """Images `start` to `start + n` of the endless row that `seed` and `stream` stand for, uint8 ``[n, R, R, 3]``.

    Image `i` depends on the weights, `seed`, `stream` and `i` alone: not on `n`, nor on how many threads there are.
    Computed in float32, in evaluation mode, by the moving average where the model keeps one.
    """
    if n < 0 or start < 0:
        raise UsageError(f"There are no images {start} to {start + n}. Give start >= 0 and n >= 0.")
    side = gan.resolution
    images = np.empty((n, side, side, 3), np.uint8)
    _keep_memory()

    def fill(chunk: int) -> None:
        with torch.inference_mode():
            pixels = quantize(gan.sampler(_latents(gan, chunk, seed, stream).to(gan.device)))
        first = chunk * CHUNK - start  # of the chunk, counted from the first image asked for
        low, high = max(first, 0), min(first + CHUNK, n)
        images[low:high] = pixels[low - first : high - first]

    with evaluating(gan.sampler), _one_thread_each(gan.device) as workers, ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, range(start // CHUNK, math.ceil((start + n) / CHUNK))))
    return images


def _latents(gan: Model, chunk: int, seed: int, stream: int) -> Tensor:
    rows = range(chunk * CHUNK, (chunk + 1) * CHUNK)
    return torch.cat([gan.latents(1, step_generator(seed, row, _SAMPLE_STREAM + stream)) for row in rows])


@contextmanager
def _one_thread_each(device: torch.device) -> Iterator[int]:
    """Share the threads out over whole chunks, and yield how many there are.

    An operation split over threads may round differently with their number; and slim networks are faster this way.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield threads if device.type == "cpu" else 1
    finally:
        torch.set_num_threads(threads)


def save_generator(path: Path | str, trained: TrainedGAN | Generator, name: str, half: bool = False) -> None:
    """Write what sampling needs to `path`, and the card beside it.

    Args:
        path: where to; it ends in ``.safetensors``.
        trained: the GAN with its card.
        name: of the source, as figures and class names show it.
        half: store matrices and kernels in 16 bits, after checking that samples stay within one of 256 levels.

    Raises:
        PrecisionError: with `half`, a sample changed by more than that; nothing is written.
    """
    gan = trained.gan
    tensors, plain = pack({"generator": gan.sampler})
    if half:
        tensors = narrowed(tensors, 16)
    restored = _restored(gan.recipe, tensors, plain)
    if half:
        _require_close(gan, restored)
    card = trained.card | {"name": name, "weights": tensors_hash(restored.sampler.state_dict())}
    if trained.previews is not None:
        tensors["previews"] = torch.from_numpy(trained.previews)
    metadata = {"name": name, "gan": gan.recipe, "card": recipe_hash(card), "moments": trained.moments, "plain": plain}
    text = json.dumps(card, indent=1, sort_keys=True, ensure_ascii=False)
    # The card first: where there are weights, there is their card. A loss curve is one line, not two hundred.
    write_atomically(_card_path(path), re.sub(r"\[\n[-\d\s.,e]+\]", lambda m: " ".join(m[0].split()), text) + "\n")
    save_checkpoint(path, KIND, tensors, metadata)


def load_generator(path: Path | str, expect: str | None = None) -> Generator:
    """Read what `save_generator` wrote, onto the CPU.

    Args:
        path: the file of weights.
        expect: the `Generator.hash` that it must have.

    Raises:
        CheckpointError: missing, cut short, altered, not a generator, without its card or with another's, or another
            one than expected.
    """
    tensors, metadata = load_checkpoint(path, KIND)
    try:
        previews = tensors.pop("previews", None)
        gan = _restored(metadata["gan"], tensors, metadata["plain"])
        pixels = None if previews is None else previews.numpy()
        card = _card(path, metadata["card"])
        generator = Generator(metadata["name"], gan, card, metadata["moments"], pixels, Path(path))
    except (KeyError, TypeError, UsageError) as error:
        raise CheckpointError(f"{path} is no generator of this version ({error}). Train it again.") from error
    if expect not in (None, generator.hash):
        raise CheckpointError(
            f"The generator {path} has changed since its hash was noted: "
            "run the chapter 'zoo' again (`make book` does)."
        )
    return generator


def _card_path(path: Path | str) -> Path:
    return Path(path).with_suffix(".json")


def _card(path: Path | str, digest: str) -> dict[str, Any]:
    """The training card beside the weights `path`, if it is the one that they were saved with."""
    beside = _card_path(path)
    try:
        card = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} lacks its training card {beside.name}. Copy both, or train it again.") from None
    except ValueError as error:
        raise CheckpointError(f"{beside} is not JSON ({error}). Copy it again, or train again.") from error
    if recipe_hash(card) != digest:
        raise CheckpointError(
            f"The training card {beside} disagrees with its weights {Path(path).name}: one of them was changed or "
            "swapped. Copy both again, or train the generator again."
        )
    return card


def load_or_train(
    name: str,
    gan: str,
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
    **options: Any,
) -> Generator:
    """The generator of this recipe from `folder`; where it is not there yet, train it (or go on training) and save it.

    The file's name carries the hash of the arguments, the data, the precision, the code and the package versions, so
    that none is used for another. While another process trains the same, this one waits.

    Args:
        name: of the source.
        gan, resolution, width, seed, options: see `gans.build`.
        reals, images, data_hash, without, fabric, watch: see `gans.training.train_gan`.
        folder: of the generators and of the checkpoints of those in training.
    """
    fabric = fabric or make_fabric()
    model = build(gan, resolution, width, seed, **options)
    recipe = recipe_of(model, reals, images, fabric, data_hash, without) | {"name": name}

    def train(unfinished: Path) -> TrainedGAN:
        return train_gan(
            model,
            reals,
            images=images,
            folder=unfinished,
            data_hash=recipe["data"],
            without=without,
            fabric=fabric,
            watch=watch,
        )

    return trained(
        folder,
        name,
        recipe,
        train=train,
        save=lambda made, path: save_generator(path, made, name),
        load=load_generator,
        fabric=fabric,
    )


def _restored(recipe: dict[str, Any], tensors: dict[str, Tensor], plain: dict[str, Any]) -> Model:
    """The GAN with the generator's weights from a file; its sampler is its generator, whichever was saved."""
    settings = recipe["settings"] | {"ema": 0.0}
    gan = build(recipe["gan"], recipe["resolution"], recipe["width"], 0, **settings)
    unpack({"generator": gan.generator}, widened(tensors), plain)
    return gan.eval()


def _require_close(gan: Model, other: Model) -> None:
    ours, theirs = sample(gan, CHUNK, 0).astype(int), sample(other, CHUNK, 0).astype(int)
    worst = int(np.abs(ours - theirs).max())
    if worst > 1:
        raise PrecisionError(f"In 16 bits a sample changes by {worst} of 256 levels. Save it with half=False.")
