from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fingerprintlib.attacks.perturbations import HANDLING
from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.attribution.networks import AttributionNetwork
from fingerprintlib.checkpoints import tensors_hash
from fingerprintlib.data.images import coloured
from fingerprintlib.errors import UsageError
from fingerprintlib.forensics.examining import compare, forgotten
from fingerprintlib.forensics.judging import Judge
from fingerprintlib.forensics.learning import (
    LOST,
    SourceEstimator,
    _calibration,
    _deferring,
    _widened,
    add_source,
)
from fingerprintlib.forensics.pictures import SHARES, Pictures, deal
from fingerprintlib.statistics.metrics import Report

from .conftest import WIDTH
from .planted import NAMES, labelled, planted

RNG = np.random.default_rng(0)


# --- dealing ------------------------------------------------------------------------------------


def noise(count):
    """No two alike."""
    return RNG.integers(0, 256, (count, 8, 8, 3), np.uint8)


def where(pictures, image):
    """The splits in which there is this image."""
    return {split for split in SHARES if (pictures.split(split)[0] == image).all((1, 2, 3)).any()}


@st.composite
def families(draw):
    """Labels and groups of two to four sources, each of 20 to 60 images in at least three groups of its own."""
    sizes = draw(st.lists(st.integers(20, 60), min_size=2, max_size=4))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    groups = np.concatenate(
        [
            1000 * k + np.array([0, 1, 2, *draw(st.lists(st.integers(0, 30), min_size=size - 3, max_size=size - 3))])
            for k, size in enumerate(sizes)
        ]
    )
    return labels, groups


@given(families(), st.integers(0, 3), st.booleans())
def test_a_group_is_in_one_split_and_every_source_in_each(family, seed, shared):
    labels, groups = family
    if shared:  # some pictures are of two sources
        groups = groups % 1000 if labels.max() < 2 else np.where(labels < 2, groups % 1000, groups)
    images = np.zeros((len(labels), 8, 8, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(len(labels)), groups % 250
    try:
        pictures = Pictures.dealt(images, labels, [str(k) for k in range(labels.max() + 1)], groups, seed)
    except UsageError:
        assert shared
        return
    found = {split: pictures.groups(split) for split in SHARES}
    assert sum(map(len, found.values())) == len(labels)
    for one in SHARES:
        assert set(pictures.split(one)[1]) == set(labels)
        assert (np.diff(pictures.split(one)[1]) >= 0).all()
        assert not any(set(found[one]) & set(found[other]) for other in SHARES if other != one)
        numbers = pictures.split(one)[0][:, 0, 0, 0]
        assert len(set(numbers)) == len(numbers)
        assert np.array_equal(labels[numbers], pictures.split(one)[1])


def test_where_no_picture_is_twice_the_shares_are_those_asked_for():
    labels = np.repeat([0, 1], [200, 40])
    pictures = Pictures.dealt(noise(240), labels, ["many", "few"], np.arange(240))
    for split, share in SHARES.items():
        counts = np.bincount(pictures.split(split)[1])
        assert np.abs(counts - share * np.array([200, 40])).max() <= 1


def test_sources_behind_it_do_not_move_a_sources_images():
    images, labels = noise(90), np.repeat([0, 1, 2], 30)
    three = Pictures.dealt(images, labels, ["a", "b", "c"])
    two = Pictures.dealt(images[:60], labels[:60], ["a", "b"])
    assert [where(two, image) for image in images[:60]] == [where(three, image) for image in images[:60]]
    assert three.only(2).hash == two.hash != three.hash
    again = Pictures.dealt(images[:60], labels[:60], ["a", "b"], seed=1)
    assert [where(two, image) for image in images[:60]] != [where(again, image) for image in images[:60]]


def test_by_default_near_duplicates_stay_together():
    images = planted("real", 60)
    images = np.concatenate([images, np.clip(images[:30].astype(int) + 3, 0, 255).astype(np.uint8)])
    labels = np.concatenate([np.repeat([0, 1], 30), np.repeat(0, 30)])
    pictures = Pictures.dealt(images, labels, ["a", "b"])
    assert all(where(pictures, one) == where(pictures, other) for one, other in zip(images, images[60:], strict=False))


@pytest.mark.parametrize(
    ("counts", "names", "groups", "message"),
    [
        ((30,), ["a"], None, "two sources apart; there is 1"),
        ((30, 19), ["a", "b"], None, "'b' has 19 images; 20 are needed"),
        ((30, 30), ["a", "a"], None, "Two sources are called 'a'"),
        ((30, 30), ["a", "unsure"], None, "cannot be called 'unsure'"),
        ((30, 30), ["a", "b\n"], None, r"cannot be called 'b\\n'"),
        ((30, 30), ["a", "b"], np.repeat([0, 1, 2, 3], 15), "All images of the source 'a' show the same"),
        ((30, 30), ["a", "b"], np.arange(59), r"groups must be \[60\]"),
    ],
)
def test_what_cannot_be_dealt(counts, names, groups, message):
    with pytest.raises(UsageError, match=message):
        Pictures.dealt(noise(sum(counts)), np.repeat(np.arange(len(counts)), counts), names, groups)


def test_a_source_whose_pictures_others_have_may_be_left_without_a_split():
    dealt = deal(np.zeros(30, int), np.arange(30), seed=0)
    for_training = np.flatnonzero(dealt == 0)[:3]
    groups = np.concatenate([np.arange(30), np.repeat(for_training, 10)])
    with pytest.raises(UsageError, match="none of b is left for the validation split"):
        Pictures.dealt(noise(60), np.repeat([0, 1], 30), ["a", "b"], groups)


# --- learning -----------------------------------------------------------------------------------


def right(judge, images, labels):
    return np.mean(judge.scores(images).argmax(1) == labels)


def test_what_is_learned_withstands_handling(learned, judge, pictures):
    images, labels = pictures.split("test")
    assert right(judge, images, labels) > 0.9
    assert right(judge, HANDLING(images, 5), labels) > 0.8
    assert learned.provenance["view"] == "shrunk"


@pytest.fixture(scope="module")
def four(learned, tmp_path_factory):
    """One more source, and images of all."""
    pictures = Pictures.dealt(*labelled(120, (*NAMES, "diagonal")), (*NAMES, "diagonal"))
    return add_source(learned, pictures, tmp_path_factory.mktemp("four"), steps=60), pictures


def test_a_source_is_added_and_the_old_ones_are_not_forgotten(judge, four):
    made, _ = four
    assert made.class_names == (*NAMES, "diagonal")
    images, labels = labelled(60, (*NAMES, "diagonal"), seed=2)
    old = labels < 3
    after = Judge.of(made)
    assert right(after, images[old], labels[old]) > right(judge, images[old], labels[old]) - 0.05
    assert right(after, images[~old], labels[~old]) > 0.75  # guessing: a quarter
    assert len(after.calibration.prior) == 4
    assert made.provenance["start"] == judge.attributor.provenance["recipe"]


@pytest.mark.parametrize("louder", [-50.0, 0.5, 50.0])  # what the new source's scores are to the old ones'
def test_a_new_source_does_not_take_from_the_old_ones(learned, judge, louder):
    pictures = Pictures.dealt(*labelled(120, (*NAMES, "diagonal")), (*NAMES, "diagonal"))
    network = _widened(learned.network, 4)
    x = torch.from_numpy(planted("rows", 9)).movedim(-1, 1) / 127.5 - 1
    with torch.no_grad():
        network.classifier.weight[3] = network.classifier.weight[2]  # it has the fingerprint of the rows
        network.classifier.bias[3] += louder + network(x)[:, 2:].diff().mean()
    loud = replace(learned, class_names=pictures.class_names, network=network)
    found = _deferring(judge, loud, pictures, seed=0)
    images, labels = (each[pictures.split("validation")[1] < 3] for each in pictures.split("validation"))
    after = Judge(found, _calibration(found, pictures, seed=0))
    least = right(judge, images, labels) - LOST
    assert right(after, images, labels) >= least
    if louder < 0:
        assert found is loud
        return
    assert torch.equal(found.network.classifier.bias[:3], network.classifier.bias[:3])
    assert torch.equal(found.network.dense.weight, network.dense.weight)
    with torch.no_grad():
        found.network.classifier.bias[3] += 0.1  # it was lowered by no more than it takes
    assert right(after, images, labels) < least


def report(accuracy):
    """On a thousand images."""
    right = round(1000 * accuracy)
    return Report.of(np.zeros(1000, int), (np.arange(1000) >= right).astype(int), ("a", "b"), np.arange(1000))


@pytest.mark.parametrize(
    ("accuracies", "told"),
    [
        ((0.99, 0.98, 0.5, 0.9, 0.9, 0.5), None),
        ((0.99, 1.0, 0.5, 0.9, 0.95, 0.5), None),
        ((0.99, 0.979, 0.5, 0.9, 0.9, 0.5), "-1.1 points as they are, +0.0 points handled"),
        ((0.98, 0.99, 0.5, 0.9, 0.88, 0.5), "+1.0 points as they are, -2.0 points handled"),
    ],
)
def test_what_was_forgotten_is_told(accuracies, told):
    warning = forgotten({str(place): report(accuracy) for place, accuracy in enumerate(accuracies)})
    assert (warning is None) == (told is None)
    assert told is None or told in warning


def test_old_and_new_sources_are_compared_as_they_are_and_handled(judge, four):
    made, pictures = four
    images, labels = pictures.split("test")
    compared = compare(judge, Judge.of(made), pictures)
    assert [found.count for found in compared.values()] == 2 * [sum(labels < 3), sum(labels < 3), sum(labels == 3)]
    clean, _, new, *_ = compared.values()
    assert clean.accuracy == right(judge, images[labels < 3], labels[labels < 3])
    assert new.accuracy == right(Judge.of(made), images[labels == 3], 3)


def test_a_source_is_learned_under_the_attributors_colour_control(learned, pictures, tmp_path, monkeypatch):
    seen = []

    def fit(network, examples, validation, hyperparameters, augment, **options):
        drawn = augment(torch.from_numpy(examples[0][:4]), torch.Generator())
        seen.append(drawn.numpy())
        return [{"step": 1, "seconds": 0.0, "validation_accuracy": 0.0, "validation_loss": 0.0, "loss": 0.0}]

    monkeypatch.setattr("fingerprintlib.attacks.immunization.fit", fit)
    grey = replace(learned, colour="grey")
    pictures = Pictures.dealt(*labelled(20, (*NAMES, "diagonal")), (*NAMES, "diagonal"))
    with pytest.raises(FileNotFoundError):  # nothing was trained
        add_source(grey, pictures, tmp_path, steps=1)
    assert np.array_equal(seen[0], coloured(seen[0], "grey"))
    assert np.array_equal(seen[0][..., 0], seen[0][..., 1])


def test_a_wider_network_scores_the_old_sources_as_before():
    network = AttributionNetwork(3, 32, width=WIDTH, seed=1, emphasis=2.0)
    with torch.no_grad():
        network.classifier.bias.copy_(torch.tensor([0.3, -1.0, 2.0]))
    before = tensors_hash(network.state_dict())
    wider = _widened(network, 5)
    x = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        old, new = network(x), wider(x)
    torch.testing.assert_close(new[:, :3], old)
    torch.testing.assert_close(new[:, 3:], old.mean(1, keepdim=True).expand(-1, 2))
    assert tensors_hash(network.state_dict()) == before
    assert wider.emphasis == 2.0


@pytest.mark.parametrize("names", [NAMES, ("real", "rows", "columns", "diagonal"), ("real", "columns")])
def test_a_corpus_without_the_old_sources_first_and_a_new_one_is_refused(learned, names, tmp_path):
    pictures = Pictures.dealt(*labelled(20, names), names)
    with pytest.raises(UsageError, match="must have real, columns, rows and new sources behind them"):
        add_source(learned, pictures, tmp_path)
    assert not [*tmp_path.iterdir()]


# --- scikit-learn -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    images, labels = labelled(40, ("rows", "columns"))
    words = np.array(["lines", "a column"])[labels]  # in ascending order the second comes first
    folder = tmp_path_factory.mktemp("estimator")
    return SourceEstimator(steps=20, width=WIDTH, folder=folder).fit(images, words)


def test_it_has_the_manners_of_an_estimator(fitted):
    assert fitted.get_params() == {"steps": 20, "width": WIDTH, "seed": 0, "folder": fitted.folder}
    copy = clone(fitted).set_params(seed=3)
    assert (copy.seed, copy.steps, fitted.seed) == (3, 20, 0)
    with pytest.raises(NotFittedError):
        copy.predict(planted("rows", 1))
    assert fitted.classes_.tolist() == ["a column", "lines"]
    images, labels = labelled(20, ("rows", "columns"), seed=1)
    words = np.array(["lines", "a column"])[labels]
    shares = fitted.predict_proba(images)
    np.testing.assert_allclose(shares.sum(1), 1)
    assert np.array_equal(fitted.predict(images), fitted.classes_[shares.argmax(1)])
    assert fitted.score(images, words) == np.mean(fitted.predict(images) == words) > 0.9
    assert fitted.judge_.class_names == ("a column", "lines")


def test_what_was_learned_is_not_learned_again(fitted, monkeypatch):
    monkeypatch.setattr(Attributor, "_train", None)
    images, labels = labelled(40, ("rows", "columns"))
    again = clone(fitted).fit(images, np.array(["lines", "a column"])[labels])
    assert np.array_equal(again.predict_proba(images), fitted.predict_proba(images))


def test_images_of_one_kind_only_are_refused():
    estimator = SourceEstimator(steps=1)
    with pytest.raises(UsageError, match="at least two sources apart; there is 1"):
        estimator.fit(planted("rows", 30), np.repeat("lines", 30))
    with pytest.raises(NotFittedError):
        estimator.predict(planted("rows", 1))
