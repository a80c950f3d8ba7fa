from types import SimpleNamespace

import numpy as np
from PIL import Image

from fingerprintlib.classroom import swap
from fingerprintlib.gans.progan import ProGAN
from fingerprintlib.zoo.generators import Generator


def test_a_generator_is_trained_once_for_its_seed(tmp_path):
    reals = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype(np.uint8)
    zoo = SimpleNamespace(plan={"resolution": 64}, reals=lambda work: reals)
    made = swap.train(zoo, "ada", 3, tmp_path, images=8)
    assert (made.name, made.gan.resolution, made.card["recipe"]["seed"]) == ("ada", 64, 3)
    assert made.card["recipe"]["gan"] == "progan"
    again = swap.train(zoo, "ada", 3, tmp_path, images=8)
    assert (again.hash, again.seconds) == (made.hash, made.seconds)


def test_a_later_part_of_the_row_has_other_images_and_the_same_numbers(tmp_path):
    generator = Generator("ada", ProGAN(32, 4, 0).eval(), {})
    swap.write_images(generator, tmp_path / "all", 5)
    swap.write_images(generator, tmp_path / "rest", 2, 3)
    found = {path.name: np.array(Image.open(path)) for path in (tmp_path / "all").iterdir()}
    assert sorted(found) == [f"{number:04}.png" for number in range(5)]
    assert len({image.tobytes() for image in found.values()}) == 5
    rest = {path.name: np.array(Image.open(path)) for path in (tmp_path / "rest").iterdir()}
    assert sorted(rest) == ["0003.png", "0004.png"]
    assert all(np.array_equal(found[name], image) for name, image in rest.items())
    assert not any(Image.open(path).info for path in (tmp_path / "all").iterdir())
