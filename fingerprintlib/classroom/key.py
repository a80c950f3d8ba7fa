"""The sealed key of a blind case, and what of it is published, so that nobody can change it once reports are in.

The commitment is the SHA-256 of the key's file. A salt of 256 bits stands in the key: without it, whoever has the
exhibits could try all answers until the hash is right.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from ..data.decoding import name_of
from ..errors import FingerprintsError, UsageError
from ..forensics.judging import UNKNOWN

PHOTOGRAPH, GENERATOR, SIBLING, STRANGER = "photograph", "generator", "sibling", "stranger"
#: What exhibits may be: of a source that examiners know, of a relative of one, of one that nobody told them of.
KINDS = (PHOTOGRAPH, GENERATOR, SIBLING, STRANGER)

#: Of marks: no vowels, so no mark is a word, nor what a spreadsheet takes for a date or a number.
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
MARK = 6  # letters; a million and more cases differ in it
NAME = re.compile(rf"[{LETTERS}]{{{MARK}}}-\d+", re.ASCII)  # of an exhibit
CASE = "case.json"  # what is published
EXHIBITS = "exhibits"  # the folder of images in that of a case


@dataclass(frozen=True)
class Exhibit:
    """What an exhibit is.

    Attributes:
        source: that made it; of a photograph `calibrating.REAL`.
        kind: one of `KINDS`.
        sha256: of its file, 64 hexadecimal digits.
        group: what images of one number have in common (of photographs the camera); None of one that stands alone.
    """

    source: str
    kind: str
    sha256: str
    group: str | None = None


@dataclass(frozen=True)
class Key:
    """What all exhibits of a case are, in their order.

    Attributes:
        sources: the K known ones, photographs first.
        exhibits: N of them.
        salt: 64 hexadecimal digits.
        version: of the tool that made it.
    """

    sources: tuple[str, ...]
    exhibits: tuple[Exhibit, ...]
    salt: str
    version: str

    @property
    def encoded(self) -> bytes:
        """Its file."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @cached_property
    def commitment(self) -> str:
        """The SHA-256 of its file, 64 hexadecimal digits: it says nothing of the key, and fits no other."""
        return hashlib.sha256(self.encoded).hexdigest()

    @property
    def mark(self) -> str:
        """Short for the commitment; the names of the exhibits begin with it."""
        return mark_of(self.commitment)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the exhibits: ``KDWQZB-07``."""
        digits = len(str(len(self.exhibits)))
        return tuple(f"{self.mark}-{number:0{digits}}" for number in range(1, len(self.exhibits) + 1))

    @property
    def answers(self) -> tuple[str, ...]:
        """The right ones: a known source, or ``unknown``."""
        return tuple(one.source if one.source in self.sources else UNKNOWN for one in self.exhibits)

    @property
    def published(self) -> "Published":
        """What of it may be known."""
        hashes = [exhibit.sha256 for exhibit in self.exhibits]
        return Published(self.sources, dict(zip(self.names, hashes, strict=True)), self.commitment, self.version)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open a key.

        Raises:
            UsageError: the file is none, or was written anew by another program, which changes its hash.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
            told = json.loads(data)
            exhibits = tuple(Exhibit(**one) for one in told.pop("exhibits"))
            key = cls(tuple(told.pop("sources")), exhibits, **told)
            printable = all(map(str.isprintable, (*key.sources, *(one.source for one in exhibits))))
            if key.encoded != data or not printable or not {one.kind for one in exhibits} <= {*KINDS}:
                raise ValueError("it was changed")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(
                f"{name_of(path)} is not the key of a case as `fingerprints case` wrote it. Name that."
            ) from error
        return key


@dataclass(frozen=True)
class Published:
    """What is known of a case before its key is opened: ``case.json``.

    Attributes:
        sources: that an exhibit may be of; none of them, too.
        exhibits: their names, and the SHA-256 of each one's file.
        commitment: see `Key`.
        version: of the tool that made it.
    """

    sources: tuple[str, ...]
    exhibits: Mapping[str, str]
    commitment: str
    version: str

    @property
    def mark(self) -> str:
        """See `Key`."""
        return mark_of(self.commitment)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the exhibits."""
        return tuple(self.exhibits)

    @property
    def encoded(self) -> bytes:
        """Its file."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """That of the case in a folder.

        Raises:
            UsageError: there is none, or it is damaged.
        """
        path = Path(folder) / CASE
        try:
            told = json.loads(path.read_bytes())
            found = cls(tuple(told["sources"]), dict(told["exhibits"]), str(told["commitment"]), str(told["version"]))
            int(found.commitment, 16)
            if not all(map(NAME.fullmatch, found.exhibits)) or not all(map(str.isprintable, found.sources)):
                raise ValueError("names that could do harm: it may come from anywhere")
        except OSError as error:
            raise UsageError(f"There is no case in {name_of(Path(folder))}: it has no {CASE} to read.") from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UsageError(f"{name_of(path)} is damaged. Get the case again from who wrote it.") from error
        return found

    def require(self, key: Key) -> None:
        """See that a key is the one that was committed to.

        Raises:
            FingerprintsError: it is another, or was changed since.
        """
        if key.commitment != self.commitment:
            raise FingerprintsError(
                f"The key is not the one that case {self.mark} was sealed with: its SHA-256 is {key.commitment}, and "
                f"{self.commitment} was published. It is of another case, or was changed since."
            )

    def altered(self, folder: Path | str) -> list[str]:
        """The names of the exhibits whose files in the case's folder are missing or were changed."""
        home = Path(folder) / EXHIBITS
        return [name for name, sha256 in self.exhibits.items() if _sha256(home / f"{name}.png") != sha256]


def mark_of(commitment: str) -> str:
    """The first letters of what a SHA-256, given as hexadecimal digits, is in base 20."""
    rest, letters = int(commitment, 16) >> 128, ""
    for _ in range(MARK):
        rest, place = divmod(rest, len(LETTERS))
        letters += LETTERS[place]
    return letters


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
