import json

import pytest

from fingerprintlib.book.claims import Claim, Measurement, ledger
from fingerprintlib.book.published import Published, verdicts
from fingerprintlib.errors import UsageError

CLAIM = Measurement("seeds", 0.5, 0.4, 0.6, 0.1, 0.0).as_dict()
RESULTS = {
    "profile": "full",
    "chapters": {
        "page": {
            "date": "2026-01-02",
            "machine": "a desktop",
            "metrics": {"grey": 99.12345, "grey_low": 98.0, "grey_high": 99.5, "runs": 3},
            "claims": [CLAIM],
        },
        "other": {"metrics": {}, "claims": []},
    },
}


@pytest.fixture
def published(tmp_path):
    (tmp_path / "full.json").write_text(json.dumps(RESULTS))
    return Published.load(tmp_path)


def test_nothing_may_be_published(tmp_path):
    assert Published.load(tmp_path) is None
    assert Published.load(tmp_path / "nowhere") is None


def test_all_that_is_published_comes_with_the_shipped_networks_own_first(published, tmp_path):
    for profile in ("paper", "faces"):
        (tmp_path / f"{profile}.json").write_text(json.dumps(RESULTS | {"profile": profile}))
    assert [each.profile for each in Published.all(tmp_path)] == ["full", "faces", "paper"]
    assert Published.load(tmp_path) == published
    for text in ("<html>", "[]", '{"profile": "paper"}'):
        (tmp_path / "paper.json").write_text(text)
        with pytest.raises(UsageError, match=r"paper.json is no results file .*`fingerprints results` writes one"):
            Published.all(tmp_path)


def test_a_claim_as_the_published_run_found_it(published):
    assert published.sentence("seeds") == "At `full`: **yes**, +50.0 (+40.0 to +60.0) points."
    assert published.sentence("unmeasured") == ""
    assert [entry.verdict for entry in ledger([Claim("seeds", "f", "S.")], published.records)] == ["holds"]


def test_a_claim_of_another_version_of_the_book_is_named_and_left_out(tmp_path, capsys):
    chapters = RESULTS["chapters"] | {"other": {"metrics": {}, "claims": [CLAIM | {"claim": "telepathy"}]}}
    (tmp_path / "paper.json").write_text(json.dumps({"profile": "paper", "chapters": chapters}))
    (published,) = Published.all(tmp_path)
    claims = [Claim("seeds", "f", "S."), Claim("other", "f", "S.")]
    assert [entry.verdict for entry in published.entries(claims)] == ["holds", "not measured yet"]
    assert capsys.readouterr().out == "Left out of `paper`, as this book has no such claims: telepathy.\n"


def test_numbers_stand_side_by_side(published):
    title, _, where, _, *rows, _, end = published.beside("page", {"grey": 98.5, "new": "word"}).splitlines()
    assert title == ":::{dropdown} The numbers of this page, here and at `full`"
    assert "2026-01-02 (a desktop)" in where
    assert rows[2:] == ["| `grey` | 98.5 | 99.12 (98–99.5) |", "| `new` | word |  |"]
    assert end == ":::"
    assert published.beside("other", {"grey": 1.0}) == published.beside("unknown", {"grey": 1.0}) == ""


def test_how_many_claims_of_a_finding_hold():
    claims = [Claim(name, "existence", "S.") for name in ("one", "two", "three")] + [Claim("four", "seeds", "S.")]
    measured = [
        Measurement("one", 0.5, 0.4, 0.6, 0.1, 0.0),
        Measurement("two", 0.05, 0.04, 0.06, 0.1, 0.0),  # in part
        Measurement("three", -0.5, -0.6, -0.4, 0.1, 0.0),  # fails
        Measurement("four", 0.5, 0.4, 0.6, 0.1, 0.0),
    ]
    entries = ledger(claims, [{"chapter": "c", "claims": [each.as_dict() for each in measured]}])
    assert verdicts(entries, "existence") == "1 of 3 claims holds; `two` holds in part, `three` fails"
    assert verdicts(entries[:2], "existence") == "1 of 2 claims holds; `two` holds in part"
    assert verdicts(entries, "seeds") == "the claim holds"
    assert verdicts(ledger(claims, []), "seeds") == "nothing was measured"
