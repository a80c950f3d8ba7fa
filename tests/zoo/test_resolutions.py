"""The largest images, 256x256, from files to an attributor, in numbers as small as can be."""

import numpy as np

from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.data.building import load_or_build
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.data.images import save_png
from fingerprintlib.runtime import make_fabric
from fingerprintlib.zoo.generators import load_or_train

SIDE = 256


def test_images_of_256_pixels_go_all_the_way(tmp_path, monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")
    rng, fabric = np.random.default_rng(0), make_fabric("cpu")
    for number in range(24):
        coarse = rng.integers(0, 256, (16, 16, 3), np.uint8).repeat(20, 0).repeat(17, 1)  # 320 x 272
        save_png(tmp_path / "photographs" / f"{number}.png", coarse)
    real = open_dataset(f"folder:{tmp_path / 'photographs'}", SIDE)
    generator = load_or_train(
        "sngan",
        "sngan",
        real.images("gan", 0, 4),
        resolution=SIDE,
        width=4,
        images=8,
        seed=0,
        folder=tmp_path / "zoo",
        fabric=fabric,
        batch=4,
    )
    assert generator.card["images_seen"] >= 8
    sources = {"real": real, "again": real}  # sampling makes fifty images at least
    corpus = load_or_build(tmp_path, "corpus", sources, {"train": 2, "validation": 1}, SIDE)
    attributor = Attributor.load_or_train(tmp_path, corpus, fabric=fabric, steps=1, batch_size=2, width=1 / 16)
    images, _ = corpus.split("train")
    assert images.shape == (4, SIDE, SIDE, 3)
    assert attributor.fingerprints(images).shape == (4, 32)
