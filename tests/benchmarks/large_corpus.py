"""How fast, and in how much memory, images are read from a corpus that is larger than memory should hold.

Writes a corpus of 128x128 images, 20 GB by default, reads it as a training does, and deletes it. No test: it
takes minutes and disk. ``python -m tests.benchmarks.large_corpus --folder DIR [--gigabytes 20]``
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIDE, CLASSES, BATCH, VALIDATION = 128, 5, 32, 64
BYTES = SIDE * SIDE * 3


@dataclass(frozen=True)
class Made:
    """Images that cost next to nothing, each another one."""

    number: int

    @property
    def provenance(self):
        return {"made": self.number}

    def images(self, split, start, count):
        pool = np.random.default_rng(self.number).integers(0, 256, (16, SIDE, SIDE, 3), np.uint8)
        rows = np.arange(start, start + count)
        images = pool[rows % 16]
        images[:, 0, 0] = np.stack([rows >> 16, rows >> 8, rows], 1).astype(np.uint8)
        return images


def build(folder, gigabytes):
    from fingerprintlib.data.building import build_corpus

    count = int(gigabytes * 1e9 / BYTES / CLASSES)
    sources = {f"source{number}": Made(number) for number in range(CLASSES)}
    return build_corpus(folder, sources, {"train": count, "validation": VALIDATION}, SIDE)


def build_with_a_kill(folder, gigabytes):
    """Build in a process that is killed half way, then go on; says how long both took."""
    partial = folder.with_name(folder.name + ".partial") / "images.npy"
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", __spec__.name, "--folder", folder, "--build", str(gigabytes)])
    while not partial.is_file() or partial.stat().st_size < gigabytes * 5e8:
        time.sleep(0.2)
        assert process.poll() is None, "the build ended before it was half done"
    process.send_signal(signal.SIGKILL)
    process.wait()
    half, seconds = partial.stat().st_size, time.perf_counter() - start
    print(f"build: {half / 1e9:.1f} GB in {seconds:.0f} s, then killed", flush=True)
    start = time.perf_counter()
    corpus = build(folder, gigabytes)
    size = (folder / "images.npy").stat().st_size
    print(f"build: gone on to {size / 1e9:.1f} GB and read back in {time.perf_counter() - start:.0f} s", flush=True)
    return corpus


def resident():
    """Megabytes of this process: those that are its own, and those of files that the kernel may take back."""
    told = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(int(told[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))


def forget(path):
    """Have the kernel drop what it holds of a file, so that the next read is from the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(folder, batches):
    """Draw batches as a training does, from the disk and from the page cache; prints speed and memory."""
    import torch

    from fingerprintlib.attribution.networks import AttributionNetwork
    from fingerprintlib.attribution.training import CrossEntropy, Hyperparameters, _Run
    from fingerprintlib.data.corpus import open_corpus
    from fingerprintlib.runtime import make_fabric

    fabric, corpus = make_fabric("cpu"), open_corpus(folder, verify=False)
    hyper = Hyperparameters(steps=batches, batch_size=BATCH)
    network = AttributionNetwork(CLASSES, SIDE, 1 / 64)
    run = _Run(
        network,
        corpus.split("train"),
        corpus.split("validation"),
        hyper,
        CrossEntropy(fabric),
        None,
        {},
        fabric,
        folder / "none",
    )
    run.draw()
    before = resident()
    print(f"{torch.get_num_threads()} threads; before: {before[0]:.0f} MB own, {before[1]:.0f} MB of files", flush=True)

    def draw(title, first, count):
        peak, start, cpu = [0.0, 0.0], time.perf_counter(), time.process_time()
        for run.step in range(first, first + count):
            run.draw()
            peak = [max(pair) for pair in zip(peak, resident(), strict=True)]
        rate = count * BATCH / (time.perf_counter() - start)
        free = count * BATCH / (time.process_time() - cpu)
        more = [a - b for a, b in zip(peak, before, strict=True)]
        print(
            f"{title}: {rate:.0f} images/s, {rate * BYTES / 1e9:.2f} GB/s, {free:.0f} a second of processor; "
            f"at most {more[0]:+.0f} MB own, {more[1]:+.0f} MB of files",
            flush=True,
        )

    forget(folder / "images.npy")
    draw("cold, random images", 0, 400)
    draw("page cache, the same again", 0, 400)
    draw("a whole epoch", 400, batches)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--build", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ["FINGERPRINTS_QUIET"] = "1"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end, it deletes what it has written
    if asked.build:
        build(asked.folder, asked.build)
    elif asked.read:
        read(asked.folder, asked.read)
    else:
        free = shutil.disk_usage(asked.folder).free
        if free < 1.2e9 * asked.gigabytes:
            sys.exit(f"{asked.folder} has {free / 1e9:.0f} GB free; {1.2 * asked.gigabytes:.0f} GB are needed.")
        home = Path(tempfile.mkdtemp(prefix="large-corpus-", dir=asked.folder))
        try:
            corpus = build_with_a_kill(home / "corpus", asked.gigabytes)
            batches = len(corpus.split("train")[0]) // BATCH
            command = [sys.executable, "-m", __spec__.name, "--folder", home / "corpus", "--read", str(batches)]
            subprocess.run(command, check=True)
        finally:
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
