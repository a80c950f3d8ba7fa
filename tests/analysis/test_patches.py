import numpy as np
import pytest
import torch

from fingerprintlib.analysis import patches
from fingerprintlib.analysis.patches import PatchJudge, pool_from_of, spans, support, vote, whole
from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.attribution.networks import AttributionNetwork, patch_sides
from fingerprintlib.data.images import coloured, to_network
from fingerprintlib.errors import UsageError
from fingerprintlib.runtime import make_fabric


@pytest.mark.parametrize("pool_from", [16, 32])
def test_the_support_is_a_patch(pool_from):
    seen = support(AttributionNetwork(3, 32, 0.1, pool_from=pool_from))
    side = patch_sides(32)[pool_from]
    assert seen.sum() == side**2
    assert seen.any(0).sum() == seen.any(1).sum() == side


def test_as_released_the_support_is_most_of_the_image():
    assert support(AttributionNetwork(3, 32, 0.1, pool_from=32, order="pool_then_conv")).sum() >= 24**2


def test_a_side_that_the_resolution_lacks_is_refused_with_those_it_has():
    assert {r: [pool_from_of(side, r) for side in (3, 10, 24)] for r in (32, 64, 128)} == {
        32: [32, 16, 8],
        64: [64, 32, 16],
        128: [128, 64, 32],
    }
    with pytest.raises(UsageError, match=r"At 32x32 .* one of 3, 10, 24, 32, not 52"):
        pool_from_of(52, 32)
    for function in (spans, whole):
        with pytest.raises(UsageError, match=r"\[4, 8, 16, 32\], not 64"):
            function(64, 32)


@pytest.mark.parametrize(("resolution", "side"), [(32, 3), (32, 24), (64, 10), (64, 24), (64, 52), (32, 32), (64, 64)])
def test_a_patch_lies_where_its_gradient_is(resolution, side):
    pool_from = pool_from_of(side, resolution)
    network = AttributionNetwork(3, resolution, 0.1, pool_from=pool_from).double()
    x = torch.rand(1, 3, resolution, resolution, dtype=torch.float64, requires_grad=True)
    scores = network.patch_scores(x)
    inside = whole(pool_from, resolution)
    for row, column in ((0, pool_from // 2), (pool_from // 2, pool_from // 2), (pool_from - 1, pool_from // 3)):
        (gradient,) = torch.autograd.grad(scores[0, row, column].sum(), x, retain_graph=True)
        seen = (gradient[0] != 0).any(0).numpy()
        for axis, place in ((1, row), (0, column)):
            first, end = spans(pool_from, resolution)[place].clip(0, resolution)
            assert np.flatnonzero(seen.any(axis)).tolist() == list(range(first, end))
        assert inside[row, column] == (seen.sum() == side**2 and side < resolution)
    assert inside.any() == (side < resolution)  # those of the whole network are larger than the image


def told_in_part(attributor, images):
    """Features that say the source in some patches, and in the rest nothing."""
    features = np.random.default_rng(len(images)).normal(size=(len(images), 4, 4, 3)).astype(np.float32)
    features[:, :2, :, 0] += 8.0 * images[:, :1, :1, 0] - 8.0
    return features


def test_a_last_layer_learns_from_single_patches(monkeypatch):
    monkeypatch.setattr(patches, "patch_features", told_in_part)
    labels = np.arange(300) % 3
    images = np.broadcast_to(labels[:, None, None, None], (300, 4, 4, 3)).astype(np.uint8)
    judge = PatchJudge(None, images[:200], labels[:200])
    scores = judge.patch_scores(images[200:])
    assert scores.shape == (100, 4, 4, 3)
    np.testing.assert_allclose(np.exp(scores).sum(-1), 1, rtol=1e-5)
    right = scores.argmax(-1) == labels[200:, None, None]
    assert right[:, :2].mean() > 0.95  # where something is said
    assert right[:, 2:].mean() < 0.5  # and where nothing is
    assert np.array_equal(PatchJudge(None, images[:200], labels[:200]).patch_scores(images[200:]), scores)


@pytest.mark.parametrize("sources", [2, 3])
def test_what_a_sure_patch_says_is_finite(monkeypatch, sources):
    """Features far from what was learned from: a probability that rounds to 0 has no finite logarithm."""
    monkeypatch.setattr(patches, "patch_features", told_in_part)
    labels = np.arange(300) % sources
    images = np.broadcast_to(labels[:, None, None, None], (300, 4, 4, 3)).astype(np.uint8)
    judge = PatchJudge(None, images, labels)
    monkeypatch.setattr(patches, "patch_features", lambda attributor, images: 1e4 * told_in_part(attributor, images))
    scores = judge.patch_scores(images)
    assert scores.shape == (300, 4, 4, sources)
    assert scores.min() < -1000
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(np.exp(scores).sum(-1), 1)


def test_features_of_patches_are_what_the_network_finds():
    network = AttributionNetwork(3, 32, 0.1, pool_from=16)
    attributor = Attributor(network, ("a", "b", "c"), "grey", {}, make_fabric(precision="32-true"))
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    found = patches.patch_features(attributor, images)
    grey = to_network(torch.from_numpy(coloured(images, "grey")))
    with torch.no_grad():
        expected = network.eval().feature_maps(grey).permute(0, 2, 3, 1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_votes_are_sums_of_log_probabilities():
    scores = np.random.default_rng(1).normal(size=(50, 4, 4, 3))
    probabilities = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert np.array_equal(vote(scores, 16), np.log(probabilities).sum((1, 2)).argmax(-1))
    one = np.zeros((200, 4, 4, 3))
    one[:, 2, 3, 1] = 5  # a single patch speaks for source 1, the rest for none
    assert 0.02 < (vote(one, 1) == 1).mean() < 0.2
    assert (vote(one, 16) == 1).all()
    for count in (0, 17):
        with pytest.raises(UsageError, match="from 1 to 16"):
            vote(scores, count)
