"""Numbers in the prose: ``{eval}`page["grey:.1f"]` `` is the metric ``grey``, with one decimal.

JupyterLab asks the kernel for it (jupyterlab-myst), whenever the text's cell is run; the pages get it from the record
of the run. The text is the same for both.
"""

import re
from collections.abc import Callable, Mapping

from ..errors import FingerprintsError

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
        return Told(format(metrics[name], how))
    except ValueError as error:
        raise FingerprintsError(f"The metric {name!r} is {metrics[name]!r}, which {how!r} cannot format.") from error


def filled(text: str, told: Callable[[str], str]) -> str:
    """Markdown with words in the place of expressions; what is special in Markdown is not so in them.

    Args:
        text: with expressions.
        told: from the key of an expression to the words, see `in_words`.
    """
    return EXPRESSION.sub(lambda match: re.sub(r"([\\`*_{}\[\]<>&|$])", r"\\\1", told(match["key"])), text)
