"""What is of no known source is to be rejected: how well a score tells that, and how much of the known goes with it.

The higher a score, the likelier is the image of a source that the classifier knows. An image is accepted if its score
is above a line; only then does its attribution count. Whoever lowers the line attributes more of the known images
rightly, and more of the unknown ones at all.

The intervals add up two errors, as if they were independent: that of the known images, were the unknown ones all that
there are, and the reverse (Zou and Donner 2008, Stat. Med. 27, 1693-1702). Both count groups, as `intervals` tells, and
neither collapses where no error was seen.
"""

from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from .checks import number, truths, two_kinds
from .intervals import Interval, by_group, mean_interval, share_interval
from .verification import threshold


def auroc(scores: ArrayLike, known: ArrayLike, groups: ArrayLike | None = None) -> tuple[float, Interval]:
    """How often a known image has a higher score than an unknown one, ties counting half, and the 95 % interval.

    That is the area under the receiver operating characteristic: in [0, 1], one half for guessing.

    Args:
        scores: float ``[N]``, the higher the likelier known.
        known: bool ``[N]``, at least two of each kind.
        groups: int ``[N]``, see `corpus.Corpus.groups`; by default each image is one of its own.

    Raises:
        UsageError: shapes differ, a score is NaN or infinite, or there are fewer than two of a kind.
    """
    scores, known = two_kinds("scores", scores, "known", known, least=2)
    return oscr_area(scores, known, np.ones(len(scores)), groups)


def oscr(scores: ArrayLike, known: ArrayLike, correct: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve of the open set classification rate: of a falling line, what is accepted wrongly and what rightly.

    Dhamija et al. (2018), Reducing network agnostophobia, arXiv 1811.04110.

    Args:
        scores: float ``[N]``, the higher the likelier known.
        known: bool ``[N]``, at least one of each kind.
        correct: bool ``[N]``, whether an image is attributed to its source; of unknown ones it does not count.

    Returns:
        The share of the unknown images that is accepted (false positive rate), and the share of the known ones that is
        accepted and attributed rightly (correct classification rate), float64 ``[L]`` each: from 0 and 0, where the
        line is above all scores, to 1 and the accuracy.

    Raises:
        UsageError: shapes differ, a score is NaN or infinite, or there is one kind only.
    """
    scores, known, correct = _checked(scores, known, correct, 1)
    lines = np.append(np.unique(scores), np.inf)[::-1]
    wrongly, rightly = (
        (len(some) - np.searchsorted(np.sort(some), lines)) / of
        for some, of in ((scores[~known], (~known).sum()), (scores[known & correct], known.sum()))
    )
    return wrongly, rightly


def oscr_area(
    scores: ArrayLike, known: ArrayLike, correct: ArrayLike, groups: ArrayLike | None = None
) -> tuple[float, Interval]:
    """The area under the curve of `oscr`, from 0 to the accuracy, and its 95 % interval.

    It is how often a known image is attributed rightly and has a higher score than an unknown one, ties counting half.

    Args:
        scores, known, correct: see `oscr`; at least two of each kind.
        groups: see `auroc`.

    Raises:
        UsageError: shapes differ, a score is NaN or infinite, or there are fewer than two of a kind.
    """
    scores, known, correct = _checked(scores, known, correct, 2)
    groups = _groups(groups, len(scores))
    mine = correct[known] * _below(scores[~known], scores[known])
    theirs = correct[known].mean() * (1 - _below(scores[known & correct], scores[~known]))
    area = float(mine.mean())
    spans = (mean_interval(mine, groups[known])[1], mean_interval(theirs, groups[~known])[1])
    return area, _together(area, *spans)


def correct_at(
    scores: ArrayLike,
    known: ArrayLike,
    correct: ArrayLike,
    groups: ArrayLike | None = None,
    accepted: float = 0.05,
) -> tuple[float, Interval]:
    """The share of the known images that is accepted and attributed rightly, where few unknown ones are accepted.

    The line is the lowest that accepts no more than that share of the unknown images. Its error is told by the lines
    that accept a share of which the interval holds `accepted`. Of few unknown images none may be accepted, and the true
    line still be higher than all of them: then the interval starts at 0.

    Args:
        scores, known, correct: see `oscr`.
        groups: see `auroc`.
        accepted: the share of the unknown images, in [0, 1).

    Returns:
        The share, and its 95 % interval.

    Raises:
        UsageError: as `oscr`, or `accepted` is out of range.
    """
    scores, known, correct = _checked(scores, known, correct, 1)
    groups = _groups(groups, len(scores))
    if number("accepted", accepted, 0, 1) == 1:
        raise UsageError("accepted must be below 1: where all may be accepted, no line is drawn.")
    mine, right, unknown = scores[known], correct[known], scores[~known]
    rightly = right & (mine > threshold(unknown, accepted))
    found = float(rightly.mean())
    low, high = _lines(unknown, groups[~known], accepted)
    span = float(np.mean(right & (mine >= high))), float(np.mean(right & (mine > low)))
    return found, _together(found, share_interval(by_group(rightly, groups[known])), span)


def _lines(unknown: NDArray[np.float64], groups: np.ndarray, accepted: float) -> tuple[float, float]:
    """From the score which, and up to which exclusively, lines may accept the share `accepted` of all unknown images.

    The latter is infinite where a line above all scores may.
    """
    lines = np.concatenate([[-np.inf], np.unique(unknown)])

    def first(is_so: Callable[[Interval], bool]) -> int:
        return bisect_left(
            range(len(lines)), True, key=lambda i: is_so(share_interval(by_group(unknown > lines[i], groups)))
        )

    low, high = first(lambda span: span[0] <= accepted), first(lambda span: span[1] < accepted)
    return float(lines[low]), float(lines[high]) if high < len(lines) else np.inf


def _below(some: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each value the share of some others that are below it, where equal ones count half."""
    order = np.sort(some)
    return (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right")) / (2 * max(len(some), 1))


def _together(value: float, *spans: Interval) -> Interval:
    """The interval of a share that has several sources of error, from the interval by each."""
    below, above = (np.array([max(0.0, side * (end[k] - value)) for end in spans]) for k, side in ((0, -1), (1, 1)))
    return max(0.0, value - float(np.hypot(*below))), min(1.0, value + float(np.hypot(*above)))


def _checked(
    scores: ArrayLike, known: ArrayLike, correct: ArrayLike, least: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    values, which = two_kinds("scores", scores, "known", known, least)
    right = truths("correct", correct)
    if right.shape != which.shape:
        raise UsageError(f"correct must be [{len(which)}], one for each score, not of shape {right.shape}.")
    return values, which, right


def _groups(groups: ArrayLike | None, count: int) -> np.ndarray:
    found = np.arange(count) if groups is None else np.asarray(groups)
    if found.shape != (count,):
        raise UsageError(f"groups must be [{count}], one for each score, not of shape {found.shape}.")
    return found
