"""All trainings in small, to be run by any number of processes: ``python -m tests.sharing FOLDER [FOLDER halt] ...``.

Each leaves its losses, step by step, in ``FOLDER/losses.json``. With ``halt`` there are some of them only, and each is
ended somewhere on the way, in the midst of a step.

All is computed in float64: sums are rounded in another order where they are shared, and losses with a gradient penalty
make 1e-3 of float32's 1e-7 within fifty steps. ProGAN learns slowly enough not to be chaotic at this size.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import numpy as np
import torch

from fingerprintlib import training_run
from fingerprintlib.attacks.immunization import immunize
from fingerprintlib.attacks.perturbations import COMBINATION
from fingerprintlib.attribution import training as network_training
from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.attribution.networks import AttributionNetwork
from fingerprintlib.attribution.training import Hyperparameters, fit
from fingerprintlib.attribution.visualization_network import VisualizationLoss, VisualizationNetwork
from fingerprintlib.data.images import to_network, to_tensor
from fingerprintlib.gans import MODELS, build
from fingerprintlib.gans import training as gan_training
from fingerprintlib.runtime import make_fabric

from .attribution.test_attributor import Toy

STEPS, BATCH = 20, 8
RESUMED = ("progan", "sngan", "visualization")  #: those that are halted
OPTIONS = {"progan": {"lr": 1e-4}, "cramergan": {"augment": True, "d_steps": 1}, "sngan": {"d_steps": 2}}
OPTIONS["mmdgan"] = {"d_steps": 1}


class Halted(BaseException):
    """As a kill: what is not in the checkpoint is lost."""


def images():
    rng = np.random.default_rng(0)
    labels = np.arange(42) % 2
    pixels = rng.integers(0, 200, (42, 32, 32, 3)) + 50 * labels[:, None, None, None]
    return pixels.astype(np.uint8), labels


def train_model(name, folder, fabric):
    options = OPTIONS.get(name, {})
    gan = build(name, 32, 4, seed=3, batch=BATCH, **options)
    budget = STEPS * options.get("d_steps", 1) * BATCH
    trained = gan_training.train_gan(gan, images()[0], images=budget, folder=folder, fabric=fabric, without=5)
    return {**trained.history, "parted_at": [trained.card["parted_at"]]}


def train_attribution(folder, fabric):
    return train_network(AttributionNetwork(2, 32, 0.05), None, folder, fabric)


def train_visualization(folder, fabric):
    network = VisualizationNetwork(2, 32, 0.05)
    return train_network(network, VisualizationLoss(network, fabric), folder, fabric)


def train_network(network, objective, folder, fabric):
    validation = tuple(some[:7] for some in images())
    hyperparameters = Hyperparameters(steps=STEPS, batch_size=BATCH, evaluate_every=1)
    how = {"checkpoint": folder / "run", "recipe": {}, "fabric": fabric, "objective": objective}
    return by_step(fit(network, images(), validation, hyperparameters, **how))


def train_immune(folder, fabric):
    clean = Attributor.load_or_train(folder / "clean", Toy(), steps=2, width=0.05, batch_size=BATCH, fabric=fabric)
    how = {"steps": STEPS, "batch_size": BATCH, "fabric": fabric}
    return by_step(immunize(clean.path, Toy(), COMBINATION, folder / "immune", **how).history)


def by_step(history):
    return {key: [entry[key] for entry in history] for key in ("loss", "validation_loss", "validation_accuracy")}


TRAININGS = {
    **{name: lambda *where, name=name: train_model(name, *where) for name in MODELS},
    "attribution": train_attribution,
    "visualization": train_visualization,
    "immunization": train_immune,
}


def halt_at(step):
    """Let every training end in the midst of that step (None: of none)."""

    def count(run, *arguments):
        if run.step == step:
            raise Halted
        count.whole(run, *arguments)

    count.whole = getattr(training_run.Run.count, "whole", training_run.Run.count)
    training_run.Run.count = count


def main(folder, halting, fabric):
    losses = {}
    for name in RESUMED if halting or folder.exists() else TRAININGS:
        halt_at(5 + crc32(f"{folder.name} {name}".encode()) % (STEPS - 10) if halting else None)
        with suppress(Halted):
            losses[name] = TRAININGS[name](folder / name, fabric)
    if fabric.is_global_zero and not halting:
        (folder / "losses.json").write_text(json.dumps(losses))
    fabric.barrier()


if __name__ == "__main__":
    fabric = make_fabric("cpu", "32-true")
    torch.set_default_dtype(torch.float64)
    gan_training.to_tensor = lambda pixels: to_tensor(pixels).double()
    network_training.to_network = lambda pixels, device: to_network(pixels, device).double()
    training_run.SAVE_SECONDS, training_run.LOOK = -1, 1
    arguments = sys.argv[1:]
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument != "halt":
            main(Path(argument), following == "halt", fabric)
