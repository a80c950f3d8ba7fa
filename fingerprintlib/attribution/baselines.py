"""What the attribution network is compared with: simpler classifiers, each an estimator of scikit-learn.

They are used as any: ``fit(images, labels, validation)``, ``predict(images)``, ``score(images, labels)``, `clone`, with
uint8 images ``[N, H, W, 3]`` and integer labels ``[N]``. What a method leaves open is chosen by accuracy on the
validation images, from which nothing else is learned. Threads are those of the linear algebra; no jobs run beside them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Self, TypeVar

import numpy as np
from scipy.stats import mode
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

from ..data.images import check_images, check_labels
from ..errors import UsageError
from ..progress import progress
from ..runtime import in_parallel
from . import prnu
from .kernel_ridge import gaussian_ridges
from .ridge import ridges
from .spectra import block_statistics, log_dct, radial_spectra

Labelled = tuple[np.ndarray, np.ndarray]
Candidate = tuple[dict[str, Any], Any, np.ndarray]  # settings, fitted estimator, its answers to the validation images
Key = TypeVar("Key")
CHUNK = 256
# A feature whose spread is this part of the largest one's, or less, is constant but for rounding: the mean brightness
# is, under a colour control. Scaled to unit spread it would drown all others as soon as an image is touched.
ROUNDING = 1e-5


class Baseline(ClassifierMixin, BaseEstimator, ABC):
    """The checks that all have in common.

    Attributes:
        classes_: after `fit`, the K labels, in ascending order.
        chosen_: after `fit`, the settings that were chosen and their ``accuracy`` on the validation images, in [0, 1];
            empty where there is nothing to choose.
        tried_: after `fit`, all settings that were tried, each like `chosen_`.
    """

    def fit(self, images: np.ndarray, labels: np.ndarray, validation: Labelled | None = None) -> Self:
        """Learn from images and labels.

        Args:
            images: uint8 ``[N, H, W, 3]``; may be memory-mapped.
            labels: int ``[N]``, at least two classes; one image of each will do, though not well.
            validation: images and labels likewise, to choose settings by. Methods without settings ignore it.

        Raises:
            UsageError: an argument is of another kind, all labels are the same, or there is nothing to choose by.
        """
        check_images(images)
        check_labels(labels, len(images))
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise UsageError("labels must hold at least two classes; they are all the same.")
        if validation is not None:
            check_images(validation[0], "validation images")
            check_labels(validation[1], len(validation[0]), "validation labels")
            _check_size(validation[0], images.shape[1:], "validation images")
        self.tried_: list[dict[str, Any]] = []
        self.chosen_: dict[str, Any] = {}
        self._fit(images, labels, validation)
        self.image_shape_ = images.shape[1:]  # last: what failed half-way is not fitted
        return self

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The label of each of the uint8 images ``[N, H, W, 3]``, int64 ``[N]``.

        Raises:
            UsageError: images of another kind, or of another size than in `fit`.
            NotFittedError: `fit` was not called.
        """
        self._check_fitted(images)
        return self._predict(images).astype(np.int64)

    def _check_fitted(self, images: np.ndarray) -> None:
        check_is_fitted(self, "image_shape_")
        check_images(images)
        _check_size(images, self.image_shape_, "images")

    @abstractmethod
    def _fit(self, images: np.ndarray, labels: np.ndarray, validation: Labelled | None) -> None: ...

    @abstractmethod
    def _predict(self, images: np.ndarray) -> np.ndarray: ...


def _check_size(images: np.ndarray, shape: Sequence[int], name: str) -> None:
    if images.shape[1:] != tuple(shape):
        raise UsageError(
            f"{name} are {images.shape[1]}x{images.shape[2]}, those to learn from {shape[0]}x{shape[1]}. "
            "Crop or resize them alike."
        )


class Searched(Baseline):
    """A baseline with settings: of all candidates the first that does best on the validation images is kept.

    A GridSearchCV with a PredefinedSplit would copy the features for each candidate, fit the best one twice, and look
    for neighbours anew for each number of them.
    """

    def _fit(self, images: np.ndarray, labels: np.ndarray, validation: Labelled | None) -> None:
        if validation is None:
            raise UsageError(f"{type(self).__name__} has settings to choose. Pass validation=(images, labels) to fit.")
        features, labels = self._learn_features(images, labels)
        seen, answers = self._features(validation[0]), validation[1]
        for settings, model, predictions in self._candidates(features, labels, seen):
            entry = {**settings, "accuracy": float(np.mean(predictions == answers))}
            self.tried_.append(entry)
            if not self.chosen_ or entry["accuracy"] > self.chosen_["accuracy"]:
                self.chosen_, self.model_ = entry, model

    def _predict(self, images: np.ndarray) -> np.ndarray:
        return self.model_.predict(self._features(images))

    def decision_function(self, images: np.ndarray) -> np.ndarray:
        """Of two classes, how much likelier the second is, float64 ``[N]``; of more, the scores of each, ``[N, K]``.

        Raises:
            UsageError: see `predict`.
            AttributeError: the method has no scores: nearest neighbours vote.
        """
        self._check_fitted(images)
        scores = self.model_.decision_function(self._features(images))
        return scores[:, 1] - scores[:, 0] if scores.shape[1:] == (2,) else scores  # one with kernels scores both

    @abstractmethod
    def _learn_features(self, images: np.ndarray, labels: np.ndarray) -> Labelled:
        """Learn whatever `_features` needs; what to learn from: features ``[N, D]`` and labels ``[N]``."""

    @abstractmethod
    def _features(self, images: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _candidates(self, features: np.ndarray, labels: np.ndarray, seen: np.ndarray) -> Iterator[Candidate]:
        """Fitted estimators, the simpler first; `seen` are the features of the validation images."""


class NearestNeighbours(Searched):
    """k nearest neighbours on raw pixels, by Euclidean distance.

    Args:
        images: most images to look for neighbours among, drawn at random, as many of each class as there are; at least
            one a class. They are held in memory as float32.
        seed: of the draw.
    """

    neighbours = (1, 3, 5, 9, 15, 25)  # values of k to try; those above the number of images are left out

    def __init__(self, images: int = 10_000, seed: int = 0):
        self.images, self.seed = images, seed

    def _learn_features(self, images: np.ndarray, labels: np.ndarray) -> Labelled:
        drawn = drawn_evenly(labels, self.images, self.seed)
        self._grey = _all_grey(images)
        return np.concatenate([_pixels(images[some], self._grey) for some in _chunks(drawn)]), labels[drawn]

    def _features(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([_pixels(some, self._grey) for some in _chunks(images)])

    def _candidates(self, features: np.ndarray, labels: np.ndarray, seen: np.ndarray) -> Iterator[Candidate]:
        counts = [k for k in self.neighbours if k <= len(features)]
        index = KNeighborsClassifier(max(counts), algorithm="brute").fit(features, labels)
        found = labels[index.kneighbors(seen, return_distance=False)]  # [M, k], nearest first: searched only once
        for k in counts:
            yield {"k": k}, copy(index).set_params(n_neighbors=k), mode(found[:, :k], axis=1).mode


class Eigenface(Searched):
    """Principal components of the pixels (Turk and Pentland 1991), and logistic regression on them.

    The components are found once, by a randomized decomposition, and cut where they hold a part of the variance.

    Args:
        components: most components to find, at least 1; where they hold less than a wanted part, all of them are used.
        seed: of the draw of images to find them on, and of the decomposition.
    """

    variances = (0.25, 0.5, 0.75, 0.95)  # parts of the variance to try
    costs = (1e-2, 1e-1, 1.0)  # values of C to try, the inverse of the L2 penalty; the components have unit variance
    images = 10_000  # most images to find the components on

    def __init__(self, components: int = 256, seed: int = 0):
        self.components, self.seed = components, seed

    def _learn_features(self, images: np.ndarray, labels: np.ndarray) -> Labelled:
        if self.components < 1:
            raise UsageError(f"components must be at least 1, not {self.components}.")
        self._grey = _all_grey(images)
        drawn = drawn_evenly(labels, self.images, self.seed)
        pixels = np.concatenate([_pixels(images[some], self._grey) for some in _chunks(drawn)])
        if not np.ptp(pixels, axis=0).any():
            raise UsageError("images are all the same; Eigenface finds nothing in them. Give images that differ.")
        count = min(self.components, *pixels.shape)
        # Two iterations do: the variances of photographs' components fall off steeply.
        self._pca = PCA(count, whiten=True, svd_solver="randomized", iterated_power=2, random_state=self.seed)
        self._pca.fit(pixels)
        variances = self._pca.explained_variance_
        self._kept = int(np.sum(variances > ROUNDING**2 * variances[0]))  # they fall off
        return self._features(images), labels

    def _features(self, images: np.ndarray) -> np.ndarray:
        found = [self._pca.transform(_pixels(some, self._grey))[:, : self._kept] for some in _chunks(images)]
        return np.concatenate(found)

    def _candidates(self, features: np.ndarray, labels: np.ndarray, seen: np.ndarray) -> Iterator[Candidate]:
        held = np.cumsum(self._pca.explained_variance_ratio_[: self._kept], dtype=np.float64)
        counts = [min(int(np.searchsorted(held, variance)) + 1, len(held)) for variance in self.variances]
        for count in dict.fromkeys(counts):  # where components run out, two parts of the variance are one
            for cost in self.costs:
                cut = make_column_transformer(("passthrough", slice(count)))
                model = make_pipeline(cut, LogisticRegression(C=cost, max_iter=500)).fit(features, labels)
                settings = {"components": count, "variance": float(held[count - 1]), "C": cost}
                yield settings, model, model.predict(seen)


class PRNU(Baseline):
    """The pattern of each source's residuals, and the highest normalized correlation with it: see `prnu`.

    A constant image leaves no residual, so it correlates with nothing; it gets the first label.

    Args:
        zero_mean, wiener: post-process residuals and patterns as camera forensics does, see
            `prnu.camera_postprocessing`. Marra et al. do neither.

    Attributes:
        patterns_: after `fit`, one a label, before post-processing, float32 ``[K, H, W, 3]`` on the scale 0..255.
    """

    def __init__(self, zero_mean: bool = False, wiener: bool = False):
        self.zero_mean, self.wiener = zero_mean, wiener

    def _fit(self, images: np.ndarray, labels: np.ndarray, validation: Labelled | None) -> None:
        places = np.searchsorted(self.classes_, labels)
        self.patterns_ = prnu.mean_residuals(images, places, len(self.classes_))
        for label, pattern in zip(self.classes_, self.patterns_, strict=True):
            if pattern.std() <= prnu.FAINT:
                raise UsageError(f"images of label {label} leave no residual: they are constant. Give others.")

    def with_postprocessing(self, zero_mean: bool, wiener: bool) -> "PRNU":
        """This fitted PRNU with the switches set so; it learns nothing anew."""
        return copy(self).set_params(zero_mean=zero_mean, wiener=wiener)

    def correlations(self, images: np.ndarray) -> np.ndarray:
        """Of the residuals of uint8 images ``[N, H, W, 3]`` with the patterns: float32 ``[N, K]`` in [-1, 1].

        Raises:
            UsageError: images of another kind, or of another size than in `fit`.
            NotFittedError: `fit` was not called.
        """
        self._check_fitted(images)
        patterns = self._postprocessed(self.patterns_)
        found = np.empty((len(images), len(patterns)), np.float32)
        with progress(len(images), "correlating", "images") as bar:
            for where, some in prnu.batches(images):
                found[where] = prnu.correlations(self._postprocessed(some), patterns)
                bar.update(len(some))
        return found

    def _postprocessed(self, some: np.ndarray) -> np.ndarray:
        return prnu.camera_postprocessing(some, self.zero_mean, self.wiener) if self.zero_mean or self.wiener else some

    def _predict(self, images: np.ndarray) -> np.ndarray:
        return self.classes_[self.correlations(images).argmax(1)]


class LogDCT(Searched):
    """Ridge regression on the standardized logarithms of the luma's cosine transform (Frank et al., arXiv 2003.08685).

    It has no parameters.
    """

    penalties = (1e5, 1e4, 1e3)  # strengths of the regression's L2 penalty to try

    def _learn_features(self, images: np.ndarray, labels: np.ndarray) -> Labelled:
        self._scaler = StandardScaler(copy=False)
        features = log_dct(images).reshape(len(images), -1)
        for some in _chunks(features):  # at once it would compute on a float64 copy
            self._scaler.partial_fit(some)
        _leave_constants(self._scaler)
        return self._scaler.transform(features), labels

    def _features(self, images: np.ndarray) -> np.ndarray:
        return self._scaler.transform(log_dct(images).reshape(len(images), -1))

    def _candidates(self, features: np.ndarray, labels: np.ndarray, seen: np.ndarray) -> Iterator[Candidate]:
        for penalty, model in zip(self.penalties, ridges(features, labels, self.penalties), strict=True):
            yield {"penalty": penalty}, model, model.predict(seen)


class BlockDCT(Searched):
    """Ridge regression on standardized `block_statistics`, after Giudice et al. (arXiv 2101.09781).

    Where a fingerprint is what a generator does to any small block of pixels, it tells more than `LogDCT`, which sees
    the image as one block.

    Args:
        kernels: whether to try a Gaussian kernel, too. It weighs statistics together, where the linear regression adds
            them up, and takes the square of the number of images.
    """

    penalties = (1e4, 1e3, 1e2)  # strengths of the linear regression's L2 penalty to try
    gaussian_penalties = (1.0, 0.3, 0.1)  # and of that with kernels

    def __init__(self, kernels: bool = False):
        self.kernels = kernels

    def _learn_features(self, images: np.ndarray, labels: np.ndarray) -> Labelled:
        self._scaler = StandardScaler()
        features = block_statistics(images)
        self._scaler.fit(features)
        _leave_constants(self._scaler)
        return self._scaler.transform(features), labels

    def _features(self, images: np.ndarray) -> np.ndarray:
        return self._scaler.transform(block_statistics(images))

    def _candidates(self, features: np.ndarray, labels: np.ndarray, seen: np.ndarray) -> Iterator[Candidate]:
        for penalty, model in zip(self.penalties, ridges(features.copy(), labels, self.penalties), strict=True):
            yield {"kernel": "linear", "penalty": penalty}, model, model.predict(seen)
        for model in gaussian_ridges(features, labels, self.gaussian_penalties) if self.kernels else ():
            yield {"kernel": "Gaussian", "penalty": model.penalty}, model, model.predict(seen)


class RadialSpectrum(Searched):
    """A support vector machine on the standardized radial spectrum (Durall et al., arXiv 2003.01826).

    Args:
        images: most images to learn from, drawn at random, as many of each class as there are; at least one a class.
            The time grows with their square.
        seed: of the draw.
    """

    costs = (1.0, 10.0, 100.0)  # values of C to try

    def __init__(self, images: int = 5000, seed: int = 0):
        self.images, self.seed = images, seed

    def _learn_features(self, images: np.ndarray, labels: np.ndarray) -> Labelled:
        drawn = drawn_evenly(labels, self.images, self.seed)
        features = np.concatenate([radial_spectra(images[some]) for some in _chunks(drawn)])
        self._scaler = StandardScaler().fit(features)
        _leave_constants(self._scaler)
        return self._scaler.transform(features), labels[drawn]

    def _features(self, images: np.ndarray) -> np.ndarray:
        return self._scaler.transform(radial_spectra(images))

    def _candidates(self, features: np.ndarray, labels: np.ndarray, seen: np.ndarray) -> Iterator[Candidate]:
        for cost in self.costs:
            model = SVC(C=cost).fit(features, labels)
            yield {"C": cost}, model, model.predict(seen)


class Together(Baseline):
    """Several methods judged as one: a logistic regression on their scores, learned from the validation images.

    Args:
        methods: baselines that have a ``decision_function``; copies of them are fitted.
    """

    def __init__(self, methods: Sequence[Any]):
        self.methods = methods

    def _fit(self, images: np.ndarray, labels: np.ndarray, validation: Labelled | None) -> None:
        if validation is None:
            raise UsageError("Together learns what its methods are worth. Pass validation=(images, labels) to fit.")
        self.fitted_ = [clone(method).fit(images, labels, validation) for method in self.methods]
        self.model_ = make_pipeline(StandardScaler(), LogisticRegression()).fit(
            self._features(validation[0]), validation[1]
        )

    def _features(self, images: np.ndarray) -> np.ndarray:
        scores = [method.decision_function(images) for method in self.fitted_]
        return np.hstack([some.reshape(len(images), -1) for some in scores])

    def _predict(self, images: np.ndarray) -> np.ndarray:
        return self.model_.predict(self._features(images))


def fit_all(calls: Mapping[Key, Sequence[Any]]) -> dict[Key, Any]:
    """Fitted copies of methods by the same keys, several of them fitted at a time: see `runtime.in_parallel`.

    Args:
        calls: key to a method and what its ``fit`` is given: images, labels and, if it needs them, validation. A method
            may be named more than once, for other images.
    """
    fitted = in_parallel(_fitted, [{"method": method, "given": given} for method, *given in calls.values()])
    return dict(zip(calls, fitted, strict=True))


def _fitted(method: Baseline, given: Sequence[Any]) -> Baseline:
    return clone(method).fit(*given)


def _leave_constants(scaler: Any) -> None:
    """Have a fitted StandardScaler shift what is constant but for `ROUNDING`, and not scale it."""
    scaler.scale_[scaler.scale_ <= ROUNDING * scaler.scale_.max()] = 1


def drawn_evenly(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The positions of `count` images (or all), drawn at random, as many of each class as there are."""
    classes = np.unique(labels)
    if count < len(classes):
        raise UsageError(f"images must be at least one for each of the {len(classes)} classes, not {count}.")
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)  # an image's place among those of its class
    for label in classes:
        mine = order[labels[order] == label]
        turn[mine] = np.arange(len(mine))
    return np.sort(order[np.argsort(turn[order], kind="stable")][:count])


def _chunks(some: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(some), CHUNK):
        yield some[start : start + CHUNK]


def _all_grey(images: np.ndarray) -> bool:
    return all(bool((some == some[..., :1]).all()) for some in _chunks(images))


def _pixels(images: np.ndarray, grey: bool) -> np.ndarray:
    """float32 ``[n, D]`` in [0, 1].

    Where all that is learned from is grey, the mean of the channels does: colours add the same to all distances from
    grey images and nothing to grey components.
    """
    pixels = images.mean(-1, dtype=np.float32) if grey else images.astype(np.float32)
    return pixels.reshape(len(images), -1) / 255
