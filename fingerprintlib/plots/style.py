"""The book's visual style, and the small parts that its figures share.

Colours differ in lightness as well as hue, and nothing is told by colour alone, so that the figures read in grey and
by colour-blind readers. Figures are made without pyplot: nothing is shown twice and no global state is left behind.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from cycler import cycler
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..images import Pixels
from ..notebook import Plot

# From dark to light, two hues: purple and orange. "real" is always the first.
PALETTE = ("#1b1b1b", "#542788", "#b35806", "#998ec3", "#f1a340", "#5e8c94", "#c7b9a5")
MARKERS = "osD^vP*"
WIDTH = 7.2  # inches: the text column of the book

STYLE = {
    **sns.axes_style("ticks"),
    "figure.dpi": 144,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "axes.prop_cycle": cycler(color=PALETTE),
}


def colour_of(index: int) -> str:
    """The colour of the source, line or bar of this number."""
    return PALETTE[index % len(PALETTE)]


def marker_of(index: int) -> str:
    """Its marker."""
    return MARKERS[index % len(MARKERS)]


def styled(function: Callable[..., Plot]) -> Callable[..., Plot]:
    """Draw in the book's style, and leave everybody else's alone."""

    @functools.wraps(function)
    def draw(*arguments: Any, **options: Any) -> Plot:
        with mpl.rc_context(STYLE):
            return function(*arguments, **options)

    return draw


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure; height and width in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def new_axes(figure: Figure, rows: int = 1, columns: int = 1, **options: Any) -> NDArray[Any]:
    """Its axes, an array ``[rows, columns]``."""
    return figure.subplots(rows, columns, squeeze=False, **options)


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str], columns: int | None = None) -> None:
    """One legend for all axes below them, in one row unless it has fewer `columns`."""
    figure.legend(handles, labels, loc="outside lower center", ncols=min(columns or len(labels), len(labels)))


def picture(axes: Any, image: Pixels, title: str = "") -> None:
    """Show an image, pixel for pixel, without ticks."""
    axes.imshow(image, interpolation="nearest")
    axes.set_title(title, loc="left")
    axes.axis("off")


def heatmap(
    ax: Any, values: NDArray[Any], names: Sequence[str], form: str, rows: Sequence[str] | None = None, **colours: Any
) -> None:
    """A matrix with its numbers in the cells, `names` over columns and, unless `rows` has others, rows.

    `colours` need ``vmin`` and ``vmax``.
    """
    ax.imshow(values, **colours)
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set_yticks(range(len(rows or names)), rows or names)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    low, high = colours["vmin"], colours["vmax"]
    for (row, column), value in np.ndenumerate(values):
        strong = abs(value) > 0.6 * max(abs(low), abs(high))
        ax.text(column, row, form.format(value), ha="center", va="center", size=7.5, color="w" if strong else "k")
