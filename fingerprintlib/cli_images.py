"""The commands about a reader's own images: ``fingerprints attribute``, ``learn`` and ``add-source``."""

import csv
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import wcwidth

from .errors import FingerprintsError, UsageError
from .tables import aligned

if TYPE_CHECKING:
    from .attribution.attributor import Attributor
    from .data.decoding import ImageError
    from .forensics.examining import Examination
    from .forensics.findings import Findings
    from .forensics.judging import Verdict
    from .forensics.pictures import Pictures
    from .statistics.intervals import Interval

SHIPPED = "open-world-attributor"  # in data/networks: it has learned to withstand handling, and is calibrated
MOST_SHOWN = 12  # images in a figure
UNFINISHED = ".unfinished"  # behind the name of what is being made
FIGURES, TABLES = (".png", ".pdf", ".svg"), (".csv",)  # how the names of what `attribute` writes end
HEADINGS = f"{'ANSWER':12}  {'LIKELIEST':16}  {'GENERATED OR REAL':68}  REMARKS"
STRANGERS = "Images of other generators will be unknown, or named wrongly; and so will photographs of other things."
MARK = "fingerprints attribute"  # stands in the figures that it writes, which it may write over
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # how text begins that a spreadsheet takes for a formula


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--attributor",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Made by `learn`.  [default: the one that comes with the book, of its zoo's generators]",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, with all that was found.")
@click.option("--csv", "table", type=click.Path(path_type=Path, dir_okay=False), help="CSV file for a table.")
@click.option(
    "--figure",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"File for the evidence of the first {MOST_SHOWN} images: .png, .pdf or .svg.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file for a report on the exhibits of a blind case, for `fingerprints grade`.",
)
def attribute(
    paths: tuple[Path, ...],
    file: Path | None,
    as_json: bool,
    table: Path | None,
    figure: Path | None,
    report: Path | None,
) -> None:
    """Say of image files, and of those in folders, which known source they are from, if any.

    ANSWER is a source, or a sibling of the same make; `unknown`, if the image is like nothing that the attributor has
    learned; or `unsure`, if it flips as soon as the image is handled a little, looks generated but not clearly, or had
    to be shrunk or enlarged. The one that comes with the book knows real (photographs of clothing, 64 x 64 pixels),
    progan, sngan, cramergan and mmdgan.

    LIKELIEST is the most probable source, if the image is of one of those known. GENERATED OR REAL says how many times
    likelier such scores are of one than of the other; `at least`, where the data support no larger number. Squares of a
    large image are judged each by itself, at most 64, spread over it. Of a screenshot, crop the picture out first.

    In the CSV file, `known by` is how far the image is from being unknown (below 0 it is), `agreeing` the share of
    three harmless changes under which the likeliest source stays, `low` and `high` its probabilities then. Chapter 15
    of the book explains it all. The exit status is 1 if a file could not be read.
    """
    from .progress import waiting

    begun = click.get_current_context().with_resource(waiting("loading ..."))
    from .data.decoding import ImageError, name_of
    from .data.files import image_files, in_words
    from .forensics.judging import Judge
    from .project import data_folder
    from .provenance import write_atomically

    written = {"--csv": table, "--figure": figure, "--report": report}
    outs = {option: out for option, out in written.items() if out}
    for option, out in outs.items():
        _require_output(option, out, FIGURES if option == "--figure" else TABLES)
    judge = Judge.load(file or data_folder() / "networks" / f"{SHIPPED}.safetensors")
    files, passed_over = image_files(*paths)
    if not files:
        told = f" ({in_words(passed_over)})" if passed_over else ""
        raise UsageError(f"There is no image file there{told}. Name a file, or a folder that has some.")
    _require_apart(outs, [*files, *(one.path for one in passed_over)])
    answers: Counter[str] = Counter()
    shown: list[tuple[Path, Verdict]] = []
    reported: dict[str, Verdict] = {}
    unread = 0
    width = min(60, max(wcwidth.width(name_of(path)) for path in files))
    click.echo(f"Knows: {', '.join(judge.class_names)}. {STRANGERS}", err=True)
    if not as_json:
        click.echo(f"{'FILE':{width}}  {HEADINGS}")
    with _table(table, judge.class_names) as write_row:
        for path, found in judge.judge_files(files):
            begun()
            if as_json:
                click.echo(_as_json(path, found))
            write_row(_row(path, found))
            if isinstance(found, ImageError):
                unread += 1
                click.echo(f"not read: {found}", err=True)
                continue
            answers[found.answer] += 1
            if not as_json:
                click.echo(f"{wcwidth.ljust(name_of(path), width)}  {in_a_line(found, judge.calibration.bounds)}")
            if figure and len(shown) < MOST_SHOWN:
                shown.append((path, found))
            if report:
                reported[path.stem] = found
    if figure and shown:
        from .plots.cases import case_of, cases

        drawn = cases([case_of(judge, *one) for one in shown])
        write_atomically(figure, drawn.saved(figure.suffix[1:].lower(), MARK))
    if reported and report:
        from .classroom.report import Answers, write_report

        write_report(report, judge.class_names, [*reported], Answers.of(judge, [*reported.values()]))
    counts = ", ".join(f"{count} {answer}" for answer, count in answers.most_common())
    click.echo(f"{sum(answers.values())} of {len(files)} images judged: {counts or 'none'}", err=True)
    if passed_over:
        click.echo(in_words(passed_over), err=True)
    if any(one.path.suffix.lower() in (".heic", ".heif") for one in passed_over):
        click.echo("HEIC files are not read: export them as JPEG, in the best quality.", err=True)
    if unread:
        raise FingerprintsError(f"{unread} of {len(files)} image files could not be read; they are named above.")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@click.option(
    "--side",
    type=click.Choice(["32", "64", "128", "256"]),
    default="64",
    show_default=True,
    help="Of what the network sees, in pixels; smaller images are not used.",
)
@click.option(
    "--view",
    type=click.Choice(["shrunk", "middle"]),
    default="shrunk",
    show_default=True,
    help="Of larger images: the middle square shrunk to that, or the pixels in the middle as they are.",
)
@click.option("--steps", type=click.IntRange(1), default=2000, show_default=True, help="Of each of two trainings.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is random.")
def learn(folder: Path, out: Path, side: str, view: str, steps: int, seed: int) -> None:
    """Learn to tell the sources of images apart, from a folder that has a sub-folder for each.

    A sub-folder called `real` holds photographs. First it says what was found there, and what to be wary of. The
    attributor is written to a file for `fingerprints attribute --attributor FILE`; beside it, with the suffix .html, a
    page that says what it is worth. What is unfinished lies in FILE.unfinished, and the same command goes on from
    there.
    """
    from .forensics.learning import learn as learn_from
    from .forensics.sources import open_sources

    _require_place(out)
    _tell_of_earlier(out)
    pictures, findings = open_sources(folder, int(side), view, seed)
    _tell(findings)
    made = learn_from(pictures, _unfinished(out), steps=steps, seed=seed)
    _finish(out, made, pictures, findings, seed)


@click.command("add-source")
@click.argument("attributor", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--name", required=True, help="Of the new source.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@click.option(
    "--old",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with a sub-folder for each source that it knows.  [default: where it learned from]",
)
@click.option("--steps", type=click.IntRange(1), default=500, show_default=True, help="Of learning.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of order, flips and handling.")
def add_source(attributor: Path, folder: Path, name: str, out: Path, old: Path | None, steps: int, seed: int) -> None:
    """Teach an attributor one more source, from a folder of its images; the old ones it learns again beside it.

    It tells the accuracy on the old sources before and after, and warns if they lost more than a point. What is
    unfinished lies in FILE.unfinished, and the same command goes on from there.
    """
    from .forensics.examining import compare, forgotten
    from .forensics.judging import Judge
    from .forensics.learning import add_source as add
    from .forensics.sources import open_again

    _require_place(out)
    _tell_of_earlier(out)
    before = Judge.load(attributor)
    pictures, findings = open_again(before.attributor, {name: folder}, _unfinished(out), old)
    _tell(findings)
    made = add(before.attributor, pictures, _unfinished(out), steps=steps, seed=seed)
    compared = compare(before, Judge.of(made), pictures, seed)
    for title, report in compared.items():
        click.echo(f"{title}: {_in_words(report)}")
    if warning := forgotten(compared):
        click.echo(f"Beware: {warning}", err=True)
        findings = replace(findings, warnings=(warning, *findings.warnings))
    _finish(out, made, pictures, findings, seed)


def in_a_line(verdict: "Verdict", bounds: "Interval | None" = None) -> str:
    """A verdict for people, in columns, see `HEADINGS`; the last is what makes it doubtful.

    Args:
        bounds: of the evidence, see `calibrating.Calibration`.
    """
    from .forensics.judging import UNKNOWN
    from .forensics.wording import handling_in_words, origin_in_words, squares_in_words

    likeliest = verdict.likeliest
    share = "" if verdict.answer == UNKNOWN else f"{likeliest} {verdict.probabilities[likeliest]:.1%}"
    remarks = [handling_in_words(verdict), squares_in_words(verdict)]
    for size, what in ((verdict.enlarged_from, "enlarged"), (verdict.shrunk_from, "shrunk")):
        if size:
            remarks.append(f"{what} from {size[1]} x {size[0]} pixels")
    words = f"{wcwidth.ljust(verdict.answer, 12)}  {wcwidth.ljust(share, 16)}  {origin_in_words(verdict, bounds):68}"
    return f"{words}  {'; '.join(filter(None, remarks))}".rstrip()


# --- what `attribute` writes ----------------------------------------------------------------------


def _as_json(path: Path, found: "Verdict | ImageError") -> str:
    told = {"error": str(found)} if isinstance(found, Exception) else found.as_dict()
    return json.dumps({"file": os.fspath(path), **told})


def _row(path: Path, found: "Verdict | ImageError") -> dict[str, Any]:
    name = os.fspath(path)
    row = {"file": f"./{name}" if name.startswith(FORMULAS) else name}
    if isinstance(found, Exception):
        return row | {"not read": str(found)}
    shares = {f"p({source})": f"{share:.4f}" for source, share in found.probabilities.items()}
    return {
        **row,
        "answer": f"'{found.answer}" if found.answer.startswith(FORMULAS) else found.answer,
        "origin": found.origin,
        "log10 of generated to real": "" if found.evidence is None or found.known < 0 else f"{found.evidence:.2f}",
        "known by": f"{found.known:.2f}",
        "agreeing": f"{found.agreeing:.2f}",
        "low": f"{found.spread[0]:.4f}",
        "high": f"{found.spread[1]:.4f}",
        **shares,
        **{
            name: f"{size[1]} x {size[0]}"
            for name, size in (("enlarged from", found.enlarged_from), ("shrunk from", found.shrunk_from))
            if size
        },
        "squares": json.dumps(found.squares) if found.squares else "",
    }


@contextmanager
def _table(path: Path | None, sources: Sequence[str]) -> Iterator[Callable[[dict[str, Any]], object]]:
    """What writes a row of the table; it takes its name once it is whole, so that an earlier one is never lost."""
    if path is None:
        yield lambda row: None
        return
    columns = ["file", "answer", "origin", "log10 of generated to real", "known by", "agreeing", "low", "high"]
    columns += [*(f"p({source})" for source in sources), "squares", "enlarged from", "shrunk from", "not read"]
    partial = path.with_name(f".{os.getpid()}.partial")
    try:
        with open(partial, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            yield writer.writerow
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


# --- what `learn` and `add-source` have in common -------------------------------------------------


def _require_folder(out: Path | None) -> None:
    if out and not out.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {out.parent} to write {out.name} into. Make it, or name another.")


def _require_output(option: str, out: Path, suffixes: Sequence[str]) -> None:
    """Refuse a file whose name ends otherwise, and a picture that somebody else made."""
    if out.suffix.lower() not in suffixes:
        what = "figure" if option == "--figure" else "table"
        raise UsageError(
            f"{option} is where the {what} is written: call it {out.with_suffix(suffixes[0]).name}, not {out.name}. "
            "Name the images to be judged behind it."
        )
    _require_folder(out)
    if suffixes == FIGURES and out.is_file() and out.stat().st_size and MARK.encode() not in out.read_bytes():
        raise UsageError(f"{option} {out} would overwrite a picture that this command did not make. Name another.")


def _require_apart(outs: Mapping[str, Path], inputs: Sequence[Path]) -> None:
    """Refuse to write over what is to be read, or two things into one file."""
    taken = {os.path.realpath(path) for path in inputs}
    for option, out in outs.items():
        twins = out.exists() and any(path.is_file() and out.samefile(path) for path in inputs)  # a hard link
        if twins or os.path.realpath(out) in taken:
            raise UsageError(f"{option} {out} would overwrite one of the files to be judged. Name another.")
    if len({os.path.realpath(out) for out in outs.values()}) < len(outs):
        raise UsageError(f"{' and '.join(outs)} name one file. Give each its own.")


def _require_place(out: Path) -> None:
    from .data.decoding import EXTENSIONS

    _require_folder(out)
    if out.suffix.lower() in EXTENSIONS:
        raise UsageError(f"--out {out.name} is called like a picture. Give the file another suffix: .safetensors.")
    if out.suffix == ".html":
        raise UsageError(f"{out.name} is what its page would be called. Give the file another suffix: .safetensors.")


def _unfinished(out: Path) -> Path:
    return out.with_name(out.name + UNFINISHED)


def _tell_of_earlier(out: Path) -> None:
    """That there is something to go on from."""
    earlier = _unfinished(out)
    if earlier.is_dir() and any(earlier.iterdir()):
        click.echo(f"Goes on from what an earlier run left in {earlier}, where that was the same.", err=True)


def _tell(findings: "Findings") -> None:
    """What was found before anything is learned."""
    from .data.files import in_words

    columns = ["SOURCE", *(split.upper() for split in next(iter(findings.counts.values())))]
    for line in aligned([columns, *([name, *map(str, some.values())] for name, some in findings.counts.items())]):
        click.echo(line)
    for sentence in findings.unread:
        click.echo(f"not used: {sentence}", err=True)
    if findings.passed_over:
        click.echo(in_words(findings.passed_over), err=True)
    for sentence in findings.warnings:
        click.echo(f"Beware: {sentence}", err=True)


def _in_words(report: Any) -> str:
    return f"accuracy {report.told()} % on {report.count:,} test images"


def _finish(out: Path, made: "Attributor", pictures: "Pictures", findings: "Findings", seed: int) -> None:
    """Say what an attributor is worth, write it and its page, and remove what was unfinished."""
    from .book.learned import page
    from .forensics.examining import examine
    from .forensics.judging import Judge
    from .provenance import write_atomically

    judge = Judge.of(made)
    examined = examine(judge, pictures, seed)
    _tell_worth(examined)
    write_atomically(out.with_suffix(".html"), page(judge, findings, examined, f"What {out.name} is worth"))
    made.save(out)  # last: where it is, all is
    shutil.rmtree(_unfinished(out))
    click.echo(str(out))
    click.echo(str(out.with_suffix(".html")))


def _tell_worth(examined: "Examination") -> None:
    for condition, report in examined.reports.items():
        told = ", ".join(f"{count} {answer}" for answer, count in examined.answers[condition].items())
        click.echo(f"{condition}: {_in_words(report)}; answered {told}")
    for condition, silent in examined.accused.items():
        click.echo(f"photographs called generated, {condition}: {silent.count - silent.correct} of {silent.count}")
    for name, report in examined.probes.items():
        click.echo(f"without a fingerprint, by {name}: {_in_words(report)}")
