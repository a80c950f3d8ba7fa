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

from ..data.images import luma_of_planes

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
        float32 ``[n, 3, H, W]``, at least 0; it may exceed 255.
    """
    light, share = (torch.from_numpy(some.astype(np.float32)).to(images.device) for some in (directions, shares))
    right, below, front = light.T[..., None, None]  # [n, 1, 1] each
    planes = images.permute(0, 3, 1, 2).contiguous().float()
    smooth_down, smooth_across = (_smooth(size).to(images.device) for size in images.shape[1:3])
    logarithm = luma_of_planes(planes).add_(1).log_()  # [n, H, W]
    logarithm -= logarithm.mean((1, 2), keepdim=True)  # which changes nothing but rounding: faint slopes need it
    shading = smooth_down @ logarithm @ smooth_across.T
    down, across = torch.gradient(shading, dim=(1, 2))
    slope = down.square().add_(across.square())
    steepness = slope.mean((1, 2), keepdim=True).sqrt_().clamp_(min=FLAT)
    length = slope.div_(steepness.square()).add_(1).sqrt_()  # of the vectors (-across, -down, steepness) / steepness
    cosine = (front - (right * across + below * down) / steepness) / length
    change = irradiance(cosine).log_().sub_(shading)
    change -= change.mean((1, 2), keepdim=True)
    return planes.mul_(change.mul_(share[:, None, None]).exp_()[:, None])


def irradiance(cosine: Tensor) -> Tensor:
    """What a surface receives whose normal has this cosine to the lamp: above 0, ambient light included.

    The clamped cosine developed into spherical harmonics up to the second order. Over each order they add up to a
    Legendre polynomial of the cosine: ``1/4 + t/2 + 5/16 (3 t**2 - 1)/2``.
    """
    lamp = 1 - AMBIENT
    return (lamp * 15 / 32 * cosine).add_(lamp / 2).mul_(cosine).add_(AMBIENT + lamp * (1 / 4 - 5 / 32))


def front_directions(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors ``[n, 3]``, even over the half sphere before the image for even places in [0, 1), ``[n, 2]``."""
    forward, angle = places[:, 0], 2 * np.pi * places[:, 1]
    aside = np.sqrt(1 - forward**2)
    return np.stack((aside * np.cos(angle), aside * np.sin(angle), forward), 1)


@lru_cache
def _smooth(size: int) -> Tensor:
    """The Gaussian of the retinex split as a matrix ``[size, size]``."""
    from scipy.ndimage import gaussian_filter1d

    smooth = gaussian_filter1d(np.eye(size), SMOOTH * size, axis=0, mode="reflect")
    return torch.from_numpy(np.ascontiguousarray(smooth, np.float32))
