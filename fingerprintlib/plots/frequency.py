"""Figures of frequency bands and of what differs in spectra."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..images import Pixels, grid
from ..notebook import Plot
from ..spectra import grid_frequencies
from .style import WIDTH, colour_of, legend_below, marker_of, new_axes, new_figure, styled

Floats = NDArray[np.floating]
LINES = ("-", "--", "-.", ":", (0, (5, 1)))
RINGS = "os^Dv"


@styled
def bands(shown: Mapping[str, Mapping[str, Sequence[Pixels]]]) -> Plot:
    """Images of several sizes, all enlarged to the largest, pixel by pixel: a row a source, a block of columns a band.

    Args:
        shown: source to band to its images, uint8 ``[h, w, 3]`` each; every source has the same sizes.
    """
    sides = [len(image) for images in next(iter(shown.values())).values() for image in images]
    largest = max(sides)
    rows = []
    for blocks in shown.values():
        images = [image for some in blocks.values() for image in some]
        rows.append([image.repeat(largest // len(image), 0).repeat(largest // len(image), 1) for image in images])
    columns, step = len(sides), largest + 2
    sheet = grid(np.array(rows).reshape(-1, largest, largest, 3), columns)
    figure = new_figure((WIDTH - 0.8) * len(rows) / columns + 0.45)
    ax = new_axes(figure)[0, 0]
    ax.imshow(sheet, interpolation="nearest")
    ax.set_yticks(step * (np.arange(len(rows)) + 0.5), list(shown))
    labels = [
        f"{band}\n{len(image)} px" if number == 0 else f"\n{len(image)} px"
        for band, images in next(iter(shown.values())).items()
        for number, image in enumerate(images)
    ]
    ax.set_xticks(step * (np.arange(columns) + 0.5), labels)
    ax.tick_params(length=0, labelbottom=False, labeltop=True, labelsize=8)
    ax.spines[:].set_visible(False)
    words = " and ".join(
        f"{band} at {', '.join(str(len(image)) for image in images)} pixels"
        for band, images in next(iter(shown.values())).items()
    )
    return Plot(figure, f"An image of each of {', '.join(shown)}: {words}, all enlarged to {largest} pixels.")


@styled
def spectral_differences(
    found: Mapping[str, tuple[Floats, Floats, Floats]],
    side: int,
    reference: str,
    floor: tuple[Floats, Floats, Floats] | None = None,
) -> Plot:
    """How far each source's mean spectrum lies above the reference's, an octave as wide as another, intervals shaded.

    Args:
        found: source to difference, low and high in decibels, each ``[R]``, as `spectra.difference_in_decibels` gives.
        side: of the images, in pixels.
        reference: what the spectra are compared with.
        floor: the same of other images of the reference: what is no difference.
    """
    figure = new_figure(2.9)
    ax = new_axes(figure)[0, 0]
    words = []
    frequency = np.arange(1, len(next(iter(found.values()))[0])) / side
    if floor:
        difference, low, high = floor
        ax.plot(frequency, difference[1:], color="0.35", lw=1.3, ls=LINES[1], label=f"{reference}, others")
        ax.fill_between(frequency, low[1:], high[1:], color="0.35", alpha=0.25, lw=0)
        words.append(f"other images of {reference} {difference[1 + np.abs(difference[1:]).argmax()]:+.1f} dB")
    for k, (name, (difference, low, high)) in enumerate(found.items(), 1):
        style = {"color": colour_of(k), "ls": LINES[k % len(LINES)], "lw": 1.3}
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
    ax.set(xscale="log", xlabel="frequency, cycles a pixel", ylabel=f"above {reference}, dB")
    ax.set_xticks(limits, [f"1/{2**n}" for n in range(1, len(limits) + 1)])
    ax.minorticks_off()
    ax.set_xlim(1 / side, 0.72)
    for n in range(len(limits) - 1):
        place = 2.0 ** (-n - 1.5)
        ax.text(place, 1.0, f"residual {2**n}", transform=ax.get_xaxis_transform(), ha="center", va="bottom", size=7.5)
    legend_below(figure, *ax.get_legend_handles_labels())
    return Plot(
        figure,
        f"Mean logarithms of power spectra less that of {reference}. Farthest from it, at cycles a pixel: "
        f"{'; '.join(words)}.",
    )


@styled
def spectrum_maps(found: Mapping[str, Floats], reference: str, periods: Sequence[int]) -> Plot:
    """Each source's spectrum less the reference's, frequency 0 in the middle; rings where upsampling may leave peaks.

    Args:
        found: source to the difference in decibels, ``[H, H]``.
        reference: what the spectra are compared with.
        periods: of `spectra.grid_periods`; a ring is the smaller, the longer the period.
    """
    across = max(len(found), 2)
    figure = new_figure(WIDTH / across + 0.8)
    axes = new_axes(figure, 1, across)[0]
    side = len(next(iter(found.values())))
    limit = max(float(np.quantile(np.abs(list(found.values())), 0.995)), 0.1)
    ring = {"mfc": "none", "mec": "k", "mew": 0.6}
    words = []
    for ax, (name, values) in zip(axes, found.items(), strict=False):
        shown = ax.imshow(
            values, cmap="PuOr_r", vmin=-limit, vmax=limit, interpolation="nearest", extent=(-0.5, 0.5, 0.5, -0.5)
        )
        for number, period in enumerate(periods):
            y, x = (grid_frequencies(side, period).T - side // 2 + 0.5) / side
            ax.plot(x, y, RINGS[number % 5], ms=7 / (number + 1) + 1.5, **ring, clip_on=False)
        ax.set(title=name, xticks=[-0.5, 0, 0.5], yticks=[])
        ax.xaxis.set_major_formatter("{x:g}")
        top = np.unravel_index(np.abs(values).argmax(), values.shape)
        place = ", ".join(f"{(index - side // 2) / side:.2g}" for index in top)
        words.append(f"{name} {values[top]:+.1f} dB at ({place})")
    for ax in axes[len(found) :]:
        ax.axis("off")
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(f"above {reference}, dB")
    handles = [axes[0].plot([], [], RINGS[n % 5], ms=7 / (n + 1) + 1.5, **ring)[0] for n in range(len(periods))]
    legend_below(figure, handles, [f"expected of period {period}" for period in periods])
    return Plot(
        figure,
        f"Mean logarithms of power spectra less that of {reference}. Farthest from it, at cycles a pixel down and "
        f"across: {'; '.join(words)}.",
    )


@styled
def grid_peaks(found: Mapping[str, Mapping[int, tuple[float, tuple[float, float]]]]) -> Plot:
    """How high spectra stand where upsampling may leave peaks, a panel a period, a row a source, with intervals.

    Args:
        found: source to period to the mean height in decibels and its interval; all have the same periods.
    """
    periods = list(next(iter(found.values())))
    figure = new_figure(0.24 * len(found) + 0.9)
    axes = new_axes(figure, 1, len(periods), sharey=True)[0]
    for ax, period in zip(axes, periods, strict=True):
        for k, values in enumerate(found.values()):
            height, (low, high) = values[period]
            ax.plot([low, high], [k, k], color=colour_of(k), lw=2)
            ax.plot(height, k, marker_of(k), color=colour_of(k), ms=5)
        ax.axvline(0, color="0.4", lw=1, ls="--")
        ax.set(title=f"period {period}", ylim=(len(found) - 0.5, -0.5), xlabel="height, dB")
        ax.grid(axis="x", color="0.9")
    axes[0].set_yticks(range(len(found)), list(found))
    words = "; ".join(
        f"{name}: " + ", ".join(f"{values[period][0]:.1f} at {period}" for period in periods)
        for name, values in found.items()
    )
    return Plot(figure, f"Height in decibels above the neighbourhood by period, {words}.")
