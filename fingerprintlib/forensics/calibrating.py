"""What an attributor's scores are worth, measured on validation images: its `Calibration`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self

import numpy as np
from scipy.special import logsumexp, softmax

from ..attribution.attributor import Attributor
from ..data.images import Pixels, check_images, check_labels
from ..errors import UsageError
from ..runtime import Fabric, make_fabric
from ..statistics.calibration import energy, expected_calibration_error, fit_temperature
from ..statistics.intervals import Interval
from ..statistics.likelihood_ratios import empirical_bounds
from ..statistics.verification import threshold

REAL = "real"  #: the name of the source of photographs
REJECTED, ALARMS = 0.02, 0.003  # shares of validation images of known sources, and of photographs: see `Calibration.of`
#: Of those rejected, the share with too much energy. Strangers have too little, noise and patterns too much.
ABOVE = 1 / 8
BATCH = 64  # images whose scores are computed together, always as many: rounding may differ with the shape of a batch


@dataclass(frozen=True)
class Calibration:
    """What an attributor's scores are worth.

    Attributes:
        temperature: by which its logits are divided to become those of calibrated probabilities. To the images one is
            added that misleads, as clearly as the usual one leads: where all are named rightly, nothing else would
            hold confidence back.
        prior: the share of each source among the images; they sum to 1. A network that sees one source more often than
            another names it more often; that is taken out (logit adjustment: Menon et al. 2021, arXiv 2007.07314).
        least: of the energy; an image below it is of no known source.
        most: of the energy, for each source; an image above that of its likeliest source is of none. Some sources have
            several times the energy of others.
        line: of the evidence that an image is generated, see `Judge.evidence`; what is above it is called generated.
            None where there are no photographs among the sources.
        bounds: of that evidence, beyond which so few images do not carry (`likelihood_ratios.empirical_bounds`). A
            group of images counts once, with the one that misleads the most, and so do an image and its handled copy.
        told: how it was measured: numbers of ``images``, of ``photographs`` and of their ``groups``, whether they were
            ``handled``, too; ``rejected`` and ``alarms`` (shares wanted), ``error`` before and after (expected
            calibration errors).
    """

    temperature: float
    prior: Sequence[float]
    least: float
    most: Sequence[float]
    line: float | None
    bounds: Interval | None
    told: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        attributor: Attributor,
        images: Pixels,
        labels: np.ndarray,
        rejected: float = REJECTED,
        alarms: float = ALARMS,
        handled: Pixels | None = None,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Measured on validation images: none that it learned from, and of each source as large a share as of those.

        Args:
            attributor: whose scores are calibrated.
            images: uint8 ``[N, R, R, 3]``.
            labels: int ``[N]``, indices of its class names; all of them occur.
            rejected: the share of the images of known sources that may be called unknown; of these, `ABOVE` since they
                have too much energy, the others since they have too little.
            alarms: the share of photographs that may be called generated.
            handled: the same images, handled. All is measured on both, but for the energy: handling takes it away, and
                a line that let all handled images pass would let strangers pass, too.
            groups: int ``[N]``, images of one number are not independent of each other (see `corpus.Corpus.groups`); by
                default each is one of its own. It decides how far the bounds reach.

        Raises:
            UsageError: images of another kind or size, a source has none, or there is not one group an image.
        """
        names = attributor.class_names
        check_images(images)
        check_labels(labels, len(images), class_count=len(names))
        counts = np.bincount(labels, minlength=len(names))
        if lacking := [name for name, count in zip(names, counts, strict=True) if not count]:
            raise UsageError(
                f"Images of each source are needed to calibrate by; there is none of {', '.join(lacking)}."
            )
        groups = np.arange(len(images)) if groups is None else np.asarray(groups)
        if groups.shape != labels.shape:
            raise UsageError(f"groups must be [{len(labels)}], one an image, not {list(groups.shape)}.")
        logits, prior, clean = logits_of(attributor, images), counts / len(labels), len(images)
        if handled is not None:
            logits = np.concatenate([logits, logits_of(attributor, handled)])
            labels, groups = np.tile(labels, 2), np.tile(groups, 2)
        temperature = fit_temperature(*_with_one_misleading(logits, labels))
        scores = scores_of(logits, temperature, prior)
        line = bounds = None
        photographs = labels == names.index(REAL) if REAL in names else np.zeros(len(labels), bool)
        if photographs.any():
            evidence = evidence_of(scores, names.index(REAL))
            # Never below 0, where generated would be called what is likelier real.
            line = max(0.0, threshold(evidence[photographs], alarms))
            bounds = empirical_bounds(evidence, ~photographs, groups)
        errors = [expected_calibration_error(softmax(logits / t, axis=1), labels) for t in (1.0, temperature)]
        told = {
            "images": clean,
            "photographs": int(photographs[:clean].sum()),
            "groups": len(np.unique(groups[photographs])),
            "handled": handled is not None,
            "rejected": rejected,
            "alarms": alarms,
            "error": errors,
        }
        least, most = _energies(scores[:clean], labels[:clean], rejected)
        return cls(temperature, tuple(prior.tolist()), least, most, line, bounds, told)

    def known_by(self, scores: np.ndarray) -> np.ndarray:
        """How far the energy of scores ``[N, K]`` is from `least` and `most`: float64 ``[N]``, below 0 outside."""
        found = energy(scores)
        return np.minimum(found - self.least, np.asarray(self.most)[scores.argmax(1)] - found)


def _energies(scores: np.ndarray, labels: np.ndarray, rejected: float) -> tuple[float, tuple[float, ...]]:
    """The least energy of an image of a known source, and the most for each source.

    The upper lines are as many quartile ranges above the median of each source. So all images count together: those of
    one source may be too few to tell what hardly any of them exceeds.
    """
    found, mine = energy(scores), [energy(scores[labels == k]) for k in range(scores.shape[1])]
    low, middle, high = np.transpose([np.quantile(some, (0.25, 0.5, 0.75)) for some in mine])
    spread = high - low
    spread[spread == 0] = spread.max() or 1.0  # a single image has none
    likeliest = scores.argmax(1)
    beyond = (found - middle[likeliest]) / spread[likeliest]
    limit = threshold(beyond, ABOVE * rejected)
    below = int(rejected * len(found)) - int(np.sum(beyond > limit))
    return float(np.sort(found)[below]), tuple((middle + limit * spread).tolist())


@cache
def _float32(accelerator: str) -> Fabric:
    return make_fabric(accelerator, "32-true")


def logits_of(attributor: Attributor, images: Pixels) -> np.ndarray:
    """Float64 ``[N, K]``; those of an image do not depend on the others, to the last digit."""
    check_images(images)
    padded = np.concatenate([images, np.repeat(images[-1:], -len(images) % BATCH, axis=0)])
    fabric = _float32(attributor.fabric.device.type)  # exact to the last digits, and on CPUs sooner than bfloat16
    exact = replace(attributor, given_fabric=fabric)
    parts = [exact.logits(padded[start : start + BATCH]) for start in range(0, len(padded), BATCH)]
    return np.concatenate(parts)[: len(images)].astype(np.float64)


def _with_one_misleading(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One more: the logits that are clearer than those of half of the images, as if of the source that comes second."""
    order = np.argsort(logits, axis=1)
    first, second = (np.take_along_axis(logits, order[:, [k]], axis=1)[:, 0] for k in (-1, -2))
    usual = np.argsort(first - second)[len(labels) // 2]
    return np.concatenate([logits, logits[[usual]]]), np.append(labels, order[usual, -2])


def scores_of(logits: np.ndarray, temperature: float, prior: Sequence[float] | np.ndarray) -> np.ndarray:
    """Logits ``[N, K]`` as those of calibrated probabilities, where all sources are alike likely before."""
    return logits / temperature - np.log(len(prior) * np.asarray(prior))


def evidence_of(scores: np.ndarray, real: int) -> np.ndarray:
    """The decimal logarithm of the likelihood ratio of generated to real, float64 ``[N]``; generators count alike."""
    others = np.delete(scores, real, axis=1)
    return (logsumexp(others, axis=1) - np.log(others.shape[1]) - scores[:, real]) / np.log(10)
