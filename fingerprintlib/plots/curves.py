"""Figures of accuracy, or another quantity, against what was varied: a size, a strength, a number, training."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from ..statistics.intervals import Interval
from .axes import beside, even_columns, legend_below, listed, lower_end, new_ax, new_axes, new_panels, new_row
from .style import MARKERS, NARROW, REFERENCE, Plot, accent_of, colour_of, dash_of, marker_of, styled

Curve = Mapping[int, tuple[float, Interval]]  # x -> accuracy in [0, 1] and its interval
#: Strength, accuracy in [0, 1] and its interval.
Points = Sequence[tuple[float, float, Interval]]


@styled
def persistence(
    curves: Mapping[str, Mapping[str, Curve]],
    paper: Mapping[str, Mapping[str, Mapping[int, float]]],
    what: str,
    chance: float | Mapping[str, float],
    falling: bool = False,
    log: bool = True,
) -> Plot:
    """Accuracy with intervals against a size, and the paper's figures beside it; panels one below the other.

    Args:
        curves: panel to line to curve.
        paper: panel to line to what the paper reports, in per cent.
        what: the size, for the axis.
        chance: accuracy of guessing, in [0, 1], where it is not the same for all by panel.
        falling: the largest size at the left.
        log: whether the axis is logarithmic.
    """
    height = 0.6 + 2.0 * len(curves)
    figure, axes = new_axes(height, len(curves), width=NARROW, sharex=True, sharey=True)
    axes = axes[:, 0]
    names = list(dict.fromkeys(name for lines in curves.values() for name in lines))  # one look in all panels
    guessing = chance if isinstance(chance, Mapping) else dict.fromkeys(curves, chance)
    words, ticks, shown, lowest = {}, set(), {}, []
    places = [x for lines in curves.values() for curve in lines.values() for x in curve]
    span = np.log(max(places) / min(places)) if log else max(places) - min(places)
    for ax, (panel, lines) in zip(axes, curves.items(), strict=True):
        for k, (name, points) in enumerate(paper.get(panel, {}).items()):
            reported = {"color": "0.55", "marker": "ds"[k % 2], "mfc": "white", "ms": 4.5, "lw": 1}  # dots are chance
            (shown[name],) = ax.plot(list(points), list(points.values()), **reported)
            ticks |= set(points)
            lowest.append(min(points.values()))
        for name, curve in lines.items():
            k = names.index(name)
            values, low, high = 100 * np.array([(accuracy, *interval) for accuracy, interval in curve.values()]).T
            style = {"color": accent_of(k), "marker": marker_of(k), "ms": 4.5, "lw": 1.4, "capsize": 2}
            style["ls"] = ("-", "-", "-", "-.")[k % 4]
            aside = beside(k, len(names), 0.008 * span)  # so that bars do not hide bars
            x = np.array(list(curve)) * np.exp(aside) if log else np.array(list(curve)) + aside
            shown[name] = ax.errorbar(x, values, (values - low, high - values), **style)
            ticks |= set(curve)
            lowest += [*values]
            told = [f"{value:.1f} at {x}" for x, value in zip(curve, values, strict=True)]
            words[f"{panel}, {name}" if panel else name] = told
        shown["chance"] = ax.axhline(100 * guessing[panel], **REFERENCE)
        ax.set(xscale="log" if log else "linear", ylabel="attribution accuracy, %", title=panel)
    ordered = sorted(ticks)
    # In a logarithmic axis the label of a size that is little larger than the last would touch that of the last.
    near = [log and n > 0 and tick < 1.2 * ordered[n - 1] for n, tick in enumerate(ordered)]
    axes[0].set_xticks(ordered, ["" if n else str(tick) for tick, n in zip(ordered, near, strict=True)])
    axes[0].set_xticks([], minor=True)
    if falling:
        axes[0].invert_xaxis()
    axes[-1].set_xlabel(what)
    shares = ", ".join(dict.fromkeys(f"{100 * share:.0f} %" for share in guessing.values()))
    bottom = lower_end(lowest)
    axes[0].set_ylim(bottom, 105 - 0.05 * bottom)  # marks at 100 are whole
    line = shown.pop("chance")
    if bottom > 0:
        _chance_below(axes[0], shares)
    else:
        shown["chance"] = line  # the last
    legend_below(figure, shown, columns=even_columns(shown, width=NARROW))
    return Plot(figure, f"Accuracy in per cent against {what}. {listed(words)}. Chance: {shares}.")


@styled
def against_strength(
    curves: Mapping[str, tuple[str, tuple[float, float], Mapping[str, Points]]], chance: float
) -> Plot:
    """Accuracy by strength with 95 % intervals, a panel an attack, a line a method.

    Args:
        curves: attack to the unit of its strength, the range that it is drawn from (shaded), and method to points; from
            left to right as given, evenly spaced.
        chance: accuracy of guessing, in [0, 1].
    """
    figure, axes = new_panels(len(curves), 3, 2.1, sharey=True)
    figure.set_layout_engine("constrained", h_pad=0.08)  # a title is nearer to its panel than to the one above
    words = []
    for ax, (name, (unit, drawn, lines)) in zip(axes, curves.items(), strict=True):
        strengths = [point[0] for point in next(iter(lines.values()))]
        order = np.argsort(strengths)
        left, right = np.sort(np.interp(drawn, np.array(strengths)[order], order))
        ax.axvspan(left - 0.06, right + 0.06, color="0.9", lw=0)
        for k, (method, points) in enumerate(lines.items()):
            places = np.arange(len(points)) + beside(k, len(lines), 0.08)
            values, low, high = 100 * np.array([(accuracy, *interval) for _, accuracy, interval in points]).T
            ax.vlines(places, low, high, color=accent_of(k), lw=1)
            style = {"marker": marker_of(k), "color": accent_of(k), "ls": dash_of(k), "ms": 4, "lw": 1.1}
            ax.plot(places, values, **style, label=method)
            words.append(f"{name}, {method}: from {values[0]:.0f} % to {values[-1]:.0f} %")
        ax.axhline(100 * chance, **REFERENCE, label="chance")
        ax.set_xticks(range(len(strengths)), [f"{strength:g}" for strength in strengths])
        ax.set_xlabel(unit, fontsize=8)
        ax.set(title=name, ylim=(0, 104))
    for ax in axes[::3]:
        ax.set_ylabel("accuracy, %")
    legend_below(figure)
    return Plot(
        figure,
        f"Attribution accuracy by strength of the attack, leftmost to rightmost. {'; '.join(words)}. "
        f"Chance: {100 * chance:.0f} %.",
    )


@styled
def choices(found: Mapping[str, tuple[str, Mapping[str, Sequence[tuple[float, float]]]]], chance: float) -> Plot:
    """Validation accuracy by setting, a panel a method, a line a condition; the chosen setting is filled.

    Args:
        found: method to what its setting is called, and condition to the settings with their accuracies in [0, 1].
        chance: accuracy of guessing, in [0, 1].
    """
    figure, axes = new_row(2.4, len(found), sharey=True)
    words = []
    for ax, (method, (setting, lines)) in zip(axes, found.items(), strict=True):
        for k, (condition, points) in enumerate(lines.items()):
            x, y = np.array(points, float).T
            style = {"marker": marker_of(k), "color": accent_of(k), "ms": 5}
            ax.plot(x, 100 * y, **style, mfc="white", lw=1.1, ls=dash_of(k), label=condition)
            best = int(y.argmax())
            ax.plot(x[best], 100 * y[best], **style)
            words.append(f"{method}, {condition}: {100 * y[best]:.0f} % at {x[best]:g}")
        ax.axhline(100 * chance, **REFERENCE, label="chance")
        ax.set(xscale="log", xlabel=setting, title=method, ylim=(0, 103))
        ax.minorticks_off()
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}" if x < 1000 else f"{x / 1000:g}k")
    axes[0].set_ylabel("validation accuracy, %")
    legend_below(figure)
    return Plot(figure, f"Validation accuracy by setting. Chosen: {'; '.join(words)}. Chance: {100 * chance:.0f} %.")


@styled
def training_curves(histories: Mapping[str, Sequence[Mapping[str, float]]], chance: float) -> Plot:
    """Validation accuracy against steps, a line for each name; what was ``trained here`` looks unlike all others."""
    columns = even_columns([*histories, "chance"], 3, NARROW)
    figure, ax = new_ax(2.2 + 0.18 * -(-(1 + len(histories)) // columns), NARROW)
    for k, (name, history) in enumerate(histories.items()):
        steps = [point["step"] for point in history]
        values = [100 * point["validation_accuracy"] for point in history]
        style = {"color": colour_of(1 + k), "marker": marker_of(k), "ls": dash_of(k // len(MARKERS))}
        if name.endswith("trained here"):
            style = {"color": "0.3", "marker": "x", "ls": "-"}
        ax.plot(steps, values, **style, ms=4, lw=1.2, label=name)
    bottom = lower_end([100 * point["validation_accuracy"] for history in histories.values() for point in history])
    if bottom > 0:
        _chance_below(ax, f"{100 * chance:.0f} %")
    else:
        ax.axhline(100 * chance, **REFERENCE, label="chance")
    ax.set(xlabel="training steps", ylabel="validation accuracy, %", ylim=(bottom, 103 - 0.03 * bottom))
    legend_below(figure, columns=columns)
    ends = ", ".join(f"{name} ends at {100 * h[-1]['validation_accuracy']:.0f} %" for name, h in histories.items())
    return Plot(figure, f"Validation accuracy during training: {ends}; chance is {100 * chance:.0f} %.")


@styled
def accuracy_by_number(curves: Mapping[str, Mapping[int, tuple[float, float, float]]]) -> Plot:
    """Accuracy against the number of sources to choose from, chance beside it.

    Args:
        curves: name to number to mean, lowest and highest accuracy in [0, 1]; the last two are drawn as bars.
    """
    figure, ax = new_ax(2.7)
    numbers = sorted({number for values in curves.values() for number in values})
    for k, (name, values) in enumerate(curves.items()):
        x = np.array(list(values)) + beside(k, len(curves), 0.06)  # so that bars do not hide bars
        mean, low, high = 100 * np.array(list(values.values())).T
        errors = {"yerr": (mean - low, high - mean), "capsize": 2.5, "elinewidth": 1}
        look = {"color": colour_of(k + 1), "marker": marker_of(k), "ls": dash_of(k)}
        ax.errorbar(x, mean, **look, ms=5, lw=1.2, label=name, **errors)
    bottom = lower_end([100 * mean for values in curves.values() for mean, *_ in values.values()])
    if bottom > 0:
        bottom = min(bottom, 5 * min(100 * low // 5 for values in curves.values() for _, low, _ in values.values()))
        _chance_below(ax, f"{100 / numbers[0]:.0f} to {100 / numbers[-1]:.0f} %")
    else:
        ax.plot(numbers, [100 / number for number in numbers], **REFERENCE, marker=".", ms=4, label="chance")
    ax.set(xlabel="sources to choose from", ylabel="attribution accuracy, %", ylim=(bottom, 103 - 0.03 * bottom))
    ax.set_xticks(numbers)
    ax.set_xlim(numbers[0] - 0.4, numbers[-1] + 0.4)
    legend_below(figure)
    words = listed(
        {name: [f"{n}: {100 * mean:.1f} %" for n, (mean, *_) in curve.items()] for name, curve in curves.items()}
    )
    return Plot(figure, f"Mean accuracy by the number of sources to choose from. {words}. Chance falls as one over it.")


@styled
def against_number(curves: Mapping[str, Mapping[int, float]], what: str) -> Plot:
    """Lines over the number of images, both axes logarithmic.

    Args:
        curves: name to number of images to value.
        what: the quantity, for the axis.
    """
    figure, ax = new_ax(2.4, NARROW)
    for k, (name, values) in enumerate(curves.items()):
        ax.plot(*zip(*values.items(), strict=True), color=colour_of(k), marker=marker_of(k), ms=4, lw=1.2, label=name)
    ax.set(xscale="log", yscale="log", xlabel="images in each set", ylabel=what)
    ax.margins(y=0.1)  # marks at the edge are whole
    numbers = sorted({number for values in curves.values() for number in values})
    ax.set_xticks(numbers, [str(number) for number in numbers])
    ax.set_xticks([], minor=True)
    legend_below(figure)
    ends = {name: list(values.values()) for name, values in curves.items()}
    words = "; ".join(f"{name} from {values[0]:.3g} to {values[-1]:.3g}" for name, values in ends.items())
    return Plot(figure, f"{what}, from {numbers[0]} to {numbers[-1]} images in each set: {words}.")


def _chance_below(ax: Axes, chance: str) -> None:
    """Say where chance is, on an axis that does not reach down to it."""
    ax.text(0.01, 0.03, f"\N{DOWNWARDS ARROW} chance, {chance}", transform=ax.transAxes, size=8, color="0.35")
