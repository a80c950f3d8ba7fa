"""Published data sets from the network to the disk: downloaded, verified, unpacked; or not there at all.

They lie in a folder of the reader's, never in the project's::

    FILE.partial   of a file that is being downloaded, or was: the next call goes on from its end
    FILE           downloaded and verified, or put there by hand; removed once it is unpacked
    NAME/          what was unpacked, with ``fetched.json``: the checksums of the files, and a hash of all in them

A folder gets its name when all that belongs in it is there, so what has its name is whole.
"""

import hashlib
import http.client
import json
import os
import shutil
import ssl
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..errors import FingerprintsError, UsageError
from ..progress import progress
from ..project import find_root
from ..provenance import file_hash, files_in, write_json
from ..store import held, put_in_place, unfinished
from .catalogue import Download, Published, find

VARIABLE = "FINGERPRINTS_DATA"
CARD, GROUPS = "fetched.json", "groups.json"
OURS = (CARD, GROUPS)  # in a data set's folder; the second is written by `published`
BLOCK = 1 << 20
PATIENCE = 30  # seconds without a byte
TRIES = 5  # connections in a row that break off before we give up
SLACK = 2  # times what is expected: what unpacks to more is not what it claims to be
PAGES = (b"<!doctype html", b"<html", b"<?xml")  # how web pages begin, in small letters
# What the readers of archives raise at bytes that are none.
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


class FetchError(FingerprintsError):
    """A data set that could not be downloaded, verified or unpacked, or is not whole."""


def home() -> Path:
    """The folder of the published data sets: what FINGERPRINTS_DATA names, else ``fingerprints`` in the user's caches.

    Raises:
        UsageError: it lies in the project, where git and builds would stumble over gigabytes.
    """
    import platformdirs

    named = os.environ.get(VARIABLE)
    folder = Path(named).expanduser().absolute() if named else platformdirs.user_cache_path("fingerprints")
    try:
        inside = folder.resolve().is_relative_to(find_root())
    except UsageError:  # there is no project to lie in
        inside = False
    if inside:
        raise UsageError(f"{folder} lies in the project. Set {VARIABLE} to a folder elsewhere.")
    return folder


def fetch(name: str) -> Path:
    """Download, verify and unpack a data set, as far as that is not done; its folder.

    Files that lie in `home` already, put there by hand, are not downloaded, but verified all the same. Once all is
    unpacked they are removed.

    Raises:
        UsageError: there is no such data set.
        FetchError: no network, another file than the one promised, no room, no right to write, something else under
            the folder's name. It says which file a browser finds where, and where to put it. What was downloaded in
            part is kept, of what was unpacked in part nothing.
    """
    one = find(name)
    place = home() / one.folder
    if (place / CARD).is_file() and not any((home() / file.name).exists() for file in one.downloads):
        return place  # which may be read-only
    try:
        with held(place):
            if not (place / CARD).is_file():
                _require_vacant(one)
                if one.by_hand and (place / one.by_hand).is_file():
                    write_json(place / CARD, {"files": {}, "contents": _contents(place, one.name)})
                else:
                    _unpack(one, {file: _file(one, file) for file in one.downloads}, place)
            for file in one.downloads:
                (home() / file.name).unlink(missing_ok=True)
    except OSError as error:
        raise FetchError(
            f"{one.name} could not be written to {home()} ({error.strerror or error}). {_mend()}"
        ) from error
    return place


def card_of(name: str) -> dict[str, Any]:
    """What the folder of a data set says of itself: ``files`` with their checksums, ``contents``.

    Raises:
        UsageError: there is no such data set.
        FetchError: it is not here, or only in part.
    """
    one = find(name)
    path = home() / one.folder / CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {"files": dict(card["files"]), "contents": dict(card["contents"])}
    except FileNotFoundError as error:
        raise FetchError(
            f"{one.name} is not in {home()}: {state(one)}. Run `fingerprints data get {one.name}`."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{path} cannot be read ({error}). {_again(one)}") from error


def state(one: Published) -> str:
    """Whether a data set is here, in a few words."""
    place = home() / one.folder
    if (place / CARD).is_file():
        return "here"
    if one.by_hand and (place / one.by_hand).is_file():
        return "unpacked by hand, not looked through yet"
    for file in one.downloads:
        if (partial := _partial(home() / file.name)).is_file():
            return f"its download was interrupted at {partial.stat().st_size / 1e6:,.1f} MB"
    if others := _others(one):
        return f"something else is in its folder ({others})"
    return "there, but not unpacked" if any((home() / file.name).is_file() for file in one.downloads) else "not here"


def check(name: str) -> int:
    """Read every file of a data set and compare it with what was unpacked; how many there are.

    Raises:
        UsageError: there is no such data set.
        FetchError: it is not here, or files are missing, altered or there in addition.
    """
    one, expected = find(name), card_of(name)["contents"]
    found = _contents(home() / one.folder, one.name)
    if wrong := sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)):
        named = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise FetchError(f"Of {one.name} are missing, altered or there in addition: {named}. {_again(one)}")
    return len(expected)


def _again(one: Published) -> str:
    return f"Remove {home() / one.folder} and run `fingerprints data get {one.name}`."


def _mend() -> str:
    return f"Make room there, or set {VARIABLE} to a folder where you may write."


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _contents(place: Path, description: str) -> dict[str, str]:
    """Every file of a data set by its path in the folder, with its hash; what we wrote beside them is not of it."""
    paths = [path for path in files_in(place) if path.relative_to(place).as_posix() not in OURS]
    found = {}
    with progress(sum(path.stat().st_size for path in paths), description, "bytes", delay=2) as bar:
        for path in paths:
            found[path.relative_to(place).as_posix()] = file_hash(path)
            bar.update(path.stat().st_size)
    return found


def _others(one: Published) -> str:
    """What lies under the name of the data set's folder and is not how it is unpacked, in a few words; or nothing."""
    place = home() / one.folder
    if not place.exists() or (one.by_hand and (place / one.by_hand).is_file()):
        return ""
    return ", ".join(sorted(path.name for path in place.iterdir())[:3]) if place.is_dir() else "a file"


def _require_vacant(one: Published) -> None:
    """Nothing lies under the name of the data set's folder, or what may be unpacked there by hand."""
    if others := _others(one):
        place = home() / one.folder
        wanted = f"Unpacked by hand it is {one.by_hand}. " if one.by_hand else ""
        raise FetchError(
            f"{place} holds {others}, which is not how {one.name} is unpacked. {wanted}Move it away, or read images of "
            f"another export as a data set of its own: folder:{place}."
        )


# --- downloading ----------------------------------------------------------------------------------


def _file(one: Published, file: Download) -> Path:
    """The file, downloaded and verified; or the one that somebody put there, verified."""
    path = home() / file.name
    by_hand = (
        f"Or fetch {file.name} with a browser from {one.page}, put it into {home()} and run "
        f"`fingerprints data get {one.name}`."
    )
    try:
        address, checksum = file.remote()
    except ImportError as error:
        raise FetchError(f"{one.name} needs a package that is not installed ({error}). Run `make book`.") from error
    if path.is_file():
        if reason := _not_it(path, checksum):
            raise FetchError(f"{path} {reason}. Remove it and run this again. {by_hand}")
        return path
    partial = _partial(path)
    _download(address, partial, file.name, by_hand)
    if reason := _not_it(partial, checksum):
        partial.unlink()
        raise FetchError(f"What came for {file.name} {reason}; it was removed. Run this again. {by_hand}")
    os.replace(partial, path)
    return path


def _not_it(path: Path, checksum: str) -> str | None:
    """Why a file is not the one of this checksum, as what follows its name; None if it is that."""
    with open(path, "rb") as file:
        if _is_page(file.read(BLOCK)):
            return "is a web page, not the file: a notice of a quota, or a page to log in"
        file.seek(0)
        method = "md5" if len(checksum) == 32 else "sha256"
        with progress(path.stat().st_size, f"Verifying {path.name}", "bytes", delay=2) as bar:
            digest = hashlib.new(method, usedforsecurity=False)
            while block := file.read(BLOCK):
                digest.update(block)
                bar.update(len(block))
    if digest.hexdigest() == checksum:
        return None
    size = f"{path.stat().st_size:,} bytes"
    return (
        f"has the {method.upper()} {digest.hexdigest()}, not {checksum} ({size}): cut short, damaged or another version"
    )


def _is_page(beginning: bytes) -> bool:
    return beginning.lstrip(b"\xef\xbb\xbf \t\r\n")[:32].lower().startswith(PAGES)


def _download(address: str, partial: Path, name: str, by_hand: str) -> None:
    """Bring a file to `partial`, from where an earlier call stopped; a connection that breaks off is made anew."""
    for _ in range(TRIES):
        try:
            if _receive(address, partial, name, by_hand):
                return
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # there is nothing behind what we have; its checksum says whether it is right
            raise FetchError(
                f"{name} cannot be had: {address} answers {error.code} {error.reason}. {by_hand}"
            ) from error
        except urllib.error.URLError as error:
            kept = f"What came is kept in {partial}. " if partial.is_file() else ""
            raise FetchError(
                f"{name} cannot be had: no network to {address} ({error.reason}). {kept}{by_hand}"
            ) from error
        except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError):
            continue
    raise FetchError(f"The download of {name} broke off {TRIES} times. What came is kept: run this again. {by_hand}")


def _receive(address: str, partial: Path, name: str, by_hand: str) -> bool:
    """Append what a server sends to what there is; whether it is all."""
    start = partial.stat().st_size if partial.is_file() else 0
    headers = {"User-Agent": "fingerprintlib"} | ({"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=PATIENCE) as answer:
        sent = answer.headers.get("Content-Range", "")
        if answer.status != http.client.PARTIAL_CONTENT or not sent.startswith(f"bytes {start}-"):
            start = 0  # it sends all
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        block = answer.read(BLOCK)
        if answer.headers.get_content_type() == "text/html" or (start == 0 and _is_page(block)):
            raise FetchError(
                f"In place of {name} came a web page, as servers send it whose quota is used up. Try again tomorrow. "
                f"{by_hand}"
            )
        if total is not None:
            _require_room(partial.parent, total - start)
        with open(partial, "ab") as file, progress(total or 0, name, "bytes", initial=start) as bar:
            file.truncate(start)
            while block:
                file.write(block)
                bar.update(len(block))
                block = answer.read(BLOCK)
    return total is None or partial.stat().st_size >= total


def _require_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise FetchError(f"{folder} has {free / 1e9:.1f} GB free, and {size / 1e9:.1f} GB are needed. {_mend()}")


# --- unpacking ------------------------------------------------------------------------------------


def _unpack(one: Published, files: dict[Download, Path], place: Path) -> None:
    """Unpack the files into one folder, all or nothing."""
    target = unfinished(place)
    shutil.rmtree(target, ignore_errors=True)  # of a call that was killed
    target.mkdir(parents=True)
    try:
        for path in files.values():
            _take(path, target, SLACK * one.unpacked)
        checksums = {file.name: file.remote()[1] for file in files}
        write_json(target / CARD, {"files": checksums, "contents": _contents(target, one.name)})
        put_in_place(place)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _take(path: Path, target: Path, limit: int) -> None:
    """The contents of an archive, or a file that is none as it is, into a folder."""
    if path.suffix not in (".zip", ".tgz", ".gz"):
        shutil.copyfile(path, target / path.name)
        return
    try:
        with _members(path) as members, progress(0, f"Unpacking {path.name}", "files", delay=2) as bar:
            for name, size, source in members:
                limit -= size
                if limit < 0:
                    raise FetchError(f"{path} would unpack to far more than it should: it is not what it claims to be.")
                _write(source, _inside(target, name, path))
                bar.update()
    except DAMAGE as error:
        raise FetchError(f"{path} is damaged ({error}). Remove it and run this again.") from error


@contextmanager
def _members(path: Path) -> Iterator[Iterator[tuple[str, int, IO[bytes]]]]:
    """The files of an archive one after the other: name, size, and what to read them from."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            _require_room(path.parent, sum(info.file_size for info in archive.infolist()))
            yield _in_zip(archive, path)
    else:
        _require_room(path.parent, path.stat().st_size)  # at least
        with tarfile.open(path, "r|gz") as stream:
            yield _in_tar(stream, path)


def _in_zip(archive: zipfile.ZipFile, path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    for info in archive.infolist():
        if info.is_dir():
            continue
        if (kind := stat.S_IFMT(info.external_attr >> 16)) not in (0, stat.S_IFREG):
            raise FetchError(
                f"{path} holds {info.filename}, which is no plain file (kind {kind:o}): nothing was unpacked."
            )
        with archive.open(info) as source:
            yield info.filename, info.file_size, source


def _in_tar(archive: tarfile.TarFile, path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    for info in archive:
        if info.isdir():
            continue
        if not info.isreg():
            raise FetchError(f"{path} holds {info.name}, which is no plain file: nothing was unpacked.")
        source = archive.extractfile(info)
        assert source is not None  # it is a regular file
        with closing(source):
            yield info.name, info.size, source


def _inside(target: Path, name: str, path: Path) -> Path:
    """Where a member goes, which is below `target`."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        raise FetchError(f"{path} holds {name!r}, which would lie elsewhere: nothing was unpacked.")
    return target.joinpath(*parts)


def _write(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as file:
        shutil.copyfileobj(source, file, BLOCK)
