import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

from fingerprintlib.classroom.report import LARGEST, Answers, columns, read_report, write_report
from fingerprintlib.errors import UsageError

SOURCES, NAMES = ("real", "alpha"), ("KDWQZB-1", "KDWQZB-2", "KDWQZB-3")
HEAD = "exhibit,p(real),p(alpha),p(unknown),log10 of generated to real,notes"
GOOD = [HEAD, "KDWQZB-1,0.5,0.25,0.25,-1,", "KDWQZB-2,0.001,0.998,0.001,2.5,", "KDWQZB-3,0.2,0.3,0.5,0,seen"]


def read(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return read_report(path, SOURCES, NAMES)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ada.csv"


# --- what is read -------------------------------------------------------------------------------


def test_a_report_is_read_row_by_row(path):
    found = read(path, "\n".join(GOOD))
    assert np.allclose(found.probabilities, [[0.5, 0.25, 0.25], [0.001, 0.998, 0.001], [0.2, 0.3, 0.5]])
    assert found.log10_lrs.tolist() == [-1, 2.5, 0]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join([GOOD[0], *GOOD[:0:-1]]),  # rows in another order
        "\r\n".join([*GOOD[:2], "", ",,,,,", *GOOD[2:], ""]),  # empty rows, and line ends of Windows
        "\ufeff" + "\n".join(GOOD),  # as a spreadsheet marks UTF-8
        "\n".join(line.replace(",", ";").replace(".", ",") for line in GOOD),  # as a German spreadsheet writes it
        "\n".join(line.replace(",", "\t") for line in GOOD),
        "\n".join(line.replace("-1,", "\N{MINUS SIGN}1,") if number == 1 else line for number, line in enumerate(GOOD))
        .replace("KDWQZB\N{MINUS SIGN}1", "KDWQZB-1"),
        "\n".join(f"mine,{line}" for line in GOOD),  # a column of one's own
        "\n".join([*GOOD[:-1], 'KDWQZB-3,0.2,0.3,0.5,0,"two\nlines, and a ""quote"""']),
        "\n".join(GOOD).replace("0.5,0.25,0.25", " .5 ,2.5e-1,+0.25"),
    ],
)  # fmt: skip
def test_however_a_spreadsheet_saved_it(path, text):
    found = read(path, text)
    assert np.allclose(found.probabilities[0], [0.5, 0.25, 0.25])
    assert found.log10_lrs.tolist() == [-1, 2.5, 0]


def test_rounded_rows_are_brought_to_a_sum_of_1(path):
    found = read(path, "\n".join(GOOD).replace("0.5,0.25,0.25", "0.503,0.25,0.25"))
    assert np.allclose(found.probabilities[0], np.array([0.503, 0.25, 0.25]) / 1.003)


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(sum), min_size=3, max_size=3),
    st.lists(st.floats(-20, 20), min_size=3, max_size=3),
)
def test_what_is_written_is_read_again_but_for_rounding(tmp_path_factory, rows, ratios):
    path = tmp_path_factory.mktemp("report") / "r.csv"
    table = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
    write_report(path, SOURCES, NAMES, Answers(table, np.array(ratios)))
    found = read_report(path, SOURCES, NAMES)
    assert np.abs(found.probabilities - (0.001 + 0.997 * table)).max() < 2e-4  # four digits, three of them a row
    assert np.abs(found.log10_lrs - ratios).max() <= 0.005 + 1e-9


# --- what is refused ----------------------------------------------------------------------------


def with_cell(row, cell):
    return "\n".join([*GOOD[:3], GOOD[3].replace(row, cell)])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("\n".join(GOOD[:-1]), "has no row for KDWQZB-3. An exhibit that you cannot judge"),
        ("\n".join(GOOD[:2]), "has no row for KDWQZB-2 and 1 more"),
        ("\n".join([*GOOD, GOOD[1]]), "row 5: KDWQZB-1 has a row already"),
        (with_cell("KDWQZB-3", "KDWQZB-4"), "row 4: the case has no exhibit 'KDWQZB-4'; it has KDWQZB-1 to KDWQZB-3"),
        (with_cell("KDWQZB-3", "\x1b[31mred"), r"row 4: the case has no exhibit '\x1b[31mred'"),
        (with_cell("0.2", ""), "row 4: p(real) is empty"),
        (with_cell("0.2", "0"), "row 4: p(real) is 0. Nothing is impossible: give 0.001 at least"),
        (with_cell("0.2", "-0.2"), "row 4: p(real) is -0.2, and a probability is from 0 to 1"),
        (with_cell("0.2", "20"), "row 4: p(real) is 20, and a probability is from 0 to 1. Write 25 % as 0.25"),
        (with_cell("0.2", "20%"), "row 4: p(real) is '20%', which is no number"),
        (with_cell("0.2", "nan"), "row 4: p(real) is 'nan', which is no number"),
        (with_cell("0.2", "1e999"), "row 4: p(real) is inf, and a probability is from 0 to 1"),
        (with_cell("0.2", "inf"), "row 4: p(real) is 'inf', which is no number"),
        (with_cell("0.2", "0x1"), "row 4: p(real) is '0x1', which is no number"),
        (with_cell("0.2", "0_2"), "row 4: p(real) is '0_2', which is no number"),
        (with_cell("0.2", "\u0664"), "row 4: p(real) is '\u0664', which is no number"),
        (with_cell("0.2", "=1+1"), "row 4: p(real) is '=1+1', which is no number"),
        (with_cell("0.2", "__import__('os').system('touch gotcha')"), "which is no number"),
        (with_cell("0.2", "0.3"), "row 4: the probabilities sum to 1.100, not to 1"),
        (with_cell(",0,seen", ",nan,seen"), "row 4: log10 of generated to real is 'nan', which is no number"),
        (with_cell(",0,seen", ",1000,seen"), "is 1000; -20 to 20 are allowed. A ratio of 1000 is written as 3"),
        (with_cell(",0,seen", ""), "row 4: log10 of generated to real is empty"),
        ("\n".join(GOOD).replace("p(real)", "p(reel)"), "row 1: Unknown source 'p(reel)'. Did you mean 'p(real)'?"),
        ("\n".join(GOOD).replace("p(real)", "real"), "row 1: there must be one column 'p(real)', not 0"),
        ("\n".join(GOOD).replace("notes", "p(real)"), "row 1: there must be one column 'p(real)', not 2"),
        ("\n".join(GOOD).replace("exhibit", "image"), "row 1: there must be one column 'exhibit', not 0"),
        (HEAD + "\n" + "x" * LARGEST, "is larger than a report can be"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_with_file_and_row(path, tmp_path, monkeypatch, text, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        read(path, text)
    told = str(caught.value)
    assert told.startswith(f"{path}")
    assert sentence in told
    assert told.isprintable()
    assert len(told) < len(str(path)) + 200
    assert [one.name for one in tmp_path.iterdir()] == ["ada.csv"]  # nothing was written


@pytest.mark.parametrize("data", [b"PK\x03\x04\xff", "\ufeffa".encode("utf-16"), b"exhibit\0,\n\0" + b"\xff"])
def test_what_is_no_csv_in_utf_8_is_refused(path, data):
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"ada\.csv is not a CSV file in UTF-8"):
        read_report(path, SOURCES, NAMES)


def test_what_is_not_there_is_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UsageError, match="There is no report"):
            read_report(path, SOURCES, NAMES)


def test_a_template_lacks_nothing_but_the_answers(path):
    write_report(path, SOURCES, NAMES)
    rows = list(csv.reader(io.StringIO(path.read_text())))
    assert rows == [columns(SOURCES), *[[name, "", "", "", "", ""] for name in NAMES]]
    with pytest.raises(UsageError, match=r"ada\.csv is not filled in yet: 3 exhibits wait for their probabilities\.$"):
        read_report(path, SOURCES, NAMES)


# --- what an attributor says --------------------------------------------------------------------


def of_judge(scores, least, bounds=(-9.0, 9.0), names=("real", "alpha", "beta")):
    shares = softmax(scores, axis=1)
    known = logsumexp(scores, axis=1) - least
    judge = SimpleNamespace(class_names=names, calibration=SimpleNamespace(bounds=bounds))
    verdicts = [
        SimpleNamespace(probabilities=dict(zip(names, row, strict=True)), known=value)
        for row, value in zip(shares, known, strict=True)
    ]
    return Answers.of(judge, verdicts)


def test_unknown_is_one_more_source_whose_score_is_the_line():
    scores, least = np.random.default_rng(0).normal(0, 3, (20, 3)), 1.5
    found = of_judge(scores, least)
    together = softmax(np.column_stack([scores, np.full(20, least)]), axis=1)
    assert np.allclose(found.probabilities, together)
    likely = np.exp(scores)  # how likely an image is of each source, but for a constant
    by_hand = np.log10((likely[:, 1:].mean(1) + np.exp(least)) / (likely[:, 0] + np.exp(least)))
    assert np.allclose(found.log10_lrs, by_hand)


def test_what_no_source_makes_is_evidence_of_nothing_and_the_rest_ends_at_the_bounds():
    found = of_judge(np.array([[-900.0, -900, -900], [900, 0, 0], [0, 900, 0]]), 0.0, (-3.0, 2.0))
    assert found.log10_lrs.tolist() == [0, -3, 2]
    assert found.probabilities[0, -1] == 1


def test_without_photographs_among_the_sources_ratios_say_nothing():
    assert of_judge(np.eye(3), 0.0, None, ("a", "b", "c")).log10_lrs.tolist() == [0, 0, 0]
