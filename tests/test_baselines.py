import numpy as np
import pytest

from fingerprintlib.baselines import HistogramProbe, channel_histograms
from fingerprintlib.errors import UsageError
from fingerprintlib.images import equalize


def tinted(count, seed):
    """Noise of two sources that differ in brightness only."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.integers(0, 200, (count, 16, 16, 3)) + 40 * labels[:, None, None, None]
    return images.astype(np.uint8), labels


def test_histograms_against_numpy():
    images = tinted(3, 0)[0]
    expected = [
        np.concatenate([np.histogram(image[..., c], bins=32, range=(0, 256))[0] for c in range(3)]) / 256
        for image in images
    ]
    np.testing.assert_allclose(channel_histograms(images), expected, rtol=1e-6)


def test_probe_finds_colours_and_only_colours():
    (images, labels), (unseen, answers) = tinted(200, 0), tinted(200, 1)
    assert HistogramProbe().fit(images, labels).score(unseen, answers) > 0.95
    probe = HistogramProbe().fit(equalize(images), labels)
    assert probe.score(equalize(unseen), answers) == 0.5  # it cannot but give one answer to all


def test_probe_is_deterministic():
    images, labels = tinted(60, 0)
    images[::3] = tinted(60, 5)[0][::3]
    first, again = (HistogramProbe().fit(images, labels).predict(tinted(50, 2)[0]) for _ in range(2))
    assert first.dtype == np.int64
    assert np.array_equal(first, again)


def test_bad_arguments_are_refused_by_name():
    images, labels = tinted(4, 0)
    with pytest.raises(UsageError, match=r"Call fit\(images, labels\) first"):
        HistogramProbe().predict(images)
    with pytest.raises(UsageError, match=r"images must be uint8.*float64"):
        HistogramProbe().fit(images / 255, labels)
    with pytest.raises(UsageError, match=r"labels must be \[4\]"):
        HistogramProbe().fit(images, labels[:3])
    with pytest.raises(UsageError, match="at least two classes"):
        HistogramProbe().fit(images, labels * 0)
    with pytest.raises(UsageError, match="bins must divide 256"):
        channel_histograms(images, 33)
