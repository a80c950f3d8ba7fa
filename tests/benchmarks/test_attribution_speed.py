"""How fast the attribution network trains, against a plain PyTorch loop over PNG files, in one run.

Both train the network of the quick profile (64x64, width 1/4, batch 32), and the paper's (128x128, width 1), with the
same optimizer on the same images, and take turns, so that a busy machine slows both alike.
"""

import copy
import math
import os
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

from fingerprintlib.attribution.networks import AttributionNetwork
from fingerprintlib.attribution.training import Hyperparameters, fit
from fingerprintlib.data.images import save_png
from fingerprintlib.runtime import make_fabric

BATCH, CLASSES, ROUNDS = 32, 4, 3
STEPS = {(64, 0.25): 50, (128, 1.0): 20}
AT_LEAST = 2  # times as fast, with evaluating and saving, which weigh more where steps are as few as here
SIZES = pytest.mark.parametrize(("side", "width"), STEPS)


class PlainConv(nn.Conv2d):
    """What one writes first: a convolution that scales its weight."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, x):
        return self._conv_forward(x, self.weight * math.sqrt(2 / (self.in_channels * 9)), self.bias)


class PlainLinear(nn.Linear):
    gain = math.sqrt(2)

    def forward(self, x):
        return F.linear(x, self.weight * (self.gain / math.sqrt(self.in_features)), self.bias)


WIDTHS = {
    (64, 0.25): [3, 8, 16, 16, 32, 32, 64, 64, 128, 128],
    (128, 1.0): [3, 16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 512],
}


def plain_network(side, width):
    widths = WIDTHS[side, width]
    layers = []
    for index in range(len(widths) - 1):
        layers += [PlainConv(widths[index], widths[index + 1]), nn.LeakyReLU(0.2)]
        if index % 2:
            layers.append(nn.AvgPool2d(2))
    top = widths[-1]
    last = PlainLinear(top, CLASSES)
    last.gain = 1.0
    return nn.Sequential(*layers, nn.Flatten(), PlainLinear(16 * top, top), nn.LeakyReLU(0.2), last)


class Folder(Dataset):
    def __init__(self, folder, labels):
        self.paths, self.labels = sorted(folder.glob("*.png")), labels
        self.transform = transforms.Compose(
            [transforms.RandomHorizontalFlip(), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.transform(Image.open(self.paths[index]).convert("RGB")), self.labels[index]


def train_plainly(network, loader):
    """One epoch; images per second, the workers' start not counted."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.0, 0.99))
    ema = copy.deepcopy(network)
    batches = iter(loader)
    images, labels = next(batches)
    count, start = 0, time.perf_counter()
    while True:
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        with torch.no_grad():
            for mine, theirs in zip(ema.parameters(), network.parameters(), strict=True):
                mine.mul_(0.999).add_(theirs, alpha=0.001)
        count += len(images)
        batch = next(batches, None)
        if batch is None:
            return count / (time.perf_counter() - start)
        images, labels = batch


def peak(dtype):
    """FLOP/s of a 2048^3 matrix product, the best of five."""
    a, b = torch.randn(2048, 2048).to(dtype), torch.randn(2048, 2048).to(dtype)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times)


@SIZES
def test_plain_network_is_the_same_network(side, width):
    fast, plain = AttributionNetwork(CLASSES, side, width), plain_network(side, width)
    plain.load_state_dict(dict(zip(plain.state_dict(), fast.state_dict().values(), strict=True)))
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-4, atol=1e-5)


@SIZES
def test_training_is_faster_than_a_plain_loop(side, width, benchmark, tmp_path, monkeypatch, capsys):
    if benchmark.disabled:
        pytest.skip("a measurement: run `make bench`")
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")
    steps = STEPS[side, width]
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (steps * BATCH, side // 4, side // 4, 3)).repeat(4, 1).repeat(4, 2)
    images = np.clip(smooth + rng.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)  # PNG size as a photograph's
    labels = rng.integers(0, CLASSES, len(images))
    np.save(tmp_path / "images.npy", images)
    for index, image in enumerate(images):
        save_png(tmp_path / "png" / f"{index:05}.png", image)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")

    network = plain_network(side, width)
    loaders = {
        workers: DataLoader(
            Folder(tmp_path / "png", labels),
            BATCH,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        for workers in (0, 1, 2)
    }
    tried = {workers: train_plainly(network, loader) for workers, loader in loaders.items()}
    workers = max(tried, key=tried.__getitem__)  # the plain loop at its best on this machine

    runs = []

    def train_fast():
        fit(
            AttributionNetwork(CLASSES, side, width),
            (mapped, labels),
            (images[:BATCH], labels[:BATCH]),
            Hyperparameters(steps=steps, batch_size=BATCH, evaluate_every=steps),
            checkpoint=tmp_path / f"run{len(runs)}",
            recipe={},
            fabric=make_fabric(),
        )

    plain = []

    def take_turns():
        plain.append(train_plainly(network, loaders[workers]))
        runs.append(None)

    benchmark.pedantic(train_fast, setup=take_turns, rounds=ROUNDS, warmup_rounds=1)
    plain = plain[1:]
    fast = [steps * BATCH / seconds for seconds in benchmark.stats.stats.data]
    ratios = [ours / theirs for ours, theirs in zip(fast, plain, strict=True)]
    ratio = float(np.median(ratios))

    with FlopCounterMode(display=False) as counter:
        AttributionNetwork(CLASSES, side, width)(torch.zeros(1, 3, side, side))
    flops = 3 * counter.get_total_flops()  # an image forward, and twice that backward
    peaks = {"float32": peak(torch.float32), "bfloat16": peak(torch.bfloat16)}
    rows = [
        ("plain loop, float32, PNG", float(np.median(plain)), peaks["float32"]),
        ("fit, bfloat16, memory map", float(np.median(fast)), peaks["bfloat16"]),
    ]
    with capsys.disabled():
        print(f"\n{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, {flops / 1e6:.0f} MFLOP an image")
        print("plain loop by workers: " + ", ".join(f"{n}: {rate:.0f} images/s" for n, rate in tried.items()))
        for name, rate, top in rows:
            share = f"{rate * flops / top:.0%} of the peak of {top / 1e9:.0f} GFLOP/s"
            print(f"{name:27} {rate:6.0f} images/s  {share}")
        print(f"ratio {ratio:.2f} (from {min(ratios):.2f} to {max(ratios):.2f} in {ROUNDS} rounds)")
    benchmark.extra_info.update({"images_per_second": rows[1][1], "plain": rows[0][1], "ratio": ratio})
    assert ratio >= AT_LEAST
