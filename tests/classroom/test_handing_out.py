"""The edition of the book that gives no solution away."""

from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from fingerprintlib.classroom.handing_out import without_solutions

PAGE = """<!DOCTYPE html>
<html><head><script>if (1 < 2 && "</p>") {}</script></head><body>
<a href="_sources/01-some.ipynb">source</a> <a href="02-other.html">other</a>
<p>Seen: <img src="_images/seen.png"><img src="_images/both.png"> \\(x &lt; 1\\)</p>
<div class="solution dropdown admonition"><p>Count your thumbs.</p><div><img src="_images/told.png">
<img src="_images/both.png"></div></div>
<pre>two
  lines</pre></body></html>
"""


@pytest.fixture
def change():
    found = without_solutions({"01-some.ipynb": "for students"})
    return lambda name, data=b"as it was": found(Path(name), data)


def test_pages_lose_their_solutions_and_nothing_else(change):
    page = change("01-some.html", PAGE.encode()).decode()
    assert "thumbs" not in page
    assert "_sources" not in page
    full = BeautifulSoup(PAGE, "html.parser")
    for tag in full.select(".solution, a[href^=_sources]"):
        tag.decompose()
    assert page == str(full)
    assert 'if (1 < 2 && "</p>") {}' in page
    assert "two\n  lines" in page


def test_pictures_of_solutions_alone_are_left_out(change):
    change("01-some.html", PAGE.encode())
    left = [name for name in ("seen", "both", "told") if change(f"_images/{name}.png") == b"as it was"]
    assert left == ["seen", "both"]


def test_notebooks_are_those_of_students_and_texts_of_pages_are_left_out(change):
    assert change("_downloads/ab12/01-some.ipynb") == b"for students"
    assert change("_downloads/ab12/strange.ipynb") is None  # who knows what is in it
    assert change("_sources/01-some.ipynb") is None
    assert change("_static/book.css") == b"as it was"
