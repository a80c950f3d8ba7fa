"""Figures that show images by frequency, and what the baselines chose."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..notebook import Plot
from ..spectra import log_power
from .style import PALETTE, colour_of, legend_below, marker_of, new_axes, new_figure, styled

LINES = ("-", "--", "-.", ":", (0, (5, 1)))


@styled
def patterns(found: Mapping[str, NDArray[np.floating]]) -> Plot:
    """PRNU patterns, a column a source; below each its power spectrum, frequency 0 in the middle.

    Args:
        found: source to the pattern, float ``[H, W, 3]``; the mean of its channels is shown, black to white being -3 to
            3 of its standard deviations, and the spectrum from its median to a thousand times that.
    """
    figure = new_figure(1.7 + 5.6 / max(len(found), 2))
    axes = new_axes(figure, 2, len(found))
    words = []
    for (pattern_ax, spectrum_ax), (name, pattern) in zip(axes.T, found.items(), strict=True):
        plane = pattern.mean(-1)
        plane = plane - plane.mean()
        limit = 3 * float(plane.std()) or 1.0
        pattern_ax.imshow(plane, cmap="gray", vmin=-limit, vmax=limit, interpolation="nearest")
        pattern_ax.set_title(name)
        power = log_power(plane)
        above = power - np.median(power)
        height, width = above.shape
        shown = spectrum_ax.imshow(
            above, cmap="gray_r", vmin=0, vmax=3, interpolation="nearest", extent=(-0.5, 0.5, 0.5, -0.5)
        )
        top = np.unravel_index(above.argmax(), above.shape)
        down, across = abs(top[0] - height // 2) / height, abs(top[1] - width // 2) / width
        words.append(f"{name} 10^{above.max():.1f} at ({down:.2g}, {across:.2g})")
        pattern_ax.set(xticks=[], yticks=[])
        spectrum_ax.set(xticks=[-0.5, 0, 0.5], yticks=[])
        spectrum_ax.xaxis.set_major_formatter("{x:g}")
        pattern_ax.spines[:].set_visible(False)
        spectrum_ax.spines[:].set_visible(True)
    axes[0, 0].set_ylabel("pattern")
    axes[1, 0].set(ylabel="spectrum", yticks=[-0.5, 0, 0.5])
    axes[1, 0].yaxis.set_major_formatter("{x:g}")
    figure.supxlabel("frequency, cycles a pixel", fontsize=9)
    bar = figure.colorbar(shown, ax=axes[1], shrink=0.9, ticks=[0, 1, 2, 3])
    bar.ax.set_yticklabels(["1", "10", "100", "1000"])
    bar.set_label("power / median")
    return Plot(
        figure,
        "PRNU patterns of the sources and their power spectra. Highest peak above the spectrum's median, at cycles a "
        f"pixel down and across: {'; '.join(words)}.",
    )


@styled
def radial_spectra(spectra: Mapping[str, NDArray[np.floating]], side: int) -> Plot:
    """Mean logarithm of the power by frequency, a line a source: as it is, and less that of the first source.

    Args:
        spectra: source to the mean of `spectra.radial_spectra`, ``[R]``, decimal logarithms.
        side: of the images, in pixels.
    """
    figure = new_figure(2.6)
    left, right = new_axes(figure, 1, 2)[0]
    reference, base = next(iter(spectra.items()))
    words = []
    for k, (name, spectrum) in enumerate(spectra.items()):
        frequency = np.arange(1, len(spectrum)) / side
        style = {"color": colour_of(k), "ls": LINES[k % len(LINES)], "lw": 1.3, "label": name}
        left.plot(frequency, spectrum[1:], **style)
        right.plot(frequency, spectrum[1:] - base[1:], **style)
        if k:
            words.append(f"{name} {10 ** (spectrum[-1] - base[-1]):.2f}")
    left.set(ylabel="mean of log10 of power", title="mean spectrum")
    right.set(title=f"less that of {reference}")
    for ax in (left, right):
        ax.axvline(0.5, color="0.6", lw=0.8, ls=":")
        ax.set_xlabel("frequency, cycles a pixel")
    legend_below(figure, *left.get_legend_handles_labels())
    told = f" At the highest, typical power as a multiple of {reference}'s: {', '.join(words)}." if words else ""
    return Plot(figure, f"Mean logarithms of the power of {', '.join(spectra)} against frequency.{told}")


@styled
def choices(found: Mapping[str, tuple[str, Mapping[str, Sequence[tuple[float, float]]]]], chance: float) -> Plot:
    """Validation accuracy by setting, a panel a method, a line a condition; the chosen setting is filled.

    Args:
        found: method to what its setting is called, and condition to the settings with their accuracies in [0, 1].
        chance: accuracy of guessing, in [0, 1].
    """
    figure = new_figure(2.4)
    axes = new_axes(figure, 1, len(found), sharey=True)[0]
    words = []
    for ax, (method, (setting, lines)) in zip(axes, found.items(), strict=True):
        for k, (condition, points) in enumerate(lines.items()):
            x, y = np.array(points, float).T
            colour = (PALETTE[1], PALETTE[2], PALETTE[0])[k % 3]
            style = {"marker": marker_of(k), "color": colour, "ms": 5}
            ax.plot(x, 100 * y, **style, mfc="white", lw=1.1, ls=LINES[k % len(LINES)], label=condition)
            best = int(y.argmax())
            ax.plot(x[best], 100 * y[best], **style)
            words.append(f"{method}, {condition}: {100 * y[best]:.0f} % at {x[best]:g}")
        ax.axhline(100 * chance, color="0.45", lw=1, ls=":")
        ax.set(xscale="log", xlabel=setting, title=method, ylim=(0, 103))
        ax.minorticks_off()
        ax.xaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("validation accuracy, %")
    legend_below(figure, *axes[0].get_legend_handles_labels())
    return Plot(figure, f"Validation accuracy by setting. Chosen: {'; '.join(words)}. Chance: {100 * chance:.0f} %.")
