import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from fingerprintlib.errors import UsageError
from fingerprintlib.statistics.calibration import (
    TEMPERATURES,
    brier_score,
    energy,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability_curve,
)
from fingerprintlib.statistics.intervals import wilson_interval


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def drawn(rng, logits):
    """Labels that are as likely as these logits say."""
    return (softmax(logits, axis=1).cumsum(1) < rng.random((len(logits), 1))).sum(1)


# --- temperature --------------------------------------------------------------------------------


def test_a_temperature_is_found_again(rng):
    logits = 2 * rng.normal(size=(20_000, 4))
    labels = drawn(rng, logits)
    for scale in (0.5, 1, 4):
        assert fit_temperature(scale * logits, labels) == pytest.approx(scale, rel=0.03)  # three standard errors


def slope(logits, labels, temperature, weights):
    """How the loss changes with 1 / T: the mean logit by the probabilities, less that of the label."""
    expected = (softmax(logits / temperature, axis=1) * logits).sum(1)
    return np.average(expected - logits[np.arange(len(labels)), labels], weights=weights)


def test_the_loss_is_flat_at_the_temperature_and_rises_on_both_sides(rng):
    logits = 3 * rng.normal(size=(400, 3)) + [0, 0, 1]
    labels = np.where(rng.random(400) < 0.7, logits.argmax(1), rng.integers(0, 3, 400))
    assert np.ptp(np.bincount(labels)) > 0
    alike = 1 / np.bincount(labels)[labels]
    for balanced, weights in ((False, None), (True, alike)):
        found = fit_temperature(logits, labels, balanced)
        # The search stops within a ten-thousandth of T; a hundredth beside it, the slope has a sign.
        assert slope(logits, labels, found * 0.99, weights) > 0 > slope(logits, labels, found * 1.01, weights)
    assert fit_temperature(logits, labels) != pytest.approx(fit_temperature(logits, labels, True), rel=1e-3)


def test_balanced_classes_weigh_as_if_there_were_as_many_of_each(rng):
    logits = rng.normal(size=(60, 2))
    labels = np.repeat([0, 1], [40, 20])
    repeated = np.concatenate([np.arange(60), np.arange(40, 60)])
    found = fit_temperature(logits[repeated], labels[repeated])
    assert fit_temperature(logits, labels, balanced=True) == pytest.approx(found, rel=2e-4)


def test_a_temperature_ends_at_its_bounds():
    logits = np.array([[30.0, 0], [0, 20]])
    assert fit_temperature(logits, [0, 1]) == TEMPERATURES[0]  # all right: nothing holds it up
    assert fit_temperature(logits, [1, 0]) == TEMPERATURES[1]  # all wrong
    with pytest.raises(UsageError, match="logits are alike in each row"):
        fit_temperature([[1, 1], [2, 2]], [0, 1])


# --- errors of calibration ----------------------------------------------------------------------


def of_two(confidences):
    """Probabilities of two classes, the first of which is named."""
    return np.stack([confidences, 1 - np.asarray(confidences)], axis=1)


def test_the_error_of_calibration_by_hand():
    probabilities, labels = of_two([0.55, 0.58, 0.9, 0.95, 1.0]), [0, 1, 0, 0, 1]
    # Ten bins: 0.5 to 0.6 holds two of mean 0.565, one right; 0.8 to 0.9 one of 0.9; 0.9 to 1 two of 0.975, one right.
    expected = (2 * 0.065 + 0.1 + 2 * 0.475) / 5
    assert expected_calibration_error(probabilities, labels, bins=10) == pytest.approx(expected)
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(abs(0.6 - 0.796))
    curve = reliability_curve(probabilities, labels, bins=10)
    np.testing.assert_allclose(curve.confidence, [0.565, 0.9, 0.975])
    np.testing.assert_allclose(curve.accuracy, [0.5, 1, 0.5])
    assert curve.count.tolist() == [2, 1, 2]
    assert [(low, high) for low, high in zip(curve.low, curve.high, strict=True)] == [
        wilson_interval(1, 2),
        wilson_interval(1, 1),
        wilson_interval(1, 2),
    ]


def test_bins_of_equal_mass_part_what_is_close_to_one():
    confidences = np.array([0.9901, 0.9902, 0.9903, 0.9904, 0.9995, 0.9996, 0.9997, 0.9998])
    probabilities, labels = of_two(confidences), [1, 0, 1, 0, 0, 0, 0, 0]
    assert reliability_curve(probabilities, labels).count.tolist() == [8]
    curve = reliability_curve(probabilities, labels, bins=2, equal_mass=True)
    assert curve.count.tolist() == [4, 4]
    assert curve.accuracy.tolist() == [0.5, 1]
    found = expected_calibration_error(probabilities, labels, bins=2, equal_mass=True)
    assert found == pytest.approx((0.99025 - 0.5 + 1 - 0.99965) / 2)
    # What is equal stays together, in whatever order it comes.
    same = of_two([0.7, 0.8, 0.8, 0.8, 0.8, 0.9])
    assert reliability_curve(same, [0] * 6, bins=6, equal_mass=True).count.tolist() == [1, 4, 1]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(2, 5), st.integers(1, 20), st.integers(0, 10**6))
def test_the_error_of_calibration_bin_by_bin(count, classes, bins, seed):
    rng = np.random.default_rng(seed)
    probabilities, labels = softmax(2 * rng.normal(size=(count, classes)), axis=1), rng.integers(0, classes, count)
    total = 0.0
    for lower in range(bins):
        some = [i for i in range(count) if lower / bins < probabilities[i].max() <= (lower + 1) / bins]
        right = sum(np.argmax(probabilities[i]) == labels[i] for i in some)
        total += abs(right - sum(max(probabilities[i]) for i in some)) / count
    assert expected_calibration_error(probabilities, labels, bins) == pytest.approx(total)
    for equal_mass in (False, True):
        curve = reliability_curve(probabilities, labels, bins, equal_mass)
        assert curve.count.sum() == count
        assert (np.diff(curve.confidence) > 0).all()
        assert curve.count @ curve.accuracy == pytest.approx((probabilities.argmax(1) == labels).sum())
        assert curve.count @ curve.confidence == pytest.approx(probabilities.max(1).sum())


def test_what_is_as_likely_as_it_says_has_little_error(rng):
    logits = 2 * rng.normal(size=(20_000, 4))
    labels = drawn(rng, logits)
    assert expected_calibration_error(softmax(logits, axis=1), labels) < 0.012
    assert expected_calibration_error(softmax(4 * logits, axis=1), labels) > 0.1


def test_likelihood_and_brier_score_by_the_formula(rng):
    for classes in (2, 5):
        probabilities, labels = softmax(rng.normal(size=(50, classes)), axis=1), rng.integers(0, classes, 50)
        expected = -np.mean(np.log(probabilities[np.arange(50), labels]))
        assert negative_log_likelihood(probabilities, labels) == pytest.approx(expected)
        expected = np.mean(np.square(probabilities - np.eye(classes)[labels]).sum(1))
        assert brier_score(probabilities, labels) == pytest.approx(expected)
    assert negative_log_likelihood([[0, 1]], [0]) == pytest.approx(-math.log(2**-52))
    assert brier_score([[0, 1]], [0]) == 2
    assert brier_score([[1, 0, 0]], [0]) == 0


@pytest.mark.filterwarnings("error")
def test_probabilities_that_were_rounded_will_do(rng):
    exact, labels = softmax(rng.normal(size=(50, 5)), axis=1), rng.integers(0, 5, 50)
    for rounded in (exact.astype(np.float32), exact.astype(np.float16), exact.round(4)):
        assert negative_log_likelihood(rounded, labels) == pytest.approx(
            negative_log_likelihood(exact, labels), rel=1e-3
        )
        assert brier_score(rounded, labels) == pytest.approx(brier_score(exact, labels), rel=1e-3)


# --- energy -------------------------------------------------------------------------------------


def test_energy_by_the_formula():
    logits = np.array([[1, 2, 0], [-3, 0, 5]])
    np.testing.assert_allclose(energy(logits), np.log(np.exp(logits).sum(1)))
    np.testing.assert_allclose(energy(logits, 2.0), 2 * np.log(np.exp(logits / 2).sum(1)))
    np.testing.assert_allclose(energy(logits + 7), energy(logits) + 7)
    np.testing.assert_allclose(energy(logits, 1e-3), [2, 5])
    np.testing.assert_allclose(energy([[9000, 0]]), [9000])
    assert energy([[5, 5]]) > energy([[1, 1]])  # the largest probability is one half in both


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function", [reliability_curve, expected_calibration_error, negative_log_likelihood, brier_score]
)
@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[0.5, np.nan]], [0], "probabilities must be finite"),
        ([[2.0, 1.0]], [0], "Of logits, take the softmax first"),
        ([[1.5, -0.5]], [0], "probabilities must be 0 or more"),
        ([[0.5, 0.5]], [2], "labels must be whole numbers from 0 to 1; they run from 2 to 2"),
        ([[0.5, 0.5]], [0.5], "labels must be whole numbers"),
        ([[0.5, 0.5]], [-1], "labels must be whole numbers"),
        ([[0.5, 0.5]], [np.inf], "labels must be finite"),
        ([[0.5, 0.5]], [0, 1], r"labels \[N\], N at least 1, not \(1, 2\) and \(2,\)"),
        ([[1.0]], [0], "K at least 2"),
        (np.zeros((0, 3)), [], "N at least 1"),
        ([0.5, 0.5], [0, 1], r"probabilities must be \[N, K\]"),
        ([["a", "b"]], [0], "probabilities must be real numbers"),
    ],
)
def test_what_are_no_probabilities_is_refused(function, probabilities, labels, message):
    with pytest.raises(UsageError, match=message):
        function(probabilities, labels)


def test_what_are_no_logits_is_refused():
    for logits, message in (([[np.inf, 0]], "logits must be finite"), ([1, 2], r"logits must be \[N, K\]")):
        for ask in (lambda logits=logits: fit_temperature(logits, [0]), lambda logits=logits: energy(logits)):
            with pytest.raises(UsageError, match=message):
                ask()
    for temperature in (0, -1, np.inf, np.nan):
        with pytest.raises(UsageError, match="temperature must be"):
            energy([[1, 2]], temperature)
    with pytest.raises(UsageError, match="bins must be at least 1"):
        reliability_curve([[0.5, 0.5]], [0], bins=0)
