"""Figures of power spectra: as pictures, frequency 0 in the middle, and against frequency."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from ..attribution.spectra import grid_frequencies, log_power, radial_mean
from .axes import Floats, bare, even_columns, legend_below, listed, new_ax, new_axes, new_panels, new_row, new_table
from .style import NARROW, Plot, colour_of, dash_of, marker_of, signed, styled

FREQUENCY = "frequency, cycles a pixel"
RINGS = "os^Dv"
QUARTERS = ("0", "1/4", "1/2")  # of a cycle a pixel: short enough to stand beside those of the next panel


@styled
def patterns(found: Mapping[str, Floats]) -> Plot:
    """PRNU patterns, a column a source; below each its power spectrum.

    Args:
        found: source to the pattern, float ``[H, W, 3]``; the mean of its channels is shown, black to white being -3 to
            3 of its standard deviations, and the spectrum from its median to a thousand times that.
    """
    figure, axes = new_axes(0.9 + 11 / max(len(found), 3), 2, len(found))
    words = []
    for (pattern_ax, spectrum_ax), (name, pattern) in zip(axes.T, found.items(), strict=True):
        plane = pattern.mean(-1)
        plane = plane - plane.mean()
        limit = 3 * float(plane.std()) or 1.0
        pattern_ax.imshow(plane, cmap="gray", vmin=-limit, vmax=limit)
        pattern_ax.set_title(name)
        bare(pattern_ax)
        power = log_power(plane)
        above = power - np.median(power)
        shown = _spectrum(spectrum_ax, above, cmap="gray", vmin=0, vmax=3)
        spectrum_ax.spines[:].set_visible(True)
        spectrum_ax.tick_params(labelbottom=pattern_ax is axes[0, 0])  # once: more room for the pictures
        top = np.unravel_index(above.argmax(), above.shape)
        down, across = (abs(at - side // 2) / side for at, side in zip(top, above.shape, strict=True))
        words.append(f"{name} 10^{above.max():.1f} at ({down:.2g}, {across:.2g})")
    axes[0, 0].set_ylabel("pattern")
    axes[1, 0].set(ylabel="spectrum", yticks=[-0.5, 0, 0.5])
    axes[1, 0].yaxis.set_major_formatter("{x:g}")
    figure.supxlabel(FREQUENCY, fontsize=9)
    bar = figure.colorbar(shown, ax=axes[1], shrink=0.9, ticks=[0, 1, 2, 3], label="power / median")
    bar.ax.set_yticklabels(["1", "10", "100", "1000"])
    return Plot(
        figure,
        "PRNU patterns of the sources and their power spectra. Highest peak above the spectrum's median, at cycles a "
        f"pixel down and across: {'; '.join(words)}.",
    )


@styled
def fingerprint_spectra(spectra: Mapping[str, Floats], names: Sequence[str]) -> Plot:
    """Logarithmic power spectra: a row for each kind of pattern, a column a source.

    Args:
        spectra: kind to float ``[K, H, W]``, decimal logarithms.
        names: the K sources.
    """
    figure, axes = new_table(spectra, names)
    words = {}
    for row, (kind, some) in zip(axes, spectra.items(), strict=True):
        low, high = np.quantile(some, [0.5, 0.999])  # noise is dark
        for ax, plane in zip(row, some, strict=False):
            ax.imshow(plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        rings = radial_mean(some)
        slopes = rings[:, rings.shape[1] // 2] - rings[:, 1]
        words[kind] = [f"{name} {slope:+.1f}" for name, slope in zip(names, slopes, strict=True)]
    return Plot(
        figure,
        "Power spectra, bright where there is much. From the lowest to half of the highest frequencies the power "
        f"changes, in powers of ten, {listed(words)}.",
    )


@styled
def spectrum_changes(changes: Mapping[str, Floats]) -> Plot:
    """By how much each attack changes the power at each frequency, one scale for all.

    Args:
        changes: attack to float ``[H, W]``: the decimal logarithm of power after over power before.
    """
    figure, axes = new_panels(len(changes), 4, 1.75)
    words = []
    for ax, (name, change) in zip(axes, changes.items(), strict=True):
        shown = _spectrum(ax, change, **signed(2))
        ax.set_title(name)
        down, across = (np.abs(np.fft.fftshift(np.fft.fftfreq(side))) for side in change.shape)
        high = np.maximum(down[:, None], across) >= 0.375
        words.append(f"{name} {10 ** float(change[high].mean()):.2g}")
    bar = figure.colorbar(shown, ax=figure.axes, shrink=0.8, ticks=[-2, -1, 0, 1, 2], label="power after / before")
    bar.ax.set_yticklabels(["1/100", "1/10", "1", "10", "100"])
    figure.supxlabel(FREQUENCY, fontsize=9)
    return Plot(figure, f"Change of the power spectra by attack. Typical factor at the highest: {', '.join(words)}.")


@styled
def spectrum_maps(found: Mapping[str, Floats], reference: str, periods: Sequence[int]) -> Plot:
    """Each source's spectrum less the reference's; rings around where upsampling may leave peaks.

    A spectrum is the same turned by half a turn. So only the left half has rings: what is inside one is seen bare at
    the opposite place.

    Args:
        found: source to the difference in decibels, ``[H, H]``.
        reference: what the spectra are compared with.
        periods: of `spectra.grid_periods`; each has a shape.
    """
    figure, axes = new_panels(len(found), 2, 0.48 * NARROW, margin=0.4, width=NARROW)
    side = len(next(iter(found.values())))
    limit = max(float(np.quantile(np.abs(list(found.values())), 0.995)), 0.1)
    # As wide as neighbours allow, and hollow: a spot is a pixel or three, and has to be seen inside.
    size = 0.58 / max(periods) * 0.36 * 72 * NARROW
    common = {"ms": size, "ls": "", "mfc": "none", "mec": "k", "mew": 0.7}
    looks = [{"marker": RINGS[n % len(RINGS)], **common} for n in range(len(periods))]
    words = []
    for ax, (name, values) in zip(axes, found.items(), strict=True):
        shown = _spectrum(ax, values, **signed(limit))
        for period, look in zip(periods, looks, strict=True):
            down, right = grid_frequencies(side, period).T - side // 2
            itself = (right == -side // 2) | (right == 0)  # columns that the half turn takes to themselves
            marked = np.where(itself, down <= 0, right < 0)
            y, x = (down[marked] + 0.5) / side, (right[marked] + 0.5) / side
            outline = [withStroke(linewidth=1.8, foreground="w")]  # to be seen on dark and on light
            ax.plot(x, y, **look, clip_on=False, path_effects=outline)
        ax.set_title(name, pad=8)  # clear of the marks at the edge
        top = np.unravel_index(np.abs(values).argmax(), values.shape)
        place = ", ".join(f"{(index - side // 2) / side:.2g}" for index in top)
        words.append(f"{name} {values[top]:+.1f} dB at ({place})")
    for ax in axes[-2:]:
        ax.set_xlabel("cycles a pixel")
    figure.colorbar(shown, ax=figure.axes, shrink=0.6, pad=0.02, label=f"above {reference}, dB")
    rings = [axes[0].plot([], [], **look)[0] for look in looks]
    legend_below(figure, {f"expected, period {period}": ring for period, ring in zip(periods, rings, strict=True)})
    return Plot(
        figure,
        f"Mean logarithms of power spectra less that of {reference}. Farthest from it, at cycles a pixel down and "
        f"across: {'; '.join(words)}.",
    )


def _spectrum(ax: Axes, values: Floats, **colours: Any) -> AxesImage:
    """A spectrum as a picture, from -0.5 to 0.5 cycles a pixel down and across."""
    shown = ax.imshow(values, extent=(-0.5, 0.5, 0.5, -0.5), **colours)
    ax.set(xticks=[-0.5, 0, 0.5], yticks=[])
    ax.xaxis.set_major_formatter("{x:g}")
    return shown


@styled
def radial_spectra(spectra: Mapping[str, Floats], side: int) -> Plot:
    """Mean logarithm of the power by frequency, a line a source: as it is, and less that of the first source.

    Args:
        spectra: source to the mean of `spectra.radial_spectra`, ``[R]``, decimal logarithms.
        side: of the images, in pixels.
    """
    figure, (left, right) = new_row(2.6, 2)
    reference, base = next(iter(spectra.items()))
    words = []
    for k, (name, spectrum) in enumerate(spectra.items()):
        frequency = np.arange(1, len(spectrum)) / side
        style = {"color": colour_of(k), "ls": dash_of(k), "lw": 1.3, "label": name}
        left.plot(frequency, spectrum[1:], **style)
        right.plot(frequency, spectrum[1:] - base[1:], **style)
        if k:
            words.append(f"{name} {10 ** (spectrum[-1] - base[-1]):.2f}")
    left.set(ylabel="mean of log10 of power", title="mean spectrum")
    right.set(title=f"less that of {reference}")
    for ax in (left, right):
        ax.axvline(0.5, color="0.6", lw=0.8, ls=":")
        ax.set_xlabel(FREQUENCY)
    legend_below(figure)
    told = f" At the highest, typical power as a multiple of {reference}'s: {', '.join(words)}." if words else ""
    return Plot(figure, f"Mean logarithms of the power of {', '.join(spectra)} against frequency.{told}")


@styled
def spectral_differences(
    found: Mapping[str, tuple[Floats, Floats, Floats]],
    side: int,
    reference: str,
    floor: tuple[Floats, Floats, Floats],
) -> Plot:
    """How far each source's mean spectrum lies above the reference's, an octave as wide as another, intervals shaded.

    Args:
        found: source to difference, low and high in decibels, each ``[R]``, as `spectra.difference_in_decibels` gives.
        side: of the images, in pixels.
        reference: what the spectra are compared with.
        floor: the same of other images of the reference: what is no difference.
    """
    figure, ax = new_ax(2.9, NARROW)
    difference, low, high = floor
    frequency = np.arange(1, len(difference)) / side
    ax.plot(frequency, difference[1:], color="0.35", lw=1.3, ls="--", label=f"{reference}, others")
    ax.fill_between(frequency, low[1:], high[1:], color="0.35", alpha=0.25, lw=0)
    words = [f"other images of {reference} {difference[1 + np.abs(difference[1:]).argmax()]:+.1f} dB"]
    for k, (name, (difference, low, high)) in enumerate(found.items(), 1):
        style = {"color": colour_of(k), "ls": dash_of(k), "lw": 1.3}
        every = {"marker": marker_of(k), "ms": 4, "markevery": (k, 6)}
        ax.plot(frequency, difference[1:], label=name, **style, **every)
        ax.fill_between(frequency, low[1:], high[1:], color=colour_of(k), alpha=0.2, lw=0)
        largest = 1 + np.abs(difference[1:]).argmax()
        words.append(f"{name} {difference[largest]:+.1f} dB at {largest / side:.2g}")
    ax.axhline(0, color="0.4", lw=1)
    least, most = ax.get_ylim()
    ax.set_yticks([tick for tick in ax.get_yticks() if least <= tick <= most])
    limits = [2.0**-n for n in range(1, side.bit_length())]
    for limit in limits:
        ax.axvline(limit, color="0.8", lw=0.8, zorder=0)
    ax.set(xscale="log", xlabel=FREQUENCY, ylabel=f"above {reference}, dB")
    ax.set_xticks(limits, [f"1/{2**n}" for n in range(1, len(limits) + 1)])
    ax.minorticks_off()
    ax.set_xlim(1 / side, 0.72)
    for n in range(len(limits) - 1):
        place = 2.0 ** (-n - 1.5)
        ax.text(place, 1.0, f"residual {2**n}", transform=ax.get_xaxis_transform(), ha="center", va="bottom", size=8)
    names = [f"{reference}, others", *found]
    legend_below(figure, columns=even_columns(names, width=NARROW))
    return Plot(
        figure,
        f"Mean logarithms of power spectra less that of {reference}. Farthest from it, at cycles a pixel: "
        f"{'; '.join(words)}.",
    )


@styled
def copies(found: Mapping[str, tuple[Floats, Floats]], side: int) -> Plot:
    """Spectra of enlarged images along one axis, measured and foretold, a panel each.

    Args:
        found: enlarger to measured and foretold power, ``[R / 2]`` each, from frequency 0 on.
        side: of the images, in pixels.
    """
    figure, axes = new_row(2.5, len(found), sharey=True)
    words = []
    for ax, (name, (measured, foretold)) in zip(axes, found.items(), strict=True):
        frequency = np.arange(1, len(measured)) / side
        ax.plot(frequency, 10 * np.log10(measured[1:]), "o", ms=3, mfc="none", color=colour_of(1), label="measured")
        ax.plot(frequency, 10 * np.log10(foretold[1:]), color=colour_of(2), lw=1.3, label="by the formula")
        ax.axvline(0.25, color="0.6", lw=0.8, ls=":")
        ax.set(title=name, xlabel="cycles a pixel")
        ax.set_xticks([0, 0.25, 0.5], QUARTERS)
        apart = np.abs(10 * np.log10(measured[1:] / foretold[1:]))
        words.append(f"{name} {np.median(apart):.1f} dB")
    axes[0].set_ylabel("power, dB")
    legend_below(figure)
    told = ", ".join(words)
    return Plot(figure, f"Power along one axis, measured and by the formula. Median distance between the two: {told}.")


@styled
def enlarging(small: Floats, kernel: Floats) -> Plot:
    """How a fingerprint comes about, step by step: a spectrum, repeated by zeros, weighed by a kernel.

    Args:
        small: power of an image along one axis, ``[S / 2]``, from frequency 0 on.
        kernel: what the kernel multiplies power by, ``[S]``, from frequency 0 to half a cycle a pixel.
    """
    figure, axes = new_row(2.5, 3, sharey=True)
    decibels = 10 * np.log10(np.maximum(small, 1e-3))
    twice = np.concatenate([decibels, decibels[::-1]])
    weighed = twice + 10 * np.log10(np.maximum(kernel, 1e-12))
    floor, half = decibels.min() - 40, len(decibels)
    frequency = np.linspace(0, 0.5, len(twice))
    below, above = np.linspace(0, 0.25, half), np.linspace(0.25, 0.5, half)  # no gap between the two
    axes[0].fill_between(2 * below, floor, decibels, color=colour_of(1), alpha=0.35, lw=0)
    for ax, level in zip(axes[1:], (twice, weighed), strict=True):
        ax.fill_between(below, floor, level[:half], color=colour_of(1), alpha=0.35, lw=0)
        ax.fill_between(above, floor, np.maximum(level[half:], floor), color=colour_of(2), alpha=0.55, lw=0)
    gain = twice.max() + 10 * np.log10(np.maximum(kernel, 1e-12))
    (kernel_line,) = axes[2].plot(frequency, gain, color="0.25", lw=1.3, ls="--")
    highest = twice.max() + 4
    for ax, title in zip(axes, ("a small image", "zeros in between", "blurred by the kernel"), strict=True):
        ax.set(title=title, xlabel="cycles a pixel", xlim=(0, 0.5), ylim=(floor, highest))
        ax.set_xticks([0, 0.25, 0.5], QUARTERS)
        ax.set_yticks([])
    axes[0].set_ylabel("power, dB")
    legend_below(
        figure,
        {
            "the small image": Patch(color=colour_of(1), alpha=0.35),
            "its mirrored copy": Patch(color=colour_of(2), alpha=0.55),
            "what the kernel lets through": kernel_line,
        },
    )
    what = "the spectrum of a small image; the same, with a mirrored copy in its upper half; and the copy, weakened"
    return Plot(figure, f"Three steps of enlarging: {what} by the kernel but not gone.")
