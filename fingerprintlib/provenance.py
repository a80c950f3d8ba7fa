"""Hashes that say what made a file, so that nothing stale is ever shown.

A *recipe* is a JSON-able dictionary of everything a result depends on: parameters, the hashes of the files it reads,
and the hash of the code that computes it (`codehash.code_of`). Results are stored under their recipe's hash; another
recipe is another file.
"""

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any


def content_hash(*chunks: bytes | bytearray | memoryview) -> str:
    """BLAKE2b of the chunks one after the other, as 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def file_hash(path: Path | str) -> str:
    """`content_hash` of a file, read in blocks."""
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def recipe_hash(recipe: Any) -> str:
    """`content_hash` of a JSON-able value; the order of a dictionary's keys does not matter."""
    return content_hash(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode())


def files_in(folder: Path | str) -> list[Path]:
    """The files of a folder at any depth, sorted.

    Hidden files and folders are passed over, those in which JupyterLab and editors keep copies among them, and so are
    Python's caches. Links are followed, but no folder is entered twice.
    """
    found: list[Path] = []
    entered = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def write_atomically(path: Path | str, data: bytes | str) -> None:
    """Write a file so that a reader finds the old one or the new one, never a part.

    Where `path` is a link, what it leads to is written. The temporary file lies beside that, and is removed if anything
    goes wrong, a full disk or Ctrl-C included.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{secrets.token_hex(8)}.partial")  # short, however long the name is
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say which file it was
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any) -> None:
    """Write a JSON-able value, indented and with sorted keys, atomically."""
    write_atomically(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
