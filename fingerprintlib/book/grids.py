"""The grid of a sweep: a chapter's knobs with the values that each takes, and the jobs of all points."""

import csv
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..provenance import content_hash
from .chapters import Book, Job
from .parameters import absolute

MOST_POINTS = 1000  # more are a slip of the pen
LONGEST = 40  # characters of a value, and three times as many of all, that go into the name of a folder


@dataclass(frozen=True)
class Grid:
    """A chapter's swept parameters, in the order they were given, with their values.

    Its points are all combinations; the last parameter changes fastest.
    """

    chapter: str
    values: Mapping[str, Sequence[Any]]

    @classmethod
    def parse(cls, book: Book, chapter: str, settings: Sequence[str]) -> "Grid":
        """``NAME=V1,V2,...`` texts as a grid; a value with a comma in it stands between double quotes.

        Raises:
            UsageError: one has another form, or names or gives what is not allowed, or twice; or there are too many
                points, or none.
        """
        found = book.chapter(chapter)
        values: dict[str, list[Any]] = {}
        for setting in settings:
            where = f"-p {setting}"
            match = re.fullmatch(r"(\w+)=(.*)", setting)
            if not match:
                raise UsageError(f"{setting!r} is not of the form NAME=VALUE,VALUE,...")
            name, parameter = match[1], found.parameter(match[1])
            if name in values:
                raise UsageError(f"{where}: {name} is given twice; give all its values at once: {name}=VALUE,VALUE.")
            texts = [text.strip() for text in next(csv.reader([match[2]], skipinitialspace=True), [])]
            if not all(texts) or not texts:
                raise UsageError(f"{where}: a value of {name} is missing; it must be {parameter.allowed}.")
            values[name] = []
            for text in texts:
                value = absolute(parameter.from_text(text, where), Path.cwd())
                if value in values[name]:
                    raise UsageError(f"{where}: {name} = {value!r} is given twice.")
                values[name].append(value)
        if not values:
            raise UsageError(f"Name a knob to turn: -p NAME=VALUE,VALUE. There is: {', '.join(found.parameters)}.")
        count = math.prod(map(len, values.values()))
        if count > MOST_POINTS:
            raise UsageError(f"The grid has {count} points; at most {MOST_POINTS} are allowed. Give fewer values.")
        return cls(found.name, values)

    @cached_property
    def points(self) -> list[dict[str, Any]]:
        """All combinations of values, by name of parameter."""
        return [dict(zip(self.values, point, strict=True)) for point in itertools.product(*self.values.values())]

    @property
    def folder(self) -> str:
        """Where its points lie, relative to the build folder; grids over the same parameters share it."""
        return f"sweeps/{self.chapter}/{'+'.join(sorted(self.values))}"

    def jobs(self, plan: Sequence[Job]) -> list[Job]:
        """The job of every point, in the order of `points`: the chapter's in `plan`, with the point's values.

        Raises:
            UsageError: a value names a folder that is not there.
        """
        (base,) = [job for job in plan if job.chapter.name == self.chapter]
        jobs = []
        for number, point in enumerate(self.points, 1):
            values, folder = {**base.values, **point}, f"{self.folder}/{name_of(point)}"
            jobs.append(
                replace(
                    base,
                    values=values,
                    outputs={name: f"{folder}/{path}" for name, path in base.outputs.items()},
                    fingerprint=base.chapter.fingerprint(values),
                    folder=folder,
                    label=f"point {number} of {len(self.points)}: {in_words(point)}",
                )
            )
        return jobs


def in_words(point: Mapping[str, Any]) -> str:
    """``steps = 100, colours = grey``."""
    return ", ".join(f"{name} = {value}" for name, value in point.items())


def name_of(point: Mapping[str, Any]) -> str:
    """A point's name as a file: letters, digits and ``_.+-`` only, never that of another point."""
    parts = [f"{name}-{_slug(str(value), LONGEST)}" for name, value in sorted(point.items())]
    return _slug("+".join(parts), 3 * LONGEST, r"[^\w.+-]+")


def _slug(text: str, longest: int, foreign: str = r"[^\w.-]+") -> str:
    plain = re.sub(foreign, "-", text, flags=re.ASCII)
    if plain == text and len(text) <= longest:
        return text
    return f"{plain[:longest]}-{content_hash(text.encode())[:8]}"
