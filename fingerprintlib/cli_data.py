"""The commands about real images: ``fingerprints data``."""

from pathlib import Path

import click

from .tables import aligned


@click.group()
def data() -> None:
    """Real images: list, get and check published data sets; make those of the project again.

    Published data sets lie in the folder that the environment variable FINGERPRINTS_DATA names, or else in your folder
    for caches. The knob `dataset` of the chapter `real-images` takes their names.
    """


@data.command("list")
def list_data() -> None:
    """List the published data sets: size, highest resolution, what of them is here, and terms of use.

    The terms are told as we know them; the page named beside them has the last word.
    """
    from .data.catalogue import PUBLISHED
    from .data.fetching import home, state

    head = ("NAME", "IMAGES", "SIDE", "TO DOWNLOAD", "ON DISK", "A SPLIT HAS WHOLE", "STATE")
    rows = [
        (
            one.name,
            f"{one.count:,}",
            str(one.side),
            _size(one.size),
            _size(one.unpacked),
            "persons" if one.by_person else "groups of near-duplicates",
            state(one),
        )
        for one in PUBLISHED.values()
    ]
    for line in aligned([head, *rows]):
        click.echo(line)
    for one in PUBLISHED.values():
        click.echo(f"\n{one.name}: {one.shows}. {one.citation}. {one.page}")
        click.echo(f"  terms: {one.terms}")
        click.echo(f"  squares: {one.preparation}")
    click.echo(f"\nThey are kept in {home()}")


@data.command()
@click.argument("name")
def get(name: str) -> None:
    """Download, verify and unpack a published data set, and find out which of its images belong together.

    What was interrupted goes on where it stopped. A file that you fetched with a browser and put into the folder is
    not downloaded, but verified. Archives are removed once they are unpacked.
    """
    from .data.catalogue import find
    from .data.fetching import fetch
    from .data.published import group

    one = find(name)
    click.echo(f"{name}: about {_size(one.size)} to download. Terms of use: {one.terms}. See {one.page}", err=True)
    place = fetch(name)
    grouped = group(name)
    _tell(name, grouped["groups"])
    click.echo(str(place))


@data.command()
@click.argument("name")
def check(name: str) -> None:
    """Read all files of a published data set and compare them with what was unpacked."""
    from .data.fetching import check as check_files
    from .data.published import group

    count = check_files(name)
    click.echo(f"{name}: {count:,} files are as they were unpacked")
    _tell(name, group(name)["groups"])


def _tell(name: str, groups: list[str]) -> None:
    """How many images there are, and how large the groups are that no split parts."""
    from collections import Counter

    largest = max(Counter(groups).values())
    click.echo(f"{name}: {len(groups):,} images in {len(set(groups)):,} groups; the largest has {largest:,}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


@data.command()
@click.argument("name", type=click.Choice(["clothing", "scenes"]))
@click.option("--from", "source", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--resolution", type=click.Choice(["64", "128"]), default="64", show_default=True, help="Of clothing.")
def make(name: str, source: Path, resolution: str) -> None:
    """Make a data set of the project again from the originals in a folder: the very same pixels."""
    from .data.clothing import make_clothing
    from .data.photographs import make_scenes
    from .project import data_folder

    if name == "clothing":
        click.echo(
            f"{make_clothing(source, int(resolution)):,} photographs in {data_folder() / 'clothing' / resolution}"
        )
    else:
        make_scenes(source, data_folder() / "scenes")
        click.echo(str(data_folder() / "scenes"))
