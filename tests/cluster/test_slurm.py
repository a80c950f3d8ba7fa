"""A book of small chapters on a Slurm cluster of one node, as a reader would run it on theirs: see `slurm`."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from fingerprintlib.book.scheduling import no_job_left

from ..conftest import heed_ctrl_c
from .slurm import OPTIONS, Unavailable, one_node

pytestmark = pytest.mark.book


@pytest.fixture
def cluster(monkeypatch):
    try:
        with one_node() as environment:
            for name in ("SLURM_CONF", "PATH"):
                monkeypatch.setenv(name, environment[name])
            yield
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def project(small_book, cluster):
    (small_book.root / "notes").mkdir()
    return small_book


def add(project, page, code):
    """Add to a chapter's last cell."""
    project.edit(f"book/{page}.md", "page.finish()", code.format(notes=str(project.root / "notes")) + "page.finish()")


def wait_until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
    return found


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


COMMON = ("--profile", "smoke", "--cores", "2")

GPUS = """
import os
page.metric("gpus", len(os.environ.get("CUDA_VISIBLE_DEVICES", "").replace(",", "")))
"""

# Each point waits for the three others: in a row they would never end.
MEETING = """
import pathlib, time
notes = pathlib.Path({notes!r})
(notes / str(factor)).touch()
end = time.monotonic() + 300
while len(list(notes.iterdir())) < 4:
    assert time.monotonic() < end, "the others did not come"
    time.sleep(0.1)
"""

# It halts after its steps 10 and 20, for whoever wants to end it there.
TRAINING = """
import pathlib, time
import numpy as np
from fingerprintlib import training_run
from fingerprintlib.gans import build
from fingerprintlib.gans.training import train_gan

training_run.SAVE_SECONDS = 0  # a minute is long in a test
notes = pathlib.Path({notes!r})

def resume(run, resume=training_run.Run.resume):
    resume(run)
    with open(notes / "begun", "a") as file:
        print(run.step, file=file)

def save(run, save=training_run.Run.save):
    save(run)
    halt = notes / f"halted at {{run.step}}"
    if run.step in (10, 20) and not halt.exists():
        halt.touch()
        time.sleep(300)

training_run.Run.resume, training_run.Run.save = resume, save
reals = np.zeros((8, 32, 32, 3), np.uint8)
train_gan(build("vae", 32, 4, seed=0), reals, images=1000, folder=page.store / "training")
"""


def test_points_run_side_by_side_and_a_rule_gets_its_gpus(project):
    add(project, "01-first", GPUS)
    add(project, "02-second", GPUS + MEETING)
    gpus = ("--set-resources", "sweep:gres=gpu:1")
    result = project.fingerprints("sweep", "second", *COMMON, "-p", "factor=1,2,3,4", "--", *OPTIONS, *gpus)
    assert result.returncode == 0, result.stderr
    build = project.root / "_build" / "smoke"
    with open(build / "sweeps" / "second" / "factor" / "sweep.csv", newline="") as file:
        assert [(row["factor"], row["metric.gpus"]) for row in csv.DictReader(file)] == [
            (f"{factor}.0", "1") for factor in (1, 2, 3, 4)
        ]
    assert json.loads((build / "metrics" / "first.json").read_text())["metrics"]["gpus"] == 0
    assert sorted(said("squeue", "--states=all", "--noheader", "--format=%b")) == ["N/A", *4 * ["gres:gpu:1"]]


def test_what_the_cluster_cannot_give_is_said(project):
    gpus = ("--set-resources", "sweep:gres=gpu:9")
    result = project.fingerprints("sweep", "first", *COMMON, "-p", "count=1", "--", *OPTIONS, *gpus)
    assert result.returncode == 1
    assert "Requested node configuration is not available" in result.stderr


def test_jobs_are_cancelled_that_nobody_waits_for(cluster, tmp_path):
    def submit(name):
        said("sbatch", "--mem=100", "--output=/dev/null", f"--job-name={name}", "--wrap=exec sleep 600")

    def queue():
        return said("squeue", "--noheader", "--format=%j", "--states=PENDING,RUNNING")

    with no_job_left(tmp_path) as (_, name):
        submit("another")
        submit(f"{name}_of-a-run-that-was-killed")
        assert len(queue()) == 2
        with no_job_left(tmp_path / "other"):
            assert len(queue()) == 2
        with suppress(KeyboardInterrupt), no_job_left(tmp_path):
            assert queue() == ["another"]
            submit(f"{name}_of-this-run")
            raise KeyboardInterrupt
        assert queue() == ["another"]


def test_what_was_killed_or_preempted_goes_on_where_it_was(project):
    add(project, "01-first", TRAINING)
    notes = project.root / "notes"

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "fingerprintlib.cli", "sweep", "first", *COMMON, "-p", "count=1", "--", *OPTIONS],
            cwd=project.root,
            env={**os.environ, "PYTHONPATH": str(project.root)},
            start_new_session=True,
            preexec_fn=heed_ctrl_c,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    process = start()
    try:
        wait_until((notes / "halted at 10").exists)
        os.killpg(process.pid, signal.SIGKILL)  # Snakemake, too: nobody cancels the job, which goes on holding its lock
        process.communicate()
        assert said("squeue", "--noheader", "--format=%T") == ["RUNNING"]

        process = start()
        wait_until((notes / "halted at 20").exists)
        said("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")
        _, words = process.communicate(timeout=300)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, words
    assert (notes / "begun").read_text().split() == ["0", "10", "20"]
