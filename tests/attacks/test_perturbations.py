import io
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, special, stats

from fingerprintlib.attacks import relighting
from fingerprintlib.attacks.perturbations import (
    ATTACKS,
    COMBINATION,
    HANDLING,
    NOTHING,
    PAPER,
    UNSEEN,
    find_attack,
    random_words,
)
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.errors import UsageError
from fingerprintlib.runtime import step_generator

SIDE = 64


@cache
def photographs(count=40, side=SIDE):
    images = np.array(open_dataset("scenes", side).images("test", 0, count))
    images.flags.writeable = False
    return images


def difference(some, others):
    return np.abs(np.asarray(some, int) - np.asarray(others, int))


def uniform_p_value(values, low, high):
    return stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue


# --- what holds for every attack ----------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
def test_an_image_comes_out_the_same_whatever_the_batch(name):
    images, attack = photographs(), ATTACKS[name]
    together = attack(images, 3)
    assert together.dtype == np.uint8
    assert together.shape == images.shape
    pieces = [attack(images[start : start + 7], 3, first=start) for start in range(0, len(images), 7)]
    difference_in_pieces = difference(np.concatenate(pieces), together)  # float sums may be taken in another order
    assert difference_in_pieces.max() <= (0 if name in ("noise", "jpeg") else 1)
    assert (difference_in_pieces > 0).mean() < 1e-3
    chunked = attack(np.concatenate([images, images]), 3)  # beyond one chunk
    assert (difference(chunked[: len(images)], together) > 0).mean() < 1e-3


@pytest.mark.parametrize("name", ATTACKS)
def test_arrays_and_tensors_come_back_as_they_came_and_are_left_alone(name):
    images = np.array(photographs())
    kept = images.copy()
    found = ATTACKS[name](images, 1)
    tensor = ATTACKS[name](torch.from_numpy(images), 1)
    assert isinstance(found, np.ndarray)
    assert tensor.dtype == torch.uint8
    np.testing.assert_array_equal(found, tensor.numpy())
    np.testing.assert_array_equal(images, kept)
    assert difference(found, images).max() > 1


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "notch"])  # the notch has nothing random
def test_another_seed_is_another_attack_and_the_same_seed_the_same(name):
    images, attack = photographs(), ATTACKS[name]
    np.testing.assert_array_equal(attack(images, 1), attack(images, 1))
    assert (difference(attack(images, 1), attack(images, 2)) > 0).any()
    same = np.repeat(images[:1], 30, axis=0)  # and every image has its own random numbers
    assert len({one.tobytes() for one in attack(same, 1)}) > (4 if name == "blur" else 5)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_generator_is_a_seed_too(name):
    images, attack = torch.from_numpy(np.array(photographs(8))), ATTACKS[name]
    first, again, other = (attack(images, step_generator(0, step)) for step in (5, 5, 6))
    assert torch.equal(first, again)
    if name != "notch":
        assert not torch.equal(first, other)


def test_attacks_serve_as_augmentation(tmp_path):
    from fingerprintlib.attribution.networks import AttributionNetwork
    from fingerprintlib.attribution.training import Hyperparameters, fit
    from fingerprintlib.runtime import make_fabric

    images, labels = photographs(8, 32), np.arange(8) % 2
    network = AttributionNetwork(2, 32, width=0.0625)
    history = fit(
        network,
        (images, labels),
        (images, labels),
        Hyperparameters(steps=2, batch_size=4),
        checkpoint=tmp_path / "x",
        recipe={},
        fabric=make_fabric("cpu"),
        augment=COMBINATION,
    )
    assert history[-1]["step"] == 2


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.neutral is not None])
@pytest.mark.parametrize("side", [32, 64])
def test_nothing_changes_at_the_neutral_strength(name, side):
    images = photographs(40, side)
    np.testing.assert_array_equal(ATTACKS[name](images, 0, strength=ATTACKS[name].neutral), images)


@pytest.mark.parametrize("name", ATTACKS)
def test_images_need_not_be_square_nor_colourful(name):
    images = np.full((3, 48, 40, 3), 90, np.uint8)
    found = ATTACKS[name](images, 0)
    assert found.shape == images.shape
    if "noise" not in name and name != "combination":
        assert difference(found, images).max() <= 2  # nothing to blur, shift, relight or take off


def test_the_ranges_are_the_papers():
    assert [attack.name for attack in PAPER] == ["noise", "blur", "crop", "jpeg", "relight", "combination"]
    assert [attack.name for attack in UNSEEN] == ["notch", "resample"]
    drawn = {name: attack.strengths(0, 20_000) for name, attack in ATTACKS.items()}
    assert uniform_p_value(drawn["noise"], 5, 20) > 1e-3
    assert uniform_p_value(drawn["crop"], 0.05, 0.20) > 1e-3
    assert uniform_p_value(drawn["resample"], 0.9, 1.1) > 1e-3
    for name, values in {"blur": [1, 3, 5, 7, 9], "jpeg": range(10, 76)}.items():
        found, counts = np.unique(drawn[name], return_counts=True)
        assert found.tolist() == list(values)
        assert stats.chisquare(counts).pvalue > 1e-3
    assert np.corrcoef(drawn["noise"], drawn["crop"])[0, 1] < 0.03  # each has its own stream
    np.testing.assert_array_equal(ATTACKS["crop"].strengths(0, 5, first=7), drawn["crop"][7:12])


def test_random_words_are_those_of_philox_by_the_number_of_the_image():
    every = np.random.Philox(key=np.array([7, 2], np.uint64)).random_raw(10 * 8).reshape(10, 8)  # 5 words take 2 counts
    np.testing.assert_array_equal(random_words(7, 2, np.array([1, 4, 9]), 5), every[[1, 4, 9], :5])
    assert random_words(-1, 2, np.array([0]), 1)[0, 0] != random_words(1, 2, np.array([0]), 1)[0, 0]
    several = (NOTHING, *ATTACKS.values(), HANDLING, *HANDLING.members)
    assert len({attack.stream for attack in several}) == len(several)


# --- one by one -----------------------------------------------------------------------------------


@pytest.mark.parametrize("variance", [5, 12, 20])
def test_noise_has_the_variance_that_was_asked_for(variance):
    """Not its square, nor its root: a common slip takes the variance for the deviation."""
    grey = np.full((60, SIDE, SIDE, 3), 128, np.uint8)
    noise = ATTACKS["noise"](grey, 0, strength=variance).astype(float) - 128
    assert noise.var() == pytest.approx(variance + 1 / 12, rel=0.01)  # rounding adds a twelfth
    assert abs(noise.mean()) < 0.02
    expected = np.diff(stats.norm(scale=variance**0.5).cdf(np.arange(-10.5, 11)))
    counts = np.array([(noise == level).sum() for level in range(-10, 11)])
    assert stats.chisquare(counts, expected / expected.sum() * counts.sum()).pvalue > 1e-3
    assert abs(stats.kurtosis(noise, axis=None)) < 0.05


def test_noise_is_white_and_new_in_every_image():
    grey = np.full((400, 32, 32, 3), 128, np.uint8)
    noise = ATTACKS["noise"](grey, 0, strength=20).astype(float) - 128
    power = np.square(np.abs(np.fft.fft2(noise, axes=(1, 2), norm="ortho"))).mean((0, 3))
    assert np.abs(power / 20.08 - 1).max() < 0.15  # deviation 1/sqrt(1200), some 1000 frequencies
    flat = noise.reshape(400, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(400)).max() < 0.1
    channels = noise.reshape(-1, 3)
    assert np.abs(np.corrcoef(channels.T) - np.eye(3)).max() < 0.01


def test_noise_follows_the_strength_drawn_for_each_image():
    grey = np.full((300, SIDE, SIDE, 3), 128, np.uint8)
    variances = ATTACKS["noise"](grey, 4).astype(float).var(axis=(1, 2, 3)) - 1 / 12
    np.testing.assert_allclose(variances, ATTACKS["noise"].strengths(4, 300), rtol=0.08)


def test_noise_stops_at_black_and_white():
    ends = np.stack([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)])
    found = ATTACKS["noise"](ends, 0, strength=400)
    assert (found[0] < 100).all()  # nothing wraps around
    assert (found[1] > 155).all()


@pytest.mark.parametrize("side", [1, 3, 5, 7, 9, 15])
def test_blur_is_scipys_with_opencvs_deviation(side):
    """The deviation grows with the kernel; a common slip keeps it constant."""
    sigma = {1: 0.5, 3: 0.8, 5: 1.1, 7: 1.4, 9: 1.7, 15: 2.6}[side]
    images = photographs(6)
    found = ATTACKS["blur"](images, 0, strength=side)
    expected = ndimage.gaussian_filter(
        images.astype(float), (0, sigma, sigma, 0), radius=(0, side // 2, side // 2, 0), mode="mirror"
    )
    np.testing.assert_array_less(np.abs(found - expected), 0.5001)


def test_blur_follows_the_side_drawn_for_each_image():
    images = photographs()
    sides = ATTACKS["blur"].strengths(2, len(images)).astype(int)
    found = ATTACKS["blur"](images, 2)
    for side in (1, 3, 5, 7, 9):
        np.testing.assert_array_equal(
            found[sides == side], ATTACKS["blur"](images, 0, strength=side)[sides == side], err_msg=str(side)
        )


def pillow_bicubic(image, side):
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("offset", [0.05, 0.1, 0.2])
def test_crop_is_pillows(offset):
    images = photographs(30)
    side = SIDE - round(offset * SIDE)
    places = ATTACKS["crop"]._words(5, np.arange(30), 2) / 2.0**64
    found = ATTACKS["crop"](images, 5, strength=offset)
    corners = set()
    for image, (down, across), one in zip(images, places, found, strict=True):
        top, left = (int(place * (SIDE - side + 1)) for place in (down, across))
        corners.add((top, left))
        off = difference(one, pillow_bicubic(image[top : top + side, left : left + side], SIDE))
        assert off.max() <= 2  # weights are rounded otherwise, and values between rows and columns
        assert off.mean() < 0.05
    assert len(corners) > 8


def test_windows_of_the_crop_lie_anywhere():
    """A ramp tells where a window was cut: its mean is that of the window."""
    ramp = np.broadcast_to(np.arange(SIDE, dtype=np.uint8)[:, None, None], (SIDE, SIDE, 3))
    images = np.repeat(ramp[None], 2000, axis=0)
    offset = 13
    for some in (images, images.transpose(0, 2, 1, 3)):
        found = ATTACKS["crop"](some, 0, strength=0.2)
        starts = np.rint(found.mean((1, 2, 3)) - (SIDE - offset - 1) / 2).astype(int)
        values, counts = np.unique(starts, return_counts=True)
        assert values.tolist() == list(range(offset + 1))
        assert stats.chisquare(counts).pvalue > 1e-3


def test_crop_cuts_by_the_offset_drawn():
    offsets = np.rint(SIDE * ATTACKS["crop"].strengths(9, 200))
    assert offsets.min() >= 3
    assert offsets.max() <= 13
    ramp = np.broadcast_to(np.arange(SIDE, dtype=np.uint8)[:, None, None], (SIDE, SIDE, 3))
    found = ATTACKS["crop"](np.repeat(ramp[None], 200, axis=0), 9).astype(int)
    spans = found[:, -1, 0, 0] - found[:, 0, 0, 0]
    assert np.abs(spans - (SIDE - 1 - offsets)).max() <= 2


@pytest.mark.parametrize("quality", [1, 10, 40, 75, 95, 100])
def test_jpeg_is_pillows_at_this_quality_with_halved_colour(quality):
    images = photographs(10)
    found = ATTACKS["jpeg"](images, 0, strength=quality)
    for image, one in zip(images, found, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        assert difference(one, Image.open(file)).max() <= 1  # other versions of libjpeg may differ by a level


def test_jpeg_heeds_the_quality_drawn():
    """A common slip passes the quality in another place, and every image is written at the default."""
    images = photographs()
    qualities = ATTACKS["jpeg"].strengths(1, len(images)).astype(int)
    found = ATTACKS["jpeg"](images, 1)
    for index in (0, 7, 21):
        file = io.BytesIO()
        Image.fromarray(images[index]).save(file, "JPEG", quality=int(qualities[index]), subsampling="4:2:0")
        assert difference(found[index], Image.open(file)).max() <= 1
    losses = [difference(ATTACKS["jpeg"](images, 0, strength=q), images).mean() for q in (10, 30, 50, 75, 95)]
    assert all(np.diff(losses) < 0)


def plain_relight(image, share, direction):
    """Pixel by pixel normals, in float64, with SciPy's harmonics."""
    height, width, _ = image.shape
    luma = image.astype(float) @ [0.299, 0.587, 0.114]
    shading = ndimage.gaussian_filter(np.log(luma + 1), (height / 16, width / 16))
    down, across = np.gradient(shading)
    steep = max(np.sqrt((down**2 + across**2).mean()), 1e-3)
    normals = np.stack([-across / steep, -down / steep, np.ones_like(down)], -1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)

    def angles(v):
        return np.arccos(np.clip(v[..., 2], -1, 1)), np.arctan2(v[..., 1], v[..., 0])

    received = np.zeros((height, width))
    for order, share_of_order in enumerate((np.pi, 2 * np.pi / 3, np.pi / 4)):  # Ramamoorthi and Hanrahan
        for m in range(-order, order + 1):
            one = special.sph_harm_y(order, m, *angles(normals))
            received += share_of_order * (one * np.conj(special.sph_harm_y(order, m, *angles(direction)))).real
    received = 0.25 + 0.75 * received
    change = np.log(received) - shading
    return image * np.exp(share * (change - change.mean()))[..., None]


@pytest.mark.parametrize("shape", [(64, 64), (48, 40)])
def test_relighting_is_the_plain_one(shape):
    images = np.ascontiguousarray(photographs(10)[:, : shape[0], : shape[1]])
    places = ATTACKS["relight"]._words(3, np.arange(10), 2) / 2.0**64
    directions = relighting.front_directions(places)
    shares = ATTACKS["relight"].strengths(3, 10)
    found = ATTACKS["relight"](images, 3)
    for image, share, direction, one in zip(images, shares, directions, found, strict=True):
        expected = np.clip(plain_relight(image, share, direction), 0, 255)
        np.testing.assert_array_less(np.abs(one - expected), 0.51)


def test_lights_come_from_anywhere_in_front_and_are_never_dark():
    places = random_words(0, 5, np.arange(20_000), 2) / 2.0**64
    directions = relighting.front_directions(places)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    assert uniform_p_value(directions[:, 2], 0, 1) > 1e-3  # Archimedes: even on the sphere, even along an axis
    assert uniform_p_value(directions[:, 0], -1, 1) > 1e-3
    received = relighting.irradiance(torch.linspace(-1, 1, 1001, dtype=torch.float64))
    assert received.min() > 0.15
    lamp = np.clip(np.linspace(-1, 1, 1001), 0, None)  # the clamped cosine, within what three orders can do
    assert np.abs((received.numpy() - 0.25) / 0.75 - lamp).max() < 0.1


def test_relighting_changes_slowly_and_keeps_the_detail():
    images = np.clip(photographs(), 60, 190)  # so that nothing is clipped
    found = ATTACKS["relight"](images, 0, strength=0.5)
    gain = np.log((found.astype(float) + 0.5) / (images + 0.5)).mean(-1)
    rough = np.abs(np.diff(gain, axis=1)).mean()
    smoothed = np.abs(np.diff(ndimage.gaussian_filter(gain, (0, 2, 2)), axis=1)).mean()
    assert np.abs(gain).mean() > 0.05
    assert smoothed > 0.5 * rough


def test_the_combination_is_its_members_one_after_the_other():
    """Relight, crop, blur, JPEG, noise, each done with its own coin; a common slip does one of them only."""
    images = photographs()
    order = ("relight", "crop", "blur", "jpeg", "noise")
    chosen = COMBINATION.chosen(6, len(images))
    found = COMBINATION(images, 6)
    for index in range(len(images)):
        one = images[index : index + 1]
        for name, now in zip(order, chosen[index], strict=True):
            if now:
                one = ATTACKS[name](one, 6, first=index)
        assert difference(found[index], one[0]).max() <= 1
    assert (difference(COMBINATION(images, 6), found) == 0).all()


def test_each_member_comes_half_of_the_time_independently():
    chosen = COMBINATION.chosen(0, 20_000)
    assert chosen.shape == (20_000, 5)
    for member in chosen.T:
        assert stats.binomtest(int(member.sum()), 20_000).pvalue > 1e-3
    counts = np.bincount(chosen @ (1 << np.arange(5)), minlength=32)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert COMBINATION.chosen(0, 1000, strength=0.9).mean() == pytest.approx(0.9, abs=0.02)


def test_the_combinations_noise_is_the_last_and_its_jpeg_before():
    images = photographs()
    both = [(COMBINATION.chosen(seed, len(images)) == [False, False, False, True, True]).all(1) for seed in range(20)]
    seed, index = np.argwhere(both)[0].tolist()
    found = COMBINATION(images, seed)
    alone = ATTACKS["noise"](images, seed).astype(int) - images
    without = ATTACKS["jpeg"](images[index : index + 1], seed, first=index)[0]
    inside = (images[index] > 20) & (images[index] < 235) & (without > 20) & (without < 235)
    np.testing.assert_array_equal((found[index].astype(int) - without)[inside], alone[index][inside])


@pytest.mark.parametrize("factor", [0.9, 0.95, 1.1])
def test_resampling_is_pillows_there_and_back(factor):
    images = photographs(10)
    for image, one in zip(images, ATTACKS["resample"](images, 0, strength=factor), strict=True):
        off = difference(one, pillow_bicubic(pillow_bicubic(image, round(SIDE * factor)), SIDE))
        assert off.max() <= 3
        assert off.mean() < 0.1


def test_the_notch_takes_off_the_peaks_and_nothing_else():
    images = np.clip(photographs(), 40, 215)
    images = images[images.std((1, 2)).min(1) > 15]
    row, column = np.mgrid[:SIDE, :SIDE]
    pattern = 8.0 * np.cos(np.pi * column) + 6 * np.cos(np.pi / 2 * row) + 6 * np.cos(np.pi / 4 * (row + column))
    marked = np.rint(images + pattern[..., None]).astype(np.uint8)
    found = ATTACKS["notch"](marked, 0)

    def size(some, down, across):
        return np.abs(np.fft.fft2(some, axes=(1, 2)))[:, down, across].mean()

    for down, across in [(0, 32), (16, 0), (8, 8)]:
        assert size(marked, down, across) > 2 * size(images, down, across)
        near = [(d, a) for d in range(-2, 3) for a in range(-2, 3) if max(abs(d), abs(a)) == 2]
        around = [size(found, (down + d) % SIDE, (across + a) % SIDE) for d, a in near]
        assert size(found, down, across) < 1.3 * np.mean(around)
    for down, across in [(5, 20), (20, 28), (3, 3)]:
        assert size(found, down, across) == pytest.approx(size(marked, down, across), rel=0.2)  # contrast restored
    np.testing.assert_allclose(found.mean((1, 2)), marked.mean((1, 2)), atol=0.15)
    np.testing.assert_allclose(found.std((1, 2)), marked.std((1, 2)), rtol=0.02)
    half = ATTACKS["notch"](marked, 0, strength=0.5)
    assert size(found, 0, 32) < size(half, 0, 32) < size(marked, 0, 32)


def test_the_notch_leaves_noise_nearly_alone():
    noise = np.random.default_rng(0).normal(128, 20, (20, SIDE, SIDE, 3)).round().clip(0, 255).astype(np.uint8)
    changed = ATTACKS["notch"](noise, 0).astype(float) - noise
    assert changed.var() / noise.var() < 0.05  # 9 of 64 frequencies, and of those the part above the median


# --- what is refused ------------------------------------------------------------------------------


def test_an_unknown_attack_is_refused_with_the_nearest():
    assert find_attack("blur") is ATTACKS["blur"]
    with pytest.raises(UsageError, match=r"Unknown attack 'jpg'.*'jpeg'"):
        find_attack("jpg")


@pytest.mark.parametrize(
    ("name", "strength", "message"),
    [
        ("noise", -1, r"strength of noise \(variance, squared levels of 255\) must be from 0 to 10000, not -1"),
        ("noise", float("nan"), "not nan"),
        ("noise", "strong", "not strong"),
        ("blur", 4, r"side of the kernel, pixels\) must be from 1 to 31 in steps of 2, not 4"),
        ("crop", 0.8, "from 0 to 0.75"),
        ("jpeg", 0, "quality.*from 1 to 100 in steps of 1, not 0"),
        ("jpeg", 50.5, "steps of 1, not 50.5"),
        ("relight", 1.5, "from 0 to 1"),
        ("combination", 2, "probability"),
        ("resample", 5, "from 0.25 to 4"),
    ],
)
def test_strengths_that_there_are_not_are_refused(name, strength, message):
    with pytest.raises(UsageError, match=message):
        ATTACKS[name](photographs(2), 0, strength=strength)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), "must be uint8.*float32"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"\[N, H, W, 3\], not \[2, 3, 8, 8\]"),
        (torch.zeros(2, 8, 8, 3), r"uint8 \[N, H, W, 3\], not float32 \[2, 8, 8, 3\]. Quantize"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"not uint8 \[2, 3, 8, 8\]. Pass images.permute\(0, 2, 3, 1\)"),
        (torch.zeros(0, 8, 8, 3, dtype=torch.uint8), r"\[0, 8, 8, 3\]"),
    ],
)
def test_images_of_another_kind_are_refused(images, message):
    with pytest.raises(UsageError, match=message):
        ATTACKS["noise"](images, 0)


def test_what_cannot_be_done_to_small_images_is_refused():
    small = np.zeros((1, 16, 16, 3), np.uint8)
    with pytest.raises(UsageError, match="16x16; peaks have room from 32x32 on"):
        ATTACKS["notch"](small, 0)
    with pytest.raises(UsageError, match="kernel of 31 pixels is too large for images of 8x8"):
        ATTACKS["blur"](small[:, :8, :8], 0, strength=31)
    with pytest.raises(UsageError, match="first must be 0 or above"):
        ATTACKS["noise"](small, 0, first=-1)


def test_nothing_leaves_images_as_they_are():
    images = photographs(8)
    assert np.array_equal(NOTHING(images, 0), images)
    assert torch.equal(
        NOTHING(torch.from_numpy(np.array(images)), torch.Generator().manual_seed(1)),
        torch.from_numpy(np.array(images)),
    )
