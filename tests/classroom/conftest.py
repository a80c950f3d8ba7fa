import numpy as np
import pytest

from fingerprintlib.classroom.case import folder_pools, make_cases, write_case

from ..forensics.planted import write

SEED = "one that nobody guesses"
COUNTS = {"real": 24, "alpha": 24, "beta": 24, "unknown": 16}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """A folder of four sources, all noise: nothing of what is tested here looks at an image."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for name, count in COUNTS.items():
        write(folder / name, rng.integers(0, 256, (count, 64, 64, 3)).astype(np.uint8))
    return folder


@pytest.fixture(scope="session")
def made(own):
    """A case of them: its key and exhibits."""
    return make_cases(folder_pools(own), 30, SEED)[0]


@pytest.fixture
def case(made, tmp_path):
    """The case in a folder; its key is beside it, ``case.key.json``."""
    write_case(tmp_path / "case", tmp_path / "case.key.json", *made)
    return tmp_path / "case"
