"""What a judge is worth on images that nothing has learned from: how often it is right, sure, and wrongly accuses."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..attacks.immunization import attacked
from ..attacks.perturbations import HANDLING
from ..attribution.probes import HistogramProbe, PlainProbe
from ..data.labelled import LabelledImages, first_of_each
from ..statistics.calibration import ReliabilityCurve, expected_calibration_error, reliability_curve
from ..statistics.metrics import Report
from .calibrating import REAL
from .findings import probe
from .judging import GENERATED, UNKNOWN, UNSURE, Judge, Verdict

CONDITIONS = ("as they are", "handled")  # the images
ANSWERS = ("rightly", "wrongly", UNSURE, UNKNOWN)
FORGOTTEN = 0.01  # of the accuracy on old sources: more than that is told
BIN = 15  # images of a reliability curve, if there are as many


@dataclass(frozen=True)
class Examination:
    """What was found on the test images of the sources that a judge knows.

    Attributes:
        reports: condition to which source was the likeliest, whatever the judge would answer.
        answers: condition to how many images were answered how: named without doubt, `ANSWERS` says how.
        accused: condition to how many photographs were called generated, and how many were not; empty where there are
            no photographs among the sources.
        probes: what needs no fingerprint to how far it gets, on as many images of each source as they are.
        curves: condition to how often it is right by how sure it is, on as many images of each source.
        errors: condition to the expected calibration error of these.
    """

    reports: Mapping[str, Report]
    answers: Mapping[str, Mapping[str, int]]
    accused: Mapping[str, Report]
    probes: Mapping[str, Report]
    curves: Mapping[str, ReliabilityCurve]
    errors: Mapping[str, float]


def examine(judge: Judge, corpus: LabelledImages, seed: int = 0) -> Examination:
    """Ask a judge about the test images of a corpus of its sources, as they are and handled.

    Args:
        judge: of the corpus's sources, in its order.
        corpus: images as they are.
        seed: of the handling.

    Raises:
        UsageError: sources or size of the corpus do not fit.
    """
    judge.attributor.check_fits(corpus, "class_names", "resolution")
    names, groups = corpus.class_names, corpus.groups("test")
    met = attacked(corpus, HANDLING, seed=seed).split("test")[0]
    images, labels = corpus.split("test")
    reports, answers, accused, curves, errors = {}, {}, {}, {}, {}
    for condition, some in zip(CONDITIONS, (images, met), strict=True):
        verdicts = judge.judge(some)
        shares = np.array([[*verdict.probabilities.values()] for verdict in verdicts])
        reports[condition] = Report.of(labels, shares.argmax(1), names, groups)
        told = Counter(_told(verdict.answer, names[k]) for verdict, k in zip(verdicts, labels, strict=True))
        answers[condition] = {answer: told[answer] for answer in ANSWERS}
        if REAL in names:
            mine = np.flatnonzero(labels == names.index(REAL))
            accused[condition] = accusations([verdicts[i] for i in mine], groups[mine])
        rows = first_of_each(labels, int(np.bincount(labels).min()))
        bins = max(1, min(15, len(rows) // BIN))
        curves[condition] = reliability_curve(shares[rows], labels[rows], bins, equal_mass=True)
        errors[condition] = expected_calibration_error(shares[rows], labels[rows], bins, equal_mass=True)
    probes = {
        "how often each colour occurs": probe(HistogramProbe(joint=True), corpus, "test"),
        "colours, flat areas and motifs": probe(PlainProbe(), corpus, "test"),
    }
    return Examination(reports, answers, accused, probes, curves, errors)


def accusations(verdicts: Sequence[Verdict], groups: np.ndarray) -> Report:
    """How many photographs are called generated: a report in which being right is not to be.

    Args:
        verdicts: on N photographs.
        groups: int ``[N]``, see `corpus.Corpus.groups`.
    """
    rings = np.array([verdict.origin == GENERATED for verdict in verdicts]).astype(int)
    return Report.of(np.zeros(len(verdicts), int), rings, ("silent", "rings"), groups)


def compare(before: Judge, after: Judge, corpus: LabelledImages, seed: int = 0) -> dict[str, Report]:
    """What became of the old sources, and how well the new ones are named: title to report, on the test images.

    The old sources before and after and the new one, as they are; and in the same order handled.

    Args:
        before: of the corpus's first sources.
        after: of all of them.
        corpus: images as they are.
        seed: of the handling.
    """
    images, labels = corpus.split("test")
    met = attacked(corpus, HANDLING, seed=seed).split("test")[0]
    groups, names, old = corpus.groups("test"), corpus.class_names, labels < len(before.class_names)
    asked = {
        "the old sources before": (before, old),
        "the old sources after": (after, old),
        "the new source": (after, ~old),
    }
    return {
        title + suffix: Report.of(labels[which], judge.scores(some[which]).argmax(1), names, groups[which])
        for suffix, some in (("", images), (", handled", met))
        for title, (judge, which) in asked.items()
    }


def forgotten(compared: Mapping[str, Report]) -> str | None:
    """A warning, if the old sources are named rightly less often than before by more than `FORGOTTEN`.

    Args:
        compared: what `compare` found.
    """
    before, after, _, handled_before, handled_after, _ = compared.values()
    change, handled = (
        other.accuracy - one.accuracy for one, other in ((before, after), (handled_before, handled_after))
    )
    if min(change, handled) >= -FORGOTTEN - 1e-9:  # of counts, which floats round
        return None
    return (
        f"The old sources are named rightly less often than before: {100 * change:+z.1f} points as they are, "
        f"{100 * handled:+z.1f} points handled. The new source may be hard to tell from one of them. More steps and "
        "more of its images help; else keep the earlier attributor, too."
    )


def _told(answer: str, name: str) -> str:
    """Which of `ANSWERS` it is."""
    if answer in (UNSURE, UNKNOWN):
        return answer
    return "rightly" if answer == name else "wrongly"
