import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fingerprintlib.errors import UsageError
from fingerprintlib.statistics.likelihood_ratios import (
    VERBAL_SCALE,
    IsotonicCalibrator,
    LogisticCalibrator,
    accused_wrongly,
    calibration_loss,
    cllr,
    cllr_min,
    empirical_bounds,
    in_words,
    misleading_evidence,
    posterior_odds,
    tippett,
)


def two(genuine, others):
    return np.concatenate([genuine, others]), np.repeat([True, False], [len(genuine), len(others)])


def normals(rng, genuine, others, distance):
    return two(rng.normal(distance, 1, genuine), rng.normal(0, 1, others))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


#: Few values, so that many are equal; those of the genuine and those of the others.
SOME = st.lists(st.integers(-6, 6), min_size=1, max_size=9)


# --- Cllr ---------------------------------------------------------------------------------------


def test_cllr_by_hand():
    lrs, genuine = two([4, 1 / 2], [1 / 4, 2, 1])
    expected = ((math.log2(1.25) + math.log2(3)) / 2 + (math.log2(1.25) + math.log2(3) + 1) / 3) / 2
    assert cllr(np.log10(lrs), genuine) == pytest.approx(expected)
    assert cllr([0, 0, 0], [True, False, False]) == 1  # nothing is said
    assert cllr([300, -300], [1, 0]) == pytest.approx(0)
    assert cllr([-1000.0, 0], [True, False]) == pytest.approx((1000 * math.log2(10) + 1) / 2)  # 10**1000 is no float


def test_cllr_min_by_hand():
    # By score: an impostor, one of each at the wrong side of each other, a genuine one. LRs 0, 1, 1 and infinity.
    assert cllr_min([0, 1, 2, 3], [False, True, False, True]) == pytest.approx(0.5)
    assert cllr_min([1, 2, 3], [False, True, True]) == 0
    assert cllr_min([3, 2, 1], [False, True, True]) == 1
    assert cllr_min([5, 5], [False, True]) == 1


def cheapest(values, genuine):
    """Of all ways to cut the values into runs whose LRs rise, the least cost: what PAV finds without trying all."""
    levels = np.unique(values)
    best = math.inf
    for cuts in itertools.product([False, True], repeat=len(levels) - 1):
        run = np.concatenate([[0], np.cumsum(cuts, dtype=int)])[np.searchsorted(levels, values)]
        mine, others = (np.bincount(run[which], minlength=run.max() + 1) / which.sum() for which in (genuine, ~genuine))
        with np.errstate(divide="ignore"):
            log_lrs = np.log2(mine) - np.log2(others)
        if (log_lrs[1:] > log_lrs[:-1]).all():
            costs = np.logaddexp2(0, np.where(genuine, -1, 1) * log_lrs[run])
            best = min(best, (costs[genuine].mean() + costs[~genuine].mean()) / 2)
    return best


@settings(max_examples=60, deadline=None)
@given(SOME, SOME)
def test_cllr_min_is_the_least_of_all_rising_lrs(genuine, others):
    values, own = two(genuine, others)
    found = cllr_min(values, own)
    assert found == pytest.approx(cheapest(values, own), abs=1e-12)
    assert found == pytest.approx(cllr_min(1e-200 * values, own), abs=1e-12)  # the order counts, and nothing else
    assert found == pytest.approx(cllr_min(np.exp(values), own), abs=1e-12)
    assert found <= min(1, cllr(values, own)) + 1e-12
    assert calibration_loss(values, own) == pytest.approx(cllr(values, own) - found)


def test_the_loss_of_calibration_is_that_of_a_wrong_scale(rng):
    scores, genuine = normals(rng, 2000, 2000, 2.0)
    right = (2 * scores - 2) / math.log(10)  # the true LR of two normal distributions
    assert calibration_loss(right, genuine) < 0.02
    assert calibration_loss(3 * right, genuine) > 0.1
    assert calibration_loss(right + 1, genuine) > 0.1


# --- calibration --------------------------------------------------------------------------------


def test_logistic_lrs_are_the_likeliest_without_a_prior(rng):
    for genuine, others in ((12, 30), (300, 20)):
        scores, own = normals(rng, genuine, others, 1.0)

        def loss(line, scores=scores, own=own):
            losses = np.logaddexp(0, np.where(own, -1, 1) * (line[0] * scores + line[1]))
            return losses[own].mean() + losses[~own].mean()

        slope, intercept = minimize(loss, [1, 0], tol=1e-12).x / math.log(10)
        found = LogisticCalibrator().fit(scores, own)
        # The penalty moves the slope by less than a ten-thousandth of itself.
        assert (found.slope_, found.intercept_) == pytest.approx((slope, intercept), rel=1e-4, abs=1e-4)
        np.testing.assert_allclose(
            found.transform([[0, 2.0]]), [[found.intercept_, found.intercept_ + 2 * found.slope_]]
        )


def test_logistic_lrs_are_those_of_two_normal_distributions(rng):
    scores, genuine = normals(rng, 30_000, 3000, 2.0)
    found = LogisticCalibrator().fit(scores, genuine)
    # Standard errors of some 0.04 for 3000 impostors.
    assert found.slope_ * math.log(10) == pytest.approx(2, abs=0.15)
    assert found.intercept_ * math.log(10) == pytest.approx(-2, abs=0.15)


def test_logistic_lrs_do_not_depend_on_the_unit(rng):
    scores, genuine = normals(rng, 50, 70, 1.5)
    one, other = (LogisticCalibrator().fit(scale * scores + 7, genuine) for scale in (1, 1e-4))
    np.testing.assert_allclose(one.transform(scores + 7), other.transform(1e-4 * scores + 7), atol=1e-6)


def test_logistic_lrs_are_finite_where_a_threshold_separates_and_one_where_nothing_does():
    scores, genuine = two([2, 3, 4.0], [0, 1.0])
    found = LogisticCalibrator().fit(scores, genuine).transform(scores)
    assert (np.diff(found[np.argsort(scores)]) > 0).all()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(LogisticCalibrator().fit([5, 5, 5], [1, 0, 0]).transform([0, 5, 9]), 0, atol=1e-9)


def test_isotonic_lrs_by_hand():
    found = IsotonicCalibrator().fit([0, 1, 2, 3], [False, False, True, True])
    # With one genuine at 0 and one impostor at 3: a third of the genuine and two thirds of the impostors at 0 and 1.
    np.testing.assert_allclose(found.transform([0, 1, 2, 3]), np.log10([1 / 2, 1 / 2, 2, 2]), atol=1e-12)
    # Between 1 and 2 the probability goes from 1/3 to 2/3; beyond, nothing more is known.
    np.testing.assert_allclose(found.transform([[1.5, 1.25], [-9, 99]]), np.log10([[1, 5 / 7], [1 / 2, 2]]), atol=1e-12)
    np.testing.assert_allclose(IsotonicCalibrator().fit([0, 1], [0, 1]).transform([0, 1]), 0, atol=1e-12)


@given(SOME, SOME)
def test_isotonic_lrs_rise_and_are_bounded(genuine, others):
    scores, own = two(genuine, others)
    found = IsotonicCalibrator().fit(scores, own).transform(np.linspace(-8, 8, 65))
    n, m = len(genuine), len(others)
    assert (np.diff(found) >= -1e-12).all()
    assert (
        -math.log10(m * (n + 1) / (m + 1)) - 1e-9 <= found[0] <= found[-1] <= math.log10(n * (m + 1) / (n + 1)) + 1e-9
    )


def test_isotonic_lrs_are_near_the_true_ones(rng):
    scores, genuine = normals(rng, 5000, 5000, 2.0)
    found = IsotonicCalibrator().fit(scores, genuine)
    asked, own = normals(rng, 5000, 5000, 2.0)
    true = (2 * asked - 2) / math.log(10)
    assert cllr(found.transform(asked), own) == pytest.approx(cllr(true, own), abs=0.01)


# --- what the data support ----------------------------------------------------------------------


def test_empirical_bounds_by_hand():
    # 99 of each, all far on the right side: one in a hundred misleads, which speaks for 99 at most.
    assert empirical_bounds(*two([5] * 99, [-5] * 99)) == pytest.approx((-math.log10(99), math.log10(99)))
    # No LR is above 10, so nothing shows that more could be believed.
    assert empirical_bounds(*two([1] * 99, [-1] * 99)) == pytest.approx((-1, 1))
    # 9 genuine: 9 of 10 are above, and of 999 impostors 1 in 1000. Below, the one in ten bounds them.
    assert empirical_bounds(*two([5] * 9, [-5] * 999)) == pytest.approx((-math.log10(9.99), math.log10(900)))
    # Worse than nothing everywhere.
    assert empirical_bounds(*two([-3, -2], [2, 3])) == (0, 0)
    np.testing.assert_allclose(np.clip([-9, 0.5, 9], *empirical_bounds(*two([1] * 99, [-1] * 99))), [-1, 0.5, 1])


def loses(threshold, lrs, genuine):
    """Whether deciding by the LRs costs more than deciding without, of which a misleading one of each kind is added."""
    missed = (np.sum(lrs[genuine] <= threshold) + 1) / (genuine.sum() + 1)
    alarms = (np.sum(lrs[~genuine] > threshold) + 1) / ((~genuine).sum() + 1)
    return missed + threshold * alarms > min(1, threshold) * (1 + 1e-12)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-24, 32), min_size=1, max_size=30),
    st.lists(st.integers(-32, 24), min_size=1, max_size=30),
    st.floats(1e-6, 1),
)
def test_empirical_bounds_are_where_the_lrs_first_lose(genuine, others, part):
    values, own = two(np.divide(genuine, 8), np.divide(others, 8))
    low, high = empirical_bounds(values, own)
    assert low <= 0 <= high
    for end in (low, high):
        inside = part * end * (1 - 1e-10)
        assert end == 0 or not loses(10**inside, 10**values, own)
    assert loses(10 ** (high + 1e-10), 10**values, own)
    assert loses(10 ** (low - 1e-10), 10**values, own)
    n, m = len(genuine), len(others)
    assert high <= max(0, math.log10(n * (m + 1) / (n + 1))) + 1e-12
    assert empirical_bounds(-values, ~own) == pytest.approx((-high, -low))


def test_bounds_count_a_group_once_with_its_worst():
    lrs, genuine = two([5] * 99, [-5] * 99)
    # Copies add nothing; ten photographs by each of nine hands are nine: 99/100 over 1/10.
    assert empirical_bounds(np.tile(lrs, 3), np.tile(genuine, 3), np.tile(np.arange(198), 3)) == empirical_bounds(
        lrs, genuine
    )
    hands = np.where(genuine, np.arange(198), 1000 + np.arange(198) % 9)
    assert empirical_bounds(lrs, genuine, hands)[1] == pytest.approx(math.log10(9.9))
    # The worst of each speaks: of the genuine the least, of the others the largest.
    values, own = [3, 1, 4, -2, 2, -3], [1, 1, 1, 0, 0, 0]
    assert empirical_bounds(values, own, [0, 0, 1, 2, 2, 3]) == empirical_bounds([1, 4, 2, -3], [1, 1, 0, 0])
    # A number that both kinds have does not make them one.
    assert empirical_bounds(values, own, [0, 0, 1, 0, 0, 1]) == empirical_bounds([1, 4, 2, -3], [1, 1, 0, 0])
    with pytest.raises(UsageError, match=r"groups must be \[6\], one for each"):
        empirical_bounds(values, own, [0, 1])


def test_misleading_evidence_by_hand():
    lrs, genuine = two([0, -0.5, 2, -2], [1, -1])
    assert misleading_evidence(lrs, genuine) == (2 / 4, 1 / 2)  # an LR of 1 misleads nobody
    assert misleading_evidence(lrs, genuine, 5) == (1 / 4, 1 / 2)
    assert misleading_evidence(lrs, genuine, 100) == (0, 0)
    with pytest.raises(UsageError, match="strength must be one number from 1 to inf"):
        misleading_evidence(lrs, genuine, 0.5)


def test_the_tippett_curves_are_shares_above():
    lrs, genuine = two([2, 1, 1, 3], [-1, 1, -2])
    values, mine, others = tippett(lrs, genuine)
    assert values.tolist() == [-2, -1, 1, 2, 3]
    assert mine.tolist() == [1, 1, 1 / 2, 1 / 4, 0]
    np.testing.assert_allclose(others, [2 / 3, 1 / 3, 0, 0, 0])


# --- words and base rates -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lr", "words"),
    [
        (2, "weak"),
        (9.99, "weak"),
        (10, "moderate"),
        (100, "moderately strong"),
        (999, "moderately strong"),
        (1000, "strong"),
        (10_000, "very strong"),
        (999_999, "very strong"),
        (1_000_000, "extremely strong"),
        (1e30, "extremely strong"),
    ],
)
def test_an_lr_in_words(lr, words):
    assert in_words(math.log10(lr), "A", "B") == f"{words} support for A rather than B"
    assert in_words(-math.log10(lr), "A", "B") == f"{words} support for B rather than A"
    assert words in dict(VERBAL_SCALE).values()


@pytest.mark.parametrize("lr", [1, 1.99, 1 / 1.99])
def test_an_lr_near_one_supports_nothing(lr):
    assert in_words(math.log10(lr), "A", "B") == "no support for A or for B"


def test_most_alarms_are_false_where_fakes_are_rare():
    # Of 100,000 images 100 are fake, of which 90 ring; of the 99,900 others 999 do.
    assert accused_wrongly(0.01, 0.9, 0.001) == pytest.approx(999 / 1089)
    assert accused_wrongly(0, 0.9, 0.001) == 0
    assert accused_wrongly(0.01, 0.9, 0) == 1
    for nothing in ((0, 0, 0.5), (0, 0.9, 0), (0.5, 0, 1)):
        with pytest.raises(UsageError, match="no image is called fake"):
            accused_wrongly(*nothing)


@given(st.floats(1e-6, 1), st.floats(1e-6, 1), st.floats(0, 1, exclude_max=True))
def test_whom_an_alarm_hits_is_a_matter_of_the_odds(alarms, caught, fakes):
    odds = posterior_odds(fakes, math.log10(caught / alarms))
    assert accused_wrongly(alarms, caught, fakes) == pytest.approx(1 / (1 + odds), abs=1e-12)


def test_posterior_odds_by_hand():
    assert posterior_odds(0.5, 2) == pytest.approx(100)
    assert posterior_odds(0.01, 2) == pytest.approx(100 / 99)
    assert posterior_odds(0, 9) == 0
    assert math.isfinite(posterior_odds(np.nextafter(1, 0), 290))
    for prior, log10_lr, message in ((1, 0, "prior must be below 1"), (0.5, 291, "log10_lr"), (-0.1, 0, "prior")):
        with pytest.raises(UsageError, match=message):
            posterior_odds(prior, log10_lr)


# --- refusals -----------------------------------------------------------------------------------

OF_TWO_KINDS = {
    "cllr": cllr,
    "cllr_min": cllr_min,
    "calibration_loss": calibration_loss,
    "misleading_evidence": misleading_evidence,
    "empirical_bounds": empirical_bounds,
    "tippett": tippett,
    "logistic": LogisticCalibrator().fit,
    "isotonic": IsotonicCalibrator().fit,
}


@pytest.mark.parametrize("name", OF_TWO_KINDS)
@pytest.mark.parametrize(
    ("values", "genuine", "message"),
    [
        ([1, 2], [True, True], "genuine is true of 2 and false of 0"),
        ([1, 2], [0, 0], "genuine is true of 0 and false of 2"),
        ([], [], "genuine is true of 0 and false of 0"),
        ([1, np.nan], [True, False], "(scores|log10_lrs) must be finite"),
        ([1, -np.inf], [True, False], "(scores|log10_lrs) must be finite"),
        ([1, 2], [True], r"genuine must be \[N\] alike"),
        ([[1, 2]], [[True, False]], r"must be \[N\] alike"),
        ([[1], [1, 2]], [True, False], "(scores|log10_lrs) must be real numbers"),
        (["a", "b"], [True, False], "(scores|log10_lrs) must be real numbers"),
        ([1, 2], [2, 0], "genuine must be true or false; they run from 0 to 2"),
        ([1, 2], [np.nan, 0], "genuine must be finite"),
    ],
)
def test_what_tells_nothing_is_refused(name, values, genuine, message):
    with pytest.raises(UsageError, match=message):
        OF_TWO_KINDS[name](values, genuine)


@pytest.mark.parametrize("name", OF_TWO_KINDS)
def test_integers_and_lists_are_numbers_too(name):
    values, genuine = two([3, 1, 2, 2], [0, 2, 1, -1])
    results = []
    for some, own in (
        (values.astype(float), genuine),
        (values.astype(np.int8), genuine.astype(int)),
        (values.tolist(), genuine.tolist()),
    ):
        found = OF_TWO_KINDS[name](some, own)
        results.append(found.transform(values) if hasattr(found, "transform") else found)
    for other in results[1:]:
        np.testing.assert_equal(results[0], other)


def test_a_calibrator_refuses_scores_that_are_none():
    for calibrator in (LogisticCalibrator(), IsotonicCalibrator()):
        with pytest.raises(UsageError, match="scores must be finite"):
            calibrator.fit([0, 1], [0, 1]).transform([np.nan])


# --- the package of the Netherlands Forensic Institute ------------------------------------------


def random_sets():
    rng = np.random.default_rng(1)
    for number in range(60):
        genuine, others = rng.integers(3, 150, 2)
        scores, own = normals(rng, genuine, others, rng.uniform(0, 4))
        yield np.round(scores, 1) if number % 3 == 0 else scores, own  # equal ones, too


def test_cllr_is_that_of_lir():
    metrics = pytest.importorskip("lir.metrics")
    models = pytest.importorskip("lir.data.models")
    for scores, genuine in random_sets():
        theirs = models.LLRData(features=scores[:, None], labels=genuine.astype(int))
        assert cllr(scores, genuine) == pytest.approx(metrics.cllr(theirs), abs=1e-12)
        assert cllr_min(scores, genuine) == pytest.approx(metrics.cllr_min(theirs), abs=1e-12)
        assert calibration_loss(scores, genuine) == pytest.approx(metrics.cllr_cal(theirs), abs=1e-12)


def test_calibrators_are_those_of_lir(rng):
    isotonic = pytest.importorskip("lir.algorithms.isotonic_regression")
    logistic = pytest.importorskip("lir.algorithms.logistic_regression")
    for scores, genuine in random_sets():
        asked = rng.uniform(scores.min() - 2, scores.max() + 2, 200)
        theirs = isotonic.IsotonicCalibrator(add_misleading=1).fit(scores, genuine.astype(float)).transform(asked)
        np.testing.assert_allclose(IsotonicCalibrator().fit(scores, genuine).transform(asked), theirs, atol=1e-9)
        middle, spread = scores.mean(), scores.std()
        theirs = logistic.LogitCalibrator(C=1e6, solver="newton-cholesky", tol=1e-8)
        theirs.fit((scores - middle) / spread, genuine.astype(int))
        found = LogisticCalibrator().fit(scores, genuine).transform(asked)
        np.testing.assert_allclose(found, theirs.transform((asked - middle) / spread), rtol=1e-9, atol=1e-9)


def test_empirical_bounds_are_those_of_lir_but_for_its_grid():
    """Its grid may step over a short stretch in which LRs lose; then its bounds are the wider ones."""
    bayeserror = pytest.importorskip("lir.algorithms.bayeserror")
    step, close = 0.001, []
    for scores, genuine in random_sets():
        low, high = empirical_bounds(scores, genuine)
        lower, upper = bayeserror.elub(scores.copy(), genuine.astype(int), step_size=step)
        assert low >= lower - step * 1.001
        assert high <= upper + step * 1.001
        close += [abs(low - lower) <= step * 1.001, abs(high - upper) <= step * 1.001]
    assert np.mean(close) > 0.97
