"""Attributors and visualizers for programs without PyTorch: as ONNX, one file that says all it takes to use it."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.images import to_network
from ..errors import FingerprintsError
from ..provenance import write_atomically
from .attributor import SourceClassifier
from .visualization_network import VisualizationNetwork

OPSET = 20  # of ONNX, from 2023: runtimes of the last years read it


class _Graph(nn.Module):
    """From uint8 images to all that the network says of them, in float32."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Uint8 ``[N, R, R, 3]`` to logits ``[N, K]``, and fingerprints ``[N, F]`` or ``[N, R, R, 3]``."""
        fingerprints = self.network.features(to_network(images))
        if isinstance(self.network, VisualizationNetwork):
            return self.network.logits(fingerprints), fingerprints.movedim(1, -1)
        return self.network.classifier(fingerprints), fingerprints


def export(classifier: SourceClassifier[Any], path: Path | str) -> None:
    """Write an attributor or a visualizer as ONNX, atomically.

    The graph takes ``images``, uint8 ``[N, R, R, 3]`` under the colour control of the classifier, and gives ``logits``,
    float32 ``[N, K]``, and ``fingerprints``: an attributor's features ``[N, F]``, a visualizer's images
    ``[N, R, R, 3]``. Scaling is part of the graph. The file's metadata are JSON texts: ``kind``, ``class_names``,
    ``preprocessing``, ``provenance``, and ``calibration``, null if it never was calibrated (see
    `forensics.calibrating.Calibration`).

    Raises:
        FingerprintsError: the packages that write ONNX are not installed.
    """
    try:
        import onnxscript  # noqa: F401 (what PyTorch writes ONNX with)
    except ImportError as error:
        raise FingerprintsError(
            "ONNX is written with the packages onnx and onnxscript; install them: pip install onnx onnxscript."
        ) from error
    network = classifier.network
    device, side = next(network.parameters()).device, classifier.resolution
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8, device=device)
    program = torch.onnx.export(
        _Graph(network).eval(),
        (example,),
        input_names=["images"],
        output_names=["logits", "fingerprints"],
        dynamic_shapes={"images": {0: torch.export.Dim("count")}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    calibration = classifier.provenance.get("calibration")
    told = {
        "kind": classifier.kind,
        "class_names": list(classifier.class_names),
        "preprocessing": {
            "resolution": side,
            "colour": classifier.colour,
            "view": classifier.provenance.get("view", "shrunk"),
        },
        "calibration": calibration,
        "provenance": {key: value for key, value in classifier.provenance.items() if key != "calibration"},
    }
    model = program.model_proto
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        part.ClearField("metadata_props")  # where in which file of whose machine each operation was called
    for key, value in told.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    write_atomically(path, model.SerializeToString(deterministic=True))
