"""A reader's own sources: labelled images become an attributor that withstands handling and knows what it is worth.

Two trainings, one after the other: of the sources, and then on images that are handled as images are on their way
(`perturbations.HANDLING`). What its scores are worth is measured on validation images, as they are and handled.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..attacks.immunization import attacked, immunize
from ..attacks.perturbations import HANDLING
from ..attribution.attributor import Attributor
from ..attribution.networks import AttributionNetwork
from ..attribution.training import Hyperparameters, fit
from ..codehash import code_of
from ..data.duplicates import near_duplicates
from ..data.images import Pixels, check_images, check_labels
from ..data.labelled import Labelled, LabelledImages
from ..errors import UsageError, unknown
from ..provenance import content_hash, recipe_hash
from ..runtime import Fabric, computed_with, make_fabric
from ..store import named, trained
from .judging import CALIBRATION, Calibration, Judge

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
FEWEST = 20  # images of a source; with fewer a split may lack it, and no number means anything
RATE, DECAY = 0.004, 0.5  # of both trainings, see `training.Hyperparameters`: those of the book's networks


@dataclass(frozen=True, eq=False)
class Pictures(LabelledImages):
    """Labelled images in memory, dealt to three splits. Make one with `dealt`.

    Attributes:
        names: the K sources.
        parts: split to its images, labels and groups.
        view: how the images were brought to their size, see `judging.seen`.
    """

    names: tuple[str, ...]
    parts: Mapping[str, Labelled]
    view: str = "shrunk"

    @classmethod
    def dealt(
        cls,
        images: Pixels,
        labels: np.ndarray,
        names: Sequence[str],
        groups: np.ndarray | None = None,
        seed: int = 0,
        view: str = "shrunk",
    ) -> Self:
        """Deal images to the splits by `SHARES`, source by source; those of one group stay together.

        Args:
            images: uint8 ``[N, R, R, 3]``.
            labels: int ``[N]``, from 0 to K - 1.
            names: the K sources, two at least.
            groups: int ``[N]``, the same for images that show the same thing; by default what `near_duplicates` finds.
            seed: of the order in which groups are dealt.
            view: see `Pictures`.

        Raises:
            UsageError: images or labels of another kind, or a source with fewer than `FEWEST` images or three groups.
        """
        check_images(images)
        check_labels(labels, len(images), class_count=len(names))
        if len(names) < 2:
            raise UsageError(f"An attributor tells at least two sources apart; there is {len(names)}.")
        groups = near_duplicates(images) if groups is None else np.asarray(groups)
        splits = np.empty(len(images), int)
        order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
        for k, name in enumerate(names):
            mine = labels == k
            if mine.sum() < FEWEST:
                raise UsageError(f"The source {name!r} has {mine.sum()} images; {FEWEST} are needed at least.")
            if len(np.unique(groups[mine])) < len(SHARES):
                raise UsageError(f"All images of the source {name!r} show the same. Give others.")
        # A group goes to one split whichever sources it has images of: each group's place in one order of all decides.
        sizes = np.bincount(groups, minlength=len(order))[order]
        place = np.empty(len(order))
        place[order] = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
        splits = np.searchsorted(np.cumsum([*SHARES.values()])[:-1], place[groups], side="right")
        parts = {}
        for number, name in enumerate(SHARES):
            rows = np.flatnonzero(splits == number)
            rows = rows[np.argsort(labels[rows], kind="stable")]
            if lacking := [names[k] for k in range(len(names)) if k not in labels[rows]]:
                raise UsageError(f"Too few different images: the {name} split has none of {', '.join(lacking)}.")
            parts[name] = Labelled(images[rows], labels[rows].astype(np.int64), groups[rows])
        return cls(tuple(names), parts, view)

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

    @property
    def hash(self) -> str:
        """Of names, pixels, labels and splits."""
        contents = [content_hash(p.images.tobytes(), p.labels.tobytes()) for p in self.parts.values()]
        return recipe_hash([self.names, self.view, contents])

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """uint8 ``[N, R, R, 3]`` and int64 ``[N]``."""
        part = self._part(name)
        return part.images, part.labels

    def groups(self, name: str) -> np.ndarray:
        """int64 ``[N]``: images of one number show the same thing."""
        return self._part(name).groups

    def _part(self, name: str) -> Labelled:
        if name not in self.parts:
            raise unknown("split", name, [*self.parts])
        return self.parts[name]


def learn(
    corpus: LabelledImages,
    folder: Path | str,
    *,
    steps: int = 2000,
    width: float = 0.25,
    seed: int = 0,
    fabric: Fabric | None = None,
) -> Attributor:
    """An attributor of a corpus that withstands handling, with its calibration; loaded if `folder` has it.

    Args:
        corpus: of at least two sources; what is in its ``test`` split is not looked at.
        folder: where to keep what is trained.
        steps: of each of the two trainings.
        width: of the network, see `networks.AttributionNetwork`.
        seed: of both.
        fabric: device and precision; by default `runtime.make_fabric()`.

    Raises:
        UsageError: an argument is out of range.
    """
    fabric = fabric or make_fabric()
    first = Attributor.load_or_train(
        folder,
        corpus,
        fabric=fabric,
        steps=steps,
        width=width,
        seed=seed,
        emphasis=16,
        learning_rate=RATE,
        decay=DECAY,
    )
    assert first.path is not None
    return hardened(first.path, corpus, folder, steps=steps, seed=seed, fabric=fabric)


def hardened(
    start: Path | str,
    corpus: LabelledImages,
    folder: Path | str,
    *,
    steps: int = 2000,
    seed: int = 0,
    fabric: Fabric | None = None,
) -> Attributor:
    """Go on training an attributor on handled images, and measure what its scores are worth; arguments as of `learn`.

    Args:
        start: the attributor's file; it stays as it is.

    Raises:
        CheckpointError: `start` is missing, damaged or no attributor.
        UsageError: sources, size or colour of the corpus do not fit, or an argument is out of range.
    """
    fabric = fabric or make_fabric()
    made = immunize(
        start, corpus, HANDLING, folder, steps=steps, seed=seed, fabric=fabric, learning_rate=RATE, decay=DECAY
    )
    return _calibrated(made, corpus, folder, seed, fabric)


def _calibrated(made: Attributor, corpus: LabelledImages, folder: Path | str, seed: int, fabric: Fabric) -> Attributor:
    """With the calibration on the corpus's validation images, as they are and handled, and in a file of its own."""
    recipe = {"of": made.hash, "corpus": corpus.hash, "seed": seed, **code_of(Calibration.of, HANDLING.__class__)}
    path = named(folder, "calibrated", recipe).with_suffix(".safetensors")
    if not path.is_file():
        images, labels = corpus.split("validation")
        handled = attacked(corpus, HANDLING, control=made.colour, seed=seed).split("validation")[0]
        calibration = Calibration.of(made, np.concatenate([images, handled]), np.tile(labels, 2))
        told = Judge(made, calibration).calibrated
        told.provenance["view"] = getattr(corpus, "view", "shrunk")
        told.save(path)
    return Attributor.load(path, fabric=fabric)


def add_source(
    attributor: Attributor,
    corpus: LabelledImages,
    folder: Path | str,
    *,
    steps: int = 500,
    seed: int = 0,
    fabric: Fabric | None = None,
) -> Attributor:
    """An attributor that knows more sources than `attributor` does, and has not forgotten the old ones.

    It starts with the weights of the old one and a fingerprint of nothing for each new source, and goes on training on
    handled images of all, old and new.

    Args:
        attributor: stays as it is.
        corpus: images of all sources, those of `attributor` first and in its order; its size and colour.
        folder, steps, seed, fabric: see `learn`.

    Raises:
        UsageError: the corpus does not fit, or has no new source.
    """
    fabric = fabric or make_fabric()
    attributor.check_fits(corpus, "resolution")
    old, names = attributor.class_names, tuple(corpus.class_names)
    if names[: len(old)] != old or len(names) == len(old):
        raise UsageError(f"The corpus must have {', '.join(old)} and new sources behind them, not {', '.join(names)}.")
    settings = {"steps": steps, "seed": seed, "learning_rate": RATE / 2, "decay": 1.0}
    recipe = {
        "start": attributor.hash,
        "corpus": corpus.hash,
        "settings": settings,
        **code_of(add_source, *Attributor.code, HANDLING.__class__),
        **computed_with(fabric),
    }

    def augment(drawn: Tensor, generator: torch.Generator) -> Tensor:
        return HANDLING(drawn, generator)

    def train(checkpoint: Path) -> Attributor:
        network = _widened(attributor.network, len(names))
        history = fit(
            network,
            corpus.split("train"),
            attacked(corpus, HANDLING, control=attributor.colour, seed=seed).split("validation"),
            Hyperparameters(evaluate_every=max(1, steps // 5), **settings),  # type: ignore[arg-type]
            checkpoint=checkpoint,
            augment=augment,
            recipe=recipe,
            fabric=fabric,
            description=f"learning {', '.join(names[len(old) :])}",
        )
        told = {"recipe": recipe, "history": history, "seconds": history[-1]["seconds"]}
        provenance = {**attributor.provenance, **told, "start": attributor.provenance["recipe"]}
        provenance.pop(CALIBRATION, None)
        return Attributor(network, names, attributor.colour, provenance, fabric)

    made = trained(
        folder,
        "widened",
        recipe,
        train=train,
        save=Attributor.save,
        load=lambda path: Attributor.load(path, fabric=fabric),
        fabric=fabric,
    )
    return _calibrated(made, corpus, folder, seed, fabric)


def _widened(network: AttributionNetwork, class_count: int) -> AttributionNetwork:
    """The same network with more classes; the new ones' fingerprints and biases are those of no class in particular."""
    options = {name: getattr(network, name) for name in Attributor.options}
    wider = AttributionNetwork(class_count, network.resolution, **options)
    weights = copy.deepcopy(network.state_dict())
    for name, value in wider.state_dict().items():
        if weights[name].shape != value.shape:  # the classifier's: a row a class
            mean = weights[name].mean(0, keepdim=True)
            more = mean.expand(class_count - len(weights[name]), *mean.shape[1:])
            weights[name] = torch.cat([weights[name], more])
    wider.load_state_dict(weights)
    return wider


class SourceEstimator(ClassifierMixin, BaseEstimator):
    """The same with the manners of scikit-learn: ``SourceEstimator().fit(images, labels).predict(others)``.

    Args:
        folder: where to keep what is trained, so that the same images are not learned from twice.
        steps, width, seed: see `learn`.

    Attributes:
        classes_: after `fit`, the K labels, in ascending order.
        judge_: after `fit`, the `judging.Judge` that says more than a label.
    """

    def __init__(self, folder: Path | str = "learned", steps: int = 2000, width: float = 0.25, seed: int = 0):
        self.folder, self.steps, self.width, self.seed = folder, steps, width, seed

    def fit(self, images: Pixels, labels: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """Learn from images; some of them are kept back to choose and to calibrate by.

        Args:
            images: uint8 ``[N, R, R, 3]``, R a power of two.
            labels: ``[N]``, numbers or words.
            groups: see `Pictures.dealt`.

        Raises:
            UsageError: see `Pictures.dealt`.
        """
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        names = [str(label) for label in self.classes_]
        pictures = Pictures.dealt(images, numbers, names, groups, self.seed)
        made = learn(pictures, self.folder, steps=self.steps, width=self.width, seed=self.seed)
        self.judge_ = Judge.of(made)
        return self

    def predict(self, images: Pixels) -> np.ndarray:
        """The label of the likeliest source of each of the uint8 images ``[N, R, R, 3]``."""
        return self.classes_[self.predict_proba(images).argmax(1)]

    def predict_proba(self, images: Pixels) -> np.ndarray:
        """Calibrated probabilities, float64 ``[N, K]``, in the order of `classes_`."""
        check_is_fitted(self, "judge_")
        return self.judge_.probabilities(images)
