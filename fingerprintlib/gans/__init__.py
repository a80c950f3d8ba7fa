"""The paper's four GANs, one file each, and the one loop that trains them."""

from typing import Any

from ..errors import unknown
from .base import GAN
from .cramergan import CramerGAN
from .mmdgan import MMDGAN
from .progan import ProGAN
from .sngan import SNGAN

__all__ = ["GAN", "GANS", "MMDGAN", "SHORT", "SNGAN", "CramerGAN", "ProGAN", "build"]

#: The GANs by the name that files, tables and figures use.
GANS: dict[str, type[GAN]] = {gan.name: gan for gan in (ProGAN, SNGAN, CramerGAN, MMDGAN)}

#: Options for `build` that suit slim networks and budgets of some ten thousand images; by trial here, not the paper's.
#: Its learning rates are made for hundreds of thousands of steps, and leave a short run near where it began.
SHORT: dict[str, dict[str, Any]] = {
    "progan": {"batch": 8, "lr": 5e-3, "ema": 0.99},
    "sngan": {"batch": 16, "lr": 1e-3, "d_steps": 1},
    "cramergan": {"batch": 16, "lr": 1e-3, "d_steps": 1},
    "mmdgan": {"batch": 16, "lr": 1e-3, "d_steps": 2},
}


def build(name: str, resolution: int, width: int, seed: int, **options: Any) -> GAN:
    """An untrained GAN on the CPU, its weights drawn from `seed` alone.

    Args:
        name: ``"progan"``, ``"sngan"``, ``"cramergan"`` or ``"mmdgan"``.
        resolution: 32, 64 or 128.
        width: base channels; 64 is the paper's size, 16 a slim network for a laptop.
        seed: of the initialization.
        options: fields of that GAN's `Settings` to change (its defaults are the paper's).

    Raises:
        UsageError: an unknown name or option, or a value that cannot be.
    """
    if name not in GANS:
        raise unknown("GAN", name, list(GANS))
    return GANS[name](resolution, width, seed, **options)
