"""A reader's own sources: labelled images become an attributor that withstands handling and knows what it is worth.

Two trainings, one after the other: of the sources, and then on images that are handled as images are on their way
(`perturbations.HANDLING`). What its scores are worth is measured on validation images, as they are and handled.
"""

import copy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ..attacks.immunization import attacked, immunize
from ..attacks.perturbations import HANDLING
from ..attribution.attributor import Attributor
from ..attribution.networks import AttributionNetwork
from ..codehash import code_of
from ..data.images import Pixels
from ..data.labelled import LabelledImages
from ..errors import UsageError
from ..runtime import Fabric, make_fabric
from ..store import named
from .calibrating import Calibration
from .judging import CALIBRATION, Judge
from .pictures import Pictures

RATE, DECAY = 0.004, 0.5  # of both trainings, see `training.Hyperparameters`: those of the book's networks
LOST = 0.005  # of the accuracy on old sources, in favour of new ones


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
    learning_rate: float = RATE,
    decay: float = DECAY,
    fabric: Fabric | None = None,
) -> Attributor:
    """Go on training an attributor on handled images, and measure what its scores are worth; arguments as of `learn`.

    Args:
        start: the attributor's file; it stays as it is.
        learning_rate, decay: see `training.Hyperparameters`.

    Raises:
        CheckpointError: `start` is missing, damaged or no attributor.
        UsageError: sources, size or colour of the corpus do not fit, or an argument is out of range.
    """
    fabric = fabric or make_fabric()
    made = immunize(
        start,
        corpus,
        HANDLING,
        folder,
        steps=steps,
        seed=seed,
        learning_rate=learning_rate,
        decay=decay,
        fabric=fabric,
    )
    return _calibrated(made, corpus, folder, seed)


def _calibrated(made: Attributor, corpus: LabelledImages, folder: Path | str, seed: int) -> Attributor:
    """With what its scores are worth; loaded if `folder` has it."""
    # The calibration is kept in a file of its own. What the corpus tells of itself may change while its images do not.
    told = {"view": "shrunk", **(corpus.told if isinstance(corpus, Pictures) else {})}
    recipe = {"of": made.hash, "corpus": corpus.hash, "told": told, "seed": seed}
    path = named(folder, "calibrated", {**recipe, **code_of(Calibration.of, type(HANDLING))}).with_suffix(
        ".safetensors"
    )
    if not path.is_file():
        judge = Judge(replace(made, provenance={**made.provenance, **told}), _calibration(made, corpus, seed))
        judge.calibrated.save(path)
    return Attributor.load(path, fabric=made.fabric)


def _calibration(made: Attributor, corpus: LabelledImages, seed: int) -> Calibration:
    images, labels = corpus.split("validation")
    handled = attacked(corpus, HANDLING, control=made.colour, seed=seed).split("validation")[0]
    return Calibration.of(made, images, labels, handled=handled, groups=corpus.groups("validation"))


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
    handled images of all, old and new. Where a new source is hard to tell from an old one, the old one comes first: the
    new one's scores are lowered by as little as it takes for the old ones to lose no more than `LOST` on validation
    images.

    Args:
        attributor: calibrated; it stays as it is.
        corpus: images as they are of all sources, those of `attributor` first and in its order.
        folder, steps, seed, fabric: see `learn`.

    Raises:
        UsageError: the corpus does not fit, or has no new source, or the attributor was never calibrated.
    """
    fabric, before = fabric or make_fabric(), Judge.of(attributor)
    attributor.check_fits(corpus, "resolution")
    old, names = attributor.class_names, tuple(corpus.class_names)
    if names[: len(old)] != old or len(names) == len(old):
        raise UsageError(f"The corpus must have {', '.join(old)} and new sources behind them, not {', '.join(names)}.")
    start = named(folder, "widened", [attributor.hash, names]).with_suffix(".safetensors")
    provenance = {key: value for key, value in attributor.provenance.items() if key != CALIBRATION}
    wider = Attributor(_widened(attributor.network, len(names)), names, attributor.colour, provenance)
    wider.save(start)
    made = immunize(
        start, corpus, HANDLING, folder, steps=steps, learning_rate=RATE / 2, decay=1.0, seed=seed, fabric=fabric
    )
    made = _calibrated(_deferring(before, made, corpus, seed), corpus, folder, seed)
    folders = {**attributor.provenance.get("folders", {}), **made.provenance.get("folders", {})}
    return replace(made, provenance={**made.provenance, "folders": folders})


def _deferring(before: Judge, made: Attributor, corpus: LabelledImages, seed: int) -> Attributor:
    """What was made of an attributor, its new sources' scores lowered so far that no more than `LOST` is lost."""
    images, labels = corpus.split("validation")
    count = len(before.class_names)
    images, labels = images[labels < count], labels[labels < count]
    calibration = _calibration(made, corpus, seed)
    old, new = np.split(Judge(made, calibration).scores(images), [count], axis=1)
    right, lead = old.argmax(1) == labels, new.max(1) - old.max(1)
    wanted = np.mean(before.scores(images).argmax(1) == labels) - LOST
    steps = [0.0, *np.sort(lead[lead > 0]) + 1e-3]  # rounding is far below that
    enough = [by for by in steps if np.mean(right & (lead <= by)) >= wanted]
    if not enough or not enough[0]:
        return made  # nothing is lost, or nothing can be done so
    network = copy.deepcopy(made.network)
    with torch.no_grad():
        network.classifier.bias[count:] -= enough[0] * calibration.temperature
    provenance = {**made.provenance, "lowered": float(enough[0])}
    return Attributor(network, made.class_names, made.colour, provenance, made.fabric)


def _widened(network: AttributionNetwork, class_count: int) -> AttributionNetwork:
    """The same network with more classes; the new ones' fingerprints and biases are those of no class in particular."""
    options = {name: getattr(network, name) for name in Attributor.options}
    wider = AttributionNetwork(class_count, network.resolution, **options)
    weights = dict(network.state_dict())
    for name, value in wider.state_dict().items():
        if weights[name].shape != value.shape:  # the classifier's: a row a class
            mean = weights[name].mean(0, keepdim=True)
            weights[name] = torch.cat([weights[name], *[mean] * (class_count - len(weights[name]))])
    wider.load_state_dict(weights)
    return wider


class SourceEstimator(ClassifierMixin, BaseEstimator):
    """The same with the manners of scikit-learn: ``SourceEstimator().fit(images, labels).predict(others)``.

    Args:
        steps, width, seed: see `learn`.
        folder: where to keep what is trained, so that the same images are not learned from twice; by default nowhere.

    Attributes:
        classes_: after `fit`, the K labels, in ascending order.
        judge_: after `fit`, the `judging.Judge` that says more than a label.
    """

    def __init__(self, steps: int = 2000, width: float = 0.25, seed: int = 0, folder: Path | str | None = None):
        self.steps, self.width, self.seed, self.folder = steps, width, seed, folder

    def fit(self, images: Pixels, labels: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """Learn from images; some of them are kept back to choose and to calibrate by.

        Args:
            images: uint8 ``[N, R, R, 3]``, R a power of two.
            labels: ``[N]``, numbers or words.
            groups: see `Pictures.dealt`.

        Raises:
            UsageError: see `Pictures.dealt`.
        """
        classes, numbers = np.unique(labels, return_inverse=True)
        pictures = Pictures.dealt(images, numbers, [str(label) for label in classes], groups, self.seed)
        with TemporaryDirectory(prefix="fingerprints-") as temporary:
            made = learn(pictures, self.folder or temporary, steps=self.steps, width=self.width, seed=self.seed)
        self.classes_, self.judge_ = classes, Judge.of(made)
        return self

    def predict(self, images: Pixels) -> np.ndarray:
        """The label of the likeliest source of each of the uint8 images ``[N, R, R, 3]``."""
        check_is_fitted(self, "judge_")
        return self.classes_[self.predict_proba(images).argmax(1)]

    def predict_proba(self, images: Pixels) -> np.ndarray:
        """Calibrated probabilities, float64 ``[N, K]``, in the order of `classes_`."""
        check_is_fitted(self, "judge_")
        return self.judge_.probabilities(images)
