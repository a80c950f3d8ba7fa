import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from fingerprintlib.errors import UsageError
from fingerprintlib.statistics.distances import (
    Kernels,
    cosines,
    frechet_distance,
    frechet_ratio,
    kernel_distance,
    mean_distance,
    nearest,
    neighbours_alike,
    ratio_of_frechet_ratios,
)


def test_cosines_and_mean_distance():
    rows = np.array([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]])
    np.testing.assert_allclose(cosines(rows, rows[:2]), [[1, 0.8], [0.8, 1], [0, 0]], atol=1e-12)
    images = np.stack([np.full((4, 4, 3), level, np.uint8) for level in (0, 10, 30)])
    assert mean_distance(images) == pytest.approx((10 + 20 + 30) / 3)
    distances, which = nearest(images, images[:2])
    np.testing.assert_allclose(distances, [0, 0, 20])
    assert which.tolist() == [0, 1, 1]
    with pytest.raises(UsageError, match="at least two"):
        mean_distance(images[:1])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 3999, 4000, 4001, 8100])
def test_nearest_is_that_of_all_wherever_it_lies(rng, count):
    others = rng.integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    images = rng.integers(0, 256, (7, 2, 2, 3), dtype=np.uint8)
    images[:3] = others[[0, -1, count // 2]]
    distances, which = nearest(images, others)
    flat = others.reshape(count, -1).astype(np.float64)
    for image, distance, index in zip(images, distances, which, strict=True):
        all_distances = np.sqrt(np.square(flat - image.reshape(-1)).mean(1))
        assert distance == pytest.approx(all_distances.min(), abs=1e-3)
        assert all_distances[index] == pytest.approx(all_distances.min(), abs=1e-9)
    assert distances[:3] == pytest.approx([0, 0, 0], abs=1e-3)
    assert distances.dtype == np.float64


def test_nothing_is_nearest_where_there_is_nothing(rng):
    with pytest.raises(UsageError, match="others is empty"):
        nearest(rng.normal(size=(3, 5)), np.zeros((0, 5)))


def test_nearest_of_features_too(rng):
    some, others = rng.normal(size=(5, 92)), rng.normal(size=(60, 92))
    every = np.sqrt(np.square(some[:, None] - others).mean(-1))
    distances, which = nearest(some, others)
    np.testing.assert_allclose(distances, every.min(1), rtol=1e-5)
    np.testing.assert_array_equal(which, every.argmin(1))


def frechet_formula(some, others):
    """As Heusel et al. write it, with a root of a matrix."""
    cov1, cov2 = (np.cov(features, rowvar=False) for features in (some, others))
    gap = some.mean(0) - others.mean(0)
    return gap @ gap + np.trace(cov1 + cov2 - 2 * np.real(sqrtm(cov1 @ cov2)))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10**6), st.floats(0.1, 10), st.floats(-3, 3))
def test_frechet_distance_is_the_formula_and_symmetric(width, seed, scale, shift):
    rng = np.random.default_rng(seed)
    some = rng.normal(size=(60, width)) @ rng.normal(size=(width, width))
    others = rng.normal(size=(45, width)) @ rng.normal(size=(width, width)) * scale + shift
    found = frechet_distance(some, others)
    magnitude = np.square(some).mean(0).sum() + np.square(others).mean(0).sum()
    assert found == pytest.approx(frechet_formula(some, others), rel=1e-6, abs=1e-6 * magnitude)
    assert frechet_distance(others, some) == pytest.approx(found, rel=1e-9, abs=1e-9 * magnitude)
    assert frechet_distance(some, some) == pytest.approx(0, abs=1e-9 * magnitude)
    assert frechet_distance(some, some[::-1] + shift) == pytest.approx(width * shift**2, abs=1e-9 * magnitude)


def with_deviations(rng, deviations, means):
    """400 rows with exactly these means and deviations, and no correlation."""
    rows = rng.normal(size=(400, len(deviations)))
    rows, _ = np.linalg.qr(rows - rows.mean(0))
    return rows * np.sqrt(399) * deviations + means


def test_frechet_distance_of_independent_normals_in_closed_form(rng):
    deviations = np.array([[1.0, 2.0, 0.5, 3.0], [4.0, 2.0, 0.1, 1.0]])
    means = np.array([[0.0, 1.0, -2.0, 3.0], [1.0, 1.0, 2.0, 3.5]])
    some, others = (with_deviations(rng, *moments) for moments in zip(deviations, means, strict=True))
    expected = np.square(means[0] - means[1]).sum() + np.square(deviations[0] - deviations[1]).sum()
    assert frechet_distance(some, others) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_where_covariances_are_singular(rng):
    flat = np.zeros((10, 3))
    assert frechet_distance(flat, flat) == 0
    assert frechet_distance(flat, flat + np.array([3, 4, 0])) == pytest.approx(25)
    line = np.arange(10.0)[:, None] * [1, 0, 0]
    assert frechet_distance(flat, line) == pytest.approx(4.5**2 + line[:, 0].var(ddof=1))
    few = rng.normal(size=(5, 92))  # fewer rows than columns
    others = few @ np.linalg.qr(rng.normal(size=(92, 92)))[0]
    # The formula's trace is that of the singular values of one centred set against the other.
    a, b = ((x - x.mean(0)) / 2 for x in (few, others))
    trace = np.square(a).sum() + np.square(b).sum() - 2 * np.linalg.svd(a @ b.T, compute_uv=False).sum()
    expected = np.square(few.mean(0) - others.mean(0)).sum() + trace
    assert frechet_distance(few, others) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_one_number_an_image():
    some, others = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    assert frechet_distance(some, others) == pytest.approx((2 - 1) ** 2)


def test_frechet_distance_falls_with_the_number_only_towards_the_truth(rng):
    few, many = (
        np.mean([frechet_distance(*rng.normal(size=(2, count, 6))) for _ in range(20)]) for count in (50, 1000)
    )
    assert few > 5 * many > 0


def kernel_loops(some, others):
    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    n, m = len(some), len(others)
    within = sum(kernel(some[i], some[j]) for i, j in np.ndindex(n, n) if i != j) / (n * (n - 1))
    within += sum(kernel(others[i], others[j]) for i, j in np.ndindex(m, m) if i != j) / (m * (m - 1))
    return within - 2 * sum(kernel(some[i], others[j]) for i, j in np.ndindex(n, m)) / (n * m)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 5), st.integers(0, 10**6))
def test_kernel_distance_by_explicit_loops(n, m, width, seed):
    rng = np.random.default_rng(seed)
    some, others = rng.normal(size=(n, width)), rng.normal(size=(m, width)) + 1
    assert kernel_distance(some, others) == pytest.approx(kernel_loops(some, others), rel=1e-9, abs=1e-9)
    assert kernel_distance(some.astype(np.float32), others) == pytest.approx(
        kernel_loops(some.astype(np.float32).astype(float), others), rel=1e-9, abs=1e-9
    )
    assert kernel_distance(others, some) == pytest.approx(kernel_distance(some, others), rel=1e-9, abs=1e-12)


def test_kernel_distance_is_unbiased_however_few_there_are(rng):
    found = np.array([kernel_distance(*rng.normal(size=(2, 5, 3))) for _ in range(4000)])
    error = found.std() / np.sqrt(len(found))
    assert abs(found.mean()) < 4 * error
    assert (found < 0).mean() > 0.2
    biased_by = 2 * (np.mean([(x @ x / 3 + 1) ** 3 for x in rng.normal(size=(1000, 3))]) - 1) / 5
    assert biased_by > 20 * error  # with the diagonal in it, it would show
    apart = [kernel_distance(rng.normal(size=(5, 3)), rng.normal(size=(5, 3)) + 1) for _ in range(200)]
    assert np.mean(apart) > 20 * error


def test_rows_drawn_twice_count_twice_in_the_kernel_distance():
    rng = np.random.default_rng(0)
    some, others = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 1
    rows, other_rows = rng.integers(7, size=9), rng.integers(5, size=4)
    found = Kernels(some, others).distance(rows, other_rows)
    assert found == pytest.approx(kernel_loops(some[rows], others[other_rows]), rel=1e-9)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    "shapes", [((1, 3), (5, 3)), ((5, 3), (1, 3)), ((5, 3), (5, 4)), ((5,), (5,)), ((0, 3), (5, 3))]
)
def test_distances_refuse_what_has_none(distance, shapes):
    with pytest.raises(UsageError, match=r"N at least 2, D equal; they are \["):
        distance(*map(np.zeros, shapes))


def test_frechet_ratio_of_one_class_under_several_names_is_one(rng):
    features, labels = rng.normal(size=(1200, 6)), np.arange(1200) % 3
    found = frechet_ratio(features, labels, splits=20)
    assert found.count == 200
    assert found.ratio == pytest.approx(1, abs=0.15)
    assert found.interval[0] < 1 < found.interval[1]


def test_frechet_ratio_of_separate_classes_by_the_formula(rng):
    labels = np.repeat([3, 7], 400)
    features = rng.normal(size=(800, 3)) * np.where(labels == 3, 1, 2)[:, None] + 5 * (labels == 7)[:, None]
    found = frechet_ratio(features, labels, splits=1, seed=4)
    order = np.random.default_rng(4)
    halves = []
    for k in (3, 7):
        mixed = features[order.permutation(np.flatnonzero(labels == k))]
        halves.append((mixed[:200], mixed[200:]))
    (a, b), (c, d) = halves
    assert found.within[0] == pytest.approx((frechet_formula(a, b) + frechet_formula(c, d)) / 2, rel=1e-6)
    assert found.between[0] == pytest.approx((frechet_formula(a, d) + frechet_formula(c, b)) / 2, rel=1e-6)
    assert found.between[0] == pytest.approx(3 * 25 + 3 * 1, rel=0.1)  # of the means, and of the deviations


def test_frechet_ratio_grows_with_the_number_because_its_denominator_is_bias(rng):
    labels = np.arange(4000) % 2
    features = rng.normal(size=(4000, 8)) + labels[:, None]
    few, many = (frechet_ratio(features, labels, count) for count in (100, 1000))
    assert many.ratio > 5 * few.ratio
    assert np.mean(many.between) == pytest.approx(np.mean(few.between), rel=0.1)


def test_the_ratio_of_ratios_of_features_and_their_noisy_copies(rng):
    labels, groups = np.arange(1200) % 3, np.arange(1200)
    strong = rng.normal(size=(1200, 4)) + 3 * labels[:, None]
    weak = strong + rng.normal(size=(1200, 4)) * 3
    effect, (low, high) = ratio_of_frechet_ratios(strong, weak, labels, groups)
    exact = frechet_ratio(strong, labels).ratio / frechet_ratio(weak, labels).ratio
    assert low < exact < high
    assert low < effect < high
    assert low > 1


def test_the_ratio_of_ratios_covers_one_where_features_are_alike(rng):
    """Nineteen of twenty intervals should; and groups that go together make them longer."""
    covered, lengths = 0, []
    for _ in range(40):
        labels = np.arange(240) % 2
        some, others = (rng.normal(size=(240, 3)) + labels[:, None] for _ in range(2))
        _, (low, high) = ratio_of_frechet_ratios(some, others, labels, np.arange(240))
        covered += low < 1 < high
        lengths.append(np.log(high / low))
    assert covered >= 34
    shared = rng.normal(size=(12, 1, 3)) * np.ones((12, 20, 1))
    clustered = some + shared.reshape(240, 3)
    _, (low, high) = ratio_of_frechet_ratios(clustered, others, labels, np.repeat(np.arange(12), 20))
    assert np.log(high / low) > np.median(lengths)


@pytest.mark.parametrize(("count", "message"), [(9, "10 folds need as many groups, not 9"), (12, "left with")])
def test_the_ratio_of_ratios_refuses_too_few(count, message):
    with pytest.raises(UsageError, match=message):
        ratio_of_frechet_ratios(np.eye(count), np.eye(count), np.arange(count) % 6, np.arange(count))


@pytest.mark.parametrize(
    ("shape", "labels", "options", "message"),
    [
        ((6, 2), [0, 0, 0, 1, 1, 1], {}, r"2 to 1 images"),
        ((8, 2), [0] * 8, {}, "given 1 classes"),
        ((8, 2), [0, 1] * 4, {"count": 3}, "2 to 2 images.*count=3"),
        ((8, 2), [0, 1] * 4, {"splits": 0}, "splits=0"),
        ((8, 2), [0, 1] * 3, {}, r"labels \[N\]"),
        ((0, 2), [], {}, "given 0 classes"),
    ],
)
def test_frechet_ratio_refuses(shape, labels, options, message):
    with pytest.raises(UsageError, match=message):
        frechet_ratio(np.zeros(shape), np.array(labels, int), **options)


def test_frechet_ratio_refuses_what_is_not_a_number():
    features = np.zeros((8, 2))
    features[3, 1] = np.nan
    with pytest.raises(UsageError, match="features must be finite, but there are NaN"):
        frechet_ratio(features, np.arange(8) % 2)


# --- integers, lists, and what is no number -----------------------------------------------------

LABELS = np.arange(20) % 2
#: Each function of two sets of features, or of one and the labels; and the names of its arguments.
OF_FEATURES = {
    "cosines": (cosines, ("some", "others")),
    "nearest": (nearest, ("images", "others")),
    "frechet_distance": (frechet_distance, ("some", "others")),
    "kernel_distance": (kernel_distance, ("some", "others")),
    "mean_distance": (lambda some, _: mean_distance(some), ("images",)),
    "neighbours_alike": (lambda some, _: neighbours_alike(some, LABELS), ("points",)),
    "frechet_ratio": (lambda some, _: frechet_ratio(some, LABELS, splits=2).ratio, ("features",)),
    "ratio_of_frechet_ratios": (
        lambda some, others: ratio_of_frechet_ratios(some, others, LABELS, np.arange(20), folds=5)[0],
        ("some", "others"),
    ),
}


@pytest.mark.parametrize("name", OF_FEATURES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int64, bool, list])
def test_integers_give_what_the_same_floats_give(rng, name, dtype):
    function, _ = OF_FEATURES[name]
    levels = {np.uint8: 256, np.int8: 128, np.uint16: 2**16}.get(dtype, 2)  # the whole range, so that it could overflow
    some, others = rng.integers(0, levels, (2, 20, 6))
    expected = function(some.astype(np.float64), others.astype(np.float64))
    found = function(*((each.tolist() if dtype is list else each.astype(dtype)) for each in (some, others)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_frechet_distance_of_bytes_by_hand():
    """Of means 205 and 25, and standard deviations of the roots of 50 and 450: their difference has the square 200."""
    some, others = np.array([[200], [210]], np.uint8), np.array([[10], [40]], np.uint8)
    assert frechet_distance(some, others) == pytest.approx(180**2 + 200)
    assert frechet_distance(some.tolist(), others.tolist()) == pytest.approx(180**2 + 200)


def test_integers_that_float32_does_not_hold_are_told_apart():
    some, others = np.array([[2**24 + 1, 0]]), np.array([[2**24, 0]])
    assert nearest(some, others)[0][0] == pytest.approx(np.sqrt(1 / 2))
    assert mean_distance(np.concatenate([some, others])) == pytest.approx(np.sqrt(1 / 2))


@pytest.mark.parametrize("name", OF_FEATURES)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda features: np.where(np.eye(20, 6) > 0, np.nan, features), "{} must be finite"),
        (lambda features: np.where(np.eye(20, 6) > 0, -np.inf, features).astype(np.float32), "{} must be finite"),
        (lambda features: [*features.tolist()[:-1], [1.0]], "{} must be real numbers"),
        (lambda features: features.astype(str), "{} must be real numbers"),
        (lambda features: features * 1j, "{} must be real numbers"),
        (lambda features: None, "{} must be real numbers"),
    ],
)
def test_what_is_no_number_is_refused_by_its_name(rng, name, spoil, message):
    function, arguments = OF_FEATURES[name]
    sets = rng.normal(size=(2, 20, 6))
    for place, argument in enumerate(arguments):
        spoilt = [spoil(each) if number == place else each for number, each in enumerate(sets)]
        with pytest.raises(UsageError, match=message.format(argument)):
            function(*spoilt)


def test_ratios_of_what_does_not_vary_are_refused(rng):
    """Its halves are apart by rounding alone, if at all."""
    varied, groups = rng.normal(size=(20, 3)), np.arange(20)
    for constant in (np.full((20, 3), 0.1), LABELS[:, None] + np.zeros(3)):
        with pytest.raises(UsageError, match="features are the same for all images of each class"):
            frechet_ratio(constant, LABELS)
        with pytest.raises(UsageError, match="others are the same for all images of each class"):
            ratio_of_frechet_ratios(varied, constant, LABELS, groups)
    with pytest.raises(UsageError, match="Halves of classes are alike"):
        frechet_ratio(np.repeat([[0.0], [1], [0], [1]], 2, 0), np.repeat([0, 1], 4), splits=20)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: nearest(np.zeros((2, 3)), np.zeros((2, 4))), r"of one shape each, not \(3,\) and \(4,\)"),
        (lambda: nearest(np.zeros((0, 3)), np.zeros((2, 3))), r"images must be \[N, H, W, 3\]"),
        (lambda: nearest(np.zeros(3), np.zeros(3)), r"images must be \[N, H, W, 3\]"),
        (lambda: mean_distance([]), r"images must be \[N, H, W, 3\]"),
        (lambda: cosines(np.zeros((0, 3)), np.zeros((2, 3))), "N at least 1, D equal"),
        (lambda: cosines(np.zeros((2, 3)), np.zeros((2, 4))), "N at least 1, D equal"),
        (lambda: neighbours_alike(np.zeros((1, 3)), [0]), "N at least 2"),
        (lambda: neighbours_alike(np.zeros((3, 3)), [0, 1]), r"labels \[N\], not \(3, 3\) and \(2,\)"),
        (lambda: ratio_of_frechet_ratios(np.eye(9), np.eye(9), [0] * 8, np.arange(9)), r"labels and groups \[N\]"),
        (lambda: ratio_of_frechet_ratios(np.eye(9), np.eye(9), [0] * 9, np.arange(9)), "two classes .* not 1 and 10"),
        (
            lambda: ratio_of_frechet_ratios(np.eye(9), np.eye(9), range(9), range(9), folds=1),
            "two folds .* not 9 and 1",
        ),
    ],
)
def test_distances_refuse_other_shapes(ask, message):
    with pytest.raises(UsageError, match=message):
        ask()


def test_small_frechet_distances_take_one_thread_and_large_ones_what_there_is(rng, monkeypatch):
    seen = []

    class Pools:
        def limit(self, limits: int | None, user_api: str):
            seen.append(limits)
            return contextlib.nullcontext()

    monkeypatch.setattr("fingerprintlib.statistics.distances._thread_pools", Pools)
    for width in (8, 520):
        frechet_distance(*rng.normal(size=(2, 4, width)))
    assert seen == [1, None]
