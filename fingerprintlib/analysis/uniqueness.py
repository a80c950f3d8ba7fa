"""Sources that are nearly alike: which generators are siblings, some sources of a corpus, how far apart they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..errors import UsageError, unknown
from ..statistics.distances import frechet_distance
from ..statistics.metrics import Report
from ..zoo.generators import Generator


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """In what two trained generators differ, read off their training cards: the largest difference names it.

    Returns:
        ``"nothing"``; ``"one image"``, where one of them lacks an image (or each another); ``"seed"``, whatever
        images they lack; ``"architecture"``; or ``"settings"``, which is all else: other data, width or budget.
    """
    mine, theirs = one["recipe"], other["recipe"]
    apart = {key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}
    if "gan" in apart:
        return "architecture"
    if apart - {"seed", "without"}:
        return "settings"
    if "seed" in apart:
        return "seed"
    return "one image" if apart else "nothing"


@dataclass(frozen=True)
class Siblings:
    """A generator and those that differ from it in hardly anything.

    Attributes:
        first: the one.
        seeds: those that differ in the seed alone.
        images: those that differ in one training image alone.
        others: the first of each other architecture.
    """

    first: Generator
    seeds: tuple[Generator, ...]
    images: tuple[Generator, ...]
    others: tuple[Generator, ...]

    @classmethod
    def of(cls, generators: Sequence[Generator], gan: str, count: int) -> "Siblings":
        """Find the siblings of a generator by the training cards: of the one that most others lack one image of.

        Args:
            generators: in any order.
            gan: the architecture.
            count: most siblings of each of the two kinds; there may be fewer.

        Raises:
            UsageError: there is none of one kind, or none is asked for.
        """
        recipes = [generator.card["recipe"] for generator in generators]
        whole = [g for g, r in zip(generators, recipes, strict=True) if r["gan"] == gan and r["without"] is None]
        if not whole:
            raise unknown("architecture", gan, sorted({recipe["gan"] for recipe in recipes}))
        first = max(whole, key=lambda one: sum(difference(one.card, g.card) == "one image" for g in generators))
        kinds = [difference(first.card, generator.card) for generator in generators]
        found = list(zip(kinds, generators, strict=True))
        seeds = [g for kind, g in found if kind == "seed" and g.card["recipe"]["without"] is None]
        images = [g for kind, g in found if kind == "one image"]
        if count < 1 or not seeds or not images:
            raise UsageError(
                f"{count} siblings of each kind were asked for. Of {first.name!r} the zoo has {len(seeds)} that differ "
                f"in the seed alone and {len(images)} that lack one image. Ask for 1 or more; the zoo that comes with "
                "the book has some of both kinds."
            )
        others = {g.card["recipe"]["gan"]: g for kind, g in reversed(found) if kind == "architecture"}
        return cls(first, tuple(seeds[:count]), tuple(images[:count]), tuple(reversed(others.values())))

    @property
    def family(self) -> tuple[Generator, ...]:
        """The first and all its siblings."""
        return (self.first, *self.seeds, *self.images)

    @property
    def all(self) -> tuple[Generator, ...]:
        """The family, then the others."""
        return (*self.family, *self.others)


def report_among(
    scores: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    members: Sequence[int],
    groups: np.ndarray | None = None,
) -> Report:
    """Attribution among some of the sources without further training: what if there were these alone?

    Their images are attributed to the one of them with the highest score.

    Args:
        scores: ``[N, K]``, the higher the likelier.
        labels: int ``[N]``.
        class_names: of the K sources.
        members: the sources to choose from, each a column of the scores, two at least.
        groups: int ``[N]``, see `metrics.Report.of`.

    Raises:
        UsageError: fewer than two members, one given twice, or one that is no column of the scores; no image of theirs.
    """
    scores, labels, columns = np.asarray(scores), np.asarray(labels), np.asarray(members)
    if len(set(members)) != len(members) or len(members) < 2 or not set(members) <= set(range(scores.shape[1])):
        raise UsageError(f"members must be two columns of the {scores.shape[1]} scores at least, not {list(members)}.")
    mine = np.isin(labels, columns)
    truth = (labels[mine][:, None] == columns).argmax(1)
    together = None if groups is None else np.asarray(groups)[mine]
    return Report.of(truth, scores[mine][:, columns].argmax(1), [class_names[k] for k in members], together)


def accuracy_by_number(
    scores: np.ndarray, labels: np.ndarray, members: Sequence[int]
) -> dict[int, tuple[float, float, float]]:
    """`report_among` each subset of the members, summed up by its size.

    Args:
        scores: ``[N, K]``, the higher the likelier.
        labels: int ``[N]``.
        members: the sources to choose from, two at least, each with images.

    Returns:
        Size of the subset to mean, lowest and highest accuracy over the subsets of that size, in [0, 1].

    Raises:
        UsageError: see `report_among`.
    """
    scores, labels, columns = np.asarray(scores), np.asarray(labels), np.asarray(members)
    report_among(scores, labels, [str(k) for k in range(scores.shape[1])], members)  # refuses what cannot be
    mine = np.isin(labels, columns)
    among, place = scores[mine][:, columns], np.arange(len(columns))
    truth = (labels[mine][:, None] == columns).argmax(1)
    own = among[np.arange(len(truth)), truth][:, None]
    # The members that are preferred to the truth; of equal scores the first counts. One bit each: subsets are many.
    preferred = ((among > own) | ((among == own) & (place < truth[:, None]))) @ (1 << place)
    found = {}
    for size in range(2, len(columns) + 1):
        accuracies = []
        for subset in combinations(place, size):
            chosen = sum(1 << k for k in subset)
            asked = (chosen >> truth) & 1 == 1
            accuracies.append(float(np.mean(preferred[asked] & chosen == 0)))
        found[size] = float(np.mean(accuracies)), min(accuracies), max(accuracies)
    return found


def source_distances(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Frechet distances between sources, float64 ``[K, K]``, symmetric; on the diagonal between two halves of one.

    All sets have the same size, half of the smallest source, for the distance is biased: see `distances.frechet_ratio`.

    Args:
        features: float ``[N, D]``.
        labels: int ``[N]``, 0 to K - 1, at least four of each.
        seed: of the halves.

    Raises:
        UsageError: a source with fewer than four images.
    """
    labels = np.asarray(labels)
    sizes = np.bincount(labels)
    if sizes.min(initial=4) < 4:
        raise UsageError(f"Each source needs four images for a distance; there are {sizes.tolist()}.")
    rng, count = np.random.default_rng(seed), int(sizes.min()) // 2
    halves = []
    for k in range(len(sizes)):
        mine = rng.permutation(np.flatnonzero(labels == k))
        halves.append((features[mine[:count]], features[mine[count : 2 * count]]))
    between = np.array([[frechet_distance(one, other) for _, other in halves] for one, _ in halves])
    return (between + between.T) / 2


def pairs_by_difference(generators: Sequence[Generator]) -> dict[str, list[tuple[int, int]]]:
    """The pairs of generators, each by its two numbers, sorted by what they differ in: see `difference`."""
    found: dict[str, list[tuple[int, int]]] = {"one image": [], "seed": [], "architecture": []}
    for (j, one), (k, other) in combinations(enumerate(generators), 2):
        found.setdefault(difference(one.card, other.card), []).append((j, k))
    return {kind: pairs for kind, pairs in found.items() if pairs}
