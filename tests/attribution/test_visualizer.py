from dataclasses import dataclass

import numpy as np
import pytest
import torch
from safetensors import safe_open

from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.attribution.visualizer import Visualizer
from fingerprintlib.checkpoints import CheckpointError
from fingerprintlib.data.images import quantize
from fingerprintlib.data.labelled import LabelledImages
from fingerprintlib.errors import UsageError
from fingerprintlib.provenance import content_hash

SIDE = 16
SETTINGS = {"steps": 120, "width": 0.04, "evaluate_every": 40, "learning_rate": 1e-2}
PATTERNS = np.random.default_rng(99).choice([-1, 1], (3, SIDE, SIDE, 3))


@dataclass(frozen=True)
class Planted(LabelledImages):
    """Coarse random images of three sources, each with a faint fixed pattern added: what is to be found."""

    class_names: tuple[str, ...] = ("real", "one", "two")
    resolution: int = SIDE
    colour: str = "as_is"

    @property
    def hash(self):
        return content_hash(repr(self).encode())

    def split(self, name):
        index = ("train", "validation", "test").index(name)
        count = (600, 60, 120)[index]
        rng = np.random.default_rng(index)
        labels = (np.arange(count) % 3).astype(np.int64)
        coarse = rng.integers(40, 216, (count, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
        return (coarse + 6 * PATTERNS[labels]).astype(np.uint8), labels

    def groups(self, name):
        return np.arange({"train": 600, "validation": 60, "test": 120}[name])


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return Visualizer.load_or_train(tmp_path_factory.mktemp("planted"), Planted(), **SETTINGS)


@pytest.fixture(scope="module")
def images():
    return Planted().split("test")[0]


def test_it_finds_the_planted_fingerprints(trained):
    assert trained.evaluate_corpus(Planted()).accuracy > 0.95
    found, planted = trained.model_fingerprints, PATTERNS - PATTERNS.mean(0)
    assert found.shape == (3, SIDE, SIDE, 3)
    assert found.dtype == np.float32
    table = np.corrcoef((found - found.mean(0)).reshape(3, -1), planted.reshape(3, -1))[:3, 3:]
    assert np.diag(table).min() > 0.4
    assert table[~np.eye(3, dtype=bool)].max() < 0.1


def test_the_released_codes_score_finds_them_too(tmp_path):
    visualizer = Visualizer.load_or_train(tmp_path, Planted(), correlation="inner_product", **SETTINGS)
    assert visualizer.evaluate_corpus(Planted()).accuracy > 0.9


def test_answers_agree_with_each_other(trained, images):
    fingerprints, reconstructions = trained.fingerprints(images), trained.reconstruct(images)
    assert fingerprints.shape == reconstructions.shape == images.shape
    assert fingerprints.dtype == reconstructions.dtype == np.float32
    np.testing.assert_allclose(fingerprints, images / np.float32(127.5) - 1 - reconstructions, atol=1e-5)
    responses = trained.responses(images)
    flat, models = fingerprints.reshape(len(images), -1), trained.model_fingerprints.reshape(3, -1)
    np.testing.assert_allclose(responses, np.corrcoef(flat, models)[:-3, -3:], atol=1e-3)
    assert np.array_equal(responses.argmax(1), trained.predict(images))
    np.testing.assert_allclose(trained.probabilities(images).sum(1), 1, rtol=1e-5)


def test_reconstructions_are_images(trained, images):
    """R was held to give the image back: far nearer to it than another image is."""
    own = np.abs(trained.fingerprints(images)).mean()
    other = np.abs(images[3:] / 127.5 - images[:-3] / 127.5).mean()
    assert own < other / 2
    assert quantize(torch.from_numpy(trained.reconstruct(images[:1])).permute(0, 3, 1, 2)).shape == (1, SIDE, SIDE, 3)


def test_saved_and_loaded_it_is_the_same(trained, images, tmp_path):
    path = tmp_path / "visualizer.safetensors"
    trained.save(path)
    loaded = Visualizer.load(path)
    assert np.array_equal(loaded.responses(images), trained.responses(images))
    assert np.array_equal(loaded.model_fingerprints, trained.model_fingerprints)
    for name in ("class_names", "colour", "resolution", "history", "provenance"):
        assert getattr(loaded, name) == getattr(trained, name)
    with safe_open(path, "pt") as file:
        assert file.metadata()["kind"] == "visualizer"
    with pytest.raises(CheckpointError, match="holds a visualizer, where an attributor is needed"):
        Attributor.load(path)


def test_load_or_train_trains_once_for_each_recipe(tmp_path, images):
    settings = {"steps": 2, "width": 0.02}
    first = Visualizer.load_or_train(tmp_path, Planted(), **settings)
    modified = first.path.stat().st_mtime_ns
    again = Visualizer.load_or_train(tmp_path, Planted(), **settings)
    assert first.path.stat().st_mtime_ns == modified
    assert np.array_equal(first.responses(images), again.responses(images))
    other = Visualizer.load_or_train(tmp_path, Planted(), correlation="inner_product", **settings)
    assert other.network.correlation == Visualizer.load(other.path).network.correlation
    assert set(tmp_path.iterdir()) == {first.path, other.path}
    with pytest.raises(UsageError, match=r"Unknown setting 'stepz' of the visualizer\. Did you mean 'steps'"):
        Visualizer.load_or_train(tmp_path, Planted(), stepz=3)
    with pytest.raises(UsageError, match="Unknown correlation 'cosine'"):
        Visualizer.load_or_train(tmp_path, Planted(), correlation="cosine")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((2, 32, 32, 3), np.uint8), "images are 32x32; this visualizer judges 16x16"),
        (np.zeros((2, 16, 16, 3), np.float32), "images must be uint8"),
        (np.zeros((16, 16, 3), np.uint8), r"Pass image\[None\]"),
    ],
)
def test_bad_images_are_refused(trained, wrong, message):
    for method in (trained.fingerprints, trained.reconstruct, trained.responses, trained.predict):
        with pytest.raises(UsageError, match=message):
            method(wrong)


def test_a_corpus_that_does_not_fit_is_refused(trained):
    with pytest.raises(UsageError, match="visualizer's class_names"):
        trained.evaluate_corpus(Planted(class_names=("real", "two", "one")))
    with pytest.raises(UsageError, match="colour 'as_is' and the corpus's 'grey'"):
        trained.evaluate_corpus(Planted(colour="grey"))
