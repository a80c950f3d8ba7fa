"""The commands for a class: ``fingerprints case``, ``grade`` and ``swap``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .errors import FingerprintsError, UsageError

if TYPE_CHECKING:
    from .classroom.key import Key, Published

FEWEST, MOST = 20, 1000  # exhibits of a case
SHORT_SEED = 12  # characters; a shorter one can be tried out
KEY = ".key.json"  # behind the name of a case


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--images", "count", type=click.IntRange(FEWEST, MOST), default=60, show_default=True, help="Exhibits of a case."
)
@click.option("--seed", help="Any text; the same makes the same case. Keep it as secret as the key.  [default: random]")
@click.option(
    "--key", "sealed", type=click.Path(path_type=Path), help="Where the key goes.  [default: FOLDER.key.json]"
)
@click.option(
    "--students",
    type=click.IntRange(1, 500),
    help="Make as many different cases, in sub-folders of FOLDER; the keys go to a folder, FOLDER.keys.",
)
@click.option(
    "--sources",
    "own",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Your own images, a sub-folder for each source; photographs in `real`, generated images that nobody is told "
    "of in `unknown`.  "
    "[default: the book's sources]",
)
def case(
    folder: Path, count: int, seed: str | None, sealed: Path | None, students: int | None, own: Path | None
) -> None:
    """Write a blind case: images that nobody knows the sources of, and a sealed key.

    The images are of the book's five sources, of siblings of these, and of sources that examiners are not told of. Each
    case comes with a task (README.md), a chain of custody, a report to fill in (report.csv, report.md), and the SHA-256
    of its key, by which everybody can see later that the key was not changed. Give away FOLDER, keep the key.
    `fingerprints grade` scores reports.
    """
    from .classroom.case import any_seed, folder_pools, make_cases, require_places, shipped_pools, write_case

    digits = len(str(students or 0))
    names = [f"{number:0{digits}}" for number in range(1, (students or 0) + 1)]
    keys = sealed or folder.with_name(folder.name + (".keys" if students else KEY))
    places = [(folder / name, keys / f"{name}{KEY}") for name in names] or [(folder, keys)]
    for place in [*places, (folder, keys)]:
        require_places(*place)
    if seed is not None and len(seed) < SHORT_SEED:
        click.echo(
            "Note: who has this software can try out short seeds until the exhibits are the same, and so has the key. "
            "For a case that counts, leave out --seed.",
            err=True,
        )
    seed = seed or any_seed()
    pools = folder_pools(own) if own else shipped_pools(seed)
    for place, made in zip(places, make_cases(pools, count, seed, len(places)), strict=True):
        write_case(*place, *made)
        click.echo(f"{place[0]}  case {made[0].mark}, sealed with SHA-256 {made[0].commitment}")
    click.echo(f"{keys}  {'the keys: keep them' if students else 'the key: keep it'} from the examiners")


@click.command()
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="REPORT...")
@click.option(
    "--key",
    "sealed",
    type=click.Path(path_type=Path, exists=True),
    help="Of the case, or a folder of keys. Without it reports are only looked through: can they be handed in?",
)
@click.option(
    "--case",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Of the case, or of several.  [default: where the report lies, if a case is there]",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with every exhibit.")
def grade(reports: tuple[Path, ...], sealed: Path | None, folder: Path | None, as_json: bool) -> None:
    """Score reports on a blind case, by its key.

    BITS is the log score: what the report's probabilities are worth beyond guessing, a mean over the exhibits. ACCUSED
    are photographs that the report calls generated. CLLR is what its likelihood ratios cost; silence costs 1.
    Brackets hold 95 % intervals. The exit status is 1 if a report could not be graded.
    """
    from .classroom.grading import class_table, grade_reports, one_in_full
    from .classroom.key import Published

    cases = _cases([folder] if folder else sorted({path.parent for path in reports}))
    published = {place: Published.load(place) for place in cases}
    for place, each in published.items():
        if changed := each.altered(place):
            click.echo(f"Beware: in {place} {', '.join(changed[:3])} is not as it was sealed.", err=True)
    if not sealed:
        _look_through(reports, list(published.values()))
        return
    keys = _keys(sealed)
    for each in published.values():
        mine = [key for key in keys if key.mark == each.mark or len(keys) == len(published) == 1]
        for key in mine:  # of many cases and keys, which belong together only their marks say
            each.require(key)
    grades, errors = grade_reports(reports, keys)
    compared = {each.commitment for each in published.values()}
    if as_json:
        told = [{**one.as_dict(), "compared": one.key.commitment in compared} for one in grades]
        click.echo(json.dumps(told, indent=1))
    elif len(reports) == 1 and grades:
        for line in one_in_full(grades[0]):
            click.echo(line)
    elif grades:
        for line in class_table(grades):
            click.echo(line)
    for key in {one.key.mark: one.key for one in grades}.values():
        how = "as published" if key.commitment in compared else "not compared: name the case, --case FOLDER"
        click.echo(f"key of case {key.mark}: SHA-256 {key.commitment}, {how}", err=True)
    _complain(errors, "graded", len(reports))


def _look_through(reports: Sequence[Path], cases: "Sequence[Published]") -> None:
    """Say of each report whether it can be handed in."""
    from .classroom.report import exhibit_in, read_report
    from .data.decoding import name_of

    if not cases:
        raise UsageError("Give the key of the case (--key KEY), or the case itself to look a report through (--case).")
    errors = []
    for path in reports:
        try:
            mark = exhibit_in(path).partition("-")[0]
            found = next((each for each in cases if each.mark == mark), cases[0])
            read_report(path, found.sources, found.names)
            click.echo(f"{name_of(path)}  complete: it can be handed in")
        except UsageError as error:
            errors.append(error)
    _complain(errors, "complete", len(reports))


def _complain(errors: Sequence[UsageError], what: str, count: int) -> None:
    if errors and count == 1:
        raise FingerprintsError(f"Not {what}: {errors[0]}")
    for error in errors:
        click.echo(f"not {what}: {error}", err=True)
    if errors:
        raise FingerprintsError(f"{len(errors)} of {count} reports are not {what}; what to mend is said above.")


def _cases(folders: Sequence[Path]) -> list[Path]:
    """Those among some folders and their sub-folders that hold a case."""
    from .classroom.key import CASE

    return [path.parent for folder in folders for path in [*folder.glob(CASE), *sorted(folder.glob(f"*/{CASE}"))]]


def _keys(path: Path) -> "list[Key]":
    from .classroom.key import Key

    found = [Key.load(each) for each in (sorted(path.glob(f"*{KEY}")) if path.is_dir() else [path])]
    if not found:
        raise UsageError(f"There is no key in {path}: no file *{KEY}.")
    return found


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", type=click.IntRange(0), required=True, help="Of the generator; each of a class takes another.")
@click.option("-n", "count", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Images to write.")
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="Number of the first image.")
@click.option(
    "--images",
    "shown",
    type=click.IntRange(1),
    default=24_000,
    show_default=True,
    help="Photographs to learn from, repeats counted: some ten minutes on one core.",
)
def swap(folder: Path, seed: int, count: int, start: int, shown: int) -> None:
    """Train a small generator of your own, and write images of it for the others of your class.

    FOLDER is called by the name of your source. The generator is kept, and a training that was stopped goes on where it
    was. The others put your folder beside theirs, and `fingerprints learn` what is in all of them. For images that they
    have not learned from, give another --start.
    """
    from .classroom.swap import train, write_images
    from .project import data_folder
    from .zoo.shipped import Zoo

    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"There is something in {folder} already. Name a folder that is not there yet.")
    zoo = Zoo.of(data_folder() / "zoo")
    generator = train(zoo, folder.name, seed, zoo.folder.parents[1] / "_build" / "swap", shown)
    write_images(generator, folder, count, start)
    click.echo(str(folder))
