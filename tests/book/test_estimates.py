from types import SimpleNamespace

import pytest

from fingerprintlib.book import estimates as estimating
from fingerprintlib.book.chapters import Book
from fingerprintlib.book.estimates import as_text, estimates, total
from fingerprintlib.book.timings import Cost
from fingerprintlib.zoo.networks import Networks

QUICK = Cost(100.0, memory=10**9, disk=10**8)


@pytest.fixture(scope="module")
def book():
    return Book()


@pytest.fixture(autouse=True)
def measured_at_quick(monkeypatch):
    known = lambda book, build, profile, chapter: QUICK if profile == "quick" else None  # noqa: E731
    monkeypatch.setattr(estimating, "expected", known)


def plan_of(book, profile, **turned):
    names = ("real-images", "zoo", "attribution", "uniqueness")
    values = {name: book.values(name, profile, turned.get(name.replace("-", "_"))) for name in names}
    return [SimpleNamespace(chapter=book.chapter(name), values=values[name], label="") for name in names]


def of(book, profile, **turned):
    plan = plan_of(book, profile, **turned)
    return {one.what: one for one in estimates(book, book.root / "nowhere", profile, plan, plan)}


def test_what_was_measured_is_no_guess(book):
    for one in of(book, "quick").values():
        assert (one.cost, one.guessed) == (QUICK, False)
    assert "estimate" not in as_text([*of(book, "quick").values()])


def test_trainings_at_the_papers_scale_are_reckoned_from_those_of_the_shipped_networks(book):
    found = of(book, "paper")
    assert all(one.guessed for one in found.values())
    cards = Networks(book.root / "data" / "networks").cards("attribution-")
    seconds = sorted(card["seconds"] for card in cards)[len(cards) // 2]
    training = len(cards) * seconds * (150_000 / 6000) * 4**2 * 2**2 * 3  # steps, width, resolution, runs
    rest = 100 * 25 * 4**2 * 2**2  # images, width, resolution
    assert found["attribution"].cost.seconds == pytest.approx(training + rest)
    assert found["attribution"].cost.disk == pytest.approx(QUICK.disk * (110_000 / 4500) * 2**2, abs=9)
    generators = (4 + 6) * 12e6 * (1816.8 / 120_000) * 4**2 * 2**2  # images shown, seconds each, width, resolution
    assert found["zoo"].cost.seconds == pytest.approx(generators, rel=0.01)
    told = as_text([*found.values()])
    assert f"{total([*found.values()]).seconds / 3600:,.0f} h" in told
    assert "An estimate, from what chapters took at `quick`" in told


def test_a_knob_turned_to_trained_is_a_guess_too(book):
    found = of(book, "quick", attribution={"networks": "trained", "steps": 6000})
    assert [name for name, one in found.items() if one.guessed] == ["attribution"]
    more = of(book, "quick", attribution={"networks": "trained", "steps": 12_000})["attribution"].cost
    less = found["attribution"].cost
    assert less.seconds > 3600
    assert more.seconds - QUICK.seconds == pytest.approx(2 * (less.seconds - QUICK.seconds))


def test_finer_images_cost_every_chapter(book):
    found = of(book, "quick", real_images={"resolution": 128})
    assert {one.cost.seconds for one in found.values()} == {400.0}
    assert {one.cost.disk for one in found.values()} == {4 * 10**8}
