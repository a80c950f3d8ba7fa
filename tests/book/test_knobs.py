"""Every allowed value gives a page: chapters run with values that Hypothesis draws, extremes among them.

What costs time by its size goes no further than twice what `smoke` has. That takes minutes, so every fifth chapter is
asked; with ``FINGERPRINTS_DRAWS=20`` in the environment all are, and so many times.
"""

import json
import os
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from fingerprintlib.book.chapters import Book
from fingerprintlib.book.engine import run_chapter
from fingerprintlib.book.parameters import ANY_FOLDER
from fingerprintlib.book.prose import filled, in_words
from fingerprintlib.book.timings import FREE
from fingerprintlib.data.catalogue import PUBLISHED
from fingerprintlib.errors import UsageError

DRAWS = int(os.environ.get("FINGERPRINTS_DRAWS", "0"))
ELSEWHERE = (ANY_FOLDER, *PUBLISHED, "inception", "alexnet")  # downloaded or brought: a page that lacks it says so
BOUNDED = ("if there are as many", "at most")  # what says so asks for no more than there is


def allowed(parameter, usual):
    """What to draw of one knob; `usual` is its value at `smoke`."""
    if parameter.choices:
        return st.sampled_from([choice for choice in parameter.choices if choice not in ELSEWHERE])
    if parameter.low is None:
        return st.just(usual)
    costly = parameter.name not in FREE and not any(words in parameter.meaning for words in BOUNDED)
    high = min(parameter.high, 2 * usual) if costly else parameter.high
    if parameter.type == "int":
        low, high = int(parameter.low), int(high)
        return st.sampled_from([low, high]) | st.integers(low, high)
    return st.sampled_from([parameter.low, high]) | st.floats(parameter.low, high)


CHAPTERS = [chapter.name for chapter in Book().chapters][:: 1 if DRAWS else 5]


@pytest.mark.parametrize("name", CHAPTERS)
def test_allowed_values_give_a_page(smoke_book, name, monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")
    book = Book(smoke_book.root)
    build = smoke_book.root / "_build" / "smoke"
    (job,) = (job for job in book.plan("smoke") if job.chapter.name == name)
    knobs = {knob: allowed(parameter, job.values[knob]) for knob, parameter in job.chapter.parameters.items()}

    @settings(
        max_examples=max(DRAWS, 1),
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.fixed_dictionaries(knobs))
    def runs(values):
        try:
            book.plan("smoke", {name: values})
        except UsageError:  # does not go together with a knob of another chapter
            assume(False)
        print(name, values)
        turned = replace(job, values=values, folder="drawn", label="drawn")
        run_chapter(book, turned, "smoke", build)
        told = json.loads((build / "drawn" / "metrics" / f"{name}.json").read_text())["metrics"]
        for cell in job.chapter.notebook.cells:
            if cell.cell_type == "markdown":
                filled(cell.source, lambda key: in_words(told, key))  # raises where a number is missing
        for cell in json.loads((build / "drawn" / "executed" / f"{name}.ipynb").read_text())["cells"]:
            for output in cell.get("outputs", []):
                words = "".join(output.get("text", [])) + "".join(output.get("data", {}).get("text/markdown", []))
                assert words.startswith("```") or not re.search(r"\bnan\b|\binf\b|\wWarning", words), words

    runs()
