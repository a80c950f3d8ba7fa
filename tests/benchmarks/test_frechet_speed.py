"""How fast the Frechet distance is at Inception's 2,048 dimensions, against the formula with a root of a matrix."""

import time

import numpy as np
import pytest
from scipy.linalg import sqrtm

from fingerprintlib.statistics.distances import frechet_distance

DIMENSIONS = 2048


def by_the_formula(some, others):
    """As it is usually written."""
    cov1, cov2 = (np.cov(features, rowvar=False) for features in (some, others))
    gap = some.mean(0) - others.mean(0)
    return gap @ gap + np.trace(cov1 + cov2 - 2 * np.real(sqrtm(cov1 @ cov2)))


def test_frechet_distance_is_faster_than_a_root_of_a_matrix(benchmark, capsys):
    if benchmark.disabled:
        pytest.skip("a measurement: run `make bench`")
    rng = np.random.default_rng(0)
    some, others = (rng.normal(size=(4096, DIMENSIONS)) * rng.uniform(0.5, 2, DIMENSIONS) for _ in range(2))
    start = time.perf_counter()
    expected = by_the_formula(some, others)
    plain = time.perf_counter() - start
    found = benchmark.pedantic(frechet_distance, args=(some, others), rounds=3, warmup_rounds=1)
    ratio = plain / benchmark.stats.stats.median
    error = abs(found / expected - 1)
    with capsys.disabled():
        print(
            f"\nsqrtm {plain:.1f} s, library {benchmark.stats.stats.median:.2f} s, ratio {ratio:.1f}, error {error:.1e}"
        )
    benchmark.extra_info.update({"plain": plain, "ratio": ratio, "error": error})
    assert error < 1e-6
    assert ratio >= 5
