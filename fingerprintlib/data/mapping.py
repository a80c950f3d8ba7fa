"""Arrays that are mapped from files, of which little stays in memory however much of them is read.

What is read of a mapped file counts as memory of the process for as long as it is mapped, though the kernel could take
it back. So it is given back here, now and then; the kernel keeps what it likes for the next read.
"""

import mmap
from pathlib import Path
from typing import Any

import numpy as np

HELD = 1 << 30  # bytes that may be mapped before they are given back
AROUND = 1 << 21  # bytes that the kernel may map for one that is read


class Mapped(np.memmap[Any, Any]):
    """A part of a file as an array, read-only. Passed to another process, it is mapped there, and not copied."""

    _mmap: mmap.mmap | None  # numpy's: none where the array is a copy
    _mapped: list[int]  # bytes, at most, since some were given back; all parts of an array share it

    def __array_finalize__(self, obj: Any) -> None:
        super().__array_finalize__(obj)
        self._mapped = getattr(obj, "_mapped", [0])

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """What is computed of it is no part of the file."""
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if not isinstance(found, Mapped) or self._mmap is None:
            return found
        copied = found._mmap is None  # row by row
        self._mapped[0] += found.nbytes + AROUND * (len(found) if copied else 1)
        if self._mapped[0] > HELD:
            self._mmap.madvise(mmap.MADV_DONTNEED)  # whoever has a part of it yet reads it from the kernel again
            self._mapped[0] = 0
        return found.view(np.ndarray) if copied else found

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._mmap is None or not self.flags.c_contiguous:
            return np.array(self).__reduce_ex__(protocol)
        start = self.ctypes.data - np.frombuffer(self._mmap, np.uint8).ctypes.data
        return _part, (str(self.filename), self.dtype, self.shape, start)


def mapped(path: Path) -> Mapped:
    """The array in a ``.npy`` file.

    Raises:
        OSError, ValueError, EOFError: it cannot be read, or is of another kind.
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap):
        raise ValueError("it is no .npy file")
    return array.view(Mapped)


def _part(path: str, dtype: np.dtype[Any], shape: tuple[int, ...], start: int) -> Mapped:
    return np.memmap(path, dtype, "r", start, shape).view(Mapped)
