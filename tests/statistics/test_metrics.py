import json

import numpy as np
import pytest

from fingerprintlib.errors import UsageError
from fingerprintlib.statistics.metrics import (
    Report,
    beyond_chance,
    confusion_matrix,
    independent_difference,
    wilson_interval,
)


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


def test_a_report_counts_groups_where_images_share_one():
    """Two hundred photographs by ten contributors, of whom one is never recognized; two hundred generated images."""
    labels = np.repeat([0, 1], 200)
    predictions = labels.copy()
    predictions[:20], predictions[200:210] = 1, 0
    groups = np.concatenate([np.arange(200) // 20, np.arange(1000, 1200)])
    report = Report.of(labels, predictions, ("real", "progan"), groups)
    alone = Report.of(labels, predictions, ("real", "progan"))
    assert report.groups == {"real": ((0, 20), *[(20, 20)] * 9)}
    assert report.group_counts == {"real": 10, "progan": 200}
    assert report.recall == alone.recall
    assert report.recall_intervals["progan"] == alone.recall_intervals["progan"] == wilson_interval(190, 200)
    low, high = report.recall_intervals["real"]
    assert 0.55 < low < 0.65  # nine of ten; Wilson's interval of those is 0.60 to 0.98, of 180 in 200 0.85 to 0.93
    assert 0.96 < high < 0.99
    # Half of the images are the photographs: what is unsure about them is half as unsure in the whole.
    width, part = report.interval[1] - report.interval[0], high - low
    assert part / 2 < width < 0.65 * part
    assert width > 3 * (alone.interval[1] - alone.interval[0])
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert str(report).endswith("on 400 images of 2 sources; real in 10 groups")


def test_a_report_carries_its_probes_wherever_it_goes():
    labels = np.array([0, 0, 1, 1])
    report, probe = (Report.of(labels, np.array(found), ("real", "progan")) for found in ([0, 0, 1, 1], [0, 1, 1, 1]))
    told = report.beside({"histogram": probe}).beside({"shuffled": report})
    assert str(told).endswith("on 4 images of 2 sources; histogram 75.0%; shuffled 100.0%")
    assert told.to_dict()["probes"]["histogram"]["accuracy"] == 0.75
    again = Report.from_dict(json.loads(json.dumps(told.to_dict())))
    assert again == told
    assert again != report


def test_accuracies_among_few_and_many_sources_on_one_scale():
    assert [beyond_chance(a, 5) for a in (0.2, 1.0)] == [0, 1]
    assert beyond_chance(0.5, 2) == beyond_chance(1 / 11, 11) == 0
    np.testing.assert_allclose([beyond_chance(0.6, 5), beyond_chance(0.1, 5)], [0.5, -0.125])


@pytest.mark.parametrize(
    ("accuracy", "sources", "message"),
    [
        (0.5, 1, "sources must be one number from 2 to inf, not 1"),
        (0.5, 0, "sources must be"),
        (np.nan, 3, "accuracy must be finite"),
        (50, 3, "accuracy must be one number from 0 to 1, not 50"),
    ],
)
def test_beyond_chance_refuses(accuracy, sources, message):
    with pytest.raises(UsageError, match=message):
        beyond_chance(accuracy, sources)


def test_the_difference_of_independent_accuracies_is_newcombes():
    """His example: 56 of 70 against 48 of 80 (Newcombe 1998, table II, a, method 10)."""
    reports = [Report(("a", "b"), ((right, total - right), (0, 0))) for right, total in ((56, 70), (48, 80))]
    difference, interval = independent_difference(*reports)
    np.testing.assert_allclose([difference, *interval], [0.2, 0.0524, 0.3339], atol=5e-5)
