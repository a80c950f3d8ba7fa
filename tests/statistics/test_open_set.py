import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from fingerprintlib.errors import UsageError
from fingerprintlib.statistics.intervals import by_group, share_interval, wilson_interval
from fingerprintlib.statistics.open_set import auroc, correct_at, oscr, oscr_area


def two(known, unknown):
    return np.concatenate([known, unknown]), np.repeat([True, False], [len(known), len(unknown)])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def in_groups(rng, count, size, together):
    """Normal scores, in groups of one size; so large a part of the variance is the group's."""
    groups = np.repeat(np.arange(count // size), size)
    return np.sqrt(together) * rng.normal(size=count)[groups] + np.sqrt(1 - together) * rng.normal(size=count), groups


#: Few values, so that many are equal; whether each is attributed rightly, of the known ones.
KNOWN = st.lists(st.tuples(st.integers(-3, 4), st.booleans()), min_size=2, max_size=9)
UNKNOWN = st.lists(st.integers(-4, 3), min_size=2, max_size=9)


@settings(deadline=None, max_examples=30)
@given(KNOWN, UNKNOWN)
def test_the_curve_counts_one_by_one_and_its_area_pair_by_pair(known, unknown):
    scores, which = two([score for score, _ in known], unknown)
    correct = np.concatenate([[right for _, right in known], np.ones(len(unknown), bool)])
    wrongly, rightly = oscr(scores, which, correct)
    lines = [np.inf, *sorted(set(scores.tolist()), reverse=True)]
    assert wrongly.tolist() == [sum(score >= line for score in unknown) / len(unknown) for line in lines]
    assert rightly.tolist() == [sum(score >= line and right for score, right in known) / len(known) for line in lines]
    pairs = [right * ((score > other) + (score == other) / 2) for score, right in known for other in unknown]
    area, (low, high) = oscr_area(scores, which, correct)
    assert area == pytest.approx(np.mean(pairs))
    assert area == pytest.approx(np.trapezoid(rightly, wrongly))
    assert 0 <= low <= area <= high <= 1
    assert auroc(scores, which)[0] == pytest.approx(roc_auc_score(which, scores))
    assert auroc(-scores, ~which)[0] == pytest.approx(auroc(scores, which)[0])  # known and unknown change places


def test_where_all_is_attributed_rightly_the_area_is_the_auroc(rng):
    scores, known = two(rng.normal(1, 1, 60), rng.normal(0, 1, 40))
    assert oscr_area(scores, known, np.ones(100, bool)) == auroc(scores, known)
    assert oscr_area(scores, known, np.zeros(100, bool))[0] == 0


def test_the_interval_of_the_auroc_has_a_width_where_no_error_was_made():
    scores, known = two(np.arange(50) + 100, np.arange(50))
    found, (low, high) = auroc(scores, known)
    assert (found, high) == (1, 1)
    # Wilson's interval of 50 in 50 starts at 0.929; here both kinds are uncertain.
    assert 0.85 < low < 0.98
    _, (of_groups, _) = auroc(scores, known, np.arange(100) // 10)
    assert of_groups < low - 0.1  # five groups of each
    found, (low, high) = auroc(-scores, known)
    assert (found, low) == (0, 0)
    assert 0.02 < high < 0.15


def test_one_inversion_among_a_million_pairs_is_hardly_more_uncertain_than_none():
    scores, known = two(np.arange(1000) + 1000.0, np.arange(1000.0))
    _, (without, _) = auroc(scores, known)
    scores[0] = 998.5  # below one unknown
    found, (low, high) = auroc(scores, known)
    assert found == pytest.approx(1 - 1e-6, abs=1e-12)
    assert found <= high <= 1
    assert low == pytest.approx(without, abs=1e-3)


def test_the_interval_of_the_auroc_is_that_of_delong_where_there_are_many(rng):
    """His variance (DeLong et al. 1988, Biometrics 44, 837-845) is the sum of those of two means."""
    mine, others = rng.normal(1, 1, 500), rng.normal(0, 1, 300)
    above = mine[:, None] > others
    variance = above.mean(1).var(ddof=1) / 500 + above.mean(0).var(ddof=1) / 300
    found, (low, high) = auroc(*two(mine, others))
    half = 1.96 * np.sqrt(variance)
    assert (found - low, high - found) == pytest.approx((half, half), rel=0.08)
    assert above.mean(0).var() / 300 > 0.5 * variance  # either part shows


@pytest.mark.parametrize(("level", "size"), [(0.8, 8), (0.99, 1), (0.99, 8)])
def test_the_interval_of_the_auroc_covers_the_truth(rng, level, size):
    """Nineteen of twenty should; images of one group are half alike."""
    covered, alone = 0, 0
    for number in range(40):
        (mine, groups), (others, more) = (in_groups(rng, 80, size, 0.5 if size > 1 else 0) for _ in range(2))
        scores, known = two(mine + norm.ppf(level) * np.sqrt(2), others)
        _, (low, high) = auroc(scores, known, np.concatenate([groups, len(groups) + more]))
        covered += low <= level <= high
        if level == 0.8 and number < 30:
            low, high = auroc(scores, known)[1]
            alone += low <= level <= high
    assert covered >= 0.9 * 40
    assert alone <= 0.75 * 30  # as if images were independent


def test_what_is_attributed_where_few_unknown_are_accepted_by_hand():
    unknown, mine = np.arange(100), np.array([50, 94, 95, 96, 200.0])
    scores, known = two(mine, unknown)
    correct = np.concatenate([[True, True, True, False, True], np.zeros(100, bool)])
    assert correct_at(scores, known, correct)[0] == 2 / 5  # 5 of 100 are above 94, so 95 and 200 count; 96 is wrong
    assert correct_at(scores, known, correct, accepted=0.06)[0] == 3 / 5
    assert correct_at(scores, known, correct, accepted=0.99)[0] == 4 / 5
    assert correct_at(scores, known, correct, accepted=0.0)[0] == 1 / 5
    assert correct_at(scores, known, np.zeros(105))[0] == 0


def test_of_few_unknown_images_no_line_is_known():
    scores, known = two(np.arange(1000.0) + 500, np.arange(30.0))
    found, (low, high) = correct_at(scores, known, known)
    assert (found, low, high) == (1, 0, 1)  # of 30 all may lie below the true line, wherever that is
    _, (low, _) = correct_at(*two(np.arange(1000.0) + 500, np.arange(300.0)), np.ones(1300))
    assert low > 0.99
    # In ten groups they are as good as ten.
    groups = np.concatenate([np.arange(1000), 1000 + np.arange(300) // 30])
    assert correct_at(*two(np.arange(1000.0) + 500, np.arange(300.0)), np.ones(1300), groups)[1][0] == 0


def test_the_lines_that_may_be_meant_are_those_whose_share_fits():
    """Of 100 unknown images 1 to 9 may be the true 5 %: of those counts Wilson's interval holds it. The known do not
    matter, as there are 300 at each score.
    """
    assert [k for k in range(100) if wilson_interval(k, 100)[0] <= 0.05 <= wilson_interval(k, 100)[1]] == [
        *range(1, 10)
    ]
    scores, known = two(np.repeat(np.arange(100), 300), np.arange(100))
    found, (low, high) = correct_at(scores, known, known)
    # A line that 9 are above is at 90, or higher; one that 1 is above is lower than 99.
    assert (found, low, high) == (0.05, pytest.approx(0.01, abs=2e-4), pytest.approx(0.09, abs=2e-4))


def test_where_the_line_does_not_matter_the_interval_is_that_of_a_share_in_groups():
    scores, known = two(np.repeat([1000, -1000], [150, 50]), np.arange(100))
    groups = np.concatenate([np.arange(200) // 10, np.arange(100, 200)])
    found, interval = correct_at(scores, known, known, groups)
    assert found == 0.75
    assert interval == share_interval(by_group(scores[:200] > 0, groups[:200]))


@pytest.mark.parametrize("size", [1, 5])
def test_the_interval_of_what_is_attributed_covers_the_truth(rng, size):
    """Both the line and the known images beyond it are uncertain; the interval is wide rather than narrow."""
    truth, covered, widths = 0.9 * norm.sf(norm.ppf(0.9) - 2.5), 0, []
    for _ in range(40):
        (mine, groups), (others, more) = (in_groups(rng, 300, size, 0.5 if size > 1 else 0) for _ in range(2))
        scores, known = two(mine + 2.5, others)
        groups = np.concatenate([groups, len(groups) + more])
        found, (low, high) = correct_at(scores, known, rng.random(600) < 0.9, groups, accepted=0.1)
        assert low <= found <= high
        covered += low <= truth <= high
        widths.append(high - low)
    assert covered >= 0.9 * 40
    assert np.mean(widths) < 0.2 * size


@pytest.mark.parametrize(
    ("scores", "known", "correct", "groups", "message"),
    [
        ([1, 2, 3, 4], [1, 1, 1, 1], [1] * 4, None, "known is true of 4 and false of 0"),
        ([1, 2, np.nan, 4], [1, 1, 0, 0], [1] * 4, None, "scores must be finite"),
        ([1, 2, 3, np.inf], [1, 1, 0, 0], [1] * 4, None, "scores must be finite"),
        ([1, 2, 3], [1, 1, 0, 0], [1] * 4, None, r"scores and known must be \[N\] alike"),
        ([1, 2, 3, 4], [1, 1, 0, 3], [1] * 4, None, "known must be true or false"),
        ([1, 2, 3, 4], [1, 1, 0, 0], [1] * 3, None, r"correct must be \[4\]"),
        ([1, 2, 3, 4], [1, 1, 0, 0], [1, 2, 0, 0], None, "correct must be true or false"),
        ([1, 2, 3, 4], [1, 1, 0, 0], [1] * 4, [1, 2], r"groups must be \[4\]"),
    ],
)
def test_what_cannot_be_told_is_refused(scores, known, correct, groups, message):
    for function in (oscr_area, correct_at):
        with pytest.raises(UsageError, match=message):
            function(scores, known, correct, groups)
    for asked, ask in (("groups", lambda: oscr(scores, known, correct)), ("correct", lambda: auroc(scores, known))):
        if asked not in message and "groups" not in message:
            with pytest.raises(UsageError, match=message):
                ask()


def test_an_interval_of_the_area_needs_two_of_each():
    with pytest.raises(UsageError, match="2 or more of each; known is true of 1 and false of 2"):
        auroc([1, 2, 3], [True, False, False])
    for accepted, message in ((5, "accepted must be one number from 0 to 1, not 5"), (1, "accepted must be below 1")):
        with pytest.raises(UsageError, match=message):
            correct_at([1, 2], [True, False], [True, True], accepted=accepted)


def test_integers_and_lists_are_numbers_too(rng):
    scores, known = two(rng.integers(0, 9, 30), rng.integers(-5, 5, 30))
    correct, groups = rng.random(60) < 0.8, np.arange(60) // 2
    for function in (oscr_area, correct_at):
        expected = function(scores.astype(float), known, correct, groups)
        assert function(scores.astype(np.int8), known.astype(int), correct.astype(int), groups) == expected
        assert function(scores.tolist(), known.tolist(), correct.tolist(), groups.tolist()) == expected
