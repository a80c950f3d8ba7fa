import itertools

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from fingerprintlib.analysis.splices import find_seams, parts, right_of, separation, splice, squares
from fingerprintlib.attribution.networks import AttributionNetwork, patch_sides
from fingerprintlib.errors import UsageError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)


def test_a_splice_takes_each_pixel_from_where_it_says():
    both = splice(IMAGES[:2], IMAGES[2:], right_of(np.array([4, 1]), 8))
    for n, seam in enumerate((4, 1)):
        assert np.array_equal(both[n, :, :seam], IMAGES[n, :, :seam])
        assert np.array_equal(both[n, :, seam:], IMAGES[2 + n, :, seam:])
    inset = splice(IMAGES[:1], IMAGES[1:2], squares(np.array([[2, 5]]), 3, 8))
    changed = (inset[0] != IMAGES[0]).any(-1)
    assert np.array_equal(inset[0, 2:5, 5:8], IMAGES[1, 2:5, 5:8])
    changed[2:5, 5:8] = False
    assert not changed.any()


def test_what_cannot_be_spliced_is_refused():
    with pytest.raises(UsageError, match="as many"):
        splice(IMAGES[:2], IMAGES[:3], right_of(np.array([4, 4]), 8))
    with pytest.raises(UsageError, match="as many"):
        splice(IMAGES[:2], IMAGES[2:], right_of(np.array([4]), 8))
    for seam in (0, 8):
        with pytest.raises(UsageError, match="from 1 to 7"):
            right_of(np.array([seam]), 8)
    for corner, side in ((-1, 3), (6, 3), (0, 8)):
        with pytest.raises(UsageError, match=f"square of {side}"):
            squares(np.array([[0, corner]]), side, 8)


@pytest.mark.parametrize(("resolution", "patch"), [(64, 3), (64, 10), (64, 24), (32, 24), (64, 64)])
@pytest.mark.parametrize("kind", ["seam", "square"])
def test_a_patch_in_one_part_is_blind_to_the_other(resolution, patch, kind):
    """By the network itself: what lies in one part alone keeps its scores whatever the other part shows."""
    pool_from = {v: k for k, v in patch_sides(resolution).items()}[patch]
    network = AttributionNetwork(3, resolution, 0.1, pool_from=pool_from).double().eval()
    seam = np.array([3 * resolution // 4])
    where = right_of(seam, resolution) if kind == "seam" else squares(np.array([[0, 4]]), resolution // 2, resolution)
    x, other = torch.rand(2, 1, 3, resolution, resolution, dtype=torch.float64)
    second = torch.from_numpy(where)[:, None]
    wheres = (second, torch.zeros_like(second), torch.ones_like(second))
    scores, *alone = (network.patch_scores(torch.where(w, other, x)).detach() for w in wheres)
    found = parts(where, pool_from)
    same = np.stack([np.isclose(scores, one, rtol=0, atol=1e-12).all(-1) for one in alone])  # [2, 1, P, P]
    assert np.array_equal(same, np.stack([found == 0, found == 1]))
    assert (found == 0).any() == (patch < resolution)  # each patch of the whole network sees some of both


def test_the_seam_is_where_a_slow_search_finds_it():
    scores = RANDOM.normal(size=(6, 4, 4, 3))
    seams, pairs = find_seams(scores, 16)
    logs = np.log(np.exp(scores) / np.exp(scores).sum(-1, keepdims=True))
    for n in range(6):
        options = itertools.product((1, 2, 3), range(3), range(3))
        cut, a, b = max(
            ((c, a, b) for c, a, b in options if a != b),
            key=lambda o: logs[n, :, : o[0], o[1]].sum() + logs[n, :, o[0] :, o[2]].sum(),
        )
        assert (seams[n], *pairs[n]) == (4 * cut, a, b)


def test_a_clear_seam_is_found_with_its_sources():
    scores = np.zeros((1, 8, 8, 4), np.float32)
    scores[0, :, :3, 2] = scores[0, :, 3:, 1] = 5
    seams, pairs = find_seams(scores, 32)
    assert (seams.tolist(), pairs.tolist()) == ([12], [[2, 1]])


def test_separation_is_the_rank_statistic():
    where = squares(np.array([[0, 8], [4, 4]]), 8, 16)
    scores = RANDOM.normal(size=(2, 16, 16, 3))
    first, second = np.array([0, 1]), np.array([2, 0])
    for n, found in enumerate(separation(scores, where, first, second)):
        odds = scores[n, ..., second[n]] - scores[n, ..., first[n]]
        inside, outside = odds[where[n]], odds[~where[n]]
        assert found == pytest.approx(mannwhitneyu(inside, outside).statistic / inside.size / outside.size)
    scores[0, ..., 2] += 100 * where[0]
    assert separation(scores, where, first, second)[0] == 1
