"""The losses and their terms against loops written from the formulas, in float64."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fingerprintlib.gans import build, cramergan, layers, mmdgan, progan, sngan, vae

N = 6


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(N, 5)) + shift for shift in (0.0, 0.7, 0.4)]


def tensors(arrays):
    return [torch.from_numpy(array).requires_grad_() for array in arrays]


def test_wgan_loss_with_drift():
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(N, 1)), rng.normal(size=(N, 1))
    want = sum(fake[i, 0] - real[i, 0] + 1e-3 * real[i, 0] ** 2 for i in range(N)) / N
    got = progan.critic_loss(torch.from_numpy(real), torch.from_numpy(fake), 1e-3)
    assert got.item() == pytest.approx(want, rel=1e-12)


def test_hinge_loss():
    real, fake = [2.0, 0.5, -1.0], [-2.0, 0.0, 3.0]
    want = (0 + 0.5 + 2) / 3 + (0 + 1 + 4) / 3
    got = sngan.hinge_loss(torch.tensor(real)[:, None], torch.tensor(fake)[:, None])
    assert got.item() == pytest.approx(want)


def euclid(x, y):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))


def test_energy_distance_uses_two_independent_fakes(features):
    real, fake, other = features
    terms = [euclid(real[i], fake[i]) + euclid(real[i], other[i]) - euclid(fake[i], other[i]) for i in range(N)]
    assert cramergan.energy_distance(*tensors(features)).item() == pytest.approx(sum(terms) / N, rel=1e-12)


def test_energy_distance_of_equal_distributions_vanishes():
    x, y, z = torch.randn(3, 200_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # E|x-y| + E|x-z| - E|y-z| of three equal laws is E|x-y| = sqrt(pi) in the plane; of a point mass it is 0.
    assert cramergan.energy_distance(x, y, z).item() == pytest.approx(math.sqrt(math.pi), abs=0.01)
    assert cramergan.energy_distance(x, x, x).item() == 0


def test_cramer_critic(features):
    x, fake, _ = features
    want = [euclid(x[i], fake[i]) - euclid(x[i], np.zeros(5)) for i in range(N)]
    assert cramergan.critic(*tensors(features)[:2]).tolist() == pytest.approx(want, rel=1e-12)


def kernel(x, y):
    distance2 = euclid(x, y) ** 2
    quadratics = sum((1 + distance2 / (2 * alpha)) ** -alpha for alpha in (0.1, 1.0, 10.0))
    return quadratics + sum(a * b for a, b in zip(x, y, strict=True))


def mmd2(x, y):
    """The unbiased estimate by definition: pairs of different samples, and all pairs across."""
    n, m = len(x), len(y)
    own_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    own_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own_x + own_y - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_mmd2_is_the_unbiased_one(features):
    x, y, _ = features
    y = y[:4]  # unequal counts
    assert mmdgan.mmd2(torch.from_numpy(x), torch.from_numpy(y)).item() == pytest.approx(mmd2(x, y), rel=1e-12)


def test_mmd2_averages_to_zero_for_equal_distributions():
    rng = torch.Generator().manual_seed(0)
    draws = torch.randn(3000, 2, 4, 3, generator=rng, dtype=torch.float64) * 2
    values = torch.stack([mmdgan.mmd2(x, y) for x, y in draws])
    # Subtracting a constant diagonal would leave the linear kernel's, E|x|^2 = 12: a bias of some 6.
    assert abs(values.mean().item()) < 4 * values.std().item() / math.sqrt(len(values))


def test_witness(features):
    at, x, y = features
    want = [np.mean([kernel(a, b) for b in x]) - np.mean([kernel(a, b) for b in y]) for a in at]
    assert mmdgan.witness(*tensors(features)).tolist() == pytest.approx(want, rel=1e-12)


def test_gradient_penalty_of_a_linear_critic():
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 4, 5, generator=rng, dtype=torch.float64)
    images = torch.randn(N, 3, 4, 5, generator=rng, dtype=torch.float64, requires_grad=True)
    penalty = layers.gradient_penalty((images * weight).sum(dim=(1, 2, 3)), images)
    over_all = (math.sqrt((weight.numpy() ** 2).sum()) - 1) ** 2
    over_one_axis = ((np.sqrt((weight.numpy() ** 2).sum(axis=0)) - 1) ** 2).mean()
    assert penalty.item() == pytest.approx(over_all, rel=1e-12)
    assert abs(over_all - over_one_axis) > 1  # the mistake would show


def test_gradient_penalty_is_per_image_and_can_be_minimized():
    images = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([0.1, 0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    penalty = layers.gradient_penalty(scale * images.sum(dim=(1, 2, 3)), images)
    norms = scale.detach().numpy() * math.sqrt(12)
    assert penalty.item() == pytest.approx(((norms - 1) ** 2).mean(), rel=1e-12)
    penalty.backward()
    np.testing.assert_allclose(scale.grad, 2 * (norms - 1) * math.sqrt(12) / 4, rtol=1e-12)


def test_gradient_penalty_is_in_float32_under_autocast():
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    network = nn.Conv2d(3, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(images)
        assert outputs.dtype == torch.bfloat16
        penalty = layers.gradient_penalty(outputs, images)
    assert penalty.dtype == torch.float32


def test_interpolates_lie_between():
    real, fake = torch.zeros(64, 3, 2, 2), torch.ones(64, 3, 2, 2)
    between = layers.interpolate(real, fake, torch.Generator().manual_seed(0))
    share = between[:, 0, 0, 0]
    assert between.requires_grad
    torch.testing.assert_close(between, share[:, None, None, None].expand_as(between))  # one share an image
    assert 0 <= share.min() < 0.1 < 0.9 < share.max() <= 1


def test_dequantization_fills_one_step_and_keeps_the_mean():
    images = torch.full((50, 3, 32, 32), 101 / 127.5 - 1)
    noise = sngan.dequantize(images, torch.Generator().manual_seed(0)) - images
    assert noise.min().item() == pytest.approx(-1 / 255, rel=1e-3)
    assert noise.max().item() == pytest.approx(1 / 255, rel=1e-3)
    assert abs(noise.mean().item()) < 2e-5


# The losses as the GANs put them together, against the formula over the networks' outputs.


def put_together(name, **options):
    gan = build(name, 32, 4, seed=0, **options).double()
    real = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    return gan, real


def draw(gan, n, seed=5):
    """A generator of random numbers, and the latents it gives first."""
    return torch.Generator().manual_seed(seed), gan.latents(n, torch.Generator().manual_seed(seed)).double()


@pytest.fixture(autouse=True)
def double_latents(monkeypatch):
    """The networks of these tests are in float64: so must be their latents."""
    from fingerprintlib.gans.base import Model

    monkeypatch.setattr(Model, "draw", lambda self, n, rng: self.latents(n, rng).double())


def norms_of_gradients(score, between):
    """By a loop over the images, each differentiated alone."""
    norms = []
    for i in range(len(between)):
        (gradient,) = torch.autograd.grad(score(between)[i].sum(), between)
        norms.append(math.sqrt((gradient[i].numpy() ** 2).sum()))
    return np.array(norms)


def test_cramergan_discriminator_loss():
    gan, real = put_together("cramergan", penalty=10.0)
    rng, latents = draw(gan, 16)
    got = gan.discriminator_loss(real, 0.5, rng).item()
    fake, other = gan.generator(latents).detach().chunk(2)  # training mode: the same batch statistics again
    rng, _ = draw(gan, 16)
    gan.latents(16, rng)
    between = layers.interpolate(real, fake, rng)
    h = gan.discriminator

    def f(x):
        return (h(x) - h(other)).norm(dim=1) - h(x).norm(dim=1)

    penalty = ((norms_of_gradients(f, between) - 1) ** 2).mean()
    want = (f(fake) - f(real)).mean().item() + 10 * penalty
    assert got == pytest.approx(want, rel=1e-9)


def test_mmdgan_discriminator_loss():
    gan, real = put_together("mmdgan")
    rng, latents = draw(gan, 8)
    got = gan.discriminator_loss(real, 0.5, rng).item()
    fake = gan.generator(latents).detach()
    rng, _ = draw(gan, 8)
    gan.latents(8, rng)
    between = layers.interpolate(real, fake, rng)
    x, y = (gan.discriminator(images).detach().numpy() for images in (real, fake))

    def witness(images):
        h = gan.discriminator(images)
        return mmdgan.kernel(h, torch.from_numpy(x)).mean(1) - mmdgan.kernel(h, torch.from_numpy(y)).mean(1)

    penalty = ((norms_of_gradients(witness, between) - 1) ** 2).mean()
    layers_of_both = gan.discriminator.activations(torch.cat([real, fake]))
    assert len(layers_of_both) == 6
    size = sum((layer.detach().numpy() ** 2).mean() for layer in layers_of_both)
    assert got == pytest.approx(-mmd2(x, y) + penalty + size, rel=1e-9)


def test_progan_discriminator_loss():
    gan, real = put_together("progan", batch=8)
    rng, latents = draw(gan, 8)
    got = gan.discriminator_loss(real, 1.0, rng).item()
    fake = gan.generator(latents).detach()
    rng, _ = draw(gan, 8)
    gan.latents(8, rng)
    between = layers.interpolate(real, fake, rng)
    d_real, d_fake = gan.discriminator(real), gan.discriminator(fake)  # apart: the groups must not mix
    (gradient,) = torch.autograd.grad(gan.discriminator(between).sum(), between)
    norms = np.sqrt((gradient.numpy().reshape(8, -1) ** 2).sum(axis=1))
    want = (d_fake.mean() - d_real.mean() + 1e-3 * (d_real**2).mean()).item() + 10 * ((norms - 1) ** 2).mean()
    assert got == pytest.approx(want, rel=1e-9)


def test_generator_losses():
    for name, n in (("progan", 8), ("sngan", 8)):
        gan, real = put_together(name, batch=8)
        gan.discriminator.eval()  # no power iteration between the two passes
        rng, latents = draw(gan, n)
        got = gan.generator_loss(real, 1.0, rng).item()
        assert got == pytest.approx(-gan.discriminator(gan.generator(latents)).mean().item(), rel=1e-9)
    gan, real = put_together("mmdgan")
    rng, latents = draw(gan, 8)
    got = gan.generator_loss(real, 1.0, rng).item()
    x, y = (gan.discriminator(images).detach().numpy() for images in (real, gan.generator(latents)))
    assert got == pytest.approx(mmd2(x, y), rel=1e-9)


def test_vae_divergence_is_that_of_normals():
    mean, log_variance = torch.randn(2, N, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    normals = torch.distributions.Normal(mean, (log_variance / 2).exp())
    want = torch.distributions.kl_divergence(normals, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(vae.kl_divergence(mean, log_variance), want)


def test_vae_misfit_is_that_of_the_likeliest_spread():
    real, decoded = torch.randn(2, N, 3, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    spreads = np.linspace(0.5, 3, 10_001)
    squares = ((real - decoded) ** 2).mean().item()
    likelihoods = -np.log(spreads) - squares / (2 * spreads**2)  # of a normal, but for log(2 pi) / 2
    assert vae.misfit(real, decoded).item() == pytest.approx(-likelihoods.max() - 0.5, abs=1e-6)


def test_vae_loss():
    gan, real = put_together("vae", latent=7, beta=2.0)
    rng, noise = draw(gan, 8)
    got = gan.generator_loss(real, 0.1, rng).item()
    told = gan.encoder(real).detach()
    mean, deviation = told[:, :7], (told[:, 7:] / 2).exp()
    decoded = gan.generator(mean + deviation * noise).detach()
    divergence = (mean**2 + deviation**2 - 1 - 2 * deviation.log()).sum() / 2 / 8
    want = math.log(((decoded - real) ** 2).mean()) / 2 + 2.0 * divergence.item() / (3 * 32 * 32)
    assert got == pytest.approx(want, rel=1e-6)


def test_flow_loss():
    gan, real = put_together("flow")
    with torch.no_grad():
        for parameter in gan.parameters():  # else the network tells nothing yet
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4)))
    rng, noise = draw(gan, 8)
    got = gan.generator_loss(real, 0.5, rng).item()
    rng, _ = draw(gan, 8)
    gan.latents(8, rng)
    times = (torch.arange(8) + torch.rand(8, generator=rng)).double() / 8  # one of each eighth
    errors = []
    for image, start, time in zip(real, noise.reshape(real.shape), times, strict=True):
        point = (1 - time) * start + time * image
        velocity = gan.generator.velocity(point[None], time[None])[0]
        errors.append(((velocity - (image - start)) ** 2).mean().item())
    assert got == pytest.approx(np.mean(errors), rel=1e-5)
    assert gan.generator.velocity(real, times).std() > 0
    assert np.mean(errors) != pytest.approx(((real - noise.reshape(real.shape)) ** 2).mean().item(), rel=0.01)
