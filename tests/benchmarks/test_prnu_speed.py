"""How fast PRNU residuals are, against PyWavelets and SciPy one channel at a time, in one run.

10,000 colour images of 64x64. The plain side is timed on some of them, since it takes a minute for all. The two take
turns, so that a busy machine slows both alike.
"""

import os
import time

import numpy as np
import pytest
import torch

from fingerprintlib.attribution import prnu

from ..attribution.test_prnu import photographs, reference

COUNT, SIDE = 10_000, 64
SAMPLE = 100  # images a round of the plain side
ROUNDS = 3


def test_residuals_are_five_times_as_fast_as_one_at_a_time(benchmark, tmp_path, capsys):
    if benchmark.disabled:
        pytest.skip("a measurement: run `make bench`")
    some = photographs(500, SIDE)
    np.save(tmp_path / "images.npy", np.tile(some, (COUNT // len(some), 1, 1, 1)))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    plain, error = [], []

    def take_turns():
        start = time.perf_counter()
        expected = reference(some[:SAMPLE])
        plain.append((time.perf_counter() - start) / SAMPLE * COUNT)
        error.append(np.abs(prnu.residuals(some[:SAMPLE]) - expected).max())

    def all_of_them():  # as a pattern is made: read in chunks, nothing kept
        for _ in prnu.batches(images):
            pass

    benchmark.pedantic(all_of_them, setup=take_turns, rounds=ROUNDS, warmup_rounds=1)
    fast = benchmark.stats.stats.data
    ratios = [theirs / ours for ours, theirs in zip(fast, plain[1:], strict=True)]
    seconds, ratio = float(np.median(fast)), float(np.median(ratios))
    with capsys.disabled():
        print(f"\n{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, {COUNT} images of {SIDE}x{SIDE}x3")
        print(f"one channel at a time, float64 {np.median(plain[1:]):6.1f} s (from {SAMPLE} images)")
        print(f"prnu.batches, float32          {seconds:6.1f} s, error {max(error):.1e} of 255")
        print(f"ratio {ratio:.2f} (from {min(ratios):.2f} to {max(ratios):.2f} in {ROUNDS} rounds)")
    benchmark.extra_info.update({"seconds": seconds, "ratio": ratio, "error": float(max(error))})
    assert max(error) < 1e-4
    assert ratio >= 5
    assert seconds < 30
