"""The slides of one lesson: what its plan shows, in the order in which it is shown, in one deck.

A text in ``lessons/decks/`` has the slides, each under a head such as ``## 5–13 · Doubling leaves a mark``: the
minutes of the plan's row that it belongs to, and its title. ``{{ slide fig-twins }}`` is a figure of a chapter; other
fields are those of plans. What the row says to do is the speaker's note.
"""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..book.widgets import data_url
from ..data.images import coloured, encode_png
from ..errors import UsageError
from .case import Pool
from .key import GENERATOR, PHOTOGRAPH
from .lessons import Facts, filled, rendered
from .slides import Slide

HEAD = re.compile(r"(?P<minutes>\d+–\d+) · (?P<title>.+)")
ROW = re.compile(r"^\| (?P<minutes>\d+–\d+) \| (?P<does>.+) \| (?P<shows>[^|]+) \|$", re.MULTILINE)  # of a plan
SHOWN = re.compile(r"\{\{ slide (?P<label>[\w-]+) \}\}")
EACH = 2  # images of a source that are shown in colour and again in grey


def slides_of_lesson(path: Path, plan: Path, facts: Facts) -> list[Slide]:
    """The deck of a lesson.

    Args:
        path: its text.
        plan: the text of the lesson's plan.
        facts: see `Facts`.

    Raises:
        UsageError: a slide belongs to no row of the plan, or names what the book does not have.
    """
    rows = {row["minutes"]: row["does"] for row in ROW.finditer(plan.read_text(encoding="utf-8"))}
    first, *parts = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    title, _, body = first.removeprefix("# ").partition("\n")
    slides = [Slide(html.escape(title), rendered(body), "first")]
    last = ""
    for part in parts:
        line, _, body = part.partition("\n")
        head = HEAD.fullmatch(line)
        if not head or head["minutes"] not in rows:
            raise UsageError(f"{path.name}: the slide {line!r} belongs to no minutes of {plan.name}.")
        minutes = head["minutes"]
        goes_on = f"<p><b>Minutes {minutes}</b>, which go on.</p>"
        does = f"<p><b>Minutes {minutes}.</b></p>{rendered(filled(rows[minutes], plan.name, facts))}"
        slides.append(_slide(html.escape(head["title"]), body.strip(), path.name, facts))
        slides[-1].notes.insert(0, goes_on if minutes == last else does)
        last = minutes
    return slides


def _slide(title: str, body: str, name: str, facts: Facts) -> Slide:
    if shown := SHOWN.fullmatch(body):
        for slides in facts.decks.values():
            for slide in slides:
                if slide.label == shown["label"]:
                    return Slide(title, slide.body, "figure", [*slide.notes], slide.label, slide.number)
        raise UsageError(f"{name}: the book has nothing for {body}; correct or remove it.")
    return Slide(title, rendered(filled(body, name, facts)), "told")


def images_of_sources(pools: Sequence[Pool], seed: int) -> str:
    """Some images of each known source as a table, a column a source: in colour, and the same in grey.

    Args:
        pools: of `case.shipped_pools`.
        seed: of the choice.
    """
    known = [pool for pool in pools if pool.kind in (PHOTOGRAPH, GENERATOR)]
    taken = [pool.take([EACH], [np.random.default_rng(seed)])[0][0] for pool in known]
    rows = ["<tr>" + "".join(f"<th>{html.escape(pool.source)}</th>" for pool in known) + "</tr>"]
    for grey in (False, True):
        shown = [coloured(images, "grey") if grey else images for images in taken]
        words = "an equalized grey image" if grey else "an image"
        for k in range(EACH):
            cells = [
                f'<td><img alt="{words} of {html.escape(pool.source)}" src="{data_url(encode_png(images[k]))}"></td>'
                for pool, images in zip(known, shown, strict=True)
            ]
            rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table class="images">{"".join(rows)}</table>'
