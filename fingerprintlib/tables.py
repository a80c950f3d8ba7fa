"""Tables: in Markdown, for pages and cards, and as plain text, for a terminal."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import wcwidth

NUMBER = re.compile(r"\**[-+–]?\d.*|–")  # a dash alone: there is none


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table; the columns are the keys of the first, and a row that lacks one has an empty cell.

    A column stands at the right if all its cells begin with a number, are a dash, or are empty. A column named ``""``
    has no head.
    """
    columns = list(rows[0])
    cells = [[_cell(row.get(column, "")) for column in columns] for row in rows]
    numeric = [all(not cell or NUMBER.match(cell) for cell in column) for column in zip(*cells, strict=True)]
    rules = ["-:" if right else "-" for right in numeric]
    lines = [[_cell(column) for column in columns], rules, *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells, the head first, as lines of plain text with columns as wide as they need in a terminal."""
    widths = [max(map(wcwidth.width, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(wcwidth.ljust(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _cell(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return re.sub(r"(?<!\\)\|", r"\\|", text)
