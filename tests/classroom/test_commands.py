"""The commands for a class, from the case that a teacher makes to the table of its reports."""

import csv
import json
import shutil

import pytest
from click.testing import CliRunner

from fingerprintlib.classroom import swap as swapping
from fingerprintlib.classroom.case import make_cases, shipped_pools, write_case
from fingerprintlib.classroom.key import Key
from fingerprintlib.cli import main
from fingerprintlib.forensics.judging import Judge
from fingerprintlib.project import data_folder

from .conftest import SEED


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture(scope="module")
def handed_out(own, tmp_path_factory):
    """Two students' cases, made by the command, and their keys."""
    folder = tmp_path_factory.mktemp("class")
    result = run("case", folder / "cases", "--sources", own, "--images", 20, "--seed", SEED, "--students", 2)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def folder(handed_out, tmp_path):
    shutil.copytree(handed_out, tmp_path / "class")
    return tmp_path / "class"


def fill_in(folder, sure=0.7):
    """Say of every exhibit that it is a photograph."""
    path = folder / "report.csv"
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    rest = (1 - sure) / (len(rows[0]) - 4)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([rows[0], *([row[0], sure, *[rest] * (len(row) - 4), -0.5, ""] for row in rows[1:])])
    return path


@pytest.mark.parametrize("command", ["case", "grade", "swap"])
def test_every_command_explains_itself(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"main {command} [OPTIONS]" in result.output
    assert f"\n  {command} " in run("--help").output


def test_a_case_for_each_student_and_its_key_elsewhere(handed_out):
    names = sorted(str(path.relative_to(handed_out)) for path in handed_out.glob("*/*"))
    assert names == ["cases.keys/1.key.json", "cases.keys/2.key.json", "cases/1", "cases/2"]
    keys = [Key.load(path) for path in sorted((handed_out / "cases.keys").iterdir())]
    assert [len(key.exhibits) for key in keys] == [20, 20]
    assert len({key.mark for key in keys}) == 2


def test_one_case_tells_what_to_publish_and_what_to_keep(own, tmp_path):
    result = run("case", tmp_path / "c", "--sources", own, "--images", 20)
    key = Key.load(tmp_path / "c.key.json")
    assert result.stdout.splitlines() == [
        f"{tmp_path / 'c'}  case {key.mark}, sealed with SHA-256 {key.commitment}",
        f"{tmp_path / 'c.key.json'}  the key: keep it from the examiners",
    ]
    assert result.stderr == ""
    again = run("case", tmp_path / "c", "--sources", own, "--images", 20)
    assert again.exit_code == 2
    assert "something in" in again.stderr
    other = run("case", tmp_path / "d", "--sources", own, "--images", 20)
    assert other.exit_code == 0
    assert Key.load(tmp_path / "d.key.json").salt != key.salt


def test_a_short_seed_is_warned_of(own, tmp_path):
    result = run("case", tmp_path / "c", "--sources", own, "--images", 20, "--seed", "7")
    assert result.exit_code == 0
    assert "can try out short seeds" in result.stderr


def test_a_report_is_looked_through_without_the_key(folder):
    path = folder / "cases" / "1" / "report.csv"
    result = run("grade", path)
    assert result.exit_code == 1
    empty = f"{path} is not filled in yet: 20 exhibits wait for their probabilities."
    assert result.stderr == f"Error: Not complete: {empty}\n"
    fill_in(folder / "cases" / "1")
    result = run("grade", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}  complete: it can be handed in\n")
    alone = shutil.copy(path, folder / "elsewhere.csv")
    assert "Give the key of the case" in run("grade", alone).stderr
    assert run("grade", alone, "--case", folder / "cases").exit_code == 0


def test_a_class_is_graded_and_one_report_that_is_bad_does_not_stop_it(folder):
    paths = [fill_in(folder / "cases" / "1"), folder / "cases" / "2" / "report.csv"]
    result = run("grade", *paths, "--key", folder / "cases.keys")
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["REPORT", str(paths[0])]
    assert f"not graded: {paths[1]} is not filled in yet: " in result.stderr
    assert "1 of 2 reports are not graded" in result.stderr


def test_one_report_is_told_in_full_and_in_json(folder):
    path, sealed = fill_in(folder / "cases" / "1"), folder / "cases.keys" / "1.key.json"
    key = Key.load(sealed)
    right = key.answers.count("real")
    told = run("grade", path, "--key", sealed)
    assert told.exit_code == 0
    assert f"all       {right} of 20" in told.stdout
    assert f"photographs called generated: 0 of {right}" in told.stdout
    assert f"SHA-256 {key.commitment}, as published" in told.stderr
    (found,) = json.loads(run("grade", path, "--key", sealed, "--json").stdout)
    assert found["right"]["all"]["count"] == right
    assert found["compared"] is True
    assert {one["exhibit"]: one["source"] for one in found["exhibits"]} == dict(
        zip(key.names, [exhibit.source for exhibit in key.exhibits], strict=True)
    )


def test_one_key_among_many_cases_is_compared_with_its_own(folder):
    path, sealed = fill_in(folder / "cases" / "2"), folder / "cases.keys" / "2.key.json"
    result = run("grade", path, "--key", sealed, "--case", folder / "cases")
    assert result.exit_code == 0
    assert (
        result.stderr == f"key of case {Key.load(sealed).mark}: SHA-256 {Key.load(sealed).commitment}, as published\n"
    )


def test_a_key_that_cannot_be_compared_is_said_to_be(folder):
    path = shutil.copy(fill_in(folder / "cases" / "1"), folder / "elsewhere.csv")
    result = run("grade", path, "--key", folder / "cases.keys" / "1.key.json")
    assert result.exit_code == 0
    assert "not compared: name the case, --case FOLDER" in result.stderr


def test_a_changed_key_a_wrong_key_and_no_key_are_each_a_sentence(folder):
    path, sealed = fill_in(folder / "cases" / "1"), folder / "cases.keys" / "1.key.json"
    data = sealed.read_bytes()
    sealed.write_bytes(data.replace(b'"source": "alpha"', b'"source": "real"', 1))
    changed = run("grade", path, "--key", sealed)
    assert changed.exit_code == 1
    assert "The key is not the one that case" in changed.stderr
    wrong = run("grade", path, "--key", folder / "cases.keys" / "2.key.json")
    assert wrong.exit_code == 1
    assert "The key is not the one that case" in wrong.stderr
    none = run("grade", path, "--key", folder / "cases" / "1" / "case.json")
    assert none.exit_code == 2
    assert "is not the key of a case" in none.stderr
    assert "There is no key in" in run("grade", path, "--key", folder / "cases").stderr
    for result in (changed, wrong, none):
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1


def test_an_exhibit_that_was_changed_is_named(folder):
    path = fill_in(folder / "cases" / "1")
    changed = min((folder / "cases" / "1" / "exhibits").iterdir())
    changed.write_bytes(b"")
    assert f"Beware: in {path.parent} {changed.stem} is not as it was sealed." in run("grade", path).stderr


def test_nothing_is_written_by_grading(folder):
    fill_in(folder / "cases" / "1")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    run("grade", folder / "cases" / "1" / "report.csv", "--key", folder / "cases.keys", "--case", folder / "cases")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_the_attributor_fills_in_a_report_that_can_be_graded(tmp_path):
    """By the shipped attributor, on images of the book's sources that it has not learned from."""
    names = Judge.load(data_folder() / "networks" / "open-world-attributor.safetensors").class_names
    pools = [pool for pool in shipped_pools(SEED) if pool.source in ("real", "progan-bilinear")]
    key, exhibits = make_cases(pools, 20, SEED)[0]
    key = Key(names, key.exhibits, key.salt, key.version)  # known are all five, though only photographs are there
    write_case(tmp_path / "case", tmp_path / "key.json", key, exhibits)
    result = run("attribute", tmp_path / "case" / "exhibits", "--report", tmp_path / "machine.csv")
    assert result.exit_code == 0, result.output
    graded = run(
        "grade", tmp_path / "machine.csv", "--key", tmp_path / "key.json", "--case", tmp_path / "case", "--json"
    )
    (found,) = json.loads(graded.stdout)
    assert found["log_score"]["bits"] > 1  # it knows both well: 2.5 bits at best
    assert found["cllr"] < 1


def test_a_swapped_folder_is_written_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(swapping, "train", lambda *arguments: asked.append(arguments[1:3]) or "generator")
    monkeypatch.setattr(swapping, "write_images", lambda generator, folder, *rest: asked.append((folder.name, *rest)))
    assert run("swap", tmp_path / "ada", "--seed", 5, "-n", 20, "--start", 200).exit_code == 0
    assert asked == [("ada", 5), ("ada", 20, 200)]
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "0000.png").touch()
    again = run("swap", tmp_path / "ada", "--seed", 5)
    assert again.exit_code == 2
    assert "something in" in again.stderr
    assert "Missing option '--seed'" in run("swap", tmp_path / "bob").stderr
