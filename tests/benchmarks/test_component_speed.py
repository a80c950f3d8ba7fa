"""What the networks of the component analysis cost, against the whole attribution network, in one run.

Each sees less than the whole network does, so a training step should cost no more: whatever taking the band out of the
image costs has to be earned back. All are of the quick profile (64x64, width 1/4, batch 32) and take turns, so that a
busy machine slows all alike; of each the fastest round counts. Two runs of the same thing differ by a few per cent even
so: 8 % are allowed for that.
"""

import os
import time

import pytest
import torch
import torch.nn.functional as F

from fingerprintlib.attribution.bands import BANDS
from fingerprintlib.attribution.networks import ORDERS, AttributionNetwork, factors, patch_sides

SIDE, WIDTH, BATCH, CLASSES = 64, 0.25, 32, 5
ROUNDS, WARMUPS = 12, 2
NOISE = 1.2  # what leads up to a component costs something, too

COMPONENTS = {
    f"{band}, factor {factor}": {"band": band, "factor": factor} for band in BANDS for factor in factors(SIDE)
}
COMPONENTS |= {
    f"pool from {level}, {order}": {"pool_from": level, "order": order}
    for order in ORDERS
    for level in patch_sides(SIDE)
}


class Trained:
    """A network and its training step: forward and backward, as `training.fit` does them."""

    def __init__(self, **options):
        self.network = AttributionNetwork(CLASSES, SIDE, WIDTH, **options).to(memory_format=torch.channels_last)
        self.seconds = []

    def step(self, x, labels):
        start = time.perf_counter()
        self.network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(self.network(x), labels)
        loss.backward()
        self.seconds.append(time.perf_counter() - start)


def test_a_component_costs_no_more_than_the_whole(benchmark, capsys):
    if benchmark.disabled:
        pytest.skip("a measurement: run `make bench`")
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(BATCH, 3, SIDE, SIDE, generator=generator).mul(2).sub(1).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    whole, components = Trained(), {name: Trained(**options) for name, options in COMPONENTS.items()}

    def take_turns():
        for component in components.values():
            component.step(x, labels)

    benchmark.pedantic(whole.step, args=(x, labels), setup=take_turns, rounds=ROUNDS, warmup_rounds=WARMUPS)
    best = {name: min(one.seconds[WARMUPS:]) for name, one in {"whole": whole, **components}.items()}
    ratios = {name: best[name] / best["whole"] for name in components}
    with capsys.disabled():
        print(f"\n{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
        print(f"{'the attribution network':32} {BATCH / best['whole']:6.0f} images/s")
        for name, ratio in ratios.items():
            print(f"{name:32} {BATCH / best[name]:6.0f} images/s  {ratio:.2f} of its time")
    benchmark.extra_info.update(ratios)
    assert max(ratios.values()) <= NOISE, {name: ratio for name, ratio in ratios.items() if ratio > NOISE}
