"""How fast the GANs train, each against the same GAN trained plainly, and how fast the zoo is sampled.

Both sides train a GAN of the zoo (64x64, width 16, the settings of zoo.yml) with the library's own loop. The plain side
computes in float32 on contiguous memory, enlarges or averages in a step of its own, and has Adam go from tensor to
tensor. How the C library keeps memory is a matter of the whole process, so each side has one; they take turns, so that
a busy machine slows both alike.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fingerprintlib import runtime
from fingerprintlib.data.images import to_tensor
from fingerprintlib.gans import GAN, GANS, build, layers, progan, sngan, training
from fingerprintlib.zoo.shipped import Zoo

ROOT = Path(__file__).resolve().parents[2]
ZOO = Zoo.of(ROOT / "data" / "zoo")
SIDE, WIDTH = 64, 16
ROUNDS = 5
SECONDS = 3  # a side and round, about
WARM_UP = 10  # steps
SAMPLES = 5000


def double_then_convolve(x, weight, bias):
    return F.conv2d(F.interpolate(x, scale_factor=2), weight, bias, padding=1)


def convolve_then_halve(x, weight, bias):
    return F.avg_pool2d(F.conv2d(x, weight, bias, padding=1), 2)


def plain_optimizers(gan):
    lr, betas = gan.settings.lr, gan.settings.betas
    return {
        name: torch.optim.Adam(getattr(gan, name).parameters(), lr=lr, betas=betas, fused=False, foreach=False)
        for name in ("discriminator", "generator")
    }


def make_plain(patch):
    """From here on the library trains as one first writes it."""
    for module in (layers, progan):
        patch.setattr(module, "double_and_convolve", double_then_convolve)
    for module in (layers, progan, sngan):
        patch.setattr(module, "convolve_and_halve", convolve_then_halve)
    patch.setattr(GAN, "optimizers", plain_optimizers)
    patch.setattr(torch, "channels_last", torch.contiguous_format)  # what the generators ask for
    patch.setattr(training, "to_tensor", lambda images: to_tensor(images).contiguous())  # else the reals' bytes decide
    patch.setattr(runtime, "_keep_memory", lambda: None)


def make_run(name, precision):
    """A training that can be advanced: ProGAN at its last level, where most of its time goes, others at the start."""
    reals = np.random.default_rng(0).integers(0, 256, (1024, SIDE, SIDE, 3), dtype=np.uint8)
    settings = {key: value for key, value in ZOO.recipe(name).items() if key != "images"}
    gan = build(**settings | {"resolution": SIDE, "width": WIDTH, "seed": 0})
    recipe = {"images": 10**9, "seed": 0, "without": None}
    run = training._Run(gan, reals, recipe, runtime.make_fabric("cpu", precision), Path("never saved"))
    if name == "progan":
        run.seen = run.images
    return run


def begin(name, plain, threads):
    """Make this process one side."""
    global RUN
    torch.set_num_threads(threads)
    if plain:
        make_plain(pytest.MonkeyPatch())
    RUN = make_run(name, "32-true" if plain else "bf16-mixed")


def train(steps):
    """Images shown and seconds taken."""
    seen, start = RUN.seen, time.perf_counter()
    for _ in range(steps):
        RUN.advance()
    seconds = time.perf_counter() - start
    RUN.check()
    return RUN.seen - seen, seconds


@pytest.mark.parametrize("name", GANS)
def test_plain_training_is_the_same_training(name, monkeypatch):
    fast = make_run(name, "32-true")
    fast.advance()
    make_plain(monkeypatch)
    plain = make_run(name, "32-true")
    images = []
    for network in (plain.gan.generator, plain.gan.discriminator):
        for module in network.modules():
            module.register_forward_hook(lambda module, inputs, output: images.extend([*inputs, output]))
    plain.advance()
    scattered = [x.shape for x in images if torch.is_tensor(x) and not x.is_contiguous()]
    assert not scattered
    torch.testing.assert_close(fast.losses, plain.losses, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", GANS)
def test_training_is_faster_than_plainly(benchmark, name, capsys):
    if benchmark.disabled:
        pytest.skip("a measurement: run `make bench`")
    threads = torch.get_num_threads()
    spawn = get_context("spawn")  # a fork would inherit this process's memory and threads
    rates = {"plain": [], "library": []}

    with (
        ProcessPoolExecutor(1, spawn, begin, (name, True, threads)) as plain,
        ProcessPoolExecutor(1, spawn, begin, (name, False, threads)) as library,
    ):
        sides = {"plain": plain, "library": library}
        steps = {}
        for side, worker in sides.items():
            worker.submit(train, WARM_UP).result()
            steps[side] = max(1, round(SECONDS * WARM_UP / worker.submit(train, WARM_UP).result()[1]))

        def take_turn(side):
            images, seconds = sides[side].submit(train, steps[side]).result()
            rates[side].append(images / seconds)

        def plain_first():
            take_turn("plain")

        benchmark.pedantic(take_turn, args=("library",), setup=plain_first, rounds=ROUNDS)

    ratios = [ours / theirs for ours, theirs in zip(rates["library"], rates["plain"], strict=True)]
    ratio = float(np.median(ratios))
    medians = {side: float(np.median(values)) for side, values in rates.items()}
    with capsys.disabled():
        print(
            f"\n{name:9}  plain {medians['plain']:4.0f} images/s, library {medians['library']:4.0f} images/s, "
            f"ratio {ratio:.2f} (from {min(ratios):.2f} to {max(ratios):.2f} in {ROUNDS} rounds); "
            f"{threads} threads, load {os.getloadavg()[0]:.1f}"
        )
    benchmark.extra_info.update({"images_per_second": medians["library"], "plain": medians["plain"], "ratio": ratio})
    assert ratio >= 1.6


@pytest.mark.parametrize("name", GANS)
def test_sampling_the_zoo_takes_less_than_a_minute(benchmark, name, tmp_path, capsys):
    if benchmark.disabled:
        pytest.skip("a measurement: run `make bench`")
    if not ZOO.path(name).is_file():
        pytest.skip(f"{ZOO.path(name)} is not there: run `fingerprints zoo train {name}`")
    command = ["-m", "fingerprintlib.cli", "zoo", "sample", name, "-n", str(SAMPLES), "--out", str(tmp_path)]
    two_cores = {**os.environ, "OMP_NUM_THREADS": "2", "FINGERPRINTS_QUIET": "1"}

    def sample():
        result = subprocess.run([sys.executable, *command], cwd=ROOT, env=two_cores, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr

    benchmark.pedantic(sample, rounds=1)
    (seconds,) = benchmark.stats.stats.data
    assert len(list(tmp_path.glob("*.png"))) == SAMPLES
    with capsys.disabled():
        print(f"\n{name:9}  {SAMPLES} images in {seconds:.1f} s, the start included; load {os.getloadavg()[0]:.1f}")
    assert seconds < 60
