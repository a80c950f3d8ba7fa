import ast
import inspect
import math
import re
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fingerprintlib.book import chapters
from fingerprintlib.book.chapters import PROFILES, Book, Chapter, ChapterError, Parameter
from fingerprintlib.book.parameters import lines_of
from fingerprintlib.errors import UsageError

from ..conftest import ROOT

REAL = Book(ROOT)


def knob(line):
    return Parameter.parse(line)


# --- parameter lines ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a: int = 4  # how many [1..9]", Parameter("a", "int", 4, "how many", 1.0, 9.0)),
        ("a: int = -4  # a [b] c [-5..-3]", Parameter("a", "int", -4, "a [b] c", -5.0, -3.0)),
        ("a: float = 0.5  # share [0.25..1]", Parameter("a", "float", 0.5, "share", 0.25, 1.0)),
        ("a: float = 1e-3  # rate [1e-5..1e-1]", Parameter("a", "float", 0.001, "rate", 1e-5, 0.1)),
        ("a: float = 1  # an integer will do [0..1]", Parameter("a", "float", 1, "an integer will do", 0.0, 1.0)),
        ("a: int = 32  # side [32, 64]", Parameter("a", "int", 32, "side", choices=(32, 64))),
        ('a: str = "x"  # word [x, y z]', Parameter("a", "str", "x", "word", choices=("x", "y z"))),
        ('a: str = "x # y"  # word [text]', Parameter("a", "str", "x # y", "word")),
        ("  a: bool = True  # whether [True, False]  ", Parameter("a", "bool", True, "whether", choices=(True, False))),
    ],
)
def test_every_form_of_a_parameter_line(line, expected):
    assert knob(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "a = 4  # how many [1..9]",  # no type
        "a: int  # how many [1..9]",  # no default
        "a: int = 4",  # no meaning
        "a: int = 4  # how many",  # nothing allowed
        "a: int = 4  # [1..9]",
        "a: list = 4  # of no known type [1..9]",
        "a: int = 4  # more after it [1..9] really",
        "a: int = four  # a name for a value [1..9]",
        "a: int = 2 * 2  # an expression [1..9]",
        "a: int = 4  # three bounds [1..5..9]",
        "a: int = 4  # bounds that are none [one..nine]",
        "a: int = 4  # a list of words [four, five]",
        "a: int = 4  # a list of other types [4, 5.0]",
        "a: int = 4  # text for a number [text]",
        "a: bool = True  # text for a truth [text]",
        "a: bool = True  # a range of truths [0..1]",
        'a: str = "b"  # a range of words [a..c]',
        "a: int = 0  # the default is out of range [1..9]",
        "a: int = 4.0  # the default is of another type [1..9]",
        "a: int = True  # the default is of another type [0..9]",
        'a: str = "z"  # the default is not in the list [x, y]',
        "a: int = 4  # the bounds are the wrong way round [9..1]",
    ],
)
def test_other_lines_are_refused_as_the_chapters_mistake(line):
    with pytest.raises(ChapterError) as caught:
        knob(line)
    assert repr(line) in str(caught.value)


def test_a_long_list_goes_on_in_a_comment_below():
    source = 'a: str = "x"  # which [x, y,\n#   z, folder:PATH]\nb: int = 1  # how many [1..2]\n# [no more,\n# of it]'
    first, *others = lines_of(source)
    assert "\n".join([first, *others]) == source
    assert others == ["b: int = 1  # how many [1..2]", "# [no more,\n# of it]"]
    assert knob(first).choices == ("x", "y", "z", "folder:PATH")


# --- values -------------------------------------------------------------------------------------

COUNT = knob("count: int = 4  # how many [-50..50]")
SHARE = knob("share: float = 0.5  # how much [-2.5..50]")
FLAG = knob("flag: bool = True  # whether [True, False]")
WORD = knob('word: str = "x"  # which [x, y, 1, True]')
FREE = knob('free: str = "x"  # any [text]')
SIDE = knob("side: int = 32  # side [32, 64]")
HALF = knob("half: float = 0.5  # one of few [0.5, 1]")
KNOBS = [COUNT, SHARE, FLAG, WORD, FREE, SIDE, HALF]

ANY = (
    st.integers(-60, 60)
    | st.integers()
    | st.floats()
    | st.floats(-3, 60)
    | st.booleans()
    | st.text(max_size=4)
    | st.sampled_from(["x", "y", "1", "True", 32, 64, 0.5, 1, 1.0, None, 10**400])
    | st.lists(st.integers(), max_size=2)
)


def allowed(parameter, value):
    """The rule once more, in other words."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return {
        "count": whole and -50 <= value <= 50,
        "share": (whole or isinstance(value, float)) and -2.5 <= value <= 50,
        "flag": isinstance(value, bool),
        "word": isinstance(value, str) and value in ("x", "y", "1", "True"),
        "free": isinstance(value, str),
        "side": whole and value in (32, 64),
        "half": (whole or isinstance(value, float)) and value in (0.5, 1),
    }[parameter.name]


@given(st.sampled_from(KNOBS), ANY)
def test_check_passes_what_is_allowed_and_refuses_all_else(parameter, value):
    if allowed(parameter, value):
        found = parameter.check(value, "here")
        assert found == value
        assert type(found).__name__ == parameter.type
    else:
        with pytest.raises(UsageError, match=f"^here: {parameter.name} = ") as caught:
            parameter.check(value, "here")
        assert f"must be {parameter.allowed}" in str(caught.value)


@given(st.sampled_from(KNOBS), ANY)
def test_from_text_reads_what_str_wrote(parameter, value):
    if allowed(parameter, value):
        found = parameter.from_text(str(value), "here")
        assert (found, type(found)) == (value, type(parameter.check(value, "here")))


@given(
    st.sampled_from(KNOBS),
    st.text(max_size=8) | st.sampled_from(["{[]: 1}", "(" * 300, "9" * 5000, "\0", "nan", "inf"]),
)
def test_from_text_gives_an_allowed_value_or_one_kind_of_error(parameter, text):
    try:
        value = parameter.from_text(text, "here")
    except UsageError:
        return
    assert allowed(parameter, value)


@pytest.mark.parametrize(
    ("parameter", "text", "expected"),
    [
        (FLAG, "true", True),
        (FLAG, " FALSE ", False),
        (FLAG, "1", None),
        (FLAG, "yes", None),
        (COUNT, " 7 ", 7),
        (COUNT, "7.0", None),
        (COUNT, "True", None),
        (SHARE, "7", 7.0),
        (SHARE, "1e-3", 0.001),
        (SHARE, "nan", None),
        (SHARE, "", None),
        (WORD, "1", "1"),
        (WORD, " x", None),
    ],
)
def test_from_text_examples(parameter, text, expected):
    if expected is None:
        with pytest.raises(UsageError):
            parameter.from_text(text, "here")
    else:
        found = parameter.from_text(text, "here")
        assert (found, type(found)) == (expected, type(expected))


def test_what_is_allowed_is_said_in_words():
    assert [p.allowed for p in (COUNT, SHARE, FLAG, FREE)] == [
        "from -50 to 50",
        "from -2.5 to 50",
        "one of True, False",
        "any text",
    ]


# --- the real book ------------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", REAL.chapters, ids=lambda chapter: chapter.name)
def test_no_cell_is_overlooked(chapter):
    """A cell within a directive would be: it is prose to jupytext."""
    text = chapter.path.read_text()
    assert len(chapter.cells) == text.count("```{code-cell}")
    assert len([tag for tags, _ in chapter.cells for tag in tags]) == sum(
        len(found.split(",")) for found in re.findall(r"^:?tags: \[(.*)\]$", text, re.MULTILINE)
    )
    assert chapter.figures == re.findall(r"^    name: (fig-.*)$", text, re.MULTILINE)
    for _, source in chapter.cells:
        assert f"\n{source}\n```\n" in text


@pytest.mark.parametrize("chapter", REAL.chapters, ids=lambda chapter: chapter.name)
def test_what_a_chapter_declares_is_there_and_is_what_it_reads(chapter):
    code = "\n".join(source for _, source in chapter.cells)
    for name in chapter.reads:
        assert (ROOT / "data" / name).exists()
    declared = set(chapter.reads)
    assert set(re.findall(r"page\.data\(\"(.+?)\"\)", code)) <= declared
    if "fingerprintlib.data.datasets" in code:  # the reader may choose either
        assert {"clothing", "scenes"} <= declared
    if ".card" in code or "origins(" in code:  # which are no part of what the artifact `zoo` says of the generators
        assert "zoo" in declared


@pytest.mark.parametrize("chapter", REAL.chapters, ids=lambda chapter: chapter.name)
def test_parameters_are_what_python_makes_of_their_cell(chapter):
    (source,) = [source for tags, source in chapter.cells if "parameters" in tags]
    names: dict = {}
    exec(source, names)
    assert {name: names[name] for name in chapter.parameters} == chapter.values()
    assert list(chapter.parameters) == list(names["__annotations__"])
    for parameter in chapter.parameters.values():
        assert len(parameter.meaning) > 5


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid_and_plans_every_chapter(profile):
    jobs = REAL.plan(profile)
    assert [job.chapter.name for job in jobs] == [chapter.name for chapter in REAL.chapters]
    for name, values in REAL.profile(profile).items():
        (job,) = [job for job in jobs if job.chapter.name == name]
        assert job.values == {**REAL.chapter(name).values(), **values}
    made = set()
    for job in jobs:
        assert set(job.inputs) <= made
        made |= set(job.outputs.values())
    assert len(made) == sum(len(job.outputs) for job in jobs)  # no two write the same file


def test_reading_the_chapters_builds_no_grammar_and_brings_nothing_that_computes():
    code = "import sys; from fingerprintlib.book.chapters import Book; Book().chapters; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = {name.split(".")[0] for name in found.stdout.split()}
    assert "jupytext" in modules
    assert not modules & {"lark", "torch", "numpy", "matplotlib"}


def test_titles_and_names():
    for chapter in REAL.chapters:
        assert REAL.chapter(chapter.name) is REAL.chapter(chapter.path.stem) is chapter
        assert f"# {chapter.title}\n" in chapter.path.read_text()
    assert REAL.chapter("3") is REAL.chapter("03") is REAL.chapter("attribution")
    assert REAL.chapter("15").name == "your-images"
    with pytest.raises(UsageError, match=f"Did you mean '{REAL.chapters[0].name}'"):
        REAL.chapter(REAL.chapters[0].name + "s")


# --- a book of its own --------------------------------------------------------------------------

PAGE = """---
kernelspec: {{name: python3, display_name: Python 3}}
fingerprints: {{{artifacts}}}
---
# {title}

Prose.

```{{code-cell}}
:tags: [parameters]

# a comment
steps: int = 4  # how many [1..9]

share: float = 0.5  # how much [0..1]
```

```{{code-cell}}
---
tags: [hide-input]
---
{code}
```
"""


@pytest.fixture
def book(tmp_path):
    """A function that writes pages (artifacts, code) and returns the book of them."""
    (tmp_path / "_config.yml").touch()
    (tmp_path / "book" / "profiles").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "paper.yml").write_text("verified: []\n")

    def write(*pages, **profiles):
        names = []
        for number, (artifacts, code) in enumerate(pages, 1):
            names.append(f"{number:02}-page{number}")
            text = PAGE.format(artifacts=artifacts, code=code, title=f"Page {number}")
            (tmp_path / "book" / f"{names[-1]}.md").write_text(text)
        listing = "".join(f"- file: {name}\n" for name in names)
        (tmp_path / "book" / "_toc.yml").write_text(f"root: intro\nchapters:\n{listing}")
        for profile in PROFILES:
            (tmp_path / "book" / "profiles" / f"{profile}.yml").write_text(profiles.get(profile, ""))
        return Book(tmp_path)

    return write


def test_a_chapter_as_data(book):
    (chapter,) = book(("reads: [paper.yml], opens: [], makes: [a, b]", "x = 1")).chapters
    assert (chapter.name, chapter.title, chapter.opens, chapter.makes) == ("page1", "Page 1", (), ("a", "b"))
    assert chapter.reads == ("paper.yml",)
    assert chapter.cells[1] == (["hide-input"], "x = 1")
    assert chapter.values() == {"steps": 4, "share": 0.5}


def test_layers_of_values(book):
    made = book(("", ""), quick="page1: {steps: 6, share: 1}\n", smoke="01-page1: {steps: 2}\n", full="page1:\n")
    assert made.values("page1", "quick") == {"steps": 6, "share": 1.0}
    assert made.values("page1", "quick", {"steps": 7}) == {"steps": 7, "share": 1.0}
    assert made.values("page1", "smoke") == {"steps": 2, "share": 0.5}  # the file's name will do
    assert made.values("page1", "full") == {"steps": 4, "share": 0.5}
    assert made.overrides(["page1.steps=8", "01-page1.share=0.25"]) == {"page1": {"steps": 8, "share": 0.25}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("page1: {stesp: 6}", "Did you mean 'steps'"),
        ("page2: {steps: 6}", "Did you mean 'page1'"),
        ("page1: {steps: 60}", "Profile quick, chapter page1: steps = 60 is out of range"),
        ("page1: {steps: '6'}", "not of type int"),
        ("page1: {steps: yes}", "not of type int"),
        ("page1: {share: 1" + "0" * 400 + "}", "not of type float"),
        ("page1: 6", "not parameters with their values"),
        ("- page1", "must be names with values"),
        ("page1: {steps: 6", "Profile quick cannot be read as YAML"),
    ],
)
def test_a_mistake_in_a_profile_is_a_usage_error(book, text, words):
    with pytest.raises(UsageError, match=words):
        book(("", ""), quick=text).plan("quick")


@pytest.mark.parametrize("artifacts", ["opens: [a]", "opens: [a], makes: [a]"])
def test_an_artifact_that_no_earlier_chapter_makes(book, artifacts):
    with pytest.raises(ChapterError, match=r"01-page1\.md opens 'a', which no earlier chapter makes"):
        book((artifacts, ""), ("makes: [a]", "")).plan("quick")


def test_an_artifact_that_two_chapters_make(book):
    with pytest.raises(ChapterError, match=r"02-page2\.md makes 'a'"):
        book(("makes: [a]", ""), ("makes: [a]", "")).plan("quick")


def test_inputs_and_outputs(book):
    jobs = book(("makes: [a]", ""), ("opens: [a], makes: [b]", ""), ("opens: [metrics, b]", "")).plan("quick")
    assert [job.inputs for job in jobs] == [[], ["a.json"], ["metrics/page1.json", "metrics/page2.json", "b.json"]]
    assert jobs[0].outputs == {
        "notebook": "executed/page1.ipynb",
        "metrics": "metrics/page1.json",
        "timing": "timings/page1.json",
        "a": "a.json",
    }


def test_the_fingerprint_is_of_code_values_and_library_but_not_of_prose(book, monkeypatch):
    def fingerprint(code="from fingerprintlib import claims", prose="Prose.", **values):
        made = book(("", code))
        path = made.chapters[0].path
        path.write_text(path.read_text().replace("Prose.", prose))
        (chapter,) = Book(made.root).chapters
        return chapter.fingerprint({**chapter.values(), **values})

    base = fingerprint()
    assert fingerprint(prose="Other prose, `code` too.") == base
    assert fingerprint(steps=5) != base
    assert fingerprint("from fingerprintlib import claims\n\nx = 1") != base

    assert fingerprint("from fingerprintlib import claims  # the ledger") == base
    monkeypatch.setattr(chapters, "code_of_cells", lambda cells: "another")
    assert fingerprint() != base


@pytest.mark.parametrize(
    ("changed", "affected"),
    [("paper.yml", {"page1"}), ("zoo/deep/a.json", {"page1", "page2"}), ("clothing/b.webp", set())],
)
@pytest.mark.parametrize("how", ["written", "removed", "renamed"])
def test_data_count_exactly_where_they_are_declared(book, changed, affected, how):
    """Whatever the code looks like: the third chapter only mentions them."""
    pages = ("reads: [paper.yml, zoo]", ""), ("reads: [zoo]", ""), ("", "# load_paper zoo_hash Zoo.of data/zoo")
    root = book(*pages).root
    path = root / "data" / changed
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("before")

    def fingerprints():
        return {chapter.name: chapter.fingerprint({}) for chapter in Book(root).chapters}

    before = fingerprints()
    assert fingerprints() == before
    if how == "written":
        path.write_text("after")
    elif how == "removed":
        path.unlink()
    else:
        path.rename(path.with_name("renamed"))
    after = fingerprints()
    assert {name for name in before if before[name] != after[name]} == affected


def test_the_chapters_of_a_book_hash_the_same_data_once(book, monkeypatch):
    made = book(("reads: [paper.yml]", ""), ("reads: [zoo, paper.yml]", ""))
    (made.root / "data" / "zoo").mkdir()
    (made.root / "data" / "zoo" / "a.json").touch()
    hashed, file_hash = [], chapters.file_hash
    monkeypatch.setattr(chapters, "file_hash", lambda path: hashed.append(path.name) or file_hash(path))
    for _ in range(2):
        made.plan("quick")
    assert hashed == ["paper.yml", "a.json"]


def test_pages_are_made_of_what_is_seen_and_is_no_profile_nor_draft(book):
    made = book(("", ""), ("", ""))
    texts = made.root / "book"
    (texts / "_assets").mkdir()
    (texts / ".ipynb_checkpoints").mkdir()
    for name in ("glossary.md", "_assets/logo.svg", "01-page1.ipynb"):
        (texts / name).write_text("# A word")
    draft = (texts / "01-page1.md").read_text()
    for name in ("scratch.md", ".ipynb_checkpoints/01-page1-checkpoint.md"):
        (texts / name).write_text(draft)
    found = [str(path.relative_to(texts)) for path in made.page_files]
    assert found == ["01-page1.md", "02-page2.md", "_assets/logo.svg", "_toc.yml", "glossary.md"]


def test_copies_that_jupyterlab_keeps_change_no_data(book):
    root = book(("reads: [sweeps]", "")).root
    data = root / "data" / "sweeps"
    data.mkdir()
    before = Book(root).chapters[0].fingerprint({})
    (data / ".ipynb_checkpoints").mkdir()
    (data / ".ipynb_checkpoints" / "one-checkpoint.json").touch()
    assert Book(root).chapters[0].fingerprint({}) == before
    (data / "one.json").touch()
    assert Book(root).chapters[0].fingerprint({}) != before


def test_a_cell_that_is_split_runs_again(book):
    """Its code is the same, but a page could not tell whose output is whose."""
    whole, split = ("x = 1\ny = x", "x = 1\n```\n\n```{code-cell}\ny = x")
    first = book(("", whole)).chapters[0]
    second = book(("", split)).chapters[0]
    assert len(second.cells) == len(first.cells) + 1
    assert first.code == second.code
    assert first.fingerprint({}) != second.fingerprint({})


@pytest.mark.parametrize(
    "code",
    [
        "%matplotlib inline\nfrom fingerprintlib import claims",
        "%%time\nfrom fingerprintlib import claims",
        "if True:\n    !ls\n    from fingerprintlib import claims",
        "from fingerprintlib import claims\n\nx = (\n    '%d'\n    % 3\n)",
    ],
)
def test_lines_for_ipython_do_not_hide_imports(book, monkeypatch, code):
    asked = []
    monkeypatch.setattr(chapters, "code_of_cells", asked.extend)
    book(("", code)).chapters[0].fingerprint({})
    (imports,) = [node for node in ast.walk(ast.parse(asked[-1])) if isinstance(node, ast.ImportFrom)]
    assert imports.module == "fingerprintlib"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("x = 1", "x = = 1", r"01-page1\.md has a cell that is not Python: .*x = = 1"),
        ("[parameters]", "[parameter]", "has 0 cells tagged 'parameters'"),
        ("[parameters]", "[parameters", r"01-page1\.md cannot be read: Code cell 1 at line 9 .*: Invalid YAML"),
        ("[parameters]", "parameters", r"01-page1\.md cannot be read: .*'parameters' is not of type 'array'"),
        ("tags: [hide-input]", "tags: [parameters]", "has 2 cells tagged 'parameters'"),
        ("kernelspec: {name", "kernelspec: {{name", r"01-page1\.md cannot be read: .*line 2, column 13"),
        ("kernelspec: {name", "4: x\nkernelspec: {name", r"01-page1\.md cannot be read: "),
        ("fingerprints: {}", "fingerprints: {reads: paper.yml}", r"01-page1\.md: `reads` .* must be a list"),
        ("fingerprints: {}", "fingerprints: [paper.yml]", r"01-page1\.md: `opens` .* must be a list"),
        ("[1..9]", "[1-9]", "steps: int = 4"),
    ],
)
def test_a_mistake_in_a_chapters_text_is_told_before_anything_runs(book, old, new, words):
    made = book(("", "x = 1"))
    path = made.root / "book" / "01-page1.md"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ChapterError, match=words):
        Book(made.root).plan("quick")


def test_the_book_is_found_from_its_folders_and_nowhere_else(book, tmp_path, monkeypatch):
    made = book(("", ""))
    monkeypatch.chdir(made.root / "book" / "profiles")
    assert Book().root == made.root
    for elsewhere in (made.root / "book", ROOT / "tests"):
        with pytest.raises(UsageError, match="There is no book in"):
            Book(elsewhere)


def test_parameters_in_the_real_chapters_are_literals():
    """Otherwise the rules above, which compare with Python's own reading, would say nothing."""
    for chapter in REAL.chapters:
        (source,) = [source for tags, source in chapter.cells if "parameters" in tags]
        assert all(isinstance(node, ast.AnnAssign) for node in ast.parse(source).body)
        assert all(math.isfinite(v) for v in chapter.values().values() if isinstance(v, float))


def test_a_page_without_code_is_no_chapter(tmp_path):
    (tmp_path / "05-words.md").write_text("Words only.\n")
    page = Chapter(tmp_path / "05-words.md")
    assert (page.is_notebook, page.title, page.name, page.makes) == (False, "words", "words", ())


def test_no_line_of_a_page_is_taken_for_a_comment():
    for page in Book().pages:
        for line in page.path.read_text(encoding="utf-8").splitlines():
            assert not line.startswith("% "), f"{page.path.name}: MyST drops what begins with %: {line}"


def test_the_chapters_code_is_short_enough_to_be_read_on_a_page():
    for chapter in Book().chapters:
        for tags, source in chapter.cells:
            lines = [line for line in source.splitlines() if line.strip()]
            assert len(lines) <= 15 or "hide-input" in tags, f"{chapter.path.name}: {lines[0]} ... is a long cell"
            for line in lines:
                assert len(line) <= 96, f"{chapter.path.name}: {line}"


def test_no_two_figures_or_exercises_share_a_label():
    texts = [page.path.read_text() for page in REAL.pages]
    labels = [label for text in texts for label in re.findall(r"(?:name|label): ((?:fig|ex)-[\w-]+)", text)]
    assert not [label for label, count in Counter(labels).items() if count > 1]


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.stem)
def test_what_a_chapter_asks_of_the_library_is_there(path):
    nodes = [node for _, source in Chapter(path).cells for node in ast.walk(ast.parse(source))]
    known = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("fingerprintlib"):
            exec(ast.unparse(node), known)  # fails for a name that is not there
    asked = [n for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
    for node in asked:
        if inspect.ismodule(known.get(node.value.id)):
            getattr(known[node.value.id], node.attr)


@pytest.mark.parametrize(("knob", "value"), [("resolution", 32), ("dataset", "scenes")])
def test_knobs_that_do_not_go_together_are_refused_with_the_way_out(knob, value):
    with pytest.raises(
        UsageError, match=rf"zoo\.generators = shipped goes with real-images\.{knob} = .* not {value}"
    ) as e:
        REAL.plan("quick", {"real-images": {knob: value}})
    assert "Set zoo.generators to trained, or real-images." in str(e.value)
    assert REAL.plan("quick", {"real-images": {knob: value}, "zoo": {"generators": "trained"}})


def test_what_goes_with_the_shipped_generators_is_what_they_learned_from():
    zoo = yaml.safe_load((ROOT / "data" / "zoo" / "zoo.yml").read_text())
    needed = {key: value for pair in REAL.chapter("zoo").together for key, value in pair.items() if "." in key}
    assert needed == {f"real-images.{name}": zoo[name] for name in ("resolution", "dataset")}
