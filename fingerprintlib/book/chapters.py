"""The chapters as data: their text, their typed parameters, the profiles, and the plan of a build.

A chapter is a MyST text notebook in ``book/``. Its first code cell is tagged ``parameters`` and reads, a line each::

    steps: int = 400  # training steps of the attribution network [1..1000000]
    colour: str = "as_is"  # pixels as they are, or rank-equalized [as_is, equalized]

that is name, type, default, meaning, and what is allowed: a range, a list (which may go on in a comment below), or any
``text``. Its front matter names what it ``reads`` of the project's ``data``, and the artifacts it ``opens`` (made by
earlier chapters) and ``makes``::

    fingerprints:
      reads: [paper.yml, zoo]
      opens: [corpus]
      makes: [attributor]
      together: [{generators: shipped, real-images.resolution: 64}]

where ``together`` says which values of its own knobs go only with which of another chapter's. All this is read off the
notebook that jupytext makes of the text: nothing is imported or run, so that a mistake is refused before anything
starts.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ..codehash import code_of_cells
from ..errors import FingerprintsError, UsageError, one_line, unknown
from ..project import find_root
from ..provenance import file_hash, files_in, recipe_hash
from .parameters import FOLDER, ChapterError, Parameter, absolute, contents, lines_of

#: Knobs of a training. Where a chapter shows shipped networks, they are felt only by a small one beside those.
OF_TRAINING = {"steps", "width", "emphasis", "learning_rate"}

PROFILES = ("smoke", "quick", "faces", "full", "paper")


@dataclass(frozen=True)
class Chapter:
    """One text notebook of the book.

    Attributes:
        path: its file.
        hashes: of what was read of the project's data so far, by name; the chapters of a book share them.
    """

    path: Path
    hashes: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Its file's name without the number: what commands, profiles and artifacts call it."""
        return re.sub(r"^\d+-", "", self.path.stem)

    @cached_property
    def notebook(self) -> Any:
        """What jupytext reads, an ``nbformat.NotebookNode``: for others to look at, not to change.

        Raises:
            ChapterError: the front matter or a cell's options cannot be read.
        """
        import jupytext  # here, as `fingerprints --help` need not wait for it

        text = self.path.read_text(encoding="utf-8")
        try:
            return jupytext.reads(text, fmt="md:myst")
        except Exception as error:  # jupytext, YAML and nbformat have each their own, without a common ancestor
            raise ChapterError(f"{self.path.name} cannot be read: {one_line(str(error))}") from error

    @property
    def is_notebook(self) -> bool:
        """Whether it has code to run."""
        return "kernelspec" in self.notebook.metadata

    @cached_property
    def title(self) -> str:
        """The first heading."""
        prose = "\n".join(cell.source for cell in self.notebook.cells if cell.cell_type == "markdown")
        match = re.search(r"^# (.+)$", prose, re.MULTILINE)
        return match[1] if match else self.name

    @property
    def reads(self) -> tuple[str, ...]:
        """The files and folders of the project's ``data`` that it reads; a change of one makes it run again."""
        return self._declared("reads")

    @property
    def opens(self) -> tuple[str, ...]:
        """The artifacts of earlier chapters that it opens; ``metrics`` stands for all their metrics."""
        return self._declared("opens")

    @property
    def makes(self) -> tuple[str, ...]:
        """The artifacts that it makes for later chapters."""
        return self._declared("makes")

    @property
    def together(self) -> tuple[dict[str, Any], ...]:
        """Its own knob at a value, and what another chapter's has to be then: pairs, in this order."""
        return self._declared("together")

    def _declared(self, what: str) -> tuple[Any, ...]:
        declared = self.notebook.metadata.get("fingerprints", {})
        names = declared.get(what, []) if isinstance(declared, dict) else None
        if not isinstance(names, list):
            raise ChapterError(f"{self.path.name}: `{what}` under `fingerprints` in its front matter must be a list.")
        return tuple(names)

    @property
    def _code(self) -> list[Any]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @property
    def cells(self) -> list[tuple[list[str], str]]:
        """The code cells: tags and source."""
        return [(cell.metadata.get("tags", []), cell.source) for cell in self._code]

    @property
    def figures(self) -> list[str]:
        """The labels of its figures, ``fig-confusion`` for example."""
        named = [cell.metadata.get("mystnb", {}).get("figure", {}).get("name") for cell in self._code]
        return [name for name in named if name]

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The knobs, by name.

        Raises:
            ChapterError: there is not exactly one cell tagged ``parameters``, or one of its lines is malformed.
        """
        tagged = [source for tags, source in self.cells if "parameters" in tags]
        if len(tagged) != 1:
            raise ChapterError(f"{self.path.name} has {len(tagged)} cells tagged 'parameters'; it must have one.")
        lines = [line for line in lines_of(tagged[0]) if line.strip() and not line.startswith("#")]
        parameters = [Parameter.parse(line) for line in lines]
        return {parameter.name: parameter for parameter in parameters}

    def parameter(self, name: str) -> Parameter:
        """The knob of that name, or an error that names the nearest one."""
        if name not in self.parameters:
            raise unknown("parameter", name, sorted(self.parameters), f"chapter {self.name!r}")
        return self.parameters[name]

    def values(self, *layers: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The defaults, overridden layer by layer; a layer is who gives the values, and the values.

        Raises:
            UsageError: a name is unknown, a type is wrong, a value is out of range.
        """
        values = {name: parameter.default for name, parameter in self.parameters.items()}
        for where, layer in layers:
            for name, value in layer.items():
                values[name] = self.parameter(name).check(value, where)
        return values

    def fingerprint(self, values: Mapping[str, Any]) -> str:
        """A hash of all that its results depend on, but for the artifacts it opens.

        Its cells with what they reach in the library and the packages that compute there (`codehash`), the values of
        its parameters, the project's data that it declares to read. Prose is not in it, nor is a comment: a corrected
        sentence costs no training.

        Raises:
            ChapterError: a cell is not Python.
            UsageError: a value names a folder that is not there.
        """
        for name in self.reads:
            if name not in self.hashes:
                self.hashes[name] = data_hash(self.path.parents[1] / "data" / name)
        return recipe_hash(
            {
                "code": self.code,
                # Where its cells end: a page puts the outputs of those that ran below those of its text.
                "ends": [len(ast.parse(source).body) for source in self._plain],
                "values": dict(values),
                "folders": {value: contents(value) for value in values.values() if str(value).startswith(FOLDER)},
                "data": {name: self.hashes[name] for name in self.reads},
            }
        )

    @cached_property
    def code(self) -> dict[str, Any]:
        """What its cells mean: see `codehash.code_of_cells`. The default values of its parameters are not in it.

        Raises:
            ChapterError: a cell is not Python.
        """
        return code_of_cells(self._plain)

    @cached_property
    def _plain(self) -> list[str]:
        return [self._plain_python(source) for tags, source in self.cells if "parameters" not in tags]

    def _plain_python(self, source: str) -> str:
        """A cell's source; if it has lines that are IPython's alone (``%time``, ``!ls``), they become ``pass``."""
        try:
            ast.parse(source)
            return source
        except SyntaxError:
            plain = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)
        try:
            ast.parse(plain)
            return plain
        except SyntaxError as error:
            raise ChapterError(f"{self.path.name} has a cell that is not Python: {error.msg}: {error.text}") from error


@dataclass(frozen=True)
class Job:
    """One chapter to run: with which values, after which files, making which.

    Attributes:
        folder: where the outputs go, relative to the build folder: a point of a sweep has its own.
        label: what distinguishes it from the chapter's other jobs, in words.
    """

    chapter: Chapter
    values: dict[str, Any]
    inputs: list[str]
    outputs: dict[str, str]
    fingerprint: str
    folder: str = ""
    label: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**self.__dict__, "chapter": str(self.chapter.path)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Job":
        """The inverse of `as_dict`."""
        return cls(**{**value, "chapter": Chapter(Path(value["chapter"]))})


class Book:
    """The folder of the project: ``_config.yml``, ``book/`` and its profiles."""

    def __init__(self, root: Path | str | None = None):
        """Find the book at `root`, or at or above the working directory.

        Raises:
            UsageError: there is none.
        """
        self.root = find_root(root)

    @cached_property
    def contents(self) -> list[str]:
        """The names of the table of contents, in reading order. Some pages are written by the build."""
        toc = _mapping((self.root / "book" / "_toc.yml").read_text(encoding="utf-8"), "book/_toc.yml", ChapterError)
        names = [toc["root"]]
        for part in toc.get("parts", [toc]):
            for entry in part.get("chapters", []):
                names += [one["file"] for one in (entry, *entry.get("sections", []))]
        return names

    @cached_property
    def pages(self) -> list[Chapter]:
        """Every page of the table of contents that has a text, in reading order."""
        paths = [self.root / "book" / f"{name}.md" for name in self.contents]
        hashes: dict[str, str] = {}
        return [Chapter(path, hashes) for path in paths if path.is_file()]

    @cached_property
    def chapters(self) -> list[Chapter]:
        """The pages that run, in reading order."""
        return [page for page in self.pages if page.is_notebook]

    @property
    def page_files(self) -> list[Path]:
        """The files in ``book/`` that the pages are made of: neither profiles nor notebooks that are no chapters."""
        texts, profiles = self.root / "book", self.root / "book" / "profiles"
        found = [path for path in files_in(texts) if profiles not in path.parents and path.suffix != ".ipynb"]
        known = {chapter.path for chapter in self.chapters}
        return [path for path in found if path.suffix != ".md" or path in known or not Chapter(path).is_notebook]

    def chapter(self, name: str) -> Chapter:
        """The chapter called so (``attribution``, ``03-attribution`` or ``3``), or an error that names the nearest."""
        for chapter in self.chapters:
            number = chapter.path.stem.partition("-")[0]
            if name in (chapter.name, chapter.path.stem, number, number.lstrip("0")):
                return chapter
        raise unknown("chapter", name, [chapter.name for chapter in self.chapters])

    def profile(self, name: str) -> dict[str, dict[str, Any]]:
        """The parameters that a profile sets, by chapter.

        Raises:
            UsageError: there is no such profile, or it names what does not exist or is not allowed.
        """
        if name not in PROFILES:
            raise unknown("profile", name, PROFILES)
        path = self.root / "book" / "profiles" / f"{name}.yml"
        found: dict[str, dict[str, Any]] = {}
        for section, values in _mapping(path.read_text(encoding="utf-8"), f"Profile {name}", UsageError).items():
            where, chapter = f"Profile {name}, chapter {section}", self.chapter(section)
            if not isinstance(values, dict | None):
                raise UsageError(f"{where}: {values!r} is not parameters with their values.")
            chapter.values((where, values or {}))
            found[chapter.name] = values or {}
        return found

    def values(self, name: str, profile: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The values of a chapter's parameters: its defaults, then the profile's, then `overrides`."""
        chapter = self.chapter(name)
        values = chapter.values(
            (f"Profile {profile}", self.profile(profile).get(chapter.name, {})),
            (f"Chapter {chapter.name}", overrides or {}),
        )
        return {name: absolute(value, self.root) for name, value in values.items()}

    def overrides(self, settings: list[str]) -> dict[str, dict[str, Any]]:
        """``CHAPTER.NAME=VALUE`` texts as checked values, by chapter.

        Raises:
            UsageError: one has another form, or names or gives what is not allowed.
        """
        found: dict[str, dict[str, Any]] = {}
        for setting in settings:
            match = re.fullmatch(r"([\w-]+)\.(\w+)=(.*)", setting)
            if not match:
                raise UsageError(f"{setting!r} is not of the form CHAPTER.PARAMETER=VALUE.")
            if match[2] in found.get(match[1], {}):
                raise UsageError(f"{match[1]}.{match[2]} is given twice; give one value.")
            chapter = self.chapter(match[1])
            value = chapter.parameter(match[2]).from_text(match[3], f"-s {setting}")
            value = absolute(value, Path.cwd())  # as the one who types it means it
            found.setdefault(chapter.name, {})[match[2]] = value
        return found

    def idle(self, profile: str, overrides: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Of the knobs that were turned those that no shipped network feels, though the chapter shows these."""
        return [
            f"{name}.{knob}"
            for name, turned in overrides.items()
            for knob in turned
            if knob in OF_TRAINING and self.values(name, profile, turned).get("networks") == "shipped"
        ]

    def plan(self, profile: str, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> list[Job]:
        """Every chapter's job, in reading order; paths are relative to the build folder of the profile.

        Raises:
            UsageError: two values do not go together.
            ChapterError: a chapter opens an artifact that no earlier chapter makes, or makes one that is there already.
        """
        jobs: list[Job] = []
        made: dict[str, str] = {}
        metrics: list[str] = []
        for chapter in self.chapters:
            values = self.values(chapter.name, profile, (overrides or {}).get(chapter.name))
            inputs = []
            for artifact in chapter.opens:
                if artifact != "metrics" and artifact not in made:
                    raise ChapterError(f"{chapter.path.name} opens {artifact!r}, which no earlier chapter makes.")
                inputs += metrics if artifact == "metrics" else [made[artifact]]
            outputs = {
                "notebook": f"executed/{chapter.name}.ipynb",
                "metrics": f"metrics/{chapter.name}.json",
                "timing": f"timings/{chapter.name}.json",
                **{artifact: f"{artifact}.json" for artifact in chapter.makes},
            }
            jobs.append(Job(chapter, values, list(inputs), outputs, chapter.fingerprint(values)))
            for artifact in chapter.makes:
                if artifact in made:
                    raise ChapterError(f"{chapter.path.name} makes {artifact!r}, which an earlier chapter makes too.")
            made |= {artifact: outputs[artifact] for artifact in chapter.makes}
            metrics.append(outputs["metrics"])
        _check_together({job.chapter: job.values for job in jobs})
        return jobs


def _check_together(values: Mapping[Chapter, Mapping[str, Any]]) -> None:
    """Refuse values of knobs that do not go together, before anything runs."""
    by_name = {chapter.name: given for chapter, given in values.items()}
    for chapter, mine in values.items():
        for pair in chapter.together:
            (knob, value), (other, needed) = pair.items()
            elsewhere, theirs = other.split(".")
            found = by_name[elsewhere][theirs]
            if mine[knob] == value and found != needed:
                others = [choice for choice in chapter.parameter(knob).choices if choice != value]
                raise UsageError(
                    f"{chapter.name}.{knob} = {value} goes with {other} = {needed} only, not {found}. "
                    f"Set {chapter.name}.{knob} to {' or '.join(map(str, others))}, or {other} to {needed}."
                )


def data_hash(path: Path) -> str:
    """Of a file, or of the names and contents of all files in a folder; one that is not there is an empty folder."""
    if path.is_file():
        return file_hash(path)
    return recipe_hash({str(file.relative_to(path)): file_hash(file) for file in files_in(path)})


def _mapping(text: str, what: str, error: type[FingerprintsError]) -> dict[str, Any]:
    """YAML that must be a mapping, or nothing; otherwise the error, which begins with `what`."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        raise error(f"{what} cannot be read as YAML: {' '.join(str(problem).split())}") from problem
    if not isinstance(found, dict | None):
        raise error(f"{what} must be names with values, not {found!r}.")
    return found or {}
