import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fingerprintlib.analysis.perceptual import ms_ssim
from fingerprintlib.attacks.removal import exchange_patterns, learn_patches, through_patches, visible_change
from fingerprintlib.attribution.baselines import PRNU
from fingerprintlib.errors import UsageError

SIDE = 32


def marked(count, seed=0):
    """Noise of three sources; the second and the third have a faint checkered and striped pattern."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    noise = rng.normal(128, 6, (count, SIDE, SIDE, 3))
    rows, columns = np.indices((SIDE, SIDE))
    noise[labels == 1] += (1 - 2 * ((rows + columns) % 2))[..., None]
    noise[labels == 2] += (1 - 2 * (columns % 2))[..., None]
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def prnu():
    return PRNU().fit(*marked(300))


def test_the_pattern_of_another_source_is_blamed_and_without_the_own_nothing_points_to_it(prnu):
    images, labels = marked(120, seed=1)
    images, labels = images[labels > 0], labels[labels > 0]
    targets = 3 - labels
    assert np.mean(prnu.predict(images) == labels) > 0.95
    forged = exchange_patterns(images, prnu.patterns_, labels, targets, strength=1)
    assert np.mean(prnu.predict(forged) == targets) > 0.95
    without = prnu.correlations(exchange_patterns(images, prnu.patterns_, labels))
    own = without[np.arange(len(labels)), labels]
    assert abs(own.mean()) < 3 * own.std() / len(own) ** 0.5 + 0.01  # the residual is not quite linear in the image
    assert prnu.correlations(images)[np.arange(len(labels)), labels].mean() > 0.1


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.uint8, (3, 4, 5, 3)),
    arrays(np.float32, (2, 4, 5, 3), elements=st.floats(-9, 9, width=32)),
    st.floats(0, 40),
)
def test_it_is_image_less_own_plus_other(images, patterns, strength):
    labels, targets = np.array([0, 1, 1]), np.array([1, 1, 0])
    found = exchange_patterns(images, patterns, labels, targets, strength)
    assert found.dtype == np.uint8
    for image, label, target, one in zip(images, labels, targets, found, strict=True):
        wanted = image + strength * (patterns[target].astype(float) - patterns[label])
        assert np.abs(one - np.clip(wanted, 0, 255)).max() <= 0.5 + 1e-3  # rounded, from float32
    assert np.array_equal(found[1], images[1])  # one's own for one's own
    assert np.array_equal(exchange_patterns(images, patterns, labels, strength=0), images)


def photographs(count=40, seed=0):
    """Constant along columns, so that none has any vertical detail."""
    rows = np.random.default_rng(seed).normal(120, 30, (count, 1, 24, 3)).repeat(24, 1)
    return np.clip(rows, 0, 255).astype(np.uint8)


def test_what_photographs_have_not_is_taken_away():
    components = learn_patches(photographs(), share=0.9999)
    kin = photographs(5, seed=1)
    np.testing.assert_allclose(through_patches(kin, components), kin, atol=3)  # a ten-thousandth of 30**2 is 0.3**2
    stripes = 20 * (1 - 2 * (np.arange(24) % 2))[None, :, None, None]
    striped = np.clip(kin.astype(int) + stripes, 0, 255).astype(np.uint8)
    rebuilt = through_patches(striped, components).astype(float)
    assert np.abs(np.diff(striped.astype(float), axis=1)).mean() > 30
    assert np.abs(np.diff(rebuilt, axis=1)).mean() < 1  # stripes of a square of 8 rows add up to nothing


def test_it_is_the_mean_of_least_squares_in_every_square():
    rng = np.random.default_rng(0)
    some = rng.normal(120, 40, (30, 16, 16, 3)).cumsum(1).cumsum(2)
    some = (255 * (some - some.min()) / np.ptp(some)).astype(np.uint8)
    components = learn_patches(some, share=0.99)
    image = some[0, :12, :13]
    total, count = np.zeros(image.shape), np.zeros(image.shape)
    for y in range(5):
        for x in range(6):
            square = image[y : y + 8, x : x + 8].ravel() - components.mean_
            scores = np.linalg.lstsq(components.components_.T, square, rcond=None)[0]
            total[y : y + 8, x : x + 8] += (components.mean_ + scores @ components.components_).reshape(8, 8, 3)
            count[y : y + 8, x : x + 8] += 1
    wanted = np.clip(total / count, 0, 255)
    assert np.abs(through_patches(image[None], components)[0] - wanted).max() <= 0.5 + 0.01  # rounded, from float32


def test_components_are_as_few_as_hold_the_share():
    photos = photographs()
    few, many = (learn_patches(photos, share) for share in (0.5, 0.9))
    assert few.n_components_ < many.n_components_ <= 24  # 8 columns of 3 channels are all that varies
    assert many.explained_variance_ratio_.sum() >= 0.9 > many.explained_variance_ratio_[:-1].sum()
    again = learn_patches(photos, 0.5)
    np.testing.assert_array_equal(again.components_, few.components_)


def test_change_is_measured_as_defined():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 16, 16, 1), np.uint8).repeat(3, -1)
    changed = np.clip(images + rng.integers(-9, 10, images.shape[:3])[..., None], 0, 255).astype(np.uint8)
    found = visible_change(images, changed)
    differences = (changed.astype(float) - images).ravel()
    assert found.rms == pytest.approx(np.linalg.norm(differences) / len(differences) ** 0.5)
    assert found.largest == max(differences.max(), -differences.min())
    assert found.ssim == pytest.approx(ms_ssim(images, changed).mean(), abs=2e-5)  # at 16 pixels it has one scale
    assert visible_change(images, images) == (0, 0, 1)


def test_the_structural_similarity_sees_a_change_of_colours_alone():
    rng = np.random.default_rng(0)
    images = rng.integers(60, 200, (2, 16, 16, 3)).astype(np.uint8)
    changed = images.copy()
    changed[..., 2] = rng.integers(60, 200, (2, 16, 16))
    whole = visible_change(images, changed).ssim
    blue = visible_change(images[..., 2:].repeat(3, -1), changed[..., 2:].repeat(3, -1)).ssim
    assert whole == pytest.approx((2 + blue) / 3)


IMAGES = np.zeros((2, 16, 16, 3), np.uint8)
PATTERNS = np.zeros((3, 16, 16, 3), np.float32)
ONES = np.ones(2, int)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exchange_patterns(IMAGES, PATTERNS[:, :8], ONES), r"patterns are \[8, 16, 3\]"),
        (lambda: exchange_patterns(IMAGES / 2, PATTERNS, ONES), "must be uint8"),
        (lambda: exchange_patterns(IMAGES, PATTERNS, 3 * ONES), "labels must be from 0 to 2"),
        (lambda: exchange_patterns(IMAGES, PATTERNS, ONES, 3 * ONES), "targets must be from 0 to 2"),
        (lambda: exchange_patterns(IMAGES, PATTERNS, ONES, strength=-1), "strength must be"),
        (lambda: exchange_patterns(IMAGES, PATTERNS, ONES, strength=np.nan), "strength must be"),
        (lambda: learn_patches(IMAGES, share=1), "share must be between 0 and 1"),
        (lambda: learn_patches(IMAGES[:, :6]), "images are 6x16; give some of 8x8"),
        (lambda: through_patches(IMAGES[:, :, :7], learn_patches(photographs())), "images are 16x7"),
        (lambda: visible_change(IMAGES, IMAGES[:1]), "must have one shape"),
        (lambda: visible_change(IMAGES[:, :8], IMAGES[:, :8]), "11x11"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()
