import json
import re
import shutil
import zipfile

import nbformat
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner

from fingerprintlib.book.chapters import Book
from fingerprintlib.book.downloads import notebook_of
from fingerprintlib.classroom import kit, printing
from fingerprintlib.classroom.case import folder_pools
from fingerprintlib.classroom.key import Key
from fingerprintlib.classroom.kit import make_kit
from fingerprintlib.classroom.printing import bound, page_numbers, print_pages, reading_order
from fingerprintlib.cli import main
from fingerprintlib.errors import FingerprintsError, UsageError

from .conftest import PAGE

PLAN = "# A plan\n\n{{ figure fig-two }} {{ number some share:.1f }} {{ time some }} {{ machine }}\n"


@pytest.fixture
def without_browser(monkeypatch):
    monkeypatch.setattr(printing, "BROWSERS", ("no-such-browser",))


@pytest.fixture
def plans(tmp_path, monkeypatch, own):
    monkeypatch.setattr(kit, "shipped_pools", lambda seed: folder_pools(own))  # the book's sources take half a minute
    monkeypatch.setattr(kit, "EXHIBITS", 20)
    folder = tmp_path / "plans"
    folder.mkdir()
    (folder / "plan.md").write_text(PLAN)
    (folder / "index.md").write_text("# Kit\n\n{{ contents }}\n\n{{ chapters }}\n")
    monkeypatch.setattr(kit, "FOLDER", folder)
    return folder


def test_everything_is_there_but_the_pdf_that_needs_a_browser(book, plans, without_browser, capsys):
    index = make_kit(book, "quick")
    folder = index.parent
    assert folder == book.root / "_build" / "class"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {
        *("index.html", "book.zip", "book-without-solutions.zip", "slides/01-some.html"),
        *("lessons/plan.html", "lessons/worksheet.html", "lessons/worksheet-expert.html"),
        *("students/01-some.ipynb", "solutions/01-some.ipynb"),
        *("lessons/case-teacher.html", "lessons/swap.html", "case.key.json"),
        *(f"case/{name}" for name in ("README.md", "case.json", "custody.md", "report.csv", "report.md")),
        *(f"case/exhibits/{name}.png" for name in Key.load(folder / "case.key.json").names),
    }
    plan = (folder / "lessons/plan.html").read_text()
    assert '<a href="../slides/01-some.html#6">Fig.\u00a01.2</a> 98.8 2.5 min an abacus' in plan
    said = "book.pdf is left out, for lack of a browser: install Chromium"
    assert said in capsys.readouterr().err
    page = index.read_text()
    assert said in page
    links = [link["href"] for link in BeautifulSoup(page, "html.parser").select("a[href]")]
    assert len(links) == 8
    assert all((folder / link).is_file() for link in links)


def test_the_zip_holds_the_whole_book_in_one_folder(book, plans, without_browser):
    pages = book.root / "_build/quick/html"
    with zipfile.ZipFile(make_kit(book, "quick").with_name("book.zip")) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {
        f"gan-fingerprints/{path.relative_to(pages)}": path.read_bytes() for path in pages.rglob("*") if path.is_file()
    }


def test_the_zip_that_is_handed_out_gives_no_solution_away(book, plans, without_browser):
    folder = make_kit(book, "quick").parent
    with zipfile.ZipFile(folder / "book.zip") as full, zipfile.ZipFile(folder / "book-without-solutions.zip") as some:
        assert some.namelist() == full.namelist()
        assert b"thumbs" in full.read("gan-fingerprints/01-some.html")
        assert not [name for name in some.namelist() if b"thumbs" in some.read(name)]
        assert b"How much is one and one?" in some.read("gan-fingerprints/01-some.html")


def test_notebooks_tell_what_they_cost(book, plans, without_browser):
    path = book.root / "book/01-some.md"
    path.write_text(path.read_text().replace("Words.", "It costs {{ cost }}."))
    chapter = Book(book.root).chapters[0]
    staged = book.root / "_build/quick/staged/notebooks/01-some.ipynb"
    staged.write_text(nbformat.writes(notebook_of(chapter, chapter.path.parent)))
    notebook = (make_kit(Book(book.root), "quick").parent / "students/01-some.ipynb").read_text()
    assert "It costs 2.5 min (an abacus)." in notebook


def test_student_notebooks_have_no_solution(book, plans, without_browser):
    folder = make_kit(book, "quick").parent
    students, solutions = (nbformat.read(folder / part / "01-some.ipynb", 4) for part in ("students", "solutions"))
    for notebook in (students, solutions):
        nbformat.validate(notebook)
    sources = [[cell.source for cell in notebook.cells] for notebook in (students, solutions)]
    assert [source for source in sources[1] if source not in sources[0]] == [
        "#### Solution\nCount your thumbs.",
        "answer = 2",
    ]
    assert "answer = ..." in sources[0]


@pytest.mark.parametrize("page", Book().chapters, ids=lambda page: page.path.stem)
def test_no_chapter_gives_its_solutions_away(page):
    text = page.path.read_text()
    solutions = re.findall(r"^`{3,}\{solution-start\}.*?^`{3,}\{solution-end\}", text, re.MULTILINE | re.DOTALL)
    code = {
        re.sub(r"^(:.*\n|---\n(.*\n)*?---\n)*\n*", "", source).strip()
        for solution in solutions
        for source in re.findall(r"^```\{code-cell\}\n(.*?)^```$", solution, re.MULTILINE | re.DOTALL)
    }
    student, full = (notebook_of(page, page.path.parent, solutions=which) for which in (False, True))
    nbformat.validate(student)
    kept = [cell.source for cell in student.cells]
    assert len(code) >= len(solutions)  # each has some
    assert not code & set(kept)
    assert code <= {cell.source for cell in full.cells}
    left = [cell.source for cell in full.cells if cell.cell_type == "code" and cell.source not in code]
    assert [cell.source for cell in student.cells if cell.cell_type == "code" and "page.say" not in cell.source] == [
        source for source in left if "page.say" not in source
    ]
    assert not any("Solution" in source for source in kept)
    asked = re.findall(r"\{exercise-start\} (.+)", text)
    assert all(any(f"#### Exercise: {title}" in source for source in kept) for title in asked)


def test_a_book_that_is_not_built_is_refused_and_nothing_is_left(book, monkeypatch):
    shutil.rmtree(book.root / "_build/quick/html")
    monkeypatch.chdir(book.root)
    result = CliRunner().invoke(main, ["class"])
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: There are no pages of the profile 'quick' yet: run `make book` first.\n",
    )
    result = CliRunner().invoke(main, ["class", "--profile", "full"])
    assert "run `make book PROFILE=full` first" in result.stderr
    assert not (book.root / "_build/class").exists()


def test_pages_of_other_texts_are_refused(book, plans, without_browser):
    path = book.root / "book/01-some.md"
    path.write_text(path.read_text().replace("one and one", "two and two"))
    with pytest.raises(UsageError, match=r"01-some\.md has changed since the pages were built: run `make book`"):
        make_kit(Book(book.root), "quick")


def test_a_kit_that_fails_leaves_the_old_one(book, plans, without_browser):
    index = make_kit(book, "quick")
    before = {path: path.read_bytes() for path in index.parent.rglob("*") if path.is_file()}
    (plans / "plan.md").write_text("# A plan\n\n{{ figure fig-gone }}\n")
    with pytest.raises(UsageError, match=r"plan.md: the book has nothing for \{\{ figure fig-gone \}\}"):
        make_kit(book, "quick")
    assert {path: path.read_bytes() for path in index.parent.rglob("*") if path.is_file()} == before
    assert {path.name for path in (book.root / "_build").iterdir()} == {"quick", "class"}


def test_own_timings_come_before_those_of_another_machine(book, plans, without_browser):
    told = {"seconds": 5, "from_scratch": 300.0, "memory": 0, "disk": 0}
    path = book.root / "_build/quick/timings/some.json"
    path.parent.mkdir()
    path.write_text(json.dumps(told))
    assert "5.0 min" in make_kit(book, "quick").with_name("lessons").joinpath("plan.html").read_text()


# --- for paper ----------------------------------------------------------------------------------


def test_pages_are_bound_in_the_order_in_which_they_are_read(book):
    pages = book.root / "_build/quick/html"
    names = reading_order(pages, "intro")
    assert names == ["intro", "01-some"]
    found = BeautifulSoup(bound("A <book>", "Told.", names, pages), "html.parser")
    assert found.title.get_text() == "A <book>"
    assert [item.get_text() for item in found.select(".contents li")] == ["Welcome", "1. Some & more"]
    numbered = BeautifulSoup(bound("A", "Told.", names, pages, {"01-some": 12}), "html.parser")
    assert [item.get_text() for item in numbered.select(".contents li")] == ["Welcome", "1. Some & more12"]
    assert [chapter["id"] for chapter in found.select(".chapter")] == names
    ids = [tag["id"] for tag in found.select("[id]")]
    assert len(ids) == len(set(ids))
    links = [link["href"] for link in found.select("a[href]")]
    assert "https://example.org/paper" in links
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    assert {"#01-some", "#01-some--here", "#intro"} <= set(links)
    assert "genindex" not in str(found)
    assert "look it up" in found.get_text()
    for image in found.select(".chapter img"):
        assert image["src"].startswith(pages.as_uri())
    for absent in ("hidden_code", "Folded", "play()", "thumbs", "page.finish()"):
        assert absent not in str(found)
    assert "visible_code" in str(found)


PDF = b"""%PDF-1.4
2 0 obj
<</Type /Page
/Parent 20 0 R>>
endobj
5 0 obj
<</Type /Page
/Parent 21 0 R>>
endobj
20 0 obj
<</Type /Pages
/Count 1
/Kids [2 0 R]
/Parent 22 0 R>>
endobj
21 0 obj
<</Type /Pages
/Count 2
/Kids [9 0 R 5 0 R]
/Parent 22 0 R>>
endobj
22 0 obj
<</Type /Pages
/Count 3
/Kids [20 0 R 21 0 R]>>
endobj
30 0 obj
<</intro [2 0 R /XYZ 19.5 815 0]
/01-some [5 0 R /XYZ 19.5 815 0]
/01-some--here [9 0 R /XYZ 19.5 10 0]
/gone [77 0 R /XYZ 19.5 10 0]>>
endobj
"""


def test_pages_are_counted_in_the_order_of_their_tree():
    assert page_numbers(PDF) == {"intro": 1, "01-some": 3, "01-some--here": 2}
    assert page_numbers(b"%PDF") == {}


def test_the_contents_learn_their_numbers_from_a_first_print(tmp_path, book, monkeypatch):
    browser = tmp_path / "browser"
    (tmp_path / "made.pdf").write_bytes(PDF)
    browser.write_text(
        "#!/bin/sh\n"
        'for a in "$@"; do case $a in --print-to-pdf=*) out="${a#*=}";; file:*) page="${a#file://}";; esac; done\n'
        f'cp {tmp_path}/made.pdf "$out"; cp "$page" {tmp_path}/last.html\n'
    )
    browser.chmod(0o755)
    monkeypatch.setattr(printing, "BROWSERS", (str(browser),))
    print_pages("T", "Told.", ["intro", "01-some"], book.root / "_build/quick/html", tmp_path / "book.pdf")
    found = BeautifulSoup((tmp_path / "last.html").read_text(), "html.parser")
    assert [item.get_text() for item in found.select(".contents li span")] == ["1", "3"]


def test_tables_of_many_long_words_have_smaller_letters_so_that_no_word_is_broken(book):
    pages = book.root / "_build/quick/html"
    page = pages / "01-some.html"
    for words, wanted in (("word", []), ("w" * 45, ["smaller"]), ("w" * 60, ["smaller", "smallest"])):
        page.write_text(PAGE.replace("<td>real</td>", f"<td>{words} {words}</td><td>{words}</td>"))
        table = BeautifulSoup(bound("A", "T", ["01-some"], pages), "html.parser").select_one("table.table")
        assert table["class"] == ["table", *wanted]


def test_what_a_browser_failed_at_is_told(tmp_path, book, monkeypatch):
    bad = tmp_path / "bad-browser"
    bad.write_text("#!/bin/sh\necho 'no fonts here' >&2\nexit 3\n")
    bad.chmod(0o755)
    monkeypatch.setattr(printing, "BROWSERS", (str(bad),))
    target = tmp_path / "out" / "book.pdf"
    target.parent.mkdir()
    with pytest.raises(FingerprintsError, match=r"book.pdf is left out, as .*bad-browser failed: no fonts here\."):
        print_pages("T", "Told.", ["intro"], book.root / "_build/quick/html", target)
    assert not list(target.parent.iterdir())


def test_a_browser_that_prints_is_left_in_peace_and_nothing_lies_around(tmp_path, book, monkeypatch):
    good = tmp_path / "good-browser"
    good.write_text('#!/bin/sh\nfor a in "$@"; do case $a in --print-to-pdf=*) echo %PDF > "${a#*=}";; esac; done\n')
    good.chmod(0o755)
    monkeypatch.setattr(printing, "BROWSERS", ("no-such-browser", str(good)))
    target = tmp_path / "out" / "book.pdf"
    target.parent.mkdir()
    print_pages("T", "Told.", ["intro"], book.root / "_build/quick/html", target)
    assert [path.name for path in target.parent.iterdir()] == ["book.pdf"]
    assert target.read_bytes().startswith(b"%PDF")
