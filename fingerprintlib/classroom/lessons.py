"""Lesson plans: the texts in ``lessons/``, with the book's own figures, numbers and times in the place of fields.

A field is ``{{ figure fig-twins }}``, a link to the slide with that figure; ``{{ slides zoo }}``, a deck, of a chapter
or of a lesson (``{{ slides 50-minutes }}``); ``{{ notebook zoo }}`` and ``{{ time zoo }}``, what a chapter takes
(``{{ time all }}``, all of them); ``{{ number zoo generators }}``, a metric of a chapter, formatted as in `prose`; or
the name of a text that is given. So nothing that a build knows is typed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..book.chapters import Chapter
from ..book.prose import in_words
from ..book.timings import minutes
from ..book.widgets import standing_alone
from ..errors import FingerprintsError, UsageError
from .slides import Slide

FOLDER = Path(__file__).with_name("lessons")
NO_BREAK = "\u00a0"
STYLE = "<style>td, th { vertical-align: top; } body { max-width: 54rem; }</style>\n"  # tables of sentences
FIELD = re.compile(r"\{\{ (?P<what>\w+)(?: (?P<name>[\w-]+))?(?: (?P<key>[^}]+?))? \}\}")


@dataclass(frozen=True)
class Facts:
    """What plans are filled with.

    Attributes:
        chapters: by name.
        decks: the slides of each.
        metrics: what each has recorded.
        seconds: what each takes from scratch, as far as that is known.
        texts: more, by the names of their fields.
        lessons: the decks of lessons, by the names of their plans.
        own: the lesson whose deck is looked through first for a figure, if it has one.
    """

    chapters: Mapping[str, Chapter]
    decks: Mapping[str, Sequence[Slide]]
    metrics: Mapping[str, Mapping[str, Any]]
    seconds: Mapping[str, float]
    texts: Mapping[str, str]
    lessons: Mapping[str, Sequence[Slide]] = field(default_factory=dict)
    own: str = ""

    def told(self, what: str, name: str, key: str) -> str:
        """What stands in the place of a field, as Markdown.

        Raises:
            KeyError, FingerprintsError: there is nothing of that name.
        """
        if what == "figure":
            return self._figure(name)
        if what == "time":
            return self._time(name)
        if not name:
            return self.texts[what]
        if what == "slides" and name in self.lessons:
            return f"[{len(self.lessons[name])} slides](../slides/{name}.html)"
        chapter = self.chapters[name]
        if what == "number":
            return in_words(self.metrics[name], key)
        stem = chapter.path.stem
        return {
            "slides": f"[the slides of *{chapter.title}*](../slides/{stem}.html)",
            "notebook": f"`students/{stem}.ipynb`",
        }[what]

    def _figure(self, label: str) -> str:
        decks = [(self.own, self.lessons.get(self.own, ()))]
        decks += [(self.chapters[name].path.stem, slides) for name, slides in self.decks.items()]
        for stem, slides in decks:
            for place, slide in enumerate(slides, 1):
                if slide.label == label:
                    return f"[{slide.number.replace(' ', NO_BREAK)}](../slides/{stem}.html#{place})"
        raise KeyError(label)

    def _time(self, name: str) -> str:
        if name != "all":
            return minutes(self.seconds[name]) if self.chapters[name].name in self.seconds else "not measured yet"
        return minutes(sum(self.seconds.values()))


def lesson(path: Path, facts: Facts) -> str:
    """A plan as a page of HTML.

    Args:
        path: its text.
        facts: see `Facts`.

    Raises:
        UsageError: a field names what the book does not have.
    """
    text = filled(path.read_text(encoding="utf-8"), path.name, facts)
    return standing_alone(text.partition("\n")[0].removeprefix("# "), STYLE + rendered(text))


def filled(text: str, name: str, facts: Facts) -> str:
    """A text with what the book knows in the place of its fields.

    Raises:
        UsageError: a field, in the text called `name`, names what the book does not have.
    """

    def told(match: re.Match[str]) -> str:
        try:
            return facts.told(match["what"], match["name"] or "", match["key"] or "")
        except (KeyError, FingerprintsError) as error:
            raise UsageError(f"{name}: the book has nothing for {match[0]}; correct or remove it.") from error

    return FIELD.sub(told, text)


def rendered(text: str) -> str:
    """Markdown as HTML; tables may be wider than a phone."""
    from markdown_it import MarkdownIt  # here, as `fingerprints --help` need not wait for it

    body = str(MarkdownIt("commonmark").enable("table").render(text))
    return body.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
