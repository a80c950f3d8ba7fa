"""What moves noise to images: the steps against known flows, the network before training, its attention."""

import numpy as np
import pytest
import torch

from fingerprintlib.gans import build, flow


@pytest.mark.parametrize(("mean", "spread"), [(0.3, 0.5), (-0.5, 0.2)])
def test_heun_carries_noise_to_the_images(mean, spread):
    """Where images are N(mean, spread**2) the velocities are known, and carry `x` to ``mean + spread * x``."""

    def velocity(x, time):
        variance = (1 - time) ** 2 + (time * spread) ** 2
        return mean + (time * spread**2 - (1 - time)) / variance * (x - time * mean)

    x = torch.randn(50, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    errors = [(flow.heun(velocity, x, steps) - (mean + spread * x)).abs().max().item() for steps in (12, 24, 48)]
    assert errors[0] < 0.05
    assert errors[1] < errors[0] / 3  # of second order
    assert errors[2] < errors[1] / 3


def test_an_untrained_flow_makes_noise_as_spread_as_images():
    gan = build("flow", 32, 4, seed=0)
    latents = gan.latents(4, torch.Generator().manual_seed(0))
    with torch.no_grad():
        images = gan.generator(latents)
    torch.testing.assert_close(images.flatten(1), flow.SPREAD * latents, rtol=0.02, atol=1e-3)


def test_attention_by_loops():
    attention = flow.Attention(8).double()
    rng = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
    x = torch.randn(2, 8, 2, 3, generator=rng, dtype=torch.float64)
    with torch.no_grad():
        got = attention(x)
        asked = attention.ask(attention.norm(x)).reshape(2, 3, 4, 2, 6).numpy()  # image, which, head, channel, place
        found = np.zeros((2, 4, 2, 6))
        for n, head, place in np.ndindex(2, 4, 6):
            query, key, value = asked[n, :, head]
            weights = np.exp([query[:, place] @ key[:, other] / np.sqrt(2) for other in range(6)])
            found[n, head, :, place] = value @ weights / weights.sum()
        want = x + attention.answer(torch.from_numpy(found).reshape(2, 8, 2, 3))
    torch.testing.assert_close(got, want)


def test_times_tell_apart_what_the_network_says():
    network = build("flow", 32, 8, seed=0).generator.velocity
    rng = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
        x = torch.randn(3, 3, 32, 32, generator=rng)
        times = torch.tensor([0.1, 0.5, 0.9])
        together = network(x, times)
        for i in range(3):
            torch.testing.assert_close(network(x[i : i + 1], times[i : i + 1]), together[i : i + 1])
            torch.testing.assert_close(network(x, times[i : i + 1])[i], together[i])  # one time for all
        told = network.network(x[:1], times[:1]), network.network(x[:1], times[1:2])
    assert (told[0] - told[1]).abs().mean() > 0.01 * told[0].abs().mean()


@pytest.mark.parametrize("time", [0.0, 0.3, 0.8, 1.0])
def test_the_network_is_left_what_a_line_does_not_tell(time, monkeypatch):
    """Of the velocities between noise and noise as spread as images, regressed on the points: inputs and targets."""
    network = build("flow", 32, 4, seed=0).generator.velocity
    rng = torch.Generator().manual_seed(8)
    noise, image = torch.randn(2, 40, 3, 32, 32, generator=rng)
    image = flow.SPREAD * image
    point, velocity = torch.lerp(noise, image, time), image - noise
    slope = (point * velocity).mean() / point.square().mean()
    seen = []
    monkeypatch.setattr(network, "network", lambda x, time: seen.append(x) or torch.ones_like(x))
    told = network(point, torch.tensor([time])) - slope * point
    torch.testing.assert_close(seen[0].std(), torch.tensor(1.0), rtol=0.02, atol=0)
    torch.testing.assert_close(told.mean(), (velocity - slope * point).std(), rtol=0.02, atol=0)
