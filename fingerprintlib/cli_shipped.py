"""The commands about what the project ships, and what a build can add to it.

``fingerprints zoo`` and ``fingerprints networks``; what a build took and found; networks that are made of others.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from .errors import FingerprintsError, UsageError
from .tables import aligned

PROFILE_HELP = "Named set of parameters: smoke, quick, faces, full or paper."
ATTACK_HELP = "noise, blur, crop, jpeg, relight, combination, notch, resample or handling."


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


@click.command()
@click.option("--profile", default="quick", show_default=True, help=PROFILE_HELP)
def timings(profile: str) -> None:
    """Publish what the last build of a profile took: write data/timings.json."""
    from .book.chapters import Book
    from .book.timings import record_timings

    click.echo(str(record_timings(Book(), profile)))


@click.command()
@click.option("--profile", default="paper", show_default=True, help="Of the build.")
def results(profile: str) -> None:
    """Write what a build found to one file in data/results. The ledger has a column for each file there."""
    from .book.chapters import Book
    from .book.networks import report

    click.echo(str(report(Book(), profile)))


@click.command()
@click.argument("attributor", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--attack", "name", required=True, help=ATTACK_HELP)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@click.option(
    "--corpus",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Images as they are.  [default: the corpus that the attributor learned from, if it lies in _build/store]",
)
@click.option("--steps", type=click.IntRange(1), default=500, show_default=True, help="Of finetuning.")
@click.option("--images", type=click.IntRange(1), help="Training images of each source.  [default: all]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of order, flips and attack.")
def immunize(
    attributor: Path, name: str, out: Path, folder: Path | None, steps: int, images: int | None, seed: int
) -> None:
    """Finetune an attributor on attacked images; write what it becomes, and tell its accuracy before and after."""
    from .attacks.immunization import attacked, learned_from
    from .attacks.immunization import immunize as finetune
    from .attacks.perturbations import find_attack
    from .attribution.attributor import Attributor
    from .book.chapters import Book
    from .data.corpus import open_corpus

    attack = find_attack(name)
    before = Attributor.load(attributor)
    store = Book().root / "_build" / "store"
    corpus = open_corpus(folder) if folder else learned_from(before, store)
    after = finetune(attributor, corpus, attack, store / "attributors", steps=steps, images=images, seed=seed)
    after.save(out)
    met = attacked(corpus, attack, control=before.colour, seed=seed)
    for title, some in {"before": before, "after": after}.items():
        clean = some.evaluate(*corpus.split("test"))
        click.echo(f"{title:6s}  under {name}: {some.evaluate_corpus(met)}; clean: {clean.accuracy:.1%}")
    click.echo(str(out))


@click.command()
@click.argument("network", metavar="ATTRIBUTOR", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write: .onnx.")
def export(network: Path, out: Path) -> None:
    """Write an attributor, or a visualizer, as ONNX, for programs that have no PyTorch.

    The graph takes uint8 images [N, R, R, 3] and gives the sources' logits and the images' fingerprints. Class names,
    preprocessing, calibration and provenance are in the file's metadata, as JSON.
    """
    from .attribution.exporting import export as write
    from .zoo.networks import load_network

    if out.suffix != ".onnx":
        raise UsageError(f"--out is where ONNX is written: call it {out.with_suffix('.onnx').name}, not {out.name}.")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {out.parent} to write {out.name} into. Make it, or name another.")
    write(load_network(network), out)
    click.echo(str(out))


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
