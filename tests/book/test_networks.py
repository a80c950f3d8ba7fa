"""Whether a page gets the shipped networks or trains its own, and what becomes of those that a build trained."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.book.chapters import Book
from fingerprintlib.book.networks import (
    leave_networks,
    network_name,
    open_networks,
    publish,
    report,
    shipped_or_trained,
)
from fingerprintlib.book.page import Page
from fingerprintlib.book.published import Published
from fingerprintlib.data.building import load_or_build
from fingerprintlib.errors import UsageError
from fingerprintlib.provenance import write_json
from fingerprintlib.runtime import make_fabric
from fingerprintlib.zoo.networks import Networks, told_of

COUNTS = {"train": 16, "validation": 8, "test": 8}


class Noise:
    """A source: noise around one level."""

    def __init__(self, level, salt=0):
        self.level = level
        self.provenance = {"hash": f"{level} {salt}"}

    def images(self, split, start, count):
        rng = np.random.default_rng([self.level, start, len(split)])
        return rng.integers(self.level, self.level + 50, (count, 32, 32, 3), np.uint8)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_BUILD", str(tmp_path / "_build" / "full"))
    (tmp_path / "data").mkdir()
    return tmp_path


def corpus_of(page, salt=0):
    return load_or_build(page.store, "corpus", {"real": Noise(0), "fake": Noise(200, salt)}, COUNTS, 32)


def trainings(page, corpus):
    settings = {"folder": page.store / "attributors", "steps": 2, "width": 0.0625, "fabric": make_fabric("cpu")}
    return {("as they are", 8): {"corpus": corpus, **settings}}


def trained(page, which, corpus, capsys):
    """What a page gets, and what is said."""
    (network,) = shipped_or_trained(page, which, Attributor.load_or_train, trainings(page, corpus)).values()
    return network, capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("grey", "x-grey"),
        ((8, "residual", "grey"), "x-8-residual-grey"),
        (("as they are", 0), "x-as-they-are-0"),
        ("control, 24 px", "x-control-24-px"),
    ],
)
def test_names(key, name):
    assert network_name("x", key) == name


def test_a_page_trains_its_own_until_some_are_shipped(project, capsys):
    page = Page("attribution", project)
    corpus = corpus_of(page)
    made, said = trained(page, "trained", corpus, capsys)
    assert page.store in made.path.parents
    assert not said
    anew, said = trained(page, "shipped", corpus, capsys)
    assert anew.path == made.path
    assert "Trained here, as none that learned from these sources is shipped: ('as they are', 8)" in said

    networks = Networks(project / "data" / "networks")
    networks.publish("attribution-as-they-are-8", made, told_of(corpus), corpus.split("validation")[0])
    shipped, said = trained(page, "shipped", corpus, capsys)
    assert shipped.path == networks.folder / "attribution-as-they-are-8.safetensors"
    assert not said
    still, _ = trained(page, "trained", corpus, capsys)
    assert still.path == made.path
    others, said = trained(page, "shipped", corpus_of(page, salt=1), capsys)  # the same images by another generator
    assert others.path.parent == made.path.parent
    assert "Trained here" in said


def test_what_one_chapter_leaves_another_opens(project):
    page = Page("attribution", project)
    found = shipped_or_trained(page, "trained", Attributor.load_or_train, trainings(page, corpus_of(page)))
    leave_networks(page, "attributor", {"grey": found["as they are", 8]})
    opened = open_networks(Page("later", project), "attributor")["grey"]
    assert opened.path.samefile(found["as they are", 8].path)
    (left,) = page.open("attributor").values()
    assert set(left) == {"file", "hash"}


def test_what_a_build_trained_is_published_with_its_numbers(project):
    page = Page("attribution", project)
    corpus = corpus_of(page)
    page.make("corpus", {"folder": corpus.path.name})
    shipped_or_trained(page, "trained", Attributor.load_or_train, trainings(page, corpus))
    page.metric("accuracy", 99.0)
    page.finish()
    book = SimpleNamespace(root=project, chapters=[SimpleNamespace(name="attribution")])
    old = Networks(project / "data" / "networks")
    old.folder.mkdir()
    (old.folder / "gone.json").write_text("{}")

    assert publish(book) == ["attribution-as-they-are-8"]
    assert old.names == ["attribution-as-they-are-8"]
    assert old.has("attribution-as-they-are-8", corpus)
    results = json.loads((project / "data" / "results" / "full.json").read_text())
    assert results["chapters"]["attribution"]["metrics"] == {"accuracy": 99.0}
    assert set(results["data"]) == {"clothing", "zoo"}
    card = old.card("attribution-as-they-are-8")
    assert results["chapters"]["attribution"]["networks"] == {"attribution-as-they-are-8": card["file"]}

    # A build that used the shipped one, and trained nothing, leaves it as it is.
    before = (old.folder / "attribution-as-they-are-8.safetensors").read_bytes()
    page = Page("attribution", project)
    shipped_or_trained(page, "shipped", Attributor.load_or_train, trainings(page, corpus))
    page.finish()
    assert publish(book) == ["attribution-as-they-are-8"]
    assert (old.folder / "attribution-as-they-are-8.safetensors").read_bytes() == before


def test_chapters_that_did_not_run_again_keep_their_numbers_while_these_are_about_the_same(project):
    page = Page("attribution", project)
    corpus = corpus_of(page)
    page.make("corpus", {"folder": corpus.path.name})
    shipped_or_trained(page, "trained", Attributor.load_or_train, trainings(page, corpus))
    page.finish()
    other = Page("patches", project)
    other.metric("accuracy", 50.0)
    other.finish()
    book = SimpleNamespace(root=project, chapters=[SimpleNamespace(name=name) for name in ("attribution", "patches")])
    names = publish(book)

    (page.build / "metrics" / "patches.json").unlink()
    page.metric("accuracy", 99.0)
    page.finish()
    assert publish(book) == names
    chapters = json.loads((project / "data" / "results" / "full.json").read_text())["chapters"]
    assert {name: found["metrics"] for name, found in chapters.items()} == {
        "attribution": {"accuracy": 99.0},
        "patches": {"accuracy": 50.0},
    }
    (project / "data" / "zoo").mkdir()
    (project / "data" / "zoo" / "new.json").write_text("{}")
    with pytest.raises(UsageError, match="these chapters have not run: patches"):
        publish(book)


def test_the_numbers_of_another_profile_are_one_file_and_ship_no_network(project):
    book = SimpleNamespace(root=project, chapters=[SimpleNamespace(name="attribution")])
    with pytest.raises(UsageError, match="Nothing was built at the profile 'paper'"):
        report(book, "paper")
    record = {"metrics": {"accuracy": 99.0}, "claims": [], "device": "cuda", "networks": {"mine": {"file": "here"}}}
    write_json(project / "_build" / "paper" / "metrics" / "attribution.json", record)
    path = report(book, "paper")
    assert path == project / "data" / "results" / "paper.json"
    (found,) = Published.all(path.parent)
    assert (found.profile, found.chapters["attribution"]["metrics"]) == ("paper", {"accuracy": 99.0})
    assert json.loads(path.read_text())["chapters"]["attribution"]["networks"] == {}
    assert not (project / "data" / "networks").exists()
    with pytest.raises(UsageError, match="Publish both: `fingerprints networks publish`"):
        report(book, "full")


def test_a_build_that_lacks_chapters_is_not_published(project):
    book = SimpleNamespace(root=project, chapters=[SimpleNamespace(name="attribution")])
    with pytest.raises(UsageError, match="At the profile 'full' these chapters have not run: attribution"):
        publish(book)


def test_what_is_published_is_about_the_zoo_the_photographs_and_the_networks_that_are_shipped():
    """Networks and numbers of other generators or photographs would be stale."""
    from fingerprintlib.book.chapters import data_hash

    root = Book().root
    results = root / "data" / "results" / "full.json"
    if not results.is_file():
        pytest.skip("no results are published yet")
    published = json.loads(results.read_text())
    assert published["data"] == {name: data_hash(root / "data" / name) for name in published["data"]}
    networks = Networks(root / "data" / "networks")
    for chapter in published["chapters"].values():
        measured = chapter.get("networks", {})
        assert measured == {name: networks.card(name)["file"] for name in measured}
