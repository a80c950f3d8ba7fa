"""Patches: what a feature sees, and who made which part of an image."""

import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray
from scipy import ndimage

from ..data.images import Pixels
from .axes import legend_below, new_ax, new_axes, new_panels, picture
from .style import NARROW, WIDTH, Plot, colour_of, styled

LETTERS = string.ascii_uppercase
DARK = 3  # the first colours of the palette need white letters


@styled
def patch_sizes(images: Mapping[str, Pixels], sides: Sequence[int]) -> Plot:
    """Images with a patch of each side outlined in the middle, and each patch by itself, enlarged; a row an image.

    Args:
        images: source to uint8 ``[H, W, 3]``.
        sides: of the patches, in pixels, at most those of the images.
    """
    columns = max(len(sides) + 1, 5)
    figure, axes = new_axes(len(images) * WIDTH / columns + 0.35, len(images), columns)
    for ax in axes.flat:
        ax.axis("off")
    for row, (name, image) in zip(axes, images.items(), strict=True):
        picture(row[0], image, name)
        for side, ax in zip(sorted(sides, reverse=True), row[1:], strict=False):
            top, left = ((length - side) // 2 for length in image.shape[:2])
            for colour, width in (("k", 2.2), ("w", 1.0)):  # seen on dark and on light
                row[0].add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, ec=colour, lw=width))
            picture(ax, image[top : top + side, left : left + side], f"{side} px")
    told = ", ".join(str(side) for side in sorted(sides, reverse=True))
    return Plot(
        figure, f"An image of each of {', '.join(images)}, and patches of {told} pixels from its middle, enlarged."
    )


@styled
def supports(image: Pixels, seen: Mapping[str, NDArray[np.bool_]]) -> Plot:
    """An image, dimmed but for the pixels that a feature sees, for each network.

    Args:
        image: uint8 ``[H, W, 3]``.
        seen: title to bool ``[H, W]``.
    """
    rows = -(-len(seen) // 5)
    columns = max(4, -(-len(seen) // rows))
    figure, axes = new_panels(len(seen), columns, 0.45 + WIDTH / columns, margin=0)
    words = []
    for ax, (title, mask) in zip(axes, seen.items(), strict=True):
        height, width = (int(mask.any(axis).sum()) for axis in (1, 0))
        dimmed = np.where(mask[..., None], image, 200 + image // 5).astype(np.uint8)
        picture(ax, dimmed, f"{title}\nsees {height}×{width}")
        _outline(ax, mask)
        words.append(f"{title}: {height} by {width} pixels")
    return Plot(figure, f"What one feature sees of an image. {'; '.join(words)}.")


@styled
def patch_maps(
    images: Pixels,
    maps: Sequence[NDArray[np.integer]],
    titles: Sequence[str],
    names: Sequence[str],
    where: NDArray[np.bool_] | None = None,
) -> Plot:
    """Images, and below each the source that every patch of it is attributed to, by colour and by letter.

    Args:
        images: uint8 ``[N, H, W, 3]``.
        maps: for each image int ``[P, P]``, indices of `names`.
        titles: one for each image.
        names: the K sources, at most 26. Their colours differ in lightness, and large areas bear their letter.
        where: bool ``[N, H, W]``, parts of the images to be outlined.
    """
    columns = max(len(images), 4)
    figure, axes = new_axes(0.7 + 2 * WIDTH / columns, 2, columns)
    colours = ListedColormap([colour_of(k) for k in range(len(names))])
    words = []
    for ax in axes.flat:
        ax.axis("off")
    for n, (image, found, title) in enumerate(zip(images, maps, titles, strict=True)):
        above, below = axes[:, n]
        picture(above, image, title)
        edge = len(image) - 0.5  # in pixels of the image, so that outlines fit both
        extent = (-0.5, edge, edge, -0.5)
        below.imshow(found, cmap=colours, vmin=-0.5, vmax=len(names) - 0.5, extent=extent)
        for k, row, column in _areas(found):
            scale = len(image) / len(found)
            at = scale * (column + 0.5) - 0.5, scale * (row + 0.5) - 0.5
            below.text(*at, LETTERS[k], ha="center", va="center", size=8, color="w" if k < DARK else "k")
        if where is not None:
            _outline(above, where[n])
            _outline(below, where[n])
        shares = np.bincount(np.ravel(found), minlength=len(names)) / np.size(found)
        told = [f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True) if share >= 0.05]
        words.append(f"{' '.join(title.split())}: {', '.join(told)}")
    legend_below(figure, {f"{LETTERS[k]} {name}": Patch(color=colour_of(k)) for k, name in enumerate(names)})
    return Plot(figure, f"Sources that the patches of images are attributed to. {'; '.join(words)}.")


@styled
def numbered(image: Pixels, what: str) -> Plot:
    """One image, enlarged, its columns numbered below it.

    Args:
        image: uint8 ``[H, W, 3]``.
        what: what there is to see, for those who cannot.
    """
    figure, ax = new_ax(4.0, NARROW)
    ax.imshow(image)
    width = image.shape[1]
    ax.set_xticks(range(0, width, max(1, width // 8)))
    ax.set_xticks(range(0, width, max(1, width // 32)), minor=True)
    ax.set(yticks=[], xlabel="column", xlim=(-0.5, width - 0.5))
    return Plot(figure, f"{what}, {image.shape[0]} by {width} pixels, its columns numbered from 0.")


def _areas(found: NDArray[np.integer]) -> list[tuple[int, int, int]]:
    """Source, row and column of a place well inside each connected area that is not too small for a letter."""
    places = []
    for k in np.unique(found):
        labelled, count = ndimage.label(found == k)
        for area in range(1, count + 1):
            mask = labelled == area
            if mask.sum() >= 0.03 * mask.size:
                depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
                row, column = np.unravel_index(depth.argmax(), mask.shape)
                if depth[row, column] >= len(found) / 16:
                    places.append((int(k), int(row), int(column)))
    return places


def _outline(ax: Any, mask: NDArray[np.bool_]) -> None:
    """A line around the part of an image, unless it is all or none of it."""
    if mask.any() and not mask.all():
        for colour, width, style in (("w", 2.0, "solid"), ("k", 0.9, "dashed")):  # seen on dark and on light
            ax.contour(mask, levels=[0.5], colors=colour, linewidths=width, linestyles=style)
