"""What an expert may say of a score: how much likelier it is where a comparison is genuine than where it is not.

That is a likelihood ratio (LR), told here as its logarithm to base 10. The odds that the comparison is genuine are the
odds without it, times the LR; those odds are not the expert's to give. A calibrator learns LRs from scores of which the
truth is known. `cllr` judges them, on other comparisons. `empirical_bounds` is how far so few comparisons carry.

Brümmer and du Preez (2006), Computer Speech and Language 20, 230-275; Ramos and Gonzalez-Rodriguez (2013), Forensic
Science International 230, 156-169.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from .checks import float64, number, two_kinds
from .intervals import Interval

#: The least LR of each strength of support: the example of a verbal scale that the guideline of the European Network of
#: Forensic Science Institutes gives (ENFSI, Guideline for evaluative reporting in forensic science, 2015). Between 1
#: and 2 it has no words. Of an LR below 1 its inverse counts, as support for the alternative.
VERBAL_SCALE = (
    (2, "weak"),
    (10, "moderate"),
    (100, "moderately strong"),
    (1_000, "strong"),
    (10_000, "very strong"),
    (1_000_000, "extremely strong"),
)
_PENALTY = 1e-6  # on the slope per standard deviation: without it the slope of ten comparisons differs by some 1e-5
_MOST = 290.0  # the largest logarithm that `posterior_odds` takes: times odds of up to 1e16, a float still holds it


class LogisticCalibrator:
    """Scores to log10 LRs along a straight line: logistic regression, from which the prior is taken out.

    Both kinds weigh the same, however many there are, so that the odds which the regression tells are LRs. Where a
    threshold separates the kinds, nothing but a penalty too weak to matter elsewhere holds the slope: such LRs are
    mere extrapolation, and `empirical_bounds` are needed. The slope is negative where genuine scores are the lower.

    Attributes:
        slope_: log10 LR for each unit of the score.
        intercept_: log10 LR of the score 0.
    """

    def fit(self, scores: ArrayLike, genuine: ArrayLike) -> Self:
        """Learn from comparisons of which the truth is known.

        Args:
            scores: float ``[N]``.
            genuine: bool ``[N]``, at least one of each kind.

        Raises:
            UsageError: shapes differ, a score is NaN or infinite, or there is one kind only.
        """
        from sklearn.linear_model import LogisticRegression

        scores, genuine = two_kinds("scores", scores, "genuine", genuine)
        middle, spread = scores.mean(), scores.std() or 1.0  # the penalty is not to depend on the unit
        model = LogisticRegression(C=1 / _PENALTY, class_weight="balanced", solver="newton-cholesky", tol=1e-8)
        model.fit((scores[:, None] - middle) / spread, genuine)
        self.slope_ = float(model.coef_[0, 0] / spread / np.log(10))
        self.intercept_ = float(model.intercept_[0] / np.log(10) - self.slope_ * middle)
        return self

    def transform(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Log10 LRs, of the shape of the scores.

        Raises:
            UsageError: a score is NaN or infinite.
        """
        return self.intercept_ + self.slope_ * float64("scores", scores)


class IsotonicCalibrator:
    """Scores to log10 LRs along the best curve that rises: isotonic regression, by pooling adjacent violators (PAV).

    By itself it gives infinite LRs at both ends, where one kind stands alone. So one more comparison of each kind is
    taken to have misled: an impostor with the highest of all scores, and a genuine one with the lowest. Then no LR of n
    genuine comparisons and m others is above ``n (m + 1) / (n + 1)``, nor below the inverse with n and m exchanged.
    Between two scores probabilities are interpolated; beyond all of them the LR stays that of the last.

    Attributes:
        scores_: that occurred, rising, float64 ``[S]``.
        probabilities_: of being genuine where both kinds are equally likely, rising, float64 ``[S]`` in (0, 1).
    """

    def fit(self, scores: ArrayLike, genuine: ArrayLike) -> Self:
        """As `LogisticCalibrator.fit`; the higher a score, the likelier genuine."""
        scores, genuine = two_kinds("scores", scores, "genuine", genuine)
        self.scores_, self.probabilities_ = _isotonic(scores, genuine, misleading=1)
        return self

    def transform(self, scores: ArrayLike) -> NDArray[np.float64]:
        """As `LogisticCalibrator.transform`."""
        return _log10_odds(np.interp(float64("scores", scores), self.scores_, self.probabilities_))


def _isotonic(
    scores: NDArray[np.float64], genuine: NDArray[np.bool_], misleading: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The scores that occur and the probabilities of being genuine there, if both kinds are equally likely.

    So many comparisons of each kind are added at the wrong end.
    """
    from scipy.optimize import isotonic_regression

    known, places = np.unique(scores, return_inverse=True)
    counts = np.array([np.bincount(places[which], minlength=len(known)) for which in (genuine, ~genuine)], np.float64)
    counts[0, 0] += misleading
    counts[1, -1] += misleading
    weights = counts / counts.sum(1, keepdims=True)
    both = weights.sum(0)
    return known, isotonic_regression(weights[0] / both, weights=both).x


def _log10_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import logit

    return logit(probabilities) / np.log(10)


def cllr(log10_lrs: ArrayLike, genuine: ArrayLike) -> float:
    """The cost of log-likelihood ratios: 0 if they are infinite and right, 1 if all are 1 and say nothing; in bits.

    Half the mean of ``log2(1 + 1 / LR)`` over the genuine and half that of ``log2(1 + LR)`` over the others (Brümmer
    and du Preez 2006). Above 1, who uses them is worse off than who ignores them.

    Args:
        log10_lrs: float ``[N]``.
        genuine: bool ``[N]``, at least one of each kind.

    Raises:
        UsageError: shapes differ, an LR is NaN or infinite, or there is one kind only.
    """
    return _cllr(*two_kinds("log10_lrs", log10_lrs, "genuine", genuine))


def _cllr(log10_lrs: NDArray[np.float64], genuine: NDArray[np.bool_]) -> float:
    bits = np.logaddexp2(0, np.where(genuine, -log10_lrs, log10_lrs) * np.log2(10))
    return float((bits[genuine].mean() + bits[~genuine].mean()) / 2)


def cllr_min(log10_lrs: ArrayLike, genuine: ArrayLike) -> float:
    """What `cllr` would be after the best rising curve that these very comparisons allow (PAV): how well they separate.

    Scores serve as well as LRs. Args and Raises: see `cllr`.
    """
    values, genuine = two_kinds("log10_lrs", log10_lrs, "genuine", genuine)
    known, probabilities = _isotonic(values, genuine)
    return _cllr(_log10_odds(probabilities[np.searchsorted(known, values)]), genuine)


def calibration_loss(log10_lrs: ArrayLike, genuine: ArrayLike) -> float:
    """The part of `cllr` that LRs which separate the kinds as well need not cost, 0 or more: too strong, weak, or off.

    Args and Raises: see `cllr`.
    """
    return cllr(log10_lrs, genuine) - cllr_min(log10_lrs, genuine)


def misleading_evidence(log10_lrs: ArrayLike, genuine: ArrayLike, strength: float = 1.0) -> tuple[float, float]:
    """How often evidence of some strength misleads: the shares of the genuine and of the others whose LR is wrong.

    That is an LR below ``1 / strength`` of a genuine comparison, and one above `strength` of another. Of LRs that are
    what they say the latter share is at most ``1 / strength`` (Royall 2000, J. Am. Stat. Assoc. 95, 760-768).

    Args:
        log10_lrs, genuine: see `cllr`.
        strength: an LR, at least 1.

    Raises:
        UsageError: as `cllr`, or `strength` is below 1.
    """
    values, genuine = two_kinds("log10_lrs", log10_lrs, "genuine", genuine)
    line = np.log10(number("strength", strength, least=1))
    return float(np.mean(values[genuine] < -line)), float(np.mean(values[~genuine] > line))


def empirical_bounds(log10_lrs: ArrayLike, genuine: ArrayLike, groups: ArrayLike | None = None) -> Interval:
    """How far these comparisons carry: the log10 LRs below and above which nothing is known, ``low <= 0 <= high``.

    Beyond them LRs are to be cut off: ``np.clip(log10_lrs, *bounds)``. They are the empirical lower and upper bounds
    (ELUB) of Vergeer et al. (2016), Science and Justice 56, 482-491. Who decides by a threshold t of the LR loses, in
    units of a genuine comparison that is missed, its rate of misses plus t times its rate of false alarms; who decides
    without LRs loses 1 or t, whichever is less. To the comparisons, one of each kind is added that misleads more than
    any, as the package lir of the Netherlands Forensic Institute does. The bounds are where, going out from an LR of 1,
    using the LRs first is the worse; lir tries a grid of thresholds, this finds the threshold itself.

    Of n genuine comparisons and m others, the bounds are no wider than those of `IsotonicCalibrator`.

    Ten photographs by one hand, or a photograph and its copies, are not ten comparisons: who has never met a hand that
    misleads has met so many hands, not so many photographs. So each group counts once in each kind, with the LR that
    misleads the most. That is on the safe side: a group is bounded by its worst.

    Args:
        log10_lrs, genuine: see `cllr`.
        groups: int ``[N]``, see `corpus.Corpus.groups`; by default each comparison is one of its own.

    Raises:
        UsageError: as `cllr`, or there is not one group for each.
    """
    values, genuine = two_kinds("log10_lrs", log10_lrs, "genuine", genuine)
    if groups is not None:
        values, genuine = _worst_of_each(values, genuine, np.asarray(groups))
    low, high = _upper_bound(-values[~genuine], -values[genuine]), _upper_bound(values[genuine], values[~genuine])
    return 0.0 - low, high


def _worst_of_each(
    values: NDArray[np.float64], genuine: NDArray[np.bool_], groups: np.ndarray
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of each kind one a group: the least of the genuine, the largest of the others."""
    if groups.shape != values.shape:
        raise UsageError(f"groups must be [{len(values)}], one for each of log10_lrs, not {list(groups.shape)}.")
    order = np.argsort(np.where(genuine, values, -values), kind="stable")  # the most misleading first
    firsts = [
        order[mine][np.unique(groups[order[mine]], return_index=True)[1]] for mine in (genuine[order], ~genuine[order])
    ]
    kept = np.concatenate(firsts)
    return values[kept], genuine[kept]


def _upper_bound(genuine: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """The least threshold of 1 or more, as log10, at which deciding by the LRs costs more than missing all genuine.

    Between two LRs that occur, nothing changes but the threshold itself: the cost there exceeds 1 from the ratio of the
    shares that lie above.
    """
    starts = np.concatenate([[-np.inf], np.unique(np.concatenate([genuine, others]))])
    ends = np.append(starts[1:], np.inf)
    right, wrong = (len(some) - np.searchsorted(np.sort(some), starts, side="right") for some in (genuine, others))
    with np.errstate(divide="ignore"):  # above the highest LR there is no genuine one
        exceeded = np.log10(right * (len(others) + 1) / ((len(genuine) + 1) * (wrong + 1)))
    found = np.maximum(np.maximum(starts, 0), exceeded)
    return float(found[found < ends].min())


def tippett(
    log10_lrs: ArrayLike, genuine: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The curves of a Tippett plot: steps, which fall at each value; below the first of them all LRs are larger.

    Args and Raises: see `cllr`.

    Returns:
        The log10 LRs that occur, rising; the share of the genuine whose log10 LR exceeds that value, and the share of
        the others; float64 ``[S]`` each.
    """
    values, genuine = two_kinds("log10_lrs", log10_lrs, "genuine", genuine)
    steps = np.unique(values)
    mine, others = (
        1 - np.searchsorted(np.sort(some), steps, side="right") / len(some)
        for some in (values[genuine], values[~genuine])
    )
    return steps, mine, others


def in_words(log10_lr: float, proposition: str = "the same source", alternative: str = "different sources") -> str:
    """An LR in the words of `VERBAL_SCALE`: ``moderate support for the same source rather than different sources``.

    Args:
        log10_lr: of the proposition against the alternative.
        proposition, alternative: what the two are called.

    Raises:
        UsageError: it is not one number, or NaN or infinite.
    """
    value = number("log10_lr", log10_lr)
    words = [word for least, word in VERBAL_SCALE if abs(value) >= np.log10(least)]
    if not words:
        return f"no support for {proposition} or for {alternative}"
    favoured, other = (proposition, alternative) if value > 0 else (alternative, proposition)
    return f"{words[-1]} support for {favoured} rather than {other}"


def posterior_odds(prior: float, log10_lr: float) -> float:
    """The odds that a comparison is genuine: those without the LR, times the LR.

    Args:
        prior: the probability without it, in [0, 1).
        log10_lr: from -290 to 290.

    Raises:
        UsageError: out of range.
    """
    prior, value = number("prior", prior, 0, 1), number("log10_lr", log10_lr, -_MOST, _MOST)
    if prior == 1:
        raise UsageError("prior must be below 1: of what is certain there are no odds.")
    return prior / (1 - prior) * 10**value


def accused_wrongly(false_alarm_rate: float, caught: float, share_of_fakes: float) -> float:
    """Of the images that a detector calls fake the share that is not, in [0, 1]: Bayes' rule.

    Where fakes are rare, most alarms may be false, however good the detector.

    Args:
        false_alarm_rate: the share of real images that it calls fake.
        caught: the share of fake ones that it calls so, see `verification.caught`.
        share_of_fakes: among all images that it is asked about.

    Raises:
        UsageError: one is not within [0, 1], or the detector calls no image fake.
    """
    alarms, fakes = number("false_alarm_rate", false_alarm_rate, 0, 1), number("share_of_fakes", share_of_fakes, 0, 1)
    wrongly, rightly = alarms * (1 - fakes), number("caught", caught, 0, 1) * fakes
    if wrongly + rightly == 0:
        raise UsageError("With these rates no image is called fake, so there is no share of those. Give larger ones.")
    return wrongly / (wrongly + rightly)
