import numpy as np
import pytest

from fingerprintlib.errors import UsageError
from fingerprintlib.networks import AttributionNetwork, patch_sides
from fingerprintlib.patches import clear_of_the_seam, splice, support, vote

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)


@pytest.mark.parametrize("pool_from", [16, 32])
def test_the_support_is_a_patch(pool_from):
    seen = support(AttributionNetwork(3, 32, 0.1, pool_from=pool_from))
    side = patch_sides(32)[pool_from]
    assert seen.sum() == side**2
    assert seen.any(0).sum() == seen.any(1).sum() == side


def test_as_released_the_support_is_most_of_the_image():
    assert support(AttributionNetwork(3, 32, 0.1, pool_from=32, order="pool_then_conv")).sum() >= 24**2


def test_a_splice_is_half_of_each():
    both = splice(IMAGES[:2], IMAGES[2:])
    assert np.array_equal(both[:, :, :4], IMAGES[:2, :, :4])
    assert np.array_equal(both[:, :, 4:], IMAGES[2:, :, 4:])
    with pytest.raises(UsageError, match="as many"):
        splice(IMAGES[:2], IMAGES[:3])


@pytest.mark.parametrize("patch", [3, 10, 24])
def test_patches_clear_of_the_seam_do_not_touch_the_other_half(patch):
    network = AttributionNetwork(3, 64, 0.1, pool_from={v: k for k, v in patch_sides(64).items()}[patch]).eval()
    import torch

    x = torch.rand(1, 3, 64, 64)
    changed = x.clone()
    changed[..., 32:] = torch.rand(1, 3, 64, 32)
    same = (network.patch_scores(x) == network.patch_scores(changed)).all(-1)[0].all(0).numpy()
    where = clear_of_the_seam(network.pool_from, patch, 64)
    assert same[where == -1].all()
    assert not same[where == 1].any()
    assert not same[where == 0].all()
    assert (where == -1).sum() == (where == 1).sum() > 0


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
