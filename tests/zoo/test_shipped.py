"""A tiny zoo made from its plan and spoilt in every way; and the one that the project ships."""

import shutil
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from fingerprintlib import training_run
from fingerprintlib.checkpoints import CheckpointError, load_checkpoint
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.errors import UsageError
from fingerprintlib.gans import GANS, build, siblings, training
from fingerprintlib.runtime import step_generator
from fingerprintlib.zoo import generators, quality
from fingerprintlib.zoo import shipped as module
from fingerprintlib.zoo.generators import save_generator
from fingerprintlib.zoo.quality import Reference, filter_bank_features, verdict
from fingerprintlib.zoo.shipped import (
    MEASURED,
    Zoo,
    as_rows,
    departures,
    load_or_train_siblings,
    origins,
    qualities,
    settings,
)

from ..conftest import ROOT

PLAN = """
dataset: scenes
resolution: 32
photographs: 24 # scenes has no end of them
recipes:
  growing: {gan: progan, width: 4, images: 64, batch: 8, lr: 0.003, ema: 0.99, phase: 0.1}
  normalized: {gan: sngan, width: 4, images: 64, batch: 4, d_steps: 1, ema: 0.9}
generators:
  progan: {recipe: growing}
  sngan: {recipe: normalized, seed: 3}
  sngan-without13: {recipe: normalized, seed: 3, without: 13}
"""
NAMES = ["progan", "sngan", "sngan-without13"]


@pytest.fixture(autouse=True)
def one_thread():
    """So that what is trained is trained in this process, where it can be watched."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def planned(root):
    folder = root / "data" / "zoo"
    folder.mkdir(parents=True)
    (folder / "zoo.yml").write_text(PLAN)
    return Zoo.of(folder)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, work):
    zoo = planned(tmp_path_factory.mktemp("trained"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    zoo.train(zoo.names, work)
    torch.set_num_threads(before)
    return zoo


@pytest.fixture
def zoo(trained, tmp_path):
    """A zoo that a test may spoil."""
    shutil.copytree(trained.folder, tmp_path / "data" / "zoo")
    return Zoo.of(tmp_path / "data" / "zoo")


@pytest.fixture(scope="module")
def reference(trained, work):
    return Reference.of(trained.data, trained.reals(work))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- made from the plan -------------------------------------------------------------------------


def test_a_zoo_is_its_plan_and_two_files_a_generator(trained):
    assert trained.names == NAMES
    files = {f"{name}.{end}" for name in NAMES for end in ("safetensors", "json")}
    assert set(contents(trained.folder)) == files | {"zoo.yml"}


def test_the_reals_are_the_first_of_the_split_that_generators_learn_from(trained, work):
    reals = trained.reals(work)
    assert isinstance(reals, np.memmap)
    np.testing.assert_array_equal(reals, open_dataset("scenes", 32).images("gan", 0, 24))


def test_without_a_number_all_photographs_are_learned_from(tmp_path):
    plan = {"dataset": "clothing", "resolution": 32}
    zoo = Zoo(tmp_path, plan)
    reals = zoo.reals(tmp_path)
    assert len(reals) == zoo.data.split("gan").distinct > 2000
    np.testing.assert_array_equal(reals[-1], zoo.data.split("gan").image(len(reals) - 1))


def test_how_many_of_what_has_no_end_has_to_be_said(tmp_path):
    zoo = Zoo(tmp_path, {"dataset": "scenes", "resolution": 32})
    with pytest.raises(UsageError, match=r"no end of images of 'scenes': say in .*zoo\.yml.* `photographs: 6000`"):
        zoo.reals(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_generator_is_what_the_plan_says_and_tells_how_it_was_made(name, trained):
    generator = trained.load(name)
    card, member = generator.card, trained.plan["generators"][name]
    planned = dict(trained.plan["recipes"][member["recipe"]])
    gan, recipe = planned.pop("gan"), card["recipe"]
    assert (generator.name, generator.gan.name, generator.path) == (name, gan, trained.path(name))
    assert {key: recipe[key] for key in ("gan", "resolution", "width", "images", "seed", "without")} == {
        **{"gan": gan, "resolution": 32, "width": planned.pop("width"), "images": planned.pop("images")},
        **{"seed": member.get("seed", 0), "without": member.get("without")},
    }
    assert planned.items() <= recipe["settings"].items()
    assert card["departures"] == list(generator.gan.departures)
    assert bool(card["departures"]) == (gan == "progan")
    origin = {"dataset": "scenes", "hash": open_dataset("scenes", 32).hash, "split": "gan", "photographs": 24}
    if name == "sngan-without13":
        origin["left_out"] = {"number": 13, "photograph": trained.data.split("gan").source_of(13)}
        drawn = [torch.randint(24, (4,), generator=step_generator(3, step)) for step in range(16)]
        assert card["parted_at"] == 4 * [13 in step for step in drawn].index(True) > 0
    else:
        assert card["parted_at"] is None
    assert card["origin"] == origin
    assert card["images_seen"] == card["history"]["images"][-1] == 64
    assert card["weights"] == generator.hash
    if name == "progan":
        assert generator.moments[-1] == 64
        assert generator.previews.shape == (len(generator.moments), 8, 32, 32, 3)
    else:  # siblings: of a dozen alike they would be most of the files
        assert (generator.moments, generator.previews) == ([], None)


def test_weights_are_those_of_a_plain_training_rounded_to_16_bits(trained, work, tmp_path):
    reals = open_dataset("scenes", 32).images("gan", 0, 24)
    plain = training.train_gan(build("sngan", 32, 4, 3, batch=4, d_steps=1, ema=0.9), reals, images=64, folder=tmp_path)
    theirs, ours = (gan.sampler.state_dict() for gan in (plain.gan, trained.load("sngan").gan))
    assert theirs.keys() == ours.keys()
    for key in ours:
        assert torch.equal(ours[key], theirs[key].half().float() if theirs[key].ndim > 1 else theirs[key]), key
    tensors, _ = load_checkpoint(trained.path("sngan"), "generator")
    assert {x.dtype for x in tensors.values() if x.ndim > 1} == {torch.float16}


def test_a_generator_that_16_bits_would_change_is_kept_in_32(zoo, reference, monkeypatch):
    def shows(*_):
        raise generators.PrecisionError("In 16 bits a sample changes.")

    monkeypatch.setattr(generators, "_require_close", shows)
    before = zoo.load("sngan").hash
    zoo.measure("sngan", reference)
    tensors, _ = load_checkpoint(zoo.path("sngan"), "generator")
    assert torch.float16 not in {x.dtype for x in tensors.values()}
    assert zoo.load("sngan").hash == before


def test_runs_that_differ_in_one_photograph_are_two_generators(trained):
    one, other = trained.load("sngan"), trained.load("sngan-without13")
    assert one.hash != other.hash
    assert (one.sample(4, 0) != other.sample(4, 0)).any()


@pytest.mark.parametrize("name", NAMES)
def test_cards_tell_the_quality(name, trained, reference):
    generator = trained.load(name)
    measured = reference.measure(generator.sample(24, MEASURED))
    assert generator.card["quality"] == {"filter bank": measured}
    assert measured["floor"] == reference.floor
    assert len(reference.held_out) == 24


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_threads_changes_no_sample(name, trained):
    generator = trained.load(name)
    made = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        made.append(generator.sample(60, seed=5, start=20))
    assert made[0].tobytes() == made[1].tobytes()


# --- several at once ----------------------------------------------------------------------------

TOGETHER = {
    "progan": {"recipe": "growing"},
    "sngan": {"recipe": "normalized"},
    "progan-seed1": {"recipe": "growing", "seed": 1},
    "wide": {"recipe": "wide"},
    "sngan-seed1": {"recipe": "normalized", "seed": 1},
    "progan-without7": {"recipe": "growing", "without": 7},
}


@pytest.fixture
def family(tmp_path):
    """A zoo whose plan has siblings, and nothing trained."""
    zoo = planned(tmp_path)
    recipes = dict(zoo.plan["recipes"])
    recipes["wide"] = recipes["growing"] | {"width": 8}
    return replace(zoo, plan=zoo.plan | {"recipes": recipes, "generators": TOGETHER})


def test_progans_of_one_recipe_are_trained_together_on_a_gpu_and_each_alone_on_a_cpu(family, monkeypatch):
    assert family._together(family.names) == [[name] for name in family.names]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    growing = ["progan", "progan-seed1", "progan-without7"]
    assert family._together(family.names) == [growing, ["sngan"], ["wide"], ["sngan-seed1"]]
    assert family._together(["progan-seed1", "wide", "progan"]) == [["progan-seed1", "progan"], ["wide"]]
    assert family._together(["sngan", "progan"]) == [["sngan"], ["progan"]]


def test_what_is_trained_together_is_written_and_told_of_as_if_each_had_been_alone(
    family, trained, reference, work, tmp_path, monkeypatch
):
    monkeypatch.setattr(Zoo, "_together", lambda zoo, names: [list(names)])
    names = ["progan", "progan-seed1", "progan-without7"]
    family.train(names, tmp_path / "work")
    files = {f"{name}.{end}" for name in names for end in ("safetensors", "json")}
    assert set(contents(family.folder)) == files | {"zoo.yml"}
    made = [family.load(name, family.data) for name in names]  # each is what the plan says
    assert len({generator.hash for generator in made}) == 3
    cards = [generator.card for generator in made]
    alone = trained.load("progan").card
    own = {"seconds", "history", "quality", "weights", "recipe", "parted_at", "origin", "name"}
    for generator, card in zip(made, cards, strict=True):
        assert card.keys() == alone.keys() | {"together"}
        assert {key: card[key] for key in alone.keys() - own} == {key: alone[key] for key in alone.keys() - own}
        assert card["together"] == 3
        assert card["name"] == generator.name
        assert card["quality"] == {"filter bank": reference.measure(generator.sample(24, MEASURED))}
        assert {key: x.shape for key, x in load_checkpoint(generator.path, "generator")[0].items()} == {
            key: x.shape
            for key, x in load_checkpoint(trained.path("progan"), "generator")[0].items()
            if key != "previews"  # siblings' are left out
        }
    one = {key: x for key, x in alone["recipe"].items() if key not in ("code", "versions")}
    for card, own in zip(cards, ({}, {"seed": 1}, {"without": 7}), strict=True):
        assert {key: x for key, x in card["recipe"].items() if key not in ("code", "versions")} == one | own
    left_out = {"number": 7, "photograph": family.data.split("gan").source_of(7)}
    assert [card["origin"].get("left_out") for card in cards] == [None, None, left_out]
    assert [card["parted_at"] is None for card in cards] == [True, True, False]

    before = contents(family.folder)
    family.path("progan-without7").unlink()
    monkeypatch.setattr(siblings._Run, "advance", None)  # must not be called
    family.train(names, tmp_path / "work")
    assert contents(family.folder) == before


def test_another_company_is_another_training(family, tmp_path, monkeypatch):
    """Two of three were trained; then all are asked for: the work of the two is in nobody's way."""
    monkeypatch.setattr(Zoo, "_together", lambda zoo, names: [list(names)])
    family.train(["progan", "progan-seed1"], tmp_path / "work")
    family.train(["progan", "progan-seed1", "progan-without7"], tmp_path / "work")
    assert family.load("progan-without7").card["together"] == 3


# --- training goes on, and is not done twice ----------------------------------------------------


def test_what_is_trained_is_not_trained_again_and_what_is_lost_comes_back(zoo, work, monkeypatch):
    before = contents(zoo.folder)
    zoo.path("sngan").unlink()
    (zoo.folder / "progan.json").unlink()
    monkeypatch.setattr(training._Run, "advance", None)  # must not be called
    zoo.train(["sngan", "progan"], work)
    assert contents(zoo.folder) == before  # to the byte: headers are in order


class Stopped(BaseException):
    pass


def test_a_stopped_training_goes_on(trained, tmp_path, monkeypatch):
    zoo = planned(tmp_path)
    whole, clock, steps = training._Run.advance, [0.0], []

    def advance(run):
        if len(steps) == 10:
            raise Stopped
        whole(run)
        steps.append(run.step)
        clock[0] += 1000 * (run.step == 8)  # when a checkpoint is due

    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "advance", advance)
        patch.setattr(training_run.time, "monotonic", lambda: clock[0])
        with pytest.raises(Stopped):
            zoo.train(["sngan-without13"], tmp_path / "work")
        assert set(contents(zoo.folder)) == {"zoo.yml"}
        steps.append(None)
        zoo.train(["sngan-without13"], tmp_path / "work")
    assert steps == [*range(1, 11), None, *range(9, 17)]
    (found, wanted) = (which.load("sngan-without13") for which in (zoo, trained))
    assert found.hash == wanted.hash
    for key in ("parted_at", "history", "quality"):
        assert found.card[key] == wanted.card[key]


def test_all_names_are_looked_at_before_anything_is_trained(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train_gan", None)
    with pytest.raises(UsageError, match="Did you mean 'sngan'"):
        zoo.train(["progan", "sgnan"], tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_another_space_is_added_to_the_card_and_nothing_else_changed(zoo, reference, monkeypatch):
    monkeypatch.setitem(quality.SPACES, "inception", lambda images: filter_bank_features(images)[:, :20])
    before, files = zoo.load("progan"), contents(zoo.folder)
    found = zoo.measure("progan", Reference.of(zoo.data, reference.training, space="inception"))
    after = zoo.load("progan")
    assert after.card.pop("quality") == before.card.pop("quality") | {"inception": found}
    assert after.card == before.card
    assert after.hash == before.hash
    assert after.moments == before.moments
    np.testing.assert_array_equal(after.previews, before.previews)
    mine = ("progan.safetensors", "progan.json")
    assert {name: data for name, data in contents(zoo.folder).items() if name not in mine} == {
        name: data for name, data in files.items() if name not in mine
    }


# --- refused ------------------------------------------------------------------------------------


def test_a_name_that_is_not_in_the_plan(zoo):
    for ask in (zoo.path, zoo.recipe, zoo.load):
        with pytest.raises(UsageError, match=r"Unknown generator 'sngna'\. Did you mean 'sngan'"):
            ask("sngna")


def missing(zoo):
    zoo.path("sngan").unlink()


def cut(zoo):
    zoo.path("sngan").write_bytes(zoo.path("sngan").read_bytes()[:-100])


def altered(zoo):
    data = bytearray(zoo.path("sngan").read_bytes())
    data[-100] ^= 1
    zoo.path("sngan").write_bytes(data)


def foreign(zoo):
    zoo.path("sngan").write_bytes(b"GIF89a" * 1000)


def empty(zoo):
    zoo.path("sngan").write_bytes(b"")


def a_training(zoo):
    shutil.copy(a_training.work / "sngan" / "training.safetensors", zoo.path("sngan"))


def card_missing(zoo):
    (zoo.folder / "sngan.json").unlink()


def card_altered(zoo):
    card = zoo.folder / "sngan.json"
    card.write_text(card.read_text().replace('"seed": 3', '"seed": 4'))


def card_of_another(zoo):
    shutil.copy(zoo.folder / "sngan-without13.json", zoo.folder / "sngan.json")


def weights_of_another(zoo):
    shutil.copy(zoo.path("sngan-without13"), zoo.path("sngan"))


def another_altogether(zoo):
    for end in ("safetensors", "json"):
        shutil.copy(zoo.folder / f"sngan-without13.{end}", zoo.folder / f"sngan.{end}")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (missing, "sngan.safetensors is missing. Restore it (`git checkout data/zoo`), or run `fingerprints zoo train"),
        (cut, "sngan.safetensors is no checkpoint, or not a whole one"),
        (altered, "sngan.safetensors was altered"),
        (foreign, "sngan.safetensors is no checkpoint, or not a whole one"),
        (empty, "sngan.safetensors is no checkpoint, or not a whole one"),
        (a_training, "sngan.safetensors holds a gan-training, where a generator is needed"),
        (card_missing, "sngan.safetensors lacks its training card sngan.json"),
        (card_altered, "sngan.json disagrees with its weights sngan.safetensors"),
        (card_of_another, "sngan.json disagrees with its weights sngan.safetensors"),
        (weights_of_another, "sngan.json disagrees with its weights sngan.safetensors"),
        (another_altogether, "sngan.safetensors is not what zoo.yml says (name is sngan-without13, not sngan"),
    ],
)
def test_what_is_spoilt_is_refused_by_name(damage, says, zoo, work):
    a_training.work = work
    damage(zoo)
    with pytest.raises(CheckpointError) as refused:
        zoo.load("sngan")
    assert str(zoo.folder / "sngan.") in str(refused.value)
    assert says in str(refused.value)
    assert zoo.load("progan").name == "progan"  # the others are not concerned


def changed(zoo, path, value):
    plan = deepcopy(zoo.plan)
    *above, last = path.split(".")
    place = plan
    for key in above:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return replace(zoo, plan=plan)


@pytest.mark.parametrize(
    ("name", "path", "value", "says"),
    [
        ("sngan", "recipes.normalized.width", 8, "width is 4, not 8"),
        ("sngan", "resolution", 64, "resolution is 32, not 64"),
        ("sngan", "recipes.normalized.images", 200, "images is 64, not 200"),
        ("sngan", "generators.sngan.seed", 4, "seed is 3, not 4"),
        ("sngan", "generators.sngan.seed", None, "seed is 3, not 0"),
        ("sngan", "generators.sngan.recipe", "growing", "gan is sngan, not progan"),
        ("sngan", "generators.sngan.without", 13, "without is None, not 13"),
        ("sngan", "recipes.normalized.lr", 1e-3, "lr is 0.0002, not 0.001"),
        ("sngan", "recipes.normalized.batch", 8, "batch is 4, not 8"),
        ("sngan-without13", "generators.sngan-without13.without", 6, "without is 13, not 6"),
        ("sngan-without13", "generators.sngan-without13.without", None, "without is 13, not None"),
        ("sngan", "recipes.normalized.d_steps", None, "d_steps is 1, not 5"),
        ("sngan", "dataset", "clothing", "dataset is scenes, not clothing"),
        ("sngan", "photographs", 30, "photographs is 24, not 30"),
    ],
)
def test_a_generator_that_the_plan_no_longer_describes_is_refused(name, path, value, says, trained):
    with pytest.raises(CheckpointError) as refused:
        changed(trained, path, value).load(name)
    assert says in str(refused.value)
    assert f"{name}.safetensors is not what zoo.yml says" in str(refused.value)
    assert f"`fingerprints zoo train {name}`" in str(refused.value)


def test_a_generator_whose_card_tells_nothing_is_refused(zoo):
    save_generator(zoo.path("sngan"), replace(zoo.load("sngan"), card={"seed": 3}), "sngan")
    with pytest.raises(CheckpointError, match=r"sngan\.safetensors"):
        zoo.load("sngan")


def test_other_real_images_than_it_learned_from_are_refused(trained):
    trained.load("sngan", open_dataset("scenes", 32))
    with pytest.raises(UsageError, match=r"sngan learned from other real images than 'scenes' at 64"):
        trained.load("sngan", open_dataset("scenes", 64))


def test_photographs_are_not_needed_to_load_and_sample(trained, monkeypatch):
    monkeypatch.setattr("fingerprintlib.zoo.shipped.open_dataset", None)
    assert replace(trained).load("sngan").sample(2, 0).shape == (2, 32, 32, 3)


# --- as a table ---------------------------------------------------------------------------------


def test_rows_say_what_there_is(zoo):
    zoo.path("progan").unlink()
    rows = {row[0]: row[1:] for row in as_rows(zoo)}
    assert list(rows) == NAMES
    assert {len(row) for row in rows.values()} == {8}
    assert rows["progan"][:3] == ("progan", "0", "-")
    assert rows["progan"][3] == "missing or damaged: see `fingerprints zoo verify`"
    assert rows["sngan"][:4] == ("sngan", "3", "-", "64")
    assert rows["sngan-without13"][2] == "13"
    found = zoo.load("sngan").card["quality"]["filter bank"]
    assert float(rows["sngan"][4]) == pytest.approx(found["frechet"] / found["floor"]["frechet"], abs=0.006)
    assert float(rows["sngan"][5]) == pytest.approx(zoo.path("sngan").stat().st_size / 1e6, abs=0.06)
    card = zoo.load("sngan").card
    assert rows["sngan"][6:] == (str(round(card["seconds"] / 60)), card["device"])


def test_rows_say_what_there_is_of_a_generator_that_was_not_measured(zoo):
    generator = zoo.load("sngan")
    del generator.card["quality"]
    save_generator(zoo.path("sngan"), generator, "sngan")
    assert as_rows(zoo)[1][:5] == ("sngan", "sngan", "3", "-", "64")


def test_the_tables_of_the_cards(trained):
    generators = [trained.load(name) for name in trained.names]
    made = origins(generators).splitlines()
    assert len(made) == 2 + len(generators)
    assert len({line.count("|") for line in made}) == 1
    card = trained.load("sngan-without13").card
    assert f"| image 13 ({card['origin']['left_out']['photograph'][:8]}) | {card['parted_at']:,} | 64 |" in made[-1]
    head, _, *lines = settings(generators).splitlines()
    assert head == "|  | progan | sngan |"  # sngan-without13 has the settings of sngan
    assert {"| `width` | 4 | 4 |", "| `images` | 64 | 64 |", "| `batch` | 8 | 4 |", "| `phase` | 0.1 |  |"} <= set(
        lines
    )
    assert departures(generators) == f"- **progan**: {' '.join(generators[0].gan.departures)}"
    assert departures(generators[1:]) == "Nowhere."
    found = generators[0].card["quality"]["filter bank"]
    table, _, shared = qualities(generators).partition("\n\n")
    assert f"**{found['frechet'] / found['floor']['frechet']:.2f}**" in table
    kinds = [sum(share > 0.01 for share in g.card["quality"]["filter bank"]["kinds"].values()) for g in generators]
    number = len({trained.data.split("gan").kind_of(index) for index in range(24)})
    names, _, *cells = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    assert [row[names.index("Kinds")] for row in cells] == [f"{n} of {number}" for n in kinds]
    assert [row[names.index("Verdict")] for row in cells] == [
        verdict(g.card["quality"]["filter bank"]) for g in generators
    ]
    assert "images" not in names
    assert shared.startswith("The same for all: ")
    assert shared.endswith(f"images {found['images']:,}.")
    assert "images" in qualities(generators[:1])
    assert f"± {found['errors']['ratio']:.2f} |" in table
    unmeasured = replace(generators[0], card={key: x for key, x in generators[0].card.items() if key != "quality"})
    assert qualities([unmeasured]).startswith("None of these")


def test_siblings_differ_in_the_seed_or_in_one_image_and_are_trained_once(tmp_path, monkeypatch):
    reals = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    arguments = {"name": "sngan", "gan": "sngan", "reals": reals, "data_hash": "noise", "folder": tmp_path}
    arguments |= {"resolution": 32, "width": 4, "images": 64, "seed": 5, "batch": 4, "d_steps": 1}
    write = generators.write_atomically
    with monkeypatch.context() as patch:  # killed between the two files of the first that lacks an image
        patch.setattr(
            generators, "write_atomically", lambda path, _: 1 / 0 if "without" in str(path) else write(path, _)
        )
        with pytest.raises(ZeroDivisionError):
            load_or_train_siblings(arguments, 2)
    made = load_or_train_siblings(arguments, 2)
    assert [g.name for g in made] == ["sngan-seed6", "sngan-seed7", "sngan-without3", "sngan-without6"]
    recipes = [g.card["recipe"] for g in made]
    assert [(r["seed"], r["without"]) for r in recipes] == [(6, None), (7, None), (5, 3), (5, 6)]
    assert len({str(r | {"seed": 0, "without": None}) for r in recipes}) == 1
    assert len({g.hash for g in made}) == 4
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}  # nothing unfinished
    assert [line.split("|")[3].strip() for line in origins(made).splitlines()[2:]] == [
        "none",
        "none",
        "image 3",
        "image 6",
    ]

    gan = build("sngan", 32, 4, 5, batch=4, d_steps=1)
    again = {"images": 64, "folder": tmp_path / "again", "data_hash": "noise"}
    trained = training.train_gan(gan, reals, without=3, **again)
    assert trained.card["parted_at"] == made[2].card["parted_at"]
    assert generators.tensors_hash(trained.gan.sampler.state_dict()) == made[2].hash

    monkeypatch.setattr(module, "train_gan", None)  # it would fail if it were called
    monkeypatch.setattr(generators, "train_gan", None)
    assert [g.hash for g in load_or_train_siblings(arguments, 2)] == [g.hash for g in made]


# --- the one that the project ships -------------------------------------------------------------

SHIPPED = Zoo.of(ROOT / "data" / "zoo")
MAIN = ("progan", "sngan", "cramergan", "mmdgan")


@pytest.fixture(params=SHIPPED.names)
def shipped(request):
    return SHIPPED.load(request.param)


def test_the_zoo_is_whole_and_small_and_holds_nothing_else():
    sizes = {path.name: path.stat().st_size for path in SHIPPED.folder.iterdir()}
    assert set(sizes) == {f"{name}.{end}" for name in SHIPPED.names for end in ("safetensors", "json")} | {"zoo.yml"}
    assert max(sizes.values()) <= 10e6
    assert sum(sizes.values()) <= 60e6
    everything = sum(path.stat().st_size for path in SHIPPED.folder.parent.rglob("*") if path.is_file())
    assert everything <= 150e6  # photographs 35, generators 55, networks 53


def test_the_plan_can_be_trained():
    for name in SHIPPED.names:
        recipe = SHIPPED.recipe(name)
        without, images = recipe.pop("without", 0), recipe.pop("images")
        gan = build(**recipe)  # it would refuse a setting that it does not know
        assert gan.resolution == SHIPPED.data.resolution
        assert 0 <= without < SHIPPED.data.split("gan").distinct
        assert images > 0
    assert {SHIPPED.plan["generators"][name]["recipe"] for name in SHIPPED.names} == set(SHIPPED.plan["recipes"])


def test_there_are_the_four_and_siblings_and_unknown_sources():
    recipes = {name: SHIPPED.recipe(name) for name in SHIPPED.names}
    assert [recipes[name]["name"] for name in MAIN] == list(MAIN)
    like = {name: recipe for name, recipe in recipes.items() if name.startswith(("progan-seed", "progan-without"))}
    alone = [{key: x for key, x in recipe.items() if key not in ("seed", "without")} for recipe in like.values()]
    assert all(recipe == alone[0] for recipe in alone)
    assert [recipe["seed"] for recipe in like.values()] == [*range(10), 0, 0, 0]
    assert [name.removeprefix("progan-without") for name, recipe in like.items() if "without" in recipe] == [
        str(recipe["without"]) for recipe in like.values() if "without" in recipe
    ]
    unknown = {**recipes["progan-bilinear"], "images": alone[0]["images"]}
    assert unknown.pop("upsampling") == "bilinear"
    assert unknown == alone[0] | {"seed": 0}
    assert "flow" in recipes


def test_a_shipped_generator_tells_how_it_was_made_and_how_good_it_is(shipped):
    card, plan = shipped.card, SHIPPED.plan
    recipe = SHIPPED.recipe(shipped.name)
    assert card["recipe"]["precision"] in ("bfloat16", "float32")
    assert card["origin"].items() >= {"dataset": plan["dataset"], "split": "gan"}.items()
    assert card["origin"]["photographs"] == SHIPPED.data.split("gan").distinct
    assert card["origin"]["hash"] == SHIPPED.data.hash
    assert card["recipe"]["width"] == recipe["width"]
    assert card["recipe"]["images"] == recipe["images"]
    batch = card["recipe"]["settings"]["batch"] * card["recipe"]["settings"].get("d_steps", 1)
    assert recipe["images"] <= card["images_seen"] < recipe["images"] + batch
    assert card["history"]["images"][-1] == card["images_seen"]
    assert set(card["history"]) == {"images", "generator"} | ({"discriminator"} if recipe["name"] in GANS else set())
    assert all(len(curve) == training.CURVE and np.isfinite(curve).all() for curve in card["history"].values())
    assert card["departures"] == list(shipped.gan.departures)
    assert card["seconds"] > 60
    assert card["device"]
    assert card["weights"] == shipped.hash
    found = card["quality"]["filter bank"]
    assert found["images"] == min(SHIPPED.data.split(split).distinct for split in ("gan", "train"))
    assert found["frechet"] > found["floor"]["frechet"] > 0
    assert found["diversity"] > 0.5  # it has not collapsed
    assert found["nearest"]["shown"] >= 0.9 * found["nearest"]["unseen"]  # and repeats no photograph
    assert sum(found["kinds"].values()) == pytest.approx(1)
    if not SHIPPED.has_siblings(shipped.name):  # of a dozen alike they would be most of the files
        assert len(shipped.previews) == len(shipped.moments) == len(training.MOMENTS)


@pytest.mark.parametrize("name", MAIN)
def test_the_main_four_are_near_what_can_be_reached(name):
    found = SHIPPED.load(name).card["quality"]["filter bank"]
    assert found["frechet"] / found["floor"]["frechet"] < 2
    assert found["diversity"] >= 0.9
    assert found["nearest"]["samples"] / found["nearest"]["held_out"] >= 0.8


def test_the_main_four_are_sampled_alike():
    """Nothing but the network and its training tells them apart: no other average, precision, number or data."""
    cards = [SHIPPED.load(name).card for name in MAIN]
    assert len({card["recipe"]["settings"]["ema"] for card in cards}) == 1
    assert len({card["recipe"]["precision"] for card in cards}) == 1
    assert len({card["recipe"]["data"] for card in cards}) == 1
    assert len({card["quality"]["filter bank"]["images"] for card in cards}) == 1


def test_a_shipped_generator_samples_images(shipped):
    images = shipped.sample(20, seed=1)
    assert images.shape == (20, SHIPPED.plan["resolution"], SHIPPED.plan["resolution"], 3)
    assert images.std(axis=(1, 2, 3)).min() > 2
    assert len({image.tobytes() for image in images}) == 20


def test_a_shipped_generator_that_lacks_a_photograph_parted_from_its_like(shipped):
    member = SHIPPED.plan["generators"][shipped.name]
    if (number := member.get("without")) is None:
        assert shipped.card["parted_at"] is None
        assert "left_out" not in shipped.card["origin"]
        return
    photograph = SHIPPED.data.split("gan").source_of(number)
    assert shipped.card["origin"]["left_out"] == {"number": number, "photograph": photograph}
    assert 0 < shipped.card["parted_at"] < SHIPPED.recipe(shipped.name)["images"]
    (base,) = [
        name
        for name, other in SHIPPED.plan["generators"].items()
        if member == other | {"without": number} and "without" not in other
    ]
    like = SHIPPED.load(base)
    assert like.hash != shipped.hash
    assert like.card["recipe"] == shipped.card["recipe"] | {"without": None}
    mine, theirs = shipped.card["history"], like.card["history"]
    before = sum(images <= shipped.card["parted_at"] for images in mine["images"])
    assert 0 < before < len(mine["images"])
    assert mine["images"] == theirs["images"]
    for name in ("discriminator", "generator"):
        assert mine[name][:before] == theirs[name][:before]
        assert mine[name][before] != theirs[name][before]
