"""What a build will take, reckoned before anything starts.

What a chapter took before counts, and how far its knobs are turned. Of a profile at which it has never run, it is
reckoned from what it took at `quick`. Where it trains its networks, and did not there, it takes as much again as those
that come with the book took to train, by steps, width and resolution.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .chapters import Book, Job
from .published import SHIPPED
from .timings import TRAINED, Cost, expected, minutes, size, with_knobs

MEASURED = "quick"  # the profile that every chapter has been measured at
FOUR, SLIM = 4, "progan-seed0"  # a zoo's GANs besides its siblings; one of these, of width 16, trained on one core


@dataclass(frozen=True)
class Estimate:
    """What a chapter, or a point of a sweep, is to take; `guessed`: it has not run like this before."""

    what: str
    cost: Cost
    guessed: bool


def estimates(book: Book, build: Path, profile: str, plan: Sequence[Job], jobs: Sequence[Job]) -> list[Estimate]:
    """What those of the plan's jobs take for which anything is known, in the plan's order."""
    values = {job.chapter.name: job.values for job in plan}
    side = values["real-images"]["resolution"] if "real-images" in values else 0  # another book
    found = []
    for job in jobs:
        chapter, base = job.chapter, profile
        known = expected(book, build, profile, chapter)
        if known is None:
            base, known = MEASURED, expected(book, book.root / "_build" / MEASURED, MEASURED, chapter)
        if known is None:
            continue
        usual = book.values(chapter.name, base)
        trains = _trains(job.values) and not _trains(usual)
        cost = with_knobs(known, chapter, job.values, usual, besides=TRAINED if trains else set())
        if side and chapter.name != "real-images":  # whose own knob it is
            pixels = max(1.0, side / book.values("real-images", base)["resolution"]) ** 2
            cost = Cost(cost.seconds * pixels, cost.memory, int(cost.disk * pixels))
        if trains:
            width = job.values.get("width", values["attribution"]["width"])
            cost = Cost(cost.seconds + _training(book, job, side, width), cost.memory, cost.disk)
        found.append(Estimate(job.label or chapter.name, cost, trains or base != profile))
    return found


def total(found: Sequence[Estimate]) -> Cost:
    """Of chapters that run one after the other."""
    costs = [Cost(0), *(one.cost for one in found)]
    memory = max(cost.memory for cost in costs)
    return Cost(sum(cost.seconds for cost in costs), memory, sum(cost.disk for cost in costs))


def as_text(found: Sequence[Estimate]) -> str:
    """A line a chapter, to be printed before anything starts."""
    everything = Estimate("all of them", total(found), False)
    rows = [*found, everything]
    widest = max(len(one.what) for one in rows) + 1
    lines = [f"{'chapter':{widest}} {'one core':>10} {'disk':>9}"]
    lines += [f"{one.what:{widest}} {minutes(one.cost.seconds):>10} {size(one.cost.disk):>9}" for one in rows]
    if any(one.guessed for one in found):
        lines += [
            f"An estimate, from what chapters took at `{MEASURED}` and what the networks that come with the book took",
            "to train, on a core each; as if there were as many images as are asked for. A GPU takes far less.",
        ]
    return "\n".join(lines)


def _trains(values: Mapping[str, Any]) -> bool:
    """Whether the chapter trains its networks, or generators, rather than show those that come with the book."""
    return "trained" in (values.get("networks"), values.get("generators"))


def _training(book: Book, job: Job, side: int, width: float) -> float:
    """Seconds to train a chapter's networks on one core."""
    from ..zoo.networks import Networks  # PyTorch with it: seconds before anything starts, for what is seldom asked

    values = job.values
    if "generators" in values:
        card = json.loads((book.root / "data" / "zoo" / f"{SLIM}.json").read_text(encoding="utf-8"))
        recipe, images = card["recipe"], values["images_seen"] * (FOUR + 2 * values["siblings"])
        growth = (side / recipe["resolution"] * values["width"] / recipe["width"]) ** 2
        return growth * card["seconds"] / card["images_seen"] * images
    usual = book.values(job.chapter.name, SHIPPED)
    before = usual.get("width", book.values("attribution", SHIPPED)["width"])
    growth = (side / book.values("real-images", SHIPPED)["resolution"] * width / before) ** 2
    growth *= values["steps"] / usual["steps"] * values.get("runs", 1) / usual.get("runs", 1)
    cards = Networks(book.root / "data" / "networks").cards(f"{job.chapter.name}-")
    # The median: some were trained beside others, and took several times as long.
    return growth * len(cards) * median(card["seconds"] for card in cards) if cards else 0.0
