"""A reader's own images in memory, labelled, and dealt to splits so that no picture is in two of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..data.duplicates import near_duplicates
from ..data.images import Pixels, check_images, check_labels
from ..data.labelled import Labelled, LabelledImages
from ..errors import UsageError, unknown
from ..provenance import content_hash, recipe_hash
from .judging import UNKNOWN, UNSURE

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
FEWEST = 20  # images of a source; with fewer a split may lack it, and no number means anything


@dataclass(frozen=True, eq=False)
class Pictures(LabelledImages):
    """Labelled images in memory, dealt to three splits. Make one with `dealt` or `sources.open_sources`.

    Attributes:
        names: the K sources.
        parts: split to its images, labels and groups.
        view: how the images were brought to their size, see `viewing.seen`.
        told: JSON-able; where they come from, for the provenance of what learns from them.
    """

    names: tuple[str, ...]
    parts: Mapping[str, Labelled]
    view: str = "shrunk"
    told: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def dealt(
        cls,
        images: Pixels,
        labels: np.ndarray,
        names: Sequence[str],
        groups: np.ndarray | None = None,
        seed: int = 0,
        view: str = "shrunk",
        told: Mapping[str, Any] | None = None,
    ) -> Self:
        """Deal images to the splits by `SHARES`, source by source; those of one group stay together.

        Where the images of a source go does not depend on the sources behind it, unless they share a group.

        Args:
            images: uint8 ``[N, R, R, 3]``.
            labels: int ``[N]``, from 0 to K - 1.
            names: the K sources, two at least.
            groups: ``[N]``, the same for images that show the same thing; by default what `near_duplicates` finds.
            seed: of the order in which groups are dealt.
            view, told: see `Pictures`.

        Raises:
            UsageError: images, labels or groups of another kind, names that are not, or a source with fewer than
                `FEWEST` images or three groups.
        """
        check_images(images)
        check_labels(labels, len(images), class_count=len(names))
        check_names(names)
        groups = near_duplicates(images) if groups is None else np.asarray(groups)
        if groups.shape != (len(images),):
            raise UsageError(f"groups must be [{len(images)}], one an image, not {list(groups.shape)}.")
        groups = np.unique(groups, return_inverse=True)[1]
        check_counts(labels, groups, names)
        return cls.of(images, labels, groups, deal(labels, groups, seed), names, view, told)

    @classmethod
    def of(
        cls,
        images: Pixels,
        labels: np.ndarray,
        groups: np.ndarray,
        splits: np.ndarray,
        names: Sequence[str],
        view: str = "shrunk",
        told: Mapping[str, Any] | None = None,
    ) -> Self:
        """Of images that are dealt: `splits`, int ``[N]``, are places in `SHARES`.

        Raises:
            UsageError: a source has no image in one of the splits.
        """
        parts = {}
        for number, name in enumerate(SHARES):
            rows = np.flatnonzero(splits == number)
            rows = rows[np.argsort(labels[rows], kind="stable")]
            if lacking := [source for k, source in enumerate(names) if k not in labels[rows]]:
                raise UsageError(
                    f"Too few different images: none of {', '.join(lacking)} is left for the {name} split. Give more."
                )
            parts[name] = Labelled(images[rows], labels[rows].astype(np.int64), groups[rows].astype(np.int64))
        return cls(tuple(names), parts, view, dict(told or {}))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The sources."""
        return self.names

    @property
    def resolution(self) -> int:
        """Side of the images in pixels."""
        return self.parts["train"].images.shape[1]

    @property
    def colour(self) -> str:
        """They are as they are."""
        return "as_is"

    @cached_property
    def hash(self) -> str:
        """Of names, pixels, labels and splits."""
        contents = [content_hash(p.images.data, p.labels.data) for p in self.parts.values()]
        return recipe_hash([self.names, self.view, contents])

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """uint8 ``[N, R, R, 3]`` and int64 ``[N]``, source by source."""
        part = self._part(name)
        return part.images, part.labels

    def groups(self, name: str) -> np.ndarray:
        """int64 ``[N]``: images of one number show the same thing."""
        return self._part(name).groups

    def only(self, count: int) -> "Pictures":
        """The first `count` sources, as they were dealt."""
        parts = {}
        for name, part in self.parts.items():
            rows = part.labels < count
            parts[name] = Labelled(part.images[rows], part.labels[rows], part.groups[rows])
        return Pictures(self.names[:count], parts, self.view, self.told)

    def _part(self, name: str) -> Labelled:
        if name not in self.parts:
            raise unknown("split", name, [*self.parts])
        return self.parts[name]


def check_names(names: Sequence[str]) -> None:
    """Refuse names of sources that would be mixed up.

    Raises:
        UsageError: there are fewer than two, one is there twice, is an answer of a judge, or cannot be printed.
    """
    if len(names) < 2:
        raise UsageError(f"An attributor tells at least two sources apart; there is {len(names)}. Give another.")
    for name in names:
        if list(names).count(name) > 1:
            raise UsageError(f"Two sources are called {name!r}. Give one of them another name.")
        if name in (UNKNOWN, UNSURE) or not name.strip() or not name.isprintable():
            raise UsageError(f"A source cannot be called {name!r}. Give it another name.")


def check_counts(labels: np.ndarray, groups: np.ndarray, names: Sequence[str]) -> None:
    """Refuse sources of which no number could mean anything.

    Args:
        labels, groups: int ``[N]``.
        names: of the labels.

    Raises:
        UsageError: a source has fewer than `FEWEST` images, or they do not differ.
    """
    for k, name in enumerate(names):
        mine = labels == k
        if mine.sum() < FEWEST:
            raise UsageError(f"The source {name!r} has {mine.sum()} images; {FEWEST} are needed at least. Give more.")
        if len(np.unique(groups[mine])) < len(SHARES):
            raise UsageError(f"All images of the source {name!r} show the same. Give others.")


def deal(labels: np.ndarray, groups: np.ndarray, seed: int) -> NDArray[np.int64]:
    """Deal images to the splits: int64 ``[N]``, places in `SHARES`; see `Pictures.dealt`.

    The largest groups are dealt first, and each goes where most is lacking. A group with images of several sources goes
    where the first of these has it go.

    Args:
        labels, groups: int ``[N]``, from 0 on.
        seed: of the order of groups of one size.
    """
    wanted = np.array([*SHARES.values()])
    split_of = np.full(groups.max() + 1, -1)
    for k in range(labels.max() + 1):
        mine, sizes = np.unique(groups[labels == k], return_counts=True)
        dealt = split_of[mine] >= 0
        given = np.bincount(split_of[mine[dealt]], sizes[dealt], minlength=len(wanted))
        left = np.random.default_rng([seed, k]).permutation(np.flatnonzero(~dealt))
        for place in left[np.argsort(-sizes[left], kind="stable")]:
            split_of[mine[place]] = split = np.argmin(given / wanted)
            given[split] += sizes[place]
    return split_of[groups]
