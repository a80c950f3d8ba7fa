import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fingerprintlib import training_run
from fingerprintlib.attribution import training
from fingerprintlib.attribution.networks import AttributionNetwork
from fingerprintlib.attribution.training import (
    CrossEntropy,
    Hyperparameters,
    apply,
    batch_indices,
    evaluate,
    fit,
)
from fingerprintlib.checkpoints import CheckpointError
from fingerprintlib.data.images import to_tensor
from fingerprintlib.errors import FingerprintsError, UsageError
from fingerprintlib.runtime import make_fabric, step_generator


class Line(nn.Module):
    """The smallest network that learns: one dense layer on 4x4 images."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(48, 2)
        nn.init.zeros_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(self, x):
        return self.dense(x.flatten(1))


class Killed(BaseException):
    """As Ctrl-C: nothing that the loop could catch by mistake."""


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


def toy(count, seed, side=4, contrast=60):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    images = rng.integers(0, 256 - contrast, (count, side, side, 3))
    images[..., 0] += contrast * labels[:, None, None]
    return images.astype(np.uint8), labels


def train(network, examples, validation, checkpoint, *, fabric=None, recipe=(), objective=None, augment=None, **hyper):
    how = {"checkpoint": checkpoint, "recipe": dict(recipe), "fabric": fabric or make_fabric("cpu")}
    return fit(network, examples, validation, Hyperparameters(**hyper), **how, objective=objective, augment=augment)


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_loop_is_adam_and_ema_spelled_out(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "EMA_DECAY", 0.3)
    images, labels = toy(10, 0)
    network = Line()
    seven = {"steps": 7, "batch_size": 4, "evaluate_every": 7, "seed": 5}
    train(network, (images, labels), toy(8, 1), tmp_path / "run", fabric=make_fabric("cpu", "32-true"), **seven)
    weight, bias = torch.zeros(2, 48), torch.zeros(2)
    parameters, ema = [weight, bias], [torch.zeros(2, 48), torch.zeros(2)]
    squares = [torch.zeros(2, 48), torch.zeros(2)]
    order = np.concatenate([torch.randperm(10, generator=step_generator(5, e, -1)).numpy() for e in range(3)])
    for step in range(7):
        batch = order[4 * step : 4 * step + 4]
        mirrored = torch.rand(4, generator=step_generator(5, step)).numpy() < 0.5
        pixels = [images[i][:, ::-1] if flip else images[i] for i, flip in zip(batch, mirrored, strict=True)]
        x = torch.from_numpy(np.stack(pixels).transpose(0, 3, 1, 2).reshape(4, -1) / np.float32(127.5) - 1).float()
        error = (x @ weight.T + bias).softmax(1) - F.one_hot(torch.from_numpy(labels[batch]), 2)
        for p, square, g in zip(parameters, squares, [error.T @ x / 4, error.mean(0)], strict=True):
            square.mul_(0.99).add_(0.01 * g * g)
            p -= 1e-3 * g / ((square / (1 - 0.99 ** (step + 1))).sqrt() + 1e-8)
        decay = min(0.3, (1 + step) / (10 + step))
        ema = [decay * a + (1 - decay) * p for a, p in zip(ema, parameters, strict=True)]
    torch.testing.assert_close(network.dense.weight.data, ema[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(network.dense.bias.data, ema[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kills", [(7, 2), (5, 1, 1, 3), (9,)])  # at which step of each process, counted anew
def test_resumed_run_equals_the_uninterrupted_one(tmp_path, monkeypatch, kills):
    monkeypatch.setattr(training_run, "SAVE_SECONDS", -1)  # at each step
    images, labels = toy(20, 0, side=16)

    def run(name, kill_at=None):
        calls = 0

        def augment(pixels, generator):
            nonlocal calls
            calls += 1
            if calls == kill_at:
                raise Killed
            noise = torch.randint(0, 20, pixels.shape, generator=generator, dtype=torch.uint8)
            return pixels // 2 + noise

        network = AttributionNetwork(2, 16, 0.03)
        eleven = {"steps": 11, "batch_size": 8, "evaluate_every": 4, "seed": 3}
        history = train(network, (images, labels), toy(12, 1, side=16), tmp_path / name, augment=augment, **eleven)
        return weights(network), [{k: v for k, v in entry.items() if k != "seconds"} for entry in history], calls

    whole, history, _ = run("whole")
    assert [entry["step"] for entry in history] == [4, 8, 11]
    for kill_at in kills:
        with pytest.raises(Killed):
            run("killed", kill_at)
    resumed, resumed_history, calls = run("killed")
    assert 0 < calls < 11  # it did not start from scratch
    assert same(whole, resumed)
    assert resumed_history == history

    again, again_history, calls = run("killed")  # a finished run is only read
    assert calls == 0
    assert same(whole, again)
    assert again_history == history


def test_best_weights_on_validation_are_kept(tmp_path, monkeypatch):
    """The task turns over half-way through: the labels contradict, so validation peaks before the end."""
    monkeypatch.setattr(training, "EMA_DECAY", 0.0)
    images, labels = toy(64, 0)
    order = np.concatenate([batch_indices(step, 8, 64, 0) for step in range(8)])
    labels[order[32:]] ^= 1
    validation = toy(64, 1)

    def run(name, steps):
        network = Line()
        settings = {"steps": steps, "batch_size": 8, "learning_rate": 0.01, "evaluate_every": 1, "flip": False}
        history = train(network, (images, labels), validation, tmp_path / name, **settings)
        return network, history

    network, history = run("whole", 8)
    scores = [(entry["validation_accuracy"], -entry["validation_loss"]) for entry in history]
    best = int(np.argmax([accuracy - 1e-6 * -loss for accuracy, loss in scores]))
    assert best < 7, "the case must have its best before its end"
    assert scores[best] > scores[-1]
    accuracy, loss = evaluate(network, *validation, fabric=make_fabric())
    assert (accuracy, -loss) == scores[best]


@pytest.mark.parametrize(
    ("steps", "judged", "evaluated"),
    [(20, 8, [6, 12, 18, 20]), (20, 40, [20]), (100, 8, list(range(10, 101, 10)))],
)
def test_judging_takes_no_more_images_than_a_third_of_what_is_learned(tmp_path, steps, judged, evaluated):
    history = train(Line(), toy(8, 0), toy(judged, 1), tmp_path / "run", steps=steps, batch_size=4)
    assert [entry["step"] for entry in history] == evaluated


def test_each_epoch_visits_each_image_once_in_another_order():
    rows = np.concatenate([batch_indices(step, 4, 10, seed=7) for step in range(10)])
    epochs = rows.reshape(4, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert sorted(batch_indices(0, 25, 10, seed=7)[:20]) == sorted([*range(10)] * 2)  # a batch of several epochs


def test_a_different_recipe_is_refused_by_name(tmp_path):
    exactly = make_fabric("cpu", "32-true")

    def run(**changed):
        settings = {"steps": 2, "recipe": {"corpus": "abc"}, "batch_size": 4, "fabric": exactly, **changed}
        train(Line(), toy(8, 0), toy(8, 1), tmp_path / "run", **settings)

    run()
    with pytest.raises(CheckpointError, match=r"settings: learning_rate \(there 0.001, here 0.1\)\. Use those, or"):
        run(learning_rate=0.1)
    with pytest.raises(CheckpointError, match=r"settings: corpus \(there 'abc', here 'xyz'\)"):
        run(recipe={"corpus": "xyz"})
    with pytest.raises(CheckpointError, match=r"settings: precision \(there 'float32', here 'bfloat16'\)"):
        run(fabric=make_fabric("cpu", "bf16-mixed"))
    (tmp_path / "run").write_bytes((tmp_path / "run").read_bytes()[:-50])
    with pytest.raises(CheckpointError, match="not a whole one"):
        run()


def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    class Poisoned(CrossEntropy):
        def loss(self, *arguments):
            return super().loss(*arguments) * torch.inf

    with pytest.raises(FingerprintsError, match=r"step 1: the network's loss is inf.*Nothing was saved yet"):
        train(Line(), toy(8, 0), toy(8, 1), tmp_path / "run", steps=2, objective=Poisoned(make_fabric()))
    assert not (tmp_path / "run").exists()


def test_apply_does_not_depend_on_the_batches_and_reads_memory_maps(tmp_path):
    np.save(tmp_path / "images.npy", toy(10, 0)[0])
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    network, fabric = copy.deepcopy(AttributionNetwork(2, 4, 0.05)), make_fabric("cpu", "32-true")
    assert torch.allclose(
        apply(network, images, fabric=fabric, batch_size=3), network(to_tensor(np.array(images))), atol=1e-6
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((8, 4, 4, 3))}, "images must be uint8.*float64"),
        ({"images": np.full((8, 4, 4, 3), np.nan)}, "images must be uint8.*float64"),
        ({"images": np.zeros((8, 3, 4, 4), np.uint8)}, r"images must be \[N, H, W, 3\], not \[8, 3, 4, 4\]"),
        ({"images": np.zeros((4, 4, 3), np.uint8)}, r"single \[4, 4, 3\]"),
        ({"images": np.zeros((0, 4, 4, 3), np.uint8)}, "images is empty"),
        ({"images": [1, 2]}, "images must be a NumPy array.*list"),
        ({"labels": np.zeros(8)}, "labels must be an array of integers, not float64"),
        ({"labels": np.zeros(7, int)}, r"labels must be \[8\]"),
        ({"labels": np.full(8, -1)}, "labels must be 0 or above"),
        ({"validation": (np.zeros((2, 4, 4, 3), np.uint8), np.zeros(3, int))}, r"validation labels must be \[2\]"),
        ({"steps": 0}, "steps and batch_size must be at least 1"),
        ({"learning_rate": 0}, "learning_rate above 0, not 2, 32 and 0"),
        ({"network": AttributionNetwork(2, 4, 0.05), "labels": np.full(8, 2)}, "labels must be from 0 to 1; they run"),
    ],
)
def test_bad_arguments_are_refused_by_name(tmp_path, change, message):
    images, labels = toy(8, 0)
    given = {"network": Line(), "images": images, "labels": labels, "validation": toy(8, 1), "steps": 2} | change
    network, examples = given.pop("network"), (given.pop("images"), given.pop("labels"))
    with pytest.raises(UsageError, match=message):
        train(network, examples, given.pop("validation"), tmp_path / "run", **given)


@pytest.mark.parametrize(("decay", "rates"), [(0.0, [1, 1, 1, 1]), (0.5, [1, 1, 1, 0.5]), (1.0, [1, 0.75, 0.5, 0.25])])
def test_the_learning_rate_falls_to_nothing_in_the_last_part_of_the_steps(decay, rates):
    hyper = Hyperparameters(steps=4, learning_rate=0.01, decay=decay)
    assert [hyper.rate(step) for step in range(4)] == pytest.approx([0.01 * rate for rate in rates])


def test_a_decay_beyond_all_steps_is_refused():
    with pytest.raises(UsageError, match="decay must be from 0 to 1, not 2"):
        Hyperparameters(steps=4, decay=2)
