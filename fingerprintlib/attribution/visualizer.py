"""The `Visualizer`: a trained visualization network, saved as one safetensors file with all it takes to read it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ..data.labelled import LabelledImages
from ..runtime import Fabric, make_fabric
from .attributor import SourceClassifier
from .training import fit
from .visualization_network import VisualizationLoss, VisualizationNetwork


class Visualizer(SourceClassifier[VisualizationNetwork]):
    """A trained visualization network. Make one with `load_or_train`, open one with `load`.

    Its settings are `attribution.Settings`, with `correlation`, ``"normalized"`` by default.
    """

    kind = "visualizer"
    network_type = VisualizationNetwork
    options = ("width", "correlation")
    code = (VisualizationNetwork, VisualizationLoss, fit, make_fabric)

    @property
    def model_fingerprints(self) -> np.ndarray:
        """The sources' fingerprints, float32 ``[K, H, W, 3]``, in the order of `class_names`."""
        return _channels_last(self.network.model_fingerprints.detach().float().cpu())

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """R of uint8 images ``[N, H, W, 3]``: float32 ``[N, H, W, 3]``, in about [-1, 1].

        Raises:
            UsageError: images of another kind or size.
        """
        return _channels_last(self._apply(self.network.reconstruct, images))

    def fingerprints(self, images: np.ndarray) -> np.ndarray:
        """The image fingerprints of uint8 images ``[N, H, W, 3]``: x - R(x), float32 ``[N, H, W, 3]``, x in [-1, 1].

        Raises:
            UsageError: images of another kind or size.
        """
        return _channels_last(self._apply(self.network.features, images))

    def responses(self, images: np.ndarray) -> np.ndarray:
        """How well the fingerprints of uint8 images ``[N, H, W, 3]`` match each model fingerprint: float32 ``[N, K]``.

        Correlations in [-1, 1], or inner products.

        Raises:
            UsageError: images of another kind or size.
        """
        return self._apply(lambda x: self.network.responses(self.network.features(x)), images).numpy()

    @classmethod
    def _complete(cls, corpus: LabelledImages, **settings: Any) -> dict[str, Any]:
        complete = super()._complete(corpus, **settings)
        # A model fingerprint is one fixed image: mirrored examples would overlay it with its mirror image.
        complete["training"]["flip"] = False
        return complete

    @classmethod
    def _objective(
        cls, network: VisualizationNetwork, settings: Mapping[str, Any], fabric: Fabric
    ) -> VisualizationLoss:
        return VisualizationLoss(network, fabric, settings["training"]["learning_rate"], settings["network"]["seed"])


def _channels_last(images: Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).contiguous().numpy()
