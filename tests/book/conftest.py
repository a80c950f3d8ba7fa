"""A book of three small chapters in a folder of its own, for tests of the engine that take seconds."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAD = """---
jupytext:
  text_representation: {{extension: .md, format_name: myst}}
kernelspec: {{display_name: Python 3, language: python, name: python3}}
fingerprints: {{{artifacts}}}
---
"""

FIRST = (
    HEAD.format(artifacts="makes: [numbers]")
    + """
# First things

It costs {{ cost }}.

```{code-cell}
:tags: [parameters]

count: int = 3  # how many numbers [1..9]
word: str = "plain"  # how they are called [plain, fancy]
```

## Counting

```{code-cell}
from fingerprintlib.notebook import Page

page = Page("first")
page.make("numbers", list(range(count)))
page.metric("count", count)
page.metric("nine", 9)
```

There are {glue:text}`first.count` numbers, called

```{code-cell}
print(word)
page.finish()
```
"""
)

SECOND = (
    HEAD.format(artifacts="opens: [numbers], makes: [total]")
    + """
# Second things

## Adding

```{code-cell}
:tags: [parameters]

factor: float = 1.0  # multiplies each number [0..10]
```

```{code-cell}
from fingerprintlib import chapters
from fingerprintlib.notebook import Page

page = Page("second")
page.make("total", sum(page.open("numbers")) * factor)
page.finish()
```
"""
)


@dataclass
class Project:
    """A copy of the project with a small book."""

    root: Path

    def fingerprints(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run the command there, with this checkout's library unless the copy has its own."""
        environment = {**os.environ, "PYTHONPATH": str(self.root), "JUPYTER_PLATFORM_DIRS": "1"}
        return subprocess.run(
            [sys.executable, "-m", "fingerprintlib.cli", *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file; it must be there."""
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new))


def copy_project(root: Path) -> Project:
    """The parts of this checkout that a book needs, in `root`."""
    for name in ("_config.yml", "Snakefile"):
        shutil.copy(ROOT / name, root / name)
    for name in ("fingerprintlib", "book", "data"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.ipynb"))
    return Project(root)


@pytest.fixture
def small_book(tmp_path: Path) -> Project:
    project = copy_project(tmp_path)
    book = tmp_path / "book"
    for path in book.glob("*.md"):
        path.unlink()
    (book / "intro.md").write_text("# Welcome\n\nIn it: {doc}`01-first` and {doc}`02-second`.\n")
    (book / "01-first.md").write_text(FIRST)
    (book / "02-second.md").write_text(SECOND)
    (book / "_toc.yml").write_text(
        "format: jb-book\nroot: intro\nchapters:\n- file: 01-first\n- file: 02-second\n- file: timings\n"
    )
    for profile in ("smoke", "quick", "full", "paper"):
        (book / "profiles" / f"{profile}.yml").write_text("first: {count: 2}\n" if profile == "smoke" else "")
    return project
