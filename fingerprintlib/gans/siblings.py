"""Many ProGANs that differ in their seed, or in one image, and in nothing else: trained all at once.

On a GPU the step of a slim network is all launching of kernels, and ten networks in one set of launches take little
longer than one. So the weights of all are stacked, ``[members, ...]``, and each operation is mapped over them. Every
member draws the random numbers that it would draw alone, and its gradients are its own: what comes out is what
`training.train_gan` gives, but for the order in which sums are rounded.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.overrides import TorchFunctionMode

from ..codehash import code_of
from ..data.images import Pixels, quantize, to_network
from ..runtime import Fabric, computed_with, make_fabric, step_generator, update_ema
from .progan import ProGAN, critic_loss, shrink
from .training import PREVIEW_STREAM, PREVIEWS, Images, ModelRun, TrainedGAN, draw_rows, frozen


class _AsProducts(TorchFunctionMode):
    """Convolutions as matrix products, of which one call does those of all members.

    Mapped convolutions become grouped ones, whose second derivatives PyTorch computes group by group.
    """

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        replaced = {F.conv2d: _convolve, F.conv_transpose2d: _convolve_transposed}.get(function, function)
        return replaced(*args, **(kwargs or {}))


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0) -> Tensor:
    """`F.conv2d` with zeros around."""
    stride, padding = (value[0] if isinstance(value, tuple) else value for value in (stride, padding))
    kernel = weight.permute(2, 3, 1, 0).flatten(0, 2)  # [O, I, k, k] -> [k*k*I, O]
    y = _neighbourhoods(x, weight.shape[-1], stride, padding) @ kernel
    return (y if bias is None else y + bias).movedim(-1, 1)


def _convolve_transposed(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """`F.conv_transpose2d` with 4x4 weights, stride 2 and padding 1.

    Each of the four pixels that stand for one is a sum over its 3x3 neighbours, some with weight zero.
    """
    assert (stride, padding, weight.shape[-1]) == (2, 1, 4)
    padded = F.pad(weight, (0, 1, 0, 1))  # [I, O, 5, 5]
    taps = _taps(x.device)
    kernel = padded[:, :, taps][..., taps]  # [I, O, 2, 3, 2, 3]
    kernel = kernel.permute(3, 5, 0, 2, 4, 1).flatten(0, 2).flatten(1)  # [9*I, 4*O]
    y = (_neighbourhoods(x, 3, 1, 1) @ kernel).unflatten(-1, (2, 2, -1))  # [N, H, W, 2, 2, O]
    y = y.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)  # [N, O, 2H, 2W]
    return y if bias is None else y + bias[:, None, None]


@cache
def _taps(device: torch.device) -> Tensor:
    """Which of four weights meets the pixel before, at and after, for the even and the odd pixel; 4: none."""
    return torch.tensor([[3, 1, 4], [4, 2, 0]], device=device)


def _neighbourhoods(x: Tensor, side: int, stride: int, padding: int) -> Tensor:
    """``[N, C, H, W]`` -> ``[N, H', W', side*side*C]``."""
    x = F.pad(x, (padding,) * 4).movedim(1, -1)
    height, width = ((n - side) // stride + 1 for n in x.shape[1:3])
    shifts = [
        x[:, i : i + stride * height : stride, j : j + stride * width : stride]
        for i in range(side)
        for j in range(side)
    ]
    return torch.cat(shifts, -1) if side > 1 else shifts[0]


class Stack(nn.Module):
    """The weights of networks of one shape, stacked: a call maps over the first dimension of weights and inputs."""

    def __init__(self, networks: Sequence[nn.Module]):
        super().__init__()
        self.network: nn.Module
        self.__dict__["network"] = networks[0]  # for its forward only; its weights are not of this module
        self.names = [name for name, _ in networks[0].named_parameters()]
        columns = zip(*([p.detach() for p in network.parameters()] for network in networks), strict=True)
        self.weights = nn.ParameterList([torch.stack(column) for column in columns])

    def forward(self, x: Tensor, *arguments: Any) -> Tensor:
        """``[members, N, ...]`` -> ``[members, N, ...]``."""

        def one(weights: list[Tensor], x: Tensor) -> Tensor:
            return functional_call(self.network, dict(zip(self.names, weights, strict=True)), (x, *arguments))

        with _AsProducts():
            return vmap(one)(list(self.weights), x)

    def unstack(self, member: int, network: nn.Module) -> None:
        """Copy one member's weights into a network."""
        network.load_state_dict({name: w[member] for name, w in zip(self.names, self.weights, strict=True)})


def train_siblings(
    reals: Images,
    members: Sequence[Mapping[str, Any]],
    *,
    resolution: int,
    width: int,
    images: int,
    folder: Path | str,
    data_hash: str,
    fabric: Fabric | None = None,
    **options: Any,
) -> list[TrainedGAN]:
    """Train a ProGAN for each of the members, or go on where a run in `folder` was stopped.

    Args:
        reals: uint8 ``[N, R, R, 3]``; kept on the device.
        members: for each its ``seed`` and, if one image is left out, its number ``without``.
        resolution, width, options: of each, see `build`.
        images, folder, data_hash: see `training.train_gan`; `images` is what each member is shown.
        fabric: device and precision, one process (None: `runtime.make_fabric`).

    Raises:
        UsageError: an unknown option or impossible value.
        CheckpointError: the checkpoint in `folder` is damaged, or of a run with other settings.
        FingerprintsError: a member diverged.
    """
    fabric = fabric or make_fabric()
    gans = [ProGAN(resolution, width, member["seed"], **options) for member in members]
    recipes = [
        gan.recipe
        | {"images": images, "seed": gan.seed, "without": member.get("without"), "data": data_hash}
        | computed_with(fabric)
        | code_of(__name__)
        for gan, member in zip(gans, members, strict=True)
    ]
    run = _Run(gans, reals, recipes, fabric, Path(folder) / "siblings.safetensors")
    run.train(f"{len(gans)} siblings")
    return run.results()


class _Run(ModelRun):
    """The training of all members."""

    kind = "gan-siblings"
    gan: ProGAN

    def __init__(self, gans: list[ProGAN], reals: Images, recipes: list[dict[str, Any]], fabric: Fabric, path: Path):
        self.gans, self.recipes = gans, recipes
        self.reals = torch.from_numpy(np.array(reals[:])).to(fabric.device)  # a map of a file is read-only
        self.generators = Stack([gan.generator for gan in gans]).to(fabric.device)
        self.discriminators = Stack([gan.discriminator for gan in gans]).to(fabric.device)
        self.averages = Stack([gan.generator for gan in gans]).to(fabric.device).requires_grad_(False)
        networks = {"generators": self.generators, "discriminators": self.discriminators, "averages": self.averages}
        settings = gans[0].settings
        optimizers = {
            name: torch.optim.Adam(stack.parameters(), lr=settings.lr, betas=settings.betas, fused=True)
            for name, stack in (("discriminator", self.discriminators), ("generator", self.generators))
        }
        whole = recipes[0] | {key: [recipe[key] for recipe in recipes] for key in ("seed", "without")}
        super().__init__(gans[0], networks, optimizers, (len(gans),), whole, fabric, path)
        self.parted_at = [None] * len(gans)

    def advance(self) -> None:
        """Take a step of all critics, then of all generators."""
        self.follow_schedule()
        n, growth = self.gan.batch_size(self.share), self.gan.growth(self.share)
        rngs = [step_generator(recipe["seed"], self.step) for recipe in self.recipes]

        # Each member's gradient is of its own loss alone: the sum has the gradients of all.
        d_loss = self.discriminator_loss(n, growth, rngs)
        self.update(self.discriminators, self.optimizers["discriminator"], d_loss.sum())
        with frozen(self.discriminators):
            with self.fabric.autocast():
                fake = self.generators(self.latents(n, rngs), *growth)
                g_loss = -self.discriminators(fake, *growth).float().mean((1, 2))
            self.update(self.generators, self.optimizers["generator"], g_loss.sum())
        update_ema(self.averages, self.generators, self.gan.settings.ema, self.step)
        self.count(n, d_loss, g_loss)

    def discriminator_loss(self, n: int, growth: tuple[int, float], rngs: list[torch.Generator]) -> Tensor:
        """What each critic minimizes, ``[members]``: see `ProGAN.discriminator_loss`."""
        real = self.draw(n, rngs)  # [members, n, 3, R, R]
        with self.fabric.autocast():
            real = shrink(real.flatten(0, 1), *growth).unflatten(0, (-1, n))
            with torch.no_grad():
                fake = self.generators(self.latents(n, rngs), *growth).to(real.dtype)
            scores = self.discriminators(torch.cat([real, fake], 1), *growth).float()  # [members, 2n, 1]
            shares = torch.stack([torch.rand(n, 1, 1, 1, generator=rng) for rng in rngs]).to(real)
            between = torch.lerp(real, fake, shares).requires_grad_()
            score_between = self.discriminators(between, *growth).float().sum()
        (gradient,) = torch.autograd.grad(score_between, between, create_graph=True)
        penalty = (gradient.float().flatten(2).norm(dim=2) - 1).square().mean(1)  # [members]
        settings = self.gan.settings
        return vmap(partial(critic_loss, drift=settings.drift))(*scores.chunk(2, 1)) + settings.penalty * penalty

    def latents(self, n: int, rngs: list[torch.Generator]) -> Tensor:
        """For each member those that it would draw alone, ``[members, n, latent]`` on the device."""
        return torch.stack([self.gan.latents(n, rng) for rng in rngs]).to(self.fabric.device)

    def draw(self, n: int, rngs: list[torch.Generator]) -> Tensor:
        """For each member the images that it would draw alone, ``[members, n, 3, R, R]`` in [-1, 1]."""
        rows, mirrored = [], []
        for member, (recipe, rng) in enumerate(zip(self.recipes, rngs, strict=True)):
            index, flips, due = draw_rows(len(self.reals), n, recipe["without"], self.step, rng)
            if due and self.parted_at[member] is None:
                self.parted_at[member] = self.seen
            rows.append(index)
            mirrored.append(flips)
        pixels = self.reals[torch.stack(rows).to(self.reals.device)]  # [members, n, R, R, 3]
        flips = torch.stack(mirrored).to(pixels.device)[..., None, None, None]
        pixels = torch.where(flips, pixels.flip(3), pixels)
        return to_network(pixels, pixels.device)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Of all members, uint8 ``[members, 8, R, R, 3]``."""
        rngs = [step_generator(recipe["seed"], 0, PREVIEW_STREAM) for recipe in self.recipes]
        images = self.averages(self.latents(PREVIEWS, rngs), *self.gan.growth(self.share)).flatten(0, 1)
        images = F.interpolate(images, size=self.gan.resolution)
        return torch.from_numpy(quantize(images)).unflatten(0, (len(self.gans), PREVIEWS))

    def results(self) -> list[TrainedGAN]:
        """What is left of each at the end."""
        previews = torch.stack(self.previews, 1).numpy()  # [members, moments, 8, R, R, 3]
        return [self.result(member, previews[member]) for member in range(len(self.gans))]

    def result(self, member: int, previews: Pixels) -> TrainedGAN:
        """What is left of one."""
        gan = self.gans[member].cpu()
        self.averages.unstack(member, gan.average)  # type: ignore[arg-type]
        mine = {
            key: values if key == "images" else [value[member] for value in values]
            for key, values in self.history.items()
        }
        card = self.card(gan, self.recipes[member])
        card |= {"parted_at": self.parted_at[member], "history": mine, "together": len(self.gans)}
        return TrainedGAN(gan.eval(), card, list(self.moments), previews, self.path)
