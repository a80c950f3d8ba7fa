"""What several folders of tests share: copies of the project, and the book built once at the profile `smoke`."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Project:
    """A copy of the project in a folder of its own, with its own library."""

    root: Path
    output: str = ""

    @property
    def html(self) -> Path:
        return self.root / "_build" / "smoke" / "html"

    def fingerprints(self, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run the command there."""
        return subprocess.run(
            [sys.executable, "-m", "fingerprintlib.cli", *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root)},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file; it must be there."""
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new))


def heed_ctrl_c() -> None:
    """For a child process: whatever a shell runs in the background ignores Ctrl-C, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def copy_project(root: Path) -> Project:
    """The parts of this checkout that a book needs, in `root`."""
    for name in ("_config.yml", "Snakefile"):
        shutil.copy(ROOT / name, root / name)
    for name in ("fingerprintlib", "book", "data"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.ipynb"))
    return Project(root)


@pytest.fixture(scope="session")
def smoke_book(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The real book, built in a copy. Tests that change the copy come last (see tests/book/test_book.py)."""
    project = copy_project(tmp_path_factory.mktemp("book"))
    result = project.fingerprints("book", "--profile", "smoke")
    assert result.returncode == 0, result.stderr
    project.output = result.stdout + result.stderr
    return project
