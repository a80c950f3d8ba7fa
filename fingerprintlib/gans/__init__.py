"""The paper's four GANs and two models that are none, one file each, and the one loop that trains them.

Photographs -> `training` (of several ProGANs at once, `siblings`) -> a trained model, for `zoo` to keep. `base` is what
the models have in common, `layers` and `equalized` are what they are put together from.
"""

from typing import Any

from ..errors import unknown
from .base import GAN, Model
from .cramergan import CramerGAN
from .flow import Flow
from .mmdgan import MMDGAN
from .progan import ProGAN
from .sngan import SNGAN
from .vae import VAE

__all__ = ["GAN", "GANS", "MMDGAN", "MODELS", "SHORT", "SNGAN", "VAE", "CramerGAN", "Flow", "Model", "ProGAN", "build"]

#: The GANs by the name that files, tables and figures use.
GANS: dict[str, type[GAN]] = {gan.name: gan for gan in (ProGAN, SNGAN, CramerGAN, MMDGAN)}
#: All that can be built, by name: the GANs, and the models that stand for sources unknown to an attribution network.
MODELS: dict[str, type[Model]] = {**GANS, VAE.name: VAE, Flow.name: Flow}

#: Options for `build` that suit slim networks and budgets of some ten thousand images; by trial here, not the paper's.
#: Its learning rates are made for hundreds of thousands of steps, and leave a short run near where it began.
SHORT: dict[str, dict[str, Any]] = {
    "progan": {"batch": 8, "lr": 5e-3, "ema": 0.99},
    "sngan": {"batch": 16, "lr": 1e-3, "d_steps": 1},
    "cramergan": {"batch": 16, "lr": 1e-3, "d_steps": 1},
    "mmdgan": {"batch": 16, "lr": 1e-3, "d_steps": 2},
}


def build(name: str, resolution: int, width: int, seed: int, **options: Any) -> Model:
    """An untrained model on the CPU, its weights drawn from `seed` alone.

    Args:
        name: ``"progan"``, ``"sngan"``, ``"cramergan"``, ``"mmdgan"``, ``"vae"`` or ``"flow"``.
        resolution: 32, 64, 128 or 256.
        width: base channels; 64 is the paper's size, 16 a slim network for a laptop.
        seed: of the initialization.
        options: fields of its `Settings` to change (a GAN's defaults are the paper's).

    Raises:
        UsageError: an unknown name or option, or a value that cannot be.
    """
    if name not in MODELS:
        raise unknown("GAN or other model", name, list(MODELS))
    return MODELS[name](resolution, width, seed, **options)
