"""What a report on a blind case is worth, once its key is open: attribution, calibration, false accusations."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.decoding import name_of
from ..errors import UsageError
from ..forensics.calibrating import REAL
from ..forensics.judging import UNKNOWN
from ..statistics.intervals import Interval, by_group, mean_interval, share_interval, told
from ..statistics.likelihood_ratios import cllr, cllr_min
from ..tables import aligned
from .key import GENERATOR, PHOTOGRAPH, SIBLING, STRANGER, Key
from .report import LEAST, ROUNDING, Answers, exhibit_in, read_report

#: What is told of apart: kinds of exhibits by what tables call them.
PARTS: dict[str, tuple[str, ...]] = {
    "known": (PHOTOGRAPH, GENERATOR),
    "siblings": (SIBLING,),
    "unknown": (STRANGER,),
    "all": (PHOTOGRAPH, GENERATOR, SIBLING, STRANGER),
}
ACCUSED = 1.0  # log10 LR from which a report accuses: moderate support, see `likelihood_ratios.VERBAL_SCALE`
NOBODY = "nobody"  # is named where two answers are the likeliest


@dataclass(frozen=True)
class Share:
    """How many of some exhibits are so."""

    count: int
    total: int
    interval: Interval

    def __str__(self) -> str:
        return f"{self.count} of {self.total}"

    @property
    def told(self) -> str:
        """In per cent, as tables have it."""
        return told(self.count / self.total, self.interval)


@dataclass(frozen=True, eq=False)
class Grade:
    """The scores of a report.

    Attributes:
        name: of its file.
        key: of the case.
        answers: that it gives.
    """

    name: str
    key: Key
    answers: Answers

    @property
    def possible(self) -> tuple[str, ...]:
        """The K + 1 answers that could be given."""
        return (*self.key.sources, UNKNOWN)

    @cached_property
    def truth(self) -> NDArray[np.int64]:
        """Which of them is right, int ``[N]``."""
        return np.array([self.possible.index(answer) for answer in self.key.answers])

    @cached_property
    def named(self) -> tuple[str, ...]:
        """The likeliest answer to each exhibit, or `NOBODY`."""
        table = self.answers.probabilities
        alone = (table == table.max(1, keepdims=True)).sum(1) == 1
        return tuple(self.possible[k] if one else NOBODY for k, one in zip(table.argmax(1), alone, strict=True))

    @cached_property
    def bits(self) -> NDArray[np.float64]:
        """By how many bits less the truth surprises who believes the report than a guesser, float64 ``[N]``.

        The guesser gives all answers the same probability. It is ``log2((K + 1) p)``, p that of the truth (Good 1952,
        Journal of the Royal Statistical Society B 14, 107-114). On average nobody gains by giving other
        probabilities than those believed.
        """
        given = self.answers.probabilities[np.arange(len(self.truth)), self.truth]
        return np.log2(len(self.possible) * given)

    @cached_property
    def log_score(self) -> tuple[float, Interval]:
        """The mean of `bits`, and its 95 % interval: 0 for guessing, ``log2(K + 1)`` at best."""
        worst, best = (float(np.log2(len(self.possible) * p)) for p in (LEAST / (1 + ROUNDING), 1))
        return mean_interval(self.bits, self._groups, bounds=(worst, best))

    def right(self, kinds: Collection[str]) -> Share | None:
        """How many exhibits of some kinds are named rightly; None if there are none."""
        right = np.array([name == answer for name, answer in zip(self.named, self.key.answers, strict=True)])
        return self._share(right, kinds)

    @property
    def relatives(self) -> Share | None:
        """How many siblings are taken for a source that is known."""
        return self._share(np.array([name in self.key.sources for name in self.named]), (SIBLING,))

    @property
    def accused(self) -> Share | None:
        """How many photographs are called generated: a generator is named, or the LR for it is 10 or more."""
        return self._share(self.accuses, (PHOTOGRAPH,))

    @cached_property
    def accuses(self) -> NDArray[np.bool_]:
        """Whether each exhibit is called generated, bool ``[N]``."""
        named = np.array([name not in (REAL, UNKNOWN, NOBODY) for name in self.named])
        return named | (self.answers.log10_lrs >= ACCUSED)

    @property
    def cllr(self) -> float | None:
        """What the likelihood ratios cost, see `likelihood_ratios.cllr`; None where all are of one kind."""
        return cllr(self.answers.log10_lrs, self._generated) if self._two_kinds else None

    @property
    def cllr_min(self) -> float | None:
        """What they would cost if they were calibrated as well as can be."""
        return cllr_min(self.answers.log10_lrs, self._generated) if self._two_kinds else None

    @cached_property
    def _generated(self) -> NDArray[np.bool_]:
        return np.array([exhibit.kind != PHOTOGRAPH for exhibit in self.key.exhibits])

    @property
    def _two_kinds(self) -> bool:
        return 0 < self._generated.sum() < len(self._generated)

    @cached_property
    def _groups(self) -> NDArray[np.int64]:
        """Exhibits of one number hang together, int ``[N]``."""
        exhibits = self.key.exhibits
        owners = [f"group {one.group}" if one.group else str(number) for number, one in enumerate(exhibits)]
        return np.unique(owners, return_inverse=True)[1]

    def _share(self, so: NDArray[np.bool_], kinds: Collection[str]) -> Share | None:
        mine = np.array([exhibit.kind in kinds for exhibit in self.key.exhibits])
        if not mine.any():
            return None
        counts = by_group(so[mine], self._groups[mine])
        return Share(int(so[mine].sum()), int(mine.sum()), share_interval(counts))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""

        def share(found: Share | None) -> dict[str, Any] | None:
            return {"count": found.count, "total": found.total, "interval": list(found.interval)} if found else None

        value, interval = self.log_score
        rows = zip(
            self.key.names, self.key.exhibits, self.key.answers, self.named, self.bits, self.accuses, strict=True
        )
        return {
            "report": self.name,
            "case": self.key.mark,
            "commitment": self.key.commitment,
            "log_score": {"bits": value, "interval": list(interval), "best": float(np.log2(len(self.possible)))},
            "right": {part: share(self.right(kinds)) for part, kinds in PARTS.items()},
            "siblings_taken_for_known": share(self.relatives),
            "photographs_called_generated": share(self.accused),
            "cllr": self.cllr,
            "cllr_min": self.cllr_min,
            "exhibits": [
                {
                    "exhibit": name,
                    "source": exhibit.source,
                    "kind": exhibit.kind,
                    "answer": answer,
                    "named": named,
                    "bits": float(bits),
                    "called_generated": bool(called),
                }
                for name, exhibit, answer, named, bits, called in rows
            ],
        }


def grade_reports(paths: Sequence[Path], keys: Sequence[Key]) -> tuple[list[Grade], list[UsageError]]:
    """The scores of reports, the highest log score first, and what is wrong with those that cannot be graded.

    Args:
        paths: of the reports; each is on one of the cases.
        keys: of the cases.
    """
    by_mark = {key.mark: key for key in keys}
    grades, errors = [], []
    for path in paths:
        try:
            key = _key_of(path, by_mark)
            grades.append(Grade(name_of(path), key, read_report(path, key.sources, key.names)))
        except UsageError as error:
            errors.append(error)
    return sorted(grades, key=lambda grade: -grade.log_score[0]), errors


def _key_of(path: Path, by_mark: Mapping[str, Key]) -> Key:
    exhibit = exhibit_in(path)
    mark = exhibit.partition("-")[0]
    if mark not in by_mark:
        raise UsageError(
            f"{name_of(path)} is on the exhibit {exhibit[:40]!r}, and the key given is that of case "
            f"{', '.join(by_mark)}. Give its own key: --key KEY."
        )
    return by_mark[mark]


def class_table(grades: Sequence[Grade]) -> list[str]:
    """A line a report."""
    heads = ["REPORT", "CASE", "BITS", "RIGHT, %", *(part.upper() for part in PARTS if part != "all")]
    rows = [[*heads, "ACCUSED", "CLLR", "CLLR_MIN"]]
    for grade in grades:
        everything = grade.right(PARTS["all"])
        parts = [_or_dash(grade.right(kinds)) for part, kinds in PARTS.items() if part != "all"]
        score = told(*grade.log_score, scale=1, decimals=2)
        share = everything.told if everything else "-"
        costs = [_or_dash(grade.cllr), _or_dash(grade.cllr_min)]
        rows.append([grade.name, grade.key.mark, score, share, *parts, _or_dash(grade.accused), *costs])
    return aligned(rows)


def one_in_full(grade: Grade) -> list[str]:
    """All that is to say of one report, line by line."""
    rows = [["EXHIBITS", "NAMED RIGHTLY", "%"]]
    for part, kinds in PARTS.items():
        if share := grade.right(kinds):
            rows.append([part, str(share), share.told])
    lines = aligned(rows)
    best = np.log2(len(grade.possible))
    lines.append(f"log score: {told(*grade.log_score, scale=1, decimals=2)} bits; guessing has 0, certainty {best:.2f}")
    if grade.cllr is not None and grade.cllr_min is not None:
        lines.append(f"Cllr: {grade.cllr:.3f}; calibrated as well as can be {grade.cllr_min:.3f}; silence costs 1")
    if grade.accused:
        lines.append(f"photographs called generated: {grade.accused}, that is {grade.accused.told} %")
    if grade.relatives:
        lines.append(f"siblings taken for a known source: {grade.relatives}")
    wrong = [["EXHIBIT", "IS", "WAS NAMED", "BITS"]]
    for name, exhibit, answer, named, bits in zip(
        grade.key.names, grade.key.exhibits, grade.key.answers, grade.named, grade.bits, strict=True
    ):
        if named != answer:
            wrong.append([name, f"{exhibit.source} ({exhibit.kind})", named, f"{bits:.2f}"])
    return [*lines, "", *aligned(wrong)] if len(wrong) > 1 else lines


def _or_dash(value: Share | float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
