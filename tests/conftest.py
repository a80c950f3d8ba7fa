"""What several folders of tests share: copies of the project, and the book built once at the profile `smoke`."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before NumPy and torch are imported: several processes, a thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # and the kernels that they start have more

import csv
import io
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fingerprintlib.book.grids import Grid
from fingerprintlib.book.sweeps import Estimate, Picture, Point, Sweep, publish, zoo_hash
from fingerprintlib.data import clothing
from fingerprintlib.data.decoding import decode
from fingerprintlib.data.images import encode_webp
from fingerprintlib.data.splits import SPLITS
from fingerprintlib.provenance import content_hash

from .archives import Server, serve
from .wild import make_wild

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Side by side: a file's tests stay in one process, and so do all that share the built book."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "book" if "smoke_book" in (ROOT / file).read_text() else file

    return ByFile(config, log)


@dataclass
class Project:
    """A copy of the project in a folder of its own, with its own library."""

    root: Path
    output: str = ""

    @property
    def html(self) -> Path:
        return self.root / "_build" / "smoke" / "html"

    def fingerprints(self, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run the command there."""
        return subprocess.run(
            [sys.executable, "-m", "fingerprintlib.cli", *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root)},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file; it must be there."""
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new))


def heed_ctrl_c() -> None:
    """For a child process: whatever a shell runs in the background ignores Ctrl-C, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def copy_project(root: Path) -> Project:
    """The parts of this checkout that a book needs, in `root`."""
    for name in ("_config.yml", "Snakefile"):
        shutil.copy(ROOT / name, root / name)
    for name in ("fingerprintlib", "book", "data"):
        shutil.copytree(
            ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.ipynb", ".ipynb_checkpoints")
        )
    return Project(root)


def example_sweep() -> Sweep:
    """What a sweep of two parameters might have found, with a picture of each point; nothing of it was measured."""
    grid = Grid("attribution", {"steps": [100, 200, 400], "colours": ["grey", "all"]})
    points = []
    for number, values in enumerate(grid.points):
        value = 0.3 + number / 10
        buffer = io.BytesIO()
        Image.new("RGB", (40, 30), (40 * number, 90, 120)).save(buffer, format="PNG")
        estimates = {"metric.runs": Estimate(1), "claim.existence": Estimate(value, value - 0.05, value + 0.04)}
        points.append(Point(values, estimates, Picture(buffer.getvalue(), f"A square, number {number}.")))
    names = ("profile", "version", "date", "code", "zoo", "machine", "device")
    return Sweep(
        "attribution",
        "An example",
        {name: list(values) for name, values in grid.values.items()},
        {"steps": "training steps", "colours": "colour conditions"},
        {"seed": 0},
        points,
        {"claim.existence": "%"},
        ["claim.existence"],
        dict.fromkeys(names, "example") | {"cores": 2},
        "example",
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with twelve photographs of clothing by four contributors; their originals lie in ``originals``."""
    folder, originals = tmp_path / "data" / "clothing", tmp_path / "originals" / "deeper"
    originals.mkdir(parents=True)
    monkeypatch.setenv("FINGERPRINTS_SHIPPED", str(tmp_path / "data"))
    rng = np.random.default_rng(0)
    rows = [["image", "contributor", "kind", "kids", "split", "pixels_64", "pixels_128"]]
    for number in range(12):
        name = f"photo{number:02d}"
        pixels = rng.integers(0, 256, (150, 130, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(originals / f"{name}.jpg", quality=95)
        squares = {r: clothing.square(decode(originals / f"{name}.jpg"), r) for r in (64, 128)}
        split = SPLITS[number % 4]
        path = folder / "64" / split / f"{name}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_webp(squares[64]))
        hashes = [content_hash(square.tobytes()) for square in squares.values()]
        rows.append([name, f"c{number % 4}", "Hat", "False", split, *hashes])
    with open(folder / "photographs.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


@pytest.fixture
def wild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as readers bring it: see `wild`."""
    make_wild(tmp_path / "wild", monkeypatch)
    return tmp_path / "wild"


@pytest.fixture(scope="session")
def smoke_book(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The real book, built in a copy. Tests that change the copy come last (see tests/book/test_book.py)."""
    project = copy_project(tmp_path_factory.mktemp("book"))
    sweep = example_sweep()  # so that the gallery has something to show: of the generators of today
    sweep = replace(sweep, provenance=sweep.provenance | {"zoo": zoo_hash(project.root / "data" / "zoo")})
    publish(sweep, "example", project.root / "data" / "sweeps")
    result = project.fingerprints("book", "--profile", "smoke")
    assert result.returncode == 0, result.stderr
    project.output = result.stdout + result.stderr
    return project


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the published data sets: empty, and not there yet."""
    monkeypatch.setenv("FINGERPRINTS_DATA", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine that offers what a test puts there."""
    offering = Server()
    listening = serve(offering)
    yield offering
    listening.shutdown()
    listening.server_close()
