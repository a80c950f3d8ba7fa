"""Cases: what was asked about one image after the other, and the evidence."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray
from PIL import Image

from ..attribution.prnu import residuals
from ..data.decoding import decode
from ..data.images import Pixels
from ..forensics.judging import UNKNOWN, Judge, Verdict
from ..forensics.viewing import seen
from ..forensics.wording import origin_in_words, squares_in_words
from .axes import Floats, bare, legend_below, plain
from .style import WIDTH, Plot, colour_of, styled

AMPLIFIED = 10  # times, residuals
LARGEST = 512  # pixels of the longer side of an image that is shown
# The figure travels without the page that explains it.
EXPLAINED = f"""\
Residual: what a denoiser takes for noise in what was judged, {AMPLIFIED} times as strong. Its spectrum: slow changes in
the middle, fine ones at the edges; dots and lines are patterns that repeat, as generators leave them, and as cloth has
them. Bars: the probability of each known source, if the image is of one of them. No answer proves anything alone."""


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
        told: what else was found, a line each.
        part: the side of the square in the middle that was judged, by the image's shorter side.
    """

    name: str
    verdict: str
    image: Pixels
    residual: Floats
    probabilities: Mapping[str, float]
    squares: NDArray[np.int_] | None = None
    told: Sequence[str] = ()
    part: float = 1


def case_of(judge: Judge, path: Path, verdict: Verdict) -> Case:
    """The case of an image file and what a judge said of it; the file is read again."""
    image = decode(path)
    small = seen(image, judge.resolution, judge.view)
    mapped = judge.square_map(image) if verdict.squares else None
    shown = Image.fromarray(image)
    shown.thumbnail((LARGEST, LARGEST))
    told = [origin_in_words(verdict, judge.calibration.bounds)]
    if verdict.answer != UNKNOWN:
        told.append(f"the likeliest source stays under {round(3 * verdict.agreeing)} of 3 harmless changes")
    told.append(squares_in_words(verdict))
    return Case(
        path.name,
        verdict.answer,
        np.asarray(shown),
        residuals(small[None])[0],
        verdict.probabilities,
        mapped,
        [line for line in told if line],
        min(1, judge.resolution / min(image.shape[:2])) if judge.view == "middle" else 1,
    )


@styled
def cases(found: Sequence[Case]) -> Plot:
    """The evidence for each verdict, a row an image: image, residual, its spectrum, a map of the squares, responses.

    Args:
        found: at least one, all of the same known sources.
    """
    names = [plain(name) for name in found[0].probabilities]
    mapped = any(case.squares is not None for case in found)
    widths = [1, 1, 1, *[1] * mapped, 1.3]
    heights = [(WIDTH - 0.6) / sum(widths) + 0.5 + 0.15 * len(case.told) for case in found]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.7 + 0.3 * mapped), layout="constrained")
    colours = [*(colour_of(k) for k in range(len(names))), "0.85"]
    parts = figure.subfigures(len(found) + 1, 1, squeeze=False, height_ratios=[*heights, 0.7])[:, 0]
    parts[-1].text(0.01, 0.95, EXPLAINED, fontsize=7, va="top", linespacing=1.4)
    for part, case in zip(parts[:-1], found, strict=True):
        row = part.subplots(1, len(widths), width_ratios=widths)
        lines = [f"{_short(case.name)}: {plain(case.verdict)}", *(_short(line, 110) for line in case.told)]
        part.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=8.5)
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
        height, width = case.image.shape[:2]
        side = case.part * min(height, width)
        if side < max(height, width):
            corner = ((width - side) / 2 - 0.5, (height - side) / 2 - 0.5)
            row[0].add_patch(Rectangle(corner, side, side, fill=False, ec=colour_of(4), lw=1.2))
            row[0].set_xlabel("framed: what was judged", fontsize=7)
        if mapped:
            bare(row[3])
        if case.squares is not None:
            shown = ListedColormap(colours)
            row[3].imshow(case.squares, cmap=shown, vmin=0, vmax=len(names), extent=(0, width, height, 0))
            row[3].set_xlabel("its squares", fontsize=7)
        bars, unknown = row[-1], case.verdict == UNKNOWN
        drawn = bars.barh(range(len(names)), [*case.probabilities.values()], color=colours[:-1], tick_label=names)
        for bar in drawn if unknown else ():
            bar.set(facecolor="0.93", edgecolor="0.6", hatch="////")
        bars.invert_yaxis()
        bars.set(xlim=(0, 1), xticks=(0, 1))
        bars.tick_params(labelsize=7)
        meaning = "like nothing learned: bars mean nothing" if unknown else "probability, if of one of these"
        bars.set_xlabel(meaning, fontsize=7)
    if mapped:
        legend_below(figure, {n: Patch(color=c) for n, c in zip([*names, "unknown"], colours, strict=True)}, 6)
    told = "; ".join(": ".join([case.name, case.verdict, *case.told]) for case in found)
    return Plot(figure, f"Images, their residuals and spectra, and the probabilities of the known sources. {told}.")


def _short(name: str, longest: int = 40) -> str:
    name = plain(name)
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-longest // 2 :]}"
