from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fingerprintlib.attacks.adversarial import losses_and_signs, pgd
from fingerprintlib.attacks.universal import even, exchanged, moving_patterns
from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.data.images import coloured
from fingerprintlib.errors import UsageError

from ..attribution.test_attributor import SETTINGS, Toy


class FaintToy(Toy):
    """Stripes of five levels on noise: a few levels the right way can hide or feign them."""

    def split(self, name):
        index = ("train", "validation", "test").index(name)
        rng = np.random.default_rng(index)
        labels = np.arange(self.counts[index]) % 3
        noise = rng.normal(120, 8, (self.counts[index], self.resolution, self.resolution, 1)).repeat(3, -1)
        stripes = 5 * (np.arange(self.resolution) % 2)
        noise[labels == 1] += stripes[None, :, None]
        noise[labels == 2] += stripes[:, None, None]
        return coloured(noise.round().clip(0, 255).astype(np.uint8), self.colour), labels.astype(np.int64)


@pytest.fixture(scope="module", params=["as_is", "grey"])
def trained(request, tmp_path_factory):
    corpus = FaintToy(colour=request.param)
    return Attributor.load_or_train(tmp_path_factory.mktemp("faint"), corpus, **SETTINGS)


@pytest.fixture(scope="module")
def test_set():
    return FaintToy().split("test")


@pytest.mark.parametrize("levels", [0, 1, 2, 7])
def test_no_value_leaves_the_ball(trained, test_set, levels):
    images = test_set[0].copy()
    images[0], images[1] = 0, 255  # no room below, none above
    found = pgd(trained, images, test_set[1], levels=levels, steps=3)
    assert found.dtype == np.uint8
    off = np.abs(found.astype(int) - images)
    assert off.max() == levels


def test_it_misleads_where_noise_of_the_same_size_does_not(trained, test_set):
    images, labels = test_set
    clean = trained.evaluate(images, labels).accuracy
    rng = np.random.default_rng(0)
    noise = (images + rng.choice([-2, 2], images.shape)).clip(0, 255).astype(np.uint8)
    attacked = trained.evaluate(pgd(trained, images, labels, levels=2, steps=10), labels).accuracy
    assert clean > 0.8
    assert trained.evaluate(noise, labels).accuracy > clean - 0.15
    assert attacked < clean - 0.3


def test_towards_a_source_it_is_taken_for_that_source(trained, test_set):
    images, labels = test_set
    targets = (labels + 1) % 3
    start, found = (pgd(trained, images, targets, levels=3, steps=steps, towards=True) for steps in (0, 10))
    assert np.abs(found.astype(int) - images).max() <= 3
    assert trained.evaluate(images, targets).accuracy < 0.2
    assert trained.evaluate(found, targets).accuracy > 0.6
    losses = [losses_and_signs(trained, some, targets)[0] for some in (start, found)]
    assert (losses[1] <= losses[0]).all()  # the best of all states, the first among them


def test_the_result_does_not_depend_on_the_batch_but_on_the_seed(trained, test_set, monkeypatch):
    images, labels = test_set
    trained = replace(trained)
    start = pgd(trained, images, labels, steps=0, seed=1)
    monkeypatch.setattr("fingerprintlib.attacks.adversarial.BATCH", 7)
    np.testing.assert_array_equal(pgd(trained, images, labels, steps=0, seed=1), start)
    assert (pgd(trained, images, labels, steps=0, seed=2) != start).any()
    moves = start.astype(int) - images
    _, counts = np.unique(moves, return_counts=True)
    np.testing.assert_allclose(counts / moves.size, 0.2, atol=0.01)  # -2 to 2, each as often


def test_the_slope_is_that_of_the_loss(test_set, tmp_path):
    """Finite differences in float64 along random directions, on a network in full precision."""
    from fingerprintlib.runtime import make_fabric

    fabric = make_fabric("cpu", "32-true")
    attributor = Attributor.load_or_train(tmp_path, Toy(), fabric=fabric, **{**SETTINGS, "steps": 3})
    images, labels = test_set[0][:4], test_set[1][:4]
    losses, signs = losses_and_signs(attributor, images, labels)
    network = attributor.network.double()
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 127.5 - 1
    with torch.no_grad():
        plain = F.cross_entropy(network(x), torch.from_numpy(labels), reduction="none")
        np.testing.assert_allclose(losses, plain, rtol=1e-4)
        along = torch.from_numpy(signs).permute(0, 3, 1, 2).double()
        further = F.cross_entropy(network(x + 1e-4 * along), torch.from_numpy(labels), reduction="none")
        back = F.cross_entropy(network(x - 1e-4 * along), torch.from_numpy(labels), reduction="none")
    assert (further > plain).all()
    assert (back < plain).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": -1}, "levels must be from 0 to 255"),
        ({"steps": -1}, "steps 0 or above"),
        ({"labels": np.full(120, 3)}, "from 0 to 2"),
        ({"images": np.zeros((120, 8, 8, 3), np.uint8)}, "images are 8x8; the network's are 16"),
        ({"images": np.zeros((120, 16, 16, 3))}, "must be uint8"),
    ],
)
def test_what_cannot_be_is_refused(trained, test_set, change, message):
    with pytest.raises(UsageError, match=message):
        pgd(trained, **{"images": test_set[0], "labels": test_set[1], **change})


# --- patterns that move all images of a source ------------------------------------------------------


def test_patterns_fitted_on_some_images_move_others_and_as_strong_ones_of_noise_do_not(trained, test_set):
    images, labels = test_set
    levels = {"as_is": 3, "grey": 30}[trained.colour]  # the colour control spreads the noise over all values
    learn, of_learn = FaintToy(colour=trained.colour).split("train")
    before = {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}
    found = moving_patterns(trained, learn, of_learn, (of_learn + 1) % 3, levels, steps=20, batch=32)
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.network.state_dict().items())
    assert all(parameter.grad is None for parameter in trained.network.parameters())
    noise = even(np.random.default_rng(0).normal(size=(*found.shape[:3], 1)).repeat(3, -1))
    other, followed = (labels + 1) % 3, []
    for patterns in (found, noise):
        np.testing.assert_allclose(patterns.std(axis=(1, 2, 3)), 1, rtol=1e-5)
        changed = exchanged(coloured(images, trained.colour), patterns, labels, other, levels)
        followed.append(np.mean(trained.predict(changed) == other))
    assert followed[0] > 0.6 > 0.3 > followed[1]


def test_patterns_are_exchanged_pixel_by_pixel_within_the_range():
    patterns = np.stack([np.full((2, 2, 3), 10.0), np.full((2, 2, 3), -2.0)])
    images = np.array([100, 3], np.uint8)[:, None, None, None].repeat(2, 1).repeat(2, 2).repeat(3, 3)
    changed = exchanged(images, patterns, np.array([0, 0]), np.array([1, 1]), 0.5)
    assert np.unique(changed[0]) == [94]
    assert np.unique(changed[1]) == [0]  # 3 - 6 is no pixel


def test_no_step_finds_no_pattern(trained, test_set):
    with pytest.raises(UsageError, match="steps"):
        moving_patterns(trained, *test_set, test_set[1], steps=0)
