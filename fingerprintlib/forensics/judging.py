"""Judging images that come from anywhere: which known source, how surely, or none of them.

An attributor always names one of its sources. A `Judge` knows in addition what that is worth: its `Calibration`, which
was measured on validation images. So it can answer ``unknown``, where an image is like nothing that was learned, and
``unsure``, where the answer flips as soon as the image is handled a little, or where an image looks generated, but not
so clearly that an honest photographer may be accused.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from scipy.special import logsumexp, softmax

from ..attacks.distortions import crop, jpeg, resample
from ..attribution.attributor import Attributor
from ..data.files import read_all
from ..data.images import ImageError, Pixels, centre_square, check_images, resize, shrink
from ..errors import UsageError
from ..statistics.calibration import energy, expected_calibration_error, fit_temperature
from ..statistics.verification import threshold

REAL, UNKNOWN, UNSURE = "real", "unknown", "unsure"  #: answers besides the generators' names
GENERATED, UNDECIDED = "generated", "undecided"  #: besides ``real``, where an image comes from

REJECTED, ALARMS = 0.02, 0.003  # shares of validation images of known sources, and of photographs: see `Calibration.of`
BATCH = 64  # files judged together
CALIBRATION = "calibration"  # where it stands in an attributor's provenance

Item = TypeVar("Item")


@dataclass(frozen=True)
class Calibration:
    """What an attributor's scores are worth.

    Attributes:
        temperature: by which its logits are divided to become those of calibrated probabilities.
        least: of the energy; an image below it is of no known source.
        line: of the evidence that an image is generated, see `Verdict`; what is above it is called generated. None
            where there are no photographs among the sources.
        told: how it was measured: ``images``, ``rejected`` and ``alarms`` (shares wanted), ``error`` before and after
            (expected calibration errors).
    """

    temperature: float
    least: float
    line: float | None
    told: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        attributor: Attributor,
        images: Pixels,
        labels: np.ndarray,
        rejected: float = REJECTED,
        alarms: float = ALARMS,
    ) -> Self:
        """Measured on validation images: of the attributor's sources, and none that it learned from.

        Args:
            attributor: whose scores are calibrated.
            images: uint8 ``[N, R, R, 3]``.
            labels: int ``[N]``, indices of its class names.
            rejected: the share of the images of known sources that may be called unknown.
            alarms: the share of photographs that may be called generated.

        Raises:
            UsageError: images of another kind or size.
        """
        logits = attributor.logits(images).astype(np.float64)
        temperature = fit_temperature(logits, labels)
        line = None
        if REAL in attributor.class_names:
            evidence = _evidence(logits / temperature, attributor.class_names.index(REAL))
            photographs = labels == attributor.class_names.index(REAL)
            # Never below 0, where generated would be called what is likelier real.
            line = max(0.0, threshold(evidence[photographs], alarms))
        errors = [expected_calibration_error(softmax(logits / t, axis=1), labels) for t in (1.0, temperature)]
        told = {"images": len(labels), "rejected": rejected, "alarms": alarms, "error": errors}
        return cls(temperature, -threshold(-energy(logits / temperature), rejected), line, told)


@dataclass(frozen=True)
class Verdict:
    """What is said of one image.

    Attributes:
        answer: a source, ``unknown`` or ``unsure``.
        probabilities: of each known source, calibrated, if it is one of them; in [0, 1], they sum to 1.
        evidence: how many times likelier such scores are of a generated image than of a photograph, as a decimal
            logarithm; None where there are no photographs among the sources. Generators count alike.
        origin: ``generated``, where the evidence is above the calibration's line; ``real`` below 0; in between, and
            without photographs, ``undecided``.
        known: how far the energy is above the least that a known source has; below 0 the image is unknown.
        agreeing: the share of its harmless changes under which the likeliest source stays the same, in [0, 1].
        spread: the least and the largest probability of that source, over the image and its changes.
        squares: of an image that has room for several of the network's squares: how many of those are said to be of
            each source, or unknown; see `squares`.
    """

    answer: str
    probabilities: Mapping[str, float]
    evidence: float | None
    origin: str
    known: float
    agreeing: float
    spread: tuple[float, float]
    squares: Mapping[str, int] | None = None

    @property
    def likeliest(self) -> str:
        """The source that is the most probable of those known."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Judge:
    """An attributor with its calibration."""

    attributor: Attributor
    calibration: Calibration

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open the file of a calibrated attributor.

        Raises:
            CheckpointError: the file is missing, damaged, or no attributor.
            UsageError: it was never calibrated.
        """
        return cls.of(Attributor.load(path), str(path))

    @classmethod
    def of(cls, attributor: Attributor, name: str = "The attributor") -> Self:
        """That of a calibrated attributor.

        Raises:
            UsageError: it was never calibrated.
        """
        told = attributor.provenance.get(CALIBRATION)
        if told is None:
            raise UsageError(
                f"{name} is not calibrated: nobody knows what its scores are worth. Learn it with `fingerprints learn`."
            )
        return cls(attributor, Calibration(**told))

    @cached_property
    def calibrated(self) -> Attributor:
        """The attributor with the calibration in it, to be saved."""
        provenance = {**self.attributor.provenance, CALIBRATION: asdict(self.calibration)}
        return replace(self.attributor, provenance=provenance)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The known sources."""
        return self.attributor.class_names

    @property
    def resolution(self) -> int:
        """Side of the images that it judges."""
        return self.attributor.resolution

    def scores(self, images: Pixels) -> np.ndarray:
        """Calibrated logits of uint8 images ``[N, R, R, 3]``: float64 ``[N, K]``.

        Raises:
            UsageError: images of another kind or size.
        """
        return self.attributor.logits(images).astype(np.float64) / self.calibration.temperature

    def probabilities(self, images: Pixels) -> np.ndarray:
        """Calibrated probabilities of uint8 images ``[N, R, R, 3]``: float64 ``[N, K]``, rows sum to 1."""
        return softmax(self.scores(images), axis=1)

    def judge(self, images: Pixels) -> list[Verdict]:
        """A verdict on each of the uint8 images ``[N, R, R, 3]``; it does not depend on the others.

        Raises:
            UsageError: images of another kind or size.
        """
        check_images(images)
        scores = np.stack([self.scores(some) for some in (images, *handled(images))])  # [V, N, K]
        shares, known = softmax(scores, axis=2), energy(scores[0]) - self._least
        best = scores.argmax(2)  # [V, N]
        agreeing = (best[1:] == best[0]).mean(0)
        its_own = np.take_along_axis(shares, best[:1, :, None], axis=2)[..., 0]  # [V, N]: of the likeliest source
        evidence = self._evidence(scores[0])
        verdicts = []
        for i, k in enumerate(best[0]):
            answer, origin = self.class_names[k], self._origin(evidence[i])
            if known[i] < 0:
                answer = UNKNOWN
            elif agreeing[i] < 1 or (REAL in self.class_names and answer != REAL and origin != GENERATED):
                answer = UNSURE
            verdicts.append(
                Verdict(
                    answer,
                    dict(zip(self.class_names, shares[0, i].tolist(), strict=True)),
                    evidence[i],
                    origin,
                    float(known[i]),
                    float(agreeing[i]),
                    (float(its_own[:, i].min()), float(its_own[:, i].max())),
                )
            )
        return verdicts

    def judge_files(self, paths: Iterable[Path]) -> Iterator[tuple[Path, Verdict | ImageError]]:
        """A verdict on each image file, in order, or what is wrong with it; memory holds a few images at a time.

        Images of any size are brought to the network's as its attributor says. Where one has room for several of the
        network's squares, some are judged by themselves, too: see `Verdict`.
        """
        for some in _batched(read_all(paths), BATCH):
            votes: list[Mapping[str, int] | None] = []
            whole: list[Pixels] = []
            for _, image in some:
                if not isinstance(image, ImageError):
                    whole.append(seen(image, self.resolution, self.view))
                    votes.append(self.vote(image))
            verdicts = iter(self.judge(np.stack(whole)) if whole else [])
            patches = iter(votes)
            for path, image in some:
                if isinstance(image, ImageError):
                    yield path, image
                else:
                    yield path, replace(next(verdicts), squares=next(patches))

    def vote(self, image: Pixels) -> dict[str, int] | None:
        """How many squares of a uint8 image ``[H, W, 3]`` are said to be of each source; None if it has only one."""
        found = self.square_map(image)
        if found.size < 2:
            return None
        names = [*self.class_names, UNKNOWN]
        return dict(zip(names, np.bincount(found.ravel(), minlength=len(names)).tolist(), strict=True))

    def square_map(self, image: Pixels) -> np.ndarray:
        """What squares of a uint8 image ``[H, W, 3]`` are said to be: int ``[n, m]``, K for unknown; see `squares`."""
        some = squares(image, self.resolution)
        if not some.size:
            return np.empty(some.shape[:2], int)
        scores = self.scores(some.reshape(-1, *some.shape[2:]))
        found = np.where(energy(scores) < self._least, len(self.class_names), scores.argmax(1))
        return found.reshape(some.shape[:2])

    @property
    def view(self) -> str:
        """How images of other sizes are brought to the network's: see `seen`."""
        return self.attributor.provenance.get("view", "shrunk")

    @property
    def _least(self) -> float:
        return self.calibration.least

    def _evidence(self, scores: np.ndarray) -> list[float | None]:
        if REAL not in self.class_names:
            return [None] * len(scores)
        return [float(some) for some in _evidence(scores, self.class_names.index(REAL))]

    def _origin(self, evidence: float | None) -> str:
        line = self.calibration.line
        if evidence is None or line is None or 0 <= evidence <= line:
            return UNDECIDED
        return GENERATED if evidence > line else REAL


def handled(images: Pixels) -> list[Pixels]:
    """Uint8 images ``[N, H, W, 3]`` as they are after harmless changes, which no answer should depend on.

    Saved as JPEG of quality 90; a row and a column cut off, and enlarged again; smaller by 2 %, and enlarged again.
    """
    x, side = torch.from_numpy(np.ascontiguousarray(images)), images.shape[1]
    nothing = np.zeros((len(images), 2), np.uint64)  # in the place of random words: the window is the upper left one

    def each(strength: float) -> np.ndarray:
        return np.full(len(images), float(strength))

    changes = (jpeg(x, each(90), nothing), crop(x, each(1 / side), nothing), resample(x, each(0.98), nothing))
    return [some.numpy() for some in changes]


def seen(image: Pixels, side: int, view: str = "shrunk") -> Pixels:
    """What a network sees of a uint8 image ``[H, W, 3]``: ``[side, side, 3]``.

    Args:
        image: of any size; one that is smaller is enlarged (bicubic).
        side: of what the network sees.
        view: ``"shrunk"``, the middle square shrunk by area, as photographs are when they come into a corpus; or
            ``"middle"``, the pixels in the middle as they are.
    """
    square = centre_square(image)
    if len(square) < side:
        return resize(square, side)
    if view == "shrunk":
        return shrink(square, side, side)
    start = (len(square) - side) // 2
    return square[start : start + side, start : start + side]


def squares(image: Pixels, side: int, most: int = 8) -> Pixels:
    """Squares of a uint8 image ``[H, W, 3]``, evenly over it and none over another: ``[n, m, side, side, 3]``.

    At most `most` in each direction; fewer than all leave gaps.
    """
    down, across = (_places(length, side, most) for length in image.shape[:2])
    found = [[image[y : y + side, x : x + side] for x in across] for y in down]
    return np.array(found, np.uint8).reshape(len(down), len(across), side, side, 3)


def _places(length: int, side: int, most: int) -> list[int]:
    count = min(length // side, most)
    free = length - count * side
    return [round(k * side + free * (k + 0.5) / count) for k in range(count)]


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    several = iter(items)
    while some := list(islice(several, size)):
        yield some


def _evidence(scores: np.ndarray, real: int) -> np.ndarray:
    """The decimal logarithm of the likelihood ratio of generated to real, float64 ``[N]``.

    Scores of a network that learned as many images of each source hold its prior, K - 1 to 1; it is taken out.
    """
    others = np.delete(scores, real, axis=1)
    return (logsumexp(others, axis=1) - np.log(others.shape[1]) - scores[:, real]) / np.log(10)
