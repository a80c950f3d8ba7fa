import pytest

from fingerprintlib.statistics.intervals import told
from fingerprintlib.tables import aligned, markdown


def test_columns_stand_below_each_other_in_a_terminal():
    # é is here a letter and a mark above it, as some file systems write it; the wide ones take two columns each.
    assert aligned([["NAME", "N"], ["写真", "1"], ["cafe\u0301", "2"], ["plain", "3"]]) == [
        "NAME   N",
        "写真   1",
        "cafe\u0301   2",
        "plain  3",
    ]


def test_rows_become_a_table_with_numbers_at_the_right():
    rows = [
        {"": "**one**", "share": "9.5 (8.0–11.0)", "count": 12000, "more": "–0.3", "words": "a|b"},
        {"": "two", "share": "**+10**", "words": "9 or so", "count": "–"},
    ]
    assert markdown(rows).splitlines() == [
        "|  | share | count | more | words |",
        "| - | -: | -: | -: | - |",
        "| **one** | 9.5 (8.0–11.0) | 12,000 | –0.3 | a\\|b |",
        "| two | **+10** | – |  | 9 or so |",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"value": 0.695, "interval": (0.662, 0.7263)}, "69.5 (66.2–72.6)"),
        ({"value": 0.031, "interval": (-0.002, 0.064), "signed": True}, "+3.1 (-0.2 to +6.4)"),
        ({"value": -0.0004, "interval": (-0.004, 0.0), "signed": True}, "+0.0 (-0.4 to +0.0)"),
        ({"value": -0.07, "interval": (-0.15, -0.01), "scale": 1, "decimals": 2}, "-0.07 (-0.15 to -0.01)"),
        ({"value": 3.14159, "interval": (3, 4), "scale": 1, "decimals": 2}, "3.14 (3.00–4.00)"),
    ],
)
def test_an_interval_is_told_in_one_way(arguments, words):
    assert told(**arguments) == words
