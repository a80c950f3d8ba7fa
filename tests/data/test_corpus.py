import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from fingerprintlib.data import building as module
from fingerprintlib.data.building import CHUNK, build_corpus
from fingerprintlib.data.corpus import CorpusError, corpus_hash, open_corpus, shared_images
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.data.images import equalize
from fingerprintlib.errors import UsageError
from fingerprintlib.zoo import generators

COUNTS = {"train": 2 * CHUNK + 10, "validation": 20, "test": 30}
SIDE = 8


class Stopped(Exception):
    pass


@dataclass
class Noise:
    """A source of random images that counts what it is asked for and can be made to stop."""

    seed: int
    left: int = 10**9
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    side: int = SIDE

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {"noise": self.seed}

    def images(self, split: str, start: int, count: int) -> np.ndarray:
        if not self.left:
            raise Stopped
        self.left -= 1
        self.asked.append((split, start, count))
        return np.stack([self.image(split, index) for index in range(start, start + count)])

    def image(self, split: str, index: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, module.SPLITS.index(split), index])
        return rng.integers(0, 256, (self.side, self.side, 3), dtype=np.uint8)


class Untold(Noise):
    @property
    def provenance(self):
        return {"thing": object()}


def two_sources() -> dict[str, Noise]:
    return {"real": Noise(1), "gan": Noise(2)}


def build(path, sources=None, **changes):
    options = {"counts": COUNTS, "resolution": SIDE} | changes
    return build_corpus(path, two_sources() if sources is None else sources, **options)


def contents(path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpora") / "noise"
    build(path)
    return path


@pytest.fixture
def copy(built, tmp_path):
    """A corpus that a test may spoil."""
    return shutil.copytree(built, tmp_path / "copy")


def test_a_chunk_is_whole_batches_of_a_generator():
    assert CHUNK % generators.CHUNK == 0


@pytest.mark.parametrize("split", list(COUNTS))
def test_every_image_is_where_its_label_says(built, split):
    corpus = open_corpus(built)
    images, labels = corpus.split(split)
    assert corpus.class_names == ("real", "gan")
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert labels.tolist() == [0] * COUNTS[split] + [1] * COUNTS[split]
    for label, source in enumerate(two_sources().values()):
        expected = [source.image(split, index) for index in range(COUNTS[split])]
        assert np.array_equal(images[labels == label], expected)


def test_a_corpus_knows_itself_and_is_mapped_read_only(built):
    corpus = open_corpus(built)
    assert corpus.counts == COUNTS
    assert list(corpus.counts) == ["train", "validation", "test"]
    assert corpus.resolution == SIDE
    assert corpus.colour == "as_is"
    assert corpus.card["recipe"]["sources"] == {"real": {"noise": 1}, "gan": {"noise": 2}}
    images, _ = corpus.split("train")
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0
    assert sorted(contents(built)) == ["card.json", "groups.npy", "images.npy", "labels.npy"]
    assert np.load(built / "images.npy").shape == (2 * sum(COUNTS.values()), SIDE, SIDE, 3)  # NumPy alone can read it


def test_two_builds_are_identical(built, tmp_path):
    assert build(tmp_path / "again").hash == open_corpus(built).hash
    assert contents(tmp_path / "again") == contents(built)


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": COUNTS | {"test": 29}},
        {"sources": {"real": Noise(1), "gan": Noise(3)}},
        {"sources": {"gan": Noise(2), "real": Noise(1)}},
        {"sources": {"real": Noise(1), "other": Noise(2)}},
    ],
)
def test_other_images_names_or_numbers_change_the_hash(built, tmp_path, changes):
    assert build(tmp_path / "other", **changes).hash != open_corpus(built).hash


@pytest.mark.parametrize("what", ["code", "versions"])
def test_other_code_or_packages_build_it_anew_and_the_same_images_are_the_same_corpus(copy, monkeypatch, what):
    """So what was learned from a corpus stays when the code that made it was changed to no effect."""
    old, old_grey = open_corpus(copy), open_corpus(copy).coloured("grey")
    monkeypatch.setattr(module, "code_of", lambda *_: {what: "another"})
    for before, again in ((old_grey, lambda: old.coloured("grey")), (old, lambda: build(copy))):
        after = again()
        assert after.card["recipe"] != before.card["recipe"]
        assert after.hash == before.hash == corpus_hash(after.path)


def test_the_code_of_a_corpus_is_its_own_and_its_sources(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "code_of", lambda *things: asked.append(things) or {})
    sources = {"real": open_dataset("scenes", 32), "noise": Noise(1, side=32)}
    build(tmp_path / "c", sources, counts={"test": 1}, resolution=32).coloured("grey")
    assert asked == [  # the test's own class is nobody's
        (module._write, "fingerprintlib.data.datasets"),
        (module._write, "fingerprintlib.data.building"),
    ]


def test_a_finished_corpus_is_opened_and_nothing_asked_again(copy):
    sources = two_sources()
    assert build(copy, sources).hash == open_corpus(copy).hash
    assert all(not source.asked for source in sources.values())


@pytest.mark.parametrize("stop_after", range(4))
def test_a_stopped_build_goes_on_where_it_stopped(built, tmp_path, stop_after):
    path = tmp_path / "stopped"
    first = two_sources() | {"real": Noise(1, left=stop_after)}
    with pytest.raises(Stopped):
        build(path, first)
    assert not path.exists()
    with pytest.raises(CorpusError, match="no corpus"):
        open_corpus(tmp_path / "stopped.partial")

    second = two_sources()
    build(path, second)
    assert contents(path) == contents(built)
    assert [entry.name for entry in tmp_path.iterdir()] == ["stopped"]
    for name in first:
        assert not set(first[name].asked) & set(second[name].asked)
        assert len(first[name].asked) + len(second[name].asked) == 5  # three chunks of train, one each of the others


def test_a_torn_chunk_is_made_again(built, tmp_path):
    path, partial = tmp_path / "torn", tmp_path / "torn.partial"
    with pytest.raises(Stopped):
        build(path, two_sources() | {"gan": Noise(2, left=1)})
    images = partial / "images.npy"
    data = bytearray(images.read_bytes())
    data[300 * SIDE * SIDE * 3] ^= 1  # in the second chunk, as a crash of the machine may leave it
    images.write_bytes(bytes(data[:-7]))
    with open(partial / "journal.txt", "a") as journal:
        journal.write("half a li")
    second = two_sources()
    build(path, second)
    assert contents(path) == contents(built)
    assert ("train", 0, CHUNK) not in second["real"].asked
    assert ("train", CHUNK, CHUNK) in second["real"].asked


def test_a_stopped_build_of_another_recipe_is_started_over(tmp_path):
    with pytest.raises(Stopped):
        build(tmp_path / "a", {"real": Noise(9), "gan": Noise(2, left=2)})
    build(tmp_path / "a")
    build(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_nothing_of_a_longer_stopped_build_is_left(tmp_path):
    with pytest.raises(Stopped):
        build(tmp_path / "a", {"real": Noise(1, left=2)}, counts={"train": 1000})
    assert build(tmp_path / "a", {"real": Noise(1)}, counts={"train": 20}).counts == {"train": 20}


def test_another_recipe_replaces_a_corpus_only_when_whole(copy):
    before = contents(copy)
    with pytest.raises(Stopped):
        build(copy, {"real": Noise(1), "gan": Noise(3, left=1)})
    assert contents(copy) == before
    corpus = build(copy, {"real": Noise(1), "gan": Noise(3)})
    assert np.array_equal(corpus.split("test")[0][30], Noise(3).image("test", 0))
    assert [entry.name for entry in copy.parent.iterdir()] == [copy.name]


def test_a_kill_between_the_two_renames_costs_nothing(copy, monkeypatch):
    replace = module.os.replace

    def killed(old, new):
        if str(old).endswith(".partial") and module.Path(old).is_dir():
            raise KeyboardInterrupt
        replace(old, new)

    monkeypatch.setattr(module.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        build(copy, {"real": Noise(1), "gan": Noise(3)})
    monkeypatch.setattr(module.os, "replace", replace)
    sources = {"real": Noise(1), "gan": Noise(3)}
    build(copy, sources)
    assert not sources["real"].asked
    assert not sources["gan"].asked
    assert [entry.name for entry in copy.parent.iterdir()] == [copy.name]


def test_a_full_disk_is_one_sentence_and_leaves_nothing_finished(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(CorpusError, match=r"could not be written .*No space left.*goes on where it stopped"):
        build(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_is_no_corpus_is_never_replaced(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name in ("letters", "file"):
        with pytest.raises(UsageError, match="not a corpus"):
            build(tmp_path / name)
    assert (tmp_path / "letters" / "mine.txt").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    assert build(tmp_path / "empty").counts == COUNTS


# --- damage


def test_an_altered_pixel_or_label_is_found_and_the_file_named(copy):
    for name in ("images.npy", "labels.npy", "groups.npy"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(CorpusError, match=f"{name} was altered"):
            open_corpus(copy)
        (copy / name).write_bytes(whole)
    assert open_corpus(copy).counts == COUNTS


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "groups.npy"])
@pytest.mark.parametrize("spoil", [lambda data: data[:-8], lambda data: data + b"12345678", lambda data: data[:5]])
def test_a_cut_or_grown_file_is_found_without_reading_it_through(copy, name, spoil):
    (copy / name).write_bytes(spoil((copy / name).read_bytes()))
    with pytest.raises(CorpusError, match=name):
        open_corpus(copy, verify=False)
    with pytest.raises(CorpusError, match=name):
        build(copy)


def test_a_missing_file_or_another_type_is_found(copy):
    np.save(copy / "labels.npy", np.load(copy / "labels.npy").astype(np.int32))
    with pytest.raises(CorpusError, match=r"labels\.npy does not hold int64"):
        open_corpus(copy)
    (copy / "images.npy").unlink()
    with pytest.raises(CorpusError, match=r"images\.npy cannot be read"):
        open_corpus(copy)


def test_verify_false_skips_the_images_only(copy):
    whole = (copy / "images.npy").read_bytes()
    (copy / "images.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert open_corpus(copy, verify=False).counts == COUNTS


def test_an_altered_or_foreign_card_is_found(copy):
    card = json.loads((copy / "card.json").read_text())
    swapped = card | {"recipe": card["recipe"] | {"classes": ["gan", "real"]}}
    for text, message in [
        (json.dumps(swapped), "altered"),
        (json.dumps(card | {"format": "something-else"}), "not written by this library"),
        ("[]", "not written by this library"),
        ("{", "cannot be read"),
    ]:
        (copy / "card.json").write_text(text)
        with pytest.raises(CorpusError, match=message):
            open_corpus(copy)
    (copy / "card.json").unlink()
    with pytest.raises(CorpusError, match="Build it first"):
        open_corpus(copy)


# --- groups, and sources that run out


@dataclass
class Photographs(Noise):
    """Three photographs by each photographer, of whom no split shares one; 7 for training and 100 for all else."""

    def groups_of(self, split: str, start: int, count: int) -> list[str]:
        return [f"{split} {index // 3}" for index in range(start, start + count)]

    def available(self, split: str) -> int | None:
        return {"train": 7, "validation": 100, "test": 100, "gan": 0}[split]


def test_a_corpus_knows_which_images_share_a_group(tmp_path):
    corpus = build(tmp_path / "a", {"gan": Noise(2), "real": Photographs(1)}, counts={"validation": 4, "test": 5})
    assert corpus.groups("validation").tolist() == [0, 1, 2, 3, 4, 4, 4, 5]  # an image of a generator stands alone
    assert corpus.groups("test").tolist() == [6, 7, 8, 9, 10, 11, 11, 11, 12, 12]
    assert open_corpus(tmp_path / "a").groups("test").dtype == np.int64
    assert corpus.coloured("grey").groups("test").tolist() == corpus.groups("test").tolist()
    with pytest.raises(UsageError, match="'test'"):
        corpus.groups("tset")


def test_groups_of_another_number_of_images_are_refused(tmp_path):
    class Short(Photographs):
        def groups_of(self, split, start, count):
            return super().groups_of(split, start, count)[:-1]

    with pytest.raises(CorpusError, match="'real' told the groups of 4 images, not of 5"):
        build(tmp_path / "a", {"real": Short(1)}, counts={"test": 5})


def test_all_classes_are_cut_to_what_the_smallest_has(tmp_path):
    asked = {"train": 20, "test": 30}
    corpus = build(tmp_path / "a", {"real": Photographs(1), "gan": Noise(2)}, counts=asked)
    assert corpus.counts == {"train": 7, "test": 30}
    assert np.bincount(corpus.split("train")[1]).tolist() == [7, 7]
    assert corpus.card["recipe"]["available"] == {"train": {"real": 7}, "test": {"real": 100}}
    assert corpus.told(asked) == (
        "Images of each source: 7 for train, 30 for test. "
        "20 for train were asked for; real has no more, so no source has."
    )
    assert corpus.told(corpus.counts) == "Images of each source: 7 for train, 30 for test."
    # Whoever asks for still more gets the same corpus, and what was trained on it is found again.
    more = build(tmp_path / "a", {"real": Photographs(1), "gan": Noise(2)}, counts=asked | {"train": 9999})
    assert more.hash == corpus.hash
    assert corpus.coloured("grey").counts == corpus.counts


def test_a_source_without_an_image_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match="'real' has no images in the split 'gan'"):
        build(tmp_path / "a", {"real": Photographs(1), "other": Noise(2)}, counts={"gan": 5})


# --- bad requests


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": {}}, "at least one source"),
        ({"counts": {}}, "Give a count"),
        ({"counts": {"training": 5}}, "Did you mean 'train'"),
        ({"counts": {"gam": 5}}, "Did you mean 'gan'"),
        ({"counts": {"train": 0}}, "count 0"),
        ({"counts": {"train": 2.0}}, "count 2.0"),
        ({"counts": {"train": True}}, "count True"),
        ({"resolution": 0}, "resolution 0"),
        ({"colour": "equalised"}, "Did you mean 'equalized'"),
        ({"sources": {"real": Untold(1)}}, "must be JSON"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_made(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        build(tmp_path / "a", **changes)
    assert not list(tmp_path.iterdir())


def test_a_source_that_gives_other_images_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"'gan' gave uint8 \[250, 9, 9, 3\]"):
        build(tmp_path / "a", {"real": Noise(1), "gan": Noise(2, side=9)})

    class Floats(Noise):
        def image(self, split, index):
            return np.zeros((SIDE, SIDE, 3))

    with pytest.raises(CorpusError, match="'gan' gave float64"):
        build(tmp_path / "a", {"real": Noise(1), "gan": Floats(2)})


def test_an_unknown_split_is_refused(built):
    with pytest.raises(UsageError, match="'train'"):
        open_corpus(built).split("trian")


# --- colour and leakage


def test_the_colour_control_is_made_once_and_equalizes_every_image(copy, monkeypatch):
    corpus = open_corpus(copy)
    equal = corpus.coloured("equalized")
    assert equal.colour == "equalized"
    assert (equal.class_names, equal.counts, equal.resolution) == (corpus.class_names, corpus.counts, SIDE)
    for split in COUNTS:
        images, labels = equal.split(split)
        before, labels_before = corpus.split(split)
        assert np.array_equal(labels, labels_before)
        assert np.array_equal(images, equalize(before))
    assert corpus.coloured("as_is") is corpus
    assert equal.coloured("equalized") is equal
    grey = corpus.coloured("grey")
    assert np.array_equal(grey.split("test")[0], equalize(corpus.split("test")[0], grey=True))
    with pytest.raises(UsageError, match="made from"):
        equal.coloured("as_is")
    with pytest.raises(UsageError, match="Did you mean 'equalized'"):
        corpus.coloured("equalised")

    monkeypatch.setattr(module, "coloured", None)  # it would fail if it were called again
    assert open_corpus(copy).coloured("equalized").hash == equal.hash


def test_a_stopped_colour_control_goes_on(copy, monkeypatch):
    calls = []

    def stopping(images, colour):
        calls.append(len(images))
        if len(calls) == 3:
            raise Stopped
        return equalize(images)

    monkeypatch.setattr(module, "coloured", stopping)
    with pytest.raises(Stopped):
        open_corpus(copy).coloured("equalized")
    assert not (copy / "equalized").exists()
    open_corpus(copy).coloured("equalized")
    assert len(calls) == 3 + 10 - 2  # ten chunks, two of them done


def test_a_rebuilt_corpus_forgets_its_old_colour_control(copy):
    old = open_corpus(copy).coloured("equalized").hash
    corpus = build(copy, {"real": Noise(1), "gan": Noise(3)})
    assert not (copy / "equalized").exists()
    assert corpus.coloured("equalized").hash != old


def test_real_photographs_are_a_source(tmp_path):
    dataset = open_dataset("scenes", 32)
    counts = {"train": 300, "validation": 20, "test": 40}
    corpus = build_corpus(tmp_path / "real", {"real": dataset}, counts, 32)
    assert np.array_equal(corpus.split("test")[0], dataset.images("test", 0, 40))
    assert corpus.card["recipe"]["sources"]["real"] == dataset.provenance
    assert shared_images(corpus) == 0


def test_shared_images_counts_all_copies_across_splits(tmp_path):
    class Leaky(Noise):
        def image(self, split, index):
            same_everywhere = split in ("train", "test") and index == 3  # one image in two splits
            twice_in_one = split == "validation" and index < 2  # two copies in one split: no leak
            return super().image("train", 3) if same_everywhere else super().image(split, 0 if twice_in_one else index)

    corpus = build_corpus(
        tmp_path / "leaky", {"a": Leaky(1), "b": Noise(2)}, {"train": 9, "validation": 5, "test": 7}, SIDE
    )
    assert shared_images(corpus) == 2
