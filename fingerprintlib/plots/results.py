"""Figures that show measurements."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.images import Pixels
from ..statistics.intervals import Interval
from .axes import Floats, beside, estimate, legend_below, listed, lower_end, new_ax, new_panels, new_row, note
from .style import FLOOR, NARROW, PALETTE, REFERENCE, WIDTH, Plot, accent_of, colour_of, dash_of, marker_of, styled


@styled
def losses(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Plot:
    """Discriminator and generator loss against real images seen, one panel a GAN, at most four side by side.

    A history without ``discriminator``, of a model that has no opponent, is one line.
    """
    lines: dict[str, Any] = {
        "discriminator": {"color": PALETTE[1], "ls": "-"},
        "generator": {"color": PALETTE[4], "ls": "--"},
    }
    columns = min(4, len(histories))
    width = NARROW if columns == 1 else WIDTH
    figure, axes = new_panels(len(histories), columns, 1.7, width=width)
    for ax, (name, history) in zip(axes, histories.items(), strict=True):
        seen = np.asarray(history["images"]) / 1000
        for network, style in lines.items():
            if network in history:
                ax.plot(seen, history[network], lw=1.2, label=network, **style)
        ax.set_title(name)
    for ax in axes[-columns:]:
        ax.set_xlabel("images (thousands)")
    for ax in axes[::columns]:
        ax.set_ylabel("loss")
    shown = {line.get_label(): line for ax in axes for line in ax.get_lines()}
    legend_below(figure, {network: shown[network] for network in lines if network in shown})
    ends = "; ".join(
        f"{name} ends at " + " and ".join(f"{history[network][-1]:.2f}" for network in lines if network in history)
        for name, history in histories.items()
    )
    return Plot(figure, f"Loss curves, discriminator solid and generator dashed: {ends}.")


MEASURES = {"frechet": "Fréchet"}  #: how the text writes the name of a distance, where it is not as it stands


@styled
def distances(found: Mapping[str, Mapping[str, Any]], floor: Mapping[str, float]) -> Plot:
    """Distances to held-out real images, a panel a measure, a row a source, and the floor as a line.

    Args:
        found: source to measure to the distance; ``errors``, where it has them, to the standard error of a measure.
        floor: measure to the distance between two halves of the real images.
    """
    figure, axes = new_row(0.25 * len(found) + 0.9, len(floor), sharey=True)
    for k, (ax, (measure, line)) in enumerate(zip(axes, floor.items(), strict=True)):
        errors = [values.get("errors", {}).get(measure, 0) for values in found.values()]
        ax.errorbar(
            [values[measure] for values in found.values()],
            range(len(found)),
            xerr=errors if any(errors) else None,
            fmt=marker_of(k),
            color=PALETTE[1 + k],
        )
        ax.axvline(line, **FLOOR)
        spelled = MEASURES.get(measure, measure)
        ax.set(xlabel=f"{spelled} distance to held-out real images", ylim=(len(found) - 0.5, -0.5))
        ax.set_xlim(left=min(0, ax.get_xlim()[0]))
        ax.text(line, -0.55, "floor", ha="center", va="bottom", fontsize=8, color="0.4")
        ax.grid(axis="x", color="0.9")
    axes[0].set_yticks(range(len(found)), list(found))
    words = {
        MEASURES.get(m, m): [*(f"{name} {d[m]:.2f}" for name, d in found.items()), f"floor {line:.2f}"]
        for m, line in floor.items()
    }
    return Plot(figure, f"Distances to held-out real images. {listed(words)}.")


@styled
def scales(found: Mapping[str, Mapping[str, float]]) -> Plot:
    """A line a source over groups of features, logarithmic; 1 is marked.

    Args:
        found: source to group to the distance in units of the floor.
    """
    figure, ax = new_ax(2.4)
    for k, (name, values) in enumerate(found.items(), 1):
        style: dict[str, Any] = {"color": colour_of(k), "marker": marker_of(k), "ms": 4, "lw": 1.2, "label": name}
        groups = [*values]
        sized = [group for group in groups if group.endswith("px")]
        for some in ([group for group in groups if group not in sized], sized):  # no line leads from colour to a size
            ax.plot([groups.index(group) for group in some], [values[group] for group in some], **style)
            style["label"] = None
    ax.set_xticks(range(len(groups)), groups)
    ax.axhline(1, **FLOOR)
    ax.set(yscale="log", ylabel="distance / floor (log)", xlabel="features of colour, or of details of this size")
    everything = [value for values in found.values() for value in values.values()]
    least, most = min(0.8, 0.9 * min(everything)), 1.3 * max(2, *everything)
    steps = (1, 1.5, 2, 3, 5, 7) if most < 10 * least else (1, 2, 5)
    ax.set_yticks([step * 10.0**power for power in range(-3, 4) for step in steps])
    ax.set_yticks([], minor=True)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylim(max(least, 1e-3), most)
    legend_below(figure)
    words = listed({name: [f"{group} {value:.1f}" for group, value in some.items()] for name, some in found.items()})
    return Plot(figure, f"Distances to held-out real images in units of the floor, by features. {words}.")


@styled
def accuracies(
    rows: Sequence[tuple[str, str, float, Interval]],
    chance: float | Mapping[str, float],
    what: str = "attribution accuracy on the test split",
) -> Plot:
    """Accuracies with their 95 % intervals, chance marked; if all are above 90 %, the axis begins near the lowest.

    Args:
        rows: method, condition, accuracy in [0, 1], interval; conditions become colours and markers.
        chance: accuracy of guessing, in [0, 1]; where it is not the same for all, by method.
        what: the share that is shown, for the axis.
    """
    methods = list(dict.fromkeys(row[0] for row in rows))
    conditions = list(dict.fromkeys(row[1] for row in rows))
    figure, ax = new_ax((0.32 + 0.15 * len(conditions)) * len(methods) + 0.9, NARROW)
    guessing = dict.fromkeys(methods, chance) if isinstance(chance, float | int) else chance
    places = [100 * guessing[method] for method in methods]
    told = ", ".join(dict.fromkeys(f"{place:.0f} %" for place in places))
    left = min(lower_end([100 * row[2] for row in rows]), *(100 * low // 5 * 5 for *_, (low, _) in rows))
    for method, condition, accuracy, (low, high) in rows:
        which = conditions.index(condition)
        y = methods.index(method) + 0.14 + beside(which, len(conditions), 0.56 / len(conditions))
        estimate(ax, y, 100 * accuracy, (100 * low, 100 * high), marker_of(which), accent_of(which))
        note(ax, f"{100 * accuracy:.1f}", (100 * high, y), (5, 0), va="center")
    for row, method in enumerate(methods):  # above its marks: on a phone there is no room beside them
        note(ax, method, (left, row - 0.31), (4, 0), va="center", size=9)
    for which, condition in enumerate(conditions):
        ax.plot([], [], marker=marker_of(which), color=accent_of(which), label=condition)
    ax.hlines(np.arange(len(methods) - 1) + 0.5, left, 100, color="0.9", lw=0.8)
    if left > 0:
        note(ax, f"\N{LEFTWARDS ARROW} chance, {told}", (left, -0.5), (0, 2), va="bottom", color="0.35")
    else:
        ax.vlines(places, np.arange(len(methods)) - 0.5, np.arange(len(methods)) + 0.5, **REFERENCE)
        note(ax, "chance", (places[0], -0.5), (0, 2), ha="center", va="bottom", color="0.35")
    ax.set(xlim=(left, 100 + 0.09 * (100 - left)), ylim=(len(methods) - 0.5, -0.5), xlabel=f"{what}, %", yticks=[])
    if len(conditions) > 1:
        legend_below(figure, columns=3)
    words = "; ".join(f"{method}, {condition}: {100 * accuracy:.1f} %" for method, condition, accuracy, _ in rows)
    return Plot(figure, f"{what[0].upper()}{what[1:]}, with 95 % intervals. {words}. Chance: {told}.")


@styled
def grid_peaks(found: Mapping[str, Mapping[int, tuple[float, Interval]]]) -> Plot:
    """How high spectra stand where upsampling may leave peaks, a panel a period, a row a source, with intervals.

    Args:
        found: source to period to the mean height in decibels and its interval; all have the same periods.
    """
    periods = list(next(iter(found.values())))
    figure, axes = new_panels(len(periods), 2, 0.2 * len(found) + 0.8, margin=0, width=NARROW, sharey=True)
    for ax, period in zip(axes, periods, strict=True):
        for k, values in enumerate(found.values()):
            estimate(ax, k, *values[period], marker_of(k), colour_of(k))
        ax.axvline(0, **FLOOR)
        ax.set(title=f"period {period}", ylim=(len(found) - 0.5, -0.5), xlabel="height, dB")
        ax.set_yticks(range(len(found)), list(found))
        ax.grid(axis="x", color="0.9")
    words = listed({name: [f"{values[p][0]:.1f} at {p}" for p in periods] for name, values in found.items()})
    return Plot(figure, f"Height in decibels above the neighbourhood by period, {words}.")


@styled
def histograms(images: Mapping[str, Mapping[str, Pixels]]) -> Plot:
    """Mean histograms of all channels by source, one panel for each condition.

    Args:
        images: condition to source to uint8 ``[N, H, W, 3]``.
    """
    figure, axes = new_row(2.4, len(images), sharey=True)
    edges = np.arange(0, 257, 8)
    for ax, (condition, sources) in zip(axes, images.items(), strict=True):
        for index, (name, some) in enumerate(sources.items()):
            counts, _ = np.histogram(some, bins=edges)
            style = {"color": colour_of(index), "ls": dash_of(index), "lw": 1.3}
            ax.plot(edges[:-1] + 4, 100 * counts / counts.sum(), **style, label=name)
        ax.set(title=condition, xlabel="pixel value", xlim=(0, 256), ylim=(0, None))
    axes[0].set_ylabel("share of the pixels, %")
    legend_below(figure)
    means = {title: [f"{name} {some.mean():.0f}" for name, some in by.items()] for title, by in images.items()}
    return Plot(figure, f"Histograms of pixel values, a line a source. Mean pixel values, {listed(means)}.")


@styled
def distributions(values: Mapping[str, Floats], what: str) -> Plot:
    """What part of each source's images has at most a value.

    Args:
        values: source to one number an image, ``[N]``.
        what: the quantity, for the axis.
    """
    figure, ax = new_ax(2.4, NARROW)
    for k, (name, some) in enumerate(values.items()):
        ordered, parts = np.sort(some), 100 * np.arange(1, len(some) + 1) / len(some)
        style = {"color": colour_of(k + 1), "ls": dash_of(k % 4), "lw": 1.4}
        ax.plot(ordered, parts, drawstyle="steps-post", label=name, **style)
    ax.axhline(10, **FLOOR)
    note(ax, "a tenth", (ax.get_xlim()[0], 10), (3, 3), color="0.35")
    ax.set(xlabel=what, ylabel="images at most so far, %", ylim=(0, 101))
    legend_below(figure)
    words = ", ".join(f"{name} {np.median(some):.3f}" for name, some in values.items())
    return Plot(figure, f"Distribution of {what} by source. Medians: {words}.")


@styled
def ledger(rows: Sequence[tuple[str, str, float, Interval, float, str]]) -> Plot:
    """The effects of measured claims, with their intervals, and from where on each claim holds.

    Args:
        rows: claim, verdict, effect and its interval in [-1, 1], the effect from which on the claim holds, and what the
            effect counts: ``points``, or what per cent.
    """
    figure, ax = new_ax(0.45 * max(len(rows), 1) + 0.9)
    words = []
    for y, (claim, verdict, effect, (low, high), bound, unit) in enumerate(rows):
        estimate(ax, y, 100 * effect, (100 * low, 100 * high), "o", PALETTE[1], size=6)
        told = f"{100 * effect:+.1f} points" if unit == "points" else f"{100 * effect:.0f} {unit}"
        ax.text(1.01, y, told, transform=ax.get_yaxis_transform(), va="center", size=7.5)  # beside all marks
        ax.plot([100 * bound] * 2, [y - 0.3, y + 0.3], color=PALETTE[2], lw=1.6)
        words.append(f"{claim}: {told}, {verdict}")
    ax.plot([], [], "o-", color=PALETTE[1], label="effect, 95 % interval")
    ax.plot([], [], color=PALETTE[2], lw=1.6, label="holds from here on")
    ax.axvline(0, **REFERENCE)
    ax.set_yticks(range(len(rows)), [f"{claim}\n{verdict}" for claim, verdict, *_ in rows])
    lowest = min((100 * low for *_, (low, _), _, _ in rows), default=0)
    ax.set(
        xlim=(min(-4, 1.05 * lowest - 2), 104),
        ylim=(len(rows) - 0.5, -0.6),
        xlabel="beyond the strongest rival: points, or % of its errors put right",
    )
    legend_below(figure)
    return Plot(figure, f"Measured claims. {'; '.join(words)}." if words else "No claim was measured.")


@styled
def decision(scores: Floats, generated: np.ndarray, line: float) -> Plot:
    """Scores of photographs and of generated images, a line between them, and what it does to both.

    Args:
        scores: float ``[N]``: the higher, the likelier generated.
        generated: bool ``[N]``.
        line: above it an image is called generated.
    """
    figure, ax = new_ax(2.5, NARROW)
    edges = np.linspace(scores.min(), scores.max(), 50)
    for k, (title, some) in enumerate({"photographs": scores[~generated], "generated": scores[generated]}.items()):
        share = np.histogram(some, edges)[0] / len(some)
        ax.stairs(100 * share, edges, fill=True, alpha=0.7, color=accent_of(k), label=title, hatch=[None, "//"][k])
    ax.axvline(line, color="0.1", lw=1.6)
    caught, alarms = 100 * (scores[generated] > line).mean(), 100 * (scores[~generated] > line).mean()
    ax.set_title(f"caught: {caught:.1f} % of the generated images;\nfalse alarms: {alarms:.1f} % of the photographs")
    ax.set(xlabel="score: the higher, the likelier generated", ylabel="images, %")
    legend_below(figure)
    return Plot(
        figure, f"A line at {line:.1f} catches {caught:.1f} % of the generated images, at {alarms:.1f} % false alarms."
    )


@styled
def detection_curves(curves: Mapping[tuple[str, str], tuple[Floats, Floats]]) -> Plot:
    """The share of generated images that is caught against that of photographs that set off a false alarm.

    Args:
        curves: method and condition to the shares of photographs and of generated images above the threshold, in
            [0, 1]. A condition has a panel, a method a colour and a marker, which stands at 1 % and 5 % false alarms.
            A method that gives all images one score has no line: it catches all or nothing.
    """
    methods, conditions = (list(dict.fromkeys(words)) for words in zip(*curves, strict=True))
    figure, axes = new_row(3.2, len(conditions), sharey=True)
    panels = dict(zip(conditions, axes, strict=True))
    words, begins, marks = [], [], {}
    for (method, condition), (rung, found) in curves.items():
        which = methods.index(method)
        ax, colour, marker = panels[condition], colour_of(1 + which), marker_of(which)
        caught = {alarms: 100 * found[rung <= alarms / 100].max() for alarms in (0.1, 1, 5)}
        if not set(rung) <= {0, 1}:
            ax.plot(100 * np.maximum(rung, 1e-4), 100 * found, drawstyle="steps-post", lw=1.4, color=colour)
            look = {"color": colour, "mec": "white", "ms": min(5 + 1.5 * which, 8), "zorder": 9 - which}
            # Where they meet, the first is seen on top of the next.
            (marks[method],) = ax.plot([1, 5], [caught[1], caught[5]], marker, **look)
        words.append(f"{method}, {condition}: {caught[1]:.0f} %")
        begins.append(caught[0.1])
    # One that catches none hides no other.
    least = 10 * (min((share for share in begins if share > 0), default=0) // 10)
    for condition, ax in panels.items():
        for alarms in (1, 5):
            ax.axvline(alarms, **REFERENCE)
        ax.set(xscale="log", xlim=(0.09, 100), xlabel="false alarms, % of photographs")
        ax.set_title(condition, loc="left")
        ax.xaxis.set_major_formatter("{x:g}")
    axes[0].set(ylabel="caught, % of generated images", ylim=(least, 102 - 0.02 * least))
    legend_below(figure, marks, 4)
    return Plot(figure, f"Generated images caught against false alarms. At 1 % false alarms: {'; '.join(words)}.")
