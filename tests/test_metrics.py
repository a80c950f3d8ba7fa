import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerprintlib.errors import UsageError
from fingerprintlib.metrics import Report, confusion_matrix, cosines, mean_distance, nearest_distance, wilson_interval


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


def test_cosines_and_mean_distance():
    rows = np.array([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]])
    np.testing.assert_allclose(cosines(rows, rows[:2]), [[1, 0.8], [0.8, 1], [0, 0]], atol=1e-12)
    images = np.stack([np.full((4, 4, 3), level, np.uint8) for level in (0, 10, 30)])
    assert mean_distance(images) == pytest.approx((10 + 20 + 30) / 3)
    np.testing.assert_allclose(nearest_distance(images, images[:2]), [0, 0, 20])
    with pytest.raises(UsageError, match="at least two"):
        mean_distance(images[:1])
