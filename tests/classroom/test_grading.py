import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerprintlib.classroom.grading import Grade, class_table, grade_reports, one_in_full
from fingerprintlib.classroom.key import Exhibit, Key
from fingerprintlib.classroom.report import Answers, write_report
from fingerprintlib.statistics.intervals import wilson_interval

KINDS = ["photograph"] * 4 + ["generator"] * 3 + ["sibling"] * 2 + ["stranger"] * 3
MADE_BY = ["real"] * 4 + ["alpha"] * 3 + ["alpha-seed1"] * 2 + ["flow"] * 3
EXHIBITS = tuple(Exhibit(*one, "0" * 64) for one in zip(MADE_BY, KINDS, strict=True))
KEY = Key(("real", "alpha"), EXHIBITS, "salt", "1")
REAL, ALPHA, NONE = np.eye(3) * 0.7 + 0.1  # rows of a report that is 80 % sure


def graded(rows, ratios=None, key=KEY):
    return Grade("r", key, Answers(np.array(rows), np.zeros(len(rows)) if ratios is None else np.array(ratios, float)))


#: A photograph is taken for alpha's, one sibling too; of the others all is right.
ROWS = [REAL, REAL, REAL, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, NONE, NONE, NONE, NONE]


def test_the_log_score_by_hand():
    grade = graded(ROWS)
    right, wrong = np.log2(0.8 * 3), np.log2(0.1 * 3)
    assert grade.log_score[0] == pytest.approx((10 * right + 2 * wrong) / 12)
    low, high = grade.log_score[1]
    assert np.log2(0.001 * 3 / 1.01) <= low < grade.log_score[0] < high <= np.log2(3)


def test_guessing_has_0_bits_and_certainty_the_most():
    assert graded([[1 / 3] * 3] * 12).log_score[0] == pytest.approx(0)
    sure = np.full((12, 3), 0.001)
    sure[np.arange(12), [0] * 4 + [1] * 3 + [2] * 5] = 0.998
    assert graded(sure).log_score[0] == pytest.approx(np.log2(3 * 0.998))


@given(
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
)
def test_nobody_gains_by_telling_what_he_does_not_believe(belief, told):
    """Over all truths, each as probable as he believes, the score of the belief is the highest."""
    belief, told = (np.array(some) / np.sum(some) for some in (belief, told))

    def expected(row):
        bits = [graded([row] * 12).bits[number] for number in (0, 4, 11)]  # real, alpha, unknown
        return float(belief @ bits)

    assert expected(belief) >= expected(told) - 1e-12


def test_shares_are_counted_by_kind_with_wilsons_interval():
    grade = graded(ROWS)
    known = grade.right(("photograph", "generator"))
    assert (known.count, known.total) == (6, 7)
    assert known.interval == pytest.approx(wilson_interval(6, 7), abs=1e-6)
    assert str(grade.right(("sibling",))) == str(grade.relatives) == "1 of 2"
    assert str(grade.right(("stranger",))) == "3 of 3"
    assert grade.right(()) is None


def test_photographs_by_one_photographer_tell_less():
    grouped = tuple(Exhibit("real", "photograph", "0" * 64, "a") for _ in range(6)) + EXHIBITS[4:]
    rows = [REAL] * 3 + [ALPHA] * 3 + ROWS[4:]
    alone = graded(rows, key=Key(KEY.sources, (*EXHIBITS[:3], *EXHIBITS[:3], *EXHIBITS[4:]), "salt", "1"))
    together = graded(rows, key=Key(KEY.sources, grouped, "salt", "1"))
    assert str(alone.accused) == str(together.accused) == "3 of 6"
    width = [np.diff(grade.accused.interval)[0] for grade in (alone, together)]
    assert width[0] < width[1]


def test_two_likeliest_answers_are_none():
    grade = graded([[0.45, 0.45, 0.1], *ROWS[1:]])
    assert grade.named[0] == "nobody"
    assert grade.right(("photograph",)).count == 2


@pytest.mark.parametrize(
    ("row", "ratio", "accuses"),
    [(REAL, 0, False), (REAL, 0.99, False), (REAL, 1, True), (ALPHA, -2, True), (NONE, 0.5, False), (NONE, 1.5, True)],
)
def test_who_is_accused(row, ratio, accuses):
    rows = [row, REAL, REAL, REAL, *ROWS[4:]]
    grade = graded(rows, [ratio, *[-1] * 3, *[1] * 8])
    assert grade.accused.count == int(accuses)
    assert grade.accused.total == 4


def test_cllr_by_its_formula():
    ratios = np.array([-2, -1, 0.5, -3, 1, 2, 0, 3, -0.5, 1, 1, 2.0])
    grade = graded(ROWS, ratios)
    lr = 10**ratios
    by_hand = (np.log2(1 + lr[:4]).mean() + np.log2(1 + 1 / lr[4:]).mean()) / 2  # photographs; generated
    assert grade.cllr == pytest.approx(by_hand)
    assert 0 < grade.cllr_min < grade.cllr
    assert graded(ROWS).cllr == pytest.approx(1)  # silence


def test_without_photographs_there_is_neither_cllr_nor_accusation():
    grade = graded(ROWS[4:], key=Key(KEY.sources, EXHIBITS[4:], "salt", "1"))
    assert (grade.cllr, grade.cllr_min, grade.accused) == (None, None, None)
    assert class_table([grade])[1].split()[-3:] == ["-", "-", "-"]
    assert not any("Cllr" in line or "photographs" in line for line in one_in_full(grade))


def test_json_holds_every_exhibit_and_no_nan():
    told = json.loads(json.dumps(graded(ROWS).as_dict(), allow_nan=False))
    assert [one["exhibit"] for one in told["exhibits"]] == [*KEY.names]
    assert told["right"]["all"]["count"] == 10
    assert np.mean([one["bits"] for one in told["exhibits"]]) == pytest.approx(told["log_score"]["bits"])
    assert [one["source"] for one in told["exhibits"] if one["named"] != one["answer"]] == ["real", "alpha-seed1"]
    assert told["commitment"] == KEY.commitment


def test_a_class_is_sorted_by_log_score_and_bad_reports_are_told_apart(tmp_path):
    other = Key(KEY.sources, EXHIBITS, "another salt", "1")
    for name, sure, key in [("low", 0.4, KEY), ("high", 0.9, other), ("middle", 0.6, KEY)]:
        rows = np.full((12, 3), (1 - sure) / 2)
        rows[np.arange(12), [0] * 4 + [1] * 3 + [2] * 5] = sure
        write_report(tmp_path / f"{name}.csv", key.sources, key.names, Answers(rows, np.zeros(12)))
    write_report(tmp_path / "empty.csv", KEY.sources, KEY.names)
    (tmp_path / "none.csv").write_text("a,b\n1,2\n")
    paths = [tmp_path / f"{name}.csv" for name in ("low", "empty", "high", "none", "middle")]
    grades, errors = grade_reports(paths, [KEY, other])
    assert [(grade.name, grade.key) for grade in grades] == [
        (str(tmp_path / "high.csv"), other),
        (str(tmp_path / "middle.csv"), KEY),
        (str(tmp_path / "low.csv"), KEY),
    ]
    assert [str(error).partition(".csv")[0] for error in errors] == [str(tmp_path / "empty"), str(tmp_path / "none")]
    lines = class_table(grades)
    assert [line.split()[0] for line in lines[1:]] == [grade.name for grade in grades]
    assert len({len(line) - len(line.split()[-1]) for line in lines}) == 1  # columns


def test_a_report_on_another_case_is_told_to_be(tmp_path):
    other = Key(KEY.sources, EXHIBITS, "another salt", "1")
    write_report(tmp_path / "r.csv", KEY.sources, KEY.names)
    grades, (error,) = grade_reports([tmp_path / "r.csv"], [other])
    assert not grades
    assert f"is on the exhibit '{KEY.names[0]}', and the key given is that of case {other.mark}" in str(error)
