"""The feature space against a second implementation in float64, its symmetries, and what is measured in it."""

import json
import math
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from scipy.ndimage import correlate

from fingerprintlib.attribution.networks import AttributionNetwork
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.errors import FingerprintsError, UsageError
from fingerprintlib.statistics.distances import frechet_distance, kernel_distance
from fingerprintlib.zoo import quality
from fingerprintlib.zoo.quality import (
    GROUPS,
    SPACES,
    Reference,
    filter_bank_features,
    inception_features,
    random_network_features,
    relative_nearest,
    resembled,
    verdict,
)

COUNT = 200
QUARTERS = 4
#: Where each kind of feature lies: [kind, ...] of the 92.
MEANS = np.arange(12).reshape(3, QUARTERS)
FINEST = np.arange(12, 16)
SCALES = [np.arange(16 + 19 * scale, 16 + 19 * scale + 19) for scale in range(4)]
ORIENTED = np.stack([scale[:16].reshape(4, QUARTERS) for scale in SCALES])  # [scale, orientation, quarter]
COLOURS = np.stack([scale[16:18] for scale in SCALES])
PEAKED = np.array([scale[18] for scale in SCALES])


@pytest.fixture(scope="module")
def scenes():
    return open_dataset("scenes", 64)


@pytest.fixture(scope="module")
def crops(scenes):
    return scenes.images("gan", 0, COUNT)


@pytest.fixture(scope="module")
def reference(scenes, crops):
    return Reference.of(scenes, crops)


# --- the filter bank ----------------------------------------------------------------------------


def second_implementation(image):
    """The docstring in NumPy, an image at a time, in float64."""
    floor = (0.5 / 255) ** 2
    r, g, b = np.moveaxis(image / 127.5 - 1, -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    planes = [y, r - y, b - y]

    def quarters(x):
        h, w = (side // 2 for side in x.shape)
        return [part.mean() for part in (x[:h, :w], x[:h, w:], x[h:, :w], x[h:, w:])]

    def decades(energy):
        return np.log10(np.asarray(energy) + floor) / 2

    found = [value for plane in planes for value in quarters(plane)]
    binomial = np.outer([1, 2, 1], [1, 2, 1]) / 16
    found += list(decades(quarters((y - correlate(y, binomial, mode="nearest")) ** 2)))
    v, u = np.mgrid[-4:5, -4:5]
    window = np.exp(-(u**2 + v**2) / (2 * 1.5**2))
    for scale in range(4):
        step = 2**scale
        energies = []
        for plane in planes:
            side = len(plane) // step
            level = plane.reshape(side, step, side, step).mean((1, 3))
            for k in range(4):
                along = 2 * math.pi / 3 * (u * math.cos(math.pi * k / 4) + v * math.sin(math.pi * k / 4))
                energy = 0
                for wave in (np.cos(along), np.sin(along)):
                    kernel = window * (wave - (window * wave).sum() / window.sum())
                    energy = energy + correlate(level, kernel / np.sqrt((kernel**2).sum()), mode="nearest") ** 2
                energies.append(energy)
        found += [value for energy in energies[:4] for value in decades(quarters(energy))]
        found += [decades(np.mean(energies[4:8])), decades(np.mean(energies[8:]))]
        e = np.stack(energies[:4]) + floor
        found.append(np.log10((e**2).mean() / e.mean() ** 2) / 2)
    return np.array(found)


@pytest.mark.parametrize("side", [32, 64, 128])
def test_the_features_are_those_of_a_second_implementation(side):
    images = open_dataset("scenes", side).images("gan", 0, 3)
    found = filter_bank_features(images)
    assert found.shape == (3, 92)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [second_implementation(image) for image in images], atol=2e-4)


def test_features_do_not_depend_on_the_company(crops, monkeypatch):
    together = filter_bank_features(crops[:30])
    monkeypatch.setattr(quality, "CHUNK", 7)
    np.testing.assert_allclose(filter_bank_features(crops[:30]), together, atol=1e-5)
    np.testing.assert_allclose(filter_bank_features(crops[13:14])[0], together[13], atol=1e-5)
    np.testing.assert_allclose(filter_bank_features(crops[29::-1]), together[::-1], atol=1e-5)


def test_a_brighter_image_differs_in_its_means_of_brightness_alone(crops):
    images = crops[:20] // 2 + 30
    before, after = filter_bank_features(images), filter_bank_features(images + 40)
    np.testing.assert_allclose(after[:, MEANS[0]] - before[:, MEANS[0]], 40 / 127.5, atol=1e-5)
    others = np.setdiff1d(np.arange(92), MEANS[0])
    np.testing.assert_allclose(after[:, others], before[:, others], atol=1e-3)


def test_a_flat_image_has_means_and_nothing_else():
    colours = np.array([[0, 0, 0], [255, 255, 255], [200, 30, 90]], np.uint8)
    found = filter_bank_features(np.broadcast_to(colours[:, None, None], (3, 64, 64, 3)).copy())
    x = colours / 127.5 - 1
    brightness = x @ [0.299, 0.587, 0.114]
    means = np.stack([brightness, x[:, 0] - brightness, x[:, 2] - brightness], 1)
    np.testing.assert_allclose(found[:, MEANS], np.repeat(means[:, :, None], 4, 2), atol=3e-5)
    rest = np.concatenate([FINEST, ORIENTED.ravel(), COLOURS.ravel()])
    np.testing.assert_allclose(found[:, rest], math.log10(0.5 / 255), atol=1e-4)
    np.testing.assert_allclose(found[:, PEAKED], 0, atol=1e-4)


def test_a_mirrored_image_has_its_quarters_and_diagonals_swapped(crops):
    before, after = filter_bank_features(crops[:20]), filter_bank_features(crops[:20, :, ::-1])
    swapped = [1, 0, 3, 2]
    np.testing.assert_allclose(after[:, MEANS], before[:, MEANS][..., swapped], atol=1e-4)
    np.testing.assert_allclose(after[:, FINEST], before[:, FINEST][:, swapped], atol=1e-4)
    oriented = before[:, ORIENTED][:, :, [0, 3, 2, 1]][..., swapped]
    np.testing.assert_allclose(after[:, ORIENTED], oriented, atol=1e-4)
    for same in (COLOURS, PEAKED):
        np.testing.assert_allclose(after[:, same], before[:, same], atol=1e-4)
    assert np.abs(after - before).max() > 0.1


def test_a_turned_image_has_its_orientations_turned(crops):
    before, after = filter_bank_features(crops[:20]), filter_bank_features(np.rot90(crops[:20], axes=(1, 2)))
    turned = [1, 3, 0, 2]  # anticlockwise: what was above on the right is above on the left
    np.testing.assert_allclose(after[:, MEANS], before[:, MEANS][..., turned], atol=1e-4)
    oriented = before[:, ORIENTED][:, :, [2, 3, 0, 1]][..., turned]
    np.testing.assert_allclose(after[:, ORIENTED], oriented, atol=1e-4)


@pytest.mark.parametrize("scale", range(4))
@pytest.mark.parametrize("orientation", range(4))
def test_a_grating_shows_in_its_orientation_and_scale(scale, orientation):
    y, x = np.mgrid[:128, :128] * 2 * math.pi / (3 * 2**scale)
    angle = math.pi * orientation / 4
    grating = 127.5 + 90 * np.cos(x * math.cos(angle) + y * math.sin(angle))
    oriented = filter_bank_features(np.repeat(grating[None, :, :, None], 3, 3).round().astype(np.uint8))[0][ORIENTED]
    mean = oriented.mean(-1)  # [scale, orientation]
    assert np.unravel_index(mean.argmax(), mean.shape) == (scale, orientation)
    others = np.delete(mean[scale], orientation)
    assert mean[scale, orientation] > others.max() + 0.3  # twice the amplitude


def test_noise_is_less_peaked_than_an_edge():
    noise = np.random.default_rng(0).integers(100, 156, (1, 64, 64, 3), dtype=np.uint8)
    edge = np.full((1, 64, 64, 3), 60, np.uint8)
    edge[:, :, 37:] = 190
    noise, edge = (filter_bank_features(image)[0][PEAKED] for image in (noise, edge))
    assert (noise < edge).all()
    assert noise[0] < 0.2 < edge[0] - 0.2


def test_blur_lowers_the_finest_details_most(crops):
    blurred = np.stack([correlate(image, np.ones((3, 3, 1)) / 9, mode="mirror") for image in crops[:20].astype(float)])
    change = (filter_bank_features(blurred.round().astype(np.uint8)) - filter_bank_features(crops[:20])).mean(0)
    by_scale = change[ORIENTED].mean((1, 2))
    assert (change[FINEST] < -0.3).all()
    assert by_scale[0] < by_scale[1] < by_scale[2] < by_scale[3] < 0


# --- Inception ----------------------------------------------------------------------------------


class Tiny(torch.nn.Module):
    """Stands in for Inception: pools what it is given, then a layer that has to go."""

    def __init__(self):
        super().__init__()
        self.transform_input = True
        self.fc = torch.nn.Linear(3, 1000)

    def forward(self, x):
        assert not self.training
        assert not self.transform_input
        assert x.shape[1:] == (3, 299, 299)
        assert x.dtype == torch.float32
        return self.fc(x.mean((2, 3)))


def test_the_random_network_is_the_attribution_network_before_it_learned(crops, monkeypatch):
    monkeypatch.setattr(quality, "CHUNK", 20)
    found = random_network_features(crops[:30], seed=3)
    network = AttributionNetwork(2, crops.shape[1], 0.25, seed=3).eval()
    x = torch.from_numpy(crops[25:30].transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
    assert found.shape == (30, 128)
    np.testing.assert_allclose(found[25:], network.features(x).detach(), atol=1e-4)
    assert not np.allclose(found[:5], random_network_features(crops[:5], seed=4))


def test_inception_gives_what_it_pools_before_its_last_layer(crops, monkeypatch):
    asked = []
    monkeypatch.setattr(torchvision.models, "inception_v3", lambda weights: asked.append(weights) or Tiny())
    monkeypatch.setattr(quality, "CHUNK", 2)
    found = inception_features(crops[:5])
    assert (found.shape, found.dtype) == ((5, 3), np.float64)
    np.testing.assert_allclose(found, (crops[:5] / 127.5 - 1).mean((1, 2)), atol=0.02)  # enlarged, in [-1, 1]
    assert asked == [torchvision.models.Inception_V3_Weights.IMAGENET1K_V1]


def test_without_a_network_inception_says_what_to_do(crops, monkeypatch):
    def offline(weights):
        raise URLError("Name or service not known")

    monkeypatch.setattr(torchvision.models, "inception_v3", offline)
    with pytest.raises(FingerprintsError, match=r"Name or service not known.*Connect.*'filter bank' needs none\."):
        inception_features(crops[:2])


@pytest.mark.parametrize("extract", SPACES.values())
def test_features_of_nothing_are_refused(extract):
    with pytest.raises(UsageError, match="images is empty"):
        extract(np.zeros((0, 64, 64, 3), np.uint8))


# --- measuring ----------------------------------------------------------------------------------


def test_a_reference_is_training_crops_and_held_out_ones(reference, scenes, crops):
    assert reference.training is crops
    np.testing.assert_array_equal(reference.held_out, scenes.images("train", 0, COUNT))
    assert reference.kinds == tuple(scenes.split("gan").kind_of(i) for i in range(COUNT))
    learned, unseen = (filter_bank_features(images) for images in (crops, reference.held_out))
    assert reference.floor["frechet"] == pytest.approx(frechet_distance(learned, unseen), rel=1e-6)
    assert reference.floor["kernel"] == pytest.approx(kernel_distance(learned, unseen), rel=1e-6)


def test_a_reference_of_part_of_the_crops(scenes, crops):
    part = Reference.of(scenes, crops, count=40)
    assert [len(features) for features in part.features] == [40, 40]
    assert (len(part.training), len(part.held_out), len(part.kinds)) == (COUNT, 40, 40)


def test_a_reference_has_as_many_images_as_there_are_of_either_kind(scenes, crops, monkeypatch):
    monkeypatch.setattr(scenes.split("train"), "available", 30)
    assert [len(features) for features in Reference.of(scenes, crops).features] == [30, 30]


def test_of_clothing_the_kinds_are_garments():
    clothing = open_dataset("clothing", 64)
    reference = Reference.of(clothing, clothing.images("gan", 0, 30))
    assert reference.kinds == tuple(row.kind for row in clothing.split("gan").rows[:30])
    shares = reference.measure(reference.training)["kinds"]  # each image is nearest to itself
    assert shares == {kind: reference.kinds.count(kind) / 30 for kind in sorted(set(reference.kinds))}


@pytest.fixture(scope="module")
def other_reals(scenes):
    return scenes.images("gan", COUNT, COUNT)


@pytest.fixture(scope="module")
def reals(reference, other_reals):
    return reference.measure(other_reals)


def test_other_reals_score_about_the_floor(reference, reals, scenes):
    assert reals["images"] == COUNT
    assert reals["floor"] == reference.floor
    assert reals["frechet"] == pytest.approx(reals["floor"]["frechet"], rel=0.5)
    assert reals["diversity"] == pytest.approx(1, abs=0.15)
    assert reals["nearest"]["samples"] == pytest.approx(reals["nearest"]["held_out"], rel=0.3)
    assert set(reals["kinds"]) == set(scenes.split("gan").sources)
    assert sum(reals["kinds"].values()) == pytest.approx(1)


def test_the_errors_of_a_distance_are_those_of_other_contributors():
    """Fifty contributors of ten photographs that are all alike tell as much as fifty photographs, not as five hundred.

    So the floor's error is that of a distance between fifty and fifty, as drawing all anew shows.
    """
    rng, size, of_one = np.random.default_rng(0), 500, 10

    def reference_of(alike):
        alone = [rng.normal(size=(size // alike, 4)).repeat(alike, 0) for _ in range(2)]
        groups = (np.arange(size) // alike,) * 2
        pixels = np.zeros((size, 32, 32, 3), np.uint8)
        return Reference(pixels, pixels, ("x",) * size, "made up", lambda images: images, tuple(alone), groups)

    samples = [rng.normal(size=(size, 4)) + 1 for _ in range(40)]
    told = {}
    for alike in (1, of_one):
        several = [reference_of(alike) for _ in samples]
        found = [some._distances(x) for some, x in zip(several, samples, strict=True)]
        spread = {measure: np.std([one[measure] for one in found]) for measure in ("frechet", "kernel")}
        spread["floor"] = np.std([some.floor["frechet"] for some in several])
        errors = [some._errors(samples[0], one) for some, one in zip(several[:4], found, strict=False)]
        told[alike] = {name: np.mean([error[name] for error in errors]) for name in spread}
        assert told[alike] == pytest.approx(spread, rel=0.5)
    assert told[of_one]["frechet"] > 2 * told[1]["frechet"]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((1.5, 0.25, 0.9, 0.8, 0.9), "not told from the floor, varied"),
        ((1.5, 0.24, 0.9, 0.8, 0.9), "off the floor, varied"),
        ((10.1, 0.24, 0.89, 0.79, 0.9), "far off the floor, less varied than photographs, blurred"),
        ((1, 0, 1, 0.79, 0.89), "not told from the floor, varied, copies"),
    ],
)
def test_the_verdict_follows_the_numbers(numbers, words):
    ratio, error, diversity, near, shown = numbers
    quality = {"frechet": 2 * ratio, "floor": {"frechet": 2.0}, "errors": {"ratio": error}, "diversity": diversity}
    near = {"samples": 100 * near, "held_out": 100.0, "shown": 10 * shown, "unseen": 10.0}
    assert verdict(quality | {"nearest": near}) == words


def test_what_is_told_of_the_nearest_training_images():
    found = {"nearest": {"samples": 3.0, "held_out": 4.0}, "kinds": {"hat": 0.01, "shirt": 0.011, "shoes": 0.979}}
    assert relative_nearest(found) == 0.75
    assert resembled(found) == 2  # one in a hundred is not more than one in a hundred


def test_copies_are_told_from_blur():
    """Blurred photographs are near to anything; copies, with a little noise, to what they are copies of."""
    clothing = open_dataset("clothing", 64)
    reference = Reference.of(clothing, clothing.images("gan", 0, 200))
    copies = np.clip(reference.training + np.random.default_rng(0).normal(0, 2, reference.training.shape), 0, 255)
    others = torch.from_numpy(np.array(clothing.images("gan", 200, 200))).permute(0, 3, 1, 2).float()
    blurred = F.interpolate(F.avg_pool2d(others, 8), scale_factor=8.0, mode="bilinear")
    made = {"copies": copies, "blurred": blurred.permute(0, 2, 3, 1).numpy()}
    for word, images in made.items():
        assert verdict(reference.measure(images.astype(np.uint8))).endswith(word)


def test_noise_scores_far_above_the_floor(reference, reals):
    noise = np.random.default_rng(0).integers(0, 256, reference.held_out.shape, dtype=np.uint8)
    found = reference.measure(noise)
    assert found["frechet"] > 10 * max(found["floor"]["frechet"], reals["frechet"])
    assert found["kernel"] > 10 * max(abs(found["floor"]["kernel"]), abs(reals["kernel"]))
    assert found["diversity"] < 0.3  # by features all noise is alike, whatever its pixels
    assert found["nearest"]["samples"] > found["nearest"]["held_out"]


def test_photographs_are_recognized(reference, scenes):
    split = scenes.split("gan")
    indices = [i for i in range(COUNT, 20 * COUNT) if split.source_of(i) == "life_by_Aitzol_Berasategi.webp"][:COUNT]
    shares = reference.measure(np.stack([split.image(i) for i in indices]))["kinds"]
    assert shares["life_by_Aitzol_Berasategi.webp"] > 0.8


def test_one_image_over_and_over_has_no_diversity(reference):
    for image in (np.zeros((64, 64, 3), np.uint8), reference.training[0]):
        found = reference.measure(np.broadcast_to(image, reference.held_out.shape).copy())
        assert found["diversity"] == pytest.approx(0, abs=1e-6)
        assert np.isfinite([found["frechet"], found["kernel"]]).all()
        assert found["frechet"] > 10 * found["floor"]["frechet"]


@pytest.mark.parametrize("mirrored", [False, True])
def test_copies_of_training_crops_are_found_out(mirrored, reference, crops):
    found = reference.measure(crops[::-1, :, ::-1] if mirrored else crops[::-1])
    assert found["nearest"]["samples"] == pytest.approx(0, abs=0.01)
    assert found["nearest"]["held_out"] > 10
    if not mirrored:
        assert found["frechet"] == pytest.approx(found["floor"]["frechet"], rel=1e-6)


def test_nearest_is_looked_for_among_all_training_crops(scenes, crops):
    part = Reference.of(scenes, crops, count=20)
    found = part.measure(crops[-20:])
    assert found["nearest"]["samples"] == pytest.approx(0, abs=0.01)
    by_hand = [
        min(np.sqrt(np.square(view - crop).mean()) for crop in crops.astype(float) for view in (image, image[:, ::-1]))
        for image in part.held_out
    ]
    assert found["nearest"]["held_out"] == pytest.approx(np.median(by_hand), abs=0.01)


def test_a_measurement_is_json_and_the_same_each_time(reference, reals, other_reals):
    assert json.loads(json.dumps(reals)) == reals == reference.measure(other_reals)


@pytest.mark.parametrize("count", [0, 1, COUNT - 1])
def test_another_number_of_samples_is_refused(reference, crops, count):
    with pytest.raises(UsageError, match=f"Give {COUNT} samples"):
        reference.measure(crops[:count])


def test_an_unknown_space_is_refused_with_the_nearest(scenes, crops):
    with pytest.raises(UsageError, match="Did you mean 'inception'"):
        Reference.of(scenes, crops, space="incepton")


def test_another_space_is_measured_alike(scenes, crops, monkeypatch):
    monkeypatch.setitem(quality.SPACES, "inception", lambda images: images.mean((1, 2)).astype(np.float64))
    found = Reference.of(scenes, crops, space="inception").measure(crops)
    features = [images.mean((1, 2)) for images in (crops, scenes.images("train", 0, COUNT))]
    assert found["frechet"] == pytest.approx(frechet_distance(*features), rel=1e-9)


def test_the_groups_are_all_features_and_see_what_they_are_named_after():
    parts = list(GROUPS.values())
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == filter_bank_features(np.zeros((1, 32, 32, 3), np.uint8)).shape[1]
    ramp = np.arange(128)
    for period in (3, 6, 12, 24):
        wave = 127.5 + 60 * np.cos(2 * np.pi * ramp / period)
        grating = np.broadcast_to(np.round(wave).astype(np.uint8)[None, None, :, None], (1, 128, 128, 3))
        found = filter_bank_features(grating)[0]
        loudest = {name: found[part][:16].max() for name, part in GROUPS.items() if name != "colour"}
        assert max(loudest, key=loudest.get) == f"{period} px"


def test_the_distance_by_scales_says_where_images_were_spoilt(reference, reals, scenes):
    clean = reference.measure(scenes.images("validation", 0, len(reference.held_out)))["scales"]
    images = scenes.images("validation", 0, len(reference.held_out)).astype(int)
    ripple = 12 * (-1) ** np.indices(images.shape[1:3]).sum(0)[None, ..., None]
    found = reference.measure(np.clip(images + ripple, 0, 255).astype(np.uint8))["scales"]
    assert found.keys() == reference.floor["scales"].keys() == GROUPS.keys()
    assert found["3 px"] > 2 * clean["3 px"]
    assert found["24 px"] == pytest.approx(clean["24 px"], rel=0.1)
