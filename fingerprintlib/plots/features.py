"""Figures that show what features tell apart."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..distances import FrechetRatio, neighbours_alike
from ..notebook import Plot
from .style import PALETTE, colour_of, legend_below, marker_of, new_axes, new_figure, styled


@styled
def embedding(points: Mapping[str, NDArray[np.floating]], labels: NDArray[np.integer], names: Sequence[str]) -> Plot:
    """Maps of the same images by different features, side by side; a marker an image.

    Args:
        points: features to positions ``[N, 2]``.
        labels: int ``[N]``, indices of `names`.
        names: the sources.
    """
    figure = new_figure(3.7)
    axes = new_axes(figure, 1, len(points))[0]
    for ax, (title, places) in zip(axes, points.items(), strict=True):
        for k, name in enumerate(names):
            mine = places[labels == k]
            edge = {"mfc": colour_of(k), "mec": "white", "mew": 0.3}
            ax.plot(mine[:, 0], mine[:, 1], marker_of(k), ms=4, label=name, **edge)
        ax.set(title=title, xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    legend_below(figure, *axes[0].get_legend_handles_labels())
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
    figure = new_figure(0.42 * len(rows + theirs) + 1.0)
    ax = new_axes(figure)[0, 0]
    words = []
    for which, (condition, ratios) in enumerate(found.items()):
        for space, value in ratios.items():
            y = rows.index(space) + 0.6 * ((which + 0.5) / len(found) - 0.5)
            low, high = value.interval
            colour = (PALETTE[1], PALETTE[2], PALETTE[0])[which % 3]
            ax.plot([low, high], [y, y], color=colour, lw=2)
            ax.plot(value.ratio, y, marker_of(which), color=colour, ms=5)
            ax.annotate(f"{value.ratio:.3g}", (high, y), (5, 0), textcoords="offset points", va="center", size=7.5)
            words.append(f"{space}, {condition}: {value.ratio:.3g}")
        ax.plot([], [], marker_of(which), color=(PALETTE[1], PALETTE[2], PALETTE[0])[which % 3], label=condition)
    for y, (name, reported) in enumerate((paper or {}).items(), len(rows)):
        ax.plot(reported, y, "D", mfc="none", mec="0.35", ms=6)
        ax.annotate(f"{reported:g}", (reported, y), (7, 0), textcoords="offset points", va="center", size=7.5)
        words.append(f"the paper's {name}: {reported:g}")
    ax.axvline(1, color="0.45", lw=1, ls=":")
    ax.set(xscale="log", xlabel="distance between classes / within a class", ylim=(len(rows + theirs) - 0.5, -0.6))
    ax.set_yticks(range(len(rows + theirs)), [*rows, *theirs])
    low, high = ax.get_xlim()
    ax.set_xlim(min(0.8, low), high * 1.6)
    ax.xaxis.set_major_formatter("{x:g}")
    legend_below(figure, *ax.get_legend_handles_labels())
    return Plot(figure, f"Ratios of Fréchet distances between classes to those within a class. {'; '.join(words)}.")


@styled
def against_number(curves: Mapping[str, Mapping[int, float]], what: str) -> Plot:
    """Lines over the number of images, both axes logarithmic.

    Args:
        curves: name to number of images to value.
        what: the quantity, for the axis.
    """
    figure = new_figure(2.5)
    ax = new_axes(figure)[0, 0]
    for k, (name, values) in enumerate(curves.items()):
        colour, marker = colour_of(k), marker_of(k)
        ax.plot(list(values), list(values.values()), color=colour, marker=marker, ms=4, lw=1.2, label=name)
    ax.set(xscale="log", yscale="log", xlabel="images in each set", ylabel=what)
    numbers = sorted({number for values in curves.values() for number in values})
    ax.set_xticks(numbers, [str(number) for number in numbers])
    ax.set_xticks([], minor=True)
    legend_below(figure, *ax.get_legend_handles_labels())
    words = "; ".join(
        f"{name} from {next(iter(values.values())):.3g} to {list(values.values())[-1]:.3g}"
        for name, values in curves.items()
    )
    return Plot(figure, f"{what}, from {numbers[0]} to {numbers[-1]} images in each set: {words}.")
