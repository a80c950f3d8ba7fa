"""What the functions of this room take: finite numbers, shares, and things of two kinds. Anything else is refused."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError


def real(name: str, values: ArrayLike) -> np.ndarray:
    """The values as an array of real numbers or truth values, as they are.

    Raises:
        UsageError: they are none, or rows differ in length; it names the argument.
    """
    try:
        found = np.asarray(values)
    except (TypeError, ValueError):  # a tensor on a GPU; rows of different lengths
        found = np.array(None)
    if found.dtype.kind not in "biuf":
        raise UsageError(f"{name} must be real numbers: an array, or lists of equal lengths.")
    return found


def finite(name: str, values: ArrayLike) -> np.ndarray:
    """The values as an array of finite numbers: floats as they are, integers and truth values as float64.

    Raises:
        UsageError: as `real`, or one is NaN or infinite.
    """
    found = real(name, values)
    if found.dtype.kind != "f":
        return found.astype(np.float64)
    if not np.isfinite(found).all():
        raise UsageError(f"{name} must be finite, but there are NaN or infinite ones. Look into what computed them.")
    return found


def float64(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """As `finite`, all float64."""
    return finite(name, values).astype(np.float64, copy=False)


def number(name: str, value: ArrayLike, least: float = -np.inf, most: float = np.inf) -> float:
    """One finite number from `least` to `most`.

    Raises:
        UsageError: it is none.
    """
    found = float64(name, value)
    if found.ndim or not least <= found <= most:
        bounds = f" from {least:g} to {most:g}" if np.isfinite(least) else ""
        raise UsageError(f"{name} must be one number{bounds}, not {value!r}.")
    return float(found)


def truths(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """Truth values; zeros and ones will do.

    Raises:
        UsageError: they are something else.
    """
    found = finite(name, values)
    if not ((found == 0) | (found == 1)).all():
        raise UsageError(f"{name} must be true or false; they run from {found.min():g} to {found.max():g}.")
    return found.astype(bool)


def two_kinds(
    name: str, values: ArrayLike, kind: str, belongs: ArrayLike, least: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values, float64 ``[N]``, and which of them are of a kind, bool ``[N]``: `least` or more, and as many others.

    Raises:
        UsageError: as `float64` and `truths`, shapes differ, or there are fewer of a kind.
    """
    found, which = float64(name, values), truths(kind, belongs)
    if found.ndim != 1 or found.shape != which.shape:
        raise UsageError(f"{name} and {kind} must be [N] alike, not {found.shape} and {which.shape}.")
    if min(which.sum(), (~which).sum()) < least:
        raise UsageError(
            f"{name} must be of both kinds, {least} or more of each; {kind} is true of {which.sum()} and false of "
            f"{(~which).sum()}."
        )
    return found, which
