"""What a sweep found: the metrics and claims of all points, as a table, and published for the gallery.

A point is one run of a chapter (see `grids`); what it recorded with `Page.metric` and `Page.claim` is read from its
``metrics/<chapter>.json``. ``data/sweeps/<name>.json`` holds what was published, ``data/sweeps/<name>/`` the pictures.
"""

import base64
import datetime
import io
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import __version__
from ..errors import FingerprintsError, UsageError, unknown
from ..provenance import write_atomically, write_json
from .chapters import Book, Job, data_hash
from .grids import Grid, name_of
from .timings import machine

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_PUBLISHED = 40  # points of a published sweep: each becomes a figure on the page
LARGEST_PICTURE = 60_000  # bytes
ENDS = ("", "_low", "_high")  # of the names of an estimate's three numbers
SUFFIXES = {b"\x89PNG": ".png", b"RIFF": ".webp"}  # by the first bytes


class Estimate(NamedTuple):
    """A number, and its interval where one was recorded."""

    value: float
    low: float | None = None
    high: float | None = None


class Picture(NamedTuple):
    """The bytes of a PNG or WebP file, and what it shows."""

    data: bytes
    alt: str

    @property
    def suffix(self) -> str:
        """``.png`` or ``.webp``."""
        return SUFFIXES[self.data[:4]]


@dataclass(frozen=True)
class Point:
    """One run of the chapter: the swept values, and by name what was found: ``metric.NAME`` and ``claim.ID``."""

    values: dict[str, Any]
    estimates: dict[str, Estimate]
    picture: Picture | None = None


@dataclass(frozen=True)
class Sweep:
    """A chapter at all points of a grid.

    Attributes:
        chapter, title: whose it is.
        parameters: the swept ones with their values; the first is the horizontal axis, the last changes fastest.
        meanings: of the swept ones, in words.
        held: the chapter's other parameters.
        points: in the order of the grid.
        units: of estimates; claims in ``"%"`` and ``"points"`` are fractions, to be printed times a hundred.
        shown: the estimates for the figure, by name.
        provenance: profile, version, date, hashes of code and zoo, machine, device, cores.
        name: under which it is published.
    """

    chapter: str
    title: str
    parameters: dict[str, list[Any]]
    meanings: dict[str, str]
    held: dict[str, Any]
    points: list[Point]
    units: dict[str, str] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def names(self) -> list[str]:
        """Every estimate that some point has, in the order of their first appearance."""
        return list(dict.fromkeys(name for point in self.points for name in point.estimates))

    @property
    def turned(self) -> list[str]:
        """The swept parameters that take more than one value; all of them if none does."""
        several = [name for name, values in self.parameters.items() if len(values) > 1]
        return several or list(self.parameters)

    def printed(self, name: str) -> str:
        """An estimate's name for people: ``claim existence, %``, ``network as they are, %``."""
        kind, _, rest = name.partition(".")
        unit = self.units.get(name, "")
        return ("claim " if kind == "claim" else "") + rest.replace("_", " ") + (f", {unit}" if unit else "")

    def scaled(self, point: Point, name: str) -> Estimate | None:
        """A point's estimate in the unit that `printed` names."""
        found = point.estimates.get(name)
        fraction = name.startswith("claim.") and self.units.get(name) in ("%", "points")
        if found is None or not fraction:
            return found
        value, low, high = found
        return Estimate(100 * value, None if low is None else 100 * low, None if high is None else 100 * high)

    @property
    def table(self) -> "DataFrame":
        """A row a point: the swept values, then all estimates, NaN where a point has none.

        After an estimate that has an interval somewhere stand ``NAME_low`` and ``NAME_high``. Numbers are as they were
        recorded: a whole one stays whole where another point has none.
        """
        from pandas import DataFrame  # takes a moment, for which the refusal of a request need not wait

        columns = [name + end for name in self.names for end in ENDS]
        rows = []
        for point in self.points:
            told = [
                (name + end, x) for name, found in point.estimates.items() for end, x in zip(ENDS, found, strict=True)
            ]
            rows.append(point.values | {name: number for name, number in told if number is not None})
        frame = DataFrame(rows, columns=list(dict.fromkeys([*self.parameters, *columns])), dtype=object)
        return frame.dropna(axis="columns", how="all")

    def showing(self, wanted: Sequence[str]) -> "Sweep":
        """The same, with the estimates `wanted` for its figure.

        If none is, these are the claims; without claims the metrics with an interval, and without those all metrics.

        Raises:
            UsageError: there is no estimate of such a name; ``network_grey`` will do for ``metric.network_grey``.
        """
        names = self.names
        if not wanted:
            claims = [name for name in names if name.startswith("claim.")]
            columns = set(self.table)
            sure = [name for name in names if {f"{name}_low", f"{name}_high"} <= columns]
            return replace(self, shown=claims or sure or names)
        found = []
        for name in wanted:
            full = [known for known in (name, f"metric.{name}", f"claim.{name}") if known in names]
            if not full:
                known = [known.partition(".")[2] for known in names]
                raise unknown("metric", name, known, f"chapter {self.chapter!r}")
            found.append(full[0])
        return replace(self, shown=list(dict.fromkeys(found)))


# --- collecting ---------------------------------------------------------------------------------


def check_request(book: Book, grid: Grid, name: str | None, figure: str | None) -> None:
    """Refuse what could only fail after all points have run: a figure that the chapter has not, a name that is no name.

    Raises:
        UsageError: it cannot be.
    """
    chapter = book.chapter(grid.chapter)
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise UsageError(f"--publish {name}: the name must be of small letters, digits and hyphens.")
    if name is not None and len(grid.points) > MOST_PUBLISHED:
        raise UsageError(f"--publish {name}: {len(grid.points)} points are too many for a page; give {MOST_PUBLISHED}.")
    if figure is not None and name is None:
        raise UsageError(f"--figure {figure} is for the gallery: add --publish NAME.")
    if figure is not None and figure not in chapter.figures:
        raise unknown("figure", figure, chapter.figures, f"chapter {chapter.name!r}")


def have_run(jobs: Sequence[Job], build: Path) -> bool:
    """Whether all points are there: a dry run leaves none."""
    return all((build / job.outputs["metrics"]).is_file() for job in jobs)


def collect(
    book: Book, grid: Grid, jobs: Sequence[Job], build: Path, profile: str, cores: int, figure: str | None
) -> Sweep:
    """Read what the points of a grid left in the build folder; with the picture of a `figure`, by its label.

    Raises:
        FingerprintsError: a notebook has no such picture.
    """
    chapter = book.chapter(grid.chapter)
    points: list[Point] = []
    units: dict[str, str] = {}
    devices = set()
    for values, job in zip(grid.points, jobs, strict=True):
        record = json.loads((build / job.outputs["metrics"]).read_text(encoding="utf-8"))
        devices.add(record["device"])
        units |= {f"claim.{claim['claim']}": claim["unit"] for claim in record["claims"]}
        units |= {f"metric.{name}": "%" for name in record["shares"]}
        picture = picture_of(build / job.outputs["notebook"], figure) if figure else None
        points.append(Point(values, estimates_of(record), picture))
    provenance = {
        "profile": profile,
        "version": __version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "code": chapter.code["code"],
        "zoo": zoo_hash(book.root / "data" / "zoo"),
        "machine": machine(),
        "device": ", ".join(sorted(devices)),
        "cores": cores,
    }
    return Sweep(
        chapter.name,
        chapter.title,
        {name: list(values) for name, values in grid.values.items()},
        {name: chapter.parameter(name).meaning for name in grid.values},
        {name: value for name, value in jobs[0].values.items() if name not in grid.values},
        points,
        units,
        provenance=provenance,
    )


def zoo_hash(folder: Path) -> str:
    """Of the generators and cards in ``data/zoo``: a sweep with another one in its `provenance` is about others."""
    return data_hash(folder)


def estimates_of(record: Mapping[str, Any]) -> dict[str, Estimate]:
    """The numbers of a chapter's ``metrics/<chapter>.json``; ``NAME_low`` and ``NAME_high`` bound NAME."""
    numbers = {name: value for name, value in record["metrics"].items() if isinstance(value, int | float)}
    bounds = {name: (f"{name}_low", f"{name}_high") for name in numbers}
    bounds = {name: both for name, both in bounds.items() if set(both) <= set(numbers)}
    within = {bound for both in bounds.values() for bound in both}
    found = {
        f"metric.{name}": Estimate(value, *(numbers[bound] for bound in bounds.get(name, ())))
        for name, value in numbers.items()
        if name not in within
    }
    claims = {f"claim.{c['claim']}": Estimate(c["value"], c["low"], c["high"]) for c in record["claims"]}
    return found | claims


def picture_of(notebook: Path, label: str) -> Picture:
    """The figure of that label in an executed notebook, made small enough for a repository.

    Raises:
        FingerprintsError: its cell has left no picture.
    """
    import nbformat

    for cell in nbformat.read(notebook, 4).cells:
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") != label:
            continue
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                data = base64.b64decode(output["data"]["image/png"])
                return Picture(small(data), output["metadata"].get("alt", label))
    raise FingerprintsError(f"{notebook}: the figure {label!r} is no picture there. Name another one with --figure.")


def small(png: bytes) -> bytes:
    """A picture in at most `LARGEST_PICTURE` bytes: as it is, in 256 colours, or as WebP, in the end with fewer pixels.

    Raises:
        FingerprintsError: nothing makes it small enough.
    """
    from PIL import Image

    if len(png) <= LARGEST_PICTURE:
        return png
    with Image.open(io.BytesIO(png)) as opened:
        image = Image.alpha_composite(Image.new("RGBA", opened.size, "white"), opened.convert("RGBA")).convert("RGB")
    ways: list[tuple[Any, dict[str, Any]]] = [(image.quantize(256), {"format": "PNG", "optimize": True})]
    for share in (1, 0.7, 0.5, 0.35):
        size = (max(1, round(share * image.width)), max(1, round(share * image.height)))
        ways += [(image.resize(size), {"format": "WEBP", "quality": quality, "method": 6}) for quality in (80, 50)]
    for some, options in ways:
        buffer = io.BytesIO()
        some.save(buffer, **options)
        if buffer.tell() <= LARGEST_PICTURE:
            return buffer.getvalue()
    raise FingerprintsError(
        f"A picture of {image.width}x{image.height} pixels does not fit into {LARGEST_PICTURE} bytes."
    )


def write_csv(sweep: Sweep, path: Path) -> None:
    """Write the `Sweep.table`, floats to the last digit."""
    write_atomically(path, sweep.table.to_csv(index=False, lineterminator="\n"))


# --- publishing ---------------------------------------------------------------------------------


def publish(sweep: Sweep, name: str, folder: Path) -> Path:
    """Write what is `shown` to ``<name>.json`` in ``data/sweeps``, pictures beside it; in place of what was there."""
    shutil.rmtree(folder / name, ignore_errors=True)
    points = []
    for point in sweep.points:
        picture = None
        if point.picture:
            file = name_of(point.values) + point.picture.suffix
            write_atomically(folder / name / file, point.picture.data)
            picture = {"file": file, "alt": point.picture.alt}
        estimates = {key: list(point.estimates[key]) for key in sweep.shown if key in point.estimates}
        points.append({"values": point.values, "estimates": estimates, "picture": picture})
    value = {
        "chapter": sweep.chapter,
        "title": sweep.title,
        "parameters": [[key, sweep.meanings[key], values] for key, values in sweep.parameters.items()],
        "held": sweep.held,
        "shown": [[key, sweep.units.get(key, "")] for key in sweep.shown],
        "points": points,
        "provenance": sweep.provenance,
    }
    path = folder / f"{name}.json"
    write_json(path, value)
    return path


def load_sweeps(folder: Path) -> list[Sweep]:
    """The sweeps published in ``data/sweeps``, by name; none if there is no such folder.

    Raises:
        FingerprintsError: a file is not what `publish` writes, or a picture is missing.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(_load(path))
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise FingerprintsError(
                f"{path} is not a whole sweep ({type(error).__name__}: {error}): publish it again, or remove it."
            ) from error
    return found


def _load(path: Path) -> Sweep:
    value = json.loads(path.read_text(encoding="utf-8"))
    parameters = {key: values for key, _, values in value["parameters"]}
    points = []
    for point in value["points"]:
        picture = point["picture"]
        if picture:
            picture = Picture((path.with_suffix("") / picture["file"]).read_bytes(), picture["alt"])
        estimates = {key: Estimate(*numbers) for key, numbers in point["estimates"].items()}
        points.append(Point({name: point["values"][name] for name in parameters}, estimates, picture))
    if [point.values for point in points] != Grid(value["chapter"], parameters).points:
        raise ValueError("the points are not those of the grid")
    return Sweep(
        value["chapter"],
        value["title"],
        parameters,
        {key: meaning for key, meaning, _ in value["parameters"]},
        value["held"],
        points,
        dict(value["shown"]),
        [key for key, _ in value["shown"]],
        value["provenance"],
        path.stem,
    )
