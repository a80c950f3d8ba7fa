"""The book's exercises with numbers of the student's own, each as a function that works out the right answer.

What a function is called with are the student's numbers, and what the chapter gives; see `checks`. Exercises with the
chapter's data are in `experiments`.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from .checks import exercise

# --- Real images --------------------------------------------------------------------------------


@exercise(
    "The same histogram for all",
    "Equalizing makes all 256 values equally frequent.",
    "Count the values first, both ends included; then the pixels of each.",
    tolerance=1e-6,
    low=range(64, 128),
    high=range(191, 256),
)
def levels_between(low: int, high: int, resolution: int) -> float:
    """How many pixels of one channel of an equalized image have values between two, both included."""
    return (high - low + 1) * resolution**2 / 256


# --- A zoo of GANs ------------------------------------------------------------------------------


@exercise(
    "Hinge loss",
    "A real score above 1 costs nothing, and a generated one below -1.",
    "Take the mean over the real scores and the mean over the generated ones, and add the two.",
    real_one=(2, 1.5, 3, 1.2),
    real_other=(0.5, 0.2, -0.5, 0.8, -1),
    fake_one=(-3, -1.5, -2, -1.1),
    fake_other=(0.2, -0.5, 1, 0.6, -0.1),
)
def hinge(real_one: float, real_other: float, fake_one: float, fake_other: float) -> float:
    """The discriminator's hinge loss of given scores."""
    real, fake = (real_one, real_other), (fake_one, fake_other)
    return sum(max(0, 1 - r) for r in real) / len(real) + sum(max(0, 1 + f) for f in fake) / len(fake)


@exercise(
    "Gradient penalty",
    "The gradient with respect to an image has an entry for each pixel and channel. How large is each?",
    "All 3 R^2 entries equal the weight. The norm is over all of them, so it is the weight times the root of 3 R^2.",
    weight=(0.01, *(round(0.002 * k, 3) for k in range(1, 60) if k != 5)),
)
def linear_penalty(weight: float, resolution: int) -> float:
    """The gradient penalty of a critic that adds up all values of an image times one weight."""
    norm = math.sqrt(3 * resolution**2 * weight**2)
    return 10 * (norm - 1) ** 2


# --- Baselines ----------------------------------------------------------------------------------


@exercise(
    "Noise or edge?",
    "Of the four windows that with the least power counts.",
    "From its power the noise's own, 25, is taken away; what is left, if anything, is the signal.",
    "The residual gets the share of the noise in the two together.",
    coefficient=(30, 12, -8, 24, -45),
    first=(400, 130, 90),
    second=(125, 60, 210, 40),
    third=(90, 30, 150),
    fourth=(225, 75),
)
def wiener_noise(coefficient: float, first: float, second: float, third: float, fourth: float) -> float:
    """What the adaptive Wiener filter takes for noise in a wavelet coefficient, from mean squares of windows."""
    noise = 5**2
    signal = max(min(first, second, third, fourth) - noise, 0)
    return coefficient * noise / (signal + noise)


# --- Seeing fingerprints ------------------------------------------------------------------------


@exercise(
    "Louder, not better",
    "What does a normalized correlation take away before it compares?",
    "A model fingerprint of mean zero does not see what is added to all pixels alike.",
    factor=(2, 3, 0.5, 1.5, 5, 0.2, 4),
    offset=(0.1, -0.2, 0.3, 0.05, -0.4, 0.25, 1, -1),
)
def contrast(factor: float, offset: float) -> tuple[float, float]:
    """How correlation and inner product grow when an image fingerprint is scaled and shifted."""
    image, model = np.random.default_rng(0).normal(size=(2, 12288))
    model -= model.mean()
    changed = factor * image + offset
    correlations = [np.corrcoef(some, model)[0, 1] for some in (image, changed)]
    return correlations[1] / correlations[0], (changed @ model) / (image @ model)


# --- Where fingerprints come from ---------------------------------------------------------------


@exercise(
    "The checkerboard",
    "At half a cycle a pixel a wave goes +1, -1, +1, ...",
    "Lay it on the kernel: every second weight changes its sign. At frequency 0 none does.",
    a=(1, 2, 3),
    b=(2, 5, 3, 4),
    c=(3, 4, 2, 5, 6),
    d=(2, 1, 4),
)
def checkerboard(a: float, b: float, c: float, d: float) -> float:
    """The part of the amplitude that a kernel of four weights lets through at half a cycle a pixel."""
    found = np.abs(np.fft.fft([a, b, c, d], 8))
    return float(found[4] / found[0])


@exercise(
    "Where the copy goes",
    "In the large image each stripe is twice as many pixels long, so its frequency is half.",
    "What stood at 0 appears again at one half, and all else mirrored about one quarter.",
    frequency=(0.1, *(round(0.01 * k, 2) for k in range(1, 50) if k not in (10, 25)), 0.125, 0.375),
)
def copied_to(frequency: float) -> float:
    """The frequency, in [0.25, 0.5], of the copy of a wave that zeros double."""
    wave = np.zeros(4000)
    wave[::2] = np.cos(2 * np.pi * frequency * np.arange(2000))
    found = np.abs(np.fft.rfft(wave))
    found[: len(found) // 2] = 0  # the original
    return float(found.argmax() / len(wave))


# --- Uniqueness ---------------------------------------------------------------------------------


@exercise(
    "Not yet due",
    "How likely is one certain image to be missed in one draw?",
    "All draws have to miss it, each independently of the others: multiply.",
    tolerance=1e-3,
    count=(2268, *range(10, 500, 7)),
    times=(1, 2, 3, 0.5),
)
def not_yet_due(count: int, times: float) -> float:
    """How likely one of `count` images has not been among so many times as many that were drawn at random."""
    still = 1.0
    for _ in range(round(count * times)):
        still *= (count - 1) / count
    return still


# --- Frequency ----------------------------------------------------------------------------------


@exercise(
    "What a blur leaves",
    "Put the middle of the blur on a crest of the cosine, where it is 1.",
    "One pixel away the cosine is cos(2 pi / period), two away cos(4 pi / period); weigh them and add up.",
    period=(4, 3, *range(5, 60)),
)
def blurred_wave(period: int) -> float:
    """The amplitude that a cosine of this period has after the blur [1 4 6 4 1] / 16."""
    wave = np.cos(2 * np.pi * np.arange(8 * period) / period)
    blurred = np.convolve(wave, np.array([1, 4, 6, 4, 1]) / 16, mode="valid")
    return float(2 * np.abs(np.fft.rfft(blurred[: 4 * period])).max() / (4 * period))


@exercise(
    "Folded",
    "The new pixels are two old ones apart: how many cycles is that a new pixel?",
    "Whole cycles cannot be seen: take one away, and forget the sign.",
    frequency=(0.4, *(round(0.255 + 0.004 * k, 3) for k in range(60))),
)
def folded(frequency: float) -> float:
    """The frequency, in [0, 0.5], at which a wave is seen when every second pixel is kept."""
    kept = np.cos(2 * np.pi * frequency * np.arange(0, 2000, 2))
    return float(np.abs(np.fft.rfft(kept)).argmax() / len(kept))


# --- Patches ------------------------------------------------------------------------------------


@exercise(
    "How much does it see?",
    "Begin with one pixel. A 3x3 convolution adds one neighbour on each side, a 2x2 pooling one neighbour in all.",
    "After a pooling neighbours are two pixels of the image apart, after two poolings four.",
    tolerance=1e-6,
    convolutions=(2, 3, 4, 5),
    poolings=(2, 3, 4, 5),
    last=(2, 3, 4, 5),
)
def receptive_field(convolutions: int, poolings: int, last: int) -> int:
    """How many pixels wide a feature sees: 3x3 convolutions before each 2x2 pooling, and some at the end."""
    seen, pixel = 1, 1
    for layer in (["conv"] * convolutions + ["pool"]) * poolings + ["conv"] * last:
        seen += {"conv": 2, "pool": 1}[layer] * pixel
        pixel *= {"conv": 1, "pool": 2}[layer]
    return seen


# --- Artifacts ----------------------------------------------------------------------------------


@exercise(
    "All of them",
    "Each of them has to be right.",
    "They are chosen without regard to it, so the probabilities multiply.",
    share=(90, 80, 85, 95, 97),
    images=(20, *range(5, 20)),
)
def chance_of_all(share: int, images: int) -> float:
    """How likely all of some images are right when each is with a probability in per cent."""
    return float((share / 100) ** images)


# --- Attacks ------------------------------------------------------------------------------------


@exercise(
    "A grid that moved",
    "How many cycles does the window hold?",
    "They now take as many pixels as the whole image has.",
    offset=(8, *range(1, 8), *range(9, 17)),
    period=(2, 4, 3, 8),
)
def cropped_frequency(offset: int, period: int, side: int) -> float:
    """Where a grid of this period lies, in cycles a pixel, once a window was enlarged to the whole image."""
    return (side - offset) / period / side


@exercise(
    "Decibels",
    "The mean squared error of noise is its variance.",
    "Divide 255^2 by it; then ten times the decimal logarithm.",
    variance=(20, *range(2, 20), *range(21, 60)),
)
def noise_to_signal(variance: float) -> float:
    """The peak signal-to-noise ratio, in decibels, that noise of this variance leaves."""
    return 10 * math.log10(255**2 / variance)


# --- Immunization -------------------------------------------------------------------------------


@exercise(
    "Untouched",
    "Every single coin has to fall the other way.",
    "The coins are independent: multiply.",
    attacks=(5, 2, 3, 4, 6, 7, 8),
    percent=(50, 20, 30, 40, 60, 70, 80, 25),
)
def untouched(attacks: int, percent: int) -> float:
    """How likely an image meets none of some attacks that come independently, each with a probability in per cent."""
    return float((1 - percent / 100) ** attacks)


# --- What could fool us -------------------------------------------------------------------------


@exercise(
    "Many controls",
    "How likely is it that all of them contain chance?",
    "One or more missing is everything but that.",
    tests=(20, *range(2, 20), *range(21, 60)),
    percent=(95, 90, 99),
)
def at_least_one(tests: int, percent: int) -> float:
    """How likely one of several independent intervals of this confidence, or more, misses the truth."""
    none = 1.0
    for _ in range(tests):
        none *= percent / 100
    return 1 - none


# --- The open world, and your images ------------------------------------------------------------


@exercise("Odds", "Odds before, times the ratio, are odds after; p / (1 - p) are odds.", "Then odds / (1 + odds).")
def posterior(prior: float, ratio: float) -> float:
    """The probability after the evidence, in [0, 1], from that before it and the likelihood ratio."""
    fake, honest = prior * ratio, 1 - prior
    return fake / (fake + honest)


@exercise("Energy", "The exponentials are added up before the logarithm is taken.", "A row of scores has one energy.")
def energies(scores: Any) -> list[float]:
    """The logarithm of the sum of the exponentials of each row of scores."""
    return [math.log(sum(math.exp(score) for score in row)) for row in scores]


@exercise(
    "Files", "What has another suffix is passed over.", "So are hidden files and folders, and all that is in them."
)
def judged() -> int:
    """How many files of an example are taken for images; they are made and looked for."""
    from tempfile import TemporaryDirectory

    from ..data.files import image_files

    with TemporaryDirectory() as folder:
        for name in ("a.PNG", ".hidden.png", "b.jpeg", "c.txt", ".thumbnails/d.png"):
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.touch()
        return len(image_files(folder)[0])


# --- The claims ledger --------------------------------------------------------------------------


@exercise(
    "Read a verdict",
    "The whole interval has to lie on one side: look at its ends, not at its middle.",
    "It holds if the lower end is at or above the upper bound, and fails if the upper end is below the lower bound. "
    "In part: wholly between the two.",
    low=(88, 10, 35, 91, 20, 60, 5),
    length=(5, 3, 8, 12, 20),
    holds_above=(90, 80, 50),
    fails_below=(40, 30),
)
def verdict(low: float, length: float, holds_above: float, fails_below: float) -> str:
    """What the ledger says of an interval, in per cent, that begins at `low`."""
    if low >= holds_above:
        return "holds"
    if low + length < fails_below:
        return "fails"
    return "in part" if low > fails_below and low + length < holds_above else "not shown"


@exercise(
    "How sure?",
    "p is the share of right answers, n the number of images; the answer is a pair of fractions, the lower first.",
    "Not the normal approximation: the centre is pulled towards one half, and all is divided by 1 + z^2 / n.",
    total=(200, 2000, 500, 1000),
    wrong=(19, *range(5, 19), *range(20, 80)),
)
def wilson(total: int, wrong: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy, as a pair of fractions."""
    z, p = 1.959963984540054, 1 - wrong / total
    centre = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2)) / (1 + z**2 / total)
    return centre - half, centre + half
