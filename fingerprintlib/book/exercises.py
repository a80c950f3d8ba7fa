"""The checks of the book's exercises: each works out the answer on its own, compares, and prints what it found.

An answer of ``...`` is not counted as one. While the book is built a wrong answer is an error, so that the solutions
printed there are right.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FingerprintsError


def _judge(name: str, answer: Any, expected: Any, hint: str, tolerance: float = 5e-3, ordered: bool = True) -> None:
    if answer is ...:
        print(f"{name}: replace the ... by your answer, then run this cell again.")
        return
    if isinstance(expected, str):
        right = isinstance(answer, str) and answer == expected
    else:
        expected = np.asarray(expected, float)
        try:
            given = np.asarray(answer.detach().cpu() if hasattr(answer, "detach") else answer, float)
        except (TypeError, ValueError):  # a word, or lists of unequal length
            given = np.full(expected.shape, np.nan)
        if not ordered:
            given, expected = np.sort(given, None), np.sort(expected, None)
        right = given.shape == expected.shape and np.allclose(given, expected, rtol=tolerance, atol=1e-9)
    if not right and "FINGERPRINTS_BUILD" in os.environ:
        raise FingerprintsError(f"{name}: the printed solution gives {answer!r}, not {expected!r}.")
    print(f"{name}: right." if right else f"{name}: not yet. {hint}")


def most_alike(answer: Any, images: Any) -> None:
    """Real images: which two of some images are most similar, as a pair of their numbers."""
    flat = np.asarray(images, float).reshape(len(images), -1)
    pairs = {(i, j): np.square(flat[i] - flat[j]).sum() for j in range(len(flat)) for i in range(j)}
    best = min(pairs, key=lambda pair: pairs[pair])
    _judge("The most alike", answer, best, "Compare each image with all others.", 1e-6, ordered=False)


def quantization_error(answer: Any) -> None:
    """Real images: the largest change that rounding to 256 levels makes to a value of [-1, 1]."""
    values = np.linspace(-1, 1, 1_000_001)
    worst = np.abs(np.round((values + 1) * 127.5) / 127.5 - 1 - values).max()
    _judge("Rounding", answer, worst, "How far apart are two neighbouring levels in [-1, 1]?", tolerance=1e-3)


def pixels_per_level(answer: Any, resolution: int) -> None:
    """Real images: how often each of the 256 values occurs in one channel of an equalized image."""
    _judge("Equalized", answer, resolution**2 / 256, "All 256 values are equally frequent.")


def hinge(answer: Any, real: Any, fake: Any) -> None:
    """The zoo: the discriminator's hinge loss of given scores."""
    loss = sum(max(0, 1 - r) for r in real) / len(real) + sum(max(0, 1 + f) for f in fake) / len(fake)
    _judge("Hinge loss", answer, loss, "Scores beyond the margin of 1 on their own side cost nothing.")


def frechet(answer: Any, means: tuple[float, float], deviations: tuple[float, float]) -> None:
    """The zoo: the squared Frechet distance between two normal distributions on a line."""
    expected = (means[0] - means[1]) ** 2 + (deviations[0] - deviations[1]) ** 2
    _judge(
        "Frechet distance", answer, expected, "In one dimension a covariance is a variance, and its root a deviation."
    )


def linear_penalty(answer: Any, resolution: int, weight: float) -> None:
    """The zoo: the gradient penalty of a critic that adds up all values of an image times one weight."""
    norm = math.sqrt(3 * resolution**2 * weight**2)
    _judge("Gradient penalty", answer, 10 * (norm - 1) ** 2, "The gradient has 3 R^2 equal entries.")


def wilson(answer: Any, correct: int, total: int) -> None:
    """Attribution: the 95 % interval of an accuracy, as a pair of fractions."""
    z, p = 1.959963984540054, correct / total
    centre = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2)) / (1 + z**2 / total)
    _judge(
        "Interval",
        answer,
        (centre - half, centre + half),
        "Not the normal approximation: the centre is pulled towards one half.",
    )


def nearest_fingerprint(answer: Any, image_fingerprints: Any, model_fingerprints: Any, bias: Any) -> None:
    """Attribution: the sources that the inner products of image and model fingerprints name."""
    best = []
    for image in np.asarray(image_fingerprints, np.float64):
        scores = [float(image @ model) + float(b) for model, b in zip(model_fingerprints, bias, strict=True)]
        best.append(scores.index(max(scores)))
    _judge("Fingerprints", answer, best, "The logit is the inner product of the two fingerprints, plus a bias.")


def contrast(answer: Any, factor: float, offset: float) -> None:
    """Seeing fingerprints: how correlation and inner product grow when an image fingerprint is scaled and shifted."""
    image, model = np.random.default_rng(0).normal(size=(2, 12288))
    model -= model.mean()
    changed = factor * image + offset
    correlations = [np.corrcoef(some, model)[0, 1] for some in (image, changed)]
    expected = correlations[1] / correlations[0], (changed @ model) / (image @ model)
    _judge("Contrast", answer, expected, "What does normalizing take away, and what does a model of mean zero not see?")


def period_two(answer: Any, resolution: int) -> None:
    """Seeing fingerprints: row and column, in a centred spectrum, of vertical stripes that alternate by pixel."""
    stripes = np.tile([1.0, -1.0], (resolution, resolution // 2))
    power = np.abs(np.fft.fftshift(np.fft.fft2(stripes)))
    _judge(
        "Period two",
        answer,
        np.unravel_index(power.argmax(), power.shape),
        "The columns run from minus one half to just below one half of a cycle a pixel.",
    )


def checkerboard(answer: Any, kernel: Sequence[float]) -> None:
    """Where fingerprints come from: the part of the amplitude that a kernel lets through at half a cycle a pixel."""
    found = np.abs(np.fft.fft(kernel, 2 * len(kernel)))
    _judge("Checkerboard", answer, found[len(kernel)] / found[0], "Weigh each pixel by +1, -1, +1, ...")


def copied_to(answer: Any, frequency: float) -> None:
    """Where fingerprints come from: the frequency, in [0, 0.5], of the copy of a wave that zeros double."""
    wave = np.zeros(4000)
    wave[::2] = np.cos(2 * np.pi * frequency * np.arange(2000))
    found = np.abs(np.fft.rfft(wave))
    found[: len(found) // 2] = 0  # the original
    _judge("Copy", answer, found.argmax() / len(wave), "What stood at 0 appears again at one half.")


def blurred_wave(answer: Any, period: int) -> None:
    """Frequency: the amplitude that a cosine of this period has after the blur [1 4 6 4 1] / 16."""
    wave = np.cos(2 * np.pi * np.arange(8 * period) / period)
    blurred = np.convolve(wave, np.array([1, 4, 6, 4, 1]) / 16, mode="valid")
    _judge(
        "Blur",
        answer,
        2 * np.abs(np.fft.rfft(blurred[: 4 * period])).max() / (4 * period),
        "Put the middle of the blur on a crest.",
    )


def folded(answer: Any, frequency: float) -> None:
    """Frequency: the frequency, in [0, 0.5], at which a wave is seen when every second pixel is kept."""
    kept = np.cos(2 * np.pi * frequency * np.arange(0, 2000, 2))
    expected = np.abs(np.fft.rfft(kept)).argmax() / len(kept)
    _judge("Folded", answer, expected, "Cycles a new pixel; adding or taking away whole cycles changes nothing.")


def pyramid_numbers(answer: Any, resolution: int) -> None:
    """Frequency: how many numbers the residual bands of a square image and the 2x2 image that remains are."""
    total, side = 0, resolution
    while side > 2:
        total += side * side
        side //= 2
    _judge("Pyramid", answer, total + side * side, "Each level has a quarter of the last one's pixels.", tolerance=1e-6)


def verdict(answer: Any, low: float, high: float, holds_above: float, fails_below: float) -> None:
    """The claims ledger: what the ledger says of an interval."""
    expected = "not shown"
    if low >= holds_above:
        expected = "holds"
    elif high < fails_below:
        expected = "fails"
    _judge("Verdict", answer, expected, "The whole interval has to lie on one side.")


def mixture(answer: Any, recalls: Any, shares: Any) -> None:
    """What could fool us: the accuracy on sources of these recalls that make up these shares of the images."""
    hundred = [(recall, round(100 * share)) for recall, share in zip(recalls, shares, strict=True)]
    expected = sum(recall * count for recall, count in hundred) / sum(count for _, count in hundred)
    _judge("Whom one asks", answer, expected, "Imagine a hundred images, and count those that are recognized.")


def at_least_one(answer: Any, tests: int, confidence: float) -> None:
    """What could fool us: how likely one of several independent intervals, or more, misses the truth."""
    none = 1.0
    for _ in range(tests):
        none *= confidence
    _judge("Twenty controls", answer, 1 - none, "How likely is it that all of them are right?")


def noise_to_signal(answer: Any, variance: float) -> None:
    """Attacks: the peak signal-to-noise ratio, in decibels, that noise of this variance leaves."""
    _judge(
        "Decibels", answer, 10 * math.log10(255**2 / variance), "The mean squared error of the noise is its variance."
    )


def blurred_stripes(answer: Any, weights: Any) -> None:
    """Attacks: what a blur along rows leaves of the contrast of stripes that alternate from pixel to pixel."""
    stripes = np.resize([1.0, -1.0], 101)
    contrast = np.abs(np.convolve(stripes, np.asarray(weights, float), mode="valid")).max()
    _judge("Stripes", answer, contrast, "Lay the weights on the stripes: every second one counts negatively.")


def cropped_frequency(answer: Any, side: int, offset: int, frequency: float) -> None:
    """Attacks: where a frequency lies, in cycles a pixel, once a window was enlarged to the whole image."""
    cycles = frequency * (side - offset)
    _judge("A grid cropped", answer, cycles / side, "How many cycles does the window hold, and over how many pixels?")


def correlation(answer: Any, residual: Any, pattern: Any) -> None:
    """Baselines: the normalized cross-correlation of a residual with a pattern, without any shift."""
    expected = np.corrcoef(np.ravel(residual), np.ravel(pattern))[0, 1]
    _judge("Correlation", answer, expected, "Take off both means, then divide the inner product by both lengths.")


def wiener_noise(answer: Any, coefficient: float, means: Any, sigma: float = 5) -> None:
    """Baselines: what the adaptive Wiener filter takes for noise in a wavelet coefficient."""
    signal = max(min(means) - sigma**2, 0)
    expected = coefficient * sigma**2 / (signal + sigma**2)
    _judge("Wiener filter", answer, expected, "The window with the least power counts, less the noise's own power.")


def peaks(answer: Any, period: int) -> None:
    """Baselines: at how many frequencies, 0 apart, a pattern can have power that repeats every so many pixels."""
    tile = np.random.default_rng(0).normal(size=(period, period))
    spectrum = np.abs(np.fft.fft2(np.tile(tile, (4, 4))))
    _judge("Peaks", answer, int((spectrum > 1e-9).sum()) - 1, "It is told by as many numbers as one tile has pixels.")


def receptive_field(answer: Any, layers: Any) -> None:
    """Patches: how many pixels wide a feature sees after 3x3 convolutions ("conv") and 2x2 poolings ("pool")."""
    seen, pixel = 1, 1
    for layer in layers:
        seen += {"conv": 2, "pool": 1}[layer] * pixel
        pixel *= {"conv": 1, "pool": 2}[layer]
    _judge("Receptive field", answer, seen, "After a pooling neighbours are two pixels apart.", tolerance=1e-6)


def places(answer: Any, resolution: int, patch: int, stride: int, first: int) -> None:
    """Patches: at how many places a patch lies whole in an image, and how many fit without overlap."""
    starts = [start for start in range(first, resolution, stride) if start + patch <= resolution]
    beside, end = 0, 0
    for start in starts:
        if start >= end:
            beside, end = beside + 1, start + patch
    _judge("Places", answer, (len(starts) ** 2, beside**2), "Count along one side first.", tolerance=1e-6)


def stretched(answer: Any, low: int, high: int) -> None:
    """Patches: by how much equalizing spreads levels that are equally frequent between two bounds."""
    levels = np.repeat(np.arange(low, high + 1), 64)
    ranks = np.arange(len(levels)) * 256 // len(levels)
    slope = np.polyfit(levels, ranks, 1)[0]
    _judge("Splice", answer, slope, "All of 0..255 will be equally frequent.", tolerance=0.01)


def majority(answer: Any, share: float, patches: int) -> None:
    """Patches: how often the majority of independent patches is right, of two sources."""
    votes = range(patches // 2 + 1, patches + 1)
    expected = sum(math.comb(patches, right) * share**right * (1 - share) ** (patches - right) for right in votes)
    _judge("Majority", answer, expected, "Add up the binomial probabilities of more than half.")


def luminance_term(answer: Any, first: float, second: float) -> None:
    """Artifacts: the structural similarity of two even images."""
    constant = (0.01 * 255) ** 2
    expected = (2 * first * second + constant) / (first**2 + second**2 + constant)
    _judge("Luminance", answer, expected, "There is no contrast, so only the means count.", tolerance=1e-3)


def chance_of_all(answer: Any, share: float, images: int) -> None:
    """Artifacts: how likely all of some images are right when each is with a given probability."""
    _judge("All right", answer, share**images, "Each of them has to be right.")


def not_yet_due(answer: Any, count: int, images: int) -> None:
    """Uniqueness: how likely it is that one of `count` images was not among so many that were drawn at random."""
    still = 1.0
    for _ in range(images):
        still *= (count - 1) / count
    _judge("Not yet due", answer, still, "How likely is it to be missed in one draw, and then in all of them?")


def equally_unlike(answer: Any, sources: int) -> None:
    """Uniqueness: the cosine between vectors that all have the same cosine with one another, and sum to zero."""
    corners = np.eye(sources) - 1 / sources
    expected = corners[0] @ corners[1] / (corners[0] @ corners[0])
    _judge("Equally unlike", answer, expected, "Multiply the sum, which is zero, by one of the vectors.")


def equal_errors(answer: Any, genuine: Any, impostors: Any) -> None:
    """Uniqueness: the equal error rate of a few scores, at a threshold where both errors are just as frequent."""
    for threshold in sorted([*genuine, *impostors]):
        rejected = sum(score < threshold for score in genuine) / len(genuine)
        accepted = sum(score >= threshold for score in impostors) / len(impostors)
        if rejected >= accepted:
            break
    expected = (rejected + accepted) / 2
    _judge("Equal errors", answer, expected, "Put the threshold between two scores, count both errors, then move it.")


def untouched(answer: Any, attacks: int, probability: float) -> None:
    """Immunization: how likely an image meets none of some attacks that come independently of each other."""
    _judge("Untouched", answer, (1 - probability) ** attacks, "Every single coin has to fall the other way.")


def safest(answer: Any, table: Any) -> None:
    """Immunization: which network, a row, is the one whose worst column is best."""
    best, bound = "", -1.0
    for network, accuracies in table.items():
        if min(accuracies.values()) > bound:
            best, bound = network, min(accuracies.values())
    _judge("The safest", answer, best, "Take the minimum of each row first.")


def as_large_as_noise(answer: Any, levels: int, resolution: int) -> None:
    """Immunization: the variance of noise as large, in mean square, as a change of so many levels everywhere."""
    change = np.full((resolution, resolution, 3), levels)
    _judge("As large as noise", answer, np.mean(change**2), "The mean of the squares; no root.")


def posterior(answer: Any, prior: float, ratio: float) -> None:
    """The open world: the probability after the evidence, in [0, 1], from that before it and the likelihood ratio."""
    fake, honest = prior * ratio, 1 - prior
    _judge(
        "Odds", answer, fake / (fake + honest), "Odds before, times the ratio, are odds after; p / (1 - p) are odds."
    )


def energies(answer: Any, scores: Any) -> None:
    """The open world: the logarithm of the sum of the exponentials of each row of scores."""
    expected = [math.log(sum(math.exp(score) for score in row)) for row in scores]
    _judge("Energy", answer, expected, "The exponentials are added up before the logarithm is taken.")


def judged(answer: Any) -> None:
    """Your images: how many files of an example are taken for images; they are made and looked for."""
    from tempfile import TemporaryDirectory

    from ..data.files import image_files

    with TemporaryDirectory() as folder:
        for name in ("a.PNG", ".hidden.png", "b.jpeg", "c.txt", ".thumbnails/d.png"):
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.touch()
        expected = len(image_files(folder)[0])
    _judge("Files", answer, expected, "Hidden files and folders are passed over, and what has another suffix.")
