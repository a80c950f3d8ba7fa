import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifier

from fingerprintlib.attribution import baselines, prnu
from fingerprintlib.attribution.baselines import (
    PRNU,
    BlockDCT,
    Eigenface,
    LogDCT,
    NearestNeighbours,
    RadialSpectrum,
    Together,
    fit_all,
)
from fingerprintlib.attribution.probes import HistogramProbe
from fingerprintlib.attribution.spectra import log_dct
from fingerprintlib.data.images import coloured
from fingerprintlib.errors import UsageError

SEARCHED = [NearestNeighbours, Eigenface, LogDCT, BlockDCT, RadialSpectrum]
ALL = [*SEARCHED, PRNU, HistogramProbe]


def marked(count, seed, side=16, strength=6.0, grey=False):
    """Smooth images of three sources, each with a faint periodic pattern of its own. Colours tell nothing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    smooth = rng.normal(size=(count, side, side, 1 if grey else 3)).cumsum(1).cumsum(2)
    smooth = 60 * smooth / np.abs(smooth).max((1, 2, 3), keepdims=True)
    patterns = np.tile(np.random.default_rng(99).normal(0, strength, (3, 4, 4)), (1, side // 4, side // 4))
    patterns *= np.array([0.6, 1, 1.6])[:, None, None]
    images = np.clip(128 + smooth + patterns[labels][..., None] + rng.normal(0, 2, smooth.shape), 0, 255)
    return np.broadcast_to(images, (count, side, side, 3)).astype(np.uint8), labels


TRAIN, VALIDATION, TEST = marked(240, 0), marked(60, 1), marked(60, 2)
HARD = marked(120, 0, strength=1.0)


@pytest.mark.parametrize(
    ("method", "least"),
    [
        (NearestNeighbours, 0.35),
        (Eigenface, 0.6),
        (LogDCT, 0.9),
        (BlockDCT, 0.9),
        (RadialSpectrum, 0.5),
        (PRNU, 0.95),
    ],
)
def test_planted_patterns_are_found_again(method, least):
    fitted = method().fit(*TRAIN, VALIDATION)
    predictions = fitted.predict(TEST[0])
    assert predictions.dtype == np.int64
    assert fitted.score(*TEST) == np.mean(predictions == TEST[1]) >= least
    again = method().fit(*TRAIN, VALIDATION)
    assert (again.predict(TEST[0]) == predictions).all()


def test_together_they_know_what_each_knows():
    """Four classes: a pattern tells the first two pairs apart, the brightness which of a pair it is."""

    def four(some):
        images, labels = some
        bright = np.arange(len(labels)) % 2
        return np.clip(images.astype(int) + 30 * bright[:, None, None, None], 0, 255).astype(
            np.uint8
        ), labels * 2 + bright

    train, validation, test = four(TRAIN), four(VALIDATION), four(TEST)
    alone = [LogDCT(), HistogramProbe()]
    best = max(method.fit(*train, validation).score(*test) for method in alone)
    both = Together([FrozenEstimator(alone[0]), HistogramProbe()]).fit(*train, validation)
    assert both.fitted_[0].estimator is alone[0]
    assert both.score(*test) >= max(0.9, best + 0.1)
    with pytest.raises(UsageError, match="Pass validation"):
        Together(alone).fit(*train)


@pytest.mark.parametrize("threads", [1, 2])
def test_several_fitted_side_by_side_are_as_each_alone(threads):
    pattern = PRNU()  # named twice: on one core, too, what it learns second is not what it learned first
    calls = {"pattern": (pattern, *TRAIN), "faint": (pattern, *HARD), "waves": (LogDCT(), *TRAIN, VALIDATION)}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fitted = fit_all(calls)
    finally:
        torch.set_num_threads(before)
    assert list(fitted) == [*calls]
    for name, (method, *given) in calls.items():
        assert (fitted[name].predict(TEST[0]) == clone(method).fit(*given).predict(TEST[0])).all()


def test_of_two_sources_every_method_scores_the_second():
    two, labels = (some[TRAIN[1] < 2] for some in TRAIN)
    known, right = (some[VALIDATION[1] < 2] for some in VALIDATION)
    for method in (LogDCT(), BlockDCT(), HistogramProbe()):
        scores = method.fit(two, labels, (known, right)).decision_function(known)
        assert scores.shape == (len(known),)
        assert ((scores > 0) == method.predict(known)).all()


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (NearestNeighbours, {"images": 50, "seed": 3}),
        (Eigenface, {"components": 9, "seed": 3}),
        (LogDCT, {}),
        (BlockDCT, {"kernels": True}),
        (RadialSpectrum, {"images": 50, "seed": 3}),
        (PRNU, {"wiener": True, "zero_mean": True}),
        (HistogramProbe, {"joint": True, "seed": 3}),
    ],
)
def test_they_are_cloned_and_printed_as_any_estimator(method, parameters):
    fitted = method(**parameters).fit(*TRAIN, VALIDATION)
    copied = clone(fitted)
    assert copied.get_params() == fitted.get_params() == parameters
    with pytest.raises(NotFittedError):
        copied.predict(TEST[0])
    again = method().set_params(**parameters).fit(*TRAIN, VALIDATION)
    assert (again.predict(TEST[0]) == fitted.predict(TEST[0])).all()
    assert repr(again) == f"{method.__name__}({', '.join(f'{name}={value}' for name, value in parameters.items())})"
    assert fitted.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", ALL)
def test_labels_keep_their_values(method):
    labels = np.array([7, 2, 5])[TRAIN[1]]
    fitted = method().fit(TRAIN[0], labels, (VALIDATION[0], np.array([7, 2, 5])[VALIDATION[1]]))
    plain = method().fit(*TRAIN, VALIDATION)
    if method in (PRNU, LogDCT, BlockDCT):  # nothing in them depends on the labels' order
        assert (fitted.predict(TEST[0]) == np.array([7, 2, 5])[plain.predict(TEST[0])]).all()
    assert set(fitted.predict(TEST[0])) <= {2, 5, 7}


@pytest.mark.parametrize("method", SEARCHED)
def test_settings_are_chosen_by_the_validation_images(method):
    """With labels of the candidate that did worst as the truth, another is chosen, and nothing else has changed."""
    fitted = method().fit(*HARD, VALIDATION)
    assert len(fitted.tried_) > 2
    assert fitted.chosen_ == max(fitted.tried_, key=lambda entry: entry["accuracy"])  # the first of the best
    answers = {}
    for entry in fitted.tried_:
        one = only(method, entry)().fit(*HARD, VALIDATION)
        (found,) = one.tried_
        assert found["accuracy"] == pytest.approx(entry["accuracy"], abs=0.02)
        answers[tuple(entry.values())] = one.predict(VALIDATION[0])
    first = fitted.predict(VALIDATION[0])
    other = next(predicted for predicted in answers.values() if (predicted != first).any())
    turned = method().fit(*HARD, (VALIDATION[0], other))
    assert turned.chosen_["accuracy"] >= 0.98
    settings = ({**found.chosen_, "accuracy": 0} for found in (fitted, turned))
    assert len({tuple(some.values()) for some in settings}) == 2


def only(method, entry):
    """The method with nothing but this combination to try."""
    if method is Eigenface:
        return trying(method, variances=[entry["variance"] - 1e-9], costs=[entry["C"]])
    key, name = {
        NearestNeighbours: ("k", "neighbours"),
        LogDCT: ("penalty", "penalties"),
        BlockDCT: ("penalty", "penalties"),
        RadialSpectrum: ("C", "costs"),
    }[method]
    return trying(method, **{name: [entry[key]]})


def trying(method, **settings):
    """The method with these settings to try."""
    return type(method.__name__, (method,), settings)


@pytest.mark.parametrize("method", SEARCHED)
def test_nothing_is_learned_from_what_is_predicted_or_chosen_by(method):
    fitted = method().fit(*TRAIN, VALIDATION)
    before = fitted.predict(TEST[0])
    chosen = dict(fitted.chosen_)
    fitted.score(TEST[0], np.roll(TEST[1], 1))
    fitted.predict(255 - TEST[0])
    assert (fitted.predict(TEST[0]) == before).all()
    assert fitted.chosen_ == chosen
    # Only the choice passes from the validation images to the model: the same choice, the same model.
    same = only(method, chosen)()
    same.fit(*TRAIN, (VALIDATION[0][:9][::-1].copy(), VALIDATION[1][:9]))
    assert np.mean(same.predict(TEST[0]) == before) >= 0.98


def test_nearest_neighbours_against_all_distances():
    fitted = trying(NearestNeighbours, neighbours=[1, 3, 7])().fit(*TRAIN, VALIDATION)
    flat = [some.reshape(len(some), -1).astype(np.float64) for some in (TRAIN[0], VALIDATION[0], TEST[0])]
    for entry in fitted.tried_:
        predictions = vote(flat[1], flat[0], TRAIN[1], entry["k"])
        assert entry["accuracy"] == np.mean(predictions == VALIDATION[1])
    assert (fitted.predict(TEST[0]) == vote(flat[2], flat[0], TRAIN[1], fitted.chosen_["k"])).all()


def vote(some, others, labels, k):
    nearest = cdist(some, others).argsort(1)[:, :k]
    return np.array([np.bincount(found).argmax() for found in labels[nearest]])


def test_grey_images_give_the_neighbours_of_colour_images_too():
    images, labels = marked(90, 3, grey=True)
    assert (images == images[..., :1]).all()
    fitted = trying(NearestNeighbours, neighbours=[5])().fit(images, labels, VALIDATION)
    flat = [some.reshape(len(some), -1).astype(np.float64) for some in (images, TEST[0])]
    assert (fitted.predict(TEST[0]) == vote(flat[1], flat[0], labels, 5)).all()


def test_eigenface_cuts_one_decomposition_by_variance():
    fitted = trying(Eigenface, variances=(0.5, 0.9), costs=(0.1,))().fit(*TRAIN, VALIDATION)
    held = np.cumsum(PCA(svd_solver="full").fit(TRAIN[0].reshape(240, -1) / 255).explained_variance_ratio_)
    for entry, wanted in zip(fitted.tried_, (0.5, 0.9), strict=True):
        assert entry["components"] == np.argmax(held >= wanted) + 1
        assert entry["variance"] == pytest.approx(held[entry["components"] - 1], abs=0.01)
    few = Eigenface(components=3).fit(*TRAIN, VALIDATION)
    assert max(entry["components"] for entry in few.tried_) == 3


def touched(images):
    """Equalized images, in four ways that hardly change them; their mean brightness is no longer the same."""
    one_pixel = images.copy()
    one_pixel[:, 3, 5] = np.minimum(one_pixel[:, 3, 5].astype(int) + 40, 255)
    noise = np.random.default_rng(0).normal(0, np.sqrt(5), (*images.shape[:3], 1))
    jpeg = np.stack([np.asarray(Image.open(as_jpeg(image))) for image in images])
    noisy = np.clip(images + noise, 0, 255).round().astype(np.uint8)
    return {"pixel": one_pixel, "one more": np.minimum(images, 254) + np.uint8(1), "noise": noisy, "JPEG": jpeg}


def as_jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=95)
    return file


@pytest.mark.parametrize(("images", "sources"), [(200, 4), (200, 2), (30, 3)])  # the last: fewer images than features
def test_the_ridge_regressions_are_those_of_scikit_learn(images, sources):
    rng = np.random.default_rng(0)
    features = rng.normal(3, rng.uniform(0.5, 2, 64), (images, 64)).astype(np.float32)
    labels = 5 * rng.integers(sources, size=images)
    features[:, 0] += labels
    for penalty, mine in zip((100, 1), baselines.ridges(features.copy(), labels, (100, 1)), strict=True):
        theirs = RidgeClassifier(penalty).fit(features, labels)
        assert np.allclose(mine.decision_function(features), theirs.decision_function(features), atol=1e-5)
        assert (mine.predict(features) == theirs.predict(features)).all()


@pytest.mark.parametrize("method", [LogDCT, BlockDCT, RadialSpectrum])
def test_a_mean_brightness_that_never_varied_decides_nothing(method, monkeypatch):
    """Under a colour control it is constant but for rounding: scaled by that, one pixel would drown the rest."""

    def rounded_otherwise(images):
        found = log_dct(images)
        found[::7, 0, 0] = np.nextafter(found[::7, 0, 0], np.float32(np.inf))  # as it happens to some of thousands
        return found

    monkeypatch.setattr(baselines, "log_dct", rounded_otherwise)
    sets = [marked(count, seed, side=32) for seed, count in enumerate((240, 60, 60))]
    (train, known), (validation, right), (test, truth) = [(coloured(x, "equalized"), y) for x, y in sets]
    fitted = method().fit(train, known, (validation, right))
    whole = fitted.score(test, truth)
    assert whole > 0.8
    for how, images in touched(test).items():
        assert fitted.score(images, truth) > whole - 0.1, how


def test_eigenface_leaves_out_components_that_are_rounding():
    """Of 60 images there are 59 components, and one that is nothing but rounding."""
    few, labels = marked(60, 3, strength=20)
    fitted = trying(Eigenface, variances=(0.9, 1.0), costs=(0.1,))().fit(few, labels, VALIDATION)
    assert max(entry["components"] for entry in fitted.tried_) == 59
    assert fitted.score(few + np.uint8(1), labels) == fitted.score(few, labels) == 1


def test_prnu_by_hand_with_each_postprocessing():
    fitted = PRNU().fit(*TRAIN)
    learned, seen = (prnu.residuals(some).astype(np.float64) for some in (TRAIN[0], TEST[0]))
    patterns = np.stack([learned[TRAIN[1] == k].mean(0) for k in range(3)])
    np.testing.assert_allclose(fitted.patterns_, patterns, atol=1e-5)
    for zero_mean, wiener in np.ndindex(2, 2):
        variant = fitted.with_postprocessing(bool(zero_mean), bool(wiener))
        one, other = (prnu.camera_postprocessing(some, zero_mean, wiener) for some in (seen, patterns))
        expected = np.corrcoef(np.concatenate([one, other]).reshape(len(seen) + 3, -1))[:-3, -3:]
        np.testing.assert_allclose(variant.correlations(TEST[0]), expected, atol=1e-4)
        whole = PRNU(bool(zero_mean), bool(wiener)).fit(*TRAIN)
        np.testing.assert_array_equal(whole.correlations(TEST[0]), variant.correlations(TEST[0]))
    assert not fitted.zero_mean  # the first is as it was


def test_a_constant_image_gets_the_first_label_of_prnu():
    fitted = PRNU().fit(TRAIN[0], TRAIN[1] + 4)
    grey = np.full((2, 16, 16, 3), 77, np.uint8)
    assert fitted.predict(grey).tolist() == [4, 4]
    assert (fitted.correlations(grey) == 0).all()
    with pytest.raises(UsageError, match="images of label 1 leave no residual: they are constant"):
        PRNU().fit(np.where((TRAIN[1] == 1)[:, None, None, None], 9, TRAIN[0]).astype(np.uint8), TRAIN[1])


@pytest.mark.parametrize("method", ALL)
def test_one_image_a_class_and_images_mapped_from_a_file_will_do(method, tmp_path):
    np.save(tmp_path / "images.npy", TRAIN[0][:3])
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = method().fit(images, TRAIN[1][:3], VALIDATION)
        assert set(fitted.predict(TEST[0])) <= {0, 1, 2}


@pytest.mark.parametrize("method", [NearestNeighbours, RadialSpectrum, Eigenface])
def test_a_limit_of_images_is_shared_among_the_classes(method):
    unequal = np.sort(TRAIN[1])[::-1].copy()
    unequal[:200] = 2
    images = np.sort(TRAIN[0].reshape(240, -1), axis=1).reshape(TRAIN[0].shape)

    def limited(count):
        return trying(method, images=count)() if method is Eigenface else method(images=count)

    fitted = limited(9).fit(images, unequal, VALIDATION)
    assert len(set(unequal)) == 2
    if method is NearestNeighbours:
        assert sorted(np.bincount(fitted.model_._y)) == [4, 5]
        assert [entry["k"] for entry in fitted.tried_] == [1, 3, 5, 9]
    with pytest.raises(UsageError, match="images must be at least one for each of the 3 classes, not 2"):
        limited(2).fit(*TRAIN, VALIDATION)


@pytest.mark.parametrize("method", ALL)
def test_bad_images_and_labels_are_refused_by_name(method):
    with pytest.raises(NotFittedError, match=rf"This {method.__name__} instance is not fitted yet. Call 'fit'"):
        method().predict(TEST[0])
    with pytest.raises(UsageError, match=r"images must be uint8.*float64"):
        method().fit(np.full(TRAIN[0].shape, np.nan), TRAIN[1], VALIDATION)
    with pytest.raises(UsageError, match=r"labels must be \[240\]"):
        method().fit(TRAIN[0], TRAIN[1][:3], VALIDATION)
    with pytest.raises(UsageError, match="at least two classes"):
        method().fit(TRAIN[0], TRAIN[1] * 0, VALIDATION)
    with pytest.raises(UsageError, match=r"validation labels must be \[60\]"):
        method().fit(*TRAIN, (VALIDATION[0], VALIDATION[1][:3]))
    with pytest.raises(UsageError, match=r"validation images are 8x16, those to learn from 16x16"):
        method().fit(*TRAIN, (VALIDATION[0][:, :8], VALIDATION[1]))
    if method in SEARCHED:
        with pytest.raises(UsageError, match=rf"{method.__name__} has settings to choose. Pass validation="):
            method().fit(*TRAIN)
    fitted = method().fit(TRAIN[0][:12], TRAIN[1][:12], VALIDATION)
    with pytest.raises(UsageError, match=r"images are 16x8, those to learn from 16x16"):
        fitted.predict(TEST[0][:, :, :8])
    with pytest.raises(UsageError, match=r"images must be uint8.*float64"):
        fitted.score(TEST[0] / 255, TEST[1])


def test_components_out_of_range_are_refused():
    with pytest.raises(UsageError, match="components must be at least 1, not 0"):
        Eigenface(components=0).fit(*TRAIN, VALIDATION)


def test_more_neighbours_than_images():
    fitted = trying(NearestNeighbours, neighbours=[3, 500])().fit(*TRAIN, VALIDATION)
    assert [entry["k"] for entry in fitted.tried_] == [3]


def test_images_that_are_all_the_same():
    same = np.full((6, 8, 8, 3), 7, np.uint8)
    with pytest.raises(UsageError, match="images are all the same; Eigenface finds nothing"):
        Eigenface().fit(same, np.arange(6) % 2, (same, np.arange(6) % 2))
