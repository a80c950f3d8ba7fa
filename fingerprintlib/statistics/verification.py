"""Verification: is this image from the source that it is said to be from? How good a score answers that."""

import numpy as np

from ..errors import UsageError
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

    Raises:
        UsageError: there are no impostors.
    """
    impostors = np.sort(np.asarray(impostors, np.float64))
    if not len(impostors):
        raise UsageError("A threshold needs impostors' scores; there are none.")
    return float(impostors[len(impostors) - 1 - int(alarms * len(impostors))])


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
    rng = np.random.default_rng(seed)
    members, mine = _members(groups, ~genuine), np.sort(scores[genuine])
    found = np.empty(draws)
    for i in range(draws):
        rows = np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])
        missed = np.searchsorted(mine, threshold(scores[rows], alarms), side="right")
        found[i] = rng.beta(len(mine) - missed + 0.5, missed + 0.5)
    return found


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
