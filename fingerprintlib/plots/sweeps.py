"""Figures of what a chapter finds as one of its parameters changes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from .axes import legend_below, new_panels
from .style import MARKERS, PALETTE, Plot, colour_of, dash_of, marker_of, styled

Estimate = tuple[float, float | None, float | None]  # value, and its interval if there is one
LEGEND = 3  # names side by side
MOST_TOLD = 24  # numbers in an alternative text; where there are more, of each line the ends


@styled
def against_parameter(
    parameter: str,
    values: Sequence[Any],
    panels: Mapping[str, Mapping[str, Sequence[Estimate | None]]],
    at: tuple[str, int] | None = None,
) -> Plot:
    """A panel a quantity, a line a setting of the other parameters, bars for intervals.

    The axis is logarithmic where the values span a factor of twenty, and a list where they are words or only one.

    Args:
        parameter: of the horizontal axis.
        values: that it takes, numbers or words.
        panels: quantity (its name ends in ", UNIT", if it has one) to line to what was found at each value.
        at: a line and the number of a value, to be marked.
    """
    columns = min(2, len(panels))
    names = list(next(iter(panels.values())))
    figure, axes = new_panels(len(panels), columns, 2.3, margin=0.2 * -(-len(names) // LEGEND) + 0.3)
    numeric = len(values) > 1 and all(type(value) in (int, float) for value in values)
    places = np.asarray(values if numeric else range(len(values)), float)
    for ax, (quantity, lines) in zip(axes, panels.items(), strict=True):
        for k, (line, found) in enumerate(lines.items()):
            _line(ax, k, line, places, found)
        if at:
            ax.axvline(places[at[1]], color="0.8", lw=5, zorder=0)
            marked = lines.get(at[0], [None] * len(values))[at[1]]
            if marked:
                ax.plot(places[at[1]], marked[0], "o", ms=13, mfc="none", mec=PALETTE[2], mew=2)
        title, _, unit = quantity.partition(", ")
        ax.set_title(title, loc="left")
        ax.set(xlabel=parameter, ylabel=unit)
        ax.margins(x=0.08)
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        _ticks(ax, places, values, numeric, 90 // columns)
    if names != [""]:
        legend_below(figure, columns=LEGEND)
    return Plot(figure, _alt(parameter, values, panels, at))


def _line(ax: Any, k: int, name: str, places: np.ndarray, found: Sequence[Estimate | None]) -> None:
    there = [(x, estimate) for x, estimate in zip(places, found, strict=True) if estimate is not None]
    for x, (_, low, high) in there:
        if low is not None and high is not None:
            ax.plot([x, x], [low, high], color=colour_of(1 + k), lw=2, alpha=0.6)
    ys = [estimate[0] for _, estimate in there]
    style = {"color": colour_of(1 + k), "ls": dash_of(k // len(MARKERS)), "marker": marker_of(k), "ms": 5, "lw": 1.2}
    ax.plot([x for x, _ in there], ys, **style, label=name)


def _ticks(ax: Any, places: np.ndarray, values: Sequence[Any], numeric: bool, room: int) -> None:
    """Mark the values, if their names have room side by side; `room` is for that many characters."""
    positions, names = places, [str(value) for value in values]
    if numeric and places.min() > 0 and places.max() / places.min() >= 20:
        ax.set_xscale("log")
        positions = np.log(places)
    if not numeric:
        ax.set_xlim(-0.5, len(values) - 0.5)
    order = np.argsort(positions)
    spans = np.diff(positions[order]) / (np.ptp(positions) + (not numeric))
    widths = np.array([len(names[k]) for k in order])
    fits = bool(np.all(room * spans >= (widths[:-1] + widths[1:]) / 2 + 1))
    if fits or not numeric:
        ax.set_xticks(places, names, **({} if fits else {"rotation": 30, "ha": "right"}))
        ax.set_xticks([], minor=True)
    else:
        ax.xaxis.set_major_formatter("{x:g}")


def told(estimate: Estimate | None) -> str:
    """``56.20 (50.10 to 61.90)``."""
    if estimate is None:
        return "nothing"
    value, low, high = estimate
    if low is None or high is None:
        return f"{value:.4g}"
    number, least, most = (f"{x:#.4g}".rstrip(".") for x in estimate)  # as many digits of each
    return f"{number} ({least} to {most})"


def _alt(parameter: str, values: Sequence[Any], panels: Mapping[str, Any], at: tuple[str, int] | None) -> str:
    words = []
    count = len(values) * sum(map(len, panels.values()))
    for quantity, lines in panels.items():
        for line, found in lines.items():
            if at is not None and at[0] != line:
                continue
            where = list(range(len(values))) if count <= MOST_TOLD else [0, len(values) - 1]
            where = [at[1]] if at is not None else where
            numbers = ", ".join(f"{told(found[index])} at {values[index]}" for index in where)
            words.append(f"{quantity}{f' ({line})' if line else ''}: {numbers}")
    head = f"{', '.join(panels)} against {parameter}"
    return f"{head}; marked is {'; '.join(words)}." if at else f"{head}. {'; '.join(words)}."
