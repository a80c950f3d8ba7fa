"""Cases: what was asked about one image after the other, and the evidence."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..data.images import Pixels
from .axes import Floats, bare, legend_below, new_axes, picture
from .style import PALETTE, WIDTH, Plot, colour_of, styled

AMPLIFIED = 10  # times, residuals


class Case(NamedTuple):
    """An image and what was found.

    Attributes:
        name: of the image.
        verdict: in a few words.
        image: uint8 ``[H, W, 3]``.
        residual: what a denoiser takes for noise in what the network sees, float ``[S, S, 3]`` on the scale 0..255.
        probabilities: of each known source, in [0, 1].
        squares: what each square of a large image is said to be, int ``[n, m]``, the number of known sources for
            unknown; or None.
    """

    name: str
    verdict: str
    image: Pixels
    residual: Floats
    probabilities: Mapping[str, float]
    squares: NDArray[np.int_] | None = None


@styled
def cases(found: Sequence[Case]) -> Plot:
    """The evidence for each verdict, a row an image: image, residual, its spectrum, a map of the squares, responses.

    Args:
        found: at least one, all of the same known sources.
    """
    names = [*found[0].probabilities]
    mapped = any(case.squares is not None for case in found)
    widths = [1, 1, 1, *[1] * mapped, 1.3]
    height = (WIDTH - 0.6) / sum(widths) + 0.28
    figure, axes = new_axes(height * len(found) + 0.3 * mapped, len(found), len(widths), width_ratios=widths)
    colours = [*(colour_of(k) for k in range(len(names))), "0.85"]
    for row, case in zip(axes, found, strict=True):
        picture(row[0], case.image, f"{_short(case.name)}: {case.verdict}")
        amplified = np.clip(128 + AMPLIFIED * case.residual, 0, 255).astype(np.uint8)
        picture(row[1], amplified, "")
        row[1].text(0, -0.06, f"residual, {AMPLIFIED} times", transform=row[1].transAxes, va="top", fontsize=7)
        plane = case.residual.mean(-1)
        power = np.abs(np.fft.fftshift(np.fft.fft2(plane - plane.mean()))) ** 2
        row[2].imshow(np.log10(power + 1e-3 * power.max() + 1e-9), cmap="gray")
        bare(row[2])
        row[2].text(0, -0.06, "its spectrum", transform=row[2].transAxes, va="top", fontsize=7)
        if mapped:
            row[3].axis("off")
        if case.squares is not None:
            row[3].imshow(case.squares, cmap=ListedColormap(colours), vmin=0, vmax=len(names))
            row[3].text(0, -0.06, "its squares", transform=row[3].transAxes, va="top", fontsize=7)
        bars = row[-1]
        best = max(case.probabilities, key=lambda name: case.probabilities[name])
        bars.barh(names, [*case.probabilities.values()], color=[PALETTE[1 if name == best else 3] for name in names])
        bars.invert_yaxis()
        bars.set(xlim=(0, 1), xticks=(0, 1))
        bars.tick_params(labelsize=7)
    axes[-1, -1].set_xlabel("probability, if it is one of these", fontsize=7)
    if mapped:
        legend_below(figure, {n: Patch(color=c) for n, c in zip([*names, "unknown"], colours, strict=True)})
    told = "; ".join(f"{case.name}: {case.verdict}" for case in found)
    return Plot(figure, f"Images, their residuals and spectra, and the probabilities of the known sources. {told}.")


def _short(name: str, longest: int = 40) -> str:
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-longest // 2 :]}"
