import ast
import tomllib

import pytest

from fingerprintlib import codehash
from fingerprintlib.book import house


def test_a_room_uses_only_what_stands_above_it():
    order = list(house.rooms())
    assert order[0] == house.GROUND
    assert order[-1] == house.DOORS
    assert {"data", "gans", "attribution", "zoo", "attacks", "analysis", "plots", "book"} <= set(order)
    for user, used in house.uses():
        assert order.index(used) < order.index(user)


def test_every_file_says_in_a_sentence_what_it_does():
    for name, sentence in house.modules().items():
        assert sentence.endswith((".", "?")), name
        assert len(sentence) < 160, name


def test_every_room_says_what_lives_there_in_five_lines():
    rooms = [path for path in codehash.ROOT.iterdir() if (path / "__init__.py").is_file()]
    assert len(rooms) == 11
    for room in rooms:
        told = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
        assert 2 <= len(told.splitlines()) <= 6, room.name


def test_two_rooms_that_use_each_other_are_refused(tmp_path, monkeypatch):
    files = {"one/a.py": "from ..two import b", "two/b.py": "", "two/c.py": "from ..one.a import x"}
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
        (tmp_path / name).with_name("__init__.py").touch()
    (tmp_path / "__init__.py").touch()
    for module in (codehash, house):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    for name in ("modules", "uses", "rooms", "_room", "_used_by"):  # of another library nothing is known yet
        monkeypatch.setattr(house, name, getattr(house, name).__wrapped__)
    assert house.uses() == {("one", "two"): 1, ("two", "one"): 1}
    with pytest.raises(ValueError, match="cycle"):
        house.rooms()


def test_the_page_shows_every_file_and_the_way_of_an_image():
    text, png = house.house_page()
    assert png.startswith(b"\x89PNG")
    for name in house.modules():
        if not (codehash.ROOT / name.replace(".", "/")).is_dir():
            assert f"`{name.split('.')[-1]}.py`" in text
    assert sorted(house.way()) == sorted({module.split(".")[0] for module in house.WAY.values()})
    assert "1 a photograph" in house.way()["data"]


def test_every_room_of_tests_is_visited():
    project = codehash.ROOT.parent
    visited = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    rooms = {f"tests/{path.parent.name}" for path in (project / "tests").glob("*/__init__.py")}
    assert set(visited) == rooms - {"tests/benchmarks"} | {"tests/test_*.py"}
