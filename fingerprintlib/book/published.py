"""What published runs found, ``data/results/<profile>.json``, to be set beside what a build finds.

The one at ``full`` is about the shipped networks; its numbers stand on every page. The ledger shows all.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..tables import markdown
from .claims import FAILS, HOLDS, OPEN, PART, Claim, Entry, Measurement, ledger

SHIPPED = "full"  #: the profile of the shipped networks
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
        """What is published in ``data/results`` about the shipped networks, if anything is."""
        return next((each for each in cls.all(folder) if each.profile == SHIPPED), None)

    @classmethod
    def all(cls, folder: Path) -> "list[Published]":
        """All that is published in ``data/results``, that about the shipped networks first, then by name.

        Raises:
            UsageError: a file there is none of these.
        """
        found = []
        for path in sorted(folder.glob("*.json"), key=lambda path: (path.stem != SHIPPED, path.stem)):
            try:
                told = json.loads(path.read_text(encoding="utf-8"))
                found.append(cls(told["profile"], told["chapters"]))
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(
                    f"{path} is no results file ({type(error).__name__}: {error}). `fingerprints results` writes one."
                ) from error
        return found

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every chapter's record, as `claims.ledger` takes them."""
        return [{"chapter": name, **record} for name, record in self.chapters.items()]

    def entries(self, claims: Sequence[Claim]) -> list[Entry]:
        """The ledger of this run. Claims that this book does not have, as another version may, are only named."""
        known = {claim.id for claim in claims}
        records = [
            {**record, "claims": [one for one in record["claims"] if one["claim"] in known]} for record in self.records
        ]
        strange = {one["claim"] for record in self.records for one in record["claims"]} - known
        if strange:
            print(f"Left out of `{self.profile}`, as this book has no such claims: {', '.join(sorted(strange))}.")
        return ledger(claims, records)

    def sentence(self, claim: str) -> str:
        """What was found for a claim, to follow `Measurement.sentence`; empty if it was not measured."""
        for record in self.records:
            for measured in record["claims"]:
                if measured["claim"] == claim:
                    found = Measurement.from_dict(measured)
                    return f"At `{self.profile}`: **{found.answer}**, {found.effect()}."
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
        where = f"`{self.profile}` was run on {told['date']} ({told['machine']})."
        where += " In parentheses: intervals, of 95 % unless the text says otherwise."
        return "\n\n".join([title, where, markdown(rows), ":::"])


def _cell(metrics: Mapping[str, Any], name: str) -> str:
    """A metric with its interval, if it has one."""
    if name not in metrics:
        return ""
    ends = [metrics[name + end] for end in ("_low", "_high") if name + end in metrics]
    return _number(metrics[name]) + (f" ({'–'.join(map(_number, ends))})" if len(ends) == 2 else "")


def _number(value: float | int | str) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.{2 if abs(value) < 0.01 else 4}g}"  # of what is nearly nothing, two digits say enough


def verdicts(entries: Sequence[Entry], finding: str) -> str:
    """How many of a finding's claims hold, in words: ``2 of 3 claims hold``; the others are named."""
    measured = [entry for entry in entries if entry.claim.finding == finding and entry.measurement]
    if not measured:
        return "nothing was measured"
    if len(measured) == 1:
        return f"the claim {IN_WORDS[measured[0].verdict]}"
    holding = sum(entry.verdict == HOLDS for entry in measured)
    others = [f"`{entry.claim.id}` {IN_WORDS[entry.verdict]}" for entry in measured if entry.verdict != HOLDS]
    held = f"{holding} of {len(measured)} claims hold{'s' if holding == 1 else ''}"
    return f"{held}; {', '.join(others)}" if others else held
