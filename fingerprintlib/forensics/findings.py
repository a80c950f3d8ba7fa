"""What a sceptic asks of labelled images before a network learns from them: how many, how alike, and what else differs.

A network takes the easiest way to tell sources apart. If one of them comes as JPEG and the other as PNG, or from larger
images, or in other colours, it learns that, and its accuracy says nothing of fingerprints.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from ..attribution.probes import HistogramProbe
from ..data.decoding import name_of
from ..data.files import PassedOver
from ..data.headers import Header
from ..data.labelled import LabelledImages
from ..statistics.metrics import Report, beyond_chance
from .calibrating import ALARMS, REAL
from .reading import ReadImages

ENOUGH = 200  # images of a source, for intervals of a few points
UNEVEN = 3  # times as many images of one source as of another
CHANCE = 1e-3  # a difference that would come about so rarely by chance is told,
SHARE, APART = 0.1, 0.3  # if it is as large: of shares, and of distributions (Kolmogorov-Smirnov)
BEYOND = 0.1  # of the way from guessing to being always right: what colours may tell
ALIKE = 0.1  # the share of a source's images that show what another one shows
PROBED = 300  # images of each source that a probe learns from, or is asked about
NAMED = 3  # examples
RULE_OF_THREE = 3  # none of n independent ones shows, at 95 %, that no more than 3 / n are (Hanley 1983)


@dataclass(frozen=True)
class Findings:
    """What was found in folders of images.

    Attributes:
        counts: source to split to number of images.
        warnings: what makes numbers weak, or a network learn something else than fingerprints; sentences.
        unread: the files that could not be used, a sentence each.
        passed_over: what was not taken for an image.
    """

    counts: Mapping[str, Mapping[str, int]]
    warnings: tuple[str, ...]
    unread: tuple[str, ...]
    passed_over: tuple[PassedOver, ...]


def findings(read: ReadImages, corpus: LabelledImages, headers: Sequence[Header], labels: np.ndarray) -> Findings:
    """Look into what was read, and into the corpus that it became.

    Args:
        read: some or all of the corpus's sources.
        corpus: with the splits ``train``, ``validation`` and ``test``.
        headers, labels: of images of all sources of the corpus, ``[N]``; int, indices of its class names.
    """
    names = corpus.class_names
    counts: dict[str, dict[str, int]] = {name: {} for name in names}
    for split in ("train", "validation", "test"):
        for name, count in zip(names, np.bincount(corpus.split(split)[1], minlength=len(names)), strict=True):
            counts[name][split] = int(count)
    warnings = [*_numbers(counts), *_headers(names, headers, labels), *_duplicates(read), *_colours(corpus)]
    return Findings(counts, tuple(warnings), tuple(read.unread), tuple(read.passed_over))


def _numbers(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    totals = {name: sum(some.values()) for name, some in counts.items()}
    if few := [f"{name} ({total})" for name, total in totals.items() if total < ENOUGH]:
        yield (
            f"There are fewer than {ENOUGH} images of {', '.join(few)}: a network learns little from so few, and what "
            "is measured on the test split is uncertain."
        )
    most, least = max(totals, key=lambda name: totals[name]), min(totals, key=lambda name: totals[name])
    if totals[most] > UNEVEN * totals[least]:
        yield (
            f"There are {totals[most]:,} images of {most} and {totals[least]:,} of {least}: what is rare is learned "
            "less well. Give more of it."
        )
    if REAL not in counts:
        yield (
            f"No source is called {REAL!r}, so nothing can be said of whether an image is generated. Photographs like "
            f"those that the generators learned from belong into a sub-folder {REAL!r}."
        )
    elif counts[REAL]["validation"] * ALARMS < RULE_OF_THREE:
        yield (
            f"The line above which an image is called generated is drawn by {counts[REAL]['validation']} photographs. "
            f"That no more than {ALARMS:.1%} of all are beyond it, so few cannot show: it takes about "
            f"{round(RULE_OF_THREE / ALARMS):,}, each by another contributor."
        )


def _headers(names: Sequence[str], headers: Sequence[Header], labels: np.ndarray) -> Iterator[str]:
    formats = [header.format for header in headers]
    if told := _shares(names, formats, labels):
        yield (
            f"The file formats differ: {told}. What a format leaves in the pixels is easier to learn than a "
            "fingerprint. Save all sources alike, from the originals."
        )
    profiles = ["with" if header.profile else "without" for header in headers]
    if told := _shares(names, profiles, labels):
        yield (
            f"Colour profiles are not as common in all sources: {told} one. Images that have one were made by other "
            "programs, and some are converted when they are read."
        )
    jpeg = np.array([header.quality is not None for header in headers])
    qualities = np.array([header.quality or 0 for header in headers])
    if told := _distributions(names, qualities[jpeg], labels[jpeg]):
        yield (
            f"The JPEG qualities differ: {told}. Traces of compression are easier to learn than a fingerprint. Give "
            "images of one quality."
        )
    if told := _distributions(names, np.array([header.side for header in headers]), labels):
        yield (
            f"The sizes differ (shorter side, in pixels): {told}. By how much an image was shrunk shows in it. Give "
            "images of one size, or such as were never resized."
        )


def _shares(names: Sequence[str], kinds: Sequence[str], labels: np.ndarray) -> str:
    """How common each kind is in each source, if that differs; or nothing."""
    known, which = np.unique(kinds, return_inverse=True)
    table = np.zeros((len(names), len(known)))
    np.add.at(table, (labels, which), 1)
    shares = table / table.sum(1, keepdims=True)
    if np.ptp(shares, axis=0).max() < SHARE or chi2_contingency(table).pvalue > CHANCE:
        return ""
    return "; ".join(
        f"{name}: {', '.join(f'{share:.0%} {kind}' for share, kind in zip(row, known, strict=True) if share)}"
        for name, row in zip(names, shares, strict=True)
    )


def _distributions(names: Sequence[str], values: np.ndarray, labels: np.ndarray) -> str:
    """The range and the median of each source, if two of them are far apart; or nothing."""
    mine = {name: values[labels == k] for k, name in enumerate(names) if (labels == k).any()}
    tests = [ks_2samp(one, other, method="asymp") for one, other in combinations(mine.values(), 2)]
    if not any(test.statistic > APART and test.pvalue < CHANCE for test in tests):
        return ""
    return "; ".join(
        f"{name} {some.min()}" + (f" to {some.max()}, median {np.median(some):.0f}" if np.ptp(some) else "")
        for name, some in mine.items()
    )


def _duplicates(read: ReadImages) -> Iterator[str]:
    owners: dict[int, set[int]] = {}
    for group, label in zip(read.groups.tolist(), read.labels.tolist(), strict=True):
        owners.setdefault(group, set()).add(label)
    if shared := [group for group, those in owners.items() if len(those) > 1]:
        examples = ", ".join(
            " and ".join(name_of(read.paths[i]) for i in _of_each_source(np.flatnonzero(read.groups == group), read))
            for group in shared[:NAMED]
        )
        yield (
            f"The same picture lies in folders of several sources, {len(shared)} times: {examples}. It cannot be from "
            "both; take it out of one."
        )
    sizes = Counter(read.groups.tolist())
    for k, name in enumerate(read.names):
        mine = read.groups[read.labels == k]
        again = sum(sizes[group] > 1 for group in mine.tolist())
        if again > ALIKE * len(mine):
            yield (
                f"Of the {len(mine)} images of {name}, {again} are as good as the same as another one; they count as "
                f"{len(set(mine.tolist()))} pictures."
            )


def _of_each_source(rows: np.ndarray, read: ReadImages) -> list[int]:
    """The first of these images of each source that has some."""
    return rows[np.unique(read.labels[rows], return_index=True)[1]].tolist()


def _colours(corpus: LabelledImages) -> Iterator[str]:
    report = probe(HistogramProbe(joint=True), corpus, "validation")
    count = len(corpus.class_names)
    easiest = max(report.recall, key=lambda name: report.recall[name])
    if beyond_chance(report.interval[0], count) > BEYOND:
        yield (
            f"Colours alone tell the sources apart: by how often each colour occurs, {report.accuracy:.0%} of the "
            f"validation images are named rightly, where guessing gives {1 / count:.0%}; most of all those of "
            f"{easiest}. A network may have learned colours, or what the pictures show, and not how they were made. "
            "Give sources that show the same things."
        )


def probe(classifier: Any, corpus: LabelledImages, split: str) -> Report:
    """How well a classifier that knows nothing of fingerprints does, on as many images of each source.

    Args:
        classifier: an estimator as those of `attribution.probes`; it learns from the ``train`` split.
        corpus: whose sources are asked about.
        split: on which it is measured.
    """
    learned, asked = (corpus.first(name, _alike(corpus, name)) for name in ("train", split))
    classifier.fit(learned.images, learned.labels)
    return Report.of(asked.labels, classifier.predict(asked.images), corpus.class_names, asked.groups)


def _alike(corpus: LabelledImages, split: str) -> int:
    """How many images there are of each source, as many as are looked at."""
    return min(PROBED, int(np.bincount(corpus.split(split)[1]).min()))
