import dataclasses
import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fingerprintlib.attribution import attributor as attribution
from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.attribution.training import apply
from fingerprintlib.checkpoints import CheckpointError, save_checkpoint
from fingerprintlib.data.images import equalize
from fingerprintlib.data.labelled import LabelledImages
from fingerprintlib.data.views import shuffled_labels
from fingerprintlib.errors import UsageError
from fingerprintlib.provenance import content_hash
from fingerprintlib.runtime import make_fabric

SETTINGS = {"steps": 200, "width": 0.06, "evaluate_every": 50, "learning_rate": 5e-3}


@dataclass(frozen=True)
class Toy(LabelledImages):
    """Noise of three sources, each with its own periodic pattern; the stand-in for a corpus."""

    class_names: tuple[str, ...] = ("real", "columns", "rows")
    resolution: int = 16
    colour: str = "as_is"
    counts: tuple[int, int, int] = (192, 60, 120)

    @property
    def hash(self):
        return content_hash(repr(self).encode())

    def split(self, name):
        index = ("train", "validation", "test").index(name)
        count, side = self.counts[index], self.resolution
        rng = np.random.default_rng(index)
        labels = np.arange(count) % 3
        noise = rng.integers(0, 200, (count, side, side, 3))
        stripes = 50 * (np.arange(side) % 2)
        noise[labels == 1] += stripes[None, :, None]
        noise[labels == 2] += stripes[:, None, None]
        images = noise.astype(np.uint8)
        return (equalize(images) if self.colour == "equalized" else images), labels.astype(np.int64)

    def groups(self, name):
        numbers = np.arange(self.counts[("train", "validation", "test").index(name)])
        return np.where(numbers % 3, numbers, numbers % 24)  # eight cameras took the real ones


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return Attributor.load_or_train(tmp_path_factory.mktemp("toy"), Toy(), **SETTINGS)


@pytest.fixture
def saved(trained, tmp_path):
    trained.save(tmp_path / "attributor.safetensors")
    return tmp_path / "attributor.safetensors"


def test_it_learns_and_the_shuffled_control_does_not(trained, tmp_path):
    assert trained.evaluate_corpus(Toy()).accuracy == 1.0
    shuffled = shuffled_labels(Toy())
    report = Attributor.load_or_train(tmp_path, shuffled, **SETTINGS).evaluate_corpus(shuffled)
    low, high = report.interval
    assert low <= 1 / 3 <= high


def test_answers_agree_with_each_other(trained):
    images, labels = Toy().split("test")
    probabilities, predictions = trained.probabilities(images), trained.predict(images)
    assert probabilities.dtype == np.float32
    assert predictions.dtype == np.int64
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert np.array_equal(probabilities.argmax(1), predictions)
    scores = trained.fingerprints(images) @ trained.model_fingerprints.T
    scores = scores + trained.network.classifier.bias.detach().numpy()
    np.testing.assert_allclose(torch.from_numpy(scores).softmax(1), probabilities, atol=1e-5)
    report = trained.evaluate(images, labels)
    assert report.class_names == Toy().class_names
    assert report.accuracy == np.mean(predictions == labels)
    assert report.group_counts == {"real": 40, "columns": 40, "rows": 40}
    assert trained.evaluate_corpus(Toy()).group_counts == {"real": 8, "columns": 40, "rows": 40}


def test_the_same_images_are_judged_once(saved, monkeypatch):
    judge = Attributor.load(saved)
    images = Toy().split("test")[0]
    judged = []
    features = judge.network.features
    monkeypatch.setattr(judge.network, "features", lambda x: judged.append(len(x)) or features(x))
    first = judge.logits(images)
    assert np.array_equal(first, apply(judge.network, images, fabric=judge.fabric).numpy())
    judged.clear()
    judge.fingerprints(images)[:] = 0  # which is the caller's own
    assert np.array_equal(dataclasses.replace(judge).logits(images.copy()), first)
    assert not judged
    judge.predict(images[::-1])
    with torch.no_grad():
        judge.network.dense.bias.add_(1)
    assert not np.array_equal(judge.logits(images), first)
    assert judged == [len(images), len(images)]


def test_what_is_remembered_is_forgotten_after_a_step_of_an_optimizer(saved):
    judge, images = Attributor.load(saved), Toy().split("test")[0][:8]
    optimizer = torch.optim.Adam(judge.network.parameters(), lr=0.1, fused=True)  # counts no version of what it changes
    for change in (optimizer.step, lambda: judge.network.dense.bias.data.add_(1)):
        before = judge.logits(images)
        judge.network(torch.rand(2, 3, judge.resolution, judge.resolution)).square().sum().backward()
        change()
        assert not np.array_equal(judge.logits(images), before)
        assert np.array_equal(judge.logits(images), apply(judge.network, images, fabric=judge.fabric).numpy())


def test_saved_and_loaded_it_is_the_same(trained, saved):
    images = Toy().split("test")[0]
    loaded = Attributor.load(saved)
    assert np.array_equal(loaded.probabilities(images), trained.probabilities(images))
    for name in ("class_names", "colour", "resolution", "history", "seconds", "provenance"):
        assert getattr(loaded, name) == getattr(trained, name)
    assert loaded.seconds > 0
    assert loaded.provenance["recipe"]["corpus"] == Toy().hash
    assert loaded.provenance["recipe"]["settings"]["training"]["steps"] == 200
    assert set(loaded.provenance["versions"]) == {"fingerprintlib", "torch", "python"}


def test_damaged_and_foreign_files_are_refused(saved, tmp_path):
    whole = saved.read_bytes()
    with safe_open(saved, "pt") as file:
        tensors, header = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118

    def refused(message):
        with pytest.raises(CheckpointError, match=message):
            Attributor.load(saved)

    saved.write_bytes(whole[:-100])
    refused("not a whole one")
    saved.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused("altered")
    metadata = json.loads(header["metadata"])
    metadata["class_names"] = metadata["class_names"][::-1]
    save_file(tensors, saved, {**header, "metadata": json.dumps(metadata)})
    refused("altered")
    save_file(tensors, saved)
    refused("not written by this library")
    save_checkpoint(saved, "gan", tensors, {})
    refused("holds a gan, where an attributor is needed")
    save_checkpoint(saved, "attributor", tensors, {"class_names": ["real", "x"]})
    refused("does not fit this version")
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        Attributor.load(tmp_path / "nothing")


def test_a_corpus_that_does_not_fit_is_refused_naming_both(trained):
    with pytest.raises(UsageError, match=r"\('real', 'columns', 'rows'\).*\('real', 'rows', 'columns'\)"):
        trained.evaluate_corpus(Toy(class_names=("real", "rows", "columns")))
    with pytest.raises(UsageError, match="resolution 16 and the corpus's 32"):
        trained.evaluate_corpus(Toy(resolution=32))
    with pytest.raises(UsageError, match="colour 'as_is' and the corpus's 'equalized'"):
        trained.evaluate_corpus(Toy(colour="equalized"))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 16, 16, 3), np.uint8), np.array([0, 3]), "labels must be from 0 to 2; they run from 0 to 3"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.array([0, 1]), "images are 32x32; this attributor judges 16x16"),
        (np.zeros((2, 16, 16, 3), np.float32), np.array([0, 1]), "images must be uint8"),
        (np.zeros((16, 16, 3), np.uint8), np.array([0]), r"Pass image\[None\]"),
        (np.zeros((0, 16, 16, 3), np.uint8), np.zeros(0, int), "images is empty"),
    ],
)
def test_bad_images_and_labels_are_refused(trained, images, labels, message):
    with pytest.raises(UsageError, match=message):
        trained.evaluate(images, labels)


def test_an_equalized_attributor_takes_images_of_both_kinds(tmp_path):
    corpus = Toy(colour="equalized")
    attributor = Attributor.load_or_train(tmp_path, corpus, **{**SETTINGS, "steps": 5})
    plain, equalized = Toy().split("test")[0], corpus.split("test")[0]
    assert np.array_equal(equalize(equalized, seed=9), equalized)
    assert np.array_equal(attributor.probabilities(plain), attributor.probabilities(equalized))
    as_is = dataclasses.replace(attributor, colour="as_is")
    assert not np.array_equal(as_is.probabilities(plain), as_is.probabilities(equalized))


def test_load_or_train_trains_once_for_each_recipe(tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr(attribution, "fit", lambda *a, fit=attribution.fit, **k: runs.append(a[3].seed) or fit(*a, **k))
    settings = {"steps": 3, "width": 0.02}
    first = Attributor.load_or_train(tmp_path, Toy(), **settings)
    again = Attributor.load_or_train(tmp_path, Toy(), **settings)
    assert runs == [0]
    assert (again.seconds, again.path) == (first.seconds, first.path)
    images = Toy().split("test")[0]
    assert np.array_equal(first.probabilities(images), again.probabilities(images))
    Attributor.load_or_train(tmp_path, Toy(), **settings, seed=1)
    Attributor.load_or_train(tmp_path, Toy(counts=(60, 6, 6)), **settings)
    monkeypatch.setattr(attribution, "code_of", lambda *_: {"code": "another"})
    Attributor.load_or_train(tmp_path, Toy(), **settings)
    assert runs == [0, 1, 0, 0]
    other = {"bfloat16": "32-true", "float32": "bf16-mixed"}[first.provenance["recipe"]["precision"]]
    second = Attributor.load_or_train(tmp_path, Toy(), **settings, fabric=make_fabric("cpu", other))
    assert runs == [0, 1, 0, 0, 0]
    assert {found.provenance["recipe"]["precision"] for found in (first, second)} == {"bfloat16", "float32"}
    assert not np.array_equal(second.model_fingerprints, first.model_fingerprints)
    assert len(list(tmp_path.glob("attributor-*.safetensors"))) == 5
    assert len(list(tmp_path.iterdir())) == 5  # no unfinished training is left
    with pytest.raises(UsageError, match=r"Unknown setting 'stepz' of the attributor\. Did you mean 'steps'"):
        Attributor.load_or_train(tmp_path, Toy(), stepz=3)


def test_constructing_one_launches_nothing(trained, monkeypatch):
    launched = []
    monkeypatch.setattr(attribution, "make_fabric", lambda: launched.append(1) or make_fabric())
    same = Attributor(trained.network, trained.class_names, trained.colour, trained.provenance)
    assert launched == []
    images = Toy().split("test")[0]
    assert np.array_equal(same.predict(images), trained.predict(images))
    same.predict(images)
    assert launched == [1]
