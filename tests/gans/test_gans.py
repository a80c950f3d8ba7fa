"""Each model as a whole: shapes, ranges, initialization, schedules, what is refused."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from fingerprintlib.errors import UsageError
from fingerprintlib.gans import GANS, MODELS, SHORT, build
from fingerprintlib.gans.progan import shrink


@pytest.mark.parametrize(
    ("name", "resolution"), [*product(MODELS, (32, 64, 128)), *((name, 256) for name in MODELS if name != "flow")]
)
def test_shapes_and_ranges(name, resolution):
    gan = build(name, resolution, 4, seed=0)
    latents = gan.latents(4, torch.Generator().manual_seed(0))
    images = gan.generator(latents)
    lengths = {"progan": 512, "sngan": 128, "vae": 64, "flow": 3 * resolution**2}
    assert latents.shape == (4, lengths.get(name, 100))
    assert images.shape == (4, 3, resolution, resolution)
    if name not in ("progan", "flow"):  # whose images nothing squashes
        assert images.abs().max() < 1
    if name in GANS:
        outputs = {"progan": 1, "sngan": 1, "cramergan": 256, "mmdgan": 16}[name]
        assert gan.discriminator(images).shape == (4, outputs)


@pytest.mark.parametrize("name", MODELS)
def test_latents(name):
    latents = build(name, 32, 4, seed=0).latents(500, torch.Generator().manual_seed(0))
    if name not in ("cramergan", "mmdgan"):
        assert latents.mean().item() == pytest.approx(0, abs=0.02)
        assert latents.std().item() == pytest.approx(1, abs=0.02)
    else:
        assert latents.min() >= -1
        assert latents.max() <= 1
        assert latents.std().item() == pytest.approx(1 / 3**0.5, abs=0.02)


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_alone_decides_the_weights(name):
    state = torch.get_rng_state()
    first = build(name, 32, 4, seed=7).state_dict()
    torch.manual_seed(99)
    second = build(name, 32, 4, seed=7).state_dict()
    other = build(name, 32, 4, seed=8).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    torch.set_rng_state(state)
    build(name, 32, 4, seed=7)
    assert torch.equal(torch.get_rng_state(), state)  # and nobody else's randomness is disturbed


def test_papers_widths():
    gan = build("progan", 128, 64, seed=0)
    convs = [block[1].out_channels for block in gan.generator.blocks]
    assert [gan.generator.first.out_channels, *convs] == [512, 512, 512, 512, 256, 128]
    with torch.device("meta"):
        critic = build("cramergan", 128, 64, seed=0).discriminator
    assert [conv.out_channels for conv in critic.convs] == [64, 128, 256, 512, 1024]


def test_papers_settings():
    settings = {name: cls.settings_type() for name, cls in GANS.items()}
    assert {name: (s.d_steps, s.lr, s.betas, s.ema) for name, s in settings.items()} == {
        "progan": (1, 1e-3, (0.0, 0.99), 0.999),
        "sngan": (5, 2e-4, (0.0, 0.9), 0.0),
        "cramergan": (5, 1e-4, (0.5, 0.9), 0.0),
        "mmdgan": (5, 1e-4, (0.5, 0.9), 0.0),
    }
    progan = build("progan", 256, 4, seed=0)
    middles = [0.0, 0.12, 0.22, 0.32, 0.42, 0.52, 0.99]  # a moment at each resolution
    assert [progan.level(p) for p in middles] == [0, 1, 2, 3, 4, 5, 6]
    assert [progan.batch_size(p) for p in middles] == [512, 256, 128, 64, 32, 32, 32]
    assert [progan.learning_rate(p) for p in middles] == pytest.approx([1e-3] * 5 + [1.5e-3, 2e-3])


def test_options_for_short_budgets_are_options():
    assert SHORT.keys() == GANS.keys()
    for name, options in SHORT.items():
        settings = build(name, 32, 4, seed=0, **options).recipe["settings"]
        assert {key: settings[key] for key in options} == options


@pytest.mark.parametrize("name", ["sngan", "vae", "flow"])
def test_the_learning_rate_falls_at_the_end(name):
    gan = build(name, 32, 4, seed=0, decay=0.2, lr=2e-4)
    rates = [gan.learning_rate(p) for p in (0, 0.5, 0.8, 0.9, 1.0)]
    assert rates == pytest.approx([2e-4, 2e-4, 2e-4, 1e-4, 0])


def test_progan_grows_by_fading_and_standing():
    gan = build("progan", 32, 4, seed=0)
    moments = [0, 0.049, 0.05, 0.075, 0.1, 0.149, 0.1501, 0.175, 0.2, 0.26, 0.3, 1.0]
    want = [(0, 1), (0, 1), (1, 0), (1, 0.5), (1, 1), (1, 1), (2, 0), (2, 0.5), (2, 1), (3, 0.2), (3, 1), (3, 1)]
    for moment, (level, alpha) in zip(moments, want, strict=True):
        assert gan.growth(moment) == (level, pytest.approx(alpha, abs=0.01)), moment


@pytest.mark.parametrize(("resolution", "phase"), [(32, 1 / 6), (64, 0.125), (128, 0.1)])
def test_progan_ends_at_full_resolution_however_slowly_it_grows(resolution, phase):
    gan = build("progan", resolution, 4, seed=0, phase=phase)
    top = len(gan.generator.blocks)
    level, alpha = gan.growth(0.999)
    assert level == top
    assert alpha == pytest.approx(1, abs=0.01)  # as long as it can take: faded in at the very end
    assert gan.growth(1.0) == (top, pytest.approx(1))
    latents = gan.latents(2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(gan.preview(latents, 1.0), gan.sampler(latents))


@pytest.mark.parametrize("level", [1, 2, 3])
def test_progan_fade(level):
    gan = build("progan", 32, 4, seed=0)
    z = torch.randn(4, 512, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        below, here = gan.generator(z, level - 1), gan.generator(z, level)
        assert here.shape[-1] == 4 * 2**level
        torch.testing.assert_close(gan.generator(z, level, 0.0), F.interpolate(below, scale_factor=2))
        half = torch.lerp(F.interpolate(below, scale_factor=2), here, 0.5)
        torch.testing.assert_close(gan.generator(z, level, 0.5), half)
        torch.testing.assert_close(gan.generator(z, level, 1.0), here)
        # The critic's fade starts as the critic of the level below, on images halved.
        images = torch.rand(4, 3, 4 * 2**level, 4 * 2**level) * 2 - 1
        scores = gan.discriminator(F.avg_pool2d(images, 2), level - 1)
        torch.testing.assert_close(gan.discriminator(images, level, 0.0), scores)
        assert not torch.allclose(gan.discriminator(images, level, 1.0), scores)


def test_progan_shrinks_the_reals_alike():
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    blocks = images.reshape(2, 3, 8, 4, 8, 4).mean(dim=(3, 5))
    torch.testing.assert_close(shrink(images, 1, 1.0), blocks)
    coarse = images.reshape(2, 3, 4, 8, 4, 8).mean(dim=(3, 5)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(shrink(images, 1, 0.25), 0.75 * coarse + 0.25 * blocks)


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        (("sgan", 32, 4), {}, "Did you mean 'sngan'"),
        (("sngan", 48, 4), {}, "32, 64, 128 or 256"),
        (("sngan", 32, 2), {}, "width=2"),
        (("sngan", 32, 4), {"btach": 8}, "Did you mean 'batch'"),
        (("progan", 32, 4), {"batch": 6}, "multiple of 4"),
        (("progan", 64, 4), {"phase": 0}, r"phase=0 is not possible: ProGAN would end before 64 .* at most 0\.125\."),
        (("progan", 64, 4), {"phase": -0.1}, "phase=-0.1 is not possible"),
        (("progan", 64, 4), {"phase": 0.126}, r"phase=0\.126 is not possible: .* more than 0 and at most 0\.125\."),
        (("progan", 32, 4), {"phase": 0.17}, r"before 32 pixels are faded in\. Use more than 0 and at most 0\.1667\."),
        (("sngan", 32, 4), {"d_steps": 0}, "d_steps=0 is not possible. Make it 1 or more"),
        (("vae", 32, 4), {"d_steps": 1}, "Unknown option 'd_steps' of vae"),  # it has no discriminator
        (("flow", 32, 4), {"steps": 0}, "steps=0 is not possible. Make it 1 or more"),
    ],
)
def test_what_cannot_be_is_refused(arguments, options, says):
    with pytest.raises(UsageError, match=says):
        build(*arguments, seed=0, **options)


@pytest.mark.parametrize("name", ["sngan", "progan"])
def test_the_average_gets_batch_statistics_of_its_own_and_nothing_else_changes(name):
    gan = build(name, 32, 8, seed=0, ema=0.9).train()
    with torch.no_grad():
        for parameter in gan.average.parameters():
            parameter.add_(0.3)  # so that the last weights' statistics would not do
        if name == "sngan":
            gan.average.dense.bias.add_(5)
    weights = {key: value.clone() for key, value in gan.state_dict().items()}
    gan.settle(torch.Generator().manual_seed(0))
    changed = {key for key, value in gan.state_dict().items() if not torch.equal(value, weights[key])}
    assert gan.average.training
    assert changed == {key for key in weights if key.startswith("average.") and ("running" in key or "tracked" in key)}
    if name == "sngan":
        norm = gan.average.blocks[0].norm1  # sees the dense layer's output
        latents = gan.latents(4000, torch.Generator().manual_seed(1))
        with torch.no_grad():
            features = gan.average.dense(latents).reshape(4000, -1, 4, 4)
        torch.testing.assert_close(norm.running_mean, features.mean((0, 2, 3)), atol=0.5, rtol=0)
        torch.testing.assert_close(norm.running_var, features.var((0, 2, 3)), atol=0, rtol=0.15)
        assert norm.momentum == 0.1


@pytest.mark.parametrize(
    ("name", "generator", "discriminator"),
    [
        ("progan", [(4, 32), (8, 32), (16, 32), (32, 32), (64, 16), (64, 3)], [16, 32, 32, 32, 32]),
        ("sngan", [(4, 64), (8, 64), (16, 64), (32, 32), (64, 16), (64, 3)], [16, 16, 32, 64, 64]),
        ("mmdgan", [(4, 64), (8, 64), (16, 64), (32, 32), (64, 16), (64, 3)], [16, 32, 64, 64, 64]),
    ],
)
def test_stages_are_what_images_pass_through(name, generator, discriminator):
    gan = build(name, 64, 16, seed=0)
    before = {key: value.clone() for key, value in gan.state_dict().items()}
    up, down = gan.stages()
    assert up == generator
    assert [channels for _, channels in down[:-1]] == discriminator
    sides = [side for side, _ in down[:-1]]
    assert sides == ([32, 16, 8, 4, 2] if name == "mmdgan" else [64, 32, 16, 8, 4])
    assert down[-1] == (1, 16 if name == "mmdgan" else 1)
    assert all(torch.equal(value, before[key]) for key, value in gan.state_dict().items())
    assert not any(module._forward_hooks for module in gan.modules())
