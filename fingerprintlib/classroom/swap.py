"""The swap: each of a class trains a small generator from another seed; the others find out whose an image is."""

from pathlib import Path

from ..data.images import save_png
from ..gans import SHORT, ProGAN
from ..progress import progress
from ..zoo.generators import Generator, load_or_train
from ..zoo.shipped import Zoo

IMAGES = 24_000  # photographs shown to each discriminator: some ten minutes on one core of a laptop
WIDTH = 16  # a slim network
EXCHANGED = 200  # images


def train(zoo: Zoo, name: str, seed: int, work: Path, images: int = IMAGES) -> Generator:
    """A small ProGAN that learned from the book's photographs; loaded if it was trained before.

    Args:
        zoo: whose photographs are learned from, at its resolution.
        name: of the source.
        seed: of weights and order: another seed is another generator.
        work: a folder for what is trained; a training that was stopped goes on from there.
        images: photographs shown.
    """
    reals = zoo.reals(work)
    return load_or_train(
        name,
        ProGAN.name,
        reals,
        resolution=zoo.plan["resolution"],
        width=WIDTH,
        images=images,
        seed=seed,
        folder=work,
        **SHORT[ProGAN.name],
    )


def write_images(generator: Generator, folder: Path, count: int = EXCHANGED, start: int = 0) -> None:
    """Write images `start` to `start + count` of a generator's endless row as PNG files: ``0000.png``, ..."""
    with progress(count, generator.name, "images") as bar:
        for index, image in enumerate(generator.sample(count, 0, start), start):
            save_png(folder / f"{index:04}.png", image)
            bar.update()
