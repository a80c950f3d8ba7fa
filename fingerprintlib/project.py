"""Where the project lies, and its own data: photographs, trained generators, the paper's figures."""

import os
from pathlib import Path

from .errors import UsageError

VARIABLE = "FINGERPRINTS_SHIPPED"
MARK = "paper.yml"  # a file that tells the project's ``data`` from any other folder of that name
PACKAGE = Path(__file__).resolve().parent


def find_root(folder: Path | str | None = None) -> Path:
    """The project's folder: `folder`, or the first one at or above the working directory that holds the book.

    From anywhere else it is the checkout that this package lies in.

    Raises:
        UsageError: there is no book.
    """
    start = Path(folder) if folder else Path.cwd()
    for home in [start, *([] if folder else [*start.parents, PACKAGE.parent])]:
        if (home / "_config.yml").is_file() and (home / "book" / "_toc.yml").is_file():
            return home.resolve()
    raise UsageError(
        f"There is no book in {start} (no _config.yml with book/_toc.yml): open notebooks with `make lab`, or "
        "go to the project's folder."
    )


def data_folder() -> Path:
    """The project's folder ``data``.

    It is the folder that FINGERPRINTS_SHIPPED names, if that is set; else the one in the checkout that this package
    lies in; else, for a package that was copied elsewhere when it was installed, the one of the checkout that the
    working folder lies in.

    Raises:
        UsageError: there is none of them.
    """
    if named := os.environ.get(VARIABLE):
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise UsageError(f"{VARIABLE} names {folder}, which is no folder. Set it to the project's folder 'data'.")
        return folder
    here = Path.cwd()
    for home in (PACKAGE.parent, here, *here.parents):
        if (home / "data" / MARK).is_file():
            return home / "data"
    raise UsageError(
        "The project's folder 'data' is not beside the package, and the working folder lies in no checkout. "
        f"Go to a checkout of the project, or set {VARIABLE} to its folder 'data'."
    )
