"""Figures of matrices: who is taken for whom, what responds to what, what one training teaches about another."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..data.images import LUMA
from ..statistics.metrics import Report
from .axes import Floats, listed, new_ax, new_row, plain
from .style import Plot, signed, styled

PER_CENT: dict[str, Any] = {"cmap": "Purples", "vmin": 0, "vmax": 100}


@styled
def confusions(reports: Mapping[str, Report]) -> Plot:
    """Confusion matrices side by side: per cent of a source's images (row) attributed to each source (column)."""
    figure, axes = _side_by_side([len(report.class_names) for report in reports.values()])
    for ax, (title, report) in zip(axes, reports.items(), strict=True):
        counts = np.array(report.confusion)
        shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
        _heatmap(ax, shares, report.class_names, _per_cent, **PER_CENT)
        ax.set(title=f"{title}: {100 * report.accuracy:.1f} %", xlabel="attributed to")
    axes[0].set_ylabel("source")
    words = listed(
        {t: [f"{name} {100 * r:.0f} %" for name, r in report.recall.items()] for t, report in reports.items()}
    )
    return Plot(figure, f"Confusion matrices. Share of each source's images attributed rightly: {words}.")


@styled
def responses(matrices: Mapping[str, Floats], names: Sequence[str], rows: str = "", columns: str = "") -> Plot:
    """Square matrices of correlations in [-1, 1] between sources, side by side.

    Of more than twelve sources the numbers could not be read: there a bar tells what the colours mean, and their range
    is that of the numbers beside the diagonal.

    Args:
        matrices: title to float ``[K, K]``.
        names: the K sources.
        rows, columns: what the rows and the columns are, for the axes.
    """
    many = len(names) > 12
    figure, axes = _side_by_side([len(names)] * len(matrices), 0.3 if many else 0.4)
    rest = ~np.eye(len(names), dtype=bool)
    limit = max(float(np.abs(matrix[rest]).max()) for matrix in matrices.values()) if many else 1
    for ax, (title, matrix) in zip(axes, matrices.items(), strict=True):
        _heatmap(ax, matrix, names, "" if many else "{:z.2f}", **signed(max(limit, 0.01)))
        ax.set(title=title, xlabel=columns)
    axes[0].set_ylabel(rows)
    if many:
        figure.colorbar(axes[0].images[0], ax=axes, shrink=0.6, extend="max", label="correlation")
    words = "; ".join("{}: {:.2f} against {:.2f}".format(title, *_own_and_others(m)) for title, m in matrices.items())
    return Plot(figure, f"Correlations between sources, mean on the diagonal against mean off it. {words}.")


@styled
def mean_responses(matrices: Mapping[str, Floats], names: Sequence[str]) -> Plot:
    """Mean response of each source's images (row) to each model fingerprint (column); each panel has its own scale.

    Args:
        matrices: title to float ``[K, K]``.
        names: the K sources.
    """
    figure, axes = _side_by_side([len(names)] * len(matrices))
    for ax, (title, matrix) in zip(axes, matrices.items(), strict=True):
        widest = max(float(np.abs(matrix).max()), 1e-12)
        decimals = max(0, 1 - math.floor(math.log10(widest)))  # two digits of the largest
        _heatmap(ax, matrix, names, f"{{:z.{min(decimals, 3)}f}}", **signed(widest))  # no "-0.00"
        ax.set(title=title, xlabel="model fingerprint")
    axes[0].set_ylabel("images of")
    words = "; ".join("{}: {:.3g} against {:.3g}".format(title, *_own_and_others(m)) for title, m in matrices.items())
    return Plot(figure, f"Mean responses, to the own fingerprint against to the others. {words}.")


@styled
def transfer(accuracies: Mapping[str, Mapping[str, float]]) -> Plot:
    """How well each network does under each attack, per cent in the cells.

    Args:
        accuracies: what a network was finetuned on (row) to the attack that it meets (column) to accuracy in [0, 1].
    """
    columns = list(next(iter(accuracies.values())))
    values = 100 * np.array([[row[column] for column in columns] for row in accuracies.values()])
    figure, ax = new_ax(0.36 * len(accuracies) + 1.3)
    _heatmap(ax, values, columns, "{:.0f}", list(accuracies), aspect="auto", **PER_CENT)
    ax.set(xlabel="attack that the images met", ylabel="finetuned on")
    words = listed(
        {course: [f"{attack} {100 * row[attack]:.0f}" for attack in columns] for course, row in accuracies.items()}
    )
    return Plot(figure, f"Accuracy in per cent by what a network was finetuned on and the attack it meets. {words}.")


def _side_by_side(sizes: Sequence[int], side: float = 0.4) -> tuple[Figure, NDArray[Any]]:
    """Axes for matrices of these sizes; one alone may be large, with cells of this side in inches."""
    return new_row(max(3.3, side * sizes[0] + 0.9) if len(sizes) == 1 else 3.3, len(sizes))


def _heatmap(
    ax: Axes,
    values: Floats,
    names: Sequence[str],
    form: str | Callable[[float], str],
    rows: Sequence[str] | None = None,
    **options: Any,
) -> None:
    """A matrix with its numbers in the cells, `names` over columns and, unless `rows` has others, rows.

    What all names begin with, up to a hyphen, is left out. `options` need ``vmin`` and ``vmax``.
    """
    picture = ax.imshow(values, **options)
    across, down = ([plain(name) for name in _distinct(some)] for some in (names, rows or names))
    ax.set_xticks(range(len(across)), across, rotation=45, ha="right")
    ax.set_yticks(range(len(down)), down)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    inked = picture.to_rgba(np.asarray(values))[..., :3]
    for (row, column), value in np.ndenumerate(values):
        colour = "w" if inked[row, column] @ LUMA < 500 else "k"
        told = form.format(value) if isinstance(form, str) else form(float(value))
        ax.text(column, row, told, ha="center", va="center", size=7.5, color=colour)


def _per_cent(share: float) -> str:
    """Whole per cents; but what is more than nothing is not told as 0, and what is less than all not as 100."""
    if 0 < share < 0.95:
        return f"{share:.1f}".removeprefix("0")
    return ">99" if 99.5 <= share < 100 else f"{share:.0f}"


def _distinct(names: Sequence[str]) -> list[str]:
    """Names without the word, up to a hyphen, that all of them begin with."""
    begin, hyphen, _ = names[0].partition("-")
    common = hyphen and begin + hyphen
    return [name[len(common) :] for name in names] if all(name.startswith(common) for name in names) else [*names]


def _own_and_others(matrix: Floats) -> tuple[float, float]:
    """Mean on the diagonal, and off it."""
    own = np.eye(len(matrix), dtype=bool)
    return float(matrix[own].mean()), float(matrix[~own].mean())
