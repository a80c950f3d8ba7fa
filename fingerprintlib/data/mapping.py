"""Arrays that are mapped from files, of which little stays in memory however much of them is read.

What is read of a mapped file counts as memory of the process for as long as it is mapped, though the kernel could take
it back. So it is given back here, now and then; the kernel keeps what it likes for the next read. And the kernel, asked
for a page, reads megabytes around it: with images in random order, a hundred times what is needed. So it is told what
is needed, all images of a batch at once.
"""

import mmap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

HELD = 1 << 30  # bytes that may be mapped before they are given back
AROUND = 1 << 21  # bytes that the kernel may map for one that is read
AHEAD = 1 << 26  # bytes in a row that are read at once; longer parts are taken to be looked at in parts


class Mapped(np.memmap[Any, Any]):
    """A part of a file as an array, read-only. Passed to another process, it is mapped there, and not copied."""

    _mmap: mmap.mmap | None  # numpy's: none where the array is a copy
    _file: SimpleNamespace  # `mapped`: bytes, at most, since some were given back; `start`: where the file lies

    def __array_finalize__(self, obj: Any) -> None:
        super().__array_finalize__(obj)
        if self._mmap is not None:
            self._file = getattr(obj, "_file", None) or self._opened(self._mmap)

    @staticmethod
    def _opened(file: mmap.mmap) -> SimpleNamespace:
        file.madvise(mmap.MADV_RANDOM)
        return SimpleNamespace(mapped=0, start=np.frombuffer(file, np.uint8).ctypes.data)

    @property
    def _place(self) -> int:
        """Of the first byte, in the file."""
        return self.ctypes.data - self._file.start

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """What is computed of it is no part of the file."""
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain

    def __getitem__(self, key: Any) -> Any:
        if self._mmap is None:
            return super().__getitem__(key)
        if isinstance(key, np.ndarray) and key.dtype.kind in "iu":
            stride, size = self.strides[0], self.nbytes // max(len(self), 1)
            for row in key.ravel().tolist():
                if -len(self) <= row < len(self):
                    self._fetch(self._mmap, self._place + row % len(self) * stride, size)
        found = super().__getitem__(key)
        if not isinstance(found, Mapped):
            return found
        copied = found._mmap is None  # row by row
        if not copied and found.nbytes <= AHEAD:
            self._fetch(self._mmap, found._place, found.nbytes)
        self._file.mapped += found.nbytes + AROUND * (len(found) if copied else 1)
        if self._file.mapped > HELD:
            self._mmap.madvise(mmap.MADV_DONTNEED)  # whoever has a part of it yet reads it from the kernel again
            self._file.mapped = 0
        return found.view(np.ndarray) if copied else found

    @staticmethod
    def _fetch(file: mmap.mmap, start: int, size: int) -> None:
        """Have the kernel read a part of the file, without waiting for it."""
        if size:
            file.madvise(mmap.MADV_WILLNEED, start - start % mmap.PAGESIZE, start % mmap.PAGESIZE + size)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._mmap is None or not self.flags.c_contiguous:
            return np.array(self).__reduce_ex__(protocol)
        return _part, (str(self.filename), self.dtype, self.shape, self._place)


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
