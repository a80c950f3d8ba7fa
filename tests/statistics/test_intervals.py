import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerprintlib.errors import UsageError
from fingerprintlib.statistics.intervals import (
    by_group,
    mean_interval,
    of_room,
    paired_difference,
    share_interval,
    weakest,
    wilson_interval,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def formula(correct, total, z):
    p = correct / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return centre - half, centre + half


def test_wilson_published_values():
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(1, 20000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_is_the_formula_and_contains_the_estimate(counts):
    correct, total = counts
    low, high = wilson_interval(correct, total)
    assert 0 <= low <= correct / total <= high <= 1
    expected = formula(correct, total, 1.959963984540054)
    assert (low, high) == pytest.approx((max(0, expected[0]), min(1, expected[1])), abs=1e-9)


@pytest.mark.parametrize("arguments", [(-1, 5), (6, 5), (0, 0), (1, 2, 1.0)])
def test_wilson_refuses(arguments):
    with pytest.raises(UsageError):
        wilson_interval(*arguments)


def test_paired_difference_by_hand():
    # Right alone: 12 and 5 of 100. Agresti and Min add 0.5 to each: (12.5 - 5.5) / 102, and its standard error.
    one = np.arange(100) < 70
    other = np.roll(np.arange(100) < 63, 12)
    assert (np.sum(one & ~other), np.sum(other & ~one)) == (12, 5)
    middle, error = 7 / 102, math.sqrt(18 - 49 / 102) / 102
    found, interval = paired_difference(one, other)
    assert found == pytest.approx(0.07)
    assert interval == pytest.approx((middle - 1.959964 * error, middle + 1.959964 * error), rel=1e-6)
    assert paired_difference(other, one)[1] == pytest.approx((-interval[1], -interval[0]))


def test_paired_difference_covers_the_truth_and_gains_from_pairs(rng):
    truth, covered, widths = 0.05, 0, []
    for _ in range(400):
        kinds = rng.choice(4, 200, p=[0.8, 0.1, 0.05, 0.05])  # both right, only one, only the other, none
        one, other = np.isin(kinds, (0, 1)), np.isin(kinds, (0, 2))
        _, (low, high) = paired_difference(one, other)
        covered += low <= truth <= high
        widths.append(high - low)
    assert 0.92 <= covered / 400 <= 0.985
    unpaired = 2 * 1.96 * math.sqrt(0.9 * 0.1 / 200 + 0.85 * 0.15 / 200)
    assert np.mean(widths) < 0.9 * unpaired


def test_paired_difference_of_two_that_agree_has_a_width():
    found, (low, high) = paired_difference(np.ones(50, bool), np.ones(50, bool))
    assert found == 0
    assert -0.1 < low < 0 < high < 0.1
    assert paired_difference(np.ones(3, bool), np.zeros(3, bool))[1][1] <= 1


@pytest.mark.parametrize(
    ("one", "other", "options", "message"),
    [
        ([], [], {}, "N at least 1"),
        ([True], [True, False], {}, r"not \(1,\), \(2,\)"),
        ([True], [True], {"confidence": 1}, "confidence must be between 0 and 1"),
        ([True], [np.nan], {}, "others_correct must be finite"),  # NaN is true to Python
        ([2], [True], {}, "correct must be true or false; they run from 2 to 2"),
    ],
)
def test_paired_difference_refuses(one, other, options, message):
    with pytest.raises(UsageError, match=message):
        paired_difference(one, other, **options)


# --- groups -------------------------------------------------------------------------------------

#: Photographs by each of 60 contributors, of whom few give many: the shape of `clothing`.
CONTRIBUTORS = np.array(
    [181, 113, 90, 70, 55, 45, 38, 32, 27, 23, 20, 17, 15, 13, 12, 11, 10, 9, 8, 7] + [5] * 10 + [2] * 30
)
SIZES = {"few give many": CONTRIBUTORS, "ten alike": np.full(10, 100)}


def drawn(rng, sizes, share, correlation):
    """How many of each group are right, where those of one group go together: beta-binomial."""
    scale = 1 / correlation - 1
    return rng.binomial(sizes, rng.beta(share * scale, (1 - share) * scale, len(sizes))).astype(float)


def percentile_bootstrap(rng, right, sizes):
    draws = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=500)
    return np.quantile(draws @ right / (draws @ sizes), [0.025, 0.975])


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("correlation", [0.05, 0.5])
@pytest.mark.parametrize("kind", ["few give many", "ten alike"])
def test_the_interval_of_a_share_covers_the_truth_where_images_go_together(rng, kind, correlation, share):
    sizes, covered, wilsons, resampled = SIZES[kind], 0, 0, 0
    for _ in range(150):
        right = drawn(rng, sizes, share, correlation)
        for_all = wilson_interval(int(right.sum()), int(sizes.sum()))
        low, high = share_interval([(right, sizes.astype(float))])
        covered += low <= share <= high
        wilsons += for_all[0] <= share <= for_all[1]
        low, high = percentile_bootstrap(rng, right, sizes)
        resampled += low <= share <= high
    assert covered / 150 >= 0.9
    assert wilsons / 150 < 0.75  # what was here: images, as if they were independent
    if share == 0.99 and correlation == 0.5:
        assert resampled / 150 < 0.7  # and what is usually done


def test_without_groups_the_interval_of_a_share_is_wilsons():
    alone = [(np.repeat([1.0, 0.0], [90, 10]), np.ones(100)), (np.ones(50), np.ones(50))]
    assert share_interval(alone) == pytest.approx(wilson_interval(140, 150), abs=1e-8)
    assert share_interval(alone, 0.8) == pytest.approx(wilson_interval(140, 150, 0.8), abs=1e-8)
    none, all_ = (share_interval([(np.full(20, value), np.ones(20))]) for value in (0.0, 1.0))
    assert none == pytest.approx(wilson_interval(0, 20), abs=1e-8)
    assert all_ == pytest.approx(wilson_interval(20, 20), abs=1e-8)
    with pytest.raises(UsageError, match="confidence must be between 0 and 1"):
        share_interval(alone, 1)


def test_groups_whose_images_are_all_right_or_all_wrong_count_as_one_image_each():
    sizes = np.full(60, 50.0)
    low, high = share_interval([(np.where(np.arange(60) < 45, sizes, 0), sizes)])
    assert (low, high) == pytest.approx(wilson_interval(45, 60), abs=0.01)


def test_groups_that_do_not_go_together_cost_little(rng):
    sizes = np.full(60, 50)
    right = rng.binomial(sizes, 0.8).astype(float)
    low, high = share_interval([(right, sizes.astype(float))])
    plain = np.subtract(*wilson_interval(int(right.sum()), 3000)[::-1])
    assert plain < high - low < 1.5 * plain


def test_by_group_counts_source_by_source():
    values, groups, labels = [1, 0, 1, 1, 0], [7, 7, 3, 3, 3], [0, 0, 0, 1, 1]
    (first, sizes), (second, others) = by_group(values, groups, labels)
    assert (first.tolist(), sizes.tolist()) == ([1, 1], [1, 2])
    assert (second.tolist(), others.tolist()) == ([1], [2])
    assert by_group(values, groups)[0][1].tolist() == [3, 2]
    with pytest.raises(UsageError, match=r"alike, N at least 1, not \(5,\), \(4,\)"):
        by_group(values, groups[:4])


def test_paired_difference_covers_the_truth_where_images_go_together(rng):
    sizes, covered, before = np.full(40, 25), 0, 0
    groups = np.repeat(np.arange(40), sizes)
    for _ in range(200):
        ahead = rng.beta(0.3, 2.7, 40)[groups] > rng.random(1000)  # 10 % on average, in groups
        behind = ~ahead & (rng.random(1000) < 0.05)
        truth = 0.1 - 0.9 * 0.05
        one, other = ahead, behind
        _, (low, high) = paired_difference(one, other, groups)
        covered += low <= truth <= high
        _, (low, high) = paired_difference(one, other)
        before += low <= truth <= high
    assert covered / 200 >= 0.91
    assert before / 200 < 0.85


def test_groups_of_one_source_widen_a_paired_difference_by_its_part(rng):
    """As in a corpus: one source in groups, four without; the groups are wholly right or wholly wrong."""
    labels = np.repeat(np.arange(5), 200)
    groups = np.where(labels == 0, np.arange(1000) // 20, np.arange(1000, 2000))
    one = np.where(labels == 0, groups % 2 == 0, rng.random(1000) < 0.5)
    other = ~one
    plain, found = (paired_difference(one, other, *more)[1] for more in ((), (groups, labels)))
    # The variance of one fifth is twenty times as large: (4 + 20) / 5 of what it was.
    assert (found[1] - found[0]) / (plain[1] - plain[0]) == pytest.approx(math.sqrt(24 / 5), rel=0.06)


# --- means --------------------------------------------------------------------------------------


def test_the_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).random(400)
    mean, (low, high) = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert mean == values.mean()
    np.testing.assert_allclose([low, high], [mean - half, mean + half], atol=0.15 * half)
    wide = mean_interval(60 * values - 20, bounds=(-20, 40))
    np.testing.assert_allclose([wide[0], *wide[1]], 60 * np.array([mean, low, high]) - 20)


@pytest.mark.parametrize("count", [8, 50])
@pytest.mark.parametrize("correlation", [0.1, 0.4])
def test_the_interval_of_a_mean_covers_shares_near_one(rng, count, correlation):
    """Shares of 16 patches an image, 0.97 on average; many samples have nothing but ones."""
    covered = 0
    for _ in range(150):
        _, (low, high) = mean_interval(drawn(rng, np.full(count, 16), 0.97, correlation) / 16)
        covered += low <= 0.97 <= high
    assert covered / 150 >= 0.92


def test_five_ones_make_no_certainty():
    mean, (low, high) = mean_interval(np.ones(5))
    assert (mean, high) == (1, 1)
    assert 0.5 < low < 0.95


@pytest.mark.parametrize("lacks", [1e-3, 1e-5, 1e-9, 1e-15])
def test_a_mean_that_hardly_lacks_anything_has_nearly_the_interval_of_one_that_lacks_nothing(lacks):
    mean, (low, high) = mean_interval(np.full(10, 1 - lacks))
    assert low < mean <= high <= 1
    assert (low, high) == pytest.approx(mean_interval(np.ones(10))[1], abs=3 * lacks + 1e-9)
    _, mirrored = mean_interval(np.full(10, lacks))
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-8)


def test_the_interval_of_a_mean_counts_groups(rng):
    sizes, covered, before = np.full(30, 20), 0, 0
    groups = np.repeat(np.arange(30), sizes)
    for _ in range(150):
        of_group = rng.beta(4, 1, 30)[groups]  # 0.8 on average
        values = rng.beta(8 * of_group, 8 * (1 - of_group))
        _, (low, high) = mean_interval(values, groups)
        covered += low <= 0.8 <= high
        _, (low, high) = mean_interval(values)
        before += low <= 0.8 <= high
    assert 0.9 <= covered / 150 <= 0.99
    assert before / 150 < 0.6


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1.0], {}, "at least 2"),
        ([0.5, 1.2], {}, "run from 0.5 to 1.2; 0 to 1 are allowed"),
        ([0.5, np.nan], {}, "values must be finite"),
        ([0.5, np.inf], {}, "values must be finite"),
        (["a", "b"], {}, "values must be real numbers"),
        ([1, 1], {"bounds": (1, 1)}, "bounds must be two numbers, the less first, not 1 and 1"),
    ],
)
def test_mean_interval_refuses(values, options, message):
    with pytest.raises(UsageError, match=message):
        mean_interval(values, **options)


def test_the_weakest_effect_is_the_one_that_reaches_lowest():
    effects = {"a": (0.5, (0.1, 0.9)), "b": (0.2, (0.15, 0.25))}
    assert weakest(effects) == ("a", 0.5, (0.1, 0.9))


def test_a_lead_is_a_share_of_what_the_rival_leaves():
    share, ends = of_room(0.08, (0.06, 0.12), 0.9)
    assert share == pytest.approx(0.8)
    assert ends == pytest.approx((0.6, 1.0))  # more than all cannot be put right
    assert of_room(-0.1, (-0.2, -0.05), 0.75)[0] == pytest.approx(-0.4)
    assert of_room(-0.5, (-0.6, -0.4), 0.75) == (-1.0, (-1.0, -1.0))  # three times as many errors
    assert of_room(0.0, (-0.01, 0.0), 1.0) == (0.0, (-1.0, 1.0))  # nothing to win, nothing known


def test_the_share_covers_the_truth(rng):
    """The network is right where the probe is, and puts three quarters of the rest right."""
    covered = 0
    for _ in range(200):
        probe = rng.random(300) < 0.9
        network = probe | (rng.random(300) < 0.75)
        lead = paired_difference(network, probe)
        low, high = of_room(*lead, probe.mean())[1]
        covered += low <= 0.75 <= high
    assert covered >= 190
