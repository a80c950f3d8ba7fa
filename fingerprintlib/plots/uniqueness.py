"""Figures of sources that are nearly alike: who is near whom, who passes for whom."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..statistics.intervals import Interval, told
from .axes import Floats, estimate, legend_below, new_row
from .style import PALETTE, REFERENCE, Plot, colour_of, dash_of, marker_of, styled


@styled
def dendrograms(distances: Mapping[str, Floats], names: Sequence[str], what: Sequence[str]) -> Plot:
    """Trees of sources, side by side: two are joined where the branches meet, groups at their mean distance.

    The axis is logarithmic where the nearest are ten times nearer than the farthest; it then ends short of 0.

    Args:
        distances: title to a symmetric matrix ``[K, K]``, K at least 2; the diagonal does not count.
        names: of the K sources.
        what: the quantity of each tree, for its axis.
    """
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    figure, axes = new_row(0.22 * len(names) + 1.0, len(distances))
    words = []
    for ax, (title, matrix), label in zip(axes, distances.items(), what, strict=True):
        apart = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
        joined = linkage(squareform(apart), "average")
        tree = dendrogram(joined, labels=list(names), no_plot=True)
        nearest, farthest = joined[[0, -1], 2]
        wide = 10 * nearest < farthest and nearest > 0  # on a linear axis, the near ones would be one line
        foot = nearest / 1.5 if wide else 0.0
        for heights, places in zip(tree["dcoord"], tree["icoord"], strict=True):
            ax.plot(np.maximum(heights, foot), places, color=PALETTE[1], lw=1.3)
        ax.set_yticks(10 * np.arange(len(names)) + 5, tree["ivl"], size=8)
        if wide:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlim((1.2 if wide else 1.03) * max(farthest, 1e-9), foot)
        ax.yaxis.tick_right()
        ax.set(title=title, xlabel=f"{label}, logarithmic" if wide else label)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        first, second = (names[int(k)] for k in joined[0, :2])
        words.append(
            f"{title}: nearest are {first} and {second} at {joined[0, 2]:.3g}; all are one at {joined[-1, 2]:.3g}"
        )
    return Plot(figure, f"Trees of {', '.join(names)} by distance. {'; '.join(words)}.")


@styled
def roc_curves(
    curves: Mapping[str, tuple[Floats, Floats]],
    rates: Mapping[str, float],
    intervals: Mapping[str, Interval],
) -> Plot:
    """The share of the genuine that is accepted against that of the impostors, and the equal error rates.

    Curves of many sources lie on one another. So only the best and the worst are drawn with their marker and name, all
    others as thin grey lines; beside them every source has its rate, the best one on top.

    Args:
        curves: name to the shares of impostors and of genuine that are accepted, in [0, 1].
        rates: name to the equal error rate in [0, 1]; it is where the line meets the falling diagonal.
        intervals: name to the rate's interval.

    Where all rates are below 10 %, only the upper left corner is shown, in which the lines are.
    """
    order = sorted(rates, key=lambda name: rates[name])
    widest = 100 * rates[order[-1]]
    side = 100 if widest >= 10 else max(3 * np.ceil(widest), 1)  # of the corner, in per cent
    figure, (ax, beside) = new_row(max(3.4, 0.2 * len(order) + 1.0), 2)
    ax.plot([0, 100], [0, 100], **REFERENCE)
    ax.plot([0, 100], [100, 0], color="0.75", lw=0.8)
    for name in order[1:-1]:
        impostors, accepted = curves[name]
        ax.plot(100 * impostors, 100 * accepted, color="0.7", lw=0.7)
    for k, name in enumerate(dict.fromkeys((order[0], order[-1]))):
        (impostors, accepted), look = curves[name], {"color": colour_of(k + 1), "ls": dash_of(k)}
        ax.plot(100 * impostors, 100 * accepted, lw=1.6, **look)
        what = ("best", "worst")[k] + f": {name}"
        ax.plot(100 * rates[name], 100 * (1 - rates[name]), marker_of(k), ms=6, lw=1.6, label=what, **look)
    ax.set(xlabel="impostors accepted, %", ylabel="genuine accepted, %", aspect="equal")
    ax.set(xlim=(-side / 100, 1.01 * side), ylim=(100 - 1.01 * side, 100 + side / 100))
    legend_below(figure)
    for y, name in enumerate(order):
        low, high = intervals[name]
        estimate(beside, y, 100 * rates[name], (100 * low, 100 * high), "o", PALETTE[0], 4)
    beside.set_yticks(range(len(order)), order, size=8)
    beside.set(xlabel="equal error rate, %", ylim=(len(order) - 0.4, -0.6))
    beside.set_xlim(left=0)
    words = ", ".join(f"{name} {told(rates[name], intervals[name])} %" for name in order)
    return Plot(figure, f"Curves of genuine against impostors accepted. Equal error rates: {words}; guessing is 50 %.")
