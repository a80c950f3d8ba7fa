import dataclasses

import numpy as np
import pytest
import torch

from fingerprintlib.attribution import Attributor
from fingerprintlib.errors import UsageError
from fingerprintlib.images import coloured
from fingerprintlib.immunization import Attacked, immunize, immunize_all
from fingerprintlib.perturbations import BLUR, JPEG, NOISE

from .test_attribution import SETTINGS, Toy

HARD = dataclasses.replace(BLUR, low=3, high=3)  # blurs stripes of two pixels away, almost


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    Attributor.train(Toy(), checkpoint=folder / "run", **SETTINGS).save(folder / "clean.safetensors")
    return folder / "clean.safetensors"


def test_finetuning_restores_attribution(start, tmp_path):
    attacked = Attacked(Toy(), HARD)
    clean = Attributor.load(start)
    before = clean.evaluate_corpus(attacked)
    weights = {name: value.clone() for name, value in clean.network.state_dict().items()}
    immune = immunize(start, Toy(), HARD, tmp_path, steps=150, learning_rate=5e-3)
    after = immune.evaluate_corpus(attacked)
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
    again, few, other = immunize_all([settings, settings | {"images": 4}, settings | {"attack": JPEG}])
    assert file.stat().st_mtime_ns == modified
    assert len(list(tmp_path.iterdir())) == 3
    images = Toy().split("test")[0]
    assert np.array_equal(first.probabilities(images), again.probabilities(images))
    assert not np.array_equal(first.probabilities(images), few.probabilities(images))
    assert other.provenance["immunized"] == "jpeg"


@pytest.mark.parametrize("control", ["as_is", "equalized", "grey"])
def test_a_corpus_is_attacked_first_and_controlled_afterwards(control):
    attacked = Attacked(Toy(), NOISE, strength=100.0, control=control, seed=3)
    clean, labels = Toy().split("test")
    images, same = attacked.split("test")
    assert np.array_equal(labels, same)
    assert np.array_equal(images, coloured(images, control))
    if control == "as_is":
        change = images.astype(float) - clean
        inside = (clean > 40) & (clean < 215)
        assert change[inside].std() == pytest.approx(10, rel=0.02)
    assert np.array_equal(images, attacked.split("test")[0])
    assert not np.array_equal(images, dataclasses.replace(attacked, seed=4).split("test")[0])
    assert attacked.hash != dataclasses.replace(attacked, strength=50.0).hash != Toy().hash
    assert (attacked.colour, attacked.class_names, attacked.resolution) == (control, Toy().class_names, 16)


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
        Attacked(Toy(colour="equalized"), NOISE)
    assert list(tmp_path.iterdir()) == []
