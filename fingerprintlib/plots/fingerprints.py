"""Figures of fingerprints that are images."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..images import Pixels, grid
from ..notebook import Plot
from ..spectra import power, radial_mean
from .style import WIDTH, heatmap, new_axes, new_figure, styled

Floats = NDArray[np.floating]


def stretch(fingerprints: Floats) -> Pixels:
    """Fingerprints ``[N, H, W, 3]``, each in the contrast that shows it: uint8, its mean in the middle of the range.

    All but the hundredth of the values farthest from the mean fit into 0..255; those are clipped.
    """
    centred = fingerprints - fingerprints.mean((1, 2, 3), keepdims=True)
    widest = np.quantile(np.abs(centred), 0.99, axis=(1, 2, 3), keepdims=True)
    return (127.5 + 127.5 * np.clip(centred / np.maximum(widest, 1e-12), -1, 1)).round().astype(np.uint8)


@styled
def model_fingerprints(models: Mapping[str, Floats], names: Sequence[str]) -> Plot:
    """The sources' model fingerprints as images, contrast stretched; a row for each way to learn them.

    Args:
        models: title to float ``[K, H, W, 3]``.
        names: the K sources.
    """
    figure, rows = _table(models, names)
    for row, some in zip(rows, models.values(), strict=True):
        for ax, image in zip(row, stretch(some), strict=False):
            ax.imshow(image, interpolation="nearest")
    shares = "; ".join(
        f"{title}: " + ", ".join(f"{name} {100 * _fine(m):.0f} %" for name, m in zip(names, some, strict=True))
        for title, some in models.items()
    )
    return Plot(
        figure,
        f"Model fingerprints as images, contrast stretched. Share of their power in the upper half of the frequencies, "
        f"{shares}.",
    )


def _table(rows: Mapping[str, Floats], names: Sequence[str]) -> tuple[Figure, NDArray[Any]]:
    """Axes for a picture of each source in each row, rows named at the left and sources at the top."""
    across = max(len(names), 4)
    figure = new_figure(WIDTH / across * len(rows) + 0.3)
    axes = new_axes(figure, len(rows), across)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for row, title in zip(axes, rows, strict=True):
        row[0].set_ylabel(title)
    for ax, name in zip(axes[0], names, strict=False):
        ax.set_title(name)
    return figure, axes


def _fine(pattern: Floats) -> float:
    """Share of a pattern's power, its mean left out, in the upper half of the rings."""
    plane = pattern.mean(-1, dtype=np.float64)
    found = power(plane - plane.mean())
    height, width = plane.shape
    down, across = np.fft.fftshift(np.fft.fftfreq(height)), np.fft.fftshift(np.fft.fftfreq(width))
    return float(found[np.hypot(down[:, None], across) >= 0.25].sum() / (found.sum() or 1))


@styled
def residuals(shown: Mapping[str, tuple[Pixels, Floats, Floats]]) -> Plot:
    """Images, what the autoencoder makes of them, and what is left, side by side; a row a source.

    Args:
        shown: source to images uint8 ``[n, H, W, 3]``, reconstructions float ``[n, H, W, 3]`` in about [-1, 1], and
            fingerprints float ``[n, H, W, 3]``, which are stretched.
    """
    sheets = {}
    for name, (images, reconstructions, fingerprints) in shown.items():
        pixels = np.clip(127.5 * (reconstructions + 1), 0, 255).round().astype(np.uint8)
        triples = np.stack([images, pixels, stretch(fingerprints)], axis=1)  # [n, 3, H, W, 3]
        sheets[name] = grid(triples.reshape(-1, *images.shape[1:]), 3 * len(images))
    height, width = next(iter(sheets.values())).shape[:2]
    figure = new_figure((WIDTH - 0.4) * height / width * len(sheets) + 0.4)
    axes = new_axes(figure, len(sheets))[:, 0]
    for ax, (name, sheet) in zip(axes, sheets.items(), strict=True):
        ax.imshow(sheet, interpolation="nearest")
        ax.set(xticks=[], yticks=[], ylabel=name)
        ax.spines[:].set_visible(False)
    count = len(next(iter(shown.values()))[0])
    side = width / (3 * count)
    axes[0].set_xticks(side * (np.arange(3 * count) + 0.5), ["x", "R(x)", "x - R(x)"] * count)
    axes[0].tick_params(bottom=False, labelbottom=False, labeltop=True, length=0)
    sizes = ", ".join(f"{name} {127.5 * np.abs(found).mean():.1f}" for name, (*_, found) in shown.items())
    return Plot(
        figure,
        f"{count} images of each source, each with its reconstruction and the residual, contrast stretched. Mean size "
        f"of the residuals in grey levels of 255: {sizes}.",
    )


@styled
def fingerprint_spectra(spectra: Mapping[str, Floats], names: Sequence[str]) -> Plot:
    """Logarithmic power spectra, frequency 0 in the middle: a row for each kind of pattern, a column a source.

    Args:
        spectra: kind to float ``[K, H, W]``, decimal logarithms.
        names: the K sources.
    """
    figure, rows = _table(spectra, names)
    words = []
    for row, (kind, some) in zip(rows, spectra.items(), strict=True):
        low, high = np.quantile(some, [0.01, 0.999])
        for ax, plane in zip(row, some, strict=False):
            ax.imshow(plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest")
        rings = radial_mean(some)
        slopes = ", ".join(
            f"{name} {ring[len(ring) // 2] - ring[1]:+.1f}" for name, ring in zip(names, rings, strict=True)
        )
        words.append(f"{kind}: {slopes}")
    return Plot(
        figure,
        "Power spectra, bright where there is much. From the lowest to half of the highest frequencies the power "
        f"changes, in powers of ten, {'; '.join(words)}.",
    )


@styled
def mean_responses(matrices: Mapping[str, Floats], names: Sequence[str]) -> Plot:
    """Mean response of each source's images (row) to each model fingerprint (column); each panel has its own scale.

    Args:
        matrices: title to float ``[K, K]``.
        names: the K sources.
    """
    figure = new_figure(3.3)
    axes = new_axes(figure, 1, len(matrices))[0]
    words = []
    for ax, (title, matrix) in zip(axes, matrices.items(), strict=True):
        widest = max(float(np.abs(matrix).max()), 1e-12)
        decimals = max(0, 1 - math.floor(math.log10(widest)))  # two digits of the largest
        form = f"{{:z.{min(decimals, 3)}f}}"  # no "-0.00"
        heatmap(ax, matrix, names, form, cmap="PuOr_r", vmin=-widest, vmax=widest)
        ax.set(title=title, xlabel="model fingerprint")
        off = matrix[~np.eye(len(matrix), dtype=bool)].mean()
        words.append(f"{title}: {np.diag(matrix).mean():.3g} against {off:.3g}")
    axes[0].set_ylabel("images of")
    return Plot(figure, f"Mean responses, to the own fingerprint against to the others. {'; '.join(words)}.")
