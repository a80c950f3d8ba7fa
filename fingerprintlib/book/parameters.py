"""The knobs of a chapter: a name, a type, a default, a meaning, and what is allowed, read off one line of text."""

import ast
import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FingerprintsError, UsageError
from ..provenance import files_in, recipe_hash

TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}
FOLDER, ANY_FOLDER = "folder:", "folder:PATH"  # how a parameter names a folder of images, and that it may be any

PARAMETER_LINE = re.compile(
    r"""(?P<name>\w+):[ ](?P<type>\w+)[ ]=[ ](?P<default>"[^"]*"|'[^']*'|[^"'\#]+?)\s+
    \#[ ](?P<meaning>.+?)[ ]\[(?P<allowed>[^\[\]]+)\]""",
    re.VERBOSE,
)


class ChapterError(FingerprintsError):
    """A chapter's text breaks the contract: a parameter without a range, an artifact that nobody makes."""


@dataclass(frozen=True)
class Parameter:
    """One knob of a chapter: a name, a type, a default, and what is allowed."""

    name: str
    type: str
    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()

    @classmethod
    def parse(cls, line: str) -> "Parameter":
        """Read ``name: type = default  # meaning [low..high]`` or ``[one, of, these]``.

        Raises:
            ChapterError: the line has another form.
        """
        match = PARAMETER_LINE.fullmatch(re.sub(r"\n# *", " ", line.strip()))
        if not match or match["type"] not in TYPES:
            raise ChapterError(f"Parameter line {line!r} is not 'name: type = default  # meaning [low..high]'.")
        allowed, numeric = match["allowed"], match["type"] in ("int", "float")
        if (allowed == "text" and match["type"] != "str") or (".." in allowed and not numeric):
            raise ChapterError(f"Parameter line {line!r}: [{allowed}] says nothing about a {match['type']}.")
        low = high = None
        choices: tuple[Any, ...] = ()
        try:
            default = ast.literal_eval(match["default"])
            if ".." in allowed:
                low, high = (float(bound) for bound in allowed.split(".."))
            elif allowed != "text":
                words = [word.strip() for word in allowed.split(",")]
                choices = tuple(word if match["type"] == "str" else ast.literal_eval(word) for word in words)
            parameter = cls(match["name"], match["type"], default, match["meaning"], low, high, choices)
            for value in (*choices, default):
                parameter.check(value, "default")
        except (ValueError, SyntaxError) as error:
            raise ChapterError(f"Parameter line {line!r}: {error}") from error
        return parameter

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        if self.low is None:
            return "any text"
        return f"from {self.low:.10g} to {self.high:.10g}"

    def check(self, value: Any, where: str) -> Any:
        """The value, if type and range fit (an integer will do for a float).

        Raises:
            UsageError: they do not; `where` says who gave the value.
        """
        kind = TYPES[self.type]
        if kind is float and type(value) is int:
            with contextlib.suppress(OverflowError):
                value = float(value)
        if type(value) is not kind:
            raise UsageError(f"{where}: {self.name} = {value!r} is not of type {self.type}; it must be {self.allowed}.")
        any_folder = ANY_FOLDER in self.choices and str(value).startswith(FOLDER)
        if self.choices and value not in self.choices and not any_folder:
            raise UsageError(f"{where}: {self.name} = {value!r} is not allowed; it must be {self.allowed}.")
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            raise UsageError(f"{where}: {self.name} = {value!r} is out of range; it must be {self.allowed}.")
        return value

    def from_text(self, text: str, where: str) -> Any:
        """The value that a command line gives as text.

        Raises:
            UsageError: it is not of the type, or out of range.
        """
        value: Any = text
        if self.type == "bool":
            value = {"true": True, "false": False}.get(text.strip().lower(), text)
        else:
            with contextlib.suppress(ValueError):
                value = TYPES[self.type](text)
        return self.check(value, where)


def lines_of(source: str) -> list[str]:
    """The lines of a cell; a list that goes on in comments below is one line with them, line breaks included."""
    found: list[str] = []
    for line in source.splitlines():
        if found and line.startswith("#") and found[-1].count("[") > found[-1].count("]"):
            found[-1] += f"\n{line}"
        else:
            found.append(line)
    return found


def absolute(value: Any, base: Path) -> Any:
    """``folder:PATH`` with the path absolute, seen from `base`; any other value as it is."""
    if not str(value).startswith(FOLDER):
        return value
    return FOLDER + str(base / os.path.expanduser(value.removeprefix(FOLDER)))


def contents(value: str) -> str:
    """A hash of the names, sizes and times of the files in a ``folder:PATH``: it changes when an image does."""
    folder = Path(value.removeprefix(FOLDER))
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}. Name one that holds images.")
    return recipe_hash([[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files_in(folder)])
