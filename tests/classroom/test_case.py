import csv
import io
import re
import zlib
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from fingerprintlib.classroom import case as cases
from fingerprintlib.classroom.case import Pool, folder_pools, make_cases, shipped_pools, write_case
from fingerprintlib.classroom.key import KINDS
from fingerprintlib.errors import UsageError
from fingerprintlib.gans import GANS
from fingerprintlib.zoo.shipped import Zoo

from ..conftest import ROOT
from .conftest import SEED


def chunks(png):
    """Names and contents of a PNG file's chunks, read by hand."""
    found, place = [], 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4])
        found.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def fake_pools(kinds):
    """Pools of which an image says where it is from: its value is the number of the pool."""

    def taking(value):
        return lambda counts, rngs: [(np.full((n, 2, 2, 3), value, np.uint8), [None] * n) for n in counts]

    return [Pool(f"s{number}", kind, taking(number)) for number, kind in enumerate(kinds)]


# --- nothing but pixels tells -------------------------------------------------------------------


def test_files_differ_in_nothing_but_pixels(case):
    files = sorted((case / "exhibits").iterdir())
    assert len({path.stat().st_size for path in files}) == 1
    assert {path.stat().st_mtime for path in files} == {cases.DATE}
    assert len({path.stat().st_mode for path in files}) == 1
    assert all(re.fullmatch(r"[B-Z]{6}-\d\d\.png", path.name) for path in files)
    for path in files:
        names, contents = zip(*chunks(path.read_bytes()), strict=True)
        assert names == (b"IHDR", b"IDAT", b"IEND")  # no metadata
        assert contents[1][:2] == b"\x78\x01"  # zlib's mark of the level that does not compress
        assert len(zlib.decompress(contents[1])) == 64 * (1 + 3 * 64)


def test_an_image_that_is_flat_makes_no_smaller_file_than_noise():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert len(cases._png(noise)) == len(cases._png(np.zeros((64, 64, 3), np.uint8)))


def test_pixels_are_those_of_the_source(own, made):
    key, exhibits = made
    known = {name: [np.array(Image.open(path)).tobytes() for path in (own / name).iterdir()] for name in key.sources}
    for exhibit, png in zip(key.exhibits, exhibits, strict=True):
        if exhibit.source in known:
            assert np.array(Image.open(io.BytesIO(png))).tobytes() in known[exhibit.source]
    assert len(set(exhibits)) == len(exhibits)


def test_no_file_that_is_given_away_says_what_an_exhibit_is(case, made):
    texts = {path.name: path.read_text() for path in case.iterdir() if path.is_file()}
    assert {*texts} == {"README.md", "case.json", "custody.md", "report.csv", "report.md"}
    assert not any("$" in text for text in texts.values())  # all facts are filled in
    rows = list(csv.DictReader(texts["report.csv"].splitlines()))
    assert [row.pop("exhibit") for row in rows] == [*made[0].names]
    assert not any(any(row.values()) for row in rows)


def test_neither_number_nor_neighbour_tells_the_kind():
    """Over many cases a kind stands in the middle of the numbers on average, and beside its like as often as chance."""
    pools, places, pairs = fake_pools(KINDS), {kind: [] for kind in KINDS}, []
    for number in range(300):
        kinds = [KINDS[k] for k in cases._deal(pools, 60, np.random.default_rng(number))]
        for place, kind in enumerate(kinds):
            places[kind].append(place)
        shares = [count / 60 for count in Counter(kinds).values()]
        expected = sum(share * (60 * share - 1) / 59 for share in shares)
        pairs.append(np.mean([a == b for a, b in pairwise(kinds)]) - expected)
    for found in places.values():  # 29.5 is the middle; 60 / sqrt(12) the spread of one number
        assert abs(np.mean(found) - 29.5) < 4 * 17.3 / np.sqrt(len(found))
    assert abs(np.mean(pairs)) < 4 * np.std(pairs) / np.sqrt(len(pairs))


def test_counts_are_drawn_so_that_nobody_can_count_off():
    pools = fake_pools(KINDS)
    counts = np.array(
        [np.bincount(cases._deal(pools, 60, np.random.default_rng(number)), minlength=4) for number in range(200)]
    )
    assert counts.min() >= 6  # a tenth
    assert (counts.std(0) > 1.5).all()
    assert np.allclose(
        counts.mean(0) / 60, np.array([6 + 36 * share for share in (0.35, 0.35, 0.15, 0.15)]) / 60, atol=0.02
    )


def test_photographs_are_of_different_photographers_as_far_as_there_are():
    groups = ["a"] * 20 + ["b", "c", "c"]
    for number in range(20):
        rng = np.random.default_rng(number)
        assert {groups[i] for i in cases._choose(groups, 3, rng)} == {"a", "b", "c"}
        assert Counter(groups[i] for i in cases._choose(groups, 6, rng))["a"] == 3
    assert sorted(cases._choose(groups, 23, rng)) == [*range(23)]


# --- seeds and variants -------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_case_and_another_another(own, made):
    pools = folder_pools(own)
    assert make_cases(pools, 30, SEED) == [made]
    assert make_cases(pools, 30, SEED + ".")[0][0].commitment != made[0].commitment


def test_every_student_has_a_case_of_his_own_whoever_else_there_is(own, made):
    pools = folder_pools(own)
    three = make_cases(pools, 30, SEED, 3)
    assert three[0] == made
    assert make_cases(pools, 30, SEED, 2) == three[:2]
    assert len({key.mark for key, _ in three}) == 3
    assert len({key.salt for key, _ in three}) == 3
    assert len({key.answers for key, _ in three}) == 3


def test_no_seed_is_in_a_key(made):
    assert SEED.encode() not in made[0].encoded


def test_a_seed_that_nobody_chose_is_another_each_time():
    assert len({cases.any_seed() for _ in range(20)}) == 20


# --- sources ------------------------------------------------------------------------------------


def test_the_books_sources_are_known_siblings_or_strangers():
    zoo = Zoo.of(ROOT / "data" / "zoo")
    kinds = {pool.source: pool.kind for pool in shipped_pools(SEED)}
    assert [name for name, kind in kinds.items() if kind == "photograph"] == ["real"]
    assert {name for name, kind in kinds.items() if kind == "generator"} == {*GANS}
    assert {name for name, kind in kinds.items() if kind == "stranger"} == {"progan-bilinear", "vae", "flow"}
    siblings = {name for name, kind in kinds.items() if kind == "sibling"}
    assert siblings == {name for name in zoo.names if "-seed" in name or "-without" in name}


def test_images_of_a_generator_come_from_its_seed_and_go_to_the_cases_in_turn():
    pools = {pool.source: pool for pool in shipped_pools(SEED)}
    (one, _), (two, groups) = pools["progan-seed0"].take([2, 3], [])
    assert (one.shape, two.shape, groups) == ((2, 64, 64, 3), (3, 64, 64, 3), [None] * 3)
    alone = Zoo.of(ROOT / "data" / "zoo").load("progan-seed0").sample(5, cases._number(SEED, "progan-seed0") % 2**63)
    assert np.array_equal(np.concatenate([one, two]), alone)


def test_photographs_are_those_of_the_test_split():
    (pool,) = [pool for pool in shipped_pools(SEED) if pool.source == "real"]
    ((images, groups),) = pool.take([4], [np.random.default_rng(0)])
    test = Zoo.of(ROOT / "data" / "zoo").data.split("test")
    mine = [i for i in range(test.available) if test.group_of(i) in groups]
    known = {test.image(i).tobytes(): test.group_of(i) for i in mine}
    assert [known[image.tobytes()] for image in images] == groups


def test_too_few_images_are_refused(own):
    with pytest.raises(UsageError, match=r"The source 'real' has 24 images, and \d+ are wanted of it"):
        make_cases(folder_pools(own), 200, SEED)


def test_a_file_that_cannot_be_an_exhibit_is_named(own, tmp_path):
    for name in ("real", "alpha"):
        (tmp_path / name).mkdir()
        for path in [*(own / name).iterdir()][:3]:
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    Image.new("RGB", (40, 64)).save(tmp_path / "alpha" / "small.png")
    with pytest.raises(UsageError, match=r"small\.png has 40 x 64 pixels"):
        folder_pools(tmp_path)


# --- places -------------------------------------------------------------------------------------


def test_the_key_is_apart_and_for_its_owner_alone(case, tmp_path):
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["case", "case.key.json"]
    assert (tmp_path / "case.key.json").stat().st_mode & 0o077 == 0


def test_nothing_that_is_there_is_overwritten_and_no_key_lies_among_exhibits(case, made, tmp_path):
    key = tmp_path / "case.key.json"
    before = key.read_bytes()
    with pytest.raises(UsageError, match="something in"):
        write_case(case, tmp_path / "other.json", *made)
    with pytest.raises(UsageError, match="There is a key"):
        write_case(tmp_path / "other", key, *made)
    with pytest.raises(UsageError, match="among the exhibits"):
        write_case(tmp_path / "other", tmp_path / "other" / "key.json", *made)
    assert key.read_bytes() == before
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["case", "case.key.json"]
