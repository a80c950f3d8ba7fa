"""What attribution needs to know of a corpus, and other ways to look at one. A view can be learned like a corpus."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .errors import UsageError, unknown
from .provenance import content_hash, recipe_hash


class LabelledImages(Protocol):
    """What attribution needs to know of a corpus."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K sources; label k means the k-th."""

    @property
    def resolution(self) -> int:
        """Side of the images."""

    @property
    def hash(self) -> str:
        """Changes when anything in it changes."""

    @property
    def colour(self) -> str:
        """One of `images.COLOURS`."""

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """uint8 ``[N, H, W, 3]`` and int64 ``[N]`` of ``"train"``, ``"validation"`` or ``"test"``."""

    def groups(self, name: str) -> np.ndarray:
        """int64 ``[N]``: images of one number are not independent of each other, see `corpus.Corpus.groups`."""


@dataclass(frozen=True)
class View:
    """Another way to look at a corpus; it can be learned like one. What a view does not change is the corpus's."""

    corpus: LabelledImages

    @property
    def class_names(self) -> tuple[str, ...]:
        """The sources."""
        return self.corpus.class_names

    @property
    def resolution(self) -> int:
        """Side of the images."""
        return self.corpus.resolution

    @property
    def colour(self) -> str:
        """One of `images.COLOURS`."""
        return self.corpus.colour

    def groups(self, name: str) -> np.ndarray:
        """The corpus's, int64 ``[N]``."""
        return self.corpus.groups(name)


@dataclass(frozen=True)
class ShuffledLabels(View):
    """A corpus with meaningless labels, the negative control: whoever scores above chance on it has found a leak.

    An image's label is drawn at random, from a hash of its pixels. So it tells nothing of the source, in any split, and
    yet an image that slipped into two splits has the same label in both: a leak shows as accuracy above chance, where
    labels permuted within each split would hide it.
    """

    seed: int = 0

    @property
    def hash(self) -> str:
        """Of the corpus and the seed."""
        return recipe_hash({"shuffled": self.corpus.hash, "seed": self.seed})

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The corpus's images uint8 ``[N, H, W, 3]`` with random labels int64 ``[N]``, all classes equally likely."""
        images, _ = self.corpus.split(name)
        seed, classes = str(self.seed).encode(), len(self.class_names)
        draws = [int(content_hash(seed, np.ascontiguousarray(image).data), 16) for image in images]
        return images, np.array([draw % classes for draw in draws], np.int64)


@dataclass(frozen=True)
class SomeSources(View):
    """Some sources of a corpus. It can be learned like a corpus.

    Attributes:
        corpus: of more sources.
        names: of those that are left, two at least; their order is the order of the labels.

    Raises:
        UsageError: a name that the corpus does not have, one given twice, or fewer than two.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in self.corpus.class_names:
                raise unknown("source", name, self.corpus.class_names)
        if len(set(self.names)) != len(self.names) or len(self.names) < 2:
            raise UsageError(f"names must be two different sources at least, not {list(self.names)}.")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names."""
        return tuple(self.names)

    @property
    def hash(self) -> str:
        """Of the corpus and the names."""
        return recipe_hash({"some of": self.corpus.hash, "names": list(self.names)})

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """uint8 ``[N, H, W, 3]`` and int64 ``[N]``, class by class.

        Mapped from disk, as the corpus is, where these sources lie there side by side and in this order; else read into
        memory, but no image of any other source is.
        """
        images, labels = self.corpus.split(name)
        rows = self._rows(labels)
        every = np.concatenate(rows)
        new_labels = np.repeat(np.arange(len(rows)), [len(some) for some in rows])
        if len(every) and (np.diff(every) == 1).all():
            return images[every[0] : every[-1] + 1], new_labels
        return images[every], new_labels

    def groups(self, name: str) -> np.ndarray:
        """The corpus's of these sources' images, int64 ``[N]``."""
        return self.corpus.groups(name)[np.concatenate(self._rows(self.corpus.split(name)[1]))]

    def _rows(self, labels: np.ndarray) -> list[np.ndarray]:
        """Where each source's images lie in the corpus."""
        return [np.flatnonzero(labels == self.corpus.class_names.index(one)) for one in self.names]
