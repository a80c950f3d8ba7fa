import json
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fingerprintlib.book.claims import (
    FAILS,
    HOLDS,
    OF_ROOM,
    OPEN,
    PART,
    TIMES,
    UNMEASURED,
    Claim,
    Measurement,
    as_table,
    figures,
    ledger,
    load_claims,
    load_paper,
)
from fingerprintlib.errors import UsageError

from ..conftest import ROOT

PAPER = ROOT / "data" / "paper.yml"

# Two numbers, the smaller first: sorted, as filtering is slow and at times refused by Hypothesis.
PAIR = st.tuples(*2 * [st.floats(-1e6, 1e6)]).map(sorted)


@given(PAIR, PAIR)
def test_the_verdict_follows_by_rule(interval, bounds):
    (low, high), (fails_below, holds_above) = interval, bounds
    found = Measurement("c", (low + high) / 2, low, high, holds_above, fails_below).verdict
    # One of four, told by where the interval lies.
    places = {HOLDS: not low < holds_above, FAILS: not high >= fails_below}
    places[PART] = not low <= fails_below and not high >= holds_above
    assert [verdict for verdict, so in places.items() if so] == ([found] if found != OPEN else [])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.9, 0.95, HOLDS),  # at the bound is above it
        (0.8999, 0.95, OPEN),
        (0.5, 0.6, PART),  # an effect, and less than is claimed
        (0.4, 0.6, OPEN),
        (0.5, 0.9, OPEN),
        (0.3, 0.4, OPEN),  # at the lower bound it does not fail yet
        (0.3, 0.3999, FAILS),
        (0.0, 1.0, OPEN),
    ],
)
def test_the_verdict_at_the_bounds(low, high, expected):
    assert Measurement("c", low, low, high, holds_above=0.9, fails_below=0.4).verdict == expected


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_measurement_must_be_finite(place, bad):
    numbers = [0.5, 0.4, 0.6, 0.9, 0.2]
    Measurement("c", *numbers)
    numbers[place] = bad
    with pytest.raises(UsageError, match="'c': needs finite numbers"):
        Measurement("c", *numbers)


@pytest.mark.parametrize("numbers", [(0.5, 0.6, 0.4, 0.9, 0.2), (0.5, 0.4, 0.6, 0.2, 0.9)])
def test_an_interval_or_bounds_the_wrong_way_round_are_refused(numbers):
    with pytest.raises(UsageError, match="low <= high and fails_below <= holds_above"):
        Measurement("c", *numbers)


def test_a_verdict_in_a_file_is_not_believed():
    measured = Measurement("c", 0.5, 0.4, 0.6, 0.9, 0.1, conditions="here")
    record = json.loads(json.dumps(measured.as_dict()))
    assert record["verdict"] == PART
    assert Measurement.from_dict(record) == measured
    assert Measurement.from_dict({**record, "verdict": HOLDS}).verdict == PART


# --- the paper's figures ------------------------------------------------------------------------


def test_every_claim_of_the_paper_resolves():
    raw = yaml.safe_load(PAPER.read_text())
    claims = load_claims(PAPER)
    assert [claim.id for claim in claims] == [entry["id"] for entry in raw["claims"]]
    assert len({claim.id for claim in claims}) == len(claims)
    for claim, entry in zip(claims, raw["claims"], strict=True):
        assert claim.statement.endswith(".")
        if "figure" in entry:
            assert isinstance(claim.paper, float), claim.id
            assert claim.paper_source == raw["tables"][entry["figure"][0]]["title"]
            expected = entry["figure"] in raw["verified"] and entry.get("less", entry["figure"]) in raw["verified"]
            assert claim.verified == expected, claim.id
        else:
            assert (claim.paper, claim.verified) == (None, False)


def test_some_figures_by_hand():
    found = {claim.id: (claim.paper, claim.verified) for claim in load_claims(PAPER)}
    assert found["existence"] == (99.43, True)
    assert found["beats-prnu"] == (12.82, False)  # 99.43 less 86.61, and only the first is confirmed
    assert found["persists-patch"] == (99.24, False)
    assert found["immunizable"] == (72.64, False)
    assert found["unique-seed"] == (None, False)


@pytest.mark.parametrize(
    ("low", "said"),
    [
        (0.11, "**Here: yes**, +12.0 (+11.0 to +13.0) points beyond colours; it holds from 10 points on. (Claim `c`.)"),
        (0.05, "**Here: not shown**, +12.0 (+5.0 to +13.0) points beyond colours"),
    ],
)
def test_the_sentence_says_what_was_found(low, said):
    measured = Measurement("c", 0.12, low, 0.13, holds_above=0.1, fails_below=0.0, beyond="colours")
    assert said in measured.sentence()


def test_the_sentence_says_no():
    measured = Measurement("c", -0.2, -0.3, -0.1, holds_above=0.1, fails_below=0.0)
    assert measured.sentence().startswith("**Here: no**, -20.0")


def test_every_table_says_how_many_sources_it_is_about():
    """An accuracy among eleven sources must not stand beside one among five as if they were the same."""
    found = {name: table["sources"] for name, table in load_paper(PAPER)["tables"].items()}
    assert found == {"attribution": 5, "frechet_ratio": 5, "frequency": 11, "patches": 11, "attacks": 11}


def test_what_is_called_verified_exists():
    paper = load_paper(PAPER)
    for table, *keys in paper["verified"]:
        value = paper["tables"][table]["values"]
        for key in keys:
            value = value[key]
        assert isinstance(value, float)


def test_all_figures_are_shares_or_ratios():
    def leaves(value):
        return [leaf for item in value.values() for leaf in leaves(item)] if isinstance(value, dict) else [value]

    for table in load_paper(PAPER)["tables"].values():
        for leaf in leaves(table["values"]):
            assert leaf is None or 0 < leaf < (100 if table["title"].endswith("%") else math.inf)


def test_what_is_put_right_is_told_as_such():
    measured = Measurement("one", 0.912, 0.75, 1.0, 0.5, 0.0, OF_ROOM, "the joint histogram", "99 grey")
    assert measured.verdict == HOLDS
    assert measured.sentence() == (
        "**Here: yes**, 91.2 (75.0–100.0) % put right on balance, of the errors of the joint histogram; "
        "it holds from 50 % on. (Claim `one`.)"
    )


def test_a_factor_is_told_as_one():
    measured = Measurement("one", 0.95, 0.25, 3.6, 1.0, 1.0, TIMES, "the scores of a rival")
    assert measured.effect(2) == "0.95 (0.25–3.60) times that of the scores of a rival"
    assert measured.bound == "a factor of 1"


def test_a_difference_of_the_papers_figures_is_told_as_two():
    claims = {claim.id: claim for claim in load_claims(PAPER)}
    assert (claims["beats-prnu"].paper, claims["beats-prnu"].paper_told) == (12.82, "99.43 against 86.61")
    assert claims["existence"].paper_told == "99.43"


# --- the ledger ---------------------------------------------------------------------------------

CLAIMS = [
    Claim("one", "existence", "First.", 99.43, "table", verified=True, paper_told="99.43"),
    Claim("two", "existence", "Second.", 12.0, "table", paper_told="40 against 28"),
    Claim("three", "uniqueness", "Third."),
]
RECORDS = [
    {"chapter": "b", "claims": [Measurement("three", 12.34, 11.0, 13.0, 20.0, 15.0, unit="").as_dict()]},
    {"chapter": "a", "claims": [Measurement("one", 0.9567, 0.95, 0.96, 0.9, 0.4, "%", "colours", "99 grey").as_dict()]},
    {"chapter": "c", "claims": []},
]


def test_the_ledger_has_every_claim_in_the_papers_order():
    entries = ledger(CLAIMS, RECORDS)
    assert [(e.claim.id, e.chapter, e.verdict) for e in entries] == [
        ("one", "a", HOLDS),
        ("two", None, UNMEASURED),
        ("three", "b", FAILS),
    ]
    rows = json.loads(json.dumps([entry.as_dict() for entry in entries]))
    assert rows[0]["measured"]["value"] == 0.9567
    assert rows[1]["measured"] is None
    assert rows[2]["verdict"] == FAILS


def test_a_claim_that_the_paper_does_not_make_is_refused():
    with pytest.raises(UsageError, match=r"Unknown claim 'thre'\. Did you mean 'three'"):
        ledger(CLAIMS, [{"chapter": "b", "claims": [{**RECORDS[0]["claims"][0], "claim": "thre"}]}])


def test_the_ledger_as_a_table():
    builds = {"Here": ledger(CLAIMS, RECORDS), "Elsewhere": ledger(CLAIMS, RECORDS[1:])}
    head, _, *rows = as_table(builds, decimals=2).splitlines()
    first = "**holds**: 95.67 (95.00–96.00) % beyond colours"
    assert head == "| Claim | Here | Elsewhere | Holds from |"
    assert rows == [
        f"| `one` First. | {first} | {first} | 90 % |",
        "| `two` Second. | **not measured yet** | **not measured yet** |  |",
        "| `three` Third. | **fails**: 12.34 (11.00–13.00) | **not measured yet** | 20 |",
    ]
    assert figures(ledger(CLAIMS, RECORDS)).splitlines()[2:] == [
        "| `one` | 99.43 ✓ | 99 grey | a |",
        "| `two` | 40 against 28 |  |  |",
        "| `three` |  |  | b |",
    ]
    assert "95.7 (95.0–96.0)" in as_table(builds)
