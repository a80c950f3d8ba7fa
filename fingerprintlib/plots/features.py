"""Figures that show what features tell apart."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..statistics.distances import FrechetRatio, neighbours_alike
from .axes import Floats, bare, beside, estimate, legend_below, new_ax, new_row, note
from .style import NARROW, REFERENCE, Plot, accent_of, colour_of, marker_of, styled


@styled
def embedding(points: Mapping[str, Floats], labels: NDArray[np.integer], names: Sequence[str]) -> Plot:
    """Maps of the same images by different features, side by side; a marker an image.

    Args:
        points: features to positions ``[N, 2]``.
        labels: int ``[N]``, indices of `names`.
        names: the sources.
    """
    figure, axes = new_row(3.7, len(points))
    for ax, (title, places) in zip(axes, points.items(), strict=True):
        for k, name in enumerate(names):
            mine = places[labels == k]
            edge = {"mfc": colour_of(k), "mec": "white", "mew": 0.3}
            ax.plot(mine[:, 0], mine[:, 1], marker_of(k), ms=4, label=name, **edge)
        ax.set_title(title)
        bare(ax)
    legend_below(figure)
    shares = "; ".join(f"{title} {neighbours_alike(places, labels):.0%}" for title, places in points.items())
    return Plot(
        figure,
        f"Maps of {len(labels)} images of {', '.join(names)}, near where features are alike. Share of the images "
        f"whose nearest neighbour on the map is of the same source: {shares}.",
    )


@styled
def frechet_ratios(found: Mapping[str, Mapping[str, FrechetRatio]], paper: Mapping[str, float] | None = None) -> Plot:
    """Inter-class over intra-class Frechet distances, a row a kind of features, logarithmic; 1 is marked.

    Args:
        found: condition to features to the ratio.
        paper: features to the paper's ratio, drawn as diamonds in rows of their own.
    """
    rows = list(dict.fromkeys(space for ratios in found.values() for space in ratios))
    theirs = [f"the paper's {name}" for name in paper or {}]
    most = {space: [condition for condition, ratios in found.items() if space in ratios] for space in rows}
    tall = [0.2 * len(conditions) + 0.3 for conditions in most.values()] + [0.5] * len(theirs)  # inches
    figure, ax = new_ax(sum(tall) + 0.9, NARROW)
    feet = np.cumsum(tall)
    middles = feet - np.array(tall) / 2 + 0.1
    words = []
    for which, (condition, ratios) in enumerate(found.items()):
        for space, value in ratios.items():
            y = middles[rows.index(space)] + beside(most[space].index(condition), len(most[space]), 0.2)
            estimate(ax, y, value.ratio, value.interval, marker_of(which), accent_of(which))
            note(ax, f"{value.ratio:.3g}", (value.interval[1], y), (5, 0), va="center")
            words.append(f"{space}, {condition}: {value.ratio:.3g}")
        ax.plot([], [], marker_of(which), color=accent_of(which), label=condition)
    for y, (name, reported) in zip(middles[len(rows) :], (paper or {}).items(), strict=True):
        ax.plot(reported, y, "D", mfc="none", mec="0.35", ms=6)
        note(ax, f"{reported:g}", (reported, y), (7, 0), va="center")
        words.append(f"the paper's {name}: {reported:g}")
    ax.axvline(1, **REFERENCE)
    ax.set(
        xscale="log",
        xlabel="distance between two sources / within one, logarithmic",
        ylim=(sum(tall), 0),
    )
    low, high = ax.get_xlim()
    ax.set_xlim(min(0.8, low), high * 2.2)
    ax.set_yticks([])
    for foot, height, name in zip(feet, tall, [*rows, *theirs], strict=True):  # above its marks, as in `accuracies`
        note(ax, name, (ax.get_xlim()[0], foot - height + 0.13), (4, 0), va="center", size=9)
    ax.hlines(feet[:-1], *ax.get_xlim(), color="0.9", lw=0.8, zorder=0)
    ax.xaxis.set_major_formatter("{x:g}")
    legend_below(figure)
    return Plot(figure, f"Ratios of Fréchet distances between two sources to those within one. {'; '.join(words)}.")
