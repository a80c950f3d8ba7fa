"""Other ways to look at a corpus. A view can be learned like one.

Views of sources and labels are made here; a view that changes pixels is made where its subject lives:
`immunization.attacked`, `confounds.handled`, `components.middle`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..codehash import code_of
from ..errors import UsageError, unknown
from ..provenance import content_hash, recipe_hash
from .labelled import LabelledImages, taken

Change = Callable[[str, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _unchanged(split: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images, labels


@dataclass(frozen=True, eq=False)
class View(LabelledImages):
    """Another way to look at a corpus: which of its images, under which names, and what becomes of them.

    Its `hash` tells two views apart. Nothing is kept: a split is computed whenever it is asked for.

    Attributes:
        corpus: what is looked at; a view, too.
        told: JSON-able; everything that `change` depends on, its code too where that is of another module.
        change: of a split's name, the images that are looked at (uint8 ``[N, H, W, 3]``, read-only) and their labels
            (int64 ``[N]``), to what a split of the view is. It keeps their number and order.
        sources: name to the source of the corpus whose images bear it; by default every source its own name. The order
            is that of the labels. Names of one source take turns.
        side: of the images once they are changed, where that is another.
        control: the colour control that they are then under, where that is another.
        names: of the labels that `change` gives, where they mean something else than the sources do.

    Raises:
        UsageError: a source that the corpus does not have.
    """

    corpus: LabelledImages
    told: Any
    change: Change = _unchanged
    sources: Mapping[str, str] | None = None
    side: int | None = None
    control: str | None = None
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for source in (self.sources or {}).values():
            if source not in self.corpus.class_names:
                raise unknown("source", source, self.corpus.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names."""
        if self.names is not None:
            return self.names
        return self.corpus.class_names if self.sources is None else tuple(self.sources)

    @property
    def resolution(self) -> int:
        """Side of the images once they are changed."""
        return self.corpus.resolution if self.side is None else self.side

    @property
    def colour(self) -> str:
        """The colour control that the images are under once they are changed."""
        return self.corpus.colour if self.control is None else self.control

    @property
    def hash(self) -> str:
        """Of the corpus and of all that is told of the view."""
        sources = None if self.sources is None else list(self.sources.items())
        told = [self.told, sources, self.side, self.control, self.names]
        return recipe_hash([self.corpus.hash, *told, code_of(__name__)])

    @property
    def origin(self) -> dict[str, str]:
        """The corpus's of the sources that bear the names."""
        origin = self.corpus.origin
        if self.names is not None:
            return dict.fromkeys(self.names, recipe_hash(origin))
        return origin if self.sources is None else {name: origin[source] for name, source in self.sources.items()}

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """uint8 ``[N, H, W, 3]`` and int64 ``[N]``; class by class where the view has sources of its own.

        Of a memory-mapped corpus no image of any other source is read, and those that lie side by side stay mapped.
        """
        images, labels = self.corpus.split(name)
        if self.sources is not None:
            rows = self._rows(labels)
            images = taken(images, np.concatenate(rows))
            labels = np.repeat(np.arange(len(rows)), [len(some) for some in rows])
        return self.change(name, images, labels)

    def groups(self, name: str) -> np.ndarray:
        """The corpus's of these images, int64 ``[N]``; two names of one source may have some in common."""
        groups = self.corpus.groups(name)
        return groups if self.sources is None else groups[np.concatenate(self._rows(self.corpus.split(name)[1]))]

    def _rows(self, labels: np.ndarray) -> list[np.ndarray]:
        """Where each name's images lie in the corpus."""
        sources = list((self.sources or {}).values())
        sharers, served = Counter(sources), Counter[str]()
        found = []
        for source in sources:
            mine = np.flatnonzero(labels == self.corpus.class_names.index(source))
            found.append(mine[served[source] :: sharers[source]])
            served[source] += 1
        return found


def shuffled_labels(corpus: LabelledImages, seed: int = 0) -> View:
    """A corpus with meaningless labels, the negative control: whoever scores above chance on it has found a leak.

    An image's label is drawn at random, from a hash of its pixels and the seed, all classes equally likely. So it tells
    nothing of the source, in any split, and yet an image that slipped into two splits has the same label in both: a
    leak shows as accuracy above chance, where labels permuted within each split would hide it.
    """
    salt, classes = str(seed).encode(), len(corpus.class_names)

    def change(split: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        draws = [int(content_hash(salt, np.ascontiguousarray(image).data), 16) for image in images]
        return images, np.array([draw % classes for draw in draws], np.int64)

    return View(corpus, ["shuffled labels", seed], change)


def some_sources(corpus: LabelledImages, names: Sequence[str]) -> View:
    """Some sources of a corpus, two at least; the order of their names is the order of the labels.

    Raises:
        UsageError: a name that the corpus does not have, one given twice, or fewer than two.
    """
    view = View(corpus, "some sources", sources={name: name for name in names})
    if len(view.class_names) != len(names) or len(names) < 2:
        raise UsageError(f"names must be two different sources at least, not {list(names)}.")
    return view


def real_or_generated(corpus: LabelledImages) -> View:
    """A corpus of which all sources but the first are one class, ``generated``: label 0 real, label 1 generated.

    Raises:
        UsageError: the first source is not ``real``.
    """
    if corpus.class_names[0] != "real":
        raise UsageError(f"The first source must be real, not {corpus.class_names[0]!r}. Put it first.")

    def change(split: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images, (labels > 0).astype(np.int64)

    return View(corpus, "real or generated", change, names=("real", "generated"))
