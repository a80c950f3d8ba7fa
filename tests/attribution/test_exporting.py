"""ONNX: another runtime, which knows nothing of PyTorch, says the same of the same images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax

from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.attribution.exporting import export
from fingerprintlib.attribution.networks import AttributionNetwork
from fingerprintlib.attribution.visualization_network import VisualizationNetwork
from fingerprintlib.attribution.visualizer import Visualizer
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.data.images import coloured
from fingerprintlib.errors import FingerprintsError
from fingerprintlib.forensics.calibrating import Calibration, scores_of
from fingerprintlib.forensics.judging import Judge
from fingerprintlib.runtime import make_fabric
from fingerprintlib.zoo.generators import load_generator
from fingerprintlib.zoo.networks import load_network

from ..conftest import ROOT

onnxruntime = pytest.importorskip("onnxruntime")

NETWORKS = ROOT / "data" / "networks"
EXACT = make_fabric("cpu", "32-true")
PROVENANCE = {"history": [{"step": 10}], "seconds": 1.0, "view": "middle"}


def opened(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def told(session):
    return {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}


@pytest.fixture(scope="module")
def images():
    """40 test photographs, and as many images of each of four generators that no training has seen."""
    generators = [load_generator(ROOT / "data" / "zoo" / f"{n}.safetensors") for n in ("progan", "sngan", "cramergan")]
    generators.append(load_generator(ROOT / "data" / "zoo" / "mmdgan.safetensors"))
    photographs = open_dataset("clothing", 64).images("test", 0, 40)
    return np.concatenate([photographs, *[one.sample(40, seed=987) for one in generators]])


def test_of_test_images_the_shipped_attributor_says_the_same(images, tmp_path):
    judge = Judge.load(NETWORKS / "open-world-attributor.safetensors")
    export(judge.attributor, tmp_path / "judge.onnx")
    session = opened(tmp_path / "judge.onnx")
    logits, fingerprints = session.run(None, {"images": images})
    calibration = Calibration(**told(session)["calibration"])
    scores = scores_of(logits.astype(float), calibration.temperature, calibration.prior)
    assert np.abs(softmax(scores, axis=1) - judge.probabilities(images)).max() < 1e-4
    assert np.array_equal(scores.argmax(1), judge.scores(images).argmax(1))
    assert np.array_equal(calibration.known_by(scores) < 0, judge.calibration.known_by(judge.scores(images)) < 0)
    truth = np.repeat(np.arange(5), 40)
    assert np.mean(scores.argmax(1) == truth) > 0.9  # so it is no agreement on nonsense
    with torch.no_grad():
        models = judge.attributor.network.model_fingerprints.numpy()
    bias = judge.attributor.network.classifier.bias.detach().numpy()
    assert np.allclose(fingerprints @ models.T + bias, logits, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["fingerprints-normalized-correlation", "fingerprints-inner-product"])
def test_of_test_images_the_shipped_visualizers_show_the_same(images, tmp_path, name):
    visualizer = load_network(NETWORKS / f"{name}.safetensors", EXACT)
    some = images[::8]
    seen = np.array(coloured(some, visualizer.colour))
    export(visualizer, tmp_path / "visualizer.onnx")
    logits, fingerprints = opened(tmp_path / "visualizer.onnx").run(None, {"images": seen})
    assert np.abs(fingerprints - visualizer.fingerprints(some)).max() < 1e-4
    assert np.abs(softmax(logits, axis=1) - visualizer.probabilities(some)).max() < 1e-4


@pytest.mark.parametrize(
    "options",
    [
        {"emphasis": 4.0},
        {"band": "residual", "factor": 2},
        {"band": "low", "factor": 4},
        {"pool_from": 16},
        {"pool_from": 16, "order": "pool_then_conv"},
    ],
    ids=str,
)
def test_every_kind_of_network_can_be_exported(tmp_path, options):
    network = AttributionNetwork(3, 32, 0.1, seed=3, **options).eval()
    attributor = Attributor(network, ("real", "a", "b"), "grey", PROVENANCE, EXACT)
    export(attributor, tmp_path / "some.onnx")
    session = opened(tmp_path / "some.onnx")
    for count in (1, 5):
        some = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), np.uint8)
        logits, _ = session.run(None, {"images": some})
        with torch.no_grad():
            expected = network(torch.from_numpy(some / 127.5 - 1).float().permute(0, 3, 1, 2)).numpy()
        assert np.allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_the_file_says_what_it_takes_to_use_it_and_nothing_of_whose_machine_it_was_made_on(tmp_path):
    network = VisualizationNetwork(2, 16, 0.1).eval()
    export(Visualizer(network, ("real", "gan"), "grey", PROVENANCE, EXACT), tmp_path / "one.onnx")
    assert told(opened(tmp_path / "one.onnx")) == {
        "kind": "visualizer",
        "class_names": ["real", "gan"],
        "preprocessing": {"resolution": 16, "colour": "grey", "view": "middle"},
        "calibration": None,
        "provenance": PROVENANCE,
    }
    data = (tmp_path / "one.onnx").read_bytes()
    for folder in (ROOT, Path(torch.__file__).parent):
        assert str(folder).encode() not in data
    export(Visualizer(network, ("real", "gan"), "grey", PROVENANCE, EXACT), tmp_path / "two.onnx")
    assert (tmp_path / "two.onnx").read_bytes() == data


def test_without_its_packages_it_says_which_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    visualizer = Visualizer(VisualizationNetwork(2, 16, 0.1), ("real", "gan"), "grey", PROVENANCE, EXACT)
    with pytest.raises(FingerprintsError, match="pip install onnx onnxscript"):
        export(visualizer, tmp_path / "one.onnx")
    assert not list(tmp_path.iterdir())
