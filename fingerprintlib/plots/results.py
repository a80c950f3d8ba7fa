"""Figures that show measurements."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..claims import Entry
from ..images import Pixels
from ..metrics import Report
from ..notebook import Plot
from .style import PALETTE, colour_of, heatmap, legend_below, marker_of, new_axes, new_figure, styled


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
    rows = -(-len(histories) // columns)
    figure = new_figure(0.3 + 1.7 * rows)
    axes = new_axes(figure, rows, columns).ravel()
    for ax in axes[len(histories) :]:
        ax.axis("off")
    for ax, (name, history) in zip(axes, histories.items(), strict=False):
        seen = np.asarray(history["images"]) / 1000
        for network, style in lines.items():
            if network in history:
                ax.plot(seen, history[network], lw=1.2, label=network, **style)
        ax.set_title(name)
    for ax in axes[max(0, len(histories) - columns) : len(histories)]:
        ax.set_xlabel("images (thousands)")
    for ax in axes[::columns]:
        ax.set_ylabel("loss")
    shown = {line.get_label(): line for ax in axes for line in ax.get_lines()}
    labels = [network for network in lines if network in shown]
    legend_below(figure, [shown[label] for label in labels], labels)
    ends = "; ".join(
        f"{name} ends at " + " and ".join(f"{history[network][-1]:.2f}" for network in lines if network in history)
        for name, history in histories.items()
    )
    return Plot(figure, f"Loss curves, discriminator solid and generator dashed: {ends}.")


@styled
def distances(found: Mapping[str, Mapping[str, Any]], floor: Mapping[str, float]) -> Plot:
    """Distances to held-out real images, a panel a measure, a row a source, and the floor as a line.

    Args:
        found: source to measure to the distance; ``errors``, where it has them, to the standard error of a measure.
        floor: measure to the distance between two halves of the real images.
    """
    figure = new_figure(0.25 * len(found) + 0.9)
    axes = new_axes(figure, 1, len(floor), sharey=True)[0]
    for k, (ax, (measure, line)) in enumerate(zip(axes, floor.items(), strict=True)):
        errors = [values.get("errors", {}).get(measure, 0) for values in found.values()]
        ax.errorbar(
            [values[measure] for values in found.values()],
            range(len(found)),
            xerr=errors if any(errors) else None,
            fmt=marker_of(k),
            color=PALETTE[1 + k],
        )
        ax.axvline(line, color="0.4", lw=1, ls="--")
        ax.set(xlabel=f"{measure} distance to held-out real images", ylim=(len(found) - 0.5, -0.5))
        ax.set_xlim(left=min(0, ax.get_xlim()[0]))
        ax.text(line, -0.55, "floor", ha="center", va="bottom", fontsize=8, color="0.4")
        ax.grid(axis="x", color="0.9")
    axes[0].set_yticks(range(len(found)), list(found))
    words = "; ".join(
        f"{measure}: "
        + ", ".join(f"{name} {values[measure]:.2f}" for name, values in found.items())
        + f", floor {line:.2f}"
        for measure, line in floor.items()
    )
    return Plot(figure, f"Distances to held-out real images. {words}.")


@styled
def scales(found: Mapping[str, Mapping[str, float]]) -> Plot:
    """A line a source over groups of features, logarithmic; 1 is marked.

    Args:
        found: source to group to the distance in units of the floor.
    """
    figure = new_figure(2.4)
    ax = new_axes(figure)[0, 0]
    for k, (name, values) in enumerate(found.items()):
        colour, marker = colour_of(k + 1), marker_of(k + 1)
        ax.plot(list(values), list(values.values()), color=colour, marker=marker, ms=4, lw=1.2, label=name)
    ax.axhline(1, color="0.4", lw=1, ls="--")
    ax.set(yscale="log", ylabel="distance / floor", xlabel="features of colour, or of details of this size")
    ax.set_yticks([1, 2, 5, 10, 20, 50], minor=False)
    ax.set_yticks([], minor=True)
    ax.yaxis.set_major_formatter("{x:g}")
    highest = max(max(values.values()) for values in found.values())
    ax.set_ylim(0.8, 1.3 * max(highest, 2))
    legend_below(figure, *ax.get_legend_handles_labels())
    words = "; ".join(
        f"{name}: " + ", ".join(f"{group} {value:.1f}" for group, value in values.items())
        for name, values in found.items()
    )
    return Plot(figure, f"Distances to held-out real images in units of the floor, by features. {words}.")


@styled
def accuracies(
    rows: Sequence[tuple[str, str, float, tuple[float, float]]],
    chance: float,
    what: str = "attribution accuracy on the test split",
) -> Plot:
    """Accuracies with their 95 % intervals, chance marked.

    Args:
        rows: method, condition, accuracy in [0, 1], interval; conditions become colours and markers.
        chance: accuracy of guessing, in [0, 1].
        what: the share that is shown, for the axis.
    """
    methods = list(dict.fromkeys(row[0] for row in rows))
    conditions = list(dict.fromkeys(row[1] for row in rows))
    figure = new_figure(0.55 * len(methods) + 0.9)
    ax = new_axes(figure)[0, 0]
    for method, condition, accuracy, (low, high) in rows:
        which = conditions.index(condition)
        y = methods.index(method) + 0.72 * ((which + 0.5) / len(conditions) - 0.5)
        colour = (PALETTE[1], PALETTE[2], PALETTE[0])[which % 3]
        ax.plot([100 * low, 100 * high], [y, y], color=colour, lw=2)
        ax.plot(100 * accuracy, y, marker=marker_of(which), ms=5, color=colour, ls="")
        ax.annotate(f"{100 * accuracy:.1f}", (100 * high, y), (5, 0), textcoords="offset points", va="center", size=7.5)
    for which, condition in enumerate(conditions):
        ax.plot([], [], marker=marker_of(which), color=(PALETTE[1], PALETTE[2], PALETTE[0])[which % 3], label=condition)
    ax.axvline(100 * chance, color="0.45", lw=1, ls=":")
    ax.annotate("chance", (100 * chance, -0.45), (3, 0), textcoords="offset points", size=7.5, color="0.35")
    ax.set(xlim=(0, 106), ylim=(len(methods) - 0.5, -0.6), xlabel=f"{what}, %")
    ax.set_yticks(range(len(methods)), methods)
    if len(conditions) > 1:
        legend_below(figure, *ax.get_legend_handles_labels())
    words = "; ".join(f"{method}, {condition}: {100 * accuracy:.1f} %" for method, condition, accuracy, _ in rows)
    return Plot(figure, f"{what[0].upper()}{what[1:]}, with 95 % intervals. {words}. Chance: {100 * chance:.0f} %.")


@styled
def confusions(reports: Mapping[str, Report]) -> Plot:
    """Confusion matrices side by side: per cent of a source's images (row) attributed to each source (column)."""
    figure = new_figure(_height([len(report.class_names) for report in reports.values()]))
    axes = new_axes(figure, 1, len(reports))[0]
    for ax, (title, report) in zip(axes, reports.items(), strict=True):
        counts = np.array(report.confusion)
        shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
        heatmap(ax, shares, report.class_names, "{:.0f}", cmap="Purples", vmin=0, vmax=100)
        ax.set(title=f"{title}: {100 * report.accuracy:.1f} %", xlabel="attributed to")
    axes[0].set_ylabel("source")
    words = "; ".join(
        f"{title}: " + ", ".join(f"{name} {100 * recall:.0f} %" for name, recall in report.recall.items())
        for title, report in reports.items()
    )
    return Plot(figure, f"Confusion matrices. Share of each source's images attributed rightly: {words}.")


@styled
def responses(matrices: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Plot:
    """Square matrices of correlations in [-1, 1] between sources, side by side."""
    figure = new_figure(_height([len(matrix) for matrix in matrices.values()]))
    axes = new_axes(figure, 1, len(matrices))[0]
    for ax, (title, matrix) in zip(axes, matrices.items(), strict=True):
        heatmap(ax, matrix, names, "{:.2f}", cmap="PuOr_r", vmin=-1, vmax=1)
        ax.set_title(title)
    diagonals = "; ".join(
        f"{title}: {np.diag(matrix).mean():.2f} against {_off(matrix):.2f}" for title, matrix in matrices.items()
    )
    return Plot(figure, f"Correlations between sources, mean on the diagonal against mean off it. {diagonals}.")


def _height(sizes: Sequence[int]) -> float:
    """Of a figure with matrices of these sizes side by side; one alone may be large, so that it can be read."""
    return max(3.3, 0.4 * sizes[0] + 0.9) if len(sizes) == 1 else 3.3


def _off(matrix: NDArray[Any]) -> float:
    return float(matrix[~np.eye(len(matrix), dtype=bool)].mean())


@styled
def training_curves(histories: Mapping[str, Sequence[Mapping[str, float]]], chance: float) -> Plot:
    """Validation accuracy against steps, a line for each name."""
    figure = new_figure(2.4)
    ax = new_axes(figure)[0, 0]
    for index, (name, history) in enumerate(histories.items()):
        steps = [point["step"] for point in history]
        values = [100 * point["validation_accuracy"] for point in history]
        ax.plot(steps, values, color=colour_of(1 + index), marker=marker_of(index), ms=4, lw=1.2, label=name)
    ax.axhline(100 * chance, color="0.45", lw=1, ls=":", label="chance")
    ax.set(xlabel="training steps", ylabel="validation accuracy, %", ylim=(0, 103))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    ends = ", ".join(f"{name} ends at {100 * h[-1]['validation_accuracy']:.0f} %" for name, h in histories.items())
    return Plot(figure, f"Validation accuracy during training: {ends}; chance is {100 * chance:.0f} %.")


@styled
def histograms(images: Mapping[str, Mapping[str, Pixels]]) -> Plot:
    """Mean histograms of all channels by source, one panel for each condition.

    Args:
        images: condition to source to uint8 ``[N, H, W, 3]``.
    """
    figure = new_figure(2.4)
    axes = new_axes(figure, 1, len(images), sharey=True)[0]
    edges = np.arange(0, 257, 8)
    for ax, (condition, sources) in zip(axes, images.items(), strict=True):
        for index, (name, some) in enumerate(sources.items()):
            counts, _ = np.histogram(some, bins=edges)
            style = ("-", "--", "-.", ":", (0, (5, 1)))[index % 5]
            ax.plot(edges[:-1] + 4, 100 * counts / counts.sum(), color=colour_of(index), ls=style, lw=1.3, label=name)
        ax.set(title=condition, xlabel="pixel value", xlim=(0, 256), ylim=(0, None))
    axes[0].set_ylabel("share of the pixels, %")
    handles, labels = axes[0].get_legend_handles_labels()
    legend_below(figure, handles, labels)
    means = "; ".join(
        f"{condition}: " + ", ".join(f"{name} {some.mean():.0f}" for name, some in sources.items())
        for condition, sources in images.items()
    )
    return Plot(figure, f"Histograms of pixel values, a line a source. Mean pixel values, {means}.")


@styled
def distributions(values: Mapping[str, NDArray[np.floating]], what: str) -> Plot:
    """What part of each source's images has at most a value.

    Args:
        values: source to one number an image, ``[N]``.
        what: the quantity, for the axis.
    """
    figure = new_figure(2.5)
    ax = new_axes(figure)[0, 0]
    for k, (name, some) in enumerate(values.items()):
        ordered, parts = np.sort(some), 100 * np.arange(1, len(some) + 1) / len(some)
        style = {"color": colour_of(k + 1), "ls": ("-", "--", "-.", ":")[k % 4], "lw": 1.4}
        ax.plot(ordered, parts, drawstyle="steps-post", label=name, **style)
    ax.axhline(10, color="0.6", lw=0.8, ls=":")
    ax.set(xlabel=what, ylabel="images at most so far, %", ylim=(0, 101))
    legend_below(figure, *ax.get_legend_handles_labels())
    words = ", ".join(f"{name} {np.median(some):.3f}" for name, some in values.items())
    return Plot(figure, f"Distribution of {what} by source. Medians: {words}.")


@styled
def ledger(entries: Sequence[Entry]) -> Plot:
    """The figures of measured claims that are per cents: ours with its interval, and the paper's."""
    rows = [(entry, entry.measurement) for entry in entries if entry.measurement and entry.measurement.unit == "%"]
    figure = new_figure(0.45 * max(len(rows), 1) + 0.9)
    ax = new_axes(figure)[0, 0]
    words = []
    for y, (entry, ours) in enumerate(rows):
        ax.plot([100 * ours.low, 100 * ours.high], [y, y], color=PALETTE[1], lw=2)
        ax.plot(100 * ours.value, y, "o", color=PALETTE[1], ms=6)
        style = {"textcoords": "offset points", "ha": "center", "size": 7.5}
        ax.annotate(f"{100 * ours.value:.1f}", (100 * ours.value, y), (0, 6), **style)
        words.append(f"{entry.claim.id}: ours {100 * ours.value:.1f} %, {entry.verdict}")
        if entry.claim.paper is not None:
            ax.plot(entry.claim.paper, y, "D", mfc="none", mec=PALETTE[2], ms=6)
            words[-1] += f", the paper's {entry.claim.paper:g} %"
    ax.plot([], [], "o-", color=PALETTE[1], label="ours, 95 % interval")
    ax.plot([], [], "D", mfc="none", mec=PALETTE[2], label="the paper's (CelebA)", ls="")
    ax.set_yticks(range(len(rows)), [f"{entry.claim.id}\n{entry.verdict}" for entry, _ in rows])
    lowest = min((100 * ours.low for _, ours in rows), default=0)  # a difference may be negative
    ax.set(xlim=(min(0, 1.05 * lowest), 104), ylim=(len(rows) - 0.5, -0.6), xlabel="%")
    legend_below(figure, *ax.get_legend_handles_labels())
    return Plot(figure, f"Measured claims. {'; '.join(words)}." if words else "No claim was measured.")
