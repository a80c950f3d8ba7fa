"""Relighting without a trained network: the stand-in for the paper's SfSNet, whose weights nobody may ship.

A *retinex split* (Land and McCann 1971) calls the smoothed logarithm of the luma *shading* and the rest *reflectance*.
The slopes of the shading, scaled to a root mean square of 1, are taken for those of a surface (*pseudo-normals*). That
surface is lit by a lamp, by spherical harmonics up to the second order (Ramamoorthi and Hanrahan 2001), and by ambient
light, and part of the shading is exchanged for what it receives.

It knows nothing of objects: paint that varies slowly passes for shading, the border of a bright thing for a slope,
nothing throws a shadow, the light has no colour, and values are used as they are stored, not as light adds up. So it
changes images smoothly, as another light would, but what it paints is no scene.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .images import LUMA

SMOOTH = 1 / 16  # deviation of the Gaussian that takes shading from reflectance, in sides of the image
AMBIENT = 0.25  # share of the new light that comes from everywhere
FLAT = 1e-3  # a shading that changes less a pixel stays flat


def relit(images: Tensor, shares: NDArray[np.float64], directions: NDArray[np.float64]) -> Tensor:
    """Images under another light; the mean logarithm of each stays.

    Args:
        images: uint8 ``[n, H, W, 3]``.
        shares: how much of the logarithmic shading is exchanged, in [0, 1], ``[n]``.
        directions: to the lamp, unit vectors ``[n, 3]``: right, down, to the viewer.

    Returns:
        float32 ``[n, H, W, 3]``, at least 0; it may exceed 255.
    """
    (smooth_down, slope_down), (smooth_across, slope_across) = (
        (matrix.to(images.device) for matrix in _smooth_and_slope(size)) for size in images.shape[1:3]
    )
    light, share = (torch.from_numpy(some.astype(np.float32)).to(images.device) for some in (directions, shares))
    pixels = images.float()
    luma = pixels @ (torch.tensor(LUMA, dtype=pixels.dtype, device=pixels.device) / 1000)  # [n, H, W]
    shading = smooth_down @ luma.add_(1).log_() @ smooth_across.T
    down, across = slope_down @ shading, shading @ slope_across.T
    steepness = (down.square() + across.square()).mean((1, 2), keepdim=True).sqrt_().clamp_(min=FLAT)
    normal = torch.stack((-across / steepness, -down / steepness, torch.ones_like(down)), -1)
    cosine = (normal @ light[:, None, :, None]).squeeze(-1) / normal.norm(dim=-1)
    change = irradiance(cosine).log_() - shading
    change -= change.mean((1, 2), keepdim=True)
    return pixels.mul_((change * share[:, None, None]).exp_()[..., None])


def irradiance(cosine: Tensor) -> Tensor:
    """What a surface receives whose normal has this cosine to the lamp: above 0, ambient light included.

    The clamped cosine developed into spherical harmonics up to the second order. Over each order they add up to a
    Legendre polynomial of the cosine: ``1/4 + t/2 + 5/16 (3 t**2 - 1)/2``.
    """
    return AMBIENT + (1 - AMBIENT) * (1 / 4 + cosine / 2 + 5 / 32 * (3 * cosine.square() - 1))


def front_directions(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors ``[n, 3]``, even over the half sphere before the image for even places in [0, 1), ``[n, 2]``."""
    forward, angle = places[:, 0], 2 * np.pi * places[:, 1]
    aside = np.sqrt(1 - forward**2)
    return np.stack((aside * np.cos(angle), aside * np.sin(angle), forward), 1)


@lru_cache
def _smooth_and_slope(size: int) -> tuple[Tensor, Tensor]:
    """A Gaussian and the central differences as matrices ``[size, size]``."""
    from scipy.ndimage import gaussian_filter1d

    unit = np.eye(size)
    smooth = gaussian_filter1d(unit, SMOOTH * size, axis=0, mode="reflect")
    matrices = [np.ascontiguousarray(some, np.float32) for some in (smooth, np.gradient(unit, axis=0))]
    return torch.from_numpy(matrices[0]), torch.from_numpy(matrices[1])
