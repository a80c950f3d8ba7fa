"""From an executed notebook and the present text to the page that Jupyter Book reads."""

from collections.abc import Mapping, Sequence
from typing import Any

import nbformat

from . import __version__
from .chapters import PARAMETER_LINE, PROFILES, Chapter
from .errors import FingerprintsError


def merge(
    chapter: Chapter,
    text: Any,
    executed: Any,
    values: Mapping[str, Any],
    profile: str,
    record: Mapping[str, Any],
    timings: Mapping[str, Any],
) -> None:
    """Put the executed cells' outputs into the notebook `text`, in place, and make it a page.

    The parameters cell shows the values that were used; figures get their alternative texts; ``{{ cost }}`` is replaced
    by the measured cost, and what the page was built with is told at its end.

    Raises:
        FingerprintsError: code cells differ; then the chapter has to run again.
    """
    ran = [
        c for c in executed.cells if c.cell_type == "code" and "injected-parameters" not in c.metadata.get("tags", [])
    ]
    cells = [cell for cell in text.cells if cell.cell_type == "code"]
    if [cell.source for cell in cells] != [cell.source for cell in ran]:
        raise FingerprintsError(f"The code of {chapter.path.name} has changed since it ran: run it again.")
    for cell, done in zip(cells, ran, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
        _describe_image(cell)
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = "\n".join(_with_value(line, values) for line in cell.source.splitlines())
    for index, cell in enumerate(text.cells):
        cell.id = f"{chapter.name}-{index}"  # random ids would make every page look new to Sphinx
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("{{ cost }}", cost(chapter.name, timings))
    text.cells.append(nbformat.v4.new_markdown_cell(_stamp(values, profile, record), id=f"{chapter.name}-stamp"))


def _describe_image(cell: Any) -> None:
    """Hand the alternative text that came with the figure to MyST-NB, which reads it off the cell."""
    for output in cell.outputs:
        alt = output.get("metadata", {}).get("alt")
        if alt:
            cell.metadata.setdefault("mystnb", {}).setdefault("image", {})["alt"] = alt


def _with_value(line: str, values: Mapping[str, Any]) -> str:
    match = PARAMETER_LINE.match(line)
    if not match or match["name"] not in values:
        return line
    return f"{line[: match.start('default')]}{values[match['name']]!r}{line[match.end('default') :]}"


def _stamp(values: Mapping[str, Any], profile: str, record: Mapping[str, Any]) -> str:
    rows = [("Profile", f"`{profile}`"), ("Library", f"fingerprintlib {__version__}"), ("Device", record["device"])]
    rows += [(f"Parameter `{name}`", f"`{value!r}`") for name, value in values.items()]
    rows += [(f"Artifact `{name}`", f"`{digest[:12]}`") for name, digest in record["artifacts"].items()]
    lines = "\n".join("| {} | {} |".format(name, str(value).replace("|", "\\|")) for name, value in rows)
    return f":::{{dropdown}} What this page was built with\n\n| | |\n|-|-|\n{lines}\n\n:::"


def cost(chapter: str, timings: Mapping[str, Any]) -> str:
    """The measured minutes of a chapter by profile, as a sentence."""
    known = {name: timings["profiles"][name][chapter] for name in PROFILES if chapter in timings["profiles"][name]}
    words = ", ".join(f"{_minutes(seconds)} at `{name}`" for name, seconds in known.items())
    return f"{words} (measured; see {{doc}}`timings`)" if words else "not measured yet"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def timings_page(chapters: Sequence[Chapter], timings: Mapping[str, Any]) -> str:
    """The page of measured execution times, as MyST text."""
    measured = [name for name in PROFILES if timings["profiles"][name]]
    head = "| Chapter | " + " | ".join(f"`{name}`" for name in measured) + " |\n|-|" + "-:|" * len(measured)
    rows = []
    for chapter in chapters:
        seconds = [timings["profiles"][name].get(chapter.name) for name in measured]
        cells = [_minutes(value) if value is not None else "" for value in seconds]
        rows.append(f"| {{doc}}`{chapter.path.stem}` | " + " | ".join(cells) + " |")
    totals = [_minutes(sum(timings["profiles"][name].values())) for name in measured]
    rows.append("| **All chapters** | " + " | ".join(totals) + " |")
    machines = "\n".join(f"- `{name}`: {timings['machines'][name]}" for name in measured)
    table = "\n".join([head, *rows])
    return (
        "# Timings\n\n"
        "Written by the build: how long each chapter takes to run from scratch, nothing trained beforehand. "
        f"The column `{timings['own']}` was measured by the build of the page you are reading.\n\n"
        f"{table}\n\nMachines:\n\n{machines}\n"
    )
