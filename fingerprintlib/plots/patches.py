"""Patches: what a feature sees, and who made which part of an image."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..images import Pixels
from ..notebook import Plot
from .style import colour_of, legend_below, new_axes, new_figure, picture, styled


@styled
def supports(image: Pixels, seen: Mapping[str, NDArray[np.bool_]]) -> Plot:
    """An image, dimmed but for the pixels that a feature sees, for each network.

    Args:
        image: uint8 ``[H, W, 3]``.
        seen: title to bool ``[H, W]``.
    """
    rows = -(-len(seen) // 6)
    columns = -(-len(seen) // rows)
    figure = new_figure((0.25 + 7.2 / columns) * rows)
    axes = new_axes(figure, rows, columns).ravel()
    words = []
    for ax in axes:
        ax.axis("off")
    for ax, (title, mask) in zip(axes, seen.items(), strict=False):
        picture(ax, np.where(mask[..., None], image, 180 + image // 4).astype(np.uint8), title)
        height, width = (int(mask.any(axis).sum()) for axis in (1, 0))
        words.append(f"{title}: {height} by {width} pixels")
    return Plot(figure, f"What one feature sees of an image. {'; '.join(words)}.")


@styled
def patch_maps(
    images: Pixels, maps: Sequence[NDArray[np.integer]], titles: Sequence[str], names: Sequence[str]
) -> Plot:
    """Images, and below each the source that every patch of it is attributed to.

    Args:
        images: uint8 ``[N, H, W, 3]``.
        maps: for each image int ``[P, P]``, indices of `names`.
        titles: one for each image.
        names: the K sources. Their colours differ in lightness.
    """
    figure = new_figure(0.6 + 2 * 7.2 / max(len(images), 4))
    axes = new_axes(figure, 2, len(images))
    colours = ListedColormap([colour_of(k) for k in range(len(names))])
    words = []
    for (above, below), image, found, title in zip(axes.T, images, maps, titles, strict=True):
        picture(above, image, title)
        below.imshow(found, cmap=colours, vmin=-0.5, vmax=len(names) - 0.5, interpolation="nearest")
        below.set(xticks=[], yticks=[])
        shares = np.bincount(np.ravel(found), minlength=len(names)) / np.size(found)
        words.append(f"{title}: " + ", ".join(f"{n} {s:.0%}" for n, s in zip(names, shares, strict=True) if s >= 0.05))
    legend_below(figure, [Patch(color=colour_of(k)) for k in range(len(names))], names)
    return Plot(figure, f"Sources that the patches of images are attributed to. {'; '.join(words)}.")
