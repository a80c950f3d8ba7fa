"""The book's visual style: what a figure is, and the colours, markers and dashes that its parts take in turn.

Colours differ in lightness as well as hue, and nothing is told by colour alone, so that the figures read in grey and
by colour-blind readers. Figures are made without pyplot: nothing is shown twice and no global state is left behind.
"""

import functools
import io
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec

import matplotlib as mpl
import seaborn as sns
from cycler import cycler
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

Parameters = ParamSpec("Parameters")

# From dark to light, two hues: purple and orange. "real" is always the first.
PALETTE = ("#1b1b1b", "#542788", "#b35806", "#998ec3", "#f1a340", "#5e8c94", "#c7b9a5")
MARKERS = "osD^vP*"
# Purple below zero, orange above, and ever lighter: in grey print, too, a sign can be told.
SIGNED = LinearSegmentedColormap.from_list("signed", ("#2a0a56", "#5d3a96", "#8c8c8c", "#f0ad4e", "#fff3c4"))
DASHES = ("-", "--", "-.", ":", (0, (5, 1)))
WIDTH = 7.2  # inches: the text column of the book
NARROW = 5.1  # inches: what a phone shows whole, in letters that can be read
REFERENCE: dict[str, Any] = {"color": "0.45", "lw": 1, "ls": ":"}  # what results are compared with, as chance
FLOOR: dict[str, Any] = {"color": "0.4", "lw": 1, "ls": "--"}  # what is no difference

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
    "image.interpolation": "nearest",  # pixel for pixel
}


class Plot(NamedTuple):
    """A figure and the sentence that says what it shows to those who cannot see it."""

    figure: Figure
    alt: str

    @property
    def narrow(self) -> bool:
        """Whether a phone shows it whole."""
        return bool(self.figure.get_figwidth() <= NARROW)

    def png(self) -> bytes:
        """The figure as a PNG file."""
        return self.saved()

    def saved(self, kind: str = "png", maker: str | None = None) -> bytes:
        """The figure as a file of some kind, ``"png"``, ``"pdf"`` or ``"svg"``; in it may stand who made it."""
        buffer, key = io.BytesIO(), "Software" if kind == "png" else "Creator"
        self.figure.savefig(buffer, format=kind, metadata={key: maker} if maker else None)
        return buffer.getvalue()


def colour_of(index: int) -> str:
    """The colour of the source, line or bar of this number."""
    return PALETTE[index % len(PALETTE)]


def accent_of(index: int) -> str:
    """The colour of the condition or method of this number, the strong ones first."""
    return PALETTE[(1, 2, 0, 3, 4)[index % 5]]


def marker_of(index: int) -> str:
    """The marker of this number; where the colours begin anew, other markers go with them."""
    return MARKERS[(index + index // len(PALETTE)) % len(MARKERS)]


def dash_of(index: int) -> Any:
    """The dashes of the line of this number."""
    return DASHES[index % len(DASHES)]


def signed(limit: float) -> dict[str, Any]:
    """Colours for numbers from -`limit` to `limit`: the lighter the more, grey is 0."""
    return {"cmap": SIGNED, "vmin": -limit, "vmax": limit}


def styled(function: Callable[Parameters, Plot]) -> Callable[Parameters, Plot]:
    """Draw in the book's style, and leave everybody else's alone."""

    @functools.wraps(function)
    def draw(*arguments: Parameters.args, **options: Parameters.kwargs) -> Plot:
        with mpl.rc_context(STYLE):
            return function(*arguments, **options)

    return draw
