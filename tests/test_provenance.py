import errno
import functools
import hashlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerprintlib import provenance
from fingerprintlib.provenance import content_hash, file_hash, files_in, recipe_hash, write_atomically, write_json

# --- hashes -------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def _reordered(value):
    if isinstance(value, dict):
        return {key: _reordered(value[key]) for key in reversed(value)}
    return [_reordered(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(max_size=5), JSON, min_size=1, max_size=5), JSON)
def test_a_recipes_hash_depends_on_its_content_but_not_on_the_order_of_keys(recipe, other):
    assert recipe_hash(_reordered(recipe)) == recipe_hash(recipe)
    key = next(iter(recipe))
    changed = {**recipe, key: other}
    same = json.dumps(changed, sort_keys=True) == json.dumps(recipe, sort_keys=True)
    assert (recipe_hash(changed) == recipe_hash(recipe)) == same


def test_the_order_of_a_list_matters():
    assert recipe_hash([1, 2]) != recipe_hash([2, 1])
    assert recipe_hash({"a": 1}) != recipe_hash({"a": "1"})


@given(st.binary(max_size=100), st.integers(0, 100))
def test_content_hash_is_blake2b_of_the_concatenation(data, cut):
    assert content_hash(data[:cut], bytearray(data[cut:])) == hashlib.blake2b(data, digest_size=16).hexdigest()


def test_file_hash_reads_all_blocks(tmp_path):
    data = os.urandom((1 << 20) + 7)
    (tmp_path / "file").write_bytes(data)
    assert file_hash(tmp_path / "file") == content_hash(data)


# --- the files of a folder ----------------------------------------------------------------------


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    wanted = ["a.md", "b/c.md", "b/d"]
    for name in (*wanted, ".a.md.swp", ".ipynb_checkpoints/a-checkpoint.md", "b/.git/c", "b/__pycache__/c.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert files_in(tmp_path) == [tmp_path / name for name in wanted]
    hidden = tmp_path / "b" / ".git"
    assert files_in(hidden) == [hidden / "c"]  # asked for by name
    assert files_in(tmp_path / "nowhere") == []


def test_links_are_followed_and_circles_end(tmp_path):
    for name in ("here/one", "away/two", "away/below/three"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    here = tmp_path / "here"
    (here / "away").symlink_to(tmp_path / "away")
    (here / "again").symlink_to(tmp_path / "away" / "below")
    (here / "circle").symlink_to(here)
    (tmp_path / "away" / "back").symlink_to(here)
    (here / "file").symlink_to(tmp_path / "away" / "two")
    (here / "broken").symlink_to(tmp_path / "nowhere")
    assert [str(path.relative_to(here)) for path in files_in(here)] == ["again/three", "away/two", "file", "one"]


# --- writing ------------------------------------------------------------------------------------


def test_writes_bytes_and_text_into_folders_that_it_makes(tmp_path):
    write_atomically(tmp_path / "a" / "b", b"\x00\xff")
    assert (tmp_path / "a" / "b").read_bytes() == b"\x00\xff"
    write_atomically(str(tmp_path / "a" / "b"), "née")
    assert (tmp_path / "a" / "b").read_text(encoding="utf-8") == "née"
    assert os.listdir(tmp_path / "a") == ["b"]


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "away").mkdir()
    target, link = tmp_path / "away" / "file", tmp_path / "link"
    link.symlink_to(target)
    for text in ("first", "second"):
        write_atomically(link, text)
        assert target.read_text() == text
        assert link.is_symlink()
    assert os.listdir(tmp_path / "away") == ["file"]


@pytest.mark.parametrize("length", [249, 255])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path, length):
    path = tmp_path / ("n" * length)
    write_atomically(path, "text")
    assert path.read_text() == "text"


@pytest.mark.parametrize("moment", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("old", ["old", None])
def test_whatever_goes_wrong_the_old_file_stays_and_nothing_else(tmp_path, monkeypatch, moment, error, old):
    path = tmp_path / "file.json"
    if old:
        path.write_text(old)

    def fail(*arguments):
        assert len(os.listdir(tmp_path)) == (2 if old else 1)  # the new one is being written beside the old
        raise error

    monkeypatch.setattr(os, moment, fail)
    with pytest.raises(type(error)):
        write_atomically(path, "new")
    assert (path.read_text() if old else None) == old
    assert os.listdir(tmp_path) == (["file.json"] if old else [])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    path.write_text("old")
    full = functools.partial(open, "/dev/full", "wb")
    monkeypatch.setattr(provenance, "open", lambda *_: full(), raising=False)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, "new")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"


@given(JSON)
def test_json_is_read_back_and_does_not_depend_on_the_order_of_keys(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    data = path.read_bytes()
    assert json.loads(data) == value
    assert data.endswith(b"\n")
    write_json(path, _reordered(value))
    assert path.read_bytes() == data
