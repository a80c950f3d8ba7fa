"""What the chapters cost: measured by each run, published in ``data/timings.json``, printed on the pages."""

import json
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..provenance import write_json
from ..tables import markdown
from .chapters import PROFILES, Book, Chapter

#: Knobs that cost no time, however they are turned, and those that cost it by their square.
FREE, SQUARE = {"seed", "shown", "learning_rate", "emphasis", "decimals"}, {"width", "resolution"}

#: Knobs of what is done again and again: they multiply. All others are numbers of images.
TRAINED = {"steps", "finetuning", "images_seen", "live_images", "siblings", "runs"}
REPEATED = {*TRAINED, "pgd_steps"}

#: Knobs by which what a chapter leaves on the disk grows.
STORED = {"train_images", "test_images", "photographs", "siblings", "resolution"}


@dataclass(frozen=True)
class Cost:
    """What a chapter takes: seconds, bytes of memory at most, and bytes on the disk for as long as the build lies."""

    seconds: float
    memory: int = 0
    disk: int = 0

    def __str__(self) -> str:
        """As part of a sentence: ``2.5 min, 1.3 GB of memory and 900 MB of disk``."""
        more = [f"{size(count)} of {what}" for what, count in (("memory", self.memory), ("disk", self.disk)) if count]
        return " and ".join([", ".join([minutes(self.seconds), *more[:-1]]), *more[-1:]])


def build_folder(book: Book, profile: str) -> Path:
    """``_build/<profile>`` of the project."""
    return book.root / "_build" / profile


def record_run(build: Path, chapter: Chapter, seconds: float) -> None:
    """Note what this run took, and what the chapter takes from scratch: what was found trained had to be trained, too.

    The page has left word of that when it was finished: see `store.REUSED`.
    """
    told = json.loads((build / "costs" / f"{chapter.name}.json").read_text())
    saved = told.pop("saved")
    told |= {"seconds": seconds, "from_scratch": round(seconds + saved, 1)}
    write_json(build / "timings" / f"{chapter.name}.json", told)


def expected(book: Book, build: Path, profile: str, chapter: Chapter) -> Cost | None:
    """What the chapter took here last time, or on the machine of the published timings."""
    own = build / "timings" / f"{chapter.name}.json"
    if own.is_file():
        told = json.loads(own.read_text())
        return Cost(told["seconds"], told["memory"], told["disk"])
    published = published_timings(book)["profiles"].get(profile, {}).get(chapter.name)
    return Cost(**published) if published else None


def with_knobs(
    cost: Cost,
    chapter: Chapter,
    values: Mapping[str, Any],
    usual: Mapping[str, Any],
    besides: Collection[str] = (),
) -> Cost:
    """What a chapter takes at most with other values than the usual ones: numbers in proportion.

    Memory stays as it was: images are read from the disk as they are needed. Knobs in `besides` do not count.
    """

    def growth(names: Collection[str]) -> list[float]:
        known = [name for name in names if chapter.parameters[name].type in ("int", "float") and usual[name]]
        return [max(1.0, values[name] / usual[name]) ** (2 if name in SQUARE else 1) for name in known]

    knobs = chapter.parameters.keys() - {*besides} - FREE
    several, images = knobs & (REPEATED | SQUARE), knobs - REPEATED - SQUARE
    stored = [sum(some[name] for name in images & STORED) for some in (values, usual)]
    return replace(
        cost,
        seconds=cost.seconds * math.prod(growth(several)) * max(growth(images), default=1.0),
        disk=int(
            cost.disk * math.prod(growth(several & STORED)) * (max(1.0, stored[0] / stored[1]) if stored[1] else 1)
        ),
    )


def published_timings(book: Book) -> dict[str, Any]:
    """``data/timings.json``: machine, and `Cost` by profile and chapter, as `record_timings` left them."""
    path = book.root / "data" / "timings.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"machines": {}, "profiles": {}}


def timings(book: Book, build: Path, profile: str) -> dict[str, Any]:
    """The published timings with this build's own in their place: cost from scratch, by profile and chapter."""
    found = published_timings(book)
    own = {}
    for chapter in book.chapters:
        path = build / "timings" / f"{chapter.name}.json"
        if path.is_file():
            told = json.loads(path.read_text())
            own[chapter.name] = {"seconds": told["from_scratch"], "memory": told["memory"], "disk": told["disk"]}
    profiles = {name: dict(found["profiles"].get(name, {})) for name in PROFILES}
    profiles[profile] |= own
    machines = {**found["machines"], profile: machine()}
    return {"machines": machines, "profiles": profiles, "own": profile}


def record_timings(book: Book, profile: str) -> Path:
    """Publish what the build of `profile` took: write it to ``data/timings.json``.

    Raises:
        UsageError: there is no such build.
    """
    build = build_folder(book, profile)
    if not any(build.glob("timings/*.json")):
        raise UsageError(f"Nothing was built at the profile {profile!r}. Run `fingerprints book --profile {profile}`.")
    found = timings(book, build, profile)
    path = book.root / "data" / "timings.json"
    write_json(path, {"machines": found["machines"], "profiles": found["profiles"]})
    return path


def machine() -> str:
    """This machine in a few words: cores, processor, accelerator."""
    import platform

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        match = re.search(r"model name\s*: (.+)", info.read_text())
        cpu = match[1] if match else cpu
    return f"{os.cpu_count()} cores, {' '.join(cpu.split())}"


def cost(chapter: str, timings: Mapping[str, Any]) -> str:
    """The measured minutes of a chapter by profile, as a sentence."""
    known = {name: timings["profiles"][name][chapter] for name in PROFILES if chapter in timings["profiles"][name]}
    words = ", ".join(f"{minutes(told['seconds'])} at `{name}`" for name, told in known.items())
    return f"{words} (measured; see {{doc}}`timings`)" if words else "not measured yet"


def minutes(seconds: float) -> str:
    """A duration in words: ``80 s``, ``2.5 min``, ``3.1 h``, ``1,200 h``."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h" if seconds < 360_000 else f"{seconds / 3600:,.0f} h"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def size(count: float) -> str:
    """Bytes in words: ``40 MB``, ``1.3 GB``; nothing for none."""
    if not count:
        return ""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def timings_page(chapters: Sequence[Chapter], timings: Mapping[str, Any]) -> str:
    """The page of measured costs, as MyST text."""
    own, profiles = timings["own"], timings["profiles"]
    measured = [name for name in PROFILES if profiles[name]]
    rows = []
    for chapter in chapters:
        told = {name: profiles[name].get(chapter.name) for name in measured}
        row = {"Chapter": f"{{doc}}`{chapter.path.stem}`"}
        row |= {f"`{name}`": minutes(some["seconds"]) if some else "" for name, some in told.items()}
        here = told.get(own) or {}
        rows.append(row | {"Memory": size(here.get("memory", 0)), "Disk": size(here.get("disk", 0))})
    totals = {f"`{name}`": minutes(sum(some["seconds"] for some in profiles[name].values())) for name in measured}
    costs = profiles[own].values()
    totals["Memory"] = size(max((some["memory"] for some in costs), default=0))
    totals["Disk"] = size(sum(some["disk"] for some in costs))
    rows.append({"Chapter": "**All chapters**", **totals})
    machines = "\n".join(f"- `{name}`: {timings['machines'][name]}" for name in measured)
    return (
        "# Timings\n\n"
        "Written by the build: how long each chapter takes to run from scratch, nothing trained beforehand, how much "
        f"memory it holds at most, and what it leaves in the store. The column `{own}`, memory and disk were measured "
        f"by the build of the page you are reading. Two chapters run side by side where they can, so a build takes "
        f"less than the sum.\n\n{markdown(rows)}\n\nMachines:\n\n{machines}\n"
    )
