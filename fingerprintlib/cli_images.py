"""The commands about a reader's own images: ``fingerprints attribute``."""

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .errors import FingerprintsError, UsageError

if TYPE_CHECKING:
    from .forensics.judging import Judge, Verdict
    from .plots.cases import Case

SHIPPED = "open-world-attributor"  # in data/networks: it has learned to withstand handling, and is calibrated
MOST_SHOWN = 12  # images in a figure


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--attributor",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Made by `learn`.  [default: the one that comes with the book, of its zoo's generators]",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, with all that was found.")
@click.option("--csv", "table", type=click.Path(path_type=Path, dir_okay=False), help="File for a table.")
@click.option(
    "--figure",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"PNG file for the evidence, of the first {MOST_SHOWN} images.",
)
def attribute(
    paths: tuple[Path, ...], file: Path | None, as_json: bool, table: Path | None, figure: Path | None
) -> None:
    """Say of image files, and of those in folders, which known source they are from, if any.

    The answer is a source; `unknown`, if the image is like nothing that the attributor has learned; or `unsure`, if it
    flips as soon as the image is handled a little. The exit status is 1 if a file could not be read.
    """
    from .data.files import image_files, in_words
    from .data.images import ImageError, name_of
    from .provenance import write_atomically

    for out in (table, figure):
        if out and not out.absolute().parent.is_dir():
            raise UsageError(f"There is no folder {out.parent} to write {out.name} into. Make it, or name another.")
    judge = _judge(file)
    files, passed_over = image_files(*paths)
    if not files:
        raise UsageError("There is no image file there. " + in_words(passed_over) if passed_over else "Name a file.")
    answers: Counter[str] = Counter()
    cases: list[Case] = []
    unread = 0
    width = min(60, max(len(name_of(path)) for path in files))
    with _table(table) as write_row:
        for path, found in judge.judge_files(files):
            if isinstance(found, ImageError):
                unread += 1
                click.echo(f"not read: {found}", err=True)
                continue
            answers[found.answer] += 1
            click.echo(_as_json(path, found) if as_json else f"{name_of(path):{width}}  {in_a_line(found)}")
            write_row(_row(path, found))
            if figure and len(cases) < MOST_SHOWN:
                cases.append(_case(judge, path, found))
    if figure and cases:
        from .plots.cases import cases as drawn

        write_atomically(figure, drawn(cases).png())
    told = ", ".join(f"{count} {answer}" for answer, count in answers.most_common())
    click.echo(f"{sum(answers.values())} of {len(files)} images judged: {told or 'none'}", err=True)
    if passed_over:
        click.echo(in_words(passed_over), err=True)
    if unread:
        raise FingerprintsError(f"{unread} of {len(files)} image files could not be read; they are named above.")


def in_a_line(verdict: "Verdict") -> str:
    """A verdict for people: ``progan    99.8 %  generated (10^5.1)``, and what makes it doubtful."""
    likeliest = verdict.likeliest
    words = [f"{verdict.answer:12}"]
    if verdict.answer != likeliest:
        words.append(f"{likeliest}?")
    words.append(f"{verdict.probabilities[likeliest]:.1%}")
    if verdict.evidence is not None:
        words.append(f"{verdict.origin} (10^{verdict.evidence:+.1f})")
    if verdict.agreeing < 1:
        low, high = verdict.spread
        words.append(f"{low:.0%} to {high:.0%} when handled")
    if verdict.squares:
        total = sum(verdict.squares.values())
        most = max(verdict.squares, key=lambda name: (verdict.squares or {})[name])
        words.append(f"{verdict.squares[most]} of {total} squares: {most}")
    return "  ".join(words)


def _judge(file: Path | None) -> "Judge":
    from .forensics.judging import Judge
    from .project import data_folder

    return Judge.load(file or data_folder() / "networks" / f"{SHIPPED}.safetensors")


def _as_json(path: Path, verdict: "Verdict") -> str:
    return json.dumps({"file": os.fspath(path), **verdict.as_dict()})


def _row(path: Path, verdict: "Verdict") -> dict[str, Any]:
    name = os.fspath(path)
    shares = {f"p({source})": f"{share:.4f}" for source, share in verdict.probabilities.items()}
    return {
        "file": f"./{name}" if name[0] in "=+-@" else name,  # which a spreadsheet would take for a formula
        "answer": verdict.answer,
        "origin": verdict.origin,
        "log10 of generated to real": "" if verdict.evidence is None else f"{verdict.evidence:.2f}",
        "known by": f"{verdict.known:.2f}",
        "agreeing": f"{verdict.agreeing:.2f}",
        **shares,
        "squares": json.dumps(verdict.squares) if verdict.squares else "",
    }


@contextmanager
def _table(path: Path | None) -> Iterator[Callable[[dict[str, Any]], object]]:
    """What writes a row of the table; it takes its name once it is whole, so that an earlier one is never lost."""
    if path is None:
        yield lambda row: None
        return
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer: csv.DictWriter[str] | None = None

            def write(row: dict[str, Any]) -> None:
                nonlocal writer
                if writer is None:
                    writer = csv.DictWriter(file, row)
                    writer.writeheader()
                writer.writerow(row)

            yield write
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _case(judge: "Judge", path: Path, verdict: "Verdict") -> "Case":
    from .attribution.prnu import residuals
    from .data.images import decode
    from .forensics.judging import seen
    from .plots.cases import Case

    image = decode(path)
    small = seen(image, judge.resolution, judge.view)
    mapped = judge.square_map(image) if verdict.squares else None
    return Case(path.name, verdict.answer, image, residuals(small[None])[0], verdict.probabilities, mapped)
