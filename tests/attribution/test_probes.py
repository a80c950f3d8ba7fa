import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from fingerprintlib.attribution.probes import (
    DifferenceProbe,
    HistogramProbe,
    MotifProbe,
    PlainProbe,
    TieProbe,
    channel_histograms,
    difference_pairs,
    joint_histograms,
    largest_ties,
    thumbnails,
    tie_sizes,
)
from fingerprintlib.data.images import coloured, equalize
from fingerprintlib.errors import UsageError


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


def test_joint_histograms_against_loops():
    images = np.random.default_rng(3).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    expected = np.zeros((2, 6**3))
    for number, image in enumerate(images):
        for pixel in image.reshape(-1, 3):
            red, green, blue = (int(value) * 6 // 256 for value in pixel)
            expected[number, 36 * red + 6 * green + blue] += 1 / 20
    np.testing.assert_allclose(joint_histograms(images), expected, rtol=1e-6)


def test_difference_pairs_against_loops():
    grey = np.random.default_rng(5).integers(0, 256, (2, 5, 4, 1), dtype=np.uint8).repeat(3, -1)
    grey[0, :3] //= 64  # small differences, too

    def size(a, b):
        up = sum(abs(int(b) - int(a)) > end for end in (0, 1, 2, 4, 8, 16, 32, 64))
        return 8 + up if b > a else 8 - up

    expected = np.zeros((2, 3, 17, 17))
    for n, image in enumerate(grey[..., 0]):
        for y in range(5):
            for x in range(4):
                if x < 2:
                    one, other = size(image[y, x], image[y, x + 1]), size(image[y, x + 1], image[y, x + 2])
                    expected[n, 0, one, other] += 1 / 10
                if y < 3:
                    one, other = size(image[y, x], image[y + 1, x]), size(image[y + 1, x], image[y + 2, x])
                    expected[n, 1, one, other] += 1 / 12
                if x < 3 and y < 4:
                    one, other = size(image[y, x], image[y, x + 1]), size(image[y, x], image[y + 1, x])
                    expected[n, 2, one, other] += 1 / 12
    np.testing.assert_allclose(difference_pairs(grey), expected.reshape(2, -1), rtol=1e-6)
    with pytest.raises(UsageError, match="3 pixels a side"):
        difference_pairs(grey[:, :2])


def test_differences_tell_what_no_histogram_does():
    def patterned(seed):
        """The same values in every image, at random places or in stripes two pixels wide."""
        rng, labels = np.random.default_rng(seed), np.arange(120) % 2
        stripes = np.tile(np.repeat([40, 200], 2), (16, 4))
        images = [stripes if k else rng.permutation(stripes.ravel()).reshape(16, 16) for k in labels]
        return np.stack(images).astype(np.uint8)[..., None].repeat(3, -1), labels

    learn, held, asked = (patterned(seed) for seed in range(3))
    assert DifferenceProbe().fit(*learn, held).score(*asked) == 1
    assert HistogramProbe().fit(*learn).score(*asked) == 0.5


def test_largest_ties():
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)  # no two values alike
    images[1, :2, :, 1] = 7
    np.testing.assert_allclose(largest_ties(images), [1 / 16, 8 / 16])


def test_colours_that_occur_together_survive_equalizing_but_not_grey():
    rng = np.random.default_rng(4)
    base = rng.integers(0, 256, (300, 16, 16, 1), dtype=np.uint8)
    labels = np.arange(300) % 2
    other = np.where(labels[:, None, None, None] == 0, base, 255 - base)  # alike or opposed channels
    images = np.concatenate([base, other, base], axis=-1)
    for colour, score in (("equalized", 1.0), ("grey", 0.5)):
        same = coloured(images, colour)
        probe = HistogramProbe(joint=True).fit(same[:200], labels[:200])
        assert probe.score(same[200:], labels[200:]) == score
    equal = coloured(images, "equalized")
    assert HistogramProbe().fit(equal[:200], labels[:200]).score(equal[200:], labels[200:]) == 0.5


def test_probe_is_deterministic():
    images, labels = tinted(60, 0)
    images[::3] = tinted(60, 5)[0][::3]
    first, again = (HistogramProbe().fit(images, labels).predict(tinted(50, 2)[0]) for _ in range(2))
    assert first.dtype == np.int64
    assert np.array_equal(first, again)


def test_bad_arguments_are_refused_by_name():
    images, labels = tinted(4, 0)
    with pytest.raises(NotFittedError, match=r"This HistogramProbe instance is not fitted yet. Call 'fit'"):
        HistogramProbe().predict(images)
    with pytest.raises(UsageError, match=r"images must be uint8.*float64"):
        HistogramProbe().fit(images / 255, labels)
    with pytest.raises(UsageError, match=r"labels must be \[4\]"):
        HistogramProbe().fit(images, labels[:3])
    with pytest.raises(UsageError, match="at least two classes"):
        HistogramProbe().fit(images, labels * 0)


def test_tie_sizes_count_equal_lumas_whatever_they_are():
    image = np.zeros((1, 4, 4, 3), np.uint8)
    image[0, 0] = 200  # four pixels
    image[0, 1, 0] = (1, 2, 3)
    sizes = tie_sizes(image)
    np.testing.assert_allclose(sizes[0, :4], [11 / 16, 4 / 16, 1 / 16, 0])
    assert np.array_equal(tie_sizes(255 - image), sizes)


def test_the_tie_probe_sees_flat_areas_and_not_colours():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (100, 16, 16, 3), np.uint8), np.arange(100) % 2
    images[labels == 1, :8] = rng.integers(0, 256, (50, 1, 1, 3))
    unseen = rng.permutation(100)[:50]
    assert TieProbe().fit(images, labels).score(255 - images[unseen], labels[unseen]) == 1
    noise, tint = tinted(200, 0)
    assert TieProbe().fit(noise, tint).score(*tinted(200, 1)) < 0.65


def test_thumbnails_are_means_over_blocks():
    image = np.zeros((1, 16, 16, 3), np.uint8)
    image[0, :2, 2:4] = 200
    found = thumbnails(image)
    assert found.shape == (1, 64)
    np.testing.assert_allclose(found[0], 200 * np.eye(64)[1], atol=1e-4)
    assert thumbnails(image, side=4)[0, 0] == pytest.approx(50)
    checkerboard = np.broadcast_to((255 * (np.indices((16, 16)).sum(0) % 2))[None, :, :, None], (1, 16, 16, 3))
    assert np.ptp(thumbnails(checkerboard.astype(np.uint8))) < 1e-3  # what an enlarging layer leaves is not seen
    with pytest.raises(UsageError, match="not 5 blocks a side"):
        thumbnails(image, side=5)


def test_the_plain_probe_sees_motifs_colours_and_flat_areas_and_no_fine_structure():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    noise = rng.integers(60, 200, (200, 16, 16, 3)).astype(np.int64)

    def score(images, colour="as_is"):
        images = images.clip(0, 255).astype(np.uint8)
        return PlainProbe(colour).fit(images[:120], labels[:120]).score(images[120:], labels[120:])

    shape = 40 * (np.indices((16, 16))[0] < 8)[:, :, None] * labels[:, None, None, None]
    assert score(noise + shape, "grey") > 0.95
    assert score(noise + 30 * labels[:, None, None, None] * np.array([1, 0, 0])) > 0.9
    flat = noise.copy()
    flat[labels == 1, :4] = 130
    assert score(flat, "grey") > 0.95  # in grey images it is noise, but these were seen before
    stripes = 20 * (np.indices((16, 16))[1] % 2)[:, :, None] * (2 * labels - 1)[:, None, None, None]
    assert score(noise + stripes, "grey") < 0.7


def test_the_plain_probe_weighs_all_other_classes_against_the_first():
    """Where the first class is told easily and the others are one another's like, its evidence still parts them."""
    rng = np.random.default_rng(0)
    labels, noise = np.arange(240) % 4, rng.integers(60, 180, (240, 16, 16, 3), np.uint8)
    noise[labels == 0, :8] += 40
    probe = PlainProbe().fit(noise[:160], labels[:160])
    evidence, others = probe.evidence(noise[160:]), labels[160:] > 0
    assert evidence[others].min() > evidence[~others].max()
    assert probe.score(noise[160:], labels[160:]) < 0.7  # the others it guesses


def test_the_motif_probe_sees_shapes_and_every_pixel_of_what_is_no_larger_than_a_thumbnail():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2

    def score(size, mark):
        noise = rng.integers(60, 200, (200, size, size, 3)).astype(np.int64)
        seen = (noise + mark[:, :, None] * labels[:, None, None, None]).clip(0, 255).astype(np.uint8)
        return MotifProbe().fit(seen[:120], labels[:120]).score(seen[120:], labels[120:])

    checkerboard = np.indices((16, 16)).sum(0) % 2
    assert score(16, 40 * (np.indices((16, 16))[0] < 8)) > 0.95
    assert score(16, 60 * checkerboard - 30) < 0.7  # within the blocks it is none
    assert score(8, 60 * checkerboard[:8, :8] - 30) > 0.95
    few = MotifProbe(images=20).fit(rng.integers(0, 256, (200, 16, 16, 3), np.uint8), labels)
    assert few.model_[0].n_samples_seen_ == 20
