"""How far fingerprints reach: into frequency bands, into patches."""

from collections.abc import Mapping

import numpy as np

from ..notebook import Plot
from .style import PALETTE, legend_below, marker_of, new_axes, new_figure, styled

Curve = Mapping[int, tuple[float, tuple[float, float]]]  # x -> accuracy in [0, 1] and its interval


@styled
def persistence(
    curves: Mapping[str, Mapping[str, Curve]],
    paper: Mapping[str, Mapping[str, Mapping[int, float]]],
    what: str,
    chance: float,
    falling: bool = False,
    log: bool = True,
) -> Plot:
    """Accuracy with intervals against a size, and the paper's figures beside it.

    Args:
        curves: panel to line to curve.
        paper: panel to line to what the paper reports, in per cent.
        what: the size, for the axis.
        chance: accuracy of guessing, in [0, 1].
        falling: the largest size at the left.
        log: whether the axis is logarithmic.
    """
    figure = new_figure(3.0)
    axes = new_axes(figure, 1, len(curves), sharex=True, sharey=True)[0]
    names = list(dict.fromkeys(name for lines in curves.values() for name in lines))  # one look in all panels
    words = []
    for ax, (panel, lines) in zip(axes, curves.items(), strict=True):
        theirs = paper.get(panel, {})
        for k, (name, points) in enumerate(theirs.items()):
            reported = {"color": "0.55", "ls": (":", "--")[k % 2], "marker": "d", "mfc": "white", "ms": 4.5, "lw": 1}
            ax.plot(list(points), list(points.values()), **reported, label=name)
        for name, curve in lines.items():
            k = names.index(name)
            colour = (PALETTE[1], PALETTE[2], PALETTE[0], PALETTE[3], PALETTE[4])[k % 5]
            values = 100 * np.array([[accuracy, *interval] for accuracy, interval in curve.values()])
            errors = np.abs(values[:, 1:] - values[:, :1]).T
            style = {"color": colour, "marker": marker_of(k), "ms": 4.5, "lw": 1.4, "capsize": 2}
            ax.errorbar(list(curve), values[:, 0], errors, **style, ls=("-", "-", "-", "-.")[k % 4], label=name)
            told = ", ".join(f"{accuracy:.1f} at {x}" for x, accuracy in zip(curve, values[:, 0], strict=True))
            words.append(f"{panel}, {name}: {told}" if panel else f"{name}: {told}")
        ax.axhline(100 * chance, color="0.45", lw=1, ls=":")
        ax.set(xscale="log" if log else "linear", xlabel=what, title=panel, ylim=(0, 104))
    shown = [points for panel, lines in curves.items() for points in (*lines.values(), *paper.get(panel, {}).values())]
    ticks = sorted({x for points in shown for x in points})
    near = [
        log and n > 0 and tick < 1.25 * ticks[n - 1] for n, tick in enumerate(ticks)
    ]  # its label would touch the last one
    axes[0].set_xticks(ticks, ["" if n else str(tick) for tick, n in zip(ticks, near, strict=True)])
    axes[0].set_xticks([], minor=True)
    if falling:
        axes[0].invert_xaxis()
    axes[0].set_ylabel("attribution accuracy, %")
    axes[0].annotate("chance", (axes[0].get_xlim()[0], 100 * chance), (3, 3), textcoords="offset points", size=7.5)
    legend_below(figure, *axes[0].get_legend_handles_labels())
    return Plot(figure, f"Accuracy in per cent against {what}. {'; '.join(words)}. Chance: {100 * chance:.0f} %.")
