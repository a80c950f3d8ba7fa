"""The ledger: what the paper states, what it reports, what we measured, and a verdict that follows by rule.

Statements and the paper's figures stand in ``data/paper.yml``; chapters record measurements. What is judged is an
effect: how much is found beyond what needs no fingerprint, a simpler method or a control. The verdict is computed
from its 95 % interval and two bounds, so that nobody words it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import UsageError, unknown
from ..statistics.intervals import told
from ..tables import markdown

#: Unit of an effect that is a share of what a rival gets wrong: see `intervals.of_room`.
OF_ROOM = "% of its errors"

TIMES = "times"  #: unit of an effect that is a factor

HOLDS, FAILS, PART, OPEN, UNMEASURED = "holds", "fails", "in part", "not shown", "not measured yet"


@dataclass(frozen=True)
class Measurement:
    """Our figure for one claim.

    Args:
        claim: the claim's id in ``data/paper.yml``.
        value: the effect; `low` and `high` are its 95 % interval.
        holds_above: the claim holds when the whole interval lies at or above this.
        fails_below: it fails when the whole interval lies below this. When the whole interval lies between the two,
            there is an effect, but less than is claimed: it holds in part. Else nothing is shown.
        unit: what the effect counts, for print: ``"points"``, a difference of two fractions, and ``"%"`` and `OF_ROOM`,
            fractions, are shown times a hundred; `TIMES`, a factor, is not.
        beyond: what the effect is measured from, in a few words: ``"the joint histogram, in grey"``.
        ours: the figure that the paper's is to be set beside, with its interval, in words.
        conditions: how it was measured, in a few words.

    Raises:
        UsageError: a number is not finite, or the interval or the bounds are the wrong way round.
    """

    claim: str
    value: float
    low: float
    high: float
    holds_above: float
    fails_below: float
    unit: str = "points"
    beyond: str = ""
    ours: str = ""
    conditions: str = ""

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high, self.holds_above, self.fails_below)
        if not all(map(math.isfinite, numbers)) or self.low > self.high or self.fails_below > self.holds_above:
            raise UsageError(
                f"Claim {self.claim!r}: needs finite numbers, low <= high and fails_below <= holds_above; "
                f"value, low, high, holds_above, fails_below are {numbers}."
            )

    @property
    def verdict(self) -> str:
        """``holds``, ``in part``, ``fails`` or ``not shown``."""
        if self.low >= self.holds_above:
            return HOLDS
        if self.high < self.fails_below:
            return FAILS
        return PART if self.low > self.fails_below and self.high < self.holds_above else OPEN

    @property
    def scale(self) -> int:
        """From its numbers to those that are printed."""
        return 100 if self.unit in ("%", "points", OF_ROOM) else 1

    def told(self, decimals: int = 1) -> str:
        """``69.5 (66.2–72.6)``: effect and interval, with a sign where it counts points."""
        return told(self.value, (self.low, self.high), self.scale, decimals, signed=self.unit == "points")

    @property
    def answer(self) -> str:
        """The verdict as the answer to a question: ``yes``, ``in part``, ``no`` or ``not shown``."""
        return {HOLDS: "yes", FAILS: "no"}.get(self.verdict, self.verdict)

    def sentence(self) -> str:
        """What was found here, in Markdown: yes or no, by how much, beyond what, and how much it had to be."""
        return f"**Here: {self.answer}**, {self.effect()}; it holds from {self.bound} on. (Claim `{self.claim}`.)"

    @property
    def bound(self) -> str:
        """From where on the claim holds, in words: ``50 %``, ``5 points``, ``a factor of 1``."""
        number = f"{self.scale * self.holds_above:.4g}"
        if self.unit == TIMES:
            return f"a factor of {number}"
        return f"{number} {'%' if self.unit == OF_ROOM else self.unit}".rstrip()

    def effect(self, decimals: int = 1) -> str:
        """The effect, its interval, and what it is measured from, in words."""
        effect = self.told(decimals)
        if self.beyond and self.unit == OF_ROOM:
            return f"{effect} % put right on balance, of the errors of {self.beyond}"
        if self.beyond:
            return f"{effect} {self.unit} {'that of' if self.unit == TIMES else 'beyond'} {self.beyond}"
        return f"{effect} {self.unit}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, verdict included."""
        return {**asdict(self), "verdict": self.verdict}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Measurement":
        """The inverse of `as_dict`; the verdict is computed anew, not believed."""
        return cls(**{key: item for key, item in value.items() if key != "verdict"})


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, with its figure (per cent) if there is one, and that in words: ``99 against 87``."""

    id: str
    finding: str
    statement: str
    paper: float | None = None
    paper_source: str = ""
    verified: bool = False
    paper_told: str = ""


def load_paper(path: Path | str) -> dict[str, Any]:
    """The file ``data/paper.yml`` as it stands."""
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def load_claims(path: Path | str) -> list[Claim]:
    """The claims of ``data/paper.yml``, in its order; a figure is looked up in the tables there, never typed twice."""
    paper = load_paper(path)
    claims = []
    for entry in paper["claims"]:
        paths = [entry[key] for key in ("figure", "less") if key in entry]
        figures = [_look_up(paper, path) for path in paths]
        figure = round(figures[0] - sum(figures[1:]), 6) if figures else None
        verified = bool(paths) and all(path in paper["verified"] for path in paths)
        source = paper["tables"][entry["figure"][0]]["title"] if "figure" in entry else ""
        told = " against ".join(f"{one:g}" for one in figures)
        claims.append(Claim(entry["id"], entry["finding"], entry["statement"], figure, source, verified, told))
    return claims


def _look_up(paper: Mapping[str, Any], path: list[Any]) -> float:
    table, *keys = path
    figure: Any = paper["tables"][table]["values"]
    for key in keys:
        figure = figure[key]
    return figure


@dataclass(frozen=True)
class Entry:
    """One row of the ledger."""

    claim: Claim
    chapter: str | None
    measurement: Measurement | None

    @property
    def verdict(self) -> str:
        """The measurement's verdict, or that there is none yet."""
        return self.measurement.verdict if self.measurement else UNMEASURED

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        measured = self.measurement.as_dict() if self.measurement else None
        return {"claim": asdict(self.claim), "chapter": self.chapter, "measured": measured, "verdict": self.verdict}


def ledger(claims: Iterable[Claim], metrics: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """Every claim with its measurement, if a chapter made one.

    Args:
        claims: from `load_claims`.
        metrics: the chapters' ``metrics/<chapter>.json``, each with ``chapter`` and ``claims``.

    Raises:
        UsageError: a chapter recorded a claim that the paper's file does not list.
    """
    claims = list(claims)
    known = [claim.id for claim in claims]
    found: dict[str, tuple[str, Measurement]] = {}
    for page in metrics:
        for record in page["claims"]:
            measurement = Measurement.from_dict(record)
            if measurement.claim not in known:
                raise unknown("claim", measurement.claim, known)
            found[measurement.claim] = (page["chapter"], measurement)
    return [Entry(claim, *found.get(claim.id, (None, None))) for claim in claims]


def as_table(builds: Mapping[str, Sequence[Entry]], decimals: int = 1) -> str:
    """What the ledger says, as a Markdown table: claims, and what came out in each build, by its name.

    A verdict stands with the effect that it follows from, what that is measured from, and from where on it holds.
    """
    rows = []
    for entries in zip(*builds.values(), strict=True):
        row = {"Claim": f"`{entries[0].claim.id}` {entries[0].claim.statement}"}
        for build, entry in zip(builds, entries, strict=True):
            row[build] = f"**{entry.verdict}**"
            if found := entry.measurement:
                row[build] += f": {found.effect(decimals)}"  # with its rival: builds may have met different ones
                row.setdefault("Holds from", found.bound)
        rows.append({column: row.get(column, "") for column in ("Claim", *builds, "Holds from")})
    return markdown(rows)


def figures(entries: Iterable[Entry]) -> str:
    """The paper's figures and those that may be set beside them, as a Markdown table; confirmed ones have a tick."""
    rows = []
    for entry in entries:
        claim, confirmed = entry.claim, " ✓" if entry.claim.verified else ""
        rows.append(
            {
                "Claim": f"`{claim.id}`",
                "Paper (✓ confirmed)": f"{claim.paper_told}{confirmed}" if claim.paper_told else "",
                "Ours": entry.measurement.ours if entry.measurement else "",
                "Chapter": entry.chapter or "",
            }
        )
    return markdown(rows)
