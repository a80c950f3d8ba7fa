"""Chapters in JupyterLab, in a real browser: run, read, turned, refused, saved."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from fingerprintlib.book.chapters import Book
from fingerprintlib.book.lab_setup import set_up

pytestmark = pytest.mark.browser

CHAPTERS = ["01-real-images", "05-fingerprints", "10-artifacts", "16-claims"]
CELLS = "window.jupyterapp.shell.currentWidget.content.model.toJSON().cells"
RUN_ALL = "window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => 'done')"
SAVE = "window.jupyterapp.commands.execute('docmanager:save').then(() => 'saved')"


@pytest.fixture(scope="module")
def lab(smoke_book, tmp_path_factory):
    """JupyterLab as `make lab` starts it; chapters have the values of `smoke` in their own text."""
    book = Book(smoke_book.root)
    for name in CHAPTERS:
        path = smoke_book.root / "book" / f"{name}.md"
        text = path.read_text()
        for knob, value in book.values(book.chapter(name).name, "smoke").items():
            text = re.sub(rf"(?m)^({knob}: \w+ = )[^#]+?(\s+#)", lambda m, v=value: f"{m[1]}{v!r}{m[2]}", text)
        path.write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("jupyter")
    set_up(home, kernel=False)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
    command += [f"--port={port}", "--IdentityProvider.token=", f"--notebook-dir={smoke_book.root}"]
    command += [f"--LabApp.app_settings_dir={home}/share/jupyter/lab/settings"]  # looked for beside JupyterLab only
    environment = {
        **os.environ,
        "FINGERPRINTS_PROFILE": "smoke",
        "PYTHONPATH": str(smoke_book.root),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_CONFIG_PATH": str(home / "etc" / "jupyter"),
        "JUPYTER_DATA_DIR": str(home / "data"),
    }
    with open(home / "log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=5)
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def notebook(browser, lab, smoke_book):
    """Open a chapter; returns the tab."""
    page = browser.new_page()
    page.set_default_timeout(180_000)

    def open_chapter(name):
        page.goto(f"{lab}/lab/tree/book/{name}.md?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        page.wait_for_function("window.jupyterapp.shell.currentWidget?.context?.sessionContext?.session?.kernel")
        return page

    yield open_chapter
    page.evaluate("window.jupyterapp.serviceManager.sessions.shutdownAll()")
    page.close()


def errors(page):
    cells = page.evaluate(CELLS)
    return [o["evalue"] for cell in cells for o in cell.get("outputs", []) if o["output_type"] == "error"]


def prose(page):
    """The numbers in the text, as the kernel gave them: expression to text."""
    found = {}
    for cell in page.evaluate(CELLS):
        for told in cell["metadata"].get("user_expressions", []):
            assert told["result"]["status"] == "ok", told
            found[told["expression"]] = told["result"]["data"]["text/plain"]
    return found


def turn(page, knob, value):
    """Type another value into the cell of parameters."""
    page.evaluate(
        """([knob, value]) => {
            const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
            for (let k = 0; k < cells.length; k++) {
                const source = cells.get(k).sharedModel;
                const line = new RegExp("^(" + knob + ": \\\\w+ = )[^#]+?( +#)", "m");
                if (line.test(source.source)) {
                    return source.setSource(source.source.replace(line, "$1" + value + "$2"));
                }
            }
            throw "no such knob";
        }""",
        [knob, value],
    )


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_is_read_and_is_saved_as_it_was(notebook, smoke_book, name):
    path = smoke_book.root / "book" / f"{name}.md"
    before = path.read_text()
    page = notebook(name)
    assert page.evaluate(RUN_ALL) == "done"
    assert errors(page) == []
    expressions = set(re.findall(r"\{eval\}`([^`]+)`", before))
    for _ in range(100):  # texts are asked about on their own
        told = prose(page)
        if set(told) == expressions:
            break
        time.sleep(0.2)
    assert set(told) == expressions
    assert all(value not in ("", "…") and not value.startswith("'") for value in told.values())
    assert page.evaluate(SAVE) == "saved"
    assert path.read_text() == before
    chapter = Book(smoke_book.root).chapter(name).name
    by_hand, built = (
        json.loads((smoke_book.root / "_build" / profile / "metrics" / f"{chapter}.json").read_text())["metrics"]
        for profile in ("lab", "smoke")
    )
    if name != "05-fingerprints":  # whose training depends, in the last digits, on the number of threads
        for metric, value in built.items():
            assert by_hand[metric] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-6)), metric
    assert by_hand.keys() == built.keys()


def test_it_opens_with_the_first_page_and_its_contents_beside_it(browser, lab):
    page = browser.new_page()
    page.goto(lab)
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_selector("#table-of-contents .jp-tocItem")
    assert page.evaluate("window.jupyterapp.shell.currentWidget.context.path") == "book/intro.md"
    assert page.is_visible("#table-of-contents")
    assert page.query_selector(".jp-Dialog") is None
    page.close()


def test_a_knob_is_turned_and_a_bad_one_refused(notebook, smoke_book):
    path = smoke_book.root / "book" / "01-real-images.md"
    before = path.read_text()
    page = notebook("01-real-images")
    turn(page, "resolution", "50")
    page.evaluate(RUN_ALL)
    assert errors(page)[0] == "Chapter real-images: resolution = 50 is not allowed; it must be one of 32, 64, 128."
    turn(page, "resolution", "64")
    page.evaluate(RUN_ALL)
    assert errors(page) == []
    at_64 = prose(page)
    turn(page, "resolution", "32")
    page.evaluate(RUN_ALL)
    assert errors(page) == []
    assert prose(page) != at_64
    page.evaluate(SAVE)
    assert path.read_text() == before  # which had 32, too
