import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from fingerprintlib.errors import UsageError
from fingerprintlib.statistics.verification import (
    caught,
    caught_draws,
    caught_lead,
    caught_of_missed,
    caught_with_interval,
    equal_error_interval,
    equal_error_rate,
    roc,
    threshold,
)


def two(genuine, impostors):
    return np.concatenate([genuine, impostors]), np.repeat([True, False], [len(genuine), len(impostors)])


def both_errors(scores, genuine, threshold):
    """Counted one by one."""
    rejected = sum(score < threshold for score, own in zip(scores, genuine, strict=True) if own) / sum(genuine)
    accepted = sum(score >= threshold for score, own in zip(scores, genuine, strict=True) if not own) / sum(~genuine)
    return rejected, accepted


@pytest.mark.parametrize(
    ("genuine", "impostors", "expected"),
    [
        ([5, 4, 3, 1], [3.5, 2, 0, -1], 0.25),
        ([2, 3], [0, 1], 0),
        ([0, 1], [2, 3], 1),
        ([1, 1, 1], [1, 1], 0.5),  # nothing can be told: halfway between accepting all and none
        ([1, 3], [2], 0.5),
        ([-1e300, 0], [1e300], 1),
    ],
)
def test_equal_error_rate_by_hand(genuine, impostors, expected):
    assert equal_error_rate(*two(genuine, impostors)) == pytest.approx(expected)


def test_equal_error_rate_of_two_normal_distributions():
    rng = np.random.default_rng(0)
    for distance in (0.5, 1, 3):
        found = equal_error_rate(*two(rng.normal(distance, 1, 40_000), rng.normal(0, 1, 60_000)))
        assert found == pytest.approx(norm.cdf(-distance / 2), abs=0.006)


SOME = st.lists(st.integers(-5, 5), min_size=1, max_size=12)


@given(SOME, SOME)
def test_the_rate_lies_between_the_errors_on_its_two_sides(genuine, impostors):
    scores, own = two(genuine, impostors)
    rate = equal_error_rate(scores, own)
    pairs = [both_errors(scores, own, line) for line in [*sorted(set(scores)), np.inf]]
    # As the threshold rises, rejections grow and acceptances fall: the rate is at the crossing.
    assert min(max(pair) for pair in pairs) >= rate - 1e-12
    assert max(min(pair) for pair in pairs) <= rate + 1e-12
    assert equal_error_rate(3 * scores + 7, own) == pytest.approx(rate)
    assert equal_error_rate(-scores, ~own) == pytest.approx(rate)  # the two errors change places


def test_roc_is_the_two_shares_of_every_threshold():
    scores, own = two([5, 4, 3, 1], [3.5, 3, 0])
    impostors, genuine = roc(scores, own)
    for line, *shares in zip(sorted(set(scores), reverse=True), impostors[1:], genuine[1:], strict=True):
        rejected, accepted = both_errors(scores, own, line)
        assert shares == pytest.approx([accepted, 1 - rejected])
    assert (impostors[0], genuine[0]) == (0, 0)


def test_the_interval_covers_the_truth_mostly():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(40):
        scores = two(rng.normal(1, 1, 80), rng.normal(0, 1, 120))
        low, high = equal_error_interval(*scores, draws=60)
        assert low <= equal_error_rate(*scores) <= high or high - low < 0.2
        covered += low <= norm.cdf(-0.5) <= high
    assert covered >= 32


def test_the_interval_is_seeded_widens_with_confidence_and_closes_where_nothing_is_wrong():
    scores = two(np.arange(30.0), np.arange(-15, 12.0))
    assert equal_error_interval(*scores, seed=3) == equal_error_interval(*scores, seed=3)
    (low, high), (lower, higher) = (equal_error_interval(*scores, confidence=c) for c in (0.5, 0.99))
    assert lower < low < high < higher
    assert equal_error_interval(*two([2, 3], [0, 1])) == (0, 0)


@pytest.mark.parametrize(
    ("scores", "genuine", "message"),
    [
        ([1, 2], [True], "alike"),
        ([1, np.nan], [True, False], "finite"),
        ([-np.inf, 1], [True, False], "finite"),
        ([1, 2], [True, True], "one kind is missing"),
        ([1, 2], [False, False], "one kind is missing"),
        ([], [], "one kind is missing"),
        ([[1, 2]], [[True, False]], "alike"),
    ],
)
def test_what_cannot_be_verified_is_refused(scores, genuine, message):
    for function in (roc, equal_error_rate, equal_error_interval):
        with pytest.raises(UsageError, match=message):
            function(np.array(scores), np.array(genuine, bool))


def test_a_bootstrap_needs_two_of_each():
    with pytest.raises(UsageError, match="two genuine and two impostors, not 1 and 2"):
        equal_error_interval(np.array([1.0, 2, 3]), np.array([True, False, False]))


def test_caught_at_a_share_of_false_alarms():
    impostors, genuine = np.arange(100.0), np.array([50.0, 97.5, 98.5, 99.5, 200.0])
    scores, kinds = np.concatenate([impostors, genuine]), np.repeat([False, True], [100, 5])
    assert caught(scores, kinds, 0.0) == 2 / 5  # above 99
    assert caught(scores, kinds, 0.01) == 3 / 5  # above 98
    assert caught(scores, kinds, 0.019) == 3 / 5  # no threshold between
    assert caught(scores, kinds, 1.0) == 1


@pytest.mark.parametrize(
    ("alarms", "line"), [(0.0, 99), (0.01, 98), (0.019, 98), (0.29, 70), (0.57, 42), (0.5, 49), (1.0, -np.inf)]
)
def test_a_threshold_lets_no_more_than_the_share_pass(alarms, line):
    impostors = np.random.default_rng(0).permutation(100).astype(float)
    assert threshold(impostors, alarms) == line
    scores, genuine = two(impostors, impostors)
    assert np.mean(impostors > line) == caught(scores, genuine, alarms) == pytest.approx(alarms, abs=0.0091)


def test_a_threshold_of_nothing_is_refused():
    with pytest.raises(UsageError, match="there are none"):
        threshold(np.array([]), 0.01)
    with pytest.raises(UsageError, match="alarms must be one number from 0 to 1, not 5"):
        threshold(np.arange(3.0), 5)


def test_kinds_may_be_told_by_zeros_and_ones():
    scores, genuine = two([2.0, 3, 4], [0.0, 1, 2.5])
    drawn = [caught_draws(scores, kinds, np.arange(6), 0.4, 20) for kinds in (genuine, genuine.astype(int))]
    np.testing.assert_array_equal(*drawn)
    leads = [caught_lead(scores, -scores, kinds, np.arange(6), 0.4) for kinds in (genuine, genuine.astype(int))]
    assert leads[0] == leads[1]


def test_what_is_caught_has_an_interval_where_all_are():
    """Of 300 detectors that catch 99.5 % of what there is, 95 in a hundred intervals hold that; 40 cameras ring."""
    rng, held = np.random.default_rng(0), 0
    groups = np.concatenate([np.repeat(np.arange(40), 10), np.arange(40, 440)])
    for _ in range(300):
        cameras = np.repeat(rng.normal(0, 1, 40), 10) + rng.normal(0, 0.3, 400)
        level = norm.ppf(0.99, scale=np.sqrt(1.09))  # above which one in a hundred photographs rings
        beyond = rng.random(400) < 0.995
        scores = np.concatenate([cameras, np.where(beyond, 100.0, -100.0) + level])
        low, high = np.quantile(caught_draws(scores, np.repeat([False, True], 400), groups, 0.01, 200), (0.025, 0.975))
        held += low <= 0.995 <= high
        assert low < high
    assert held >= 0.93 * 300


def test_the_line_is_drawn_for_whole_groups():
    """Where genuine scores are spread, the line is what is uncertain; less so if every image were of its own camera."""
    rng = np.random.default_rng(0)
    scores = np.concatenate([np.repeat(rng.normal(size=30), 20), rng.normal(2, 1, 600)])
    genuine, groups = np.repeat([False, True], 600), np.concatenate([np.repeat(np.arange(30), 20), np.arange(30, 630)])
    together = np.std(caught_draws(scores, genuine, groups, 0.1))
    alone = np.std(caught_draws(scores, genuine, np.arange(1200), 0.1))
    assert together > 2 * alone
    assert caught(scores, genuine, 0.1) == pytest.approx(np.mean(caught_draws(scores, genuine, groups, 0.1)), abs=0.1)


def test_a_lead_is_judged_on_the_same_images():
    """Of rivals that catch 8 in ten of what is caught, nearly all intervals hold a lead of 18 points, and are short."""
    rng, held, widths = np.random.default_rng(0), 0, []
    groups = np.concatenate([np.repeat(np.arange(40), 10), np.arange(40, 440)])
    genuine = np.repeat([False, True], 400)
    for _ in range(20):
        photographs = np.repeat(rng.normal(0, 1, 40), 10) + rng.normal(0, 0.3, 400)
        caught_by_one = rng.random(400) < 0.9
        by_both = caught_by_one & (rng.random(400) < 0.8)
        some, others = (np.concatenate([photographs, np.where(c, 9.0, -9.0)]) for c in (caught_by_one, by_both))
        lead, (low, high) = caught_lead(some, others, genuine, groups, 0.01)
        assert lead == pytest.approx(np.mean(caught_by_one) - np.mean(by_both))
        held += low <= 0.18 <= high
        widths.append(high - low)
    assert held >= 18
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.sqrt(0.18 * 0.82 / 400), rel=0.1)


def test_two_that_share_their_line_have_no_lead_of_it():
    """The line moves with the cameras, for both alike; unpaired, that alone would be a lead of many points."""
    rng = np.random.default_rng(0)
    scores = np.concatenate([np.repeat(rng.normal(size=30), 20), rng.normal(2, 1, 600)])
    genuine, groups = np.repeat([False, True], 600), np.concatenate([np.repeat(np.arange(30), 20), np.arange(30, 630)])
    lead, ends = caught_lead(scores, 2 * scores, genuine, groups, 0.1)
    share, apart = caught_with_interval(scores, genuine, groups, 0.1)
    assert lead == 0
    assert share == caught(scores, genuine, 0.1)
    assert np.ptp(apart) > 20 * np.ptp(ends) > 0
    guessed = rng.permutation(scores)
    ahead, (low, high) = caught_lead(scores, guessed, genuine, groups, 0.1)
    behind, (lower, higher) = caught_lead(guessed, scores, genuine, groups, 0.1)
    assert low < ahead < high
    assert low > 0.2
    assert lower < behind < higher
    assert higher < -0.2


def test_of_what_a_rival_misses_all_may_be_caught_wherever_its_line_lies():
    """The lead is anything between a few points and nearly all; as a share of what is missed it is nearly one."""
    rng = np.random.default_rng(0)
    scores = np.concatenate([np.repeat(rng.normal(size=30), 20), rng.normal(2, 1, 600)])
    genuine, groups = np.repeat([False, True], 600), np.concatenate([np.repeat(np.arange(30), 20), np.arange(30, 630)])
    perfect = genuine.astype(float)
    lead, (low, _high) = caught_lead(perfect, scores, genuine, groups, 0.1)
    share, (least, most) = caught_of_missed(perfect, scores, genuine, groups, 0.1)
    assert share == most == 1
    assert low / lead < 0.7 < 0.9 < least
    assert caught_of_missed(scores, perfect, genuine, groups, 0.1) == (0, (-1, 1))
    some, others = rng.permutation(scores), rng.permutation(scores)
    share, (least, most) = caught_of_missed(some, others, genuine, groups, 0.1)
    assert share == pytest.approx(
        caught_lead(some, others, genuine, groups, 0.1)[0] / (1 - caught(others, genuine, 0.1))
    )
    assert least < share < most
