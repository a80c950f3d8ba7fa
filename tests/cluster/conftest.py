"""The engine's small book, on a cluster."""

from ..book.conftest import small_book

__all__ = ["small_book"]
