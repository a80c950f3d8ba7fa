"""Verification: is this image from the source that it is said to be from? How good a score answers that."""

import numpy as np

from ..errors import UsageError
from .checks import number
from .metrics import Interval


def roc(scores: np.ndarray, genuine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the impostors and of the genuine that are accepted, as the threshold falls: float64 ``[T]`` each.

    Args:
        scores: float ``[N]``, the higher the likelier genuine.
        genuine: bool ``[N]``, at least one of each kind.

    Raises:
        UsageError: shapes differ, a score is NaN or infinite, or there are no genuine or no impostors.
    """
    from sklearn.metrics import roc_curve

    scores, genuine = np.asarray(scores, np.float64), np.asarray(genuine, bool)
    if scores.ndim != 1 or scores.shape != genuine.shape or not np.isfinite(scores).all():
        raise UsageError(f"scores and genuine must be [N] alike, and finite, not {scores.shape} and {genuine.shape}.")
    if genuine.all() or not genuine.any():
        raise UsageError("A verification needs genuine scores and impostors' scores; one kind is missing.")
    accepted_impostors, accepted, _ = roc_curve(genuine, scores, drop_intermediate=False)
    return accepted_impostors, accepted


def caught(scores: np.ndarray, genuine: np.ndarray, alarms: float) -> float:
    """The share of the genuine that is accepted where the threshold lets a share `alarms` of the impostors pass.

    Of a detector the genuine are what it is to catch, generated images, and the impostors set off false alarms. Where
    no threshold gives exactly that share, the next smaller one counts.

    Args and Raises: see `roc`.
    """
    accepted_impostors, accepted = roc(scores, genuine)
    return float(accepted[accepted_impostors <= alarms].max())


def threshold(impostors: np.ndarray, alarms: float) -> float:
    """The lowest threshold that at most a share `alarms` of the impostors' scores, float ``[N]``, exceed.

    It is one of the scores, or minus infinity where all may exceed it.

    Raises:
        UsageError: there are no impostors, or `alarms` is outside [0, 1].
    """
    impostors = np.sort(np.asarray(impostors, np.float64))
    if not len(impostors):
        raise UsageError("A threshold needs impostors' scores; there are none.")
    may_ring = int(number("alarms", alarms, 0, 1) * len(impostors) + 1e-9)  # 0.29 of 100 are 28.999999999999996
    return float(impostors[-1 - may_ring]) if may_ring < len(impostors) else -np.inf


def caught_draws(
    scores: np.ndarray, genuine: np.ndarray, groups: np.ndarray, alarms: float, draws: int = 1000, seed: int = 0
) -> np.ndarray:
    """What `caught` might as well have been, in [0, 1], float64 ``[draws]``: its quantiles are its interval.

    The line is not known, nor what lies beyond it. So the impostors' groups are drawn anew, a line is drawn for them,
    and of the genuine beyond it, which count one by one, a share is drawn that would give as many (Jeffreys' beta
    distribution). A bootstrap of both would have no width where all are caught.

    Args:
        scores, genuine: see `roc`.
        groups: int ``[N]``, see `corpus.Corpus.groups`; of the impostors.
        alarms: see `caught`.
        draws: how many.
        seed: of the draws.
    """
    roc(scores, genuine)  # refuses what cannot be
    scores, genuine, groups = np.asarray(scores), np.asarray(genuine, bool), np.asarray(groups)
    rng = np.random.default_rng(seed)
    members, mine = _members(groups, ~genuine), np.sort(scores[genuine])
    found = np.empty(draws)
    for i in range(draws):
        rows = np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])
        missed = np.searchsorted(mine, threshold(scores[rows], alarms), side="right")
        found[i] = rng.beta(len(mine) - missed + 0.5, missed + 0.5)
    return found


def caught_with_interval(
    scores: np.ndarray, genuine: np.ndarray, groups: np.ndarray, alarms: float
) -> tuple[float, Interval]:
    """What is `caught`, and its 95 % interval; arguments as of `caught_draws`."""
    low, high = np.quantile(caught_draws(scores, genuine, groups, alarms), (0.025, 0.975))
    return caught(scores, genuine, alarms), (float(low), float(high))


def caught_lead(
    scores: np.ndarray, others: np.ndarray, genuine: np.ndarray, groups: np.ndarray, alarms: float
) -> tuple[float, Interval]:
    """By how much more is `caught` by `scores` than by `others`, in [-1, 1], with its 95 % interval.

    Args:
        scores, others: float ``[N]`` each, see `roc`.
        genuine, groups, alarms: see `caught_draws`.
    """
    lead = caught(scores, genuine, alarms) - caught(others, genuine, alarms)
    ahead, behind, *_ = _pairs_draws(scores, others, genuine, groups, alarms)
    return lead, _around(lead, ahead - behind)


def caught_of_missed(
    scores: np.ndarray, others: np.ndarray, genuine: np.ndarray, groups: np.ndarray, alarms: float
) -> tuple[float, Interval]:
    """Of the genuine that `others` miss, how many `scores` catch on balance, in [-1, 1], with its 95 % interval.

    A lead as a share of all that could be won, as `intervals.of_room` gives it. But here the line makes both uncertain
    together, so that they are drawn together. Where the others miss nothing, nothing is known: 0, and from -1 to 1.

    Args:
        scores, others, genuine, groups, alarms: see `caught_lead`.
    """
    room = 1 - caught(others, genuine, alarms)
    if room <= 0:
        return 0.0, (-1.0, 1.0)
    share = max(-1.0, (caught(scores, genuine, alarms) - 1 + room) / room)
    ahead, behind, _, neither = _pairs_draws(scores, others, genuine, groups, alarms)
    return share, _around(share, np.maximum(-1, (ahead - behind) / (ahead + neither)))


def _pairs_draws(
    scores: np.ndarray, others: np.ndarray, genuine: np.ndarray, groups: np.ndarray, alarms: float
) -> np.ndarray:
    """Of the genuine, shares that only the one, only the other, both and neither catch: float64 ``[4, draws]``.

    Both judge the same images. So both lines are drawn for the same groups of impostors, and shares that would give as
    many of each of the four kinds (Dirichlet's distribution, with half an image in each, as
    `intervals.paired_difference` has them).
    """
    scores, others, genuine, groups = map(np.asarray, (scores, others, np.asarray(genuine, bool), groups))
    rng, members = np.random.default_rng(0), _members(groups, ~genuine)
    found = np.empty((4, 1000))
    for i in range(found.shape[1]):
        rows = np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])
        one, other = (some[genuine] > threshold(some[rows], alarms) for some in (scores, others))
        found[:, i] = rng.dirichlet(
            [np.sum(k) + 0.5 for k in (one & ~other, other & ~one, one & other, ~(one | other))]
        )
    return found


def _around(value: float, draws: np.ndarray) -> Interval:
    """The 95 % interval that draws tell, with the value in it."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return min(value, float(low)), max(value, float(high))


def _members(groups: np.ndarray, which: np.ndarray) -> list[np.ndarray]:
    """Where the images of each group stand, of those that count."""
    rows = np.flatnonzero(which)
    order = rows[np.argsort(groups[rows], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def equal_error_rate(scores: np.ndarray, genuine: np.ndarray) -> float:
    """Where a verification is wrong as often on one side as on the other: in [0, 1], one half for guessing.

    The threshold is moved until as large a share of the genuine is rejected as of the impostors is accepted; between
    two points of the ROC curve the rates are interpolated.

    Args and Raises: see `roc`.
    """
    accepted_impostors, accepted = roc(scores, genuine)
    return float(np.interp(0, accepted_impostors - (1 - accepted), accepted_impostors))


def equal_error_interval(
    scores: np.ndarray, genuine: np.ndarray, confidence: float = 0.95, draws: int = 200, seed: int = 0
) -> Interval:
    """The bootstrap's percentile interval of `equal_error_rate`: genuine and impostors are drawn anew, each by itself.

    Where no error was made it has no width: then say how many there were.

    Args:
        scores, genuine: see `equal_error_rate`; two of each kind at least.
        confidence: of the interval.
        draws: how often.
        seed: of the draws.

    Raises:
        UsageError: as `equal_error_rate`, or only one genuine or one impostor.
    """
    from scipy.stats import bootstrap

    equal_error_rate(scores, genuine)  # refuses what cannot be
    scores, genuine = np.asarray(scores, np.float64), np.asarray(genuine, bool)
    kinds = scores[genuine], scores[~genuine]
    if min(map(len, kinds)) < 2:
        raise UsageError(f"A bootstrap needs two genuine and two impostors, not {len(kinds[0])} and {len(kinds[1])}.")

    def statistic(mine: np.ndarray, others: np.ndarray) -> float:
        return equal_error_rate(np.concatenate([mine, others]), np.repeat([True, False], [len(mine), len(others)]))

    found = bootstrap(
        kinds,
        statistic,
        n_resamples=draws,
        vectorized=False,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
