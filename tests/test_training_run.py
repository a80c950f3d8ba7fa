"""What every training does around its steps, seen on one that only counts."""

import pytest
import torch
from torch import nn

from fingerprintlib import training_run
from fingerprintlib.checkpoints import load_checkpoint
from fingerprintlib.errors import FingerprintsError
from fingerprintlib.runtime import make_fabric
from fingerprintlib.training_run import Run


class Killed(BaseException):
    """As Ctrl-C."""


class Counting(Run):
    """Ten steps of three images; a minute and a bit passes in some of them, and losses are recorded at others."""

    kind = "counting"
    kept = ("curve",)
    images = 30

    def __init__(self, path, kill_at=None, slow=(4, 8), shape=()):
        super().__init__(("one", "two"), shape, {"seed": 0}, make_fabric("cpu", "32-true"), path)
        self.network, self.curve, self.saved = nn.Linear(1, 1), [], []
        nn.init.zeros_(self.network.bias)
        self.kill_at, self.slow = kill_at, slow

    def parts(self):
        return {"network": self.network}

    def advance(self):
        if self.step == self.kill_at:
            raise Killed
        with torch.no_grad():
            self.network.bias += 1
        loss = torch.full(self.losses[0].shape, float(self.step))
        self.count(3, loss, -loss)
        self.now += 61 if self.step in self.slow else 1

    def is_due(self, before):
        return self.step in (3, 7)

    def record(self, means):
        self.curve.append([self.step, *means.values()])

    def save(self):
        super().save()
        self.saved.append(self.step)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")
    monkeypatch.setattr(Counting, "now", 0.0, raising=False)
    current = []
    monkeypatch.setattr(training_run.time, "monotonic", lambda: current[-1].now if current else 0.0)
    return current


def train(clock, *arguments, **options):
    run = Counting(*arguments, **options)
    clock.append(run)
    run.train("counting")
    return run


def test_it_is_saved_each_minute_and_at_the_end(clock, tmp_path):
    run = train(clock, tmp_path / "run")
    assert run.saved == [4, 8, 10]
    assert (run.step, run.seen, run.seconds) == (10, 30, 61 * 2 + 8)


def test_it_goes_on_from_the_last_save_to_the_same_end(clock, tmp_path):
    whole = train(clock, tmp_path / "whole")
    assert whole.curve == [[3, 1, -1], [7, 4.5, -4.5], [10, 8, -8]]  # means since the last time
    with pytest.raises(Killed):
        train(clock, tmp_path / "parts", kill_at=6)
    parts = train(clock, tmp_path / "parts")
    assert parts.saved == [8, 10]
    assert parts.curve == whole.curve
    assert parts.network.bias == whole.network.bias
    assert parts.seconds == whole.seconds
    again = train(clock, tmp_path / "parts", kill_at=0)  # nothing is left to do
    assert again.saved == []
    assert (again.curve, again.seconds) == (whole.curve, whole.seconds)


def test_losses_of_several_at_once_are_kept_apart(clock, tmp_path):
    run = train(clock, tmp_path / "run", shape=(2,))
    assert run.curve == [[3, [1, 1], [-1, -1]], [7, [4.5] * 2, [-4.5] * 2], [10, [8, 8], [-8, -8]]]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stops_with_step_name_and_mend(tmp_path, value):
    run = Counting(tmp_path / "run")
    run.step = 17
    run.require_finite("a loss", torch.tensor(1.5))
    with pytest.raises(FingerprintsError, match="Nothing was saved yet") as caught:
        run.require_finite("a loss", torch.tensor(value))
    for part in ("step 17", f"a loss is {value}", "Lower the learning rate"):
        assert part in str(caught.value)
    run.save()
    with pytest.raises(FingerprintsError, match=r"last good checkpoint is .*run"):
        run.require_finite("a loss", torch.tensor(value))


@pytest.mark.parametrize("where", ["weight", "loss"])
def test_what_is_not_finite_is_not_saved(clock, tmp_path, monkeypatch, where):
    advance = Counting.advance

    def poison(run):
        advance(run)
        if run.step == 5:
            (run.network.weight.data if where == "weight" else run.losses)[0] = torch.nan

    monkeypatch.setattr(Counting, "advance", poison)
    with pytest.raises(FingerprintsError, match=f"step (7|8): .*{where}.* is nan"):
        train(clock, tmp_path / "run")
    tensors, _ = load_checkpoint(tmp_path / "run", "counting")
    assert tensors["network/bias"] < 5
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to"),
    ],
)
def test_a_step_for_which_memory_is_lacking_says_so_in_a_sentence(clock, tmp_path, monkeypatch, error):
    def lacking(run):
        raise error

    monkeypatch.setattr(Counting, "advance", lacking)
    with pytest.raises(FingerprintsError, match=r"^Step 1 .* more memory than cpu has free\. Take a smaller batch"):
        train(clock, tmp_path / "run")


def test_pytorch_still_says_so_when_memory_is_lacking(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(Counting, "advance", lambda run: torch.empty(1 << 60))
    with pytest.raises(FingerprintsError, match="needs more memory"):
        train(clock, tmp_path / "run")


def test_another_error_of_a_step_stays_what_it_is(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(Counting, "advance", lambda run: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        train(clock, tmp_path / "run")


def test_losses_are_looked_at_between_records(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(Counting, "advance", lambda run: run.count(3, torch.tensor(0.0), torch.tensor(torch.nan)))
    with pytest.raises(FingerprintsError, match="step 1: the two's loss is nan"):
        train(clock, tmp_path / "run")


def test_the_bar_counts_images_and_shows_the_losses(clock, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("FINGERPRINTS_QUIET")
    bars = []
    progress = training_run.progress
    monkeypatch.setattr(training_run, "progress", lambda *a, **k: bars.append(progress(*a, **k)) or bars[-1])
    train(clock, tmp_path / "run")
    assert (bars[0].n, bars[0].total, bars[0].postfix) == (30, 30, "O=8.000, T=-8.000")
    assert "counting" in capsys.readouterr().err
