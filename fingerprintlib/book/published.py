"""What the published run found, ``data/results/full.json``, to be set beside what a build finds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tables import markdown
from .claims import FAILS, HOLDS, OPEN, PART, Entry, Measurement

IN_WORDS = {HOLDS: "holds", FAILS: "fails", PART: "holds in part", OPEN: "is not shown"}


@dataclass(frozen=True)
class Published:
    """Numbers and claims of a build that `networks.publish` left.

    Args:
        profile: at which it was built.
        chapters: chapter to its ``metrics`` and ``claims``, the ``date`` on which they were published, ``YYYY-MM-DD``,
            and the ``machine`` on which they were measured.
    """

    profile: str
    chapters: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls, folder: Path) -> "Published | None":
        """What is published in ``data/results``, if anything is."""
        path = folder / "full.json"
        if not path.is_file():
            return None
        told = json.loads(path.read_text(encoding="utf-8"))
        return cls(told["profile"], told["chapters"])

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every chapter's record, as `claims.ledger` takes them."""
        return [{"chapter": name, **record} for name, record in self.chapters.items()]

    def sentence(self, claim: str) -> str:
        """What was found for a claim, to follow `Measurement.sentence`; empty if it was not measured."""
        for record in self.records:
            for measured in record["claims"]:
                if measured["claim"] == claim:
                    found = Measurement.from_dict(measured)
                    return f"At `{self.profile}`: **{found.answer}**, {found.told()} {found.unit}."
        return ""

    def beside(self, chapter: str, metrics: Mapping[str, float | int | str]) -> str:
        """A chapter's numbers here and in the published run, as MyST text; empty if the chapter was not published."""
        told = self.chapters.get(chapter, {})
        found = told.get("metrics", {})
        names = [name for name in metrics if not name.endswith(("_low", "_high"))]
        if not found or not names:
            return ""
        rows = [{"": f"`{n}`", "here": _cell(metrics, n), f"`{self.profile}`": _cell(found, n)} for n in names]
        title = f":::{{dropdown}} The numbers of this page, here and at `{self.profile}`"
        where = f"`{self.profile}` was run on {told['date']} ({told['machine']}). In parentheses: 95 % intervals."
        return "\n\n".join([title, where, markdown(rows), ":::"])


def _cell(metrics: Mapping[str, Any], name: str) -> str:
    """A metric with its interval, if it has one."""
    if name not in metrics:
        return ""
    ends = [metrics[name + end] for end in ("_low", "_high") if name + end in metrics]
    return _number(metrics[name]) + (f" ({'–'.join(map(_number, ends))})" if len(ends) == 2 else "")


def _number(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def verdicts(entries: Sequence[Entry], finding: str) -> str:
    """How many of a finding's claims hold, in words: ``2 of 3 claims hold``; the others are named."""
    measured = [entry for entry in entries if entry.claim.finding == finding and entry.measurement]
    if not measured:
        return "nothing was measured"
    if len(measured) == 1:
        return f"the claim {IN_WORDS[measured[0].verdict]}"
    holding = sum(entry.verdict == HOLDS for entry in measured)
    others = [f"`{entry.claim.id}` {IN_WORDS[entry.verdict]}" for entry in measured if entry.verdict != HOLDS]
    return ", ".join([f"{holding} of {len(measured)} claims hold", *others])
