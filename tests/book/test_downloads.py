import subprocess
import sys

import nbformat
import pytest

from fingerprintlib.book.chapters import Book, Chapter
from fingerprintlib.book.downloads import INSTALL, notebook_of

from .test_lab import TEXT

MORE = """
:::{admonition} What could fool us
:class: warning
*Contrast*: {eval}`page["x:.1f"]`.
Second line.
:::

```{exercise-start} Two
:label: ex
```
How "many" \\alpha?
```{exercise-end}
```
"""


@pytest.fixture
def chapter(tmp_path):
    (tmp_path / "01-page.md").write_text(TEXT.replace("```{solution-start} ex", MORE + "\n```{solution-start} ex"))
    return Chapter(tmp_path / "01-page.md")


def test_a_page_as_a_plain_notebook(chapter, tmp_path):
    notebook = notebook_of(chapter, tmp_path)
    nbformat.validate(notebook)
    first, *cells = notebook.cells
    assert first.source == INSTALL
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert texts[0].startswith("# A page")
    assert "See *Fig. votes*" in texts[0]
    assert not any("{" in text.replace("{cite", "") for text in texts)
    said = [cell for cell in cells if cell.source.startswith("page.say(")]
    assert [cell.metadata["jupyter"] for cell in said] == [{"source_hidden": True}]
    shown = []
    page = type("P", (), {"say": lambda self, text: shown.append(text)})()
    exec(said[0].source, {"page": page})
    assert '> **What could fool us**\n>\n> *Contrast*: {eval}`page["x:.1f"]`.\n> Second line.' in shown[0]
    assert "#### Exercise: Two" in shown[0]
    assert "#### Solution" in shown[0]
    assert 'How "many" \\alpha?' in shown[0]
    assert [cell.source for cell in cells if cell.cell_type == "code" and cell not in said] == [
        "x = 1",
        "y = x",
        "z = y",
    ]


def test_the_same_page_gives_the_same_bytes(chapter, tmp_path):
    assert nbformat.writes(notebook_of(chapter, tmp_path)) == nbformat.writes(notebook_of(chapter, tmp_path))


@pytest.mark.parametrize("page", Book().pages, ids=lambda page: page.path.stem)
def test_no_page_leaves_anything_that_needs_an_extension(page):
    if page.is_notebook:
        for cell in notebook_of(page, page.path.parent).cells:
            if cell.cell_type == "markdown":
                for special in (":::", "```{", "{doc}", "{numref}", "{cite", "{term}", "{eval}", "{{"):
                    assert special not in cell.source, cell.source


def test_the_first_cell_says_what_to_do_where_the_library_is_missing(tmp_path):
    """With an empty path and no site packages Python has no library."""
    result = subprocess.run([sys.executable, "-I", "-S", "-c", INSTALL], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1
    assert "write into PROJECT where the project lies" in result.stderr


@pytest.mark.parametrize(
    ("name", "solutions"), [("01-real-images", False), ("05-fingerprints", True), ("16-claims", False)]
)
def test_it_runs_in_an_empty_folder(smoke_book, tmp_path, name, solutions, monkeypatch):
    """By nbconvert, with the values of `smoke`, on what the book has built."""
    book = Book(smoke_book.root)
    chapter = Chapter(smoke_book.root / "book" / f"{name}.md")
    notebook = notebook_of(chapter, chapter.path.parent, solutions)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source += "".join(f"\n{k} = {v!r}" for k, v in book.values(chapter.name, "smoke").items())
    nbformat.write(notebook, tmp_path / "some.ipynb")
    monkeypatch.setenv("PYTHONPATH", str(smoke_book.root))
    monkeypatch.setenv("FINGERPRINTS_PROFILE", "smoke")
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "some.ipynb", "--output", "done"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    done = nbformat.read(tmp_path / "done.ipynb", 4)
    said = [
        output["data"]["text/markdown"]
        for cell in done.cells
        if cell.source.startswith("page.say(")
        for output in cell.outputs
    ]
    assert said
    assert not any("{eval}" in text or "…" in text for text in said)
