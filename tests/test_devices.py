"""Trainings on a GPU begin as they do on the CPU; skipped where there is none."""

import numpy as np
import pytest
import torch

from fingerprintlib.attribution.networks import AttributionNetwork
from fingerprintlib.attribution.training import Hyperparameters, fit
from fingerprintlib.gans import MODELS, build
from fingerprintlib.gans.training import train_gan
from fingerprintlib.runtime import make_fabric

HERE = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}


@pytest.fixture(params=HERE)
def device(request, monkeypatch):
    if not HERE[request.param]():
        pytest.skip(f"there is no {request.param} device here")
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")
    return request.param


def images():
    labels = np.arange(40) % 2
    noise = np.random.default_rng(0).integers(0, 200, (40, 32, 32, 3))
    return (noise + 50 * labels[:, None, None, None]).astype(np.uint8), labels


def test_an_attribution_network_learns_there_as_here(device, tmp_path):
    history = {}
    for where in ("cpu", device):
        how = {"checkpoint": tmp_path / where, "recipe": {}, "fabric": make_fabric(where, "32-true")}
        hyper = Hyperparameters(steps=5, batch_size=8, evaluate_every=1)
        history[where] = fit(AttributionNetwork(2, 32, 0.05), images(), images(), hyper, **how)
    losses = [[entry["loss"] for entry in history[where]] for where in ("cpu", device)]
    np.testing.assert_allclose(*losses, rtol=0, atol=0.01)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_there_as_here(device, name, tmp_path):
    losses = []
    for where in ("cpu", device):
        gan = build(name, 32, 4, seed=0, batch=8)
        steps = 3 * getattr(gan.settings, "d_steps", 1)
        run = train_gan(
            gan, images()[0], images=8 * steps, folder=tmp_path / where, fabric=make_fabric(where, "32-true")
        )
        losses.append(run.history["generator"])
        assert run.gan.device.type == where
    np.testing.assert_allclose(*losses, rtol=0.02, atol=0.02)
