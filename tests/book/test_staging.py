import copy

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_output

from fingerprintlib import __version__
from fingerprintlib.book import house
from fingerprintlib.book.chapters import PROFILES, Chapter
from fingerprintlib.book.claims import Measurement
from fingerprintlib.book.published import Published
from fingerprintlib.book.staging import _house, merge
from fingerprintlib.book.timings import cost, timings_page
from fingerprintlib.errors import FingerprintsError

TEXT = """---
kernelspec: {name: python3, display_name: Python 3, language: python}
---
# A page

It costs {{ cost }}, that is {{ cost }}.

Seen: {eval}`page["seen:.1f"]` %.

```{code-cell}
:tags: [parameters]

# set by the profile
steps: int = 4  # how many [1..9]
word: str = "a # b"  # which [text]
```

```{code-cell}
x = steps
x
```

```{code-cell}
page.show(x)
```
"""
VALUES = {"steps": 7, "word": "folder:/a|b"}
RECORD = {"device": "NVIDIA Thing", "metrics": {"seen": 99.126}, "artifacts": {"numbers": "0123456789abcdef"}}
TIMINGS = {
    "machines": {"smoke": "a laptop", "quick": "a desktop"},
    "profiles": {
        "smoke": {
            "page": {"seconds": 12.4, "memory": 10**9, "disk": 0},
            "other": {"seconds": 80.0, "memory": 10**9, "disk": 0},
        },
        "quick": {"page": {"seconds": 600, "memory": 15 * 10**8, "disk": 4 * 10**7}},
        "full": {},
        "faces": {},
        "paper": {},
    },
    "own": "quick",
}


@pytest.fixture
def chapter(tmp_path):
    (tmp_path / "01-page.md").write_text(TEXT)
    return Chapter(tmp_path / "01-page.md")


@pytest.fixture
def text(chapter):
    return copy.deepcopy(chapter.notebook)


@pytest.fixture
def executed(text):
    """As papermill leaves it: a cell more, with the values, and outputs."""
    notebook = copy.deepcopy(text)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(cells, 1):
        cell.execution_count = count
    cells[1].outputs = [new_output("execute_result", {"text/plain": "7"}, execution_count=2)]
    picture = new_output("display_data", {"image/png": "aGVsbG8="}, metadata={"alt": "A line, from 1 to 7."})
    cells[2].outputs = [new_output("stream", name="stderr", text="warming up"), picture]
    injected = new_code_cell("steps = 7", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(notebook.cells.index(cells[0]) + 1, injected)
    return notebook


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_outputs_move_into_the_present_text(chapter, text, executed):
    text.cells[0].source = text.cells[0].source.replace("# A page", "# A better page")
    merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)
    first, second, third = code(text)
    assert first.outputs == []
    assert second.outputs[0]["data"] == {"text/plain": "7"}
    assert (second.execution_count, third.execution_count) == (2, 3)
    assert "# A better page" in text.cells[0].source
    nbformat.validate(text)


def test_figures_get_their_alternative_text(chapter, text, executed):
    merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)
    _, second, third = code(text)
    assert third.metadata["mystnb"]["image"] == {"alt": "A line, from 1 to 7."}
    assert "mystnb" not in second.metadata


def test_what_a_phone_shows_whole_is_marked(chapter, text, executed):
    code(executed)[-1].outputs[-1].metadata["narrow"] = True
    merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)
    assert code(text)[-1].metadata["mystnb"]["image"]["classes"] == "fp-narrow"


def test_a_figures_other_settings_stay(chapter, text, executed):
    for notebook in (text, executed):
        code(notebook)[-1].metadata["mystnb"] = {"figure": {"name": "fig"}, "image": {"width": "50%"}}
    merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)
    settings = code(text)[-1].metadata["mystnb"]
    assert settings == {"figure": {"name": "fig"}, "image": {"width": "50%", "alt": "A line, from 1 to 7."}}


def test_the_parameters_cell_shows_the_values_that_were_used(chapter, text, executed):
    merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)
    assert code(text)[0].source.splitlines() == [
        "# set by the profile",
        "steps: int = 7  # how many [1..9]",
        "word: str = 'folder:/a|b'  # which [text]",
    ]
    assert code(text)[1].source == "x = steps\nx"


def test_the_cost_is_put_into_the_prose(chapter, text, executed):
    merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)
    words = "12\u00a0s at `smoke`, 10.0\u00a0min at `quick` (measured; see {doc}`timings`)"
    assert f"It costs {words}, that is {words}." in text.cells[0].source


def test_numbers_are_put_into_the_prose(chapter, text, executed):
    merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)
    assert "Seen: 99.1\u00a0%." in text.cells[0].source


def test_a_cost_that_nobody_measured():
    assert cost("page", {"profiles": {name: {} for name in PROFILES}}) == "not measured yet"


def test_the_page_ends_with_what_it_was_built_with(chapter, text, executed):
    merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)
    stamp = text.cells[-1].source
    for row in (
        "| Profile | `quick` |",
        f"| Library | fingerprintlib {__version__} |",
        "| Device | NVIDIA Thing |",
        "| Parameter `steps` | `7` |",
        "| Parameter `word` | `'folder:/a\\|b'` |",  # the bar may not end the cell of the table
        "| Artifact `numbers` | `0123456789ab` |",
    ):
        assert row in stamp.splitlines()


def test_a_published_run_stands_beside_what_was_found(chapter, text, executed):
    claimed = new_output("display_data", {"text/markdown": "**Here: no**."}, metadata={"claim": "seeds"})
    code(executed)[-1].outputs.append(claimed)
    measured = Measurement("seeds", 0.5, 0.4, 0.6, 0.1, 0.0).as_dict()
    found = {"date": "2026-01-02", "machine": "a desktop", "metrics": {"x": 8}, "claims": [measured]}
    published = Published("full", {"page": found})
    merge(chapter, text, executed, VALUES, "quick", {**RECORD, "metrics": {"x": 7, "seen": 1.0}}, TIMINGS, published)
    said = code(text)[-1].outputs[-1]["data"]["text/markdown"]
    assert said == "**Here: no**. At `full`: **yes**, +50.0 (+40.0\u00a0to\u00a0+60.0) points."
    assert "| `x` | 7 | 8 |" in text.cells[-1].source
    assert "What this page was built with" in text.cells[-1].source


def test_the_same_page_is_written_with_the_same_bytes(chapter, executed):
    pages = set()
    for _ in range(2):
        text = copy.deepcopy(Chapter(chapter.path).notebook)  # with new random ids
        merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)
        pages.add(nbformat.writes(text))
    assert len(pages) == 1


@pytest.mark.parametrize("change", ["edited", "removed", "added", "swapped"])
def test_other_code_than_what_ran_is_refused(chapter, text, executed, change):
    cells = code(text)
    if change == "edited":
        cells[1].source += "\nz = 1"
    elif change == "removed":
        text.cells.remove(cells[1])
    elif change == "added":
        text.cells.append(new_code_cell("y = 1"))
    else:
        cells[1].source, cells[2].source = cells[2].source, cells[1].source
    with pytest.raises(FingerprintsError, match=r"The code of 01-page\.md has changed since it ran"):
        merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)


def test_a_comment_needs_no_run_and_is_shown(chapter, text, executed):
    cells = code(text)
    cells[1].source += "  # a comment"
    cells[0].source = cells[0].source.replace("#", "# indeed", 1)  # of a parameter: its value counts, not its line
    merge(chapter, text, executed, VALUES, "quick", RECORD, TIMINGS)
    assert code(text)[1].source.endswith("# a comment")
    assert "# indeed" in code(text)[0].source


def test_the_page_of_timings(chapter, tmp_path):
    (tmp_path / "02-other.md").write_text("# Other")
    page = timings_page([chapter, Chapter(tmp_path / "02-other.md")], TIMINGS).splitlines()
    for line in (
        "| Chapter | `smoke` | `quick` | Memory | Disk |",
        "| - | -: | -: | -: | -: |",
        "| {doc}`01-page` | 12 s | 10.0 min | 1.5 GB | 40 MB |",
        "| {doc}`02-other` | 80 s |  |  |  |",
        "| **All chapters** | 1.5 min | 10.0 min | 1.5 GB | 40 MB |",
        "- `smoke`: a laptop",
        "- `quick`: a desktop",
    ):
        assert line in page
    assert any("The column `quick`, memory and disk were measured" in line for line in page)


def test_the_page_on_the_rooms_is_drawn_anew_only_where_something_of_it_is_new(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(house, "house_page", lambda: (f"# Drawn {len(drawn)}", drawn.append(b"png") or b"png"))
    text, figure = _house(tmp_path)
    assert (text, figure) == _house(tmp_path)
    assert (len(drawn), text.read_text().splitlines()[1], figure.read_bytes()) == (1, "# Drawn 0", b"png")
    figure.unlink()
    _house(tmp_path)
    assert len(drawn) == 2
    monkeypatch.setattr(house, "recipe", lambda: "of another library")
    _house(tmp_path)
    assert len(drawn) == 3
