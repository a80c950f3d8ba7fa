import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

import jupytext
import nbformat
import pytest

from fingerprintlib.book.chapters import Book
from fingerprintlib.book.lab import Contents, dress, tidied

from ..conftest import ROOT

TEXT = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3, language: python}
fingerprints: {makes: [data]}
---

# A page

It costs {{ cost }}.

See {numref}`fig-votes`, {cite}`yu2019attributing,chen2008determining`, {cite:t}`wilson1927probable`, {cite}`nobody`,
{cite:t}`brummer2006application`.

In {doc}`page` and {doc}`the ledger <16-claims>`, {term}`splits <split>` of a {term}`zoo`.

```{code-cell}
:tags: [hide-input]

x = 1
```

```{code-cell}
---
mystnb:
  figure:
    name: fig-votes
    caption: How votes count.
---
y = x
```

```{solution-start} ex
```

```{code-cell}
z = y
```

```{solution-end}
```
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "references.bib").write_bytes((ROOT / "book" / "references.bib").read_bytes())
    (tmp_path / "page.md").write_text(TEXT)
    return tmp_path


def awaited(coroutine):
    """What it returns; in a thread of its own, as a browser of the tests leaves an event loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def opened(folder, name="page.md"):
    return awaited(Contents(root_dir=str(folder)).get(name, type="notebook"))


def saved(folder, model, name="page.md"):
    awaited(Contents(root_dir=str(folder)).save({"type": "notebook", "content": model["content"]}, name))
    return (folder / name).read_text()


def test_a_chapter_is_opened_as_the_page_it_is(folder):
    cells = opened(folder)["content"].cells
    text = cells[0].source
    assert "See *Fig. votes*, " in text
    cited = re.search(r"\[\(Yu et al\., 2019; Chen et al\., 2008\)\]\((\S+) ", text)
    assert cited[1] == "https://arxiv.org/abs/1811.08180"
    assert "[Wilson, 1927](references.md " in text
    assert "[Brümmer and du Preez, 2006](references.md " in text
    assert "{cite}`nobody`" in text
    assert "{{" not in text
    assert "In [A page](page.md " in text
    assert "and [the ledger](16-claims.md " in text
    assert "[splits](glossary.md " in text
    assert "[zoo](glossary.md " in text
    folded = {cell.source: dict(cell.metadata.get("jupyter", {})) for cell in cells if cell.cell_type == "code"}
    assert folded == {
        "x = 1": {"source_hidden": True},
        "y = x": {},
        "z = y": {"source_hidden": True, "outputs_hidden": True},
    }


def test_saving_leaves_the_text_but_for_what_was_typed(folder):
    model = opened(folder)
    for cell in model["content"].cells:  # as the browser leaves them
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = 3, [nbformat.v4.new_output("stream", text="some")]
        else:
            cell.metadata["user_expressions"] = [{"expression": "page['x']", "result": {}}]
    model["content"].metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    assert saved(folder, model) == TEXT
    (typed,) = [cell for cell in model["content"].cells if cell.source == "y = x"]
    typed.source = "y = 2 * x"
    assert saved(folder, model) == TEXT.replace("y = x", "y = 2 * x")
    assert saved(folder, opened(folder)) == TEXT.replace("y = x", "y = 2 * x")


@pytest.mark.parametrize("page", Book().pages, ids=lambda page: page.path.stem)
def test_every_chapter_is_saved_as_it_was_opened(page, tmp_path):
    (tmp_path / "references.bib").write_bytes((ROOT / "book" / "references.bib").read_bytes())
    (tmp_path / page.path.name).write_bytes(page.path.read_bytes())
    model = opened(tmp_path, page.path.name)
    assert saved(tmp_path, model, page.path.name) == page.path.read_text(), "run `fingerprints tidy`"
    for cell in model["content"].cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\{(cite|numref|doc|term|\{)", cell.source)


def test_a_text_is_tidied_but_for_its_header():
    loose = TEXT.replace("    caption: How votes count.\n", '    caption: "How votes count."\n')
    assert loose != TEXT
    assert tidied(loose) == tidied(TEXT) == TEXT


def test_files_and_new_notebooks_are_saved_as_they_are(folder):
    contents = Contents(root_dir=str(folder))
    new = jupytext.reads(TEXT, fmt="md:myst")
    awaited(contents.save({"type": "notebook", "content": new}, "new.md"))
    assert "# A page" in (folder / "new.md").read_text()
    awaited(contents.save({"type": "file", "format": "text", "content": "plain"}, "some.txt"))
    assert (folder / "some.txt").read_text() == "plain"
    assert awaited(contents.get("", type="directory"))["type"] == "directory"


def test_without_references_citations_stay(tmp_path):
    notebook = jupytext.reads(TEXT, fmt="md:myst")
    dress(notebook, tmp_path)
    assert "{cite}`yu2019attributing" in notebook.cells[0].source
