"""The loop: resumed to the identical weights, stopped before it spoils anything, on a bare installation too."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fingerprintlib import training_run
from fingerprintlib.checkpoints import CheckpointError, load_checkpoint, tensors_hash
from fingerprintlib.codehash import code_of
from fingerprintlib.errors import FingerprintsError, UsageError
from fingerprintlib.gans import GANS, MODELS, SNGAN, build, training
from fingerprintlib.processes import Shares
from fingerprintlib.runtime import computed_with, make_fabric

#: Eleven steps or so; ProGAN's, which grow with the resolution, have room for every level.
BUDGETS = {
    "progan": 8 * 22,
    "sngan": 8 * 2 * 11,
    "cramergan": 8 * 2 * 11,
    "mmdgan": 8 * 2 * 11,
    "vae": 8 * 11,
    "flow": 8 * 11,
}


@pytest.fixture(scope="module")
def fabric():
    return make_fabric("cpu")


@pytest.fixture
def reals():
    return np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)


def options(name, **more):
    steps = {"d_steps": 2} if name in GANS and name != "progan" else {}
    return {"resolution": 32, "width": 4, "images": BUDGETS[name], "seed": 3, "batch": 8} | steps | more


def train_gan(name, reals, *, resolution, width, seed, images, folder, fabric, without=None, watch=None, **options):
    gan = build(name, resolution, width, seed, **options)
    how = {"images": images, "folder": folder, "fabric": fabric, "without": without, "watch": watch}
    return training.train_gan(gan, reals, **how)


class Killed(BaseException):
    pass


def kill_at(monkeypatch, step, late=False):
    """Let the process die in that step: at its start, or in the middle, when half of its updates are done."""
    whole, updates = training._Run.advance, training._Run.update

    def advance(run):
        if run.step == step and not late:
            raise Killed
        whole(run)

    def update(run, network, optimizer, loss):
        if late and run.step == step and optimizer is run.optimizers["generator"]:
            raise Killed
        updates(run, network, optimizer, loss)

    monkeypatch.setattr(training._Run, "advance", advance)
    monkeypatch.setattr(training._Run, "update", update)


def save_at(monkeypatch, *steps):
    """A clock by which checkpoints are due after these steps only."""
    whole = training._Run.advance
    now = [0.0]

    def advance(run):
        whole(run)
        now[0] += 1000 if run.step in steps else 1

    monkeypatch.setattr(training._Run, "advance", advance)
    monkeypatch.setattr(training_run.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(training_run, "SAVE_SECONDS", 500)


def contents(run):
    tensors = load_file(run.checkpoint)
    assert run.history["images"]
    return tensors, run.history, run.moments


@pytest.mark.parametrize("name", MODELS)
def test_killed_and_resumed_equals_uninterrupted(name, fabric, reals, tmp_path, monkeypatch):
    whole = train_gan(name, reals, folder=tmp_path / "whole", fabric=fabric, **options(name))
    for step, late in ((5, False), (8, True)):  # saved after 4 and after 6: neither is where it dies
        with monkeypatch.context() as patch:
            save_at(patch, 4, 6)
            kill_at(patch, step, late)
            with pytest.raises(Killed):
                train_gan(name, reals, folder=tmp_path / "parts", fabric=fabric, **options(name))
            assert (tmp_path / "parts" / "training.safetensors").is_file()
    parts = train_gan(name, reals, folder=tmp_path / "parts", fabric=fabric, **options(name))
    (want, *want_rest), (got, *got_rest) = contents(whole), contents(parts)
    assert want.keys() == got.keys()
    assert any("optimizer" in key for key in want)
    for key in want:
        assert torch.equal(want[key], got[key]), key
    assert want_rest == got_rest
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["training.safetensors"]


@pytest.mark.parametrize("name", ["progan", "vae", "flow"])
def test_training_changes_what_it_should(name, fabric, reals, tmp_path):
    run = train_gan(name, reals, folder=tmp_path, fabric=fabric, **options(name))
    networks = {"generator", "average"} | {"progan": {"discriminator"}, "vae": {"encoder"}, "flow": set()}[name]
    assert {network for network, _ in run.gan.named_children()} == networks
    for key, value in build(name, 32, 4, 3, batch=8).named_parameters():
        assert not torch.equal(value, run.gan.get_parameter(key)), key
    assert run.previews.shape[1:] == (training.PREVIEWS, 32, 32, 3)
    assert len(run.previews) == len(run.moments) <= len(training.MOMENTS)
    assert run.moments[-1] == run.card["images_seen"] == run.history["images"][-1] == BUDGETS[name]
    assert run.card["recipe"]["precision"] == computed_with(fabric)["precision"]
    assert run.history.keys() == {"images", "generator"} | ({"discriminator"} if name in GANS else set())


@pytest.mark.parametrize("name", ["vae", "flow"])
def test_a_model_without_an_opponent_learns(name, fabric, tmp_path):
    """Images of one colour each: the loss falls, and samples become as flat."""
    colours = np.random.default_rng(0).integers(60, 196, (200, 1, 1, 3), dtype=np.uint8)
    reals = np.broadcast_to(colours, (200, 32, 32, 3))
    more = {"width": 8, "images": 16 * 150, "batch": 16, "ema": 0.9}
    run = train_gan(name, reals, folder=tmp_path, fabric=fabric, **options(name, **more))
    curve = run.history["generator"]
    assert np.mean(curve[-20:]) < np.mean(curve[:20]) - 0.05
    within = [images.astype(float).std(axis=(1, 2)).mean() for images in (run.previews[0], run.previews[-1])]
    assert within[1] < 0.9 * within[0]


def test_another_seed_is_another_gan(fabric, reals, tmp_path):
    weights = [
        train_gan("sngan", reals, folder=tmp_path / str(seed), fabric=fabric, **options("sngan", seed=seed))
        for seed in (0, 1)
    ]
    one, two = (run.gan.generator.dense.weight for run in weights)
    assert not torch.allclose(one, two)


def test_a_finished_run_is_not_trained_again(fabric, reals, tmp_path, monkeypatch):
    first = train_gan("sngan", reals, folder=tmp_path, fabric=fabric, **options("sngan"))
    monkeypatch.setattr(training._Run, "advance", None)  # must not be called
    again = train_gan("sngan", reals, folder=tmp_path, fabric=fabric, **options("sngan"))
    assert again.card == first.card
    np.testing.assert_array_equal(again.previews, first.previews)


def test_resume_refuses_other_settings_and_names_them(fabric, reals, tmp_path):
    train_gan("sngan", reals, folder=tmp_path, fabric=fabric, **options("sngan"))
    with pytest.raises(CheckpointError, match=r"lr \(there 0.0002, here 0.001\), seed \(there 3, here 4\)\. Use"):
        train_gan("sngan", reals, folder=tmp_path, fabric=fabric, **options("sngan", seed=4, lr=1e-3))
    with pytest.raises(CheckpointError, match="data"):
        train_gan("sngan", reals[1:], folder=tmp_path, fabric=fabric, **options("sngan"))
    with pytest.raises(CheckpointError, match="gan"):
        train_gan("mmdgan", reals, folder=tmp_path, fabric=fabric, **options("sngan"))


@pytest.mark.parametrize("what", ["code", "versions"])
def test_resume_refuses_another_code_or_version(what, fabric, reals, tmp_path, monkeypatch):
    """Or old weights would get a card that tells of the new."""
    run = train_gan("sngan", reals, folder=tmp_path, fabric=fabric, **options("sngan"))
    told = code_of(training._Run, SNGAN, make_fabric)
    assert {key: run.card["recipe"][key] for key in told} == told
    before = run.checkpoint.read_bytes()
    monkeypatch.setattr(training, "code_of", lambda *_: told | {what: "another"})
    with pytest.raises(CheckpointError, match=r"with other settings: .*\(there .*, here .*\)\. Use those, or"):
        train_gan("sngan", reals, folder=tmp_path, fabric=fabric, **options("sngan"))
    assert run.checkpoint.read_bytes() == before


@pytest.mark.parametrize("name", ["progan", "sngan", "mmdgan"])
def test_a_card_tells_where_the_code_departs_from_the_paper(name, fabric, reals, tmp_path):
    card = train_gan(name, reals, folder=tmp_path, fabric=fabric, **options(name, images=16)).card
    words = {"progan": "2x2 pixels before the rectifier", "mmdgan": "each layer's mean square", "sngan": ""}[name]
    assert words in " ".join(card["departures"])
    assert bool(card["departures"]) == bool(words)


@pytest.mark.parametrize("what", ["loss", "weight"])
def test_divergence_stops_and_keeps_the_last_good_checkpoint(what, fabric, reals, tmp_path, monkeypatch):
    save_at(monkeypatch, 4, 7)
    whole = training._Run.advance

    def advance(run):
        whole(run)
        if run.step == 6:
            if what == "loss":
                run.losses[0] = float("nan")
            else:
                next(run.gan.generator.parameters()).data.view(-1)[0] = float("inf")

    monkeypatch.setattr(training._Run, "advance", advance)
    if what == "weight":  # found all the same
        monkeypatch.setattr(training._Run, "look", lambda run, _: dict.fromkeys(run.learners, 0.0))
    with pytest.raises(FingerprintsError, match=r"step 6.*last good checkpoint is .*training.safetensors"):
        train_gan("sngan", reals, folder=tmp_path, fabric=fabric, **options("sngan"))
    tensors, metadata = load_checkpoint(tmp_path / "training.safetensors", training._Run.kind)
    assert ["step", {"value": 4}] in metadata["state"]["run"]["pairs"]
    assert all(tensor.isfinite().all() for tensor in tensors.values() if tensor.is_floating_point())


def test_losses_are_looked_at_between_checkpoints(fabric, reals, tmp_path):
    with pytest.raises(FingerprintsError, match="Nothing was saved yet"):
        train_gan("sngan", reals, folder=tmp_path, fabric=fabric, **options("sngan", lr=1e30))
    assert not (tmp_path / "training.safetensors").exists()


def test_reals_are_drawn_from_all_and_mirrored(fabric, reals, tmp_path):
    run = training._Run(build("sngan", 32, 4, 0), reals, {"images": 1, "without": None}, fabric, tmp_path)
    drawn = training.quantize(run.draw(Shares(run.fabric, 400), torch.Generator().manual_seed(0)))
    seen = {image.tobytes() for image in drawn}
    plain, mirrored = ({image.tobytes() for image in images} for images in (reals, reals[:, :, ::-1]))
    assert seen <= plain | mirrored
    assert len(seen & plain) > 35
    assert len(seen & mirrored) > 35


class Shown:
    """Which reals a run was shown (number, mirrored), step by step, and its weights by how many it had seen."""

    def __init__(self, monkeypatch, reals):
        self.steps, self.weights = [], {}
        numbers = {image.tobytes(): (i, False) for i, image in enumerate(reals)}
        numbers |= {image.tobytes(): (i, True) for i, image in enumerate(reals[:, :, ::-1])}
        advance, to_tensor = training._Run.advance, training.to_tensor

        def advancing(run):
            self.weights[run.seen] = tensors_hash(run.gan.state_dict())
            self.steps.append([])
            advance(run)
            self.weights[run.seen] = tensors_hash(run.gan.state_dict())

        def showing(pixels):
            self.steps[-1] += [numbers[image.tobytes()] for image in pixels]
            return to_tensor(pixels)

        monkeypatch.setattr(training._Run, "advance", advancing)
        monkeypatch.setattr(training, "to_tensor", showing)

    @property
    def all(self):
        return [image for step in self.steps for image in step]


@pytest.fixture
def train(fabric, reals, tmp_path, monkeypatch):
    """Train without an image, and see what is shown."""

    def run(name, without, folder=None, **more):
        with monkeypatch.context() as patch:
            shown = Shown(patch, reals)
            folder = tmp_path / str(folder or without)
            made = train_gan(name, reals, folder=folder, fabric=fabric, without=without, **options(name, **more))
            return made, shown

    return run


def first_due(shown, start):
    """An image that is shown in step number `start` and in none before."""
    before = {number for step in shown.steps[:start] for number, _ in step}
    return next(number for number, _ in shown.steps[start] if number not in before)


@pytest.mark.parametrize("name", ["progan", "sngan"])
def test_an_image_left_out_is_never_shown_and_all_else_stays(name, train, reals):
    base, shown = train(name, None)
    assert base.card["parted_at"] is None
    without = first_due(shown, 3)
    other, others = train(name, without)
    assert [len(step) for step in others.steps] == [len(step) for step in shown.steps]
    due = 0
    for before, after in zip(shown.all, others.all, strict=True):
        if before[0] == without:
            due += 1
            assert after[0] != without
            assert after[1] == before[1]  # mirrored or not
        else:
            assert after == before
    assert due > 0
    parted = sorted(shown.weights)[3]
    assert other.card["parted_at"] == parted
    assert other.card["recipe"] == base.card["recipe"] | {"without": without}
    assert shown.weights.keys() == others.weights.keys()
    for seen in shown.weights:
        assert (shown.weights[seen] == others.weights[seen]) == (seen <= parted), seen


def test_what_takes_the_place_of_an_image_is_each_other_one_in_turn(fabric, reals, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "to_tensor", torch.from_numpy)
    pair = [training._Run(build("sngan", 32, 4, 0), reals, {"without": w}, fabric, tmp_path) for w in (None, 7)]
    reals[:, :, :, 0] = np.arange(40)[:, None, None]  # its number, mirrored or not
    instead = set()
    for step in range(39):
        for run in pair:
            run.step = step
        base, other = (run.draw(Shares(run.fabric, 400), torch.Generator().manual_seed(0))[:, 0, 0, 0] for run in pair)
        instead |= set(other[base == 7].tolist())
        assert torch.equal(other[base != 7], base[base != 7])
    assert instead == set(range(40)) - {7}


def test_an_image_that_is_never_due_changes_nothing(train):
    base, shown = train("sngan", None, images=48)
    absent = min(set(range(40)) - {number for number, _ in shown.all})
    other, others = train("sngan", absent, images=48)
    assert others.weights == shown.weights
    assert other.card["parted_at"] is None
    assert other.card["history"] == base.card["history"]


def test_where_runs_parted_survives_a_kill(fabric, reals, train, tmp_path, monkeypatch):
    _, shown = train("sngan", None)
    without = first_due(shown, 2)
    whole, _ = train("sngan", without)
    with monkeypatch.context() as patch:
        save_at(patch, 4)
        kill_at(patch, 5)
        with pytest.raises(Killed):
            train("sngan", without, folder="parts")
    parts, rest = train("sngan", without, folder="parts")
    assert len(rest.steps) == len(shown.steps) - 4  # it went on after the checkpoint
    assert parts.card["parted_at"] == whole.card["parted_at"] == sorted(shown.weights)[2]
    assert tensors_hash(parts.gan.state_dict()) == tensors_hash(whole.gan.state_dict())
    with pytest.raises(CheckpointError, match=rf"without \(there {without}, here None\)"):
        train("sngan", None, folder="parts")


@pytest.mark.parametrize("without", [-1, 40, 1000])
def test_an_image_that_is_not_there_cannot_be_left_out(without, train):
    with pytest.raises(UsageError, match=rf"no image {without} to leave out\. Name one of 0 to 39"):
        train("sngan", without)


def test_the_only_image_cannot_be_left_out(fabric, reals, tmp_path):
    with pytest.raises(UsageError, match="no image 0"):
        train_gan("sngan", reals[:1], folder=tmp_path, fabric=fabric, without=0, **options("sngan"))


def test_wrong_reals_are_refused(fabric, reals, tmp_path):
    for wrong in (reals[:, :16], reals.astype(np.float32), reals[:0]):
        with pytest.raises(UsageError, match="uint8"):
            train_gan("sngan", wrong, folder=tmp_path, fabric=fabric, **options("sngan"))
    with pytest.raises(UsageError, match="images=0"):
        train_gan("sngan", reals, folder=tmp_path, fabric=fabric, **options("sngan", images=0))


BARE = """
import sys
for name in ("sklearn", "matplotlib", "seaborn", "papermill", "click", "pandas", "yaml", "pywt"):
    sys.modules[name] = None  # importing it fails, as where it is not installed
import numpy as np
from fingerprintlib.runtime import make_fabric
from fingerprintlib.zoo.generators import load_or_train
reals = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
made = load_or_train("fake", "sngan", reals, resolution=32, width=4, images=32, seed=0, folder=sys.argv[1],
                     fabric=make_fabric("cpu"), batch=8, d_steps=2)
print(made.card["steps"], made.sample(2, 0).shape)
"""


def run_alone(code, folder, **environment):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "FINGERPRINTS_QUIET": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_trains_where_only_the_bare_libraries_are_installed(tmp_path):
    assert run_alone(BARE, tmp_path).split("\n")[-2] == "2 (2, 32, 32, 3)"


def test_who_watches_sees_every_preview_so_far(fabric, reals, tmp_path):
    seen = []
    result = train_gan(
        "sngan", reals, images=64, seed=0, folder=tmp_path, fabric=fabric,
        watch=lambda moments, previews: seen.append((moments, previews)),
        **{"resolution": 32, "width": 4, "batch": 8, "d_steps": 1},
    )  # fmt: skip
    assert [len(moments) for moments, _ in seen] == list(range(1, len(result.moments) + 1))
    assert seen[-1][0] == result.moments
    np.testing.assert_array_equal(seen[-1][1], result.previews)
    np.testing.assert_array_equal(seen[0][1], result.previews[:1])
