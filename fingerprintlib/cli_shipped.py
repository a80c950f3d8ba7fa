"""The commands about what the project ships: ``fingerprints zoo`` and ``fingerprints networks``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from .errors import FingerprintsError, UsageError
from .tables import aligned


@click.group()
def zoo() -> None:
    """The trained generators in data/zoo: list, check, sample, measure or train them."""


@zoo.command("list")
def list_zoo() -> None:
    """List the generators, what they were trained on, and how good they are.

    FD is the Frechet distance to held-out real images, in units of the floor: that of the generators' training images.
    """
    from .zoo.shipped import as_rows

    _echo_table(("NAME", "GAN", "SEED", "WITHOUT", "IMAGES", "FD", "MB", "MINUTES", "DEVICE"), as_rows(_zoo()))


@zoo.command()
@click.argument("names", nargs=-1)
def verify(names: tuple[str, ...]) -> None:
    """Check that generators are whole, and are what their cards and zoo.yml say (all, if none is named)."""
    zoo = _zoo()
    _verify(names or zoo.names, lambda name: f"weights {zoo.load(name).hash}", "the zoo's generators")


@zoo.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME... | all")
def train(names: tuple[str, ...]) -> None:
    """Train generators as zoo.yml says and write them to data/zoo, over what is there; `all` trains the whole zoo.

    What is unfinished lies in _build/zoo, and the same command goes on from there. Several are trained side by side, on
    each GPU one, or on a CPU on each core one.
    """
    zoo = _zoo()
    zoo.train(zoo.names if names == ("all",) else names, zoo.folder.parents[1] / "_build" / "zoo")
    context = click.get_current_context()
    context.invoke(list_zoo)


@zoo.command()
@click.argument("names", nargs=-1)
@click.option("--inception", is_flag=True, help="In the feature space of Inception, too: downloads 104 MB, is slow.")
def measure(names: tuple[str, ...], inception: bool) -> None:
    """Measure how good generators are, and write it to their cards (all, if none is named)."""
    from .zoo.quality import Reference

    zoo = _zoo()
    for name in names:
        zoo.path(name)  # a misspelt name is refused before anything takes time
    reals = zoo.reals(zoo.folder.parents[1] / "_build" / "zoo")
    reference = Reference.of(zoo.data, reals, space="inception" if inception else "filter bank")
    for name in names or zoo.names:
        quality = zoo.measure(name, reference)
        ratio = quality["frechet"] / quality["floor"]["frechet"]
        click.echo(
            f"{name}: Frechet distance {quality['frechet']:.3f}, {ratio:.2f} times the floor ({reference.space})"
        )


@zoo.command()
@click.argument("name")
@click.option("-n", "count", type=click.IntRange(1, 1_000_000), required=True, help="Number of images.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the latents.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the PNG files."
)
def sample(name: str, count: int, seed: int, out: Path) -> None:
    """Write samples of a generator as PNG files; the same name, number and seed give the same bytes.

    Image number i depends on the seed and i alone, so a longer row begins with the shorter one.
    """
    from .data.images import save_png
    from .progress import progress

    generator = _zoo().load(name)
    out.mkdir(parents=True, exist_ok=True)
    with progress(count, name, "images") as bar:
        for start in range(0, count, 500):
            for index, image in enumerate(generator.sample(min(500, count - start), seed, start), start):
                save_png(out / f"{name}-{seed}-{index:06d}.png", image)
                bar.update()
    click.echo(str(out))


@click.group()
def networks() -> None:
    """The trained networks in data/networks: list, check or publish them."""


@networks.command("list")
def list_networks() -> None:
    """List the networks: what each is for, how long it learned, and how well it does on the validation split."""
    columns = ("NAME", "KIND", "COLOUR", "SOURCES", "STEPS", "VALIDATION", "MB", "MINUTES", "DEVICE")
    _echo_table(columns, list(_networks().rows()))


@networks.command("verify")
@click.argument("names", nargs=-1)
def verify_networks(names: tuple[str, ...]) -> None:
    """Check that networks are whole, and are what their cards say (all, if none is named)."""
    shipped = _networks()
    _verify(names or shipped.names, lambda name: f"{shipped.load(name).resolution} pixels", "the networks")


@networks.command()
@click.option("--profile", default="full", show_default=True, help="Of the build that trained them.")
def publish(profile: str) -> None:
    """Ship what a build of the book trained, in place of what is in data/networks; its numbers go to data/results.

    `make networks` builds the book at the profile full first.
    """
    from .book.chapters import Book
    from .book.networks import publish as publish_networks

    for name in publish_networks(Book(), profile):
        click.echo(name)


def _zoo() -> Any:
    from .project import find_root
    from .zoo.shipped import Zoo

    return Zoo.of(find_root() / "data" / "zoo")


def _networks() -> Any:
    from .project import find_root
    from .zoo.networks import Networks

    return Networks(find_root() / "data" / "networks")


def _verify(names: Sequence[str], told: Callable[[str], str], what: str) -> None:
    """Print a line for each, and fail if one of them cannot be used."""
    failures = 0
    for name in names:
        try:
            click.echo(f"ok    {name}  {told(name)}")
        except UsageError:
            raise
        except FingerprintsError as error:
            failures += 1
            click.echo(f"FAIL  {name}  {error}")
    if failures:
        raise FingerprintsError(f"{failures} of {what} cannot be used; the lines marked FAIL say what to do.")


def _echo_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    for line in aligned([columns, *rows]):
        click.echo(line)
