"""Cases: what was asked about one image after the other, and the evidence."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

from ..attribution.prnu import residuals
from ..data.decoding import decode
from ..data.images import Pixels
from ..forensics.judging import Judge, Verdict
from ..forensics.viewing import seen
from .axes import Floats, bare, legend_below, plain
from .style import PALETTE, WIDTH, Plot, colour_of, styled

AMPLIFIED = 10  # times, residuals
LARGEST = 512  # pixels of the longer side of an image that is shown


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


def case_of(judge: Judge, path: Path, verdict: Verdict) -> Case:
    """The case of an image file and what a judge said of it; the file is read again."""
    image = decode(path)
    small = seen(image, judge.resolution, judge.view)
    mapped = judge.square_map(image) if verdict.squares else None
    shown = Image.fromarray(image)
    shown.thumbnail((LARGEST, LARGEST))
    return Case(path.name, verdict.answer, np.asarray(shown), residuals(small[None])[0], verdict.probabilities, mapped)


@styled
def cases(found: Sequence[Case]) -> Plot:
    """The evidence for each verdict, a row an image: image, residual, its spectrum, a map of the squares, responses.

    Args:
        found: at least one, all of the same known sources.
    """
    names = [plain(name) for name in found[0].probabilities]
    mapped = any(case.squares is not None for case in found)
    widths = [1, 1, 1, *[1] * mapped, 1.3]
    height = (WIDTH - 0.6) / sum(widths) + 0.5
    figure = Figure(figsize=(WIDTH, height * len(found) + 0.3 * mapped), layout="constrained")
    colours = [*(colour_of(k) for k in range(len(names))), "0.85"]
    for part, case in zip(figure.subfigures(len(found), 1, squeeze=False)[:, 0], found, strict=True):
        row = part.subplots(1, len(widths), width_ratios=widths)
        part.suptitle(f"{_short(case.name)}: {plain(case.verdict)}", x=0.01, ha="left", fontsize=9)
        amplified = np.clip(128 + AMPLIFIED * case.residual, 0, 255).astype(np.uint8)
        plane = case.residual.mean(-1)
        power = np.abs(np.fft.fftshift(np.fft.fft2(plane - plane.mean()))) ** 2
        for ax, image, told in (
            (row[0], case.image, ""),
            (row[1], amplified, f"residual, {AMPLIFIED} times"),
            (row[2], np.log10(power + 1e-3 * power.max() + 1e-9), "its spectrum"),
        ):
            ax.imshow(image, cmap="gray")
            ax.set_xlabel(told, fontsize=7)
            bare(ax)
        if mapped:
            bare(row[3])
        if case.squares is not None:
            row[3].imshow(case.squares, cmap=ListedColormap(colours), vmin=0, vmax=len(names))
            row[3].set_xlabel("its squares", fontsize=7)
        bars, shares = row[-1], [*case.probabilities.values()]
        colour = [PALETTE[1 if share == max(shares) else 3] for share in shares]
        bars.barh(range(len(names)), shares, color=colour, tick_label=names)
        bars.invert_yaxis()
        bars.set(xlim=(0, 1), xticks=(0, 1))
        bars.tick_params(labelsize=7)
        bars.set_xlabel("probability, if of one of these", fontsize=7)
    if mapped:
        legend_below(figure, {n: Patch(color=c) for n, c in zip([*names, "unknown"], colours, strict=True)}, 6)
    told = "; ".join(f"{case.name}: {case.verdict}" for case in found)
    return Plot(figure, f"Images, their residuals and spectra, and the probabilities of the known sources. {told}.")


def _short(name: str, longest: int = 40) -> str:
    name = plain(name)
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-longest // 2 :]}"
