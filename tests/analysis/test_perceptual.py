from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from fingerprintlib.analysis.perceptual import (
    WEIGHTS,
    best_looking,
    ms_ssim,
    nearest_by_ms_ssim,
    nearest_real,
    rank_within,
    scale_count,
)
from fingerprintlib.errors import FingerprintsError, UsageError


def images(count, side, seed=0):
    """Smooth ones, with some noise."""
    noise = np.random.default_rng(seed).normal(size=(count, side, side, 3))
    smooth = gaussian_filter(noise, (0, side / 16, side / 16, 0)) * side / 4
    return np.clip(128 + 40 * smooth + 12 * noise, 0, 255).astype(np.uint8)


def luma(some):
    return some.astype(np.float64) @ [0.299, 0.587, 0.114]


def parts(x, y):
    """Luminance-with-structure and structure alone, by SciPy's filter, in float64."""
    blur = lambda z: gaussian_filter(z, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]  # noqa: E731
    mx, my = blur(x), blur(y)
    c1, c2 = 2.55**2, 7.65**2
    structure = (2 * (blur(x * y) - mx * my) + c2) / (blur(x * x) - mx**2 + blur(y * y) - my**2 + c2)
    return ((2 * mx * my + c1) / (mx**2 + my**2 + c1) * structure).mean(), structure.mean()


def plainly(x, y, scales):
    weights, product = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales]), 1.0
    for scale in range(scales):
        both, structure = parts(x, y)
        product *= max(both if scale == scales - 1 else structure, 0) ** weights[scale]
        x, y = (z.reshape(len(z) // 2, 2, -1, 2).mean((1, 3)) for z in (x, y))
    return product


@pytest.mark.parametrize(("side", "scales"), [(16, 1), (32, 2), (64, 3), (128, 4)])
def test_it_is_the_formula(side, scales):
    first, second = images(3, side), images(3, side, 1)
    second[0] = first[0] // 2 + 60
    assert scale_count(side) == scales
    expected = [plainly(luma(x), luma(y), scales) for x, y in zip(first, second, strict=True)]
    np.testing.assert_allclose(ms_ssim(first, second), expected, atol=2e-5)


def test_at_one_scale_it_is_scikit_images():
    first, second = images(4, 16), images(4, 16, 1)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = [structural_similarity(luma(x), luma(y), **options) for x, y in zip(first, second, strict=True)]
    np.testing.assert_allclose(ms_ssim(first, second), np.maximum(expected, 0), atol=2e-5)


def test_equal_images_are_alike_and_the_order_does_not_matter():
    first, second = images(5, 64), images(5, 64, 1)
    np.testing.assert_allclose(ms_ssim(first, first), 1, atol=1e-5)
    np.testing.assert_allclose(ms_ssim(first, second), ms_ssim(second, first), atol=1e-6)
    assert (ms_ssim(first, second) < 0.9).all()


def test_no_image_is_more_alike_than_equal_ones():
    """In flat bright images the variances are rounding errors; their quotient went beyond 1, distances below 0."""
    rng = np.random.default_rng(0)
    images = rng.normal(200, 1, (24, 64, 64, 3)).round().astype(np.uint8)
    others = images + (rng.random(images.shape) < 0.001).astype(np.uint8)
    found = ms_ssim(images, others)
    assert (found <= 1).all()
    assert (found > 0.999).all()


def test_the_nearest_is_found():
    some, others = images(40, 64), images(60, 64, 1)
    places, distances = nearest_by_ms_ssim(some, others)
    every = nearest_by_ms_ssim(some, others, candidates=60)[1]
    everything = np.stack([1 - ms_ssim(some, np.broadcast_to(one, some.shape).copy()) for one in others], 1)  # [40, 60]
    assert (everything.min(1) <= distances + 1e-5).all()
    assert np.abs(everything[np.arange(40), places] - distances).max() < 1e-5
    np.testing.assert_allclose(every, everything.min(1), atol=1e-5)
    assert (distances - every).mean() < 0.05 * every.mean()  # what the preselection misses is hardly nearer
    copies = nearest_real(others[::7], others)
    assert np.array_equal(copies[0], np.arange(60)[::7])
    assert copies[1].max() < 1e-5


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="as many"):
        ms_ssim(images(2, 16), images(3, 16))
    with pytest.raises(UsageError, match="at least 16x16"):
        ms_ssim(images(2, 16)[:, :8], images(2, 16)[:, :8])
    with pytest.raises(UsageError, match="as large"):
        nearest_by_ms_ssim(images(2, 16), images(2, 32))
    with pytest.raises(UsageError, match=r"Unknown distance 'ssim'.*ms-ssim"):
        nearest_real(images(2, 16), images(2, 16), "ssim")


def test_ranks_are_those_of_the_group():
    ranks = rank_within(np.array([5.0, 1, 7, 3, 2, 1]), np.array([0, 0, 1, 0, 0, 1]))
    np.testing.assert_allclose(ranks, [0.75, 0, 0.5, 0.5, 0.25, 0])
    values = np.random.default_rng(0).random(40)
    assert (rank_within(values, np.zeros(40, int)) < 0.1).sum() == 4
    assert rank_within(np.ones(3), np.zeros(3, int)).tolist() == [0, 1 / 3, 2 / 3]


@pytest.mark.parametrize("side", [32, 64])
def test_by_alexnet_a_copy_is_nearest(monkeypatch, side):
    """With random weights in place of those that would have to be downloaded."""
    import torchvision.models

    plain = torchvision.models.alexnet
    with torch.random.fork_rng():
        torch.manual_seed(0)
        monkeypatch.setattr(torchvision.models, "alexnet", lambda weights: plain(weights=None))
        some, others = images(6, side), images(9, side, 1)
        others[[2, 5]] = some[[0, 4]]
        places, distances = nearest_real(some, others, "alexnet")
    assert (places[0], places[4]) == (2, 5)
    np.testing.assert_allclose(distances[[0, 4]], 0, atol=1e-3)
    assert (distances[[1, 2, 3, 5]] > 0.01).all()


def test_without_a_network_alexnet_says_what_to_do(monkeypatch):
    import torchvision.models

    def refuse(weights):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models, "alexnet", refuse)
    with pytest.raises(FingerprintsError, match="distance='ms-ssim'"):
        nearest_real(images(2, 32), images(2, 32), "alexnet")


def test_only_images_of_the_very_generators_that_were_looked_at_are_found():
    names = ("real", "progan", "sngan")
    sources = {
        "real": {"origin": "r"},
        "progan": {"weights": "p", "sampling_seed": 0},
        "sngan": {"weights": "of another", "sampling_seed": 0},
    }
    labels = np.repeat(np.arange(3), 4)
    corpus = SimpleNamespace(
        class_names=names, card={"recipe": {"sources": sources}}, split=lambda split: (None, labels)
    )
    looked_at = {
        "progan": {"weights": "p", "seed": 0, "best": [2, 0, 4]},
        "sngan": {"weights": "s", "seed": 0, "best": [1]},
        "vae": {"weights": "v", "seed": 0, "best": [1]},
    }
    assert best_looking(looked_at, corpus).tolist() == [6, 4]
    looked_at["progan"]["seed"] = 1
    assert best_looking(looked_at, corpus).dtype == np.int64
    assert len(best_looking(looked_at, corpus)) == 0
