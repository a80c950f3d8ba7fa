"""How far a share may be off: intervals that cover, near 0 and 1 too, and for images that are not independent.

Images of one group (a contributor's photographs, crops of one photograph) share camera and place: they are right or
wrong together, so that a thousand of them tell less than a thousand images. How much less is seen in how the groups'
counts spread. Few groups, or few mistakes, leave that open; so we take every correlation within groups that the counts
allow, each with the weight that a beta-binomial distribution of the counts gives it, and average Wilson's intervals of
so many fewer images. Where every image is a group of its own, what is left is Wilson's interval.

The usual percentile bootstrap over groups collapses near 0 and 1: at a share of 99 % it covers 24 to 90 % of the time
where these cover 93 to 99 % (ten groups or seventy; see the tests).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .checks import float64, truths

Interval = tuple[float, float]
#: What is known of one source: of each of its groups how many things are right, and how many there are.
Counts = tuple[NDArray[np.float64], NDArray[np.float64]]

#: The correlations within groups that are tried. The prior is even over 0..1.
CORRELATIONS = np.array([0.001, *np.linspace(0.02, 0.98, 25)])
_SHARES = 0.5 - 0.5 * np.cos(np.pi * (np.arange(40) + 0.5) / 40)  # of a source; even for Jeffreys' prior
_ALMOST_0 = 1e-9
PARTS = 100  # a value of `mean_interval` counts as a share of so many things


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion: ``(low, high)`` within [0, 1].

    Wilson (1927), J. Am. Stat. Assoc. 22, 209-212. Unlike the normal approximation it is honest near 0 and 1, where
    most accuracies of the book lie.

    Raises:
        UsageError: not ``0 <= correct <= total`` with `total` at least 1, or `confidence` outside (0, 1).
    """
    from scipy.stats import binomtest

    if not 0 <= correct <= total or total < 1:
        raise UsageError(f"correct must be from 0 to total, and total at least 1, not {correct} and {total}.")
    _check_confidence(confidence)
    interval = binomtest(int(correct), int(total)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def told(value: float, interval: Interval, scale: float = 100, decimals: int = 1, signed: bool = False) -> str:
    """A value and its interval as tables have them: ``69.5 (66.2–72.6)``; with signs: ``+3.1 (-0.2 to +6.4)``."""
    number, low, high = (f"{scale * x:{'+' if signed else ''}z.{decimals}f}" for x in (value, *interval))  # no -0.0
    between = " to " if signed or "-" in low + high else "–"  # a dash beside a minus cannot be read
    return f"{number} ({low}{between}{high})"


def by_group(values: np.ndarray, groups: np.ndarray, labels: np.ndarray | None = None) -> list[Counts]:
    """Sums and numbers of the values of each group, source by source.

    Args:
        values: ``[N]``, one an image; whether it is right, or a share.
        groups: int ``[N]``, see `corpus.Corpus.groups`.
        labels: int ``[N]``, the images' sources, each of which has a share of its own; by default they have one.

    Raises:
        UsageError: lengths differ, or nothing is given.
    """
    values, groups = np.asarray(values, np.float64), np.asarray(groups)
    labels = np.zeros(len(groups), np.int64) if labels is None else np.asarray(labels)
    if values.ndim != 1 or not len(values) or not values.shape == groups.shape == labels.shape:
        shapes = f"{values.shape}, {groups.shape} and {labels.shape}"
        raise UsageError(f"values, groups and labels must be [N] alike, N at least 1, not {shapes}.")
    found = []
    for label in np.unique(labels):
        mine = labels == label
        _, places, sizes = np.unique(groups[mine], return_inverse=True, return_counts=True)
        found.append((np.bincount(places, values[mine]).astype(np.float64), sizes.astype(np.float64)))
    return found


def share_interval(counts: Sequence[Counts], confidence: float = 0.95) -> Interval:
    """The interval of the share of all things that are right, where those of one group go together.

    Args:
        counts: see `by_group`.
        confidence: of the interval.

    Raises:
        UsageError: `confidence` outside (0, 1).
    """
    _check_confidence(confidence)
    return _interval(counts, _weights(counts), confidence)


def mean_interval(
    values: np.ndarray,
    groups: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> tuple[float, Interval]:
    """The mean of one value an image, and its 95 % interval.

    For shares within images, which no binomial interval fits: patches of one image are not independent. How many
    independent things an image stands for is read off the spread of the values (see `share_interval`), so that five
    images of which all patches are right do not make a certainty.

    Args:
        values: ``[N]`` within the bounds, N at least 2.
        groups: int ``[N]``, see `corpus.Corpus.groups`; by default each image is one of its own.
        labels: int ``[N]``, the images' sources, where they have groups.
        bounds: the least and the largest value that there may be.

    Raises:
        UsageError: fewer than two values, lengths differ, a value out of bounds, NaN or infinite, or bounds that are
            one.
    """
    values, (least, most) = float64("values", values), bounds
    if values.ndim != 1 or len(values) < 2:
        raise UsageError(f"values must be [N], N at least 2, not {list(values.shape)}.")
    if not least < most:
        raise UsageError(f"bounds must be two numbers, the less first, not {least:g} and {most:g}.")
    if values.min() < least or values.max() > most:
        raise UsageError(f"values run from {values.min():g} to {values.max():g}; {least:g} to {most:g} are allowed.")
    shares = (values - least) / (most - least)
    alone = by_group(shares, np.arange(len(shares)), labels)
    weights = _weights([(np.rint(PARTS * some), PARTS * each) for some, each in alone])
    if groups is None:
        low, high = _interval([(PARTS * some, PARTS * each) for some, each in alone], weights)
    else:
        worth = 1 / float(weights @ CORRELATIONS)  # independent things that an image stands for
        low, high = share_interval([(worth * some, worth * all_) for some, all_ in by_group(shares, groups, labels)])
    return float(values.mean()), (least + (most - least) * low, least + (most - least) * high)


def group_mean(values: np.ndarray, groups: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, float]:
    """The mean of unbounded values, its variance where images of one group go together, and degrees of freedom.

    The variance is the sum of the groups' squared deviations, each over one minus the group's part of all images, as
    a group pulls the mean towards itself (Bell and McCaffrey 2002; without groups the usual variance of a mean). The
    degrees of freedom are those of as many groups of one size as Kish's formula counts.

    Args:
        values: float ``[N, ...]``.
        groups: int ``[N]``, see `corpus.Corpus.groups`; by default each image is one of its own.

    Returns:
        Mean and variance of the mean, float64 ``[...]``; degrees of freedom.

    Raises:
        UsageError: lengths differ, or fewer than two groups.
    """
    values = np.asarray(values, np.float64)
    groups = np.arange(len(values)) if groups is None else np.asarray(groups)
    if groups.shape != values.shape[:1] or len(np.unique(groups)) < 2:
        raise UsageError(f"groups must be [{len(values)}], two of them at least, not {list(groups.shape)}.")
    mean = values.mean(0)
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    parts = sizes / len(values)
    sums = np.add.reduceat(values[order] - mean, starts, axis=0) / len(values)  # [G, ...]
    variance = np.tensordot(1 / (1 - parts), sums**2, axes=1)
    return mean, variance, float(1 / np.square(parts).sum()) - 1


def unbounded_mean(values: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, Interval]:
    """The mean of unbounded values, float ``[N]``, and its 95 % interval (Student's t); groups and errors as above."""
    from scipy.stats import t

    mean, variance, freedom = group_mean(values, groups)
    half = float(t.ppf(0.975, max(freedom, 1)) * np.sqrt(variance))
    return float(mean), (float(mean) - half, float(mean) + half)


def paired_difference(
    correct: np.ndarray,
    others_correct: np.ndarray,
    groups: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    confidence: float = 0.95,
) -> tuple[float, Interval]:
    """How much more often one classifier is right than another on the same images: a difference of two accuracies.

    Only the images that one gets right and the other wrong decide. The interval is Agresti and Min's (2005), Stat. Med.
    24, 729-740: Wald's, after half an image is added to each of the four cells of right and wrong, so that it does not
    collapse where the two agree. Groups widen it as they do a share's, see `share_interval`.

    Args:
        correct: bool ``[N]``, whether the one is right.
        others_correct: bool ``[N]``, whether the other is, image by image.
        groups: int ``[N]``, see `corpus.Corpus.groups`; by default each image is one of its own.
        labels: int ``[N]``, the images' sources, where they have groups.
        confidence: of the interval.

    Returns:
        The difference in [-1, 1], positive where the first is better, and its interval.

    Raises:
        UsageError: lengths differ, nothing is given, a value is neither true nor false, or `confidence` is outside
            (0, 1).
    """
    from scipy.special import ndtr

    one, other = truths("correct", correct), truths("others_correct", others_correct)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise UsageError(f"correct and others_correct must be [N] alike, N at least 1, not {one.shape}, {other.shape}.")
    _check_confidence(confidence)
    ahead, behind = one & ~other, other & ~one
    better, worse, total = ahead.sum(), behind.sum(), len(one)
    middle = float(better - worse) / (total + 2)
    spread = np.sqrt((better + worse + 1) / (total + 2) - middle**2) / np.sqrt(total + 2)
    numbers = np.arange(total) if groups is None else groups
    won, lost = by_group(ahead, numbers, labels), by_group(behind, numbers, labels)
    (plus, plus_alone), (minus, minus_alone) = _variances(won), _variances(lost)  # each may go together in its own way
    effects = (plus[:, None] + minus) / (plus_alone + minus_alone)
    weights = np.outer(_weights(won), _weights(lost))

    def below(x: float) -> float:
        return float((weights * ndtr((x - middle) / (spread * np.sqrt(effects)))).sum())

    low, high = (_where(below, (1 + side * confidence) / 2, -9.0, 9.0) for side in (-1, 1))
    return float(better - worse) / total, (max(-1.0, low), min(1.0, high))


def of_room(lead: float, interval: Interval, right: float) -> tuple[float, Interval]:
    """A lead over a rival as a share of all that could be won: of what the rival gets wrong.

    Ten points are little where a rival is right in half of the cases, and impossible where it is right in 95 of a
    hundred. The room is taken as known. It varies with the lead, which makes the interval too wide rather than too
    narrow.

    Args:
        lead: how much more often one is right than the rival, with its interval: see `paired_difference`.
        interval: of it.
        right: how often the rival is right, in [0, 1].

    Returns:
        The share and its interval, from -1 (twice as many errors, or more) to 1 (none). Where there is nothing to win,
        nothing is known: 0, and from -1 to 1.
    """
    room = 1 - right
    if room <= 0:
        return 0.0, (-1.0, 1.0)
    share, low, high = (min(1.0, max(-1.0, some / room)) for some in (lead, *interval))
    return share, (low, high)


def weakest(effects: Mapping[str, tuple[float, Interval]]) -> tuple[str, float, Interval]:
    """Of several effects with their intervals the one whose lower end is the lowest: its name, value and interval.

    A claim that is to hold under several conditions is judged by it.
    """
    name = min(effects, key=lambda one: effects[one][1][0])
    return name, *effects[name]


def _interval(counts: Sequence[Counts], weights: NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Wilson's interval of the share of all that is right, averaged over the correlations."""
    from scipy.special import ndtr

    right, total = (sum(float(one[which].sum()) for one in counts) for which in (0, 1))
    variances, alone = _variances(counts)
    share, fewer = right / total, total / (variances / alone)

    def below(x: float) -> float:
        with np.errstate(divide="ignore"):  # were it 0 or 1, nothing would vary: what is seen is infinitely far away
            return float(weights @ ndtr((x - share) / np.sqrt(x * (1 - x) / fewer)))

    low = _where(below, (1 - confidence) / 2, 0.0, min(share, 1 - _ALMOST_0)) if share > 0 else 0.0
    return low, _where(below, (1 + confidence) / 2, max(share, _ALMOST_0), 1.0) if share < 1 else 1.0


def _weights(counts: Sequence[Counts]) -> NDArray[np.float64]:
    """How likely the counts make each of the `CORRELATIONS`, all alike likely before; they sum to 1.

    The groups of a source are draws of a beta-binomial distribution of this correlation, and of any share.
    """
    from scipy.special import betaln, logsumexp

    found = np.log(np.gradient(CORRELATIONS))
    scale = (1 / CORRELATIONS - 1)[:, None]
    alpha, beta = (scale * _SHARES)[..., None], (scale * (1 - _SHARES))[..., None]
    for right, total in counts:
        if total.max() > 1:  # else there is nothing that goes together
            (mine, all_), often = np.unique(np.stack([right, total]), axis=1, return_counts=True)
            fits = (betaln(alpha + mine, beta + all_ - mine) - betaln(alpha, beta)) @ often
            found += logsumexp(fits, axis=1)
    found = np.exp(found - found.max())
    return found / found.sum()


def _variances(counts: Sequence[Counts]) -> tuple[NDArray[np.float64], float]:
    """Of the number of right things: for each of the `CORRELATIONS`, and if nothing went together.

    The first over the second is Kish's design effect.
    """
    found, alone = np.zeros(len(CORRELATIONS)), 0.0
    for right, total in counts:
        share = (right.sum() + 0.5) / (total.sum() + 1)
        alone += share * (1 - share) * total.sum()
        found += share * (1 - share) * (total + total * np.maximum(total - 1, 0) * CORRELATIONS[:, None]).sum(1)
    return found, float(alone)


def _where(below: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Where a rising function reaches a level."""
    from scipy.optimize import brentq

    return float(brentq(lambda x: below(x) - level, low, high, xtol=1e-10))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be between 0 and 1, not {confidence}.")
