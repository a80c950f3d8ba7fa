"""Several processes compute what one would, and go on where another number of them was killed. With real processes."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fingerprintlib.errors import UsageError
from fingerprintlib.processes import Shares, mean_of_all, of_all, rows, size

from .sharing import RESUMED, STEPS, TRAININGS


def shared_by(world, rank=0):
    return SimpleNamespace(world_size=world, global_rank=rank)


def run(processes, *arguments):
    """`tests.sharing` by so many processes."""
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(several if processes > 1 else []), "-m", "tests.sharing", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "FINGERPRINTS_QUIET": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """By folder, training and learner; who was halted where, and resumed by how many, says the folder's name."""
    folder = tmp_path_factory.mktemp("sharing")
    run(1, folder / "one", folder / "one then two", "halt")
    run(2, folder / "two", folder / "two then one", "halt", folder / "one then two")
    run(1, folder / "two then one")
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/losses.json")}


def require_same(found, wanted):
    assert found.keys() == wanted.keys()
    for learner, curve in wanted.items():
        np.testing.assert_allclose(found[learner], curve, rtol=0, atol=1e-6, err_msg=learner)


@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_have_the_losses_of_one(losses, name):
    curves = losses["one"][name]
    assert max(map(len, curves.values())) == (5 if name == "immunization" else STEPS)
    assert np.ptp(curves.get("generator") or curves["loss"]) > 0.001  # it learns
    require_same(losses["two"][name], curves)


@pytest.mark.parametrize("folder", ["one then two", "two then one"])
@pytest.mark.parametrize("name", RESUMED)
def test_a_killed_run_goes_on_with_another_number_of_processes(losses, folder, name):
    require_same(losses[folder][name], losses["one"][name])


def test_shares_are_consecutive_and_cover_the_batch():
    shares = [Shares(shared_by(4, rank), 32, 4) for rank in range(4)]
    assert [share.count for share in shares] == [8] * 4
    assert [row for share in shares for row in range(32)[share.mine]] == list(range(32))


@pytest.mark.parametrize(
    ("world", "batch", "together", "multiple"), [(3, 32, 1, 3), (16, 32, 4, 64), (2, 6, 4, 4), (64, 32, 1, 64)]
)
def test_a_batch_that_cannot_be_shared_is_refused_with_one_that_can(world, batch, together, multiple):
    with pytest.raises(UsageError, match=rf"batch of {batch} .* by {world} processes.*Use a multiple of {multiple},"):
        Shares(shared_by(world), batch, together)
    Shares(shared_by(1), batch, together)


def test_one_process_has_the_whole_batch_and_needs_nobody():
    import torch

    shares, x = Shares(shared_by(1), 6, 4), torch.arange(6.0)
    with shares.joined():
        assert of_all(x) is x
        assert mean_of_all(x) is x
        assert (rows(6), size(6), shares.mine) == (range(6), 6, slice(0, 6))
