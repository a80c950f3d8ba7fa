"""What the generative models have in common: how they are built, what training asks of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar
from zlib import crc32

import torch
from torch import Tensor, nn

from ..errors import UsageError, unknown
from ..runtime import step_generator
from .layers import augmented

RESOLUTIONS = (32, 64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What can be set about a model; each one's file gives the values."""

    batch: int  # real images a step (ProGAN: at most)
    lr: float  # Adam's learning rate
    betas: tuple[float, float]  # Adam's moments
    ema: float = 0.0  # decay of the generator's moving average, per generator step; 0: none, sample with the last
    decay: float = 0.0  # the last share of the budget, in which the learning rate falls linearly to 0


@dataclass(frozen=True, kw_only=True)
class GANSettings(Settings):
    """What can be set about a GAN besides."""

    latent: int  # length of the latent vector
    d_steps: int  # discriminator steps a generator step
    augment: bool = False  # let the discriminator see reals and fakes only shifted and recoloured at random


class Model(nn.Module, ABC):
    """A generator, whatever else learns with it, their loss and schedule.

    All that learns minimizes the one loss of `generator_loss`; a `GAN` has an opponent besides.

    Images are ``[N, 3, R, R]`` float in [-1, 1]. `progress` is the share of the training's real images already shown,
    in [0, 1]: schedules depend on it alone, so that a short budget is the long one in small. All randomness is drawn
    on the CPU from the generator handed in, so that every device sees the same numbers.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Settings]]
    settings: Any
    generator: nn.Module
    batch_multiple: ClassVar[int] = 1
    departures: ClassVar[tuple[str, ...]] = ()  #: where this differs from the paper, beside settings; goes to the card

    def __init__(self, resolution: int, width: int, seed: int, **options: Any):
        super().__init__()
        if resolution not in RESOLUTIONS:
            raise UsageError(f"{self.name} cannot be built at {resolution} pixels. Use 32, 64, 128 or 256.")
        if not 4 <= width <= 256:
            raise UsageError(f"width={width} is not possible. Use 4 to 256 (16 is slim, 64 is the paper's).")
        self.resolution = resolution
        self.width = width
        self.seed = seed
        self.settings = self._configure(options)
        with torch.random.fork_rng(devices=[]):
            # The name is in it: or the same seed would start CramerGAN and MMDGAN with the very same generator.
            torch.default_generator.set_state(step_generator(seed, crc32(self.name.encode())).get_state())
            self.assemble()
        self.average = deepcopy(self.generator).requires_grad_(False) if self.settings.ema else None

    def _configure(self, options: dict[str, Any]) -> Any:
        names = [field.name for field in fields(self.settings_type)]
        for option in options:
            if option not in names:
                raise unknown("option", option, names, self.name)
        # JSON and YAML have lists only.
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        settings: Any = self.settings_type(**options)
        if settings.batch < 2 or settings.batch % self.batch_multiple:
            need = f"a multiple of {self.batch_multiple}" if self.batch_multiple > 1 else "at least 2"
            raise UsageError(f"{self.name}'s batch={settings.batch} is not possible. Make it {need}.")
        if settings.lr <= 0 or not (0 <= settings.ema < 1 and 0 <= settings.decay <= 1):
            raise UsageError(f"{self.name} needs lr > 0, 0 <= ema < 1 and 0 <= decay <= 1. Mend the one that is not.")
        return settings

    @property
    def recipe(self) -> dict[str, Any]:
        """All that the untrained networks and their schedule depend on, but the seed; JSON-able."""
        settings = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.settings).items()}
        return {"gan": self.name, "resolution": self.resolution, "width": self.width, "settings": settings}

    @property
    def sampler(self) -> nn.Module:
        """The generator to sample with: the moving average where there is one, else the last."""
        return self.generator if self.average is None else self.average

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.generator.parameters()).device

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Adam for all that learns, by whose loss it minimizes: ``"generator"``."""
        return {"generator": self._adam(parameter for parameter in self.parameters() if parameter.requires_grad)}

    def _adam(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        # One fused kernel a step: slim networks have many small tensors, and looping over them costs more than Adam.
        return torch.optim.Adam(parameters, lr=self.settings.lr, betas=self.settings.betas, fused=True)

    @torch.no_grad()
    def settle(self, rng: torch.Generator) -> None:
        """Give the moving average the batch statistics that its own features have, over a thousand latents.

        Those of the last weights do not go with weights averaged over time: samples would come out in wrong colours.
        (Brock et al., arXiv 1809.11096, call them standing statistics.)
        """
        if self.average is None:
            return
        norms = [module for module in self.average.modules() if isinstance(module, nn.BatchNorm2d)]
        if not norms:
            return
        training = self.average.training
        self.average.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum, usual = None, norm.momentum  # the mean over all batches, not a moving one
        for _ in range(20):
            self.average(self.draw(50, rng))
        for norm in norms:
            norm.momentum = usual
        self.average.train(training)

    # What each model says for itself; the last four only where it is not the plain thing.

    @abstractmethod
    def assemble(self) -> None:
        """Set `generator` (latents ``[N, latent]`` -> images) and what learns with it, freshly initialized."""

    @abstractmethod
    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """`n` latent vectors, ``[n, latent]`` float32 on the CPU."""

    @abstractmethod
    def generator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """What the generator minimizes on these reals, or with as many fresh fakes; a scalar."""

    def batch_size(self, progress: float) -> int:
        """Real images in the step that starts at `progress`."""
        return self.settings.batch

    def learning_rate(self, progress: float) -> float:
        """Adam's learning rate at `progress`: constant, then falling to 0 where there is a `decay`."""
        decay = self.settings.decay
        return self.settings.lr * (min(1.0, (1 - progress) / decay) if decay else 1.0)

    def level(self, progress: float) -> int:
        """Changes when the optimizers must forget their moments; 0 throughout but for ProGAN."""
        return 0

    def preview(self, latents: Tensor, progress: float) -> Tensor:
        """Images ``[N, 3, R, R]`` as they are at `progress`, for looking at."""
        return self.sampler(latents)

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """`latents` on the networks' device."""
        return self.latents(n, rng).to(self.device)


class GAN(Model):
    """A generator and its opponent, the discriminator, which has a loss of its own."""

    settings_type: ClassVar[type[GANSettings]]
    discriminator: nn.Module

    def _configure(self, options: dict[str, Any]) -> Any:
        settings = super()._configure(options)
        if settings.d_steps < 1:
            raise UsageError(f"{self.name}'s d_steps={settings.d_steps} is not possible. Make it 1 or more.")
        return settings

    def assemble(self) -> None:
        """Set both."""
        self.generator, self.discriminator = self.networks()

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Adam for each of the two."""
        return {name: self._adam(getattr(self, name).parameters()) for name in ("discriminator", "generator")}

    @torch.no_grad()
    def stages(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """What an image passes through in the generator and in the discriminator: pairs of side and channels.

        Read off a pass through the networks: the first features of each side. Ends with the output, of side 1 if it is
        no image.
        """
        seen: dict[int, int] = {}

        def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
            if output.ndim == 4 and len(output) == 2:  # and not the weights that spectral normalization puts out
                seen.setdefault(output.shape[-1], output.shape[1])

        found = []
        inputs = self.latents(2, torch.Generator().manual_seed(0)).to(self.device)
        for network in (deepcopy(self.generator).eval(), deepcopy(self.discriminator).eval()):
            seen.clear()
            for module in network.modules():
                module.register_forward_hook(note)
            inputs = network(inputs)
            side = inputs.shape[-1] if inputs.ndim == 4 else 1
            found.append([*seen.items(), (side, inputs.shape[1])])
        return found[0], found[1]

    @abstractmethod
    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Generator (latents ``[N, latent]`` -> images) and discriminator, freshly initialized."""

    @abstractmethod
    def discriminator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """What the discriminator minimizes on these reals and as many fresh fakes; a scalar."""

    def seen(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """What the discriminator is shown of images ``[N, 3, R, R]``, of reals and of fakes."""
        return augmented(images, rng) if self.settings.augment else images
