"""What figures are put together from: figures with their axes, legends, pictures, notes, estimates, lists in words."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ..data.images import Pixels
from ..statistics.intervals import Interval
from .style import WIDTH

Floats = NDArray[np.floating]


def new_axes(
    height: float, rows: int = 1, columns: int = 1, width: float = WIDTH, **options: Any
) -> tuple[Figure, NDArray[Any]]:
    """A figure of `height` and `width` in inches, by default as wide as the text, and its axes ``[rows, columns]``."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def new_ax(height: float, width: float = WIDTH) -> tuple[Figure, Any]:
    """A figure with one pair of axes."""
    figure, axes = new_axes(height, width=width)
    return figure, axes[0, 0]


def new_row(height: float, columns: int, **options: Any) -> tuple[Figure, NDArray[Any]]:
    """A figure and its axes ``[columns]`` side by side."""
    figure, axes = new_axes(height, 1, columns, **options)
    return figure, axes[0]


def new_panels(
    count: int, columns: int, height: float, margin: float = 0.3, **options: Any
) -> tuple[Figure, NDArray[Any]]:
    """A figure and its axes ``[count]``, so many in a row that is `height` inches high; the last row may lack some."""
    rows = -(-count // columns)
    figure, axes = new_axes(height * rows + margin, rows, columns, **options)
    for ax in axes.flat[count:]:
        ax.axis("off")
    return figure, axes.ravel()[:count]


def new_table(
    rows: Collection[str], columns: Collection[str], width: float = WIDTH, size: float = 9
) -> tuple[Figure, NDArray[Any]]:
    """A figure and axes for square pictures, rows named at the left and columns, in letters of `size`, at the top.

    There are at least four columns, so that pictures of few are no larger; the last stay empty.
    """
    across = max(len(columns), 4)
    figure, axes = new_axes(width / across * len(rows) + 0.3, len(rows), across)
    for ax in axes.flat:
        bare(ax)
    for ax, title in zip(axes[:, 0], rows, strict=True):
        ax.set_ylabel(title)
    for ax, title in zip(axes[0], columns, strict=False):
        ax.set_title(title, fontsize=size)
    return figure, axes


def legend_below(figure: Figure, entries: Mapping[str, Any] | None = None, columns: int | None = None) -> None:
    """One legend for all axes below them, in one row unless it has fewer `columns`.

    `entries` are names and what stands for them, unless given those of the first axes.
    """
    handles, labels = (entries.values(), [*entries]) if entries else figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(columns or len(labels), len(labels)))


def even_columns(labels: Collection[str], most: int = 4, width: float = WIDTH) -> int:
    """Columns of a legend: as many as there are labels if these fit into one row, else `most`, all about as full."""
    if sum(len(label) + 9 for label in labels) <= 14 * width:  # letters; what stands before each has the room of nine
        return len(labels)
    rows = -(-len(labels) // most)
    return -(-len(labels) // rows)


def bare(ax: Axes) -> None:
    """Take ticks and frame away, labels may stay."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def picture(ax: Axes, image: Pixels, title: str) -> None:
    """Show an image and nothing else."""
    ax.imshow(image)
    ax.set_title(title, loc="left")
    ax.axis("off")


def in_blocks(laid_out: Pixels, count: int) -> Pixels:
    """A `grid` of images whose columns stand in so many blocks, with more room between these than between columns."""
    width = (laid_out.shape[1] + 2) // count
    room = np.full((laid_out.shape[0], 6, 3), 255, np.uint8)
    parts = [part for k in range(count) for part in (room, laid_out[:, k * width : (k + 1) * width])]
    return np.concatenate(parts[1:], axis=1)


def plain(name: str) -> str:
    """A name that somebody gave, as text in one line: nothing in it is a formula."""
    return " ".join(name.split()).replace("$", r"\$")


def note(ax: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], **options: Any) -> None:
    """A few small letters beside a point, `offset` in printer's points away from it; no line crosses them out."""
    edge = [withStroke(linewidth=2.5, foreground="w")]
    ax.annotate(text, at, offset, textcoords="offset points", path_effects=edge, **({"size": 8} | options))


def estimate(ax: Axes, y: float, value: float, interval: Interval, marker: str, colour: str, size: float = 5) -> None:
    """A value as a marker and its interval as a bar along the horizontal axis."""
    ax.plot(interval, [y, y], color=colour, lw=2)
    ax.plot(value, y, marker, color=colour, ms=size)


def lower_end(shares: Sequence[float]) -> float:
    """Where an axis of shares, in per cent, begins: at 0, or near the lowest where all are above 90 %.

    From 0 on, marks that all stand at the ceiling would lie on one another.
    """
    return 0 if min(shares) <= 90 else 5 * ((min(shares) - 1) // 5)


def beside(index: int, count: int, step: float) -> float:
    """How far the mark of this number is moved, so that so many at one place stand side by side."""
    return step * (index - (count - 1) / 2)


def listed(lists: Mapping[str, Iterable[str]]) -> str:
    """``one: a, b; other: c``: what alternative texts tell of each thing that a figure shows."""
    return "; ".join(f"{name}: {', '.join(words)}" for name, words in lists.items())
