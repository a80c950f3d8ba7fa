import re
from functools import partial

import pytest

from fingerprintlib.book.prose import Told, filled, in_words, typeset
from fingerprintlib.errors import FingerprintsError

BREAKS = re.compile(r" |(?<=\w[–-])(?=\w)")  # where a line may end

METRICS = {"grey": 99.12345, "lead": 3.0, "count": 1000, "little": -0.04, "word": "a*b [c]", "name_with": "x"}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("grey:.1f", "99.1"),
        ("grey", "99.12345"),
        ("lead:+.1f", "+3.0"),
        ("count:,", "1,000"),
        ("word", "a*b [c]"),
        ("little:.1f", "0.0"),
        ("little:+.1f", "+0.0"),
        ("little:.2f", "-0.04"),
    ],
)
def test_a_metric_in_words(key, expected):
    found = in_words(METRICS, key)
    assert found == expected
    assert repr(found) == expected  # what a kernel answers JupyterLab
    assert isinstance(found, Told)


def test_metrics_take_the_place_of_expressions():
    text = (
        'In {eval}`page["grey:.1f"]` % of {eval}`page["count:,"]`, {eval}`page["word"]`, {eval}`1 + 1` and {cite}`x`.'
    )
    said = r"In 99.1 % of 1,000, a\*b \[c\], {eval}`1 + 1` and {cite}`x`."
    assert filled(text, partial(in_words, METRICS)) == said


@pytest.mark.parametrize(("key", "message"), [("gray", "no metric 'gray'"), ("word:.1f", "'a\\*b .* cannot format")])
def test_what_cannot_be_said_is_refused(key, message):
    with pytest.raises(FingerprintsError, match=message):
        in_words(METRICS, key)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("9.1 (8.0–10.2) % of 20 %.", ["9.1", "(8.0–10.2) %", "of", "20 %."]),
        ("74 s at 3 GB, 2 sources", ["74 s", "at", "3 GB,", "2", "sources"]),
        ("-1.0 (-2.5 to +0.5) points, **1.5** ± 0.2", ["−1.0", "(−2.5 to +0.5)", "points,", "**1.5** ± 0.2"]),
        ("**-1.0** -2.0–-1.5", ["**−1.0**", "−2.0–−1.5"]),
        ("| 2017-05 | x-2 | 1-2 |", ["|", "2017-05", "|", "x-", "2", "|", "1-", "2", "|"]),
        ("``2017-05 %`` and `20 %`", ["``2017-", "05", "%``", "and", "`20", "%`"]),
    ],
)
def test_no_line_ends_within_a_number_and_its_interval(text, lines):
    kept = typeset(text)
    assert [line.replace("\u00a0", " ").replace("\u2060", "") for line in BREAKS.split(kept)] == lines
