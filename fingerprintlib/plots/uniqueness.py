"""Figures of sources that are nearly alike: who is near whom, how many can be told apart, who passes for whom."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..notebook import Plot
from .style import PALETTE, colour_of, legend_below, marker_of, new_axes, new_figure, styled


@styled
def dendrograms(distances: Mapping[str, NDArray[np.floating]], names: Sequence[str], what: Sequence[str]) -> Plot:
    """Trees of sources, side by side: two are joined where the branches meet, groups at their mean distance.

    Args:
        distances: title to a symmetric matrix ``[K, K]``, K at least 2; the diagonal does not count.
        names: of the K sources.
        what: the quantity of each tree, for its axis.
    """
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    figure = new_figure(0.22 * len(names) + 1.0)
    axes = new_axes(figure, 1, len(distances))[0]
    words = []
    for ax, (title, matrix), label in zip(axes, distances.items(), what, strict=True):
        apart = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
        joined = linkage(squareform(apart), "average")
        tree = dendrogram(joined, labels=list(names), no_plot=True)
        for heights, places in zip(tree["dcoord"], tree["icoord"], strict=True):
            ax.plot(heights, places, color=PALETTE[1], lw=1.3)
        ax.set_yticks(10 * np.arange(len(names)) + 5, tree["ivl"], size=8)
        ax.set_xlim(1.03 * max(joined[-1, 2], 1e-9), 0)
        ax.yaxis.tick_right()
        ax.set(title=title, xlabel=label)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        first, second = (names[int(k)] for k in joined[0, :2])
        words.append(
            f"{title}: nearest are {first} and {second} at {joined[0, 2]:.3g}; all are one at {joined[-1, 2]:.3g}"
        )
    return Plot(figure, f"Trees of {', '.join(names)} by distance. {'; '.join(words)}.")


@styled
def accuracy_by_number(curves: Mapping[str, Mapping[int, tuple[float, float, float]]]) -> Plot:
    """Accuracy against the number of sources to choose from, chance beside it.

    Args:
        curves: name to number to mean, lowest and highest accuracy in [0, 1]; the last two are drawn as bars.
    """
    figure = new_figure(2.7)
    ax = new_axes(figure)[0, 0]
    numbers = sorted({number for values in curves.values() for number in values})
    for k, (name, values) in enumerate(curves.items()):
        x = np.array(list(values)) + 0.06 * (k - (len(curves) - 1) / 2)  # side by side, so that bars do not hide bars
        mean, low, high = 100 * np.array(list(values.values())).T
        errors = {"yerr": (mean - low, high - mean), "capsize": 2.5, "elinewidth": 1}
        ax.errorbar(x, mean, color=colour_of(k + 1), marker=marker_of(k), ms=5, lw=1.2, label=name, **errors)
    chance = [100 / number for number in numbers]
    ax.plot(numbers, chance, color="0.45", lw=1, ls=":", marker=".", ms=4, label="chance")
    ax.set(xlabel="sources to choose from", ylabel="attribution accuracy, %", ylim=(0, 103))
    ax.set_xticks(numbers)
    ax.set_xlim(numbers[0] - 0.4, numbers[-1] + 0.4)
    legend_below(figure, *ax.get_legend_handles_labels())
    words = "; ".join(
        f"{name}: " + ", ".join(f"{number}: {100 * value[0]:.1f} %" for number, value in values.items())
        for name, values in curves.items()
    )
    return Plot(figure, f"Mean accuracy by the number of sources to choose from. {words}. Chance falls as one over it.")


@styled
def roc_curves(
    curves: Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]], rates: Mapping[str, float]
) -> Plot:
    """The share of the genuine that is accepted against that of the impostors, a line a source.

    Args:
        curves: name to the shares of impostors and of genuine that are accepted, in [0, 1].
        rates: name to the equal error rate in [0, 1]; it is where the line meets the falling diagonal.
    """
    figure = new_figure(3.4)
    ax = new_axes(figure)[0, 0]
    for k, (name, (impostors, accepted)) in enumerate(curves.items()):
        label = f"{name}: {100 * rates[name]:.1f} %"
        ax.plot(100 * impostors, 100 * accepted, color=colour_of(k), lw=1.3, ls=("-", "--", "-.", ":")[k % 4])
        ax.plot(100 * rates[name], 100 * (1 - rates[name]), marker_of(k), color=colour_of(k), ms=6, label=label)
    ax.plot([0, 100], [0, 100], color="0.45", lw=1, ls=":")
    ax.plot([0, 100], [100, 0], color="0.75", lw=0.8)
    ax.set(xlabel="impostors accepted, %", ylabel="genuine accepted, %", xlim=(-1, 101), ylim=(-1, 101), aspect="equal")
    ax.legend(title="equal error rate", loc="center left", bbox_to_anchor=(1.05, 0.5))
    words = ", ".join(f"{name} {100 * rate:.1f} %" for name, rate in rates.items())
    return Plot(figure, f"Curves of genuine against impostors accepted. Equal error rates: {words}; guessing is 50 %.")
