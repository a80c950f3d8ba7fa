"""Many ProGANs that differ in their seed, or in one image, and in nothing else: trained all at once.

On a GPU the step of a slim network is all launching of kernels, and ten networks in one set of launches take little
longer than one. So the weights of all are stacked, ``[members, ...]``, and each operation is mapped over them. Every
member draws the random numbers that it would draw alone, and its gradients are its own: what comes out is what
`training.train_gan` gives, but for the order in which sums are rounded.
"""

import time
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

from .. import __version__
from ..checkpoints import load_checkpoint, pack, save_checkpoint, unpack
from ..codehash import code_of
from ..images import Pixels, quantize, to_network
from ..runtime import Fabric, computed_with, make_fabric, progress, require_finite, step_generator
from .progan import ProGAN, critic_loss, shrink
from .training import (
    CURVE,
    LOOK,
    MOMENTS,
    PREVIEW_STREAM,
    PREVIEWS,
    Images,
    TrainedGAN,
    device_name,
    draw_rows,
    require_same,
)

KIND = "gan-siblings"


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
    save_seconds: float = 60.0,
    **options: Any,
) -> list[TrainedGAN]:
    """Train a ProGAN for each of the members, or go on where a run in `folder` was stopped.

    Args:
        reals: uint8 ``[N, R, R, 3]``; kept on the device.
        members: for each its ``seed`` and, if one image is left out, its number ``without``.
        resolution, width, images, folder, data_hash, save_seconds, options: see `training.train_gan`; `images` is what
            each member is shown.
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
        | {"images": images, "seed": member["seed"], "without": member.get("without"), "data": data_hash}
        | computed_with(fabric)
        | code_of(__name__)
        for gan, member in zip(gans, members, strict=True)
    ]
    run = _Run(gans, reals, recipes, fabric, Path(folder) / "siblings.safetensors")
    run.resume()
    run.train(save_seconds)
    return run.results()


class _Run:
    """The state of the training of all members, all of which is in its checkpoint."""

    def __init__(self, gans: list[ProGAN], reals: Images, recipes: list[dict[str, Any]], fabric: Fabric, path: Path):
        self.gans, self.recipes, self.fabric, self.path = gans, recipes, fabric, path
        self.like = gans[0]  # what they share: schedule and settings
        self.reals = torch.from_numpy(np.array(reals[:])).to(fabric.device)  # a map of a file is read-only
        self.generators = Stack([gan.generator for gan in gans]).to(fabric.device)
        self.discriminators = Stack([gan.discriminator for gan in gans]).to(fabric.device)
        self.averages = Stack([gan.generator for gan in gans]).to(fabric.device).requires_grad_(False)
        settings = self.like.settings
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(stack.parameters(), lr=settings.lr, betas=settings.betas, fused=True)
            for stack in (self.generators, self.discriminators)
        )
        self.step = self.seen = self.level = 0
        self.seconds = 0.0
        self.parted_at: list[int | None] = [None] * len(gans)
        self.history: dict[str, list[Any]] = {"images": [], "discriminator": [], "generator": []}  # of all members
        self.losses = torch.zeros(2, len(gans), device=fabric.device)
        self.counted = 0
        self.moments: list[int] = []
        self.previews: list[Tensor] = []

    @property
    def images(self) -> int:
        return self.recipes[0]["images"]

    @property
    def share(self) -> float:
        return min(self.seen / self.images, 1.0)

    def train(self, save_seconds: float) -> None:
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        with progress(self.images, f"{len(self.gans)} siblings", "images", initial=self.seen) as bar:
            while self.seen < self.images:
                before = self.share
                self.advance()
                shown, last = self.share, self.seen >= self.images
                if last or int(shown * CURVE) > int(before * CURVE) or self.step % LOOK == 0:
                    self.look(keep=last or int(shown * CURVE) > int(before * CURVE))
                if any(before < moment <= shown for moment in MOMENTS):
                    self.keep_previews()
                bar.update(min(self.seen, self.images) - bar.n)
                self.seconds = time.monotonic() - started
                if last or time.monotonic() - saved > save_seconds:
                    self.save()
                    saved = time.monotonic()

    def advance(self) -> None:
        """A step of all critics, then of all generators."""
        like, share, device = self.like, self.share, self.fabric.device
        rngs = [step_generator(recipe["seed"], self.step) for recipe in self.recipes]
        if like.level(share) != self.level:
            self.level = like.level(share)
            self.g_optimizer.state.clear()
            self.d_optimizer.state.clear()
        for optimizer in (self.g_optimizer, self.d_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = like.learning_rate(share)
        n, growth = like.batch_size(share), like.growth(share)

        def latents() -> Tensor:
            return torch.stack([like.latents(n, rng) for rng in rngs]).to(device)

        real = self.draw_reals(n, rngs)  # [members, n, 3, R, R]
        with self.fabric.autocast():
            real = shrink(real.flatten(0, 1), *growth).unflatten(0, (-1, n))
            with torch.no_grad():
                fake = self.generators(latents(), *growth).to(real.dtype)
            scores = self.discriminators(torch.cat([real, fake], 1), *growth).float()  # [members, 2n, 1]
            shares = torch.stack([torch.rand(n, 1, 1, 1, generator=rng) for rng in rngs]).to(real)
            between = torch.lerp(real, fake, shares).requires_grad_()
            score_between = self.discriminators(between, *growth).float().sum()
        (gradient,) = torch.autograd.grad(score_between, between, create_graph=True)
        penalty = (gradient.float().flatten(2).norm(dim=2) - 1).square().mean(1)  # [members]
        settings = like.settings
        d_loss = vmap(partial(critic_loss, drift=settings.drift))(*scores.chunk(2, 1)) + settings.penalty * penalty
        self.update(self.d_optimizer, d_loss)

        self.discriminators.requires_grad_(False)
        with self.fabric.autocast():
            g_loss = -self.discriminators(self.generators(latents(), *growth), *growth).float().mean((1, 2))
        self.update(self.g_optimizer, g_loss)
        self.discriminators.requires_grad_(True)

        decay = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averages.weights), list(self.generators.weights), 1 - decay)
        self.losses += torch.stack([d_loss.detach(), g_loss.detach()])
        self.counted += 1
        self.step += 1
        self.seen += n

    def draw_reals(self, n: int, rngs: list[torch.Generator]) -> Tensor:
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

    def update(self, optimizer: torch.optim.Optimizer, losses: Tensor) -> None:
        optimizer.zero_grad()
        losses.sum().backward()  # each member's gradient is of its own loss alone
        optimizer.step()

    def look(self, keep: bool) -> None:
        means = (self.losses / self.counted).tolist()
        for name, values in zip(("discriminator", "generator"), means, strict=True):
            for value in values:
                require_finite(f"a {name}'s loss", value, self.step)
        if keep:
            for key, value in zip(self.history, (self.seen, *means), strict=True):
                self.history[key].append(value)
            self.losses.zero_()
            self.counted = 0

    @torch.no_grad()
    def keep_previews(self) -> None:
        rngs = [step_generator(recipe["seed"], 0, PREVIEW_STREAM) for recipe in self.recipes]
        latents = torch.stack([self.like.latents(PREVIEWS, rng) for rng in rngs]).to(self.fabric.device)
        images = self.averages(latents, *self.like.growth(self.share)).flatten(0, 1)
        images = F.interpolate(images, size=self.like.resolution)
        self.moments.append(self.seen)
        self.previews.append(torch.from_numpy(quantize(images)).unflatten(0, (len(self.gans), PREVIEWS)))

    # The checkpoint

    def parts(self) -> dict[str, Any]:
        stacks = {"generators": self.generators, "discriminators": self.discriminators, "averages": self.averages}
        return stacks | {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}

    def save(self) -> None:
        tensors, plain = pack(self.parts())
        tensors |= {"losses": self.losses} | {f"preview{i}": grid for i, grid in enumerate(self.previews)}
        kept = ("step", "seen", "level", "seconds", "parted_at", "history", "counted", "moments")
        state = {name: getattr(self, name) for name in kept}
        save_checkpoint(self.path, KIND, tensors, {"recipes": self.recipes, "state": state, "plain": plain})

    def resume(self) -> None:
        if not self.path.is_file():
            return
        tensors, metadata = load_checkpoint(self.path, KIND)
        for theirs, ours in zip(metadata["recipes"], self.recipes, strict=False):
            require_same(theirs, ours, self.path)
        unpack(self.parts(), tensors, metadata["plain"])
        self.losses = tensors["losses"].to(self.fabric.device)
        for key, value in metadata["state"].items():
            setattr(self, key, value)
        self.previews = [tensors[f"preview{i}"] for i in range(len(self.moments))]

    def results(self) -> list[TrainedGAN]:
        found = []
        previews = torch.stack(self.previews, 1).numpy()  # [members, moments, 8, R, R, 3]
        for member, (gan, recipe) in enumerate(zip(self.gans, self.recipes, strict=True)):
            gan = gan.cpu()
            self.averages.unstack(member, gan.average)  # type: ignore[arg-type]
            curves = {
                key: values if key == "images" else [value[member] for value in values]
                for key, values in self.history.items()
            }
            card = {
                "recipe": recipe,
                "images_seen": self.seen,
                "parted_at": self.parted_at[member],
                "steps": self.step,
                "seconds": round(self.seconds, 1),
                "together": len(self.gans),
                "departures": list(gan.departures),
                "device": device_name(self.fabric.device),
                "history": curves,
                "fingerprintlib": __version__,
                "torch": torch.__version__,
            }
            pixels: Pixels = previews[member]
            found.append(TrainedGAN(gan.eval(), card, list(self.moments), pixels, self.path))
        return found
