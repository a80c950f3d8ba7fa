"""Judging images that come from anywhere: which known source, how surely, or none of them.

An attributor always names one of its sources. A `Judge` knows in addition what that is worth: its calibration, which
was measured on validation images (`calibrating`). So it can answer ``unknown``, where an image is like nothing that was
learned, and ``unsure``, where the answer flips as soon as the image is handled a little, where the squares of a large
image name other sources than the whole does, or where an image looks generated, but not so clearly that an honest
photographer may be accused.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import torch
from scipy.special import softmax

from ..attribution.attributor import Attributor
from ..data.decoding import ImageError, decode
from ..data.files import in_order
from ..data.images import Pixels, check_images
from ..errors import UsageError
from .calibrating import REAL, Calibration, evidence_of, logits_of, scores_of
from .viewing import handled, seen, squares

UNKNOWN, UNSURE = "unknown", "unsure"  #: answers besides the sources' names
GENERATED, UNDECIDED = "generated", "undecided"  #: besides ``real``, where an image comes from

AT_ONCE = 16  # files that are judged together: with their harmless changes they are a batch
CALIBRATION = "calibration"  # where it stands in an attributor's provenance

Item = TypeVar("Item")


@dataclass(frozen=True)
class Verdict:
    """What is said of one image.

    Attributes:
        answer: a source, ``unknown`` or ``unsure``.
        probabilities: of each known source, calibrated, if it is one of them; in [0, 1], they sum to 1.
        evidence: how many times likelier such scores are of a generated image than of a photograph, as a decimal
            logarithm, no larger or smaller than the calibration's images bear out; None where there are no photographs
            among the sources. Generators count alike. Of an image that is of none of the sources it says nothing.
        origin: ``generated``, where `Judge.evidence` is above the calibration's line; ``real`` below 0; in between,
            without photographs, of an unknown image, and where the squares contradict ``undecided``: nobody is accused
            by what is not understood.
        known: how far the energy is within what known sources have (`Calibration.known_by`); below 0 the image as a
            whole is unknown.
        agreeing: the share of its harmless changes under which the likeliest source stays the same, in [0, 1].
        spread: the least and the largest probability of that source, over the image and its changes.
        squares: of an image that has room for several of the network's squares: how many of those are said to be of
            each source, or unknown; see `viewing.squares`. To a network that learned from larger images, shrunk, they
            may be strangers, and say nothing. Where half of them or more are of other known sources than the whole,
            which may be a collage that was shrunk beyond recognition, the answer is not sure.
        enlarged_from: height and width of an image that was smaller than what the network sees; its answer is not sure.
        shrunk_from: of one that was larger and had to be shrunk, where the network never learned what shrinking does to
            generated images (`Judge.blind_to_shrunk`): its answer is not sure, its origin undecided, without evidence.
    """

    answer: str
    probabilities: Mapping[str, float]
    evidence: float | None
    origin: str
    known: float
    agreeing: float
    spread: tuple[float, float]
    squares: Mapping[str, int] | None = None
    enlarged_from: tuple[int, int] | None = None
    shrunk_from: tuple[int, int] | None = None

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
            UsageError: it was never calibrated, or by another version.
        """
        return cls.of(Attributor.load(path), str(path))

    @classmethod
    def of(cls, attributor: Attributor, name: str = "The attributor") -> Self:
        """That of a calibrated attributor.

        Raises:
            UsageError: it was never calibrated, or by another version.
        """
        told = attributor.provenance.get(CALIBRATION)
        if told is None:
            raise UsageError(
                f"{name} is not calibrated: nobody knows what its scores are worth. Learn it with `fingerprints learn`."
            )
        try:
            return cls(attributor, Calibration(**told))
        except TypeError as error:
            raise UsageError(f"{name} was calibrated by another version ({error}). Learn it again.") from error

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
        """Calibrated logits of uint8 images ``[N, R, R, 3]``, all sources alike likely before: float64 ``[N, K]``.

        Raises:
            UsageError: images of another kind or size.
        """
        return scores_of(logits_of(self.attributor, images), self.calibration.temperature, self.calibration.prior)

    def probabilities(self, images: Pixels) -> np.ndarray:
        """Calibrated probabilities of uint8 images ``[N, R, R, 3]``: float64 ``[N, K]``, rows sum to 1."""
        return softmax(self.scores(images), axis=1)

    def evidence(self, images: Pixels) -> np.ndarray:
        """As that of a `Verdict`, but not cut off, of uint8 images ``[N, R, R, 3]``: float64 ``[N]``.

        Raises:
            UsageError: images of another kind or size, or there are no photographs among the sources.
        """
        if REAL not in self.class_names:
            raise UsageError(f"No source is called {REAL!r}: whether an image is generated was never learned.")
        return evidence_of(self.scores(images), self.class_names.index(REAL))

    def judge(self, images: Pixels) -> list[Verdict]:
        """A verdict on each of the uint8 images ``[N, R, R, 3]``; it does not depend on the others.

        Raises:
            UsageError: images of another kind or size.
        """
        check_images(images)
        together = np.concatenate([images, *handled(images)])  # [V N, R, R, 3]
        scores = self.scores(together).reshape(-1, len(images), len(self.class_names))  # [V, N, K]
        shares, known = softmax(scores, axis=2), self.calibration.known_by(scores[0])
        best = scores.argmax(2)  # [V, N]
        agreeing = (best[1:] == best[0]).mean(0)
        its_own = np.take_along_axis(shares, best[:1, :, None], axis=2)[..., 0]  # [V, N]: of the likeliest source
        evidence: np.ndarray | list[None] = [None] * len(images)
        if REAL in self.class_names:
            evidence = evidence_of(scores[0], self.class_names.index(REAL))
        verdicts = []
        for i, k in enumerate(best[0]):
            answer, (strength, origin) = self.class_names[k], self._origin(evidence[i])
            if known[i] < 0:
                answer, origin = UNKNOWN, UNDECIDED
            elif agreeing[i] < 1 or (strength is not None and answer != REAL and origin != GENERATED):
                answer = UNSURE
            verdicts.append(
                Verdict(
                    answer,
                    dict(zip(self.class_names, shares[0, i].tolist(), strict=True)),
                    strength,
                    origin,
                    float(known[i]),
                    float(agreeing[i]),
                    (float(its_own[:, i].min()), float(its_own[:, i].max())),
                )
            )
        return verdicts

    def judge_files(self, paths: Iterable[Path]) -> Iterator[tuple[Path, Verdict | ImageError]]:
        """A verdict on each image file, in order, or what is wrong with it; memory holds a few images at a time.

        Images of any size are brought to the network's as its attributor says; of one that is smaller, and so enlarged,
        no answer is sure. Where one has room for several of the network's squares, some are judged by themselves, too.
        As many batches are judged side by side as PyTorch may use threads.
        """
        threads = torch.get_num_threads()
        batches = _batched(in_order(self._brought, paths), AT_ONCE)
        try:
            for some in in_order(self._judged, batches, threads):
                yield from some
        finally:
            torch.set_num_threads(threads)

    def _judged(self, some: "Sequence[tuple[Path, _Brought | ImageError]]") -> list[tuple[Path, Verdict | ImageError]]:
        """Of a batch of files, in a thread of its own."""
        # Threads that share a small convolution wait for each other most of the time, and for cores that are busy.
        torch.set_num_threads(1)
        brought = [found for _, found in some if isinstance(found, _Brought)]
        verdicts = iter(self.judge(np.stack([each.seen for each in brought])) if brought else [])
        votes = iter(self._votes([each.squares for each in brought]) if brought else [])
        judged: list[tuple[Path, Verdict | ImageError]] = []
        for path, found in some:
            if isinstance(found, ImageError):
                judged.append((path, found))
                continue
            verdict, vote = next(verdicts), next(votes)
            if min(found.size) < self.resolution:
                answer = UNKNOWN if verdict.answer == UNKNOWN else UNSURE
                verdict = replace(verdict, answer=answer, enlarged_from=found.size)
            elif min(found.size) > self.resolution and self.blind_to_shrunk:
                answer = UNKNOWN if verdict.answer == UNKNOWN else UNSURE
                verdict = replace(verdict, answer=answer, origin=UNDECIDED, evidence=None, shrunk_from=found.size)
            judged.append((path, _with_squares(verdict, vote)))
        return judged

    def _brought(self, path: Path) -> "tuple[Path, _Brought | ImageError]":
        try:
            image = decode(path)
        except ImageError as error:
            return path, error
        height, width = image.shape[:2]
        some = squares(image, self.resolution)
        some = some.reshape(-1, *some.shape[2:])
        return path, _Brought(
            seen(image, self.resolution, self.view), some if len(some) > 1 else some[:0], (height, width)
        )

    def _votes(self, several: Sequence[Pixels]) -> list[dict[str, int] | None]:
        """Of the squares ``[n, R, R, 3]`` of each image, how many are said to be of each source; None of no squares."""
        together, ends = np.concatenate(several), np.cumsum([len(some) for some in several])
        named = self._named(together) if len(together) else np.empty(0, int)
        names = [*self.class_names, UNKNOWN]
        counts = [np.bincount(part, minlength=len(names)).tolist() for part in np.split(named, ends[:-1])]
        return [dict(zip(names, some, strict=True)) if any(some) else None for some in counts]

    def square_map(self, image: Pixels) -> np.ndarray:
        """What squares of a uint8 image ``[H, W, 3]`` are said to be: int ``[n, m]``, K for unknown."""
        some = squares(image, self.resolution)
        if not some.size:
            return np.empty(some.shape[:2], int)
        return self._named(some.reshape(-1, *some.shape[2:])).reshape(some.shape[:2])

    def _named(self, images: Pixels) -> np.ndarray:
        """The likeliest source of each of the images ``[N, R, R, 3]``, or K, the number of sources: int ``[N]``."""
        scores = self.scores(images)
        return np.where(self.calibration.known_by(scores) < 0, len(self.class_names), scores.argmax(1))

    @property
    def view(self) -> str:
        """How images of other sizes are brought to the network's: see `viewing.seen`."""
        return self.attributor.provenance.get("view", "shrunk")

    @property
    def blind_to_shrunk(self) -> bool:
        """Whether it shrinks larger images, but met generated ones only as its generators made them.

        What is left of a fingerprint then passes for a photograph. Of 100 mosaics of 2 x 2 validation images of the
        book's generators, shrunk to one, 37 were called real, 43 with a ratio below 1/100; of 100 of 3 x 3, 72 and 78.
        """
        return self.view == "shrunk" and "folders" not in self.attributor.provenance

    def _origin(self, evidence: float | None) -> tuple[float | None, str]:
        """The evidence, cut off where nothing bears it out, and what it says."""
        line, bounds = self.calibration.line, self.calibration.bounds
        if evidence is None or line is None or bounds is None:
            return None, UNDECIDED
        origin = GENERATED if evidence > line else REAL if evidence < 0 else UNDECIDED
        return float(np.clip(evidence, *bounds)), origin


class _Brought(NamedTuple):
    """What is left of an image once it was read: what the network sees, squares ``[n, R, R, 3]``, and its size."""

    seen: Pixels
    squares: Pixels
    size: tuple[int, int]


def _with_squares(verdict: Verdict, squares: Mapping[str, int] | None) -> Verdict:
    """What is said of an image in view of its squares."""
    if squares:
        whole = verdict.likeliest if verdict.answer == UNSURE else verdict.answer
        contrary = sum(count for name, count in squares.items() if name not in (whole, UNKNOWN))
        if 2 * contrary >= sum(squares.values()):
            verdict = replace(verdict, answer=UNSURE, origin=UNDECIDED)
    return replace(verdict, squares=squares)


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    several = iter(items)
    while some := list(islice(several, size)):
        yield some
