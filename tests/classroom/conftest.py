"""A blind case of made-up sources; a project whose book is built: two pages, written by hand as Sphinx writes them."""

import json

import nbformat
import numpy as np
import pytest

from fingerprintlib.book.chapters import Book
from fingerprintlib.book.downloads import notebook_of
from fingerprintlib.classroom.case import folder_pools, make_cases, write_case
from fingerprintlib.data.images import encode_png

from ..book.conftest import HEAD
from ..forensics.planted import write

TEXT = (
    HEAD.format(artifacts="makes: [x]")
    + """
# Some & more

Words.

```{code-cell}
:tags: [parameters]

seed: int = 0  # of everything [0..9]
```

```{exercise-start} Sums
:label: ex-sums
```
How much is one and one?
```{exercise-end}
```

```{code-cell}
answer = ...
```

```{solution-start} ex-sums
:class: dropdown
```
Count your thumbs.

```{code-cell}
answer = 2
```

```{solution-end}
```

## Summary
"""
)

INTRO = """<html>
<head><link rel="next" title="Some" href="01-some.html" /></head>
<body><nav><img src="logo.png"></nav><article class="bd-article"><section id="welcome"><h1>Welcome</h1>
<p>Read <a class="reference internal" href="01-some.html#here">this</a>, and
<a class="reference internal" href="genindex.html">look it up</a>, or
<a class="reference external" href="https://example.org/paper">the paper</a>.</p>
</section></article></body></html>
"""
PAGE = """<html>
<head><link rel="prev" title="Welcome" href="intro.html" /></head>
<body><article class="bd-article">
<section id="some">
<h1><span class="section-number">1. </span>Some &amp; more<a class="headerlink" href="#some">#</a></h1>
<p><strong>You will</strong> see <a href="intro.html">it</a>. <strong>You need</strong> eyes. <strong>It
costs</strong> 3 s.</p>
<p><a class="reference download internal" href="_downloads/x.ipynb"><code>This page</code></a></p>
<p>We have sources. <strong>which one is it?</strong> A source
leaves <span class="math notranslate nohighlight">\\(x &lt; 1\\)</span>.</p>
<div class="cell tag_hide-input docutils container">
<details class="hide above-input"><summary>Show</summary><pre>hidden_code()</pre></details>
<div class="cell_output docutils container">
<figure class="align-default" id="fig-one"><img alt="A square, &quot;red&quot; &amp; small." src="_images/one.png"/>
<figcaption><p><span class="caption-number">Fig. 1.1 </span><span class="caption-text">One <em>square</em>.</span>
<a class="headerlink" href="#fig-one">#</a></p></figcaption></figure>
</div></div>
<p>Said after the first.</p>
<section id="here"><h2><span class="section-number">1.1. </span>Here<a class="headerlink" href="#here">#</a></h2>
<p>Said before the second.</p>
<div class="cell docutils container"><div class="cell_input"><pre>visible_code()</pre></div>
<div class="cell_output docutils container">
<div class="fp-widget"><table><tr><td>of a widget</td></tr></table><script>play()</script><button>Play</button></div>
<div class="pst-scrollable-table-container"><table class="table"><tr class="row-odd"><th>source</th><th
class="head text-right">count</th></tr><tr><td>real</td><td class="text-right">7</td></tr></table></div>
<figure class="align-default" id="fig-two"><img alt="Another square." src="_images/two.png"/>
<figcaption><p><span class="caption-number">Fig. 1.2 </span><span class="caption-text">Two.</span></p></figcaption>
</figure></div></div>
<section id="deeper"><h3>Deeper</h3><p>Said below it.</p></section>
</section>
<section id="ledger"><h2>For the ledger</h2><p>A claim is judged.</p>
<div class="cell docutils container"><div class="cell_output docutils container">
<p><strong>Here: yes</strong>, by 3. (Claim <code>existence</code>.)</p><p>Something else.</p>
<p><strong>Here: no</strong>, by 1. (Claim <code>unheard</code>.)</p></div></div></section>
<section id="fool"><h2>What could fool us</h2><div class="warning admonition"><p class="admonition-title">Luck</p>
<p>All of it.</p></div></section>
<section id="exercises"><h2>Exercises</h2>
<div class="exercise admonition" id="ex-sums"><p class="admonition-title"><span class="caption-number">Exercise 1.1
</span> (Sums)</p><section id="exercise-content"><p>How much is one and one?</p></section></div>
<div class="solution dropdown admonition"><p class="admonition-title">Solution</p>
<section id="solution-content"><p>Count your thumbs.</p></section></div></section>
<section id="summary"><h2>Summary</h2><ul><li><p>First.</p></li></ul><p>Last.</p>
<div class="cell docutils container"><div class="cell_input"><pre>page.finish()
</pre></div></div>
<details class="sd-dropdown"><summary>Built with</summary><p>Folded away.</p></details></section>
</section></article></body></html>
"""


@pytest.fixture
def book(tmp_path):
    """Built at the profile `quick`; its folder is ``tmp_path``."""
    for name, text in {
        "_config.yml": "title: T",
        "book/_toc.yml": "format: jb-book\nroot: intro\nchapters:\n- file: 01-some\n",
        "book/intro.md": "# Welcome\n",
        "book/01-some.md": TEXT,
        "book/profiles/quick.yml": "",
        "data/paper.yml": "claims:\n- {id: existence, finding: existence, statement: There is < 1.}\nverified: []\n",
        "data/timings.json": json.dumps(
            {"machines": {"quick": "an abacus"}, "profiles": {"quick": {"some": {"seconds": 150.0}}}}
        ),
        "_build/quick/html/intro.html": INTRO,
        "_build/quick/html/index.html": '<meta http-equiv="Refresh" content="0; url=intro.html" />',
        "_build/quick/html/01-some.html": PAGE,
        "_build/quick/html/_static/mathjax/tex-svg.js": "drawn = '</script>'",
        "_build/quick/metrics/some.json": json.dumps({"metrics": {"share": 98.76}}),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    (tmp_path / "_build/quick/html/_images").mkdir()
    for name, width in (("one", 8), ("two", 24)):
        pixels = np.full((12, width, 3), 200, np.uint8)
        (tmp_path / f"_build/quick/html/_images/{name}.png").write_bytes(encode_png(pixels))
    found = Book(tmp_path)
    chapter = found.chapters[0]
    staged = tmp_path / "_build/quick/staged/notebooks/01-some.ipynb"
    staged.parent.mkdir(parents=True)
    staged.write_text(nbformat.writes(notebook_of(chapter, chapter.path.parent)))
    return found


SEED = "one that nobody guesses"
COUNTS = {"real": 24, "alpha": 24, "beta": 24, "unknown": 16}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """A folder of four sources, all noise: nothing of what is tested here looks at an image."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for name, count in COUNTS.items():
        write(folder / name, rng.integers(0, 256, (count, 64, 64, 3)).astype(np.uint8))
    return folder


@pytest.fixture(scope="session")
def made(own):
    """A case of them: its key and exhibits."""
    return make_cases(folder_pools(own), 30, SEED)[0]


@pytest.fixture
def case(made, tmp_path):
    """The case in a folder; its key is beside it, ``case.key.json``."""
    write_case(tmp_path / "case", tmp_path / "case.key.json", *made)
    return tmp_path / "case"
