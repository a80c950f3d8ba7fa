"""Attribution: which source does an image come from?

An `Attributor` is the trained thing that answers: network, class names, preprocessing and provenance, saved together as
one safetensors file, so that no answer can be read against the wrong list of names.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from inspect import signature
from pathlib import Path
from platform import python_version
from typing import Any, ClassVar, Generic, Self, TypedDict, TypeVar, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from .. import __version__
from ..checkpoints import CheckpointError, load_checkpoint, narrowed, save_checkpoint, tensors_hash, widened
from ..codehash import code_of
from ..data.images import COLOURS, check_images, check_labels, coloured
from ..data.labelled import LabelledImages
from ..errors import UsageError, unknown
from ..runtime import Fabric, computed_with, make_fabric
from ..statistics.metrics import Report
from ..store import trained
from .networks import AttributionNetwork
from .remembered import once
from .training import Hyperparameters, Objective, apply, fit


class Settings(TypedDict, total=False):
    """What a training may be told.

    Attributes:
        steps: number of weight updates, 2000 by default.
        width: of the network; 1 is the paper, the default of 1/4 is enough for 64x64.
        batch_size: images a step, 32 by default.
        learning_rate: of Adam, 1e-3 by default.
        decay: the last part of the steps, in which the learning rate falls to nothing, 0 by default.
        evaluate_every: steps between evaluations, by default a tenth of `steps` or more, see
            `training.Hyperparameters`.
        seed: of the initial weights, the order and the flips, 0 by default.
        band, factor, pool_from, order, emphasis: of an attribution network, see `networks.AttributionNetwork`.
        correlation: of a visualization network, a name in `visualization_network.CORRELATIONS`.
    """

    steps: int
    width: float
    batch_size: int
    learning_rate: float
    decay: float
    evaluate_every: int | None
    seed: int
    band: str
    factor: int
    pool_from: int
    order: str
    emphasis: float
    correlation: str


Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class SourceClassifier(Generic[Network]):
    """A trained network that names sources, with all that is needed to use it and to know where it comes from.

    What an `Attributor` and a `visualizer.Visualizer` have in common: training once for each recipe, the one file,
    judging images. Each says what its network is and what may be set.

    Attributes:
        kind: of the file, and the first word of its name.
        network_type: makes the network from `class_count`, `resolution`, its `options` and a `seed`.
        options: the attributes of the network that its file has to tell besides those.
        code: what decides the weights: functions and classes.
        network: in evaluation mode.
        class_names: the K sources; prediction k means the k-th.
        colour: one of `images.COLOURS`; every image is put under that colour control before it is judged. One that has
            been under it stays as it is, so nobody has to say which kind is given.
        provenance: JSON-able: recipe, history, seconds, versions, device.
        given_fabric: see `fabric`.
        path: the file that it was loaded from.
    """

    kind: ClassVar[str]
    network_type: ClassVar[Callable[..., Any]]
    options: ClassVar[tuple[str, ...]]
    code: ClassVar[tuple[Callable[..., Any], ...]]

    network: Network
    class_names: tuple[str, ...]
    colour: str
    provenance: dict[str, Any]
    given_fabric: Fabric | None = field(default=None, repr=False)
    path: Path | None = None

    @cached_property
    def fabric(self) -> Fabric:
        """Device and precision to judge with: those given, or else launched when first needed."""
        return self.given_fabric or make_fabric()

    @property
    def resolution(self) -> int:
        """Side of the images that it judges."""
        return int(self.network.resolution)  # type: ignore[arg-type]

    @property
    def history(self) -> list[dict[str, float]]:
        """How the training went, as `training.fit` gives it."""
        return self.provenance["history"]

    @property
    def hash(self) -> str:
        """Of the weights."""
        return tensors_hash(self.network.state_dict())

    @property
    def steps(self) -> int:
        """How long the training was, in steps."""
        return int(self.history[-1]["step"])

    @property
    def learned_from(self) -> int:
        """How many training images of each source it learned from."""
        return int(self.provenance["images"])

    @property
    def seconds(self) -> float:
        """How long the training took by the clock, evaluations included, also when it was loaded just now."""
        return self.provenance["seconds"]

    @classmethod
    def load_or_train(
        cls,
        folder: Path | str,
        corpus: LabelledImages,
        *,
        fabric: Fabric | None = None,
        **settings: Unpack[Settings],
    ) -> Self:
        """Loaded if `folder` has it, else trained (or trained further, after a kill) and saved there.

        It learns from the corpus's ``train`` split, and is chosen by its ``validation`` split. The file's name holds
        the hash of corpus, settings, precision, training code and package versions, so one that is found is never
        stale. While another process trains the same, this one waits. Several: `store.get_all`.

        Args:
            folder: where it is kept.
            corpus: labelled images of at least two sources; its colour becomes this one's.
            fabric: device and precision; by default `runtime.make_fabric()`.
            settings: see `Settings`.

        Raises:
            UsageError: an argument is out of range.
        """
        fabric = fabric or make_fabric()
        complete = cls._complete(corpus, **settings)
        recipe = cls._recipe(corpus, complete, fabric)
        return trained(
            folder,
            cls.kind,
            recipe,
            train=lambda checkpoint: cls._train(corpus, complete, recipe, checkpoint, fabric),
            save=cls.save,
            load=lambda path: cls.load(path, fabric=fabric),
            fabric=fabric,
        )

    @classmethod
    def _complete(
        cls,
        corpus: LabelledImages,
        *,
        steps: int = 2000,
        width: float = 0.25,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        decay: float = 0.0,
        evaluate_every: int | None = None,
        seed: int = 0,
        **options: Any,
    ) -> dict[str, Any]:
        """The network's arguments and the `training.Hyperparameters`, as the settings and the corpus decide."""
        parameters = signature(cls.network_type).parameters
        known = {name: parameters[name].default for name in cls.options} | {"width": width}
        for name in options.keys() - known.keys():
            raise unknown("setting", name, list(Settings.__annotations__), f"the {cls.kind}")
        return {
            "network": {
                "class_count": len(corpus.class_names),
                "resolution": corpus.resolution,
                "seed": seed,
                **known,
                **options,
            },
            "training": {
                "steps": steps,
                "batch_size": batch_size,
                "learning_rate": learning_rate,
                "decay": decay,
                "evaluate_every": evaluate_every,
                "seed": seed,
            },
        }

    @classmethod
    def _objective(cls, network: Network, settings: Mapping[str, Any], fabric: Fabric) -> Objective | None:
        """What its training minimizes; None is the cross-entropy."""
        return None

    @classmethod
    def _recipe(cls, corpus: LabelledImages, settings: dict[str, Any], fabric: Fabric) -> dict[str, Any]:
        """All that decides the weights."""
        names = list(corpus.class_names)
        data = {"corpus": corpus.hash, "class_names": names, "colour": corpus.colour}
        return {**data, **code_of(*cls.code), **computed_with(fabric), "settings": settings}

    @classmethod
    def _train(
        cls,
        corpus: LabelledImages,
        settings: dict[str, Any],
        recipe: dict[str, Any],
        checkpoint: Path,
        fabric: Fabric,
    ) -> Self:
        # Nothing that shapes the weights is decided here: it is all in the settings, and those are in the recipe.
        if corpus.colour not in COLOURS:
            raise UsageError(f"The corpus has the colour {corpus.colour!r}; it must be one of {', '.join(COLOURS)}.")
        network = cls.network_type(**settings["network"])
        class_count = len(corpus.class_names)
        (images, labels), validation = corpus.split("train"), corpus.split("validation")
        check_labels(labels, len(images), "the corpus's train labels", class_count)
        check_labels(validation[1], len(validation[0]), "the corpus's validation labels", class_count)
        history = fit(
            network,
            (images, labels),
            validation,
            Hyperparameters(**settings["training"]),
            checkpoint=checkpoint,
            recipe=recipe,
            fabric=fabric,
            objective=cls._objective(network, settings, fabric),
            description=f"training {cls.kind}",
        )
        provenance = {
            "recipe": recipe,
            "history": history,
            "seconds": history[-1]["seconds"],
            "images": len(labels) // class_count,
            "versions": {
                "fingerprintlib": __version__,
                "torch": torch.__version__,
                "python": python_version(),
            },
            "device": str(fabric.device),
            "trained": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        return cls(network, tuple(corpus.class_names), corpus.colour, provenance, fabric)

    def save(self, path: Path | str, bits: int = 32) -> None:
        """Write everything as one safetensors file, atomically; kernels and matrices in 32, 16 or 8 bits."""
        metadata = {
            "class_names": list(self.class_names),
            "preprocessing": {"resolution": self.resolution, "colour": self.colour, "scaling": "uint8 / 127.5 - 1"},
            **{name: getattr(self.network, name) for name in self.options},
            "provenance": self.provenance,
        }
        tensors = self.network.state_dict()
        save_checkpoint(path, self.kind, tensors if bits == 32 else narrowed(tensors, bits), metadata)

    @classmethod
    def load(cls, path: Path | str, *, fabric: Fabric | None = None) -> Self:
        """Open what `save` wrote.

        Raises:
            CheckpointError: the file is missing, cut short, altered, foreign, or does not fit this version.
        """
        fabric = fabric or make_fabric()
        tensors, metadata = load_checkpoint(path, cls.kind)
        try:
            names, preprocessing = tuple(metadata["class_names"]), metadata["preprocessing"]
            options = {name: metadata[name] for name in cls.options}
            network = cls.network_type(len(names), preprocessing["resolution"], **options)
            network.load_state_dict(widened(tensors))
            colour, provenance = preprocessing["colour"], metadata["provenance"]
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"{path} does not fit this version's network ({error}). Train it again.") from error
        network.to(fabric.device).to(memory_format=torch.channels_last).eval()
        return cls(network, names, colour, provenance, fabric, Path(path))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The most likely source of each of the uint8 images ``[N, H, W, 3]``: int64 ``[N]``, indices of `class_names`.

        Raises:
            UsageError: images of another kind or size.
        """
        return self.logits(images).argmax(1)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """The scores of uint8 images ``[N, H, W, 3]``, one a source: float32 ``[N, K]``.

        Raises:
            UsageError: images of another kind or size.
        """
        return self._scores(images).numpy()

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Softmax scores of uint8 images ``[N, H, W, 3]``: float32 ``[N, K]``, rows sum to 1. They are not calibrated.

        Raises:
            UsageError: images of another kind or size.
        """
        return self._scores(images).softmax(1).numpy()

    def evaluate(self, images: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> Report:
        """Compare predictions on uint8 images ``[N, H, W, 3]`` with labels, int ``[N]``.

        `groups`, int ``[N]``, tells which images are not independent of each other: see `metrics.Report.of`.

        Raises:
            UsageError: images of another kind or size, or labels that are no indices of `class_names`.
        """
        check_images(images)
        check_labels(labels, len(images), class_count=len(self.class_names))
        return Report.of(labels, self.predict(images), self.class_names, groups)

    def evaluate_corpus(self, corpus: LabelledImages, split: str = "test") -> Report:
        """`evaluate` on a split of a corpus with its groups, having made sure that both speak of the same thing.

        Raises:
            UsageError: class names, resolution or colour differ.
        """
        self.check_fits(corpus, "class_names", "resolution", "colour")
        return self.evaluate(*corpus.split(split), corpus.groups(split))

    def check_fits(self, corpus: LabelledImages, *attributes: str) -> None:
        """Refuse a corpus that differs in one of these attributes.

        Raises:
            UsageError: naming it and both values.
        """
        for what in attributes:
            mine, theirs = getattr(self, what), getattr(corpus, what)
            if mine != theirs:
                raise UsageError(
                    f"The {self.kind}'s {what} {mine!r} and the corpus's {theirs!r} differ. Use a pair that fits."
                )

    def _scores(self, images: np.ndarray) -> Tensor:
        return self._apply(self.network, images)

    def _check(self, images: np.ndarray) -> None:
        check_images(images)
        if images.shape[1:3] != (self.resolution, self.resolution):
            height, width = images.shape[1:3]
            raise UsageError(
                f"images are {height}x{width}; this {self.kind} judges {self.resolution}x{self.resolution}. "
                f"Crop or resize them, or train one for that size."
            )

    def _apply(self, function: Callable[[Tensor], Tensor], images: np.ndarray) -> Tensor:
        self._check(images)
        return apply(function, images, fabric=self.fabric, prepare=lambda some: np.array(coloured(some, self.colour)))


class Attributor(SourceClassifier[AttributionNetwork]):
    """A trained attribution network. Make one with `load_or_train`, open one with `load`."""

    kind = "attributor"
    network_type = AttributionNetwork
    options = ("width", "band", "factor", "pool_from", "order", "emphasis")
    code = (AttributionNetwork, fit, make_fabric)

    @property
    def model_fingerprints(self) -> np.ndarray:
        """The sources' fingerprints, float32 ``[K, F]``, in the order of `class_names`."""
        return self.network.model_fingerprints.detach().float().cpu().numpy()

    def fingerprints(self, images: np.ndarray) -> np.ndarray:
        """The image fingerprints of uint8 images ``[N, H, W, 3]``: float32 ``[N, F]``.

        Raises:
            UsageError: images of another kind or size.
        """
        return self._features(images).clone().numpy()

    def patch_scores(self, images: np.ndarray) -> np.ndarray:
        """What each patch of uint8 images ``[N, H, W, 3]`` says: logits, float32 ``[N, P, P, K]``, P = `pool_from`.

        Raises:
            UsageError: images of another kind or size, or a network whose features see more than a patch.
        """
        return self._apply(self.network.patch_scores, images).numpy()

    def _scores(self, images: np.ndarray) -> Tensor:
        # The last layer's, of batches as `apply` makes them: in others it might round otherwise.
        layer = self.network.classifier
        with torch.no_grad():
            return torch.cat([layer(some.to(self.fabric.device)).cpu() for some in self._features(images).split(256)])

    def _features(self, images: np.ndarray) -> Tensor:
        self._check(images)
        how = str(self.fabric.device), computed_with(self.fabric)["precision"], self.colour
        return once(self.network, how, images, lambda: self._apply(self.network.features, images))
