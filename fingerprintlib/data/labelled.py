"""Labelled images of several sources: what a corpus and each view of one have in common."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from ..errors import UsageError


class Labelled(NamedTuple):
    """Images and what is known of each.

    Attributes:
        images: uint8 ``[N, H, W, 3]``.
        labels: int64 ``[N]``.
        groups: int64 ``[N]``, see `LabelledImages.groups`.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


class LabelledImages(ABC):
    """What a `corpus.Corpus` and a `View` of one have in common: all that attribution needs to know."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The K sources; label k means the k-th."""

    @property
    @abstractmethod
    def resolution(self) -> int:
        """Side of the images in pixels."""

    @property
    @abstractmethod
    def colour(self) -> str:
        """One of `images.COLOURS`."""

    @property
    @abstractmethod
    def hash(self) -> str:
        """Changes when anything in it changes."""

    @property
    def origin(self) -> dict[str, str]:
        """For each class a hash of where its images come from, however many there are: photographs, or a generator."""
        return dict.fromkeys(self.class_names, self.hash)

    @abstractmethod
    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """uint8 ``[N, H, W, 3]`` and int64 ``[N]`` of ``"train"``, ``"validation"`` or ``"test"``."""

    @abstractmethod
    def groups(self, name: str) -> np.ndarray:
        """int64 ``[N]``: images of one number are not independent of each other, see `corpus.Corpus.groups`."""

    def first(self, split: str, n: int) -> Labelled:
        """The first `n` images of each source of a split, source by source; of a source that has fewer, all.

        Images that lie side by side on disk, as all of a corpus do, are mapped from there and not copied.

        Raises:
            UsageError: `n` is less than 1, or there is no such split.
        """
        images, labels = self.split(split)
        rows = first_of_each(labels, n)
        return Labelled(taken(images, rows), labels[rows], self.groups(split)[rows])


def first_of_each(labels: np.ndarray, n: int) -> np.ndarray:
    """Where the first `n` of each label stand, label by label: int64, indices of labels ``[N]``.

    Raises:
        UsageError: `n` is less than 1.
    """
    if n < 1:
        raise UsageError(f"n must be at least 1, not {n}.")
    return np.concatenate([np.flatnonzero(labels == k)[:n] for k in np.unique(labels)])


def taken(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """These rows of the images: not copied where they lie side by side and in this order."""
    if len(rows) and (np.diff(rows) == 1).all():
        return images[rows[0] : rows[-1] + 1]
    return images[rows]
