from dataclasses import dataclass

import joblib
import numpy as np
import pytest

from fingerprintlib.analysis.components import middle
from fingerprintlib.analysis.confounds import handled, twins
from fingerprintlib.attacks.immunization import attacked
from fingerprintlib.attacks.perturbations import BLUR, NOISE, NOTHING
from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.data.building import build_corpus
from fingerprintlib.data.labelled import LabelledImages, first_of_each
from fingerprintlib.data.views import View, real_or_generated, shuffled_labels, some_sources
from fingerprintlib.errors import UsageError

from ..attribution import test_attributor as test_attribution
from .test_corpus import Noise, Photographs

NAMES = ("real", "progan", "sngan", "mmdgan")
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
IMAGES.flags.writeable = False


@dataclass(frozen=True)
class Toy(LabelledImages):
    """Ten images of each of four sources; the stand-in for a corpus."""

    hash: str = "toy"
    colour: str = "as_is"
    class_names = NAMES
    resolution = 32

    def split(self, name):
        assert name in ("train", "validation", "test")
        return IMAGES, np.repeat(np.arange(4), 10)

    def groups(self, name):
        return np.arange(40) // 3


JPEGS = {name: (name, "JPEG") for name in NAMES}
#: Several views of each kind, of which no two are the same.
KINDS = {
    "shuffled_labels": [shuffled_labels, lambda corpus: shuffled_labels(corpus, seed=1)],
    "some_sources": [
        lambda corpus: some_sources(corpus, ("real", "progan")),
        lambda corpus: some_sources(corpus, ("progan", "real")),
        lambda corpus: some_sources(corpus, ("real", "sngan")),
    ],
    "real_or_generated": [
        real_or_generated,
        lambda corpus: real_or_generated(some_sources(corpus, ("real", "sngan"))),
    ],
    "attacked": [
        lambda corpus: attacked(corpus, NOISE),
        lambda corpus: attacked(corpus, BLUR),
        lambda corpus: attacked(corpus, NOISE, strength=50.0),
        lambda corpus: attacked(corpus, NOISE, seed=1),
        lambda corpus: attacked(corpus, NOISE, control="grey"),
    ],
    "twins": [
        lambda corpus: twins(corpus, "real", "none", "JPEG"),
        lambda corpus: twins(corpus, "real", "JPEG", "none"),
        lambda corpus: twins(corpus, "progan", "none", "JPEG"),
        lambda corpus: twins(corpus, "real", "none", "JPEG", "grey"),
    ],
    "handled": [
        lambda corpus: handled(corpus, JPEGS),
        lambda corpus: handled(corpus, dict(reversed(JPEGS.items()))),
        lambda corpus: handled(corpus, JPEGS | {"real": ("real", "none")}),
    ],
    "middle": [
        lambda corpus: middle(corpus, 2),
        lambda corpus: middle(corpus, 4),
        lambda corpus: middle(corpus, 2, "grey"),
    ],
}
ONE_OF_EACH = {kind: makers[-1] for kind, makers in KINDS.items()}
each_kind = pytest.mark.parametrize("make", ONE_OF_EACH.values(), ids=ONE_OF_EACH)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """On disk, in two splits; of the real images three at a time share a group."""
    sources = {"real": Photographs(0, side=32), **{name: Noise(k + 1, side=32) for k, name in enumerate(NAMES[1:])}}
    return build_corpus(tmp_path_factory.mktemp("corpus") / "noise", sources, {"train": 7, "test": 5}, 32)


# --- the first of each source -------------------------------------------------------------------


def assert_are_the_first(corpus, split, n):
    images, labels = corpus.split(split)
    rows = np.concatenate([np.flatnonzero(labels == k)[:n] for k in range(len(corpus.class_names))])
    found = corpus.first(split, n)
    assert [some.dtype for some in found] == [np.uint8, np.int64, np.int64]
    np.testing.assert_array_equal(found.images, images[rows])
    np.testing.assert_array_equal(found.labels, labels[rows])
    np.testing.assert_array_equal(found.groups, corpus.groups(split)[rows])


@pytest.mark.parametrize("n", [1, 3, 7, 1000])
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_first_of_a_corpus(corpus, split, n):
    assert_are_the_first(corpus, split, n)


@each_kind
@pytest.mark.parametrize("n", [1, 3, 1000])
def test_the_first_of_a_view(corpus, make, n):
    assert_are_the_first(make(corpus), "test", n)


def test_the_first_of_sources_that_take_turns():
    corpus = test_attribution.Toy()
    assert_are_the_first(corpus, "test", 5)
    assert corpus.first("test", 2).labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_all_of_a_corpus_stays_on_disk(corpus):
    whole, _ = corpus.split("train")
    for view in (corpus, some_sources(corpus, ("progan", "sngan"))):
        assert np.shares_memory(view.first("train", 7).images, whole)
        assert not np.shares_memory(view.first("train", 6).images, whole)


def test_less_than_one_and_unknown_splits_are_refused(corpus):
    for n in (0, -1):
        with pytest.raises(UsageError, match=f"n must be at least 1, not {n}"):
            corpus.first("train", n)
        with pytest.raises(UsageError, match="n must be at least 1"):
            first_of_each(np.arange(3), n)
    with pytest.raises(UsageError, match="'tset'"):
        corpus.first("tset", 1)


# --- what holds for every view ------------------------------------------------------------------


def test_no_two_views_have_the_same_hash():
    views = [make(corpus) for makers in KINDS.values() for make in makers for corpus in (Toy(), Toy("another"))]
    hashes = [view.hash for view in views]
    assert len({*hashes, "toy", "another"}) == len(hashes) + 2
    again = [make(corpus) for makers in KINDS.values() for make in makers for corpus in (Toy(), Toy("another"))]
    assert hashes == [view.hash for view in again]


def look(view):
    return view.hash, view.class_names, view.colour, view.resolution, *view.split("test"), view.groups("test")


def test_views_travel_to_other_processes(corpus):
    views = [make(corpus) for make in ONE_OF_EACH.values()]
    there = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(look)(view) for view in views)
    for view, found in zip(views, there, strict=True):
        for mine, theirs in zip(look(view), found, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@each_kind
def test_a_view_is_learned_like_a_corpus(make, tmp_path):
    view = make(Toy())
    attributor = Attributor.load_or_train(tmp_path, view, steps=2, width=0.0625, batch_size=4)
    about = (attributor.class_names, attributor.resolution, attributor.colour)
    assert about == (view.class_names, view.resolution, view.colour)
    assert attributor.evaluate_corpus(view).count == len(view.split("test")[1])
    with pytest.raises(UsageError, match="corpus's"):
        attributor.evaluate_corpus(Toy(colour="equalized"))


def test_views_have_the_groups_of_their_images(tmp_path):
    counts = {"test": 5}
    sources = {"gan": Noise(2, side=32), "real": Photographs(1, side=32)}
    corpus = build_corpus(tmp_path / "a", sources, counts, 32)
    both = corpus.groups("test")  # 0 1 2 3 4, 5 5 5 6 6
    swapped = some_sources(corpus, ("real", "gan"))
    assert swapped.groups("test").tolist() == [*both[5:], *both[:5]]
    halves = twins(corpus, "real", "none", "min-max")
    assert halves.groups("test").tolist() == [5, 5, 6, 5, 6]  # photographs 0, 2, 4 and then 1, 3
    for view in (shuffled_labels(corpus), attacked(corpus, NOTHING), middle(corpus, 2)):
        assert view.groups("test").tolist() == both.tolist()


def test_a_source_that_the_corpus_lacks_is_refused():
    with pytest.raises(UsageError, match=r"source 'vae'.*There is: real, progan"):
        View(Toy(), "of nothing", sources={"real": "real", "new": "vae"})


# --- shuffled labels ----------------------------------------------------------------------------


def test_shuffled_labels_tell_nothing_but_a_leak():
    corpus = test_attribution.Toy(counts=(3000, 3, 600))
    shuffled = shuffled_labels(corpus)
    images, labels = shuffled.split("train")
    assert np.array_equal(images, corpus.split("train")[0])
    table = np.zeros((3, 3))
    np.add.at(table, (corpus.split("train")[1], labels), 1)
    expected = 1000 / 3
    assert ((table - expected) ** 2 / expected).sum() < 23.6  # chi-square, 6 degrees of freedom and more, p = .001
    assert np.array_equal(labels, shuffled.split("train")[1])
    assert not np.array_equal(labels, shuffled_labels(corpus, seed=1).split("train")[1])

    class Leaky(test_attribution.Toy):
        def split(self, name):
            return super().split("train")

    control = shuffled_labels(Leaky())
    assert np.array_equal(control.split("train")[1], control.split("test")[1])


# --- some sources -------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [("real", "progan"), ("real", "mmdgan"), ("sngan", "real", "mmdgan"), NAMES])
def test_some_sources_are_those_images_under_new_labels(wanted):
    some = some_sources(Toy(colour="grey"), wanted)
    images, labels = some.split("test")
    assert (some.class_names, some.resolution, some.colour) == (wanted, 32, "grey")
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert labels.tolist() == [k for k in range(len(wanted)) for _ in range(10)]
    for k, name in enumerate(wanted):
        first = 10 * NAMES.index(name)
        np.testing.assert_array_equal(images[labels == k], IMAGES[first : first + 10])


def test_neighbours_are_mapped_and_not_copied():
    assert np.shares_memory(some_sources(Toy(), ("progan", "sngan")).split("train")[0], IMAGES)
    assert not np.shares_memory(some_sources(Toy(), ("progan", "mmdgan")).split("train")[0], IMAGES)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("real", "progam"), "source 'progam'.*'progan'"),
        (("real", "nothing at all"), "There is: real, progan, sngan, mmdgan"),
        (("real",), "two different sources"),
        ((), "two different sources"),
        (("real", "real"), "two different sources"),
        (("real", "progan", "real"), "two different sources"),
    ],
)
def test_unknown_or_too_few_names_are_refused(wanted, message):
    with pytest.raises(UsageError, match=message):
        some_sources(Toy(), wanted)


def test_real_or_generated_makes_one_class_of_all_but_the_first():
    corpus = Toy()
    view = real_or_generated(corpus)
    images, labels = view.split("train")
    kept, sources = corpus.split("train")
    assert view.class_names == ("real", "generated")
    assert np.array_equal(images, kept)
    assert np.array_equal(labels, sources > 0)
    assert view.hash != corpus.hash
    assert set(view.origin) == {"real", "generated"}


def test_real_or_generated_without_real_is_refused():
    with pytest.raises(UsageError, match="The first source must be real, not 'sngan'"):
        real_or_generated(some_sources(Toy(), ("sngan", "progan")))
