"""Judging images that come from anywhere: which known source, how surely, or none of them.

An attributor always names one of its sources. A `Judge` knows in addition what that is worth: its `Calibration`, which
was measured on validation images. So it can answer ``unknown``, where an image is like nothing that was learned, and
``unsure``, where the answer flips as soon as the image is handled a little, or where an image looks generated, but not
so clearly that an honest photographer may be accused.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from scipy.special import logsumexp, softmax

from ..attacks.distortions import crop, jpeg, resample
from ..attribution.attributor import Attributor
from ..data.images import Pixels, centre_square, check_images, resize, shrink
from ..errors import UsageError
from ..statistics.calibration import energy, expected_calibration_error, fit_temperature
from ..statistics.verification import threshold

REAL, UNKNOWN, UNSURE = "real", "unknown", "unsure"  #: answers besides the generators' names
GENERATED, UNDECIDED = "generated", "undecided"  #: besides ``real``, where an image comes from

REJECTED, ALARMS = 0.02, 0.003  # shares of validation images of known sources, and of photographs: see `Calibration.of`
CALIBRATION = "calibration"  # where it stands in an attributor's provenance


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
        patches: of an image that is larger than what the network sees: how many of its squares are said to be of each
            source, or unknown.
    """

    answer: str
    probabilities: Mapping[str, float]
    evidence: float | None
    origin: str
    known: float
    agreeing: float
    spread: tuple[float, float]
    patches: Mapping[str, int] | None = None

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

    def judge_large(self, image: Pixels) -> Verdict:
        """A verdict on one uint8 image ``[H, W, 3]`` of any size: on the whole, and beside it on each of its squares.

        The whole is its middle square, shrunk: how photographs came into the corpora. Squares are judged where there
        are several of the network's size.
        """
        (whole,) = self.judge(seen_whole(image, self.resolution)[None])
        votes = self.patch_map(image)
        if votes.size < 2:
            return whole
        names = [*self.class_names, UNKNOWN]
        counts = np.bincount(votes.ravel(), minlength=len(names))
        return replace(whole, patches=dict(zip(names, counts.tolist(), strict=True)))

    def patch_map(self, image: Pixels) -> np.ndarray:
        """What each square of the network's size is said to be: int ``[n, m]``, K for unknown.

        Args:
            image: uint8 ``[H, W, 3]``; what does not fill a square at its borders is left out.
        """
        squares = in_squares(image, self.resolution)
        rows, columns = squares.shape[:2]
        if not squares.size:
            return np.empty((rows, columns), int)
        scores = self.scores(squares.reshape(-1, *squares.shape[2:]))
        found = np.where(energy(scores) < self._least, len(self.class_names), scores.argmax(1))
        return found.reshape(rows, columns)

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


def seen_whole(image: Pixels, side: int) -> Pixels:
    """The middle square of a uint8 image ``[H, W, 3]`` in the network's size, ``[side, side, 3]``.

    It is shrunk by area, as photographs are when they come into a corpus; a smaller one is enlarged (bicubic).
    """
    square = centre_square(image)
    return shrink(square, side, side) if len(square) >= side else resize(square, side)


def in_squares(image: Pixels, side: int) -> Pixels:
    """The squares of a uint8 image ``[H, W, 3]``, side by side from the middle: ``[n, m, side, side, 3]``, a view."""
    rows, columns = image.shape[0] // side, image.shape[1] // side
    top, left = (image.shape[0] - rows * side) // 2, (image.shape[1] - columns * side) // 2
    middle = image[top : top + rows * side, left : left + columns * side]
    return middle.reshape(rows, side, columns, side, 3).swapaxes(1, 2)


def _evidence(scores: np.ndarray, real: int) -> np.ndarray:
    """The decimal logarithm of the likelihood ratio of generated to real, float64 ``[N]``.

    Scores of a network that learned as many images of each source hold its prior, K - 1 to 1; it is taken out.
    """
    others = np.delete(scores, real, axis=1)
    return (logsumexp(others, axis=1) - np.log(others.shape[1]) - scores[:, real]) / np.log(10)
