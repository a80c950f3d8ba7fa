"""Figures that show images, and the networks that make them."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.patches import Rectangle

from ..data.images import Pixels, grid
from ..data.splits import SPLITS
from .axes import in_blocks, legend_below, new_ax, new_axes, new_panels, new_row, new_table, picture
from .style import PALETTE, WIDTH, Plot, styled


@styled
def sheet(
    images: Mapping[str, Pixels], columns: int = 10, what: str = "Rows of images", blocks: Sequence[str] = ()
) -> Plot:
    """A row (or more) of images for each name.

    Args:
        images: name to uint8 ``[N, H, W, 3]``.
        columns: images side by side.
        what: what there is to see, for those who cannot.
        blocks: names of blocks that the columns are divided into, evenly; they stand apart.
    """
    count = max(len(blocks), 1)
    sheets = {name: in_blocks(grid(some, columns), count) for name, some in images.items()}
    heights = [WIDTH * laid_out.shape[0] / laid_out.shape[1] for laid_out in sheets.values()]
    height = sum(heights) + 0.25 * len(heights)
    figure, axes = new_axes(height, len(sheets), gridspec_kw={"height_ratios": heights})
    for ax, (name, laid_out) in zip(axes[:, 0], sheets.items(), strict=True):
        picture(ax, laid_out, name)
    for k, block in enumerate(blocks):
        axes[0, 0].text((k + 0.5) / count, 1.02, block, transform=axes[0, 0].transAxes, ha="center", va="bottom")
    counts = ", ".join(f"{len(some)} of {name}" for name, some in images.items())
    return Plot(figure, f"{what}: {counts}.")


@styled
def picture_table(rows: Mapping[str, Mapping[str, Pixels]], what: str) -> Plot:
    """Pictures in rows and columns, both named; a row may lack some.

    Args:
        rows: title of the row to title of the column to uint8 ``[H, W, 3]``.
        what: what there is to see, for those who cannot.
    """
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    figure, axes = new_table(rows, columns, WIDTH - 0.2, size=8)
    for line, pictures in zip(axes, rows.values(), strict=True):
        for column, image in pictures.items():
            line[columns.index(column)].imshow(image)
    return Plot(figure, f"{what}. Rows: {', '.join(rows)}. Columns: {', '.join(columns)}.")


@styled
def bands(shown: Mapping[str, Mapping[str, Sequence[Pixels]]]) -> Plot:
    """Images of several sizes, all enlarged to the largest, pixel by pixel: a row a source, a block of columns a band.

    Args:
        shown: source to band to its images, uint8 ``[h, w, 3]`` each; every source has the same sizes.
    """
    sides = {band: [len(image) for image in images] for band, images in next(iter(shown.values())).items()}
    largest = max(side for some in sides.values() for side in some)
    rows = []
    for blocks in shown.values():
        images = [image for some in blocks.values() for image in some]
        rows.append([image.repeat(largest // len(image), 0).repeat(largest // len(image), 1) for image in images])
    columns, step = len(rows[0]), largest + 2
    sheet = grid(np.array(rows).reshape(-1, largest, largest, 3), columns)
    figure, ax = new_ax((WIDTH - 0.8) * len(rows) / columns + 0.45)
    ax.imshow(sheet)
    ax.set_yticks(step * (np.arange(len(rows)) + 0.5), list(shown))
    labels = [f"{'' if n else band}\n{side} px" for band, some in sides.items() for n, side in enumerate(some)]
    ax.set_xticks(step * (np.arange(columns) + 0.5), labels)
    ax.tick_params(length=0, labelbottom=False, labeltop=True, labelsize=8)
    ax.spines[:].set_visible(False)
    words = " and ".join(f"{band} at {', '.join(map(str, some))} pixels" for band, some in sides.items())
    return Plot(figure, f"An image of each of {', '.join(shown)}: {words}, all enlarged to {largest} pixels.")


@styled
def tile_map(photos: Sequence[tuple[str, Pixels, Sequence[tuple[str, int, int, int]]]]) -> Plot:
    """Photographs with their tiles, each marked by the number of the split it belongs to.

    Args:
        photos: title, uint8 ``[H, W, 3]``, and for each tile its split, top, left and side.
    """
    colours = dict(zip(SPLITS, ("#b35806", "#f1a340", "#ffffff", "#8073ac"), strict=True))
    figure, axes = new_panels(len(photos), 4, 1.85)
    for ax, (title, image, tiles) in zip(axes, photos, strict=True):
        ax.imshow(image // 2 + 64, interpolation="auto")  # muted, so that the marks can be read
        ax.set_anchor("NW")  # the title of a narrow one has room to its right
        ax.set_title(fill(title, 26), fontsize=7.5, loc="left")
        ax.axis("off")
        size = 7.5 if len(tiles) < 60 else 3.5
        for split, top, left, side in tiles:
            ax.add_patch(Rectangle((left + 2, top + 2), side - 4, side - 4, fill=False, lw=0.9, ec=colours[split]))
            number, middle = str(SPLITS.index(split) + 1), side / 2
            badge = {"boxstyle": "circle,pad=0.2", "fc": colours[split], "ec": "none"}
            ax.text(left + middle, top + middle, number, ha="center", va="center", size=size, bbox=badge)
    entries = [Rectangle((0, 0), 1, 1, fc="#606060", ec=colours[split], lw=1.5) for split in SPLITS]
    meanings = {f"{number} {SPLITS[number - 1]}": entry for number, entry in enumerate(entries, 1)}
    if len(photos) % 4:  # in the room that the last row has left
        figure.axes[len(photos)].legend(meanings.values(), meanings, loc="upper left")
    else:
        legend_below(figure, meanings)
    counts = {split: sum(tile[0] == split for _, _, tiles in photos for tile in tiles) for split in SPLITS}
    words = ", ".join(f"{count} tiles for {split}" for split, count in counts.items())
    return Plot(figure, f"{len(photos)} photographs cut into squares, each square in one split: {words}.")


Stages = Sequence[tuple[int, int]]


@styled
def architecture(generator: Stages, discriminator: Stages, latent: int, output: str) -> Plot:
    """A GAN from the latent to what its discriminator says, one block a resolution.

    A block is as high as its side (in doublings) and the wider, the more channels it has (by their square root).

    Args:
        generator, discriminator: see `GAN.stages`.
        latent: length of the latent vector.
        output: what the discriminator puts out, ``"score"`` or ``"features"``.
    """
    figure, ax = new_ax(1.75)
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
        size = f"{side}\n{channels}" if side > 1 else f"\n{channels}"
        ax.text(x + width / 2, -4.0, size, ha="center", va="top", fontsize=8, linespacing=1.3)
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


@styled
def growth(previews: Mapping[str, tuple[Sequence[int], Pixels]]) -> Plot:
    """The same latents' images while a GAN trains, one row a moment, one block a GAN, some eight images a row in all.

    Args:
        previews: name to the images seen at each moment, and uint8 ``[moments, n, H, W, 3]``.
    """
    moments = max(len(seen) for seen, _ in previews.values())
    across = max(2, 8 // len(previews))
    figure, axes = new_row(0.92 * moments * WIDTH / (across * len(previews)) + 0.3, len(previews))
    for ax, (name, (seen, images)) in zip(axes, previews.items(), strict=True):
        shown = images[:, :across]
        side = images.shape[2] + 2
        picture(ax, grid(shown.reshape(-1, *images.shape[2:]), shown.shape[1]), name)
        ax.set_anchor("N")
        for row, count in enumerate(seen):
            ax.text(-6, side * (row + 0.5), _short(count), ha="right", va="center", fontsize=8)
    return Plot(
        figure,
        f"Samples of {', '.join(previews)} at {moments} moments of training, from noise at the top to the last at the "
        "bottom; at the left of each row the number of real images seen.",
    )


def _short(count: int) -> str:
    return f"{count / 1000:.3g}k" if count >= 1000 else str(count)
