import dataclasses
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fingerprintlib.attacks.immunization import attacked, immunize, learned_from
from fingerprintlib.attacks.perturbations import BLUR, JPEG, NOISE
from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.book.chapters import Book
from fingerprintlib.cli import main
from fingerprintlib.data.building import build_corpus
from fingerprintlib.data.corpus import CorpusError, open_corpus
from fingerprintlib.data.images import coloured
from fingerprintlib.errors import UsageError
from fingerprintlib.runtime import make_fabric
from fingerprintlib.store import get_all

from ..attribution.test_attributor import SETTINGS, Toy

HARD = dataclasses.replace(BLUR, low=3, high=3)  # blurs stripes of two pixels away, almost


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    Attributor.load_or_train(folder, Toy(), **SETTINGS).save(folder / "clean.safetensors")
    return folder / "clean.safetensors"


def test_finetuning_restores_attribution(start, tmp_path):
    met = attacked(Toy(), HARD)
    clean = Attributor.load(start)
    before = clean.evaluate_corpus(met)
    weights = {name: value.clone() for name, value in clean.network.state_dict().items()}
    immune = immunize(start, Toy(), HARD, tmp_path, steps=150, learning_rate=5e-3)
    after = immune.evaluate_corpus(met)
    assert before.interval[1] < after.interval[0]
    assert immune.provenance["immunized"] == "blur"
    assert immune.history[-1]["step"] == 150
    untouched = Attributor.load(start).network.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in untouched.items())


def test_once_for_each_recipe(start, tmp_path):
    settings = {"start": start, "corpus": Toy(), "attack": NOISE, "folder": tmp_path, "steps": 2}
    first = immunize(**settings)
    (file,) = tmp_path.iterdir()
    modified = file.stat().st_mtime_ns
    calls = {"again": settings, "few": settings | {"images": 4}, "other": settings | {"attack": JPEG}}
    found = get_all(immunize, calls)
    assert list(found) == list(calls)
    again, few, other = found.values()
    assert file.stat().st_mtime_ns == modified
    assert len(list(tmp_path.iterdir())) == 3
    images = Toy().split("test")[0]
    assert np.array_equal(first.probabilities(images), again.probabilities(images))
    assert not np.array_equal(first.probabilities(images), few.probabilities(images))
    assert other.provenance["immunized"] == "jpeg"
    other = {"bfloat16": "32-true", "float32": "bf16-mixed"}[first.provenance["recipe"]["precision"]]
    otherwise = immunize(**settings, fabric=make_fabric("cpu", other))
    assert len(list(tmp_path.iterdir())) == 4
    assert not np.array_equal(first.model_fingerprints, otherwise.model_fingerprints)


@pytest.mark.parametrize("control", ["as_is", "equalized", "grey"])
def test_a_corpus_is_attacked_first_and_controlled_afterwards(control):
    met = attacked(Toy(), NOISE, strength=100.0, control=control, seed=3)
    clean, labels = Toy().split("test")
    images, same = met.split("test")
    assert np.array_equal(labels, same)
    assert np.array_equal(images, coloured(images, control))
    if control == "as_is":
        change = images.astype(float) - clean
        inside = (clean > 40) & (clean < 215)
        assert change[inside].std() == pytest.approx(10, rel=0.02)
    assert np.array_equal(images, met.split("test")[0])
    assert not np.array_equal(images, attacked(Toy(), NOISE, 100.0, control, seed=4).split("test")[0])
    assert (met.colour, met.class_names, met.resolution) == (control, Toy().class_names, 16)


def test_what_does_not_fit_is_refused(start, tmp_path):
    with pytest.raises(UsageError, match="class_names"):
        immunize(start, Toy(class_names=("real", "rows", "columns")), NOISE, tmp_path)
    with pytest.raises(UsageError, match="resolution 16"):
        immunize(start, Toy(resolution=32), NOISE, tmp_path)
    with pytest.raises(UsageError, match="images must be at least 1"):
        immunize(start, Toy(), NOISE, tmp_path, images=0)
    with pytest.raises(UsageError, match="steps"):
        immunize(start, Toy(), NOISE, tmp_path, steps=0)
    with pytest.raises(UsageError, match="equalized already"):
        attacked(Toy(colour="equalized"), NOISE)
    assert list(tmp_path.iterdir()) == []


class Striped:
    """A source of a corpus: noise, with stripes down or across."""

    def __init__(self, axis):
        self.axis = axis
        self.provenance = {"noise with stripes along": axis}

    def images(self, split, start, count):
        rng = np.random.default_rng([len(split), start, self.axis])
        noise = rng.integers(0, 200, (count, 16, 16, 3))
        stripes = 50 * (np.arange(16) % 2)
        return (noise + (stripes[:, None, None] if self.axis else stripes[None, :, None])).astype(np.uint8)


@pytest.mark.parametrize("colour", ["as_is", "grey"])
def test_the_command_finds_the_corpus_finetunes_and_writes(colour, tmp_path, monkeypatch):
    monkeypatch.setattr(Book, "__init__", lambda self: setattr(self, "root", tmp_path))
    store = tmp_path / "_build" / "store"
    counts = {"train": 40, "validation": 20, "test": 20}
    build_corpus(store / "corpus-1", {"real": Striped(0), "gan": Striped(1)}, counts, 16)
    corpus = open_corpus(store / "corpus-1")
    clean = Attributor.load_or_train(tmp_path, corpus.coloured(colour), steps=2, width=0.06)
    clean.save(tmp_path / "clean.safetensors")
    assert learned_from(clean, store).path == corpus.path
    arguments = ["immunize", str(tmp_path / "clean.safetensors"), "--attack", "noise", "--steps", "2"]
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "new" / "immune.safetensors")])
    assert result.exit_code == 0, result.output
    assert re.search(r"before +under noise: accuracy .*\nafter +under noise: accuracy ", result.output)
    immune = Attributor.load(tmp_path / "new" / "immune.safetensors")
    assert (immune.provenance["immunized"], immune.colour) == ("noise", colour)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["immune.safetensors"]
    assert learned_from(immune, store).path == corpus.path
    with pytest.raises(CorpusError, match="Name one like it"):
        learned_from(immune, tmp_path / "new")
