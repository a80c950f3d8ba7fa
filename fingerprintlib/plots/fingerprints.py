"""Figures of fingerprints that are images."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..attribution.spectra import power
from ..data.images import Pixels, grid
from .axes import Floats, bare, in_blocks, listed, new_axes, new_row, new_table, picture
from .style import PALETTE, REFERENCE, WIDTH, Plot, styled


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
    figure, rows = new_table(models, names)
    words = {}
    for row, (title, some) in zip(rows, models.items(), strict=True):
        for ax, image in zip(row, stretch(some), strict=False):
            ax.imshow(image)
        words[title] = [f"{name} {100 * _fine(model):.0f} %" for name, model in zip(names, some, strict=True)]
    return Plot(
        figure,
        f"Model fingerprints as images, contrast stretched. Share of their power in the upper half of the frequencies, "
        f"{listed(words)}.",
    )


@styled
def evidence(pictures: Mapping[str, Pixels], responses: Mapping[str, float]) -> Plot:
    """Pictures of one image side by side, and how well it matches each source.

    Args:
        pictures: title to uint8 ``[H, W, 3]``.
        responses: source to correlation in [-1, 1].
    """
    widths = [*[1.0] * len(pictures), 1.2]
    figure, axes = new_row(WIDTH / (sum(widths) + 0.4) + 0.35, len(widths), width_ratios=widths)
    for ax, (title, image) in zip(axes, pictures.items(), strict=False):
        picture(ax, image, title)
    best = max(responses, key=lambda name: responses[name])
    colours = [PALETTE[1] if name == best else PALETTE[3] for name in responses]
    axes[-1].barh(list(responses), list(responses.values()), color=colours)
    axes[-1].invert_yaxis()
    axes[-1].axvline(0, **REFERENCE)
    axes[-1].set_xlabel("correlation")
    told = ", ".join(f"{name} {value:+.2f}" for name, value in responses.items())
    return Plot(figure, f"{', '.join(pictures)}. Correlations with the fingerprints of the sources: {told}.")


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
        sheets[name] = in_blocks(grid(triples.reshape(-1, *images.shape[1:]), 3 * len(images)), len(images))
    height, width = next(iter(sheets.values())).shape[:2]
    figure, axes = new_axes((WIDTH - 0.4) * height / width * len(sheets) + 0.4, len(sheets))
    for ax, (name, sheet) in zip(axes[:, 0], sheets.items(), strict=True):
        ax.imshow(sheet)
        ax.set_ylabel(name)
        bare(ax)
    count = len(next(iter(shown.values()))[0])
    side, apart = width / count, 6 * (count - 1) / count  # of a block
    middles = [side * k + (side - apart) * (n + 0.5) / 3 for k in range(count) for n in range(3)]
    axes[0, 0].set_xticks(middles, ["x", "R(x)", "x \N{MINUS SIGN} R(x)"] * count)
    axes[0, 0].tick_params(bottom=False, labelbottom=False, labeltop=True, length=0)
    sizes = ", ".join(f"{name} {127.5 * np.abs(found).mean():.1f}" for name, (*_, found) in shown.items())
    return Plot(
        figure,
        f"{count} images of each source, each with its reconstruction and the residual, contrast stretched. Mean size "
        f"of the residuals in grey levels of 255: {sizes}.",
    )
