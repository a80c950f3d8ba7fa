"""Tiny images of sources that are told apart by a planted pattern alone, in place of a generator's fingerprint."""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

SIDE = 32
NAMES = ("real", "columns", "rows")
WAVE = 16 * np.cos(np.pi / 2 * np.arange(SIDE))  # a quarter of a cycle a pixel
PATTERNS = {
    "real": np.zeros((SIDE, SIDE)),
    "columns": np.broadcast_to(WAVE, (SIDE, SIDE)),
    "rows": np.broadcast_to(WAVE[:, None], (SIDE, SIDE)),
    "diagonal": 16 * np.cos(np.pi / 2 * np.add.outer(np.arange(SIDE), np.arange(SIDE))),
}


def planted(name, count, seed=0):
    """Smooth colours, faint noise, and the pattern of a source: uint8 ``[count, SIDE, SIDE, 3]``."""
    rng = np.random.default_rng([seed, *name.encode()])
    smooth = gaussian_filter(rng.normal(size=(count, SIDE, SIDE, 3)), (0, 3, 3, 0))
    noisy = 128 + 40 * smooth / smooth.std() + rng.normal(0, 3, smooth.shape) + PATTERNS[name][:, :, None]
    return np.clip(noisy, 0, 255).astype(np.uint8)


def labelled(count, names=NAMES, seed=0):
    """So many images of each source, and their labels."""
    return np.concatenate([planted(name, count, seed) for name in names]), np.repeat(np.arange(len(names)), count)


def write(folder, images, suffix=".png", **options):
    """Images as files 000, 001, ... in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03}{suffix}", **options)
