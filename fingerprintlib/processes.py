"""Several processes compute what one would: each takes its share of a batch, and they meet where the batch is one.

A network's gradient is a mean over images, so it is the mean of the shares' gradients (`average_gradients`). Three
things look at the whole batch at once, and have to be told of the other shares:

- random numbers: each process draws those of the whole batch, and takes its own;
- batch normalization: mean and variance are those of all;
- what a loss makes of all images together, of pairs of them for example: `of_all`, `mean_of_all`, `rows`.

The first two need no word from whoever writes a network, as long as a step's loss is computed within `Shares.joined`.
All of it can be differentiated, twice too. One process computes what it would if this module were not there.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .errors import UsageError

if TYPE_CHECKING:
    from .runtime import Fabric


@dataclass(frozen=True)
class Shares:
    """A batch of `batch` images, shared by the processes of a run: consecutive rows, as many for each.

    Args:
        fabric: of the run.
        batch: images of all processes together.
        together: the processes' shares must be multiples of this many images, as far as the batch is one: images that a
            network looks at in groups (ProGAN's critic) have to be in one process.

    Raises:
        UsageError: the batch cannot be shared so.
    """

    fabric: "Fabric"
    batch: int
    together: int = 1

    def __post_init__(self) -> None:
        world, group = self.fabric.world_size, math.gcd(self.batch, self.together)
        if self.batch % (world * group):
            raise UsageError(
                f"A batch of {self.batch} images cannot be shared by {world} processes in groups of {group}. "
                f"Use a multiple of {world * group}, or fewer processes."
            )

    @property
    def count(self) -> int:
        """Images in the share of this process."""
        return self.batch // self.fabric.world_size

    @property
    def mine(self) -> slice:
        """Which rows of the batch are of this process."""
        return slice(self.fabric.global_rank * self.count, (self.fabric.global_rank + 1) * self.count)

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Compute on this process's share what one process would compute on the whole batch."""
        if self.fabric.world_size == 1:
            yield
            return
        before = _SHARES.set(self)
        try:
            with _AsOfTheWholeBatch(self):
                yield
        finally:
            _SHARES.reset(before)


_SHARES: ContextVar[Shares | None] = ContextVar("shares", default=None)


def rows(count: int) -> range:
    """The numbers, in the whole batch, of the images in a share of `count`."""
    shares = _SHARES.get()
    first = 0 if shares is None else shares.mine.start
    return range(first, first + count)


def size(count: int) -> int:
    """How many images a batch has of which `count` are here."""
    shares = _SHARES.get()
    return count if shares is None else count * shares.fabric.world_size


def of_all(x: Tensor) -> Tensor:
    """The rows ``[n, ...]`` of all shares, in the order of the batch: ``[N, ...]``."""
    shares = _SHARES.get()
    if shares is None:
        return x
    n, rank, world = len(x), shares.fabric.global_rank, shares.fabric.world_size
    before, after = x.new_zeros(rank * n, *x.shape[1:]), x.new_zeros((world - 1 - rank) * n, *x.shape[1:])
    return world * mean_of_all(torch.cat([before, x, after]))


def mean_of_all(x: Tensor) -> Tensor:
    """The mean of the processes' tensors of one shape: of the shares' means, the batch's."""
    shares = _SHARES.get()
    return x if shares is None else cast(Tensor, _Mean.apply(x, shares.fabric))


class _Mean(torch.autograd.Function):
    """The mean over processes. Its gradient is the mean of the gradients: what each has in it, the others have, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fabric: "Fabric") -> Tensor:
        ctx.fabric = fabric
        return cast(Tensor, fabric.all_reduce(x.clone(memory_format=torch.contiguous_format), reduce_op="mean"))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _Mean.apply(gradients[0], ctx.fabric), None


class _AsOfTheWholeBatch(TorchFunctionMode):
    """Random numbers and batch normalization as they would be with the other shares at hand."""

    def __init__(self, shares: Shares):
        super().__init__()
        self.shares = shares

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in (torch.rand, torch.randn, torch.randint) and kwargs.get("generator") is not None:
            return self.drawn(function, args, kwargs)
        if function is F.batch_norm:
            return _batch_norm(*args, **kwargs)
        return function(*args, **kwargs)

    def drawn(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Random numbers for the rows of this share, of those that the whole batch would get.

        A call that asks for several times as many rows as the share has (two fakes for each real, say) asks for as many
        blocks, one after the other.
        """
        asked, before = _size(function, args)
        if not asked or asked[0] % self.shares.count:  # for nothing that each image has
            return cast(Tensor, function(*args, **kwargs))
        blocks = asked[0] // self.shares.count
        whole = function(*before, (blocks * self.shares.batch, *asked[1:]), **kwargs)
        return whole.unflatten(0, (blocks, self.shares.batch))[:, self.shares.mine].flatten(0, 1)


def _size(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """The size that is asked for, and the arguments before it: bounds, of `torch.randint`."""
    at = next((place for place, value in enumerate(args) if isinstance(value, (tuple, list))), None)
    if at is not None:
        return tuple(args[at]), args[:at]
    return (args, ()) if function is not torch.randint else ((), args)


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` with the statistics of all shares; PyTorch's own for several processes needs GPUs."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    axes, shape = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    with torch.autocast(x.device.type, enabled=False):
        exact = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        mean = mean_of_all(exact.mean(axes))
        centred = exact - mean.view(shape)
        variance = mean_of_all(centred.square().mean(axes))
        if running_mean is not None and running_var is not None:
            count = size(x.numel() // x.shape[1])
            with torch.no_grad():
                running_mean.lerp_(mean, momentum)
                running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)
        y = centred * (variance + eps).rsqrt().view(shape)
        if weight is not None:
            y = y * weight.view(shape)
        if bias is not None:
            y = y + bias.view(shape)
    return y.to(x.dtype)


def average_gradients(fabric: "Fabric", network: nn.Module) -> None:
    """Average the gradients over the processes of a run (nothing to do for one).

    Done by hand rather than by wrapping the network: gradient penalties differentiate twice, and wrappers for
    distributed training do not follow them there.
    """
    if fabric.world_size == 1:
        return
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    if gradients:
        whole = torch.cat([gradient.flatten() for gradient in gradients])  # one message takes less than a hundred
        means = cast(Tensor, fabric.all_reduce(whole, reduce_op="mean")).split([one.numel() for one in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))
