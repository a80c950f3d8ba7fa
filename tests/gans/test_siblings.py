"""Siblings trained at once: what comes out is what each would be alone."""

import numpy as np
import pytest
import torch

from fingerprintlib import training_run
from fingerprintlib.checkpoints import CheckpointError, load_checkpoint
from fingerprintlib.errors import FingerprintsError
from fingerprintlib.gans import build, siblings
from fingerprintlib.gans.training import train_gan
from fingerprintlib.runtime import make_fabric

MEMBERS = ({"seed": 0}, {"seed": 1}, {"seed": 0, "without": 7})
OPTIONS = {
    "resolution": 32,
    "width": 16,
    "images": 64,
    "data_hash": "noise",
    "batch": 4,
    "phase": 0.15,
    "latent": 8,
    "channels": [8, 8, 4, 4],
    "decay": 0.25,
    "lr": 1e-4,  # small, or rounding grows to something else in a few steps
}


@pytest.fixture(scope="module")
def reals():
    return np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def fabric():
    return make_fabric(accelerator="cpu", precision="32-true")


@pytest.fixture(scope="module")
def trained(reals, fabric, tmp_path_factory):
    return siblings.train_siblings(reals, MEMBERS, folder=tmp_path_factory.mktemp("s"), fabric=fabric, **OPTIONS)


def weights(trained):
    return torch.cat([p.flatten() for p in trained.gan.average.parameters()])


@pytest.mark.parametrize("member", range(3))
def test_each_is_what_it_would_be_alone(trained, member, reals, fabric, tmp_path):
    mine = trained[member]
    shown = {key: OPTIONS[key] for key in ("images", "data_hash")} | {"without": MEMBERS[member].get("without")}
    settings = {key: value for key, value in OPTIONS.items() if key not in shown} | {"seed": MEMBERS[member]["seed"]}
    alone = train_gan(build("progan", **settings), reals, folder=tmp_path, fabric=fabric, **shown)
    assert torch.allclose(weights(mine), weights(alone), atol=2e-4)
    assert np.abs(mine.previews.astype(int) - alone.previews).max() <= 2
    assert mine.moments == alone.moments
    assert mine.card["parted_at"] == alone.card["parted_at"]
    assert np.allclose(mine.history["discriminator"], alone.history["discriminator"], rtol=0.01, atol=0.01)
    assert {k: v for k, v in mine.card["recipe"].items() if k not in ("code", "versions")} == {
        k: v for k, v in alone.card["recipe"].items() if k not in ("code", "versions")
    }
    assert mine.card["together"] == 3


def test_members_differ(trained):
    assert not torch.allclose(weights(trained[0]), weights(trained[1]))
    assert not torch.equal(weights(trained[0]), weights(trained[2]))


def test_goes_on_where_it_was_stopped(trained, reals, fabric, tmp_path, monkeypatch):
    step = siblings._Run.advance

    def stop(run):
        if run.step == 9:
            raise KeyboardInterrupt
        step(run)

    monkeypatch.setattr(siblings._Run, "advance", stop)
    monkeypatch.setattr(training_run, "SAVE_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        siblings.train_siblings(reals, MEMBERS, folder=tmp_path, fabric=fabric, **OPTIONS)
    monkeypatch.undo()
    again = siblings.train_siblings(reals, MEMBERS, folder=tmp_path, fabric=fabric, **OPTIONS)
    assert all(torch.equal(weights(a), weights(b)) for a, b in zip(again, trained, strict=True))
    assert again[2].card["parted_at"] == trained[2].card["parted_at"]
    with pytest.raises(CheckpointError, match="lr"):
        siblings.train_siblings(reals, MEMBERS, folder=tmp_path, fabric=fabric, **OPTIONS | {"lr": 1e-3})
    with pytest.raises(CheckpointError, match=r"seed \(there \[0, 1, 0\], here \[0, 1\]\), without"):
        siblings.train_siblings(reals, MEMBERS[:2], folder=tmp_path, fabric=fabric, **OPTIONS)


def test_a_member_that_diverges_stops_all_and_spoils_no_checkpoint(reals, fabric, tmp_path, monkeypatch):
    step = siblings._Run.advance

    def poison(run):
        step(run)
        if run.step == 3:
            run.generators.weights[0].data[1].view(-1)[0] = float("nan")

    monkeypatch.setattr(siblings._Run, "advance", poison)
    monkeypatch.setattr(training_run, "SAVE_SECONDS", -1)
    with pytest.raises(FingerprintsError, match=r"step 3: a weight is nan.*last good checkpoint is"):
        siblings.train_siblings(reals, MEMBERS, folder=tmp_path, fabric=fabric, **OPTIONS)
    tensors, _ = load_checkpoint(tmp_path / "siblings.safetensors", siblings._Run.kind)
    assert all(tensor.isfinite().all() for tensor in tensors.values() if tensor.is_floating_point())


@pytest.mark.parametrize("stride", [1, 2])
def test_products_are_the_convolutions(stride):
    torch.manual_seed(0)
    x, bias = torch.randn(2, 3, 8, 8, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    weight = torch.randn(5, 3, 3 + (stride == 2), 3 + (stride == 2), dtype=torch.float64)
    expected = torch.nn.functional.conv2d(x, weight, bias, stride=stride, padding=1)
    assert torch.allclose(siblings._convolve(x, weight, bias, stride, 1), expected)
    weight = torch.randn(3, 5, 4, 4, dtype=torch.float64)
    expected = torch.nn.functional.conv_transpose2d(x, weight, bias, stride=2, padding=1)
    assert torch.allclose(siblings._convolve_transposed(x, weight, bias, 2, 1), expected)
