"""The commands about a reader's own images, from the files that they are given to those that they write."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fingerprintlib import progress
from fingerprintlib.attribution import training
from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.cli import main
from fingerprintlib.cli_images import in_a_line
from fingerprintlib.data.decoding import decode
from fingerprintlib.errors import FingerprintsError
from fingerprintlib.forensics import learning
from fingerprintlib.forensics.judging import Judge, Verdict
from fingerprintlib.forensics.pictures import Pictures

from .forensics.planted import NAMES, labelled, planted, write
from .wild import PASSED_OVER, READ, REFUSED

WIDTH = 0.0625


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """An attributor of what is planted."""
    folder = tmp_path_factory.mktemp("attributor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINGERPRINTS_QUIET", "1")
        made = learning.learn(Pictures.dealt(*labelled(60), NAMES), folder, steps=40, width=WIDTH)
    made.save(folder / "a.safetensors")
    return folder / "a.safetensors"


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "images", [planted(name, 1)[0] for name in NAMES])
    return tmp_path / "images"


def rows_of(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("command", ["attribute", "learn", "add-source"])
def test_every_command_explains_itself(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"main {command} [OPTIONS]" in result.output
    if command != "attribute":
        assert "FILE.unfinished" in result.output
    assert f"\n  {command} " in run("--help").output


# --- attribute ----------------------------------------------------------------------------------


def test_of_a_wild_folder_every_file_is_judged_named_or_counted(wild, file, tmp_path):
    result = run("attribute", wild, "--attributor", file, "--json", "--csv", tmp_path / "table.csv")
    assert result.exit_code == 1
    found = {json.loads(line)["file"]: json.loads(line) for line in result.stdout.splitlines()}
    judged = {str(wild / name) for name in READ}
    refused = {str(wild / name) for name in REFUSED}
    assert {name for name, told in found.items() if "answer" in told} == judged
    assert {name for name, told in found.items() if "error" in told} == refused
    for name, why in REFUSED.items():
        (line,) = [line for line in result.stderr.splitlines() if line.startswith(f"not read: {wild / name}")]
        assert re.search(why, line)
        assert line.endswith(found[str(wild / name)]["error"])
    assert f"{len(judged)} of {len(judged | refused)} images judged: " in result.stderr
    assert f"{len(PASSED_OVER)} passed over: hidden (4)" in result.stderr
    assert "HEIC files are not read: export them as JPEG" in result.stderr
    assert f"Error: {len(refused)} of {len(judged | refused)} image files could not be read" in result.stderr
    table = rows_of(tmp_path / "table.csv")
    assert [row["file"] for row in table] == [*found]
    for row in table:
        told = found[row["file"]]
        assert row["not read"] == told.get("error", "")
        assert row["answer"] == told.get("answer", "")
        if "answer" in told:
            assert [float(row[f"p({name})"]) for name in NAMES] == [round(told["probabilities"][n], 4) for n in NAMES]
    assert [path.name for path in tmp_path.iterdir() if path.name != "wild"] == ["table.csv"]


def test_a_line_an_image_for_people(wild, file):
    names = ["photo.png", "new\nline.png", "caf\udce9.png"]
    result = run("attribute", *(wild / name for name in names), "--attributor", file)
    assert result.exit_code == 0
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["FILE", "ANSWER", "LIKELIEST", "GENERATED", "OR", "REAL", "REMARKS"]
    assert "Knows: real, columns, rows." in result.stderr
    assert len(lines) == 3
    assert [repr(str(wild / name))[1:-1] in line for name, line in zip(names, lines, strict=True)] == [True] * 3


def test_columns_do_not_shift_with_wide_characters(file, folder, monkeypatch):
    monkeypatch.chdir(folder)
    shutil.copy(folder / "000.png", folder / "写真の一.png")
    shutil.copy(folder / "000.png", folder / "cafe\u0301.png")
    heading, *lines = run("attribute", ".", "--attributor", file).stdout.splitlines()
    assert len(lines) == 5
    for line in lines:
        name = re.match(r".*?\.png +", line)[0]
        width = len(name) + 4 * ("写" in name) - ("\u0301" in name)  # four wide characters, and a mark
        assert width == heading.index("ANSWER")


def test_before_the_first_verdict_it_says_that_it_loads(file, folder, monkeypatch):
    def judge_files(self, paths):
        time.sleep(0.3)
        yield from original(self, paths)

    original = Judge.judge_files
    monkeypatch.setattr(Judge, "judge_files", judge_files)
    monkeypatch.setattr("fingerprintlib.progress.waiting", partial(progress.waiting, delay=0.1))
    assert "loading" not in run("attribute", folder, "--attributor", file).stderr  # quiet
    monkeypatch.delenv("FINGERPRINTS_QUIET")
    assert "loading ...\n" in run("attribute", folder, "--attributor", file).stderr


def verdict(answer, evidence, origin, **others):
    shares = dict(zip(NAMES, (0.01, 0.98, 0.01), strict=True))
    return Verdict(answer, shares, evidence, origin, -1.0 if answer == "unknown" else 5.0, 1.0, (0.98, 0.98), **others)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            verdict("columns", 2.9, "generated"),
            "columns 98.0%  generated: at least 790 times likelier generated than a",
        ),
        (verdict("columns", 1.52, "generated"), "about 33 times likelier generated than a photograph"),
        (verdict("real", -3.456, "real"), "real: at least 2,800 times likelier a photograph than generated"),
        (verdict("columns", -0.1, "undecided"), "undecided: about as likely generated as a photograph"),
        (verdict("unknown", 2.9, "undecided"), "undecided: neither evidence for a fake nor for a photograph"),
        (verdict("unsure", None, "undecided", shrunk_from=(64, 96)), "shrunk from 96 x 64 pixels"),
        (
            verdict("unsure", None, "undecided", squares={"real": 4, "columns": 3, "rows": 0, "unknown": 5}),
            "squares: 5 unknown, 4 real, 3 columns; parts may be generated: crop them out",
        ),
        (verdict("real", -1.0, "real", squares={"real": 64}), "64 sampled squares: 64 real"),
    ],
)
def test_a_line_says_in_words_what_was_found(found, words):
    line = re.sub(" {2,}", "  ", in_a_line(found, (-3.456, 2.9)))
    assert words in line
    assert ("98.0%" in line) == (found.answer != "unknown")
    assert "10^" not in line


def test_what_is_said_is_what_the_judge_says(folder, file):
    judge = Judge.load(file)
    result = run("attribute", folder, "--attributor", file, "--json")
    for (_, verdict), line in zip(judge.judge_files(sorted(folder.iterdir())), result.stdout.splitlines(), strict=True):
        told = {key: value for key, value in json.loads(line).items() if key != "file"}
        assert told == json.loads(json.dumps(verdict.as_dict()))


def test_what_a_spreadsheet_would_run_is_text(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["=1+1.png", "@a.png", "\tb.png", "-c.png", '"d", "e".png', "写真.png"]
    for name in names:
        Image.fromarray(planted("rows", 1)[0]).save(name)
    assert run("attribute", "--attributor", file, "--csv", "t.csv", "--", *names).exit_code == 0
    found = [row["file"] for row in rows_of("t.csv")]
    assert found == ["./=1+1.png", "./@a.png", "./\tb.png", "./-c.png", *names[4:]]
    assert [Path(name).is_file() for name in found] == [True] * 6


def test_a_source_that_a_spreadsheet_would_run_is_text(file, folder, tmp_path):
    names = ("=real", "+columns", "rows")
    before = Attributor.load(file)
    calibration = {**before.provenance["calibration"], "least": -1e9}
    Attributor(before.network, names, "as_is", {**before.provenance, "calibration": calibration}).save(tmp_path / "b")
    assert run("attribute", folder, "--attributor", tmp_path / "b", "--csv", tmp_path / "t.csv").exit_code == 0
    assert {row["answer"] for row in rows_of(tmp_path / "t.csv")} <= {"'=real", "'+columns", "rows", "unsure"}


def test_a_table_that_could_not_be_finished_leaves_the_earlier_one(file, folder, tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("earlier")

    def judge_files(self, paths):
        yield from ((path, verdict) for path, verdict in original(self, paths[:1]))
        raise FingerprintsError("The lamp went out.")

    original = Judge.judge_files
    monkeypatch.setattr(Judge, "judge_files", judge_files)
    result = run("attribute", folder, "--attributor", file, "--csv", tmp_path / "t.csv")
    assert (result.exit_code, (tmp_path / "t.csv").read_text()) == (1, "earlier")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "t.csv"]


@pytest.mark.parametrize("options", [["--figure", "000.png"], ["--figure", "./000.png"], ["--figure", "hard.png"],
    ["--csv", "001.png"], ["--figure", "other.svg"], ["--report", "002.png"], ["--csv", "t.csv", "--report", "t.csv"],
    ["--csv", "photo.csv"]])  # fmt: skip
@pytest.mark.parametrize("images", [["000.png", "001.png", "002.png", "photo.csv"], ["002.png", "photo.csv"], ["."]])
def test_no_picture_is_overwritten(file, folder, monkeypatch, options, images):
    monkeypatch.chdir(folder)
    shutil.copy("002.png", "photo.csv")  # a file that is asked for by name is judged whatever its name is
    shutil.copy("002.png", "other.svg")
    os.link("000.png", "hard.png")
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    result = run("attribute", "--attributor", file, *options, *images)
    assert result.exit_code == 2
    assert re.search("would overwrite|call it|name one file", result.stderr)
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()} == before


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_its_own_figure_it_writes_again(file, folder, tmp_path, suffix):
    out = tmp_path / f"evidence.{suffix}"
    for _ in range(2):
        result = run("attribute", folder / "000.png", "--attributor", file, "--figure", out)
        assert result.exit_code == 0, result.stderr
    assert out.read_bytes().startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix])


def test_stopped_it_tells_that_nothing_is_kept(file, folder, monkeypatch):
    def judge_files(self, paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(Judge, "judge_files", judge_files)
    result = run("attribute", folder, "--attributor", file)
    assert result.exit_code == 130
    assert "Nothing was written" in result.stderr
    assert "kept" not in result.stderr


def test_the_evidence_is_drawn(file, folder, tmp_path):
    result = run("attribute", folder, "--attributor", file, "--figure", tmp_path / "evidence.png")
    assert result.exit_code == 0
    with Image.open(tmp_path / "evidence.png") as image:
        assert image.format == "PNG"
        assert image.height > image.width / 5 * len(NAMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "There is no file or folder nowhere.png"),
        (["."], "There is no image file there (1 passed over: of another suffix (1: .txt))"),
        (["empty"], "There is no image file there. Name a file"),
        (["notes.txt", "--csv", "no/t.csv"], "There is no folder no to write t.csv into"),
        (["notes.txt", "--figure", "a.jpg"], "call it a.png, not a.jpg"),
        (["notes.txt", "--csv", "a.txt"], "call it a.csv, not a.txt"),
    ],
)
def test_what_cannot_be_attributed(file, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("No image.")
    Path("empty").mkdir()
    result = run("attribute", *arguments, "--attributor", file)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: b"nothing", "is no checkpoint"),
        (lambda data: data[:-100], "is no checkpoint"),
        (lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:], "was altered after it was written"),
    ],
)
def test_a_file_that_is_no_whole_attributor_is_refused_by_name(file, folder, tmp_path, spoil, message):
    (tmp_path / "a").write_bytes(spoil(file.read_bytes()))
    result = run("attribute", folder, "--attributor", tmp_path / "a")
    assert result.exit_code == 1
    assert f"{tmp_path / 'a'} {message}" in result.stderr


# --- learn and add-source -----------------------------------------------------------------------


@pytest.fixture
def slim(monkeypatch):
    """Networks that are trained here are slim."""
    monkeypatch.setattr(learning, "learn", partial(learning.learn, width=WIDTH))


@pytest.fixture
def home(tmp_path):
    for name in NAMES:
        write(tmp_path / "home" / name, planted(name, 40))
    (tmp_path / "home" / "rows" / "<b>broken.png").write_text("No image.")
    return tmp_path / "home"


def test_a_folder_is_learned_and_used(home, slim, tmp_path):
    out = tmp_path / "made.safetensors"
    result = run("learn", home, "--out", out, "--side", "32", "--steps", "30")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "made.html", "made.safetensors"]
    assert "SOURCE   TRAIN  VALIDATION  TEST\nreal     28     6           6" in result.stdout
    assert f"not used: {home / 'rows' / '<b>broken.png'} is not an image" in result.stderr
    assert "Beware: There are fewer than 200 images of real (40)" in result.stderr
    for condition in ("as they are", "handled"):
        (line,) = [line for line in result.stdout.splitlines() if line.startswith(f"{condition}: accuracy")]
        counts = [int(number) for number in re.findall(r"(\d+) (?:rightly|wrongly|unsure|unknown)", line)]
        assert sum(counts) == 18
    assert result.stdout.endswith(f"{out}\n{tmp_path / 'made.html'}\n")
    judge = Judge.load(out)
    assert judge.class_names == NAMES
    assert judge.attributor.provenance["folders"] == {name: str(home / name) for name in NAMES}
    assert run("attribute", home / "real" / "000.png", "--attributor", out).exit_code == 0
    check_page((tmp_path / "made.html").read_text())


def check_page(text):
    """It stands alone, and tells what the command told."""
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "<script" not in text
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    pictures = re.findall(r'<img alt="([^"]+)" src="data:image/png;base64,', text)
    assert [alt.split(".")[0] for alt in pictures] == [
        "Confusion matrices",
        "How often images are named rightly against how confident the network is",
    ]
    assert "There are fewer than 200 images of real (40), columns (40), rows (40)" in text
    assert "&lt;b&gt;broken.png is not an image" in text
    assert "<b>broken" not in text
    assert "<td>real</td>\n      <td>28</td>\n      <td>6</td>\n      <td>6</td>" in text
    lead = "".join(re.findall(r'<(?:p|ul) class="lead">.*?</(?:p|ul)>', text))
    assert (
        len(re.findall(r"named rightly \d+\.\d %, wrongly \d+\.\d %, unsure \d+\.\d %, unknown \d+\.\d %", lead)) == 2
    )
    assert "right in 33.3 %" in lead
    assert not re.search(r"\([^)]*\(", lead)  # no brackets in brackets
    assert not re.search(r"\d%", lead)  # one way to write it
    for words in ("labels shuffled at random", "colours, flat areas and motifs", "Strangers", "temperature"):
        assert words in text


def test_an_earlier_file_survives_a_failure_and_nothing_is_trained_twice(home, slim, tmp_path, monkeypatch):
    out = tmp_path / "made.safetensors"
    out.write_text("earlier")
    arguments = ("learn", home, "--out", out, "--side", "32", "--steps", "2")

    def fail(*rest, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fingerprintlib.forensics.examining.examine", fail)
        result = run(*arguments)
    assert result.exit_code == 130
    assert "the same command goes on from there" in result.stderr
    assert out.read_text() == "earlier"
    assert not out.with_suffix(".html").exists()
    assert (tmp_path / "made.safetensors.unfinished").is_dir()
    assert "Goes on" not in result.stderr
    with monkeypatch.context() as patch:
        patch.setattr("fingerprintlib.attribution.attributor.fit", fail)
        patch.setattr("fingerprintlib.attacks.immunization.fit", fail)
        result = run(*arguments)
    assert result.exit_code == 0
    assert f"Goes on from what an earlier run left in {out}.unfinished" in result.stderr
    assert Judge.load(out).class_names == NAMES
    assert not (tmp_path / "made.safetensors.unfinished").exists()


def test_a_source_is_added(file, home, tmp_path):
    write(tmp_path / "new", planted("diagonal", 40))
    out = tmp_path / "four.safetensors"
    arguments = ("add-source", file, tmp_path / "new", "--name", "diagonal", "--out", out, "--steps", "20")
    asked = run(*arguments)
    assert asked.exit_code == 2
    assert "There is no folder of images of columns, rows" in asked.stderr
    result = run(*arguments, "--old", home)
    assert result.exit_code == 0, result.output
    for title, count in (("the old sources before", 18), ("the old sources after", 18), ("the new source, handled", 6)):
        assert re.search(rf"^{title}: accuracy [\d.]+ \(.*\) % on {count} test images$", result.stdout, re.MULTILINE)
    assert "Beware: The images of the old sources are not those that the attributor learned from" in result.stderr
    assert Judge.load(out).class_names == (*NAMES, "diagonal")
    assert sorted(path.name for path in tmp_path.glob("four*")) == ["four.html", "four.safetensors"]
    again = run("add-source", out, tmp_path / "new", "--name", "diagonal", "--out", tmp_path / "b")
    assert again.exit_code == 2
    assert "Two sources are called 'diagonal'" in again.stderr


def test_the_estimator_learns_what_the_command_learns(home, slim, tmp_path):
    shutil.rmtree(home / "real")
    (home / "rows" / "<b>broken.png").unlink()
    out = tmp_path / "made.safetensors"
    assert run("learn", home, "--out", out, "--side", "32", "--steps", "10").exit_code == 0
    files = sorted(home.rglob("*.png"))
    images = np.stack([decode(path) for path in files])
    labels = np.array([path.parent.name for path in files])
    estimator = learning.SourceEstimator(steps=10, width=WIDTH).fit(images, labels)
    shares = estimator.predict_proba(images)
    result = run("attribute", home, "--attributor", out, "--json")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["file"] for one in told] == [*map(str, files)]
    np.testing.assert_allclose([[one["probabilities"][name] for name in estimator.classes_] for one in told], shares)
    likeliest = [max(one["probabilities"], key=one["probabilities"].get) for one in told]
    assert estimator.predict(images).tolist() == likeliest
    assert estimator.score(images, labels) == np.mean(labels == likeliest)


#: The command, which saves after each training step, and is killed once it has saved so often.
KILLED = """
import os, signal, sys
from fingerprintlib import training_run
from fingerprintlib.cli import main
from fingerprintlib.cli_images import in_a_line
from fingerprintlib.data.decoding import decode

def save_and_die(run):
    save(run)
    left.pop()
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

left = [None] * int(sys.argv[1])
save, training_run.Run.save, training_run.SAVE_SECONDS = training_run.Run.save, save_and_die, -1
main(sys.argv[2:])
"""


def test_killed_in_mid_training_a_command_goes_on_to_the_same_weights(home, tmp_path, monkeypatch):
    write(tmp_path / "new", planted("diagonal", 40))
    taken = []
    advance = training._Run.advance
    monkeypatch.setattr(training._Run, "advance", lambda self: (taken.append(self.step), advance(self)))

    def both(command, name, *arguments, saves):
        """What it makes undisturbed, and killed after so many steps; and the steps that it takes then."""
        made = []
        for out in (tmp_path / f"{name}.safetensors", tmp_path / f"{name}-killed.safetensors"):
            whole = [command, *arguments, "--out", out, "--steps", 5]
            if made:
                child = [sys.executable, "-c", KILLED, saves, *whole]
                assert subprocess.run([*map(str, child)], capture_output=True).returncode == -signal.SIGKILL
                assert not out.exists()
                taken.clear()
            result = run(*whole)
            assert result.exit_code == 0, result.output
            made.append(Attributor.load(out))
        return made, [*taken]

    (whole, resumed), steps = both("learn", "three", home, "--side", 32, saves=8)  # in the second training
    assert steps == [3, 4]
    assert resumed.hash == whole.hash
    assert resumed.provenance["calibration"] == whole.provenance["calibration"]
    old = tmp_path / "three.safetensors"
    (whole, resumed), steps = both("add-source", "four", old, tmp_path / "new", "--name", "diagonal", saves=2)
    assert steps == [2, 3, 4]
    assert resumed.hash == whole.hash
    assert resumed.provenance["calibration"] == whole.provenance["calibration"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["learn", ".", "--out", "a.html"], "Give the file another suffix: .safetensors"),
        (["learn", ".", "--out", "a.JPG"], "is called like a picture"),
        (["learn", ".", "--out", "no/a.safetensors"], "There is no folder no to write a.safetensors into"),
        (["learn", ".", "--out", "a.safetensors"], "has 0 sub-folders"),
        (["learn", ".", "--out", "a.safetensors", "--side", "48"], "'48' is not one of '32', '64', '128', '256'"),
        (["add-source", "a", ".", "--name", "b", "--out", "a.html"], "Give the file another suffix: .safetensors"),
        (["add-source", "a", ".", "--name", "b", "--out", "b"], "a is no checkpoint"),
    ],
)
def test_a_slip_is_refused_before_anything_is_learned(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("a").write_bytes(b"nothing")
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert os.listdir() == ["a"]
    assert isinstance(result.exception, SystemExit)
