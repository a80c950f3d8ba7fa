"""What the chapters cost: measured by each run, published in ``data/timings.json``, printed on the pages."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..provenance import write_json
from ..tables import markdown
from .chapters import PROFILES, Book, Chapter, Job

#: Knobs that cost no time, however they are turned, and those that cost it by their square.
FREE, SQUARE = {"seed", "shown", "learning_rate", "emphasis", "decimals"}, {"width", "resolution"}


def build_folder(book: Book, profile: str) -> Path:
    """``_build/<profile>`` of the project."""
    return book.root / "_build" / profile


def record_run(build: Path, chapter: Chapter, seconds: float) -> None:
    """Note what this run took, and what the chapter takes from scratch: what was found trained had to be trained, too.

    The page has left word of that when it was finished: see `store.REUSED`.
    """
    saved = json.loads((build / "reused" / f"{chapter.name}.json").read_text())
    told = {"seconds": seconds, "from_scratch": round(seconds + saved, 1)}
    write_json(build / "timings" / f"{chapter.name}.json", told)


def expected_seconds(book: Book, build: Path, profile: str, chapter: Chapter) -> float | None:
    """What the chapter took here last time, or on the machine of the published timings."""
    own = build / "timings" / f"{chapter.name}.json"
    if own.is_file():
        return float(json.loads(own.read_text())["seconds"])
    published = published_timings(book).get("profiles", {}).get(profile, {})
    return published.get(chapter.name)


def times_as_long(chapter: Chapter, values: Mapping[str, Any], usual: Mapping[str, Any]) -> float:
    """By how much knobs may lengthen a chapter at most beside the usual values: numbers in proportion."""
    factor = 1.0
    for name, knob in chapter.parameters.items():
        if knob.type in ("int", "float") and name not in FREE and usual[name]:
            factor *= max(1.0, (values[name] / usual[name]) ** (2 if name in SQUARE else 1))
    return factor


def estimated_seconds(book: Book, build: Path, profile: str, jobs: Iterable[Job]) -> float:
    """What jobs will take at most, one after the other, as far as it is known what they took before."""
    total = 0.0
    for job in jobs:
        known = expected_seconds(book, build, profile, job.chapter) or 0.0
        total += known * times_as_long(job.chapter, job.values, book.values(job.chapter.name, profile))
    return total


def published_timings(book: Book) -> dict[str, Any]:
    """``data/timings.json``: machine, and seconds by profile and chapter, as `record_timings` left them."""
    path = book.root / "data" / "timings.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"machines": {}, "profiles": {}}


def timings(book: Book, build: Path, profile: str) -> dict[str, Any]:
    """The published timings with this build's own in their place: seconds from scratch, by profile and chapter."""
    found = published_timings(book)
    own = {}
    for chapter in book.chapters:
        path = build / "timings" / f"{chapter.name}.json"
        if path.is_file():
            own[chapter.name] = json.loads(path.read_text())["from_scratch"]
    profiles = {name: dict(found["profiles"].get(name, {})) for name in PROFILES}
    profiles[profile] |= own
    machines = {**found["machines"], profile: machine()}
    return {"machines": machines, "profiles": profiles, "own": profile}


def record_timings(book: Book, profile: str) -> Path:
    """Publish what the build of `profile` took: write it to ``data/timings.json``."""
    build = build_folder(book, profile)
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
    words = ", ".join(f"{minutes(seconds)} at `{name}`" for name, seconds in known.items())
    return f"{words} (measured; see {{doc}}`timings`)" if words else "not measured yet"


def minutes(seconds: float) -> str:
    """A duration in words: ``80 s``, ``2.5 min``, ``3.1 h``."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def timings_page(chapters: Sequence[Chapter], timings: Mapping[str, Any]) -> str:
    """The page of measured execution times, as MyST text."""
    measured = [name for name in PROFILES if timings["profiles"][name]]
    rows = []
    for chapter in chapters:
        seconds = {name: timings["profiles"][name].get(chapter.name) for name in measured}
        cells = {f"`{name}`": "" if value is None else minutes(value) for name, value in seconds.items()}
        rows.append({"Chapter": f"{{doc}}`{chapter.path.stem}`", **cells})
    totals = {f"`{name}`": minutes(sum(timings["profiles"][name].values())) for name in measured}
    rows.append({"Chapter": "**All chapters**", **totals})
    machines = "\n".join(f"- `{name}`: {timings['machines'][name]}" for name in measured)
    return (
        "# Timings\n\n"
        "Written by the build: how long each chapter takes to run from scratch, nothing trained beforehand. "
        f"The column `{timings['own']}` was measured by the build of the page you are reading.\n\n"
        f"{markdown(rows)}\n\nMachines:\n\n{machines}\n"
    )
