"""Shipped networks: what is published is what is opened, and nothing else is taken for it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.attribution.networks import AttributionNetwork
from fingerprintlib.attribution.visualization_network import VisualizationNetwork
from fingerprintlib.attribution.visualizer import Visualizer
from fingerprintlib.checkpoints import CheckpointError, save_checkpoint
from fingerprintlib.errors import UsageError
from fingerprintlib.runtime import make_fabric
from fingerprintlib.zoo.networks import Networks, load_network

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), np.uint8)
ORIGIN = {"real": "photographs", "progan": "weights"}
LEARNED = {"origin": ORIGIN, "colour": "grey"}
PROVENANCE = {"history": [{"step": 10, "validation_accuracy": 0.75}], "seconds": 60.0, "device": "cpu"}


class Corpus:
    """What matters of one here."""

    def __init__(self, origin, colour="grey"):
        self.origin, self.colour = origin, colour


def attributor(**options):
    network = AttributionNetwork(2, 32, 0.1, seed=3, **options).eval()
    network.classifier.bias.data[0] = 3  # its answers are no coin tosses
    return Attributor(network, ("real", "progan"), "grey", PROVENANCE, make_fabric("cpu", "32-true"))


@pytest.fixture
def shipped(tmp_path):
    networks = Networks(tmp_path / "networks")
    networks.publish("one", attributor(emphasis=4.0), LEARNED, IMAGES)
    return networks


def test_what_is_published_is_what_is_opened(shipped):
    there, here = shipped.load("one"), attributor(emphasis=4.0)
    assert there.class_names == here.class_names
    assert there.colour == "grey"
    assert there.network.emphasis == 4
    assert there.history == here.history
    assert np.array_equal(there.predict(IMAGES), here.predict(IMAGES))
    scores = [network.logits(IMAGES)[:, 1] for network in (there, here)]
    assert np.corrcoef(scores)[0, 1] > 0.98
    assert shipped.card("one") | {"file": ""} == {
        "kind": "attributor",
        "colour": "grey",
        "corpus": LEARNED,
        "bits": 8,
        "file": "",
        **PROVENANCE,
    }


def test_eight_bits_where_next_to_nothing_changes_and_more_where_something_does(tmp_path):
    networks = Networks(tmp_path)
    networks.publish("robust", attributor(), LEARNED, IMAGES)
    undecided = attributor()
    undecided.network.classifier.bias.data[0] = 0
    with torch.no_grad():  # its answers are coin tosses: both fingerprints are nearly the same
        weights = undecided.network.classifier.weight
        weights[1] = weights[0] + 1e-5 * torch.randn(weights[0].shape, generator=torch.Generator().manual_seed(0))
    networks.publish("undecided", undecided, LEARNED, IMAGES)
    assert [networks.card(name)["bits"] for name in ("robust", "undecided")] == [8, 32]
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("robust", "undecided")]
    assert sizes[1] > 3 * sizes[0]
    assert np.array_equal(networks.load("undecided").predict(IMAGES), undecided.predict(IMAGES))


def test_a_network_fits_a_corpus_of_the_sources_that_it_learned_from(shipped):
    assert shipped.has("one", Corpus(ORIGIN))
    assert not shipped.has("one", Corpus(ORIGIN | {"progan": "other weights"}))
    assert not shipped.has("one", Corpus(ORIGIN, "as_is"))
    assert not shipped.has("two", Corpus(ORIGIN))


def test_how_many_images_a_network_learned_from_is_told_by_it_or_by_another_of_the_same_corpus(shipped):
    def of(corpus, **told):
        return replace(attributor(), provenance={**PROVENANCE, "recipe": {"corpus": corpus}, **told})

    shipped.publish("one", of("a"), LEARNED, IMAGES)
    shipped.publish("two", of("b", images=7), LEARNED, IMAGES)
    shipped.publish("three", of("a", images=9), LEARNED, IMAGES)
    immunized = of("a as it is", start={"corpus": "b"})
    found = [shipped.learned_from(n) for n in (of("a"), of("b"), of("a", images=5), immunized)]
    assert found == [9, 7, 5, 7]
    with pytest.raises(UsageError, match="Nobody tells how many images"):
        shipped.learned_from(of("c"))


def test_a_visualizer_is_opened_as_one(tmp_path):
    network = VisualizationNetwork(2, 32, 0.1).eval()
    made = Visualizer(network, ("real", "progan"), "grey", PROVENANCE, make_fabric("cpu", "32-true"))
    networks = Networks(tmp_path)
    networks.publish("seen", made, LEARNED, IMAGES)
    opened = networks.load("seen")
    assert isinstance(opened, Visualizer)
    np.testing.assert_allclose(opened.responses(IMAGES), made.responses(IMAGES), atol=0.05)


def test_a_missing_an_altered_and_a_swapped_file_are_refused_by_name(shipped):
    weights = shipped.folder / "one.safetensors"
    shipped.publish("two", replace(attributor(), colour="as_is"), LEARNED, IMAGES)
    kept = weights.read_bytes()
    weights.write_bytes((shipped.folder / "two.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"one\.safetensors is not what its card says. Restore both"):
        shipped.load("one")
    weights.write_bytes(kept[:-1])
    with pytest.raises(CheckpointError, match=r"one\.safetensors is not what its card says"):
        shipped.load("one")
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"one\.safetensors is missing. Restore it"):
        shipped.load("one")
    with pytest.raises(UsageError, match="Unknown network 'onee'"):
        shipped.load("onee")


def test_a_file_of_another_kind_is_refused(tmp_path):
    save_checkpoint(tmp_path / "x.safetensors", "generator", {}, {})
    with pytest.raises(
        CheckpointError, match="holds a generator; what names sources is one of: attributor, visualizer"
    ):
        load_network(tmp_path / "x.safetensors")


def test_the_others_go_when_new_ones_are_published(shipped):
    shipped.publish("two", attributor(), LEARNED, IMAGES)
    shipped.keep_only({"two"})
    assert sorted(path.name for path in shipped.folder.iterdir()) == ["two.json", "two.safetensors"]


def test_a_row_says_what_there_is_to_know(shipped):
    (row,) = shipped.rows()
    assert row == ("one", "attributor", "grey", "2", "10", "75.0", row[6], "1", "cpu")
    (shipped.folder / "one.safetensors").unlink()
    assert next(shipped.rows())[6] == "missing"
