"""The command ``fingerprints``. Heavy things are imported where they are used, so that ``--help`` answers at once."""

import errno
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .cli_classroom import case, grade, swap
from .cli_data import data
from .cli_images import add_source, attribute, learn
from .cli_kit import make_class
from .cli_shipped import PROFILE_HELP, export, immunize, networks, results, timings, zoo
from .ending import end_with_parent
from .errors import FingerprintsError, UsageError

if TYPE_CHECKING:
    from .book.chapters import Book, Job

# For torch, imported later: threads that wait sleep. Spinning ones take eight times as long beside a busy process.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

LONG, LARGE = 1800, 10**10  # seconds, and bytes of disk; before what takes more, `book` and `run` ask
SETTING = "CHAPTER.PARAM=VALUE"


class _Commands(click.Group):
    """Turns whatever goes wrong into one sentence and an exit status; ``--debug`` shows the traceback instead."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        given = [*arguments]
        try:
            return super().parse_args(context, arguments)
        except click.NoSuchOption as error:
            for name in given:
                if name in self.commands and any(error.option_name in one.opts for one in self.commands[name].params):
                    option = error.option_name
                    raise click.UsageError(
                        f"{option} belongs behind the command: {context.info_name} {name} {option} ...", context
                    ) from error
            raise

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:
            raise  # `fingerprints ... | head` is no failure; click knows
        except (FingerprintsError, OSError) as error:
            if context.params.get("debug"):
                raise
            click.echo(f"Error: {_sentence(error)}", err=True)
            context.exit(getattr(error, "exit_status", 1))
        except (KeyboardInterrupt, click.Abort):
            kept = "What was finished is kept; the same command goes on from there."
            if context.invoked_subcommand == "attribute":
                kept = "Nothing was written; the same command begins anew."
            click.echo(f"\nStopped. {kept}", err=True)
            context.exit(130)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"The disk is full (writing {error.filename or 'a file'}): free some space, then run the command again."
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS) and not Path(error.filename).exists():
        folder = Path(error.filename).absolute().parent
        return f"The folder {folder} cannot be written to. Name another, or copy the project to where you may write."
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    return str(error)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fingerprints")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """GAN fingerprints: the book that runs, and its tools."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end, end as by Ctrl-C: children too


main.add_command(attribute)
main.add_command(learn)
main.add_command(add_source)
main.add_command(case)
main.add_command(grade)
main.add_command(swap)
main.add_command(data)
main.add_command(zoo)
main.add_command(networks)
main.add_command(timings)
main.add_command(results)
main.add_command(immunize)
main.add_command(export)
main.add_command(make_class)


@main.command()
@click.option("--profile", default="quick", show_default=True, help=PROFILE_HELP)
@click.option("--cores", type=click.IntRange(1), help="Processor cores to use.  [default: all]")
@click.option("-s", "--set", "settings", multiple=True, metavar=SETTING, help="Turn a knob.")
@click.option("--yes", is_flag=True, help="Do not ask before what takes long.")
@click.option("--dry-run", "dry", is_flag=True, help="Only say what each chapter will take.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- SNAKEMAKE OPTIONS]")
def book(
    profile: str, cores: int | None, settings: tuple[str, ...], yes: bool, dry: bool, options: tuple[str, ...]
) -> None:
    """Run the chapters that have changed and build the pages.

    What follows a double dash goes to Snakemake. On a Slurm cluster: fingerprints book --profile full --cores 8 --
    --executor slurm --jobs 4
    """
    from .book.chapters import Book
    from .book.engine import build_book

    project = Book()
    overrides = project.overrides(list(settings))
    _warn_of_idle(project, profile, overrides)
    _ask(project, profile, project.plan(profile, overrides), [], yes, dry)
    index = build_book(project, profile, overrides, cores or _available_cores(), options=options)
    click.echo(str(index))


@main.command(context_settings={"allow_extra_args": True})  # to say what is wrong with them
@click.argument("chapter")
@click.option("-p", "settings", multiple=True, metavar="NAME=VALUE", help="Turn a knob.")
@click.option("-s", "--set", "others", multiple=True, metavar=SETTING, help="Turn a knob of another chapter.")
@click.option("--profile", default="quick", show_default=True, help=PROFILE_HELP)
@click.option("--cores", type=click.IntRange(1), help="Processor cores to use.  [default: all]")
@click.option("--yes", is_flag=True, help="Do not ask before what takes long.")
@click.option("--dry-run", "dry", is_flag=True, help="Only say what each chapter will take.")
def run(
    chapter: str,
    settings: tuple[str, ...],
    others: tuple[str, ...],
    profile: str,
    cores: int | None,
    yes: bool,
    dry: bool,
) -> None:
    """Run one chapter, and before it only those that it needs and that have changed; build no pages."""
    from .book.chapters import Book
    from .book.engine import build_book

    project = Book()
    name = project.chapter(chapter).name
    for extra in click.get_current_context().args:
        mend = f"Write -p before it: -p {extra}." if "=" in extra else "This command runs one chapter."
        raise UsageError(f"{extra} is one argument too many. {mend}")
    if dotted := [setting for setting in settings if "." in setting.partition("=")[0]]:
        raise UsageError(f"-p {dotted[0]}: give NAME=VALUE. For a knob of another chapter: -s {dotted[0]}.")
    overrides = project.overrides([*(f"{name}.{setting}" for setting in settings), *others])
    _warn_of_idle(project, profile, overrides)
    plan = project.plan(profile, overrides)
    _ask(project, profile, plan, [job for job in plan if job.chapter.name == name], yes, dry)
    click.echo(str(build_book(project, profile, overrides, cores or _available_cores(), chapter=name)))


@main.command()
@click.argument("chapter")
@click.option("-p", "settings", multiple=True, metavar="NAME=V1,V2,...", help="A knob and its values; repeatable.")
@click.option("-s", "--set", "others", multiple=True, metavar=SETTING, help="Turn a knob at all points.")
@click.option("--profile", default="quick", show_default=True, help=PROFILE_HELP)
@click.option("--cores", type=click.IntRange(1), help="Processor cores to use.  [default: all]")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="For the figure; repeatable.  [default: claims]"
)
@click.option("--publish", "name", metavar="NAME", help="Keep the result in data/sweeps, for the gallery.")
@click.option("--figure", metavar="LABEL", help="With --publish: the chapter's figure to keep of each point.")
@click.option("--yes", is_flag=True, help="Do not ask before what takes long.")
@click.option("--dry-run", "dry", is_flag=True, help="Only say what each point will take.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- SNAKEMAKE OPTIONS]")
def sweep(
    chapter: str,
    settings: tuple[str, ...],
    others: tuple[str, ...],
    profile: str,
    cores: int | None,
    metrics: tuple[str, ...],
    name: str | None,
    figure: str | None,
    yes: bool,
    dry: bool,
    options: tuple[str, ...],
) -> None:
    """Run a chapter at every combination of values; write a table, a figure and a page of what it found.

    The chapters before it run once. A value with a comma in it stands between double quotes. What follows a double dash
    goes to Snakemake; the points are jobs of its rule `sweep`, so on a Slurm cluster: fingerprints sweep attribution
    -p networks=trained -p steps=500,1000,2000 -- --executor slurm --jobs 3 --set-resources sweep:gres=gpu:1
    """
    from .book.chapters import Book
    from .book.engine import run_sweep
    from .book.grids import Grid
    from .book.sweeps import check_request, collect, have_run, publish, write_csv
    from .book.timings import build_folder

    project, cores = Book(), cores or _available_cores()
    grid = Grid.parse(project, chapter, settings)
    overrides = project.overrides(list(others))
    if name and others:
        raise UsageError("What is published stands for a profile: give --publish without --set.")
    if twice := grid.values.keys() & overrides.get(grid.chapter, {}).keys():
        raise UsageError(f"{grid.chapter}.{min(twice)} is given to -p and to --set; give it to one of them.")
    first = {name: values[0] for name, values in grid.values.items()}
    _warn_of_idle(project, profile, {**overrides, grid.chapter: {**overrides.get(grid.chapter, {}), **first}})
    check_request(project, grid, name, figure)
    plan = project.plan(profile, overrides)
    _ask(project, profile, plan, grid.jobs(plan), yes, dry)
    jobs = run_sweep(project, profile, overrides, grid, cores, options)
    build = build_folder(project, profile)
    if not have_run(jobs, build):
        click.echo(f"Nothing was collected: not all points have run. See {build / 'snakemake.log'}", err=True)
        return
    from .book.gallery import write_report  # brings matplotlib and torch, which a refusal need not wait for

    found = collect(project, grid, jobs, build, profile, cores, figure)
    folder = build / grid.folder
    write_csv(found, folder / "sweep.csv")  # first of all: a name that is none must not cost the table
    found = found.showing(metrics)
    report = write_report(found, folder)
    if name:
        click.echo(str(publish(found, name, project.root / "data" / "sweeps")))
    click.echo(str(report))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def chapters(as_json: bool) -> None:
    """List the chapters and their parameters, with types and ranges."""
    from .book.chapters import Book

    project = Book()
    if as_json:
        listing = [
            {
                "name": chapter.name,
                "title": chapter.title,
                "opens": chapter.opens,
                "makes": chapter.makes,
                "parameters": [vars(parameter) for parameter in chapter.parameters.values()],
            }
            for chapter in project.chapters
        ]
        click.echo(json.dumps(listing, indent=1))
        return
    for chapter in project.chapters:
        click.echo(f"{chapter.name}: {chapter.title}")
        for parameter in chapter.parameters.values():
            click.echo(f"  {parameter.name} = {parameter.default!r}  {parameter.meaning}; {parameter.allowed}")


@main.command()
def doctor() -> None:
    """Check that everything the book needs is here; say how to mend what is not."""
    from .doctor import examine

    findings = examine()
    for finding in findings:
        click.echo(str(finding))
    if not all(finding.ok for finding in findings):
        raise FingerprintsError("Something is missing; the lines marked FAIL say what to do.")


# What the Snakefile calls, from within the build folder; `fingerprints book` left the configuration there.


@main.command(hidden=True)
@click.argument("chapter")
@click.option("--point", help="Of the sweep, by the name of its folder.")
@click.option("--threads", type=click.IntRange(1), required=True)
def job(chapter: str, point: str | None, threads: int) -> None:
    """Run one chapter, or one point of a sweep, of the build in this folder."""
    from .book.engine import planned, run_job

    end_with_parent()
    project, config, build = _configuration()
    os.environ |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    _speak_through(build / "progress.log")
    jobs, points = planned(config)
    if point:
        jobs = [job for job in points if Path(job.folder).name == point]
    (found,) = [job for job in jobs if job.chapter.name == chapter]
    now = replace(found, fingerprint=found.chapter.fingerprint(found.values))  # code may have changed since the plan
    _or_leave_word(build, lambda: run_job(project, now, config["profile"], build))


@main.command()
def tidy() -> None:
    """Bring the chapters' texts into the form in which JupyterLab saves them; names those that it changed."""
    from .book.chapters import Book
    from .book.lab import tidied
    from .provenance import write_atomically

    for page in Book().pages:
        text = page.path.read_text(encoding="utf-8")
        if page.is_notebook and tidied(text) != text:
            write_atomically(page.path, tidied(text).encode())
            click.echo(page.path.name)


@main.command(hidden=True)
def pages() -> None:
    """Build the pages of the build in this folder."""
    from .book.engine import planned, run_pages

    end_with_parent()
    project, config, build = _configuration()
    _speak_through(build / "progress.log")
    click.echo("[book] building the pages", err=True)
    profile, overrides = config["profile"], config["overrides"]
    _or_leave_word(build, lambda: run_pages(project, planned(config)[0], profile, overrides, build))


def _configuration() -> tuple[Any, dict[str, Any], Path]:
    from .book.chapters import Book

    path = Path.cwd() / "config.json"
    if not path.is_file():
        raise UsageError("This command belongs to the build: run `fingerprints book`.")
    config = json.loads(path.read_text(encoding="utf-8"))
    return Book(config["root"]), config, Path.cwd()


def _speak_through(path: Path) -> None:
    """Send what we say to a file that `fingerprints book` shows, and what kernels grumble to a log of their own."""
    sys.stderr = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 (until the process ends)
    os.dup2(os.open(path.with_name("kernels.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)


def _or_leave_word(build: Path, action: Any) -> None:
    """Do it; leave the sentence of a failure where `fingerprints book` looks for it, rather than print it here."""
    try:
        action()
    except (FingerprintsError, OSError) as error:
        status = getattr(error, "exit_status", 1)
        failure = {"message": _sentence(error), "exit_status": status}
        (build / "failure.json").write_text(json.dumps(failure), encoding="utf-8")
        sys.exit(status)


def _ask(project: "Book", profile: str, plan: Sequence["Job"], wanted: Sequence["Job"], yes: bool, dry: bool) -> None:
    """Before what takes long or fills the disk, say how much, and ask; nobody is asked where nobody can answer.

    What runs is all of the plan, or the `wanted` jobs and what they need. A dry run ends here.
    """
    from .book.estimates import as_text, estimates, total
    from .book.memory import is_current
    from .book.scheduling import running_for
    from .book.timings import build_folder

    build = build_folder(project, profile)
    jobs = [job for job in running_for(plan, wanted) if not is_current(job, build)]
    found = estimates(project, build, profile, plan, jobs)
    cost, guessed = total(found), any(one.guessed for one in found)
    if dry or ((cost.seconds > LONG or cost.disk > LARGE) and (guessed or _answers())):
        click.echo(as_text(found), err=not dry)
        if dry:
            click.get_current_context().exit()
        if not yes and _answers():
            told = f"about {cost}, estimated as said" if guessed else f"up to {cost}, judging by earlier runs"
            click.confirm(f"This may take {told}. Go on?", abort=True, err=True)


def _warn_of_idle(project: "Book", profile: str, overrides: Mapping[str, Mapping[str, Any]]) -> None:
    """Say that a knob of training does not touch the networks that come with the book."""
    for knob in project.idle(profile, overrides):
        chapter, name = knob.split(".")
        click.echo(
            f"Note: {name} is felt only by the small network that {chapter!r} trains beside the shipped ones. "
            f"To train all with it, set {chapter}.networks to trained.",
            err=True,
        )


def _answers() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin.isatty()


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
