import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerprintlib.errors import UsageError
from fingerprintlib.metrics import (
    Report,
    confusion_matrix,
    independent_difference,
    mean_interval,
    paired_difference,
    wilson_interval,
)


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


def test_confusion_matrix_by_hand():
    matrix = confusion_matrix(np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 2, 0]), 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([], [], "N at least 1"),
        ([0, 1], [0], "alike"),
        ([0, 3], [0, 1], "labels must be from 0 to 2; they run from 0 to 3"),
        ([0, 1], [0, -1], "predictions must be from 0"),
        ([0.0, 1.0], [0, 1], "labels must be integers, not float64"),
    ],
)
def test_confusion_matrix_refuses(labels, predictions, message):
    with pytest.raises(UsageError, match=message):
        confusion_matrix(np.array(labels), np.array(predictions), 3)


def test_report_tells_everything_and_survives_json():
    labels, predictions = np.array([0] * 10 + [1] * 10), np.array([0] * 9 + [1] * 11)
    report = Report.of(labels, predictions, ("real", "progan", "unseen"))
    assert (report.accuracy, report.count, report.correct) == (0.95, 20, 19)
    assert report.recall == {"real": 0.9, "progan": 1.0}  # a class without images has no recall
    assert report.recall_intervals["real"] == wilson_interval(9, 10)
    assert report.interval == wilson_interval(19, 20)
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert str(report) == "accuracy 95.0% (95% interval 76.4% to 99.1%) on 20 images of 3 sources"


def test_a_report_carries_its_probes_wherever_it_goes():
    labels = np.array([0, 0, 1, 1])
    report, probe = (Report.of(labels, np.array(found), ("real", "progan")) for found in ([0, 0, 1, 1], [0, 1, 1, 1]))
    told = report.beside({"histogram": probe}).beside({"shuffled": report})
    assert str(told).endswith("on 4 images of 2 sources; histogram 75.0%; shuffled 100.0%")
    assert told.to_dict()["probes"]["histogram"]["accuracy"] == 0.75
    again = Report.from_dict(json.loads(json.dumps(told.to_dict())))
    assert again == told
    assert again != report


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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
    ],
)
def test_paired_difference_refuses(one, other, options, message):
    with pytest.raises(UsageError, match=message):
        paired_difference(one, other, **options)


def test_the_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).random(400)
    mean, (low, high) = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert mean == values.mean()
    np.testing.assert_allclose([low, high], [mean - half, mean + half], atol=0.15 * half)
    assert mean_interval(np.ones(5)) == (1.0, (1.0, 1.0))
    with pytest.raises(UsageError, match="at least 2"):
        mean_interval(np.ones(1))


def test_the_difference_of_independent_accuracies_is_newcombes():
    """His example: 56 of 70 against 48 of 80 (Newcombe 1998, table II, a, method 10)."""
    reports = [Report(("a", "b"), ((right, total - right), (0, 0))) for right, total in ((56, 70), (48, 80))]
    difference, interval = independent_difference(*reports)
    np.testing.assert_allclose([difference, *interval], [0.2, 0.0524, 0.3339], atol=5e-5)
