"""The visualization network and its loss, each against the same thing worked out in another way."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from fingerprintlib import training_run
from fingerprintlib.attribution.training import Hyperparameters, fit
from fingerprintlib.attribution.visualization_network import (
    VisualizationLoss,
    VisualizationNetwork,
    inner_product,
    normalized_correlation,
)
from fingerprintlib.errors import UsageError
from fingerprintlib.gans.progan import Discriminator
from fingerprintlib.runtime import make_fabric, step_generator


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def exact():
    return make_fabric("cpu", "32-true")


def small(**changed):
    return VisualizationNetwork(**{"class_count": 3, "resolution": 8, "width": 0.02, **changed})


def test_normalized_correlation_is_pearsons(rng):
    images, models = (torch.randn(n, 3, 6, 5, generator=rng, dtype=torch.float64) for n in (4, 3))
    images = images * torch.tensor([1e-2, 1, 50, 3]).reshape(4, 1, 1, 1) + 7
    expected = np.corrcoef(images.reshape(4, -1).numpy(), models.reshape(3, -1).numpy())[:4, 4:]
    np.testing.assert_allclose(normalized_correlation(images, models).numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(normalized_correlation(images[1:], models).numpy(), expected[1:], atol=1e-7)
    # All pixels and channels count together: a channel of another mean is part of the pattern.
    assert normalized_correlation(torch.ones(1, 3, 6, 5), models.float()).abs().max() < 1e-6


@pytest.mark.parametrize("spread", [1e-12, 2e-4, 1e6])
def test_an_image_however_faint_correlates_with_itself(rng, spread):
    images = spread * torch.randn(2, 3, 8, 8, generator=rng)
    np.testing.assert_allclose(normalized_correlation(images, images).diagonal().numpy(), 1, rtol=1e-5)
    one_pixel = torch.zeros(1, 3, 64, 64)
    one_pixel[0, 0, 0, 0] = spread
    np.testing.assert_allclose(normalized_correlation(one_pixel, one_pixel).numpy(), 1, rtol=1e-4)


def test_the_correlation_of_faint_images_has_a_gradient(rng):
    images = (1e-6 * torch.randn(2, 3, 8, 8, generator=rng)).requires_grad_()
    normalized_correlation(images, torch.randn(3, 3, 8, 8, generator=rng)).sum().backward()
    assert torch.isfinite(images.grad).all()
    constant = torch.full((1, 3, 8, 8), 0.3, requires_grad=True)
    found = normalized_correlation(constant, torch.randn(3, 3, 8, 8, generator=rng))
    assert found.abs().max() < 1e-5
    found.sum().backward()
    assert torch.isfinite(constant.grad).all()


def test_inner_product_is_the_plain_sum(rng):
    images, models = (torch.randn(n, 3, 6, 5, generator=rng, dtype=torch.float64) + 1 for n in (4, 3))
    expected = np.einsum("nchw,kchw->nk", images.numpy(), models.numpy())
    np.testing.assert_allclose(inner_product(images, models).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("correlation", "factor"), [("normalized", 30), ("inner_product", 1)])
def test_logits_are_responses_of_the_residual(rng, correlation, factor):
    network = small(correlation=correlation).double()
    x = torch.rand(2, 3, 8, 8, generator=rng, dtype=torch.float64) * 2 - 1
    residual = (x - network.reconstruct(x)).detach().reshape(2, -1).numpy()
    models = network.model_fingerprints.detach().reshape(3, -1).numpy()
    expected = np.corrcoef(residual, models)[:2, 2:] if correlation == "normalized" else residual @ models.T
    np.testing.assert_allclose(network(x).detach().numpy(), factor * expected, rtol=1e-3, atol=1e-5)


def test_reconstruction_sees_the_detail_and_the_whole(rng):
    """A pixel of R(x) depends on the pixels beside it most, and through the bottleneck on all."""
    network = small(resolution=32)
    x = torch.rand(1, 3, 32, 32, generator=rng).requires_grad_()
    network.reconstruct(x)[0, :, 16, 16].sum().backward()
    seen = x.grad[0].abs().sum(0)
    assert (seen > 0).all()
    assert seen[14:19, 14:19].mean() > 10 * seen[:4, :4].mean()


@pytest.mark.parametrize("resolution", [8, 32])
def test_autoencoder_keeps_the_size_and_about_the_scale(rng, resolution):
    x = torch.randn(4, 3, resolution, resolution, generator=rng)
    reconstruction = VisualizationNetwork(2, resolution, 0.25).reconstruct(x)
    assert reconstruction.shape == x.shape
    assert 0.2 < reconstruction.std().item() < 3


def test_the_loss_is_the_papers_in_float64(rng):
    """20 mean |R(x) - x| - 0.1 mean D(R(x)) + 1 cross-entropy, D having learned one Adam step first."""
    network = small()
    network.model_fingerprints.data = torch.randn(3, 3, 8, 8, generator=rng)
    objective = VisualizationLoss(network, exact(), seed=1)
    x = torch.rand(4, 3, 8, 8, generator=rng) * 2 - 1
    targets = torch.tensor([0, 2, 1, 1])

    reference, critic = copy.deepcopy(network).double(), copy.deepcopy(objective.critic).double()
    fake = reference.reconstruct(x.double()).detach()
    share = torch.rand(4, 1, 1, 1, generator=step_generator(0, 5)).double()
    between = ((1 - share) * x.double() + share * fake).requires_grad_()
    gradient = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
    norms = (gradient**2).sum(dim=(1, 2, 3)).sqrt()  # over all axes of an image
    scores = critic(torch.cat([x.double(), fake]))[:, 0]
    loss = scores[4:].mean() - scores[:4].mean() + 1e-3 * (scores[:4] ** 2).mean() + 10 * ((norms - 1) ** 2).mean()
    loss.backward()
    found = objective.critic_loss(x, network.reconstruct(x).detach(), step_generator(0, 5))
    assert found.item() == pytest.approx(loss.item(), rel=1e-5)

    with torch.no_grad():
        used = [weight for weight in critic.parameters() if weight.grad is not None]  # not the smaller sides' inputs
        for weight in used:  # Adam's first step, beta1 = 0, is the sign
            weight -= 1e-3 * weight.grad / (weight.grad.abs() + 1e-8)
        difference = sum(abs(a - b) for a, b in zip(fake.flatten().tolist(), x.flatten().tolist(), strict=True))
        correlations = np.corrcoef(
            (x.double() - fake).flatten(1).numpy(), reference.model_fingerprints.flatten(1).numpy()
        )[:4, 4:]
        odds = np.exp(30 * correlations)
        entropy = -np.log(odds[range(4), targets] / odds.sum(1)).mean()
        expected = 20 * difference / x.numel() - 0.1 * critic(fake).mean().item() + entropy

    value = objective.loss(network, x, targets, step_generator(0, 5))
    assert value.item() == pytest.approx(expected, rel=1e-4)
    for mine, theirs in zip(objective.critic.parameters(), critic.parameters(), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_the_critic_never_compares_reals_with_fakes(rng, n):
    """In one batch its groups of 4 neighbours would hold both kinds where either are no multiple of 4."""
    network = small()
    objective = VisualizationLoss(network, exact())
    objective.critic.double()
    x = torch.rand(n, 3, 8, 8, generator=rng, dtype=torch.float64) * 2 - 1
    fake = torch.rand(n, 3, 8, 8, generator=rng, dtype=torch.float64)
    between = torch.lerp(x, fake, torch.rand(n, 1, 1, 1, generator=step_generator(0, 1)).double()).requires_grad_()
    (gradient,) = torch.autograd.grad(objective.critic(between).sum(), between)
    penalty = ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
    real, made = objective.critic(x), objective.critic(fake)
    expected = made.mean() - real.mean() + 1e-3 * (real**2).mean() + 10 * penalty
    assert objective.critic_loss(x, fake, step_generator(0, 1)).item() == pytest.approx(expected.item(), abs=1e-9)


def test_the_networks_gradient_does_not_reach_the_critic(rng):
    network = small()
    objective = VisualizationLoss(network, exact())
    value = objective.loss(network, torch.rand(4, 3, 8, 8, generator=rng), torch.zeros(4, dtype=torch.int64), rng)
    learning = [weight for weight in objective.critic.parameters() if weight.grad is not None]
    before = [weight.grad.clone() for weight in learning]
    value.backward()
    assert len(learning) > 5
    assert all(torch.equal(a, b.grad) for a, b in zip(before, learning, strict=True))
    assert all(weight.requires_grad for weight in objective.critic.parameters())
    assert network.to_rgb.weight.grad.abs().sum() > 0
    assert network.model_fingerprints.grad.abs().sum() > 0


def test_critic_is_progans_at_half_the_width():
    critic = VisualizationLoss(small(resolution=16, width=0.5), exact()).critic
    assert isinstance(critic, Discriminator)
    assert [conv.out_channels for conv in critic.from_rgb] == [128, 64, 32]  # 512/4, 256/4, 128/4 at 4, 8, 16
    assert critic(torch.zeros(2, 3, 16, 16)).shape == (2, 1)


class Killed(BaseException):
    """As Ctrl-C."""


@pytest.mark.parametrize("kills", [(4,), (2, 1, 2)])
def test_resumed_run_equals_the_uninterrupted_one(tmp_path, monkeypatch, kills):
    """Critic and its optimizer included: they decide where the network goes next."""
    monkeypatch.setattr(training_run, "SAVE_SECONDS", -1)  # at each step
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)
    labels = np.arange(12) % 2

    def run(name, kill_at=None):
        calls = 0

        class Counted(VisualizationLoss):
            def loss(self, *arguments):
                nonlocal calls
                calls += 1
                if calls == kill_at:
                    raise Killed
                return super().loss(*arguments)

        network = VisualizationNetwork(2, 16, 0.03)
        objective = Counted(network, make_fabric())
        hyperparameters = Hyperparameters(steps=6, batch_size=4, evaluate_every=3)
        how = {"checkpoint": tmp_path / name, "recipe": {}, "fabric": objective.fabric, "objective": objective}
        fit(network, (pixels, labels), (pixels, labels), hyperparameters, **how)
        states = {**network.state_dict(), **{f"critic.{k}": v for k, v in objective.critic.state_dict().items()}}
        return {name: value.clone() for name, value in states.items()}, calls

    whole, calls = run("whole")
    assert calls == 6
    for kill_at in kills:
        with pytest.raises(Killed):
            run("killed", kill_at)
    resumed, calls = run("killed")
    assert 0 < calls < 6
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_bfloat16_channels_last_agrees_with_float32(rng):
    network = VisualizationNetwork(3, 32, 0.25)
    x = torch.rand(4, 3, 32, 32, generator=rng) * 2 - 1
    whole = network.reconstruct(x)
    network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        fast = network.reconstruct(x.to(memory_format=torch.channels_last))
        assert network(x).dtype == torch.float32
    assert fast.dtype == torch.float32
    assert ((fast - whole).norm() / whole.norm()).item() < 0.03


def test_the_seed_alone_decides_the_weights():
    state = torch.random.get_rng_state()
    first, again, other = small(), small(), small(seed=1)
    objectives = [VisualizationLoss(first, exact(), seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(state, torch.random.get_rng_state())

    def same(one: nn.Module, two: nn.Module) -> bool:
        return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))

    assert same(first, again)
    assert not same(first, other)
    assert same(objectives[0].critic, objectives[1].critic)
    assert not same(objectives[0].critic, objectives[2].critic)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_count": 1}, "class_count is 1"),
        ({"resolution": 4}, "resolution must be a power of two from 8"),
        ({"resolution": 48}, "resolution"),
        ({"width": 0}, "width"),
        ({"correlation": "normalised"}, "Unknown correlation 'normalised'. Did you mean 'normalized'"),
    ],
)
def test_arguments_out_of_range_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        small(**change)


def test_images_of_another_size_are_refused():
    with pytest.raises(UsageError, match=r"\[N, 3, 8, 8\].*\[1, 3, 16, 16\]"):
        small()(torch.zeros(1, 3, 16, 16))
