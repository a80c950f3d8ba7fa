"""The book's exercises with a chapter's own data: predict and then run, break a control, beat a probe, find the leak.

Each is a function that works out what is right from the data, in its own way: see `checks`. Its first arguments are
the student's own numbers, of which some only choose what the chapter asks about.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from .checks import choice, design, exercise, prediction

# --- Real images --------------------------------------------------------------------------------


@choice(
    "The most alike",
    "Subtract two images, square, and take the mean: the smaller, the more alike. Mind that uint8 cannot be negative.",
    "Compare each image with all others; `scipy.spatial.distance.pdist` does it in one call, on flattened images.",
    "An image is most like itself: take the diagonal off before you look for the least.",
    start=range(100),
)
def most_alike(start: int, images: Any) -> Mapping[tuple[int, int], float]:
    """Which two of some images are most similar, as a pair of their numbers."""
    flat = np.asarray(images, float).reshape(len(images), -1)
    return {(i, j): -float(np.square(flat[i] - flat[j]).mean()) for i, j in combinations(range(len(flat)), 2)}


@prediction(
    "Images, not people",
    "A group of one photograph cannot be in both halves. One of two is with a chance of about one half. One of ten?",
    "It is in the other half unless all others of its group are in its own: one minus one half to the power of them.",
    "Run it: `order = np.random.default_rng(seed).permutation(len(of))`, then `np.isin` of the one half in the other.",
    seed=range(1000),
)
def leaky_split(seed: int, groups: Any) -> float:
    """How many per cent of the second half have their group in the first, if images are halved at random."""
    order = np.random.default_rng(seed).permutation(len(groups))
    known = {groups[number] for number in order[: len(order) // 2]}
    return 100 * float(np.mean([groups[number] in known for number in order[len(order) // 2 :]]))


# --- A zoo of GANs ------------------------------------------------------------------------------


@prediction(
    "A generator that remembers",
    "If it knew all training images, its distance would be the floor: one. With fewer it can only show these.",
    "So few images have no typical mean, and they spread in fewer directions than there are features.",
    "Run it: repeat the features `few` to as many rows as `reference.features[1]` has, then `frechet_distance`.",
    within=0,
    tolerance=0.5,
    known=(10, *range(5, 10), *range(11, 60)),
)
def remembered(known: int, few: Any, held_out: Any, floor: float) -> float:
    """The Frechet distance, in floors, of a generator that shows a few training images again and again."""
    shown = np.asarray(few, float)[np.arange(len(held_out)) % len(few)]
    means = shown.mean(0) - np.mean(held_out, 0)
    one, other = (np.atleast_2d(np.cov(some, rowvar=False)) for some in (shown, np.asarray(held_out, float)))
    values, axes = np.linalg.eigh(one)
    root = axes * np.sqrt(values.clip(0)) @ axes.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ other @ root).clip(0)).sum()
    return float(means @ means + np.trace(one) + np.trace(other) - 2 * shared) / floor


# --- Attribution, and chapters that look for outliers -------------------------------------------


@exercise(
    "Attribute by hand",
    "The score of a source is the inner product of the two fingerprints, plus the source's bias.",
    "`ten @ models.T` has a row for each image and a column for each source.",
    "The source with the highest score: `argmax` along the columns.",
    start=range(60),
)
def nearest_fingerprint(start: int, image_fingerprints: Any, model_fingerprints: Any, bias: Any) -> list[int]:
    """The sources that the inner products of image and model fingerprints name."""
    best = []
    for image in np.asarray(image_fingerprints, np.float64):
        scores = [float(image @ model) + float(b) for model, b in zip(model_fingerprints, bias, strict=True)]
        best.append(scores.index(max(scores)))
    return best


@choice(
    "The most wrong",
    "For each image of the source: how far lies the best score of the *other* sources above that of its own?",
    "Set the own source's column to minus infinity, take the maximum of the rest, and subtract the own score.",
    "Answer with the number of the image among all, not among those of its source.",
    slack=1e-3,
    source=range(60),
)
def most_wrong(source: int, scores: Any, labels: Any) -> Mapping[int, float]:
    """By how much another source is ahead, for the images of one source: scores float [N, K], labels int [N]."""
    there = sorted(set(np.asarray(labels).tolist()))
    found = {}
    for number, (row, label) in enumerate(zip(np.asarray(scores, float), labels, strict=True)):
        if label == there[source % len(there)]:
            found[number] = max(score for k, score in enumerate(row) if k != label) - row[label]
    return found


@prediction(
    "A leak",
    "Where an asked image stands among the learned ones, its nearest neighbour is itself: the label is always right.",
    "For all others labels mean nothing: one in as many as there are sources is right by luck.",
    "Run it: `KNeighborsClassifier(1)`, fitted on `learn` and the shared images with their drawn labels.",
    percent=(50, *range(10, 50), *range(51, 96)),
)
def shared_with_test(percent: int, learn: Any, asked: Any, drawn: Any) -> float:
    """How often a nearest neighbour is right, in per cent, on drawn labels, if it knows a part of what is asked."""
    shared = len(asked) * percent // 100
    known = np.concatenate([learn, asked[:shared]]).reshape(len(learn) + shared, -1).astype(float)
    right = 0
    for number, image in enumerate(np.asarray(asked, float).reshape(len(asked), -1)):
        nearest = int(np.square(known - image).sum(1).argmin())
        right += drawn[nearest] == drawn[len(learn) + number]
    return 100 * right / len(asked)


# --- Baselines ----------------------------------------------------------------------------------


@exercise(
    "Correlate",
    "Take off both means, each over all pixels and channels.",
    "Then divide the inner product by the length of each, the root of its sum of squares.",
    image=range(1000),
)
def correlation(image: int, residual: Any, pattern: Any) -> float:
    """The normalized cross-correlation of a residual with a pattern, without any shift."""
    return float(np.corrcoef(np.ravel(residual), np.ravel(pattern))[0, 1])


@prediction(
    "A pattern of few images",
    "With one image the pattern is this image's residual, garment and all. Averaging leaves what all have in common.",
    "What differs from image to image falls as one over the root of their number.",
    "Run it: `PRNU().fit(learn.images, learn.labels).score(asked.images, asked.labels)`.",
    few=(8, *range(2, 8), *range(9, 60)),
)
def pattern_of_few(few: int, learned: Any, sources: Any, asked: Any, truth: Any) -> float:
    """How many per cent are attributed rightly by patterns of few residuals: float [N, H, W, 3] each."""
    patterns = [np.mean([r for r, k in zip(learned, sources, strict=True) if k == s], 0) for s in np.unique(sources)]
    return _matched_rightly(asked, patterns, truth)


def _matched_rightly(asked: Any, patterns: Any, truth: Any) -> float:
    """Per cent of N images that correlate best with their own source's pattern of K; float [H, W, 3] each."""
    found = [np.argmax([np.corrcoef(one.ravel(), p.ravel())[0, 1] for p in patterns]) for one in asked]
    return 100 * float(np.mean(np.array(found) == truth))


# --- Seeing fingerprints ------------------------------------------------------------------------


@prediction(
    "Moved by a few pixels",
    "Two fingerprints are compared pixel by pixel. A pattern that moved is another pattern, unless it repeats.",
    "A pattern of period two does not notice a move by two pixels; one of period eight does.",
    "Run it: `visualizer.predict(moved)`, and compare with `truth`.",
    down=range(1, 8),
    across=range(1, 9),
)
def moved(down: int, across: int, fingerprints: Any, models: Any, truth: Any) -> float:
    """How many per cent are right by normalized correlation, of moved images' fingerprints float [N, H, W, 3]."""
    return _matched_rightly(fingerprints, models, truth)


# --- Where fingerprints come from ---------------------------------------------------------------


@design(
    "A quieter kernel",
    "The copy is strongest near half a cycle a pixel, where the copy of frequency 0 lies. Weigh it by +1, -1, +1, -1.",
    "Repeating is (1, 1), zero at half a cycle. Blending is (1, 1) three times over: repeat, blur by (1, 1), again.",
    "Each time more makes the zero flatter. Six weights leave room for two more: `np.convolve`.",
)
def quieter_kernel(images: Any) -> tuple[Callable[[Any], float], float]:
    """Per cent of the power of enlarged photographs that is no copy, for a row of six weights; of uint8 images."""
    grey = np.asarray(images, float) @ (0.299, 0.587, 0.114)
    small = (grey[:, ::2, ::2] + grey[:, 1::2, ::2] + grey[:, ::2, 1::2] + grey[:, 1::2, 1::2]) / 4
    small = small - small.mean((1, 2), keepdims=True)
    window = np.hanning(small.shape[1] + 2)[1:-1]
    spectrum = (np.abs(np.fft.fft2(small * np.outer(window, window))) ** 2).mean(0)  # float [S, S]
    twice = np.tile(spectrum, (2, 2))  # what zeros between the pixels make of it
    coarse = np.abs(np.fft.fftfreq(len(twice))) < 1 / 4

    def score(row: Any) -> float:
        weights = np.asarray(row, float)
        if weights.shape != (6,) or not weights.sum() > 0:
            raise ValueError("it takes six weights, of a sum above zero")
        response = np.abs(np.fft.fft(weights, len(twice))) ** 2
        power = twice * np.outer(response, response)
        return 100 * float(power[np.ix_(coarse, coarse)].sum() / power.sum())

    return score, (score((0, 1, 3, 3, 1, 0)) + score((1, 5, 10, 10, 5, 1))) / 2


# --- Uniqueness ---------------------------------------------------------------------------------


@prediction(
    "Three of the family",
    "Guessing gives a third. How far above chance is the network with two siblings, and how far with all?",
    "Of three, an image has to beat two others: look in the figure at the curve of *any ProGANs*.",
    "Run it: of `grey` take the rows whose label is one of the three, and their three columns.",
    turn=range(50),
)
def three_siblings(turn: int, scores: Any, labels: Any, family: Any) -> float:
    """How many per cent are right among three members of a family, by scores float [N, K]."""
    three = [family[(turn + k) % len(family)] for k in range(3)]
    mine = [(row, label) for row, label in zip(np.asarray(scores), labels, strict=True) if label in three]
    return 100 * float(np.mean([max(three, key=row.__getitem__) == label for row, label in mine]))


@choice(
    "The hardest pair",
    "For two siblings, look at nothing but their own images and their two columns of scores.",
    "Count, over both, how often the other's score is the higher one.",
    "`itertools.combinations(family, 2)` gives all pairs; answer with two numbers of sources, not of siblings.",
)
def hardest_pair(scores: Any, labels: Any, family: Any) -> Mapping[tuple[int, int], float]:
    """How often two siblings are taken for one another, by scores float [N, K]."""
    scores, labels, found = np.asarray(scores), np.asarray(labels), {}
    for one, other in combinations(sorted(map(int, family)), 2):
        wrong = [scores[labels == a, b] > scores[labels == a, a] for a, b in ((one, other), (other, one))]
        found[one, other] = float(np.concatenate(wrong).mean())
    return found


# --- Frequency ----------------------------------------------------------------------------------


@choice(
    "One frequency",
    "Where the mean difference is largest, single images may differ even more among themselves.",
    "For each frequency: how often has an image of the generator more power there than a photograph has?",
    "`roc_auc_score` of scikit-learn says how often. A share of 0.1 is as good as one of 0.9: less power tells, too.",
    slack=0.01,
    source=range(60),
)
def one_frequency(source: int, rings: Any, labels: Any) -> Mapping[int, float]:
    """How well the power at each frequency, float [N, R], tells a generator's images from real ones (label 0)."""
    real, made = rings[labels == 0], rings[labels == 1 + source % int(max(labels))]
    found = {}
    for ring in range(rings.shape[1]):
        order = np.sort(real[:, ring])
        below, until = (np.searchsorted(order, made[:, ring], side) for side in ("left", "right"))
        area = float(np.mean(below + until) / 2 / len(real))
        found[ring] = max(area, 1 - area)
    return found


# --- Patches ------------------------------------------------------------------------------------


@prediction(
    "Five patches vote",
    "Were the five independent, a majority would be right far more often than one of them. Are they?",
    "They show one garment, one floor and one light. Where one is wrong, its neighbours tend to be wrong, too.",
    "Run it: the most frequent of each row of `votes` (`scipy.stats.mode`), compared with `truth`.",
    seed=range(1000),
)
def five_patches(seed: int, answers: Any, truth: Any) -> float:
    """How many per cent are right by the most frequent of five patches' answers, int [N, P, P]; the lower if tied."""
    rows, columns = np.random.default_rng(seed).integers(answers.shape[1], size=(2, 5))
    right = 0
    for one, label in zip(answers, truth, strict=True):
        counts = Counter(int(one[row, column]) for row, column in zip(rows, columns, strict=True))
        right += min(counts, key=lambda source: (-counts[source], source)) == label
    return 100 * right / len(truth)


@choice(
    "Beat the seam finder",
    "Look for a column at which floor, fabric or light change abruptly.",
    "Seams lie in the middle half of the image. Compare each column with its left neighbour, over all rows.",
    "The network's own answer, `at[number]`, is as good as itself.",
    splice=range(1000),
)
def seam(splice: int, true: Any, found: Any, resolution: int) -> Mapping[int, float]:
    """How near to the seam of the student's splice each column is; all that are as near as the one found are alike."""
    true, found = (int(ends[splice % len(ends)]) for ends in (true, found))
    return {column: -max(abs(column - true), abs(found - true)) for column in range(resolution + 1)}


# --- Artifacts ----------------------------------------------------------------------------------


@prediction(
    "Contrast alone",
    "The nearest tenth was picked by distance. How alike are distance and contrast? The probe above says it.",
    "Equalizing stretches flat images most, their faint ripple with it.",
    "Run it: `rank_within(contrast, makers)` is from 0, the flattest, to 1 within each generator.",
    low=range(91),
)
def by_contrast(low: int, contrast: Any, makers: Any, right: Any) -> float:
    """How many per cent are right between two percentiles of contrast, `low` and ten more, of each maker's images."""
    picked = []
    for maker in set(np.asarray(makers).tolist()):
        mine = sorted((value, n) for n, (value, k) in enumerate(zip(contrast, makers, strict=True)) if k == maker)
        picked += [n for place, (_, n) in enumerate(mine) if low <= 100 * place / len(mine) < low + 10]
    return 100 * float(np.mean([right[n] for n in picked]))


# --- Attacks ------------------------------------------------------------------------------------


@design(
    "Within a budget",
    "PRNU compares pixel by pixel with patterns. What takes its pattern away, or brings it out of step?",
    "Take the source's own pattern out (`exchange_patterns`), blur, or move the image by a pixel.",
    "What is too strong can be weakened: the image, plus a part of the change.",
    budget=(4, 2, 3, 5, 6, 7, 8),
    seed=range(100),
)
def within_budget(
    budget: float, seed: int, before: Any, labels: Any, judge: Callable[[Any], Any], start: Any
) -> tuple[Callable[[Any], float], float]:
    """Per cent of changed images, uint8 [N, H, W, 3], that a judge no longer names rightly.

    As many as of a `start`, and a quarter of the rest, are enough.
    """

    def score(changed: Any) -> float:
        if not isinstance(changed, np.ndarray) or changed.shape != before.shape or changed.dtype != np.uint8:
            raise TypeError(f"it takes images uint8 {list(before.shape)}")
        away = math.sqrt(np.mean((changed.astype(float) - before) ** 2))
        if away > budget:
            raise ValueError(f"the change is {away:.2f} levels, the budget {budget:g}")
        return 100 * float(np.mean(judge(changed) != labels))

    return score, (3 * score(start) + 100) / 4


# --- Immunization -------------------------------------------------------------------------------


@choice(
    "The safest network",
    "Leave out the column of the attack that will not come.",
    "Take the minimum of each row first, and then the row whose minimum is largest.",
    absent=range(60),
)
def safest(absent: int, table: Any) -> Mapping[str, float]:
    """The worst that each network, a row, does under all attacks but one."""
    columns = sorted(next(iter(table.values())))
    left = [name for name in columns if name != columns[absent % len(columns)]]
    return {network: min(row[name] for name in left) for network, row in table.items()}


@prediction(
    "Twice",
    "The network has learned this attack once, at strengths of the same range. Twice is more than it has seen.",
    "Look in the figure of strengths: how does accuracy fall beyond the shade?",
    "Run it: `found` is what the network answers; compare with `labels`.",
    attack=range(60),
)
def attacked_twice(attack: int, found: Any, truth: Any) -> float:
    """How many per cent of the answers are right."""
    return 100 * sum(a == b for a, b in zip(found, truth, strict=True)) / len(truth)


# --- What could fool us -------------------------------------------------------------------------


@prediction(
    "Another source, two names",
    "Does the handling leave the same mark in whatever images it meets?",
    "Look at the same pair in the figure above, in the row *spectrum, in grey*.",
    "Run it: `told_apart(view, LogDCT())` asks the linear classifier; its `accuracy` is a share.",
    pick=range(2, 62),
)
def two_names(pick: int, spectrum: Callable[[], Any]) -> float:
    """The accuracy, in per cent, of what the classifier of the spectrum finds: it is asked after the guess."""
    return 100 * float(spectrum().accuracy)


@choice(
    "Find the leak",
    "Stretched images reach both 0 and 255, every one of them. How many of the suspects do, and how many originals?",
    "JPEG rounds blocks of 8x8: saved once more, an image that was JPEG hardly changes.",
    "You have the originals. Treat them in each way, and compare with the suspects.",
    secret=range(60),
)
def leak(secret: int, images: Any, treatments: Any) -> Mapping[str, float]:
    """Which treatments give what the secret one makes of some images: 1, or 0 for the others."""
    found = suspects(images, treatments)
    return {name: float(np.array_equal(treat(images), found)) for name, treat in treatments.items()}


def suspects(images: Any, treatments: Any) -> Any:
    """Images after the one of the treatments that the student's number picks."""
    return treatments[sorted(treatments)[leak.given["secret"] % len(treatments)]](images)


# --- The claims ledger --------------------------------------------------------------------------


@choice(
    "The closest call",
    "A claim that holds changes its verdict when the lower end of its interval falls below the upper bound.",
    "One that holds in part, or is not shown, has two ways to go: up and down. Which end meets which bound first?",
)
def closest_call(claims: Mapping[str, Sequence[float]]) -> Mapping[str, float]:
    """How little each interval (low, high, holds above, fails below) must move to change its verdict, negative."""
    found = {}
    for name, (low, high, above, below) in claims.items():
        if low >= above:
            found[name] = above - low
        elif high < below:
            found[name] = high - below
        elif below < low and high < above:
            found[name] = -min(above - high, low - below)
        else:
            ways = [above - low, high - below]
            if high - low < above - below:  # it fits between the bounds
                ways += [abs(above - high), abs(low - below)]
            found[name] = -min(ways)
    return found
