"""Frequency bands: the binomial pyramid that takes an image apart into octaves.

Halving blurs with the outer product of [1 4 6 4 1] / 16 and keeps every second pixel (the paper's "pre-downsampling");
doubling is its counterpart. What halving and doubling lose is the *residual band* of that level, and the bands together
with the coarsest image give the image back (Burt and Adelson 1983).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def halve(x: Tensor) -> Tensor:
    """Blur and keep every second row and column: ``[N, C, H, W]`` -> ``[N, C, H/2, W/2]``, H and W even, at least 4."""
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), _kernel(x), stride=2, groups=x.shape[1])


def double(x: Tensor) -> Tensor:
    """Put zeros between rows and columns and blur: ``[N, C, H, W]`` -> ``[N, C, 2H, 2W]``, H and W at least 2.

    A constant image stays constant.
    """
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    wide = F.conv_transpose2d(padded, 4 * _kernel(x), stride=2, groups=x.shape[1])  # 2H + 7: its frame is 4 and 3 wide
    return wide[..., 4:-3, 4:-3]


def low_pass(x: Tensor, factor: int) -> Tensor:
    """Images ``[N, C, H, W]``, their sides halved until they are 1/`factor` of what they were."""
    for _ in range(factor.bit_length() - 1):
        x = halve(x)
    return x


def residual(x: Tensor, factor: int) -> Tensor:
    """What is in `low_pass(x, factor)` and lost by one more halving: ``[N, C, H/factor, W/factor]``, mean about 0."""
    x = low_pass(x, factor)
    return x - double(halve(x))


#: What of an image's frequencies a network may see: those below a limit, or one octave.
BANDS: dict[str, Callable[[Tensor, int], Tensor]] = {"low": low_pass, "residual": residual}


def _kernel(x: Tensor) -> Tensor:
    """``[C, 1, 5, 5]``, one blur for each channel of `x`; sums to 1."""
    row = torch.tensor(BINOMIAL, dtype=x.dtype, device=x.device) / sum(BINOMIAL)
    return torch.outer(row, row).expand(x.shape[1], 1, 5, 5)
