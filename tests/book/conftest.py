"""A book of three small chapters in a folder of its own, for tests of the engine that take seconds."""

from pathlib import Path

import pytest

from fingerprintlib.book.chapters import PROFILES

from ..conftest import Project, copy_project

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
from fingerprintlib.book.page import Page

page = Page("first")
page.make("numbers", list(range(count)))
page.metric("count", count)
page.metric("nine", 9)
```

There are {eval}`page["count"]` numbers, called

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
from fingerprintlib.book.chapters import PROFILES
from fingerprintlib.book.page import Page

page = Page("second")
page.make("total", sum(page.open("numbers")) * factor)
print(len(PROFILES))
page.finish()
```
"""
)


@pytest.fixture
def small_book(tmp_path: Path) -> Project:
    root = tmp_path / "a {book} with braces"
    root.mkdir()
    project, book = copy_project(root), root / "book"
    for path in book.glob("*.md"):
        path.unlink()
    (book / "intro.md").write_text("# Welcome\n\nIn it: {doc}`01-first` and {doc}`02-second`.\n")
    (book / "01-first.md").write_text(FIRST)
    (book / "02-second.md").write_text(SECOND)
    (book / "_toc.yml").write_text(
        "format: jb-book\nroot: intro\nchapters:\n- file: 01-first\n- file: 02-second\n- file: timings\n"
    )
    for profile in PROFILES:
        (book / "profiles" / f"{profile}.yml").write_text("first: {count: 2}\n" if profile == "smoke" else "")
    return project
