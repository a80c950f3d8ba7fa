import hashlib
import json
import re
from dataclasses import replace

import pytest

from fingerprintlib.classroom.key import LETTERS, Exhibit, Key, Published, mark_of
from fingerprintlib.errors import FingerprintsError, UsageError

KEY = Key(
    ("real", "alpha"), (Exhibit("real", "photograph", "0" * 64, "7"), Exhibit("z", "stranger", "1" * 64)), "s", "1"
)


def test_the_commitment_is_the_hash_of_the_file_as_any_program_computes_it(case, tmp_path):
    data = (tmp_path / "case.key.json").read_bytes()
    published = json.loads((case / "case.json").read_text())
    assert hashlib.sha256(data).hexdigest() == published["commitment"]
    assert Key.load(tmp_path / "case.key.json").commitment == published["commitment"]
    assert published["commitment"] in (case / "custody.md").read_text()


def test_the_salt_is_in_the_key_alone_and_without_it_the_answers_do_not_give_the_hash(case, tmp_path):
    key = Key.load(tmp_path / "case.key.json")
    assert re.fullmatch("[0-9a-f]{64}", key.salt)
    assert not any(key.salt in path.read_text() for path in case.iterdir() if path.is_file())
    assert replace(key, salt="0" * 64).commitment != key.commitment


def test_a_mark_is_what_the_hash_is_in_base_20():
    digest = hashlib.sha256(b"a").hexdigest()
    rest = int(digest[:32], 16)
    assert mark_of(digest) == "".join(LETTERS[rest // 20**place % 20] for place in range(6))
    assert not set(LETTERS) & set("AEIOUY")  # neither words nor months


def test_the_right_answers_are_known_sources_or_unknown():
    assert KEY.answers == ("real", "unknown")
    assert KEY.names == (f"{KEY.mark}-1", f"{KEY.mark}-2")


def test_a_key_is_read_as_it_was_written(tmp_path):
    (tmp_path / "k").write_bytes(KEY.encoded)
    assert Key.load(tmp_path / "k") == KEY


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(json.loads(KEY.encoded)).encode(),  # the same values, written by another program
        KEY.encoded.replace(b"stranger", b"neighbour"),
        KEY.encoded.replace(b'"salt"', b'"pepper"'),
        replace(KEY, sources=("real", "\x1b[31m")).encoded,
    ],
)
def test_what_is_no_key_is_refused(tmp_path, data):
    (tmp_path / "k").write_bytes(data)
    with pytest.raises(UsageError, match=r"k is not the key of a case"):
        Key.load(tmp_path / "k")


def test_a_key_that_was_changed_after_sealing_is_found_out():
    changed = replace(KEY, exhibits=(*KEY.exhibits[:1], replace(KEY.exhibits[1], source="alpha", kind="generator")))
    KEY.published.require(KEY)
    with pytest.raises(FingerprintsError, match=f"{KEY.commitment} was published"):
        KEY.published.require(changed)


def test_what_is_published_names_no_source_of_an_exhibit(case, made):
    told = json.loads((case / "case.json").read_text())
    assert {*told} == {"sources", "exhibits", "commitment", "version"}
    assert told["sources"] == ["real", "alpha", "beta"]
    assert {*told["exhibits"].values()} == {hashlib.sha256(png).hexdigest() for png in made[1]}


def test_exhibits_that_were_changed_or_lost_are_named(case):
    published = Published.load(case)
    assert published.altered(case) == []
    first, second, *_ = published.names
    with open(case / "exhibits" / f"{first}.png", "ab") as file:
        file.write(b"0")
    (case / "exhibits" / f"{second}.png").unlink()
    assert published.altered(case) == [first, second]


def test_a_published_case_reads_no_file_outside_of_its_folder(case):
    told = json.loads((case / "case.json").read_text())
    for name in ("../../secret", "\x1b[31m-1", "BCDFGH-\u0664"):
        (case / "case.json").write_text(json.dumps({**told, "exhibits": {name: "0" * 64}}))
        with pytest.raises(UsageError, match=r"case\.json is damaged"):
            Published.load(case)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"sources": 1}', b"[" * 100_000])
def test_a_damaged_case_is_refused(case, data):
    (case / "case.json").write_bytes(data)
    with pytest.raises(UsageError, match=r"case\.json is damaged"):
        Published.load(case)
    (case / "case.json").unlink()
    with pytest.raises(UsageError, match="There is no case in"):
        Published.load(case)
