"""Hashes that say what made a file, so that nothing stale is ever shown.

A *recipe* is a JSON-able dictionary of everything a result depends on: parameters, the hashes of the files it reads,
and the hash of the code that computes it. Results are stored under their recipe's hash; another recipe is another file.
"""

import ast
import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGE = "fingerprintlib"
ROOT = Path(__file__).resolve().parent
PACKAGES = ("numpy", "pillow", "torch")  # another version of these may give other pixels or weights


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


def code_hash(modules: Iterable[str]) -> str:
    """Hash of the source of the package's modules named (dotted, with the package) and of all they import from it."""
    paths = {module: _path(module) for module in imported_modules(modules)}
    return recipe_hash({module: file_hash(path) for module, path in paths.items()})


def versions() -> dict[str, str]:
    """The installed versions of the packages that compute pixels and weights; one that is absent is left out."""
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def imported_modules(modules: Iterable[str]) -> list[str]:
    """The package's modules that the given ones really import, themselves included, directly or not; sorted.

    Imports are read off the source, those inside functions too, so nothing is executed.
    """
    found: set[str] = set()
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module not in found:
            found.add(module)
            queue += imports_of(_path(module).read_text(encoding="utf-8"), module)
    return sorted(found)


def imports_of(source: str, module: str = "") -> list[str]:
    """The package's modules that a piece of Python source imports; `module` is its own name, for relative imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".") if _is_package(module) else module.split(".")[:-1]
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            names.add(base)
            # `from fingerprintlib import plots` names a module; `from fingerprintlib.plots import grid` does not.
            names |= {f"{base}.{alias.name}" for alias in node.names}
    names = {name for name in names if name.split(".")[0] == PACKAGE and _path_or_none(name)}
    # Importing a module runs the packages above it.
    return sorted({".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)})


def _path_or_none(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split(".")[1:])
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _path(module: str) -> Path:
    path = _path_or_none(module)
    if path is None:
        raise ValueError(f"{PACKAGE} has no module {module!r}.")
    return path


def _is_package(module: str) -> bool:
    path = _path_or_none(module)
    return path is not None and path.name == "__init__.py"


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
