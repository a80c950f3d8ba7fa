"""One visual style; every function returns a `Plot`: the figure, and the sentence that says what it shows.

Colours differ in lightness as well as hue, and nothing is told by colour alone, so that the figures read in grey and
by colour-blind readers. Figures are made without pyplot: nothing is shown twice and no global state is left behind.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from .claims import Entry
from .images import Pixels, grid
from .metrics import Report
from .notebook import Plot
from .splits import SPLITS

# From dark to light, two hues: purple and orange. "real" is always the first.
PALETTE = ("#1b1b1b", "#542788", "#b35806", "#998ec3", "#f1a340", "#5e8c94", "#c7b9a5")
MARKERS = "osD^vP*"
WIDTH = 7.2  # inches: the text column of the book

STYLE = {
    **sns.axes_style("ticks"),
    "figure.dpi": 144,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "axes.prop_cycle": cycler(color=PALETTE),
}


def _colour(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _marker(index: int) -> str:
    return MARKERS[index % len(MARKERS)]


def _styled(function: Callable[..., Plot]) -> Callable[..., Plot]:
    """Draw in the book's style, and leave everybody else's alone."""

    @functools.wraps(function)
    def draw(*arguments: Any, **options: Any) -> Plot:
        with mpl.rc_context(STYLE):
            return function(*arguments, **options)

    return draw


def _figure(height: float, width: float = WIDTH) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _axes(figure: Figure, rows: int = 1, columns: int = 1, **options: Any) -> NDArray[Any]:
    return figure.subplots(rows, columns, squeeze=False, **options)


def _legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def _picture(axes: Any, image: Pixels, title: str = "") -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_title(title, loc="left")
    axes.axis("off")


@_styled
def sheet(images: Mapping[str, Pixels], columns: int = 10, what: str = "Rows of images") -> Plot:
    """A row (or more) of images for each name.

    Args:
        images: name to uint8 ``[N, H, W, 3]``.
        columns: images side by side.
        what: what there is to see, for those who cannot.
    """
    sheets = {name: grid(some, columns) for name, some in images.items()}
    heights = [WIDTH * picture.shape[0] / picture.shape[1] for picture in sheets.values()]
    figure = _figure(sum(heights) + 0.25 * len(heights))
    axes = _axes(figure, len(sheets), gridspec_kw={"height_ratios": heights})[:, 0]
    for ax, (name, picture) in zip(axes, sheets.items(), strict=True):
        _picture(ax, picture, name)
    counts = ", ".join(f"{len(some)} of {name}" for name, some in images.items())
    return Plot(figure, f"{what}: {counts}.")


@_styled
def tile_map(photos: Sequence[tuple[str, Pixels, Sequence[tuple[str, int, int, int]]]], columns: int = 4) -> Plot:
    """Photographs with their tiles, each marked by the number of the split it belongs to.

    Args:
        photos: title, uint8 ``[H, W, 3]``, and for each tile its split, top, left and side.
        columns: photographs side by side.
    """
    colours = dict(zip(SPLITS, ("#b35806", "#f1a340", "#ffffff", "#8073ac"), strict=True))
    rows = -(-len(photos) // columns)
    figure = _figure(1.8 * rows + 0.3)
    axes = _axes(figure, rows, columns).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, (title, image, tiles) in zip(axes, photos, strict=False):
        ax.imshow(image // 2 + 64)  # muted, so that the marks can be read
        ax.set_title(title, fontsize=7.5, loc="left")
        size = 6.5 if len(tiles) < 60 else 3.5
        for split, top, left, side in tiles:
            ax.add_patch(Rectangle((left + 2, top + 2), side - 4, side - 4, fill=False, lw=0.9, ec=colours[split]))
            number, middle = str(SPLITS.index(split) + 1), side / 2
            badge = {"boxstyle": "circle,pad=0.25", "fc": colours[split], "ec": "none"}
            ax.text(left + middle, top + middle, number, ha="center", va="center", size=size, bbox=badge)
    labels = [f"{number} {split}" for number, split in enumerate(SPLITS, 1)]
    handles = [Rectangle((0, 0), 1, 1, fc="#606060", ec=colours[split], lw=1.5) for split in SPLITS]
    _legend_below(figure, handles, labels)
    counts = {split: sum(tile[0] == split for _, _, tiles in photos for tile in tiles) for split in SPLITS}
    words = ", ".join(f"{count} tiles for {split}" for split, count in counts.items())
    return Plot(figure, f"{len(photos)} photographs cut into squares, each square in one split: {words}.")


Stages = Sequence[tuple[int, int]]


@_styled
def architecture(generator: Stages, discriminator: Stages, latent: int, output: str) -> Plot:
    """A GAN from the latent to what its discriminator says, one block a resolution.

    A block is as high as its side (in doublings) and as wide as its channels (their square root).

    Args:
        generator, discriminator: see `GAN.stages`.
        latent: length of the latent vector.
        output: what the discriminator puts out, ``"score"`` or ``"features"``.
    """
    figure = _figure(1.75)
    ax = _axes(figure)[0, 0]
    ax.axis("off")
    blocks = [(1, latent, PALETTE[6], "latent")]
    blocks += [(side, channels, PALETTE[1], "") for side, channels in generator[:-1]]
    blocks += [(*generator[-1], PALETTE[0], "image")]
    blocks += [(side, channels, PALETTE[4], "") for side, channels in discriminator[:-1]]
    blocks += [(*discriminator[-1], PALETTE[6], output)]
    x, middles = 0.0, []
    for side, channels, colour, label in blocks:
        height, width = 1 + np.log2(side), 0.25 + np.sqrt(channels if side > 1 else 1) / 8
        ax.add_patch(Rectangle((x, -height / 2), width, height, fc=colour, ec="none"))
        size = f"{side}×{side}\n{channels}" if side > 1 else f"{channels}"
        ax.text(x + width / 2, -4.0, size, ha="center", va="top", fontsize=7, linespacing=1.3)
        ax.text(x + width / 2, height / 2 + 0.25, label, ha="center", va="bottom", fontsize=8)
        middles.append(x + width / 2)
        x += width + 0.55
    last = len(generator)
    for name, first, end in (("generator", 1, last - 1), ("discriminator", last + 1, len(blocks) - 2)):
        ax.text((middles[first] + middles[end]) / 2, 4.6, name, ha="center", va="bottom", fontsize=9)
    ax.set(xlim=(-0.3, x), ylim=(-5.6, 5.4))

    def told(stages: Stages) -> str:
        return ", ".join(f"{side}x{side} with {channels}" for side, channels in stages)

    return Plot(
        figure,
        f"The generator takes {latent} random numbers through {told(generator[:-1])} channels to an image; "
        f"the discriminator takes an image through {told(discriminator[:-1])} channels to {discriminator[-1][1]} "
        f"{output}.",
    )


@_styled
def growth(previews: Mapping[str, tuple[Sequence[int], Pixels]], samples: int = 8) -> Plot:
    """The same latents' images while a GAN trains, one row a moment, one block a GAN.

    Args:
        previews: name to the images seen at each moment, and uint8 ``[moments, n, H, W, 3]``.
        samples: images a row, at most n.
    """
    moments = max(len(seen) for seen, _ in previews.values())
    across = max(2, samples // len(previews))
    figure = _figure(0.92 * moments * WIDTH / (across * len(previews)) + 0.3)
    axes = _axes(figure, 1, len(previews))[0]
    for ax, (name, (seen, images)) in zip(axes, previews.items(), strict=True):
        shown = images[:, :across]
        side = images.shape[2] + 2
        _picture(ax, grid(shown.reshape(-1, *images.shape[2:]), shown.shape[1]), name)
        ax.set_anchor("N")
        for row, count in enumerate(seen):
            ax.text(-6, side * (row + 0.5), _short(count), ha="right", va="center", fontsize=7)
    return Plot(
        figure,
        f"Samples of {', '.join(previews)} at {moments} moments of training, from noise at the top to the last at the "
        "bottom; at the left of each row the number of real images seen.",
    )


def _short(count: int) -> str:
    return f"{count / 1000:.0f}k" if count >= 1000 else str(count)


@_styled
def losses(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Plot:
    """Discriminator and generator loss against real images seen, one panel a GAN, at most four side by side."""
    columns = min(4, len(histories))
    rows = -(-len(histories) // columns)
    figure = _figure(0.3 + 1.7 * rows)
    axes = _axes(figure, rows, columns).ravel()
    for ax in axes[len(histories) :]:
        ax.axis("off")
    for ax, (name, history) in zip(axes, histories.items(), strict=False):
        seen = np.asarray(history["images"]) / 1000
        ax.plot(seen, history["discriminator"], color=PALETTE[1], lw=1.2, label="discriminator")
        ax.plot(seen, history["generator"], color=PALETTE[4], lw=1.2, ls="--", label="generator")
        ax.set_title(name)
    for ax in axes[max(0, len(histories) - columns) : len(histories)]:
        ax.set_xlabel("images (thousands)")
    for ax in axes[::columns]:
        ax.set_ylabel("loss")
    handles, labels = axes[0].get_legend_handles_labels()
    _legend_below(figure, handles, labels)
    ends = "; ".join(
        f"{name} ends at {history['discriminator'][-1]:.2f} and {history['generator'][-1]:.2f}"
        for name, history in histories.items()
    )
    return Plot(figure, f"Loss curves, discriminator solid and generator dashed: {ends}.")


@_styled
def distances(found: Mapping[str, Mapping[str, Any]], floor: Mapping[str, float]) -> Plot:
    """Distances to held-out real images, a panel a measure, a row a source, and the floor as a line.

    Args:
        found: source to measure to the distance.
        floor: measure to the distance between two halves of the real images.
    """
    figure = _figure(0.25 * len(found) + 0.9)
    axes = _axes(figure, 1, len(floor), sharey=True)[0]
    for k, (ax, (measure, line)) in enumerate(zip(axes, floor.items(), strict=True)):
        ax.plot([values[measure] for values in found.values()], range(len(found)), _marker(k), color=PALETTE[1 + k])
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


@_styled
def scales(found: Mapping[str, Mapping[str, float]]) -> Plot:
    """A line a source over groups of features, logarithmic; 1 is marked.

    Args:
        found: source to group to the distance in units of the floor.
    """
    figure = _figure(2.4)
    ax = _axes(figure)[0, 0]
    for k, (name, values) in enumerate(found.items()):
        colour, marker = _colour(k + 1), _marker(k + 1)
        ax.plot(list(values), list(values.values()), color=colour, marker=marker, ms=4, lw=1.2, label=name)
    ax.axhline(1, color="0.4", lw=1, ls="--")
    ax.set(yscale="log", ylabel="distance / floor", xlabel="features of colour, or of details of this size")
    ax.set_yticks([1, 2, 5, 10, 20, 50], minor=False)
    ax.set_yticks([], minor=True)
    ax.yaxis.set_major_formatter("{x:g}")
    highest = max(max(values.values()) for values in found.values())
    ax.set_ylim(0.8, 1.3 * max(highest, 2))
    _legend_below(figure, *ax.get_legend_handles_labels())
    words = "; ".join(
        f"{name}: " + ", ".join(f"{group} {value:.1f}" for group, value in values.items())
        for name, values in found.items()
    )
    return Plot(figure, f"Distances to held-out real images in units of the floor, by features. {words}.")


@_styled
def accuracies(rows: Sequence[tuple[str, str, float, tuple[float, float]]], chance: float) -> Plot:
    """Accuracies with their 95 % intervals, chance marked.

    Args:
        rows: method, condition, accuracy in [0, 1], interval; conditions become colours and markers.
        chance: accuracy of guessing, in [0, 1].
    """
    methods = list(dict.fromkeys(row[0] for row in rows))
    conditions = list(dict.fromkeys(row[1] for row in rows))
    figure = _figure(0.55 * len(methods) + 0.9)
    ax = _axes(figure)[0, 0]
    for method, condition, accuracy, (low, high) in rows:
        which = conditions.index(condition)
        y = methods.index(method) + 0.72 * ((which + 0.5) / len(conditions) - 0.5)
        colour = (PALETTE[1], PALETTE[2], PALETTE[0])[which % 3]
        ax.plot([100 * low, 100 * high], [y, y], color=colour, lw=2)
        ax.plot(100 * accuracy, y, marker=_marker(which), ms=5, color=colour, ls="")
        ax.annotate(f"{100 * accuracy:.1f}", (100 * high, y), (5, 0), textcoords="offset points", va="center", size=7.5)
    for which, condition in enumerate(conditions):
        ax.plot([], [], marker=_marker(which), color=(PALETTE[1], PALETTE[2], PALETTE[0])[which % 3], label=condition)
    ax.axvline(100 * chance, color="0.45", lw=1, ls=":")
    ax.annotate("chance", (100 * chance, -0.45), (3, 0), textcoords="offset points", size=7.5, color="0.35")
    ax.set(xlim=(0, 106), ylim=(len(methods) - 0.5, -0.6), xlabel="attribution accuracy on the test split, %")
    ax.set_yticks(range(len(methods)), methods)
    _legend_below(figure, *ax.get_legend_handles_labels())
    words = "; ".join(f"{method}, {condition}: {100 * accuracy:.1f} %" for method, condition, accuracy, _ in rows)
    return Plot(figure, f"Accuracies with 95 % intervals. {words}. Chance: {100 * chance:.0f} %.")


@_styled
def confusions(reports: Mapping[str, Report]) -> Plot:
    """Confusion matrices side by side: per cent of a source's images (row) attributed to each source (column)."""
    figure = _figure(3.3)
    axes = _axes(figure, 1, len(reports))[0]
    for ax, (title, report) in zip(axes, reports.items(), strict=True):
        counts = np.array(report.confusion)
        shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
        _matrix(ax, shares, report.class_names, "{:.0f}", cmap="Purples", vmin=0, vmax=100)
        ax.set(title=f"{title}: {100 * report.accuracy:.1f} %", xlabel="attributed to")
    axes[0].set_ylabel("source")
    words = "; ".join(
        f"{title}: " + ", ".join(f"{name} {100 * recall:.0f} %" for name, recall in report.recall.items())
        for title, report in reports.items()
    )
    return Plot(figure, f"Confusion matrices. Share of each source's images attributed rightly: {words}.")


@_styled
def responses(matrices: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Plot:
    """Square matrices of correlations in [-1, 1] between sources, side by side."""
    figure = _figure(3.3)
    axes = _axes(figure, 1, len(matrices))[0]
    for ax, (title, matrix) in zip(axes, matrices.items(), strict=True):
        _matrix(ax, matrix, names, "{:.2f}", cmap="PuOr_r", vmin=-1, vmax=1)
        ax.set_title(title)
    diagonals = "; ".join(
        f"{title}: {np.diag(matrix).mean():.2f} against {_off(matrix):.2f}" for title, matrix in matrices.items()
    )
    return Plot(figure, f"Correlations between sources, mean on the diagonal against mean off it. {diagonals}.")


def _off(matrix: NDArray[Any]) -> float:
    return float(matrix[~np.eye(len(matrix), dtype=bool)].mean())


def _matrix(ax: Any, values: NDArray[Any], names: Sequence[str], form: str, **colours: Any) -> None:
    ax.imshow(values, **colours)
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    low, high = colours["vmin"], colours["vmax"]
    for (row, column), value in np.ndenumerate(values):
        strong = abs(value) > 0.6 * max(abs(low), abs(high))
        ax.text(column, row, form.format(value), ha="center", va="center", size=7.5, color="w" if strong else "k")


@_styled
def training_curves(histories: Mapping[str, Sequence[Mapping[str, float]]], chance: float) -> Plot:
    """Validation accuracy against steps, a line for each name."""
    figure = _figure(2.4)
    ax = _axes(figure)[0, 0]
    for index, (name, history) in enumerate(histories.items()):
        steps = [point["step"] for point in history]
        values = [100 * point["validation_accuracy"] for point in history]
        ax.plot(steps, values, color=_colour(1 + index), marker=_marker(index), ms=4, lw=1.2, label=name)
    ax.axhline(100 * chance, color="0.45", lw=1, ls=":", label="chance")
    ax.set(xlabel="training steps", ylabel="validation accuracy, %", ylim=(0, 103))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    ends = ", ".join(f"{name} ends at {100 * h[-1]['validation_accuracy']:.0f} %" for name, h in histories.items())
    return Plot(figure, f"Validation accuracy during training: {ends}; chance is {100 * chance:.0f} %.")


@_styled
def histograms(images: Mapping[str, Mapping[str, Pixels]]) -> Plot:
    """Mean histograms of all channels by source, one panel for each condition.

    Args:
        images: condition to source to uint8 ``[N, H, W, 3]``.
    """
    figure = _figure(2.4)
    axes = _axes(figure, 1, len(images), sharey=True)[0]
    edges = np.arange(0, 257, 8)
    for ax, (condition, sources) in zip(axes, images.items(), strict=True):
        for index, (name, some) in enumerate(sources.items()):
            counts, _ = np.histogram(some, bins=edges)
            style = ("-", "--", "-.", ":", (0, (5, 1)))[index % 5]
            ax.plot(edges[:-1] + 4, 100 * counts / counts.sum(), color=_colour(index), ls=style, lw=1.3, label=name)
        ax.set(title=condition, xlabel="pixel value", xlim=(0, 256), ylim=(0, None))
    axes[0].set_ylabel("share of the pixels, %")
    handles, labels = axes[0].get_legend_handles_labels()
    _legend_below(figure, handles, labels)
    means = "; ".join(
        f"{condition}: " + ", ".join(f"{name} {some.mean():.0f}" for name, some in sources.items())
        for condition, sources in images.items()
    )
    return Plot(figure, f"Histograms of pixel values, a line a source. Mean pixel values, {means}.")


@_styled
def ledger(entries: Sequence[Entry]) -> Plot:
    """The figures of measured claims that are per cents: ours with its interval, and the paper's."""
    rows = [(entry, entry.measurement) for entry in entries if entry.measurement and entry.measurement.unit == "%"]
    figure = _figure(0.45 * max(len(rows), 1) + 0.9)
    ax = _axes(figure)[0, 0]
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
    ax.set(xlim=(0, 104), ylim=(len(rows) - 0.5, -0.6), xlabel="%")
    _legend_below(figure, *ax.get_legend_handles_labels())
    return Plot(figure, f"Measured claims. {'; '.join(words)}." if words else "No claim was measured.")
