"""Numbers in the prose: ``{eval}`page["grey:.1f"]` `` is the metric ``grey``, with one decimal.

JupyterLab asks the kernel for it (jupyterlab-myst), whenever the text's cell is run; the pages get it from the record
of the run. The text is the same for both.
"""

import re
from collections.abc import Callable, Mapping

from ..errors import FingerprintsError

NO_BREAK, JOINED = "\u00a0", "\u2060"  #: a space, and nothing at all, at which no line ends
#: What printers set otherwise than authors type. A line must not end before a unit or an error, in an interval, in a
#: date; and a minus is no hyphen.
SET = (
    (re.compile(r"(?<=[\d)]) (?=%|(?:s|min|h|MB|GB|dB|px)\b)"), NO_BREAK),
    (re.compile(r"(?<=[\d*]) ± (?=\d)"), f"{NO_BREAK}±{NO_BREAK}"),
    (re.compile(r"(?<=\()([-+]?[\d.]+) to (?=[-+]?\d)"), rf"\1{NO_BREAK}to{NO_BREAK}"),
    (re.compile(r"(?<=\d)–(?=-?\d)"), f"–{JOINED}"),
    (re.compile(r"(?<![\w/.-])(\d{4})-(?=\d\d(?![\w/.-]))"), rf"\1-{JOINED}"),
    (re.compile(r"(?:(?<=[\s(|*–\u2060])|^)-(?=\d)"), "−"),
)
NOTHING = re.compile(r"-0(\.0+)?")  #: a number that is 0 once it is rounded, with a sign that misleads
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)  # in a line of text, or fenced

EXPRESSION = re.compile(r'\{eval\}`page\["(?P<key>[^"`]+)"\]`')


class Told(str):
    """Text that a notebook shows without quotes."""

    __repr__ = str.__str__


UNKNOWN = Told("…")  #: what stands in a notebook for a number that a cell further down will record


def in_words(metrics: Mapping[str, float | int | str], key: str) -> Told:
    """A metric as the prose has it.

    Args:
        metrics: by name.
        key: a name, or a name and how to format the value: ``grey:.1f``.

    Raises:
        FingerprintsError: there is no such metric, or it cannot be formatted so.
    """
    name, _, how = key.partition(":")
    if name not in metrics:
        raise FingerprintsError(f"There is no metric {name!r}.")
    try:
        told = format(metrics[name], how)
        return Told(f"{'+' if '+' in how else ''}{told[1:]}" if NOTHING.fullmatch(told) else told)
    except ValueError as error:
        raise FingerprintsError(f"The metric {name!r} is {metrics[name]!r}, which {how!r} cannot format.") from error


def typeset(text: str) -> str:
    """Markdown in which ``-9.1 (8.0–10.2) %`` has a minus, and ends a line before its bracket only; code stays."""
    pieces, end = [], 0
    for code in CODE.finditer(text):
        pieces += [_set(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, _set(text[end:])])


def _set(text: str) -> str:
    for where, what in SET:
        text = where.sub(what, text)
    return text


def filled(text: str, told: Callable[[str], str]) -> str:
    """Markdown with words in the place of expressions; what is special in Markdown is not so in them.

    Args:
        text: with expressions.
        told: from the key of an expression to the words, see `in_words`.
    """
    return EXPRESSION.sub(lambda match: re.sub(r"([\\`*_{}\[\]<>&|$])", r"\\\1", told(match["key"])), text)
