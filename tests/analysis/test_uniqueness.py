import json
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from fingerprintlib.analysis.uniqueness import (
    Siblings,
    accuracy_by_number,
    difference,
    pairs_by_difference,
    report_among,
    source_distances,
)
from fingerprintlib.errors import UsageError
from fingerprintlib.gans import GANS
from fingerprintlib.zoo.shipped import Zoo

from ..conftest import ROOT

# --- siblings -----------------------------------------------------------------------------------


def made(name, **changes):
    recipe = {"gan": "progan", "seed": 0, "without": None, "width": 16, "settings": {"lr": 1}} | changes
    return SimpleNamespace(name=name, card={"recipe": recipe})


FIRST = made("a")
OTHERS = [
    made("late", without=4),
    made("seed 1", seed=1),
    made("both", seed=1, without=4),
    made("wide", width=64),
    made("fast", settings={"lr": 2}),
    made("b", gan="sngan", settings={}),
    made("early", without=9),
    made("b, another seed", gan="sngan", seed=1, settings={}),
    made("c", gan="mmdgan", seed=7, without=3),
    made("seed 2", seed=2),
]


def test_the_largest_difference_names_it():
    found = [difference(FIRST.card, other.card) for other in (FIRST, *OTHERS)]
    assert found == [
        *("nothing", "one image", "seed", "seed", "settings", "settings"),
        *("architecture", "one image", "architecture", "architecture", "seed"),
    ]
    assert difference(OTHERS[0].card, OTHERS[6].card) == "one image"  # each lacks another
    for one, other in combinations([FIRST, *OTHERS], 2):
        assert difference(one.card, other.card) == difference(other.card, one.card)


def test_siblings_are_found_by_their_cards_whatever_their_names():
    assert Siblings.of([*OTHERS, FIRST], "progan", 1).first.name == "a"  # the one that others lack one image of
    kin = Siblings.of([FIRST, *OTHERS], "progan", 2)
    assert [g.name for g in kin.seeds] == ["seed 1", "seed 2"]
    assert [g.name for g in kin.images] == ["late", "early"]
    assert [g.name for g in kin.others] == ["b", "c"]
    assert [g.name for g in kin.all] == ["a", "seed 1", "seed 2", "late", "early", "b", "c"]
    assert [len(some) for some in (lambda k: (k.seeds, k.images))(Siblings.of([FIRST, *OTHERS], "progan", 1))] == [1, 1]


def test_the_family_of_the_zoo_that_comes_with_the_book():
    zoo = Zoo.of(ROOT / "data" / "zoo")
    cards = [json.loads((zoo.folder / f"{name}.json").read_text()) for name in zoo.names]
    gans = [SimpleNamespace(name=card["name"], card=card) for card in cards if card["recipe"]["gan"] in GANS]
    kin = Siblings.of(gans, "progan", 3)
    assert kin.first.name == "progan-seed0"  # the main four's is of another recipe, and so is the one that is bilinear
    assert [g.name for g in kin.seeds] == ["progan-seed1", "progan-seed2", "progan-seed3"]
    assert all(g.name.startswith("progan-without") and g.card["parted_at"] for g in kin.images)
    assert {g.name for g in kin.others} == {"sngan", "cramergan", "mmdgan"}
    pairs = pairs_by_difference(kin.all)
    assert {kind: len(some) for kind, some in pairs.items()} == {"one image": 6, "seed": 15, "architecture": 24}


def test_where_there_are_fewer_siblings_than_asked_for_all_are_taken():
    kin = Siblings.of([FIRST, *OTHERS], "progan", 9)
    assert [g.name for g in (*kin.seeds, *kin.images)] == ["seed 1", "seed 2", "late", "early"]


def test_no_siblings_at_all_are_refused():
    wanted = r"'a' the zoo has 1 .* 0 that lack one image\. Ask for 1 or more; the zoo that"
    with pytest.raises(UsageError, match=wanted):
        Siblings.of([FIRST, OTHERS[1]], "progan", 1)
    with pytest.raises(UsageError, match=r"'prgan'\. Did you mean 'progan'"):
        Siblings.of([FIRST, *OTHERS], "prgan", 1)
    with pytest.raises(UsageError, match=r"0 siblings of each kind were asked for\. .* Ask for 1 or more"):
        Siblings.of([FIRST, *OTHERS], "progan", 0)


def test_pairs_are_sorted_by_kind():
    pairs = pairs_by_difference([FIRST, OTHERS[1], OTHERS[0], OTHERS[5]])
    assert pairs == {"one image": [(0, 2)], "seed": [(0, 1), (1, 2)], "architecture": [(0, 3), (1, 3), (2, 3)]}


# --- fewer sources ------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
LABELS = RNG.permutation(np.repeat(np.arange(5), [12, 9, 15, 7, 10]))
SCORES = RNG.normal(size=(len(LABELS), 5)) + 1.5 * np.eye(5)[LABELS]


def by_hand(subset):
    right = total = 0
    for scores, label in zip(SCORES, LABELS, strict=True):
        if label in subset:
            right += label == max(subset, key=lambda k: scores[k])
            total += 1
    return right / total


@pytest.mark.parametrize("members", [(0, 1), (3, 1), (4, 0, 2), (0, 1, 2, 3, 4)])
def test_a_report_among_some_is_what_counting_finds(members):
    report = report_among(SCORES, LABELS, "abcde", members)
    assert report.accuracy == pytest.approx(by_hand(members))
    assert report.class_names == tuple("abcde"[k] for k in members)
    assert [sum(row) for row in report.confusion] == [[12, 9, 15, 7, 10][k] for k in members]
    one_group_each = report_among(SCORES, LABELS, "abcde", members, groups=LABELS)
    assert one_group_each.confusion == report.confusion
    assert one_group_each.group_counts == {"abcde"[k]: 1 for k in members}


def test_accuracy_by_number_is_the_mean_over_all_subsets():
    found = accuracy_by_number(SCORES, LABELS, (4, 0, 2, 3))
    assert list(found) == [2, 3, 4]
    for size, values in found.items():
        expected = [by_hand(subset) for subset in combinations((4, 0, 2, 3), size)]
        assert values == pytest.approx((np.mean(expected), min(expected), max(expected)))
    unsure = accuracy_by_number(RNG.normal(size=(20_000, 4)), np.arange(20_000) % 4, range(4))
    for size, (mean, _, _) in unsure.items():
        assert mean == pytest.approx(1 / size, abs=0.02)


@pytest.mark.parametrize("members", [(), (1,), (1, 1), (0, 5), (-1, 2)])
def test_what_is_no_choice_of_sources_is_refused(members):
    with pytest.raises(UsageError, match="two columns of the 5 scores"):
        accuracy_by_number(SCORES, LABELS, members)
    with pytest.raises(UsageError, match="two columns of the 5 scores"):
        report_among(SCORES, LABELS, "abcde", members)


# --- distances ----------------------------------------------------------------------------------


def test_distances_between_sources_are_those_of_their_distributions():
    places, widths, n = [0.0, 3.0, -1.0], [1.0, 1.0, 2.0], 40_000
    rng = np.random.default_rng(2)
    features = np.concatenate([rng.normal(p, w, (n, 1)) for p, w in zip(places, widths, strict=True)])
    found = source_distances(features, np.repeat(np.arange(3), n), seed=1)
    expected = [
        [(p - q) ** 2 + (v - w) ** 2 for q, w in zip(places, widths, strict=True)]
        for p, v in zip(places, widths, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=0.35)
    np.testing.assert_array_equal(found, found.T)
    assert np.diag(found).max() < 0.02


def test_all_sets_have_the_size_of_half_the_smallest(monkeypatch):
    sizes = set()
    name = "fingerprintlib.analysis.uniqueness.frechet_distance"
    monkeypatch.setattr(name, lambda one, other: sizes.add((len(one), len(other))) or 1.0)
    source_distances(RNG.normal(size=(31, 2)), np.repeat([0, 1], [9, 22]))
    assert sizes == {(4, 4)}
    with pytest.raises(UsageError, match=r"four images .*\[3, 22\]"):
        source_distances(RNG.normal(size=(25, 2)), np.repeat([0, 1], [3, 22]))
