"""Figures of attacked images: what an attack does to them, and to their attribution."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..images import Pixels
from ..metrics import Interval
from ..notebook import Plot
from .style import PALETTE, WIDTH, heatmap, legend_below, marker_of, new_axes, new_figure, styled

#: Strength, accuracy in [0, 1] and its interval.
Points = Sequence[tuple[float, float, Interval]]
LINES = ("-", "--", "-.")


@styled
def picture_table(rows: Mapping[str, Mapping[str, Pixels]], what: str) -> Plot:
    """Pictures in rows and columns, both named; a row may lack some.

    Args:
        rows: title of the row to title of the column to uint8 ``[H, W, 3]``.
        what: what there is to see, for those who cannot.
    """
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    figure = new_figure((WIDTH - 0.2) / max(len(columns), 4) * len(rows) + 0.3)
    axes = new_axes(figure, len(rows), max(len(columns), 4))
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for line, (title, pictures) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(title)
        for ax, column in zip(line, columns, strict=False):
            if column in pictures:
                ax.imshow(pictures[column], interpolation="nearest")
    for ax, column in zip(axes[0], columns, strict=False):
        ax.set_title(column, fontsize=8)
    return Plot(figure, f"{what}. Rows: {', '.join(rows)}. Columns: {', '.join(columns)}.")


@styled
def spectrum_changes(changes: Mapping[str, NDArray[np.floating]], columns: int = 4) -> Plot:
    """By how much each attack changes the power at each frequency, frequency 0 in the middle, one scale for all.

    Args:
        changes: attack to float ``[H, W]``: the decimal logarithm of power after over power before.
        columns: panels side by side.
    """
    rows = -(-len(changes) // columns)
    figure = new_figure(0.3 + 1.75 * rows)
    axes = new_axes(figure, rows, columns)
    words = []
    for ax in axes.flat[len(changes) :]:
        ax.axis("off")
    for ax, (name, change) in zip(axes.flat, changes.items(), strict=False):
        extent = (-0.5, 0.5, 0.5, -0.5)
        shown = ax.imshow(change, cmap="PuOr_r", vmin=-2, vmax=2, interpolation="nearest", extent=extent)
        ax.set_title(name)
        ax.set(xticks=[-0.5, 0, 0.5], yticks=[])
        ax.xaxis.set_major_formatter("{x:g}")
        height, width = change.shape
        down, across = (np.abs(np.fft.fftshift(np.fft.fftfreq(side))) for side in (height, width))
        high = np.maximum(down[:, None], across) >= 0.375
        words.append(f"{name} {10 ** float(change[high].mean()):.2g}")
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, ticks=[-2, -1, 0, 1, 2])
    bar.ax.set_yticklabels(["1/100", "1/10", "1", "10", "100"])
    bar.set_label("power after / before")
    figure.supxlabel("frequency, cycles a pixel", fontsize=9)
    return Plot(figure, f"Change of the power spectra by attack. Typical factor at the highest: {', '.join(words)}.")


@styled
def against_strength(
    curves: Mapping[str, tuple[str, tuple[float, float], Mapping[str, Points]]], chance: float, columns: int = 3
) -> Plot:
    """Accuracy by strength with 95 % intervals, a panel an attack, a line a method.

    Args:
        curves: attack to the unit of its strength, the range that it is drawn from (shaded), and method to points; from
            left to right as given, evenly spaced.
        chance: accuracy of guessing, in [0, 1].
        columns: panels side by side.
    """
    rows = -(-len(curves) // columns)
    figure = new_figure(0.3 + 2.0 * rows)
    axes = new_axes(figure, rows, columns, sharey=True)
    words = []
    for ax in axes.flat[len(curves) :]:
        ax.axis("off")
    for ax, (name, (unit, drawn, lines)) in zip(axes.flat, curves.items(), strict=False):
        strengths = [point[0] for point in next(iter(lines.values()))]
        order = np.argsort(strengths)
        left, right = np.sort(np.interp(drawn, np.array(strengths)[order], order))
        ax.axvspan(left - 0.06, right + 0.06, color="0.9", lw=0)
        for k, (method, points) in enumerate(lines.items()):
            places = np.arange(len(points)) + 0.08 * (k - (len(lines) - 1) / 2)
            values = 100 * np.array([accuracy for _, accuracy, _ in points])
            low, high = 100 * np.array([interval for *_, interval in points]).T
            colour = (PALETTE[1], PALETTE[2], PALETTE[0])[k % 3]
            ax.vlines(places, low, high, color=colour, lw=1)
            style = {"marker": marker_of(k), "color": colour, "ls": LINES[k % len(LINES)], "ms": 4, "lw": 1.1}
            ax.plot(places, values, **style, label=method)
            words.append(f"{name}, {method}: from {values[0]:.0f} % to {values[-1]:.0f} %")
        ax.axhline(100 * chance, color="0.45", lw=1, ls=":")
        ax.set_xticks(range(len(strengths)), [f"{strength:g}" for strength in strengths])
        ax.set_xlabel(unit, fontsize=8)
        ax.set(title=name, ylim=(0, 104))
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy, %")
    legend_below(figure, *axes.flat[0].get_legend_handles_labels())
    return Plot(
        figure,
        f"Attribution accuracy by strength of the attack, leftmost to rightmost. {'; '.join(words)}. "
        f"Chance: {100 * chance:.0f} %.",
    )


@styled
def transfer(accuracies: Mapping[str, Mapping[str, float]]) -> Plot:
    """How well each network does under each attack, per cent in the cells.

    Args:
        accuracies: what a network was finetuned on (row) to the attack that it meets (column) to accuracy in [0, 1].
    """
    rows, columns = list(accuracies), list(next(iter(accuracies.values())))
    values = 100 * np.array([[accuracies[row][column] for column in columns] for row in rows])
    figure = new_figure(0.36 * len(rows) + 1.3)
    ax = new_axes(figure)[0, 0]
    heatmap(ax, values, columns, "{:.0f}", rows, cmap="Purples", vmin=0, vmax=100, aspect="auto")
    ax.set(xlabel="attack that the images met", ylabel="finetuned on")
    told = "; ".join(
        f"{row}: " + ", ".join(f"{column} {value:.0f}" for column, value in zip(columns, line, strict=True))
        for row, line in zip(rows, values, strict=True)
    )
    return Plot(figure, f"Accuracy in per cent by what a network was finetuned on and the attack it meets. {told}.")
