import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from fingerprintlib import __version__, doctor, project
from fingerprintlib.book import offline
from fingerprintlib.book.timings import Cost
from fingerprintlib.cli import main
from fingerprintlib.data import decoding, photographs, scenes  # noqa: F401 (before a test replaces what it imports)
from fingerprintlib.errors import FingerprintsError, UsageError, unknown

from .conftest import ROOT, heed_ctrl_c


@pytest.fixture
def in_project(monkeypatch):
    monkeypatch.chdir(ROOT)


def run(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def failing(monkeypatch):
    """A command that raises what it is given."""

    def make(error):
        def command():
            raise error

        monkeypatch.setitem(main.commands, "fail", click.Command("fail", callback=command))

    return make


# --- help ---------------------------------------------------------------------------------------


def test_help_answers_at_once():
    """Heavy packages are imported where they are used."""
    code = (
        "import sys, fingerprintlib.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        seconds.append(time.perf_counter() - start)
        assert result.returncode == 0
    assert {"book", "run", "sweep", "chapters", "doctor", "timings", "data", "zoo"} <= set(result.stdout.split())
    modules = {name.split(".")[0] for name in result.stderr.split()}
    assert "click" in modules
    assert not modules & {"torch", "numpy", "matplotlib", "papermill", "nbformat", "scipy", "yaml", "PIL", "skimage"}
    assert min(seconds) < 0.5


def test_an_estimate_loads_neither_pytorch_nor_a_grammar_of_web_addresses():
    code = (
        "import sys, fingerprintlib.cli as cli\n"
        "try: cli.main(['book', '--dry-run'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0
    modules = {name.split(".")[0] for name in result.stderr.split()}
    assert {"nbformat", "jsonschema"} <= modules
    assert not modules & {"torch", "lark"}


@pytest.mark.parametrize("command", ["book", "run", "sweep", "chapters", "doctor", "timings", "data"])
def test_every_command_explains_itself(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"main {command} [OPTIONS]" in result.output
    assert len(result.output) > 120


@pytest.mark.parametrize("command", ["list", "verify", "train", "measure", "sample"])
def test_every_command_of_the_zoo_explains_itself(command):
    assert f"\n  {command} " in run("zoo", "--help").output
    result = run("zoo", command, "--help")
    assert result.exit_code == 0
    assert f"main zoo {command} [OPTIONS]" in result.output
    assert len(result.output) > 180


def test_what_only_the_build_calls_is_not_advertised(tmp_path, monkeypatch):
    assert not {"job", "pages"} & set(run("--help").stdout.split())
    monkeypatch.chdir(tmp_path)
    result = run("job", "attribution", "--threads", "1")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: This command belongs to the build: run `fingerprints book`.\n",
    )


def test_threads_that_wait_sleep_as_the_machine_may_be_busy():
    others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    program = "import os, fingerprintlib.cli; print(os.environ['OMP_WAIT_POLICY'])"
    told = subprocess.run([sys.executable, "-c", program], env=others, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "passive"


def test_version():
    assert run("--version").output == f"fingerprints, version {__version__}\n"
    assert metadata.version("fingerprintlib") == __version__


def test_the_chapters_are_listed_for_people_and_programs(in_project):
    import json

    listing = json.loads(run("chapters", "--json").stdout)
    words = run("chapters").stdout
    for chapter in listing:
        assert f"{chapter['name']}: {chapter['title']}\n" in words
        for parameter in chapter["parameters"]:
            assert f"  {parameter['name']} = {parameter['default']!r}  {parameter['meaning']}; " in words


# --- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (FingerprintsError("The loss is nan."), 1, "Error: The loss is nan."),
        (UsageError("There is no knob."), 2, "Error: There is no knob."),
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b.json"),
            1,
            "Error: The disk is full (writing a/b.json): free some space, then run the command again.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "Error: The disk is full (writing a file): free some space, then run the command again.",
        ),
        (PermissionError(errno.EACCES, "Permission denied", __file__), 1, f"Error: {__file__}: Permission denied."),
        (
            PermissionError(errno.EACCES, "Permission denied", "/there/new.json"),
            1,
            "Error: The folder /there cannot be written to. Name another, or copy the project to where you may write.",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "/there/new.json"),
            1,
            "Error: The folder /there cannot be written to. Name another, or copy the project to where you may write.",
        ),
        (KeyboardInterrupt(), 130, "Stopped. What was finished is kept; the same command goes on from there."),
        (click.Abort(), 130, "Stopped. What was finished is kept; the same command goes on from there."),
    ],
)
def test_a_failure_is_one_sentence_and_a_status(failing, error, status, sentence):
    failing(error)
    result = run("fail")
    assert result.exit_code == status
    assert result.stderr.strip() == sentence
    assert result.stdout == ""


def test_debug_shows_the_traceback(failing):
    failing(FingerprintsError("The loss is nan."))
    result = run("--debug", "fail")
    assert isinstance(result.exception, FingerprintsError)
    assert "Error:" not in result.stderr


def test_a_bug_is_not_dressed_up(failing):
    failing(ZeroDivisionError("a bug"))
    assert isinstance(run("fail").exception, ZeroDivisionError)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_standard_output_is_told():
    code = "from fingerprintlib.cli import main; main(['chapters', '--json'])"
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert "The disk is full" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_reader_who_has_enough_is_no_error():
    """As `fingerprints chapters | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    code = "from fingerprintlib.cli import main; main(['chapters'])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert result.stderr == ""


def test_ctrl_c_stops_with_a_sentence():
    code = (
        "import time, click\nfrom fingerprintlib.cli import main\n"
        "main.add_command(click.Command('wait', callback=lambda: (print('ready', flush=True), time.sleep(60))))\n"
        "main(['wait'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "\nStopped. What was finished is kept; the same command goes on from there.\n"


def test_an_unknown_name_gets_the_nearest():
    assert str(unknown("profile", "quik", ("smoke", "quick"))) == "Unknown profile 'quik'. Did you mean 'quick'?"
    assert str(unknown("profile", 7, ("smoke", "quick"))) == "Unknown profile 7. There is: smoke, quick."
    assert str(unknown("profile", "x", [])) == "Unknown profile 'x'. There is: none."
    assert unknown("profile", "x", []).exit_status == 2


# --- doctor -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def findings():
    """Everything examined once, with the real checks."""
    before = os.getcwd()
    os.chdir(ROOT)
    try:
        return {finding.name: finding for finding in doctor.examine()}
    finally:
        os.chdir(before)


def test_all_is_well_here(findings):
    assert [str(finding) for finding in findings.values() if not finding.ok] == []
    assert set(findings) == {
        "python",
        "packages",
        "torch",
        "GPU",
        "jupyter kernel",
        "photographs",
        "networks",
        "book",
        "disk",
    }
    assert all(str(finding).startswith(f"OK    {name}: ") for name, finding in findings.items())
    assert int(findings["photographs"].detail.split()[0]) > 5


@pytest.fixture
def only(monkeypatch, in_project):
    """Run the command with one of the checks."""

    def choose(check):
        monkeypatch.setattr(doctor, "examine", lambda: [doctor._guarded(check)])
        return run("doctor")

    return choose


def test_a_gpu_that_cannot_compute_is_told(only, monkeypatch):
    import torch

    def ones(*shape, device):
        raise RuntimeError(f"{device}: no kernel image is available for execution\nCompile with more words")

    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA A1")
    failed(only(doctor._gpu), "GPU: CUDA, NVIDIA A1: cuda: no kernel image", "Update its driver")


def test_nothing_missing_is_status_0(only):
    result = only(doctor._python)
    assert (result.exit_code, result.stderr) == (0, "")


def failed(result, *words):
    assert result.exit_code == 1
    (line,) = result.stdout.splitlines()
    assert line.startswith("FAIL  ")
    assert line.endswith(".")
    assert ".." not in line
    for word in words:
        assert word in line
    assert result.stderr == "Error: Something is missing; the lines marked FAIL say what to do.\n"


def test_a_missing_package(only, monkeypatch):
    version = metadata.version

    def without(name):
        if name in ("papermill", "scikit-image"):
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.metadata, "version", without)
    failed(only(doctor._packages), "packages: missing scikit-image, papermill.", "run `make book` again")


def test_a_missing_photograph(only, monkeypatch):
    def gone(photo):
        raise photographs.DatasetError("The photograph x.png is not there. Install scikit-image.")

    monkeypatch.setattr(photographs, "path_of", gone)
    photographs.pixels.cache_clear()
    failed(only(doctor._photographs), "photographs: The photograph x.png is not there. Install scikit-image.")


def test_missing_weights(only, monkeypatch, tmp_path):
    (tmp_path / "data" / "zoo").mkdir(parents=True)
    for name in ("whole.json", "whole.safetensors", "half.json"):
        (tmp_path / "data" / "zoo" / name).touch()
    monkeypatch.setattr(project, "find_root", lambda: tmp_path)
    failed(only(doctor._shipped), "networks: missing half,", "full.json", "git checkout data")


def test_a_full_disk(only, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2.2e9))
    failed(only(doctor._disk), "disk: 2 GB free.", "about 3 GB: free some")


def test_a_kernel_that_is_not_there(only, monkeypatch):
    from jupyter_client import kernelspec

    monkeypatch.setattr(kernelspec, "find_kernel_specs", dict)
    failed(only(doctor._kernel), "no kernel 'python3'", "ipykernel install")


def test_no_book_here(only, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project, "PACKAGE", tmp_path / "site-packages" / "fingerprintlib")  # installed elsewhere
    failed(only(doctor._book), "book: There is no book in", "go to the project's folder.")


def test_no_mathjax(only, monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    failed(only(doctor._book), "book: MathJax is missing.", "run `make book` again")


def test_a_check_that_breaks_is_a_finding(only):
    def _torch():
        raise ImportError("libcudart.so is not there")

    failed(only(_torch), "torch: ImportError: libcudart.so is not there.", "Remove .venv")


# --- the photographs ----------------------------------------------------------------------------


def pixels_in(folder):
    return {path.name: decoding.decode(path).tobytes() for path in folder.glob("*/*.webp")}


@pytest.mark.parametrize("resolution", ["64", "128"])
def test_clothing_is_made_of_the_originals(home, tmp_path, resolution):
    before = pixels_in(home / "64")
    shutil.rmtree(home / "64")
    result = run("data", "make", "clothing", "--from", str(tmp_path / "originals"), "--resolution", resolution)
    assert (result.exit_code, result.stdout) == (0, f"12 photographs in {home / resolution}\n")
    assert [path.name for path in home.iterdir() if path.is_dir()] == [resolution]
    made = pixels_in(home / resolution)
    assert made.keys() == before.keys()
    assert resolution == "128" or made == before


def test_a_missing_original_is_named_and_nothing_is_made(home, tmp_path):
    (tmp_path / "originals" / "deeper" / "photo05.jpg").unlink()
    shutil.rmtree(home / "64")
    result = run("data", "make", "clothing", "--from", str(tmp_path / "originals"))
    assert (result.exit_code, result.stdout) == (2, "")
    said = f"Error: {tmp_path / 'originals'} lacks originals: photo05. Nothing was written. Get them from "
    assert result.stderr.splitlines()[-1].startswith(said)
    assert [path.name for path in home.iterdir()] == ["photographs.csv"]


def test_scenes_are_made_of_the_originals_or_not_at_all(home, tmp_path, monkeypatch):
    out = home.parent / "scenes"
    result = run("data", "make", "scenes", "--from", str(tmp_path / "originals"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert " lacks " in result.stderr
    assert not out.exists()
    asked = []
    monkeypatch.setattr(photographs, "make_scenes", lambda *arguments: asked.append(arguments))
    result = run("data", "make", "scenes", "--from", str(tmp_path / "originals"))
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    assert asked == [(tmp_path / "originals", out)]


@pytest.mark.parametrize(
    "arguments", [["clothing"], ["clothing", "--from=nowhere"], ["clothing", "--from=.", "--resolution=32"], ["x"]]
)
def test_what_cannot_be_made(home, arguments):
    assert run("data", "make", *arguments).exit_code == 2
    assert len(pixels_in(home / "64")) == 12


# --- the zoo ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A zoo of two generators that were never trained; its plan is in order."""
    from fingerprintlib.gans import build
    from fingerprintlib.zoo.generators import Generator, save_generator
    from fingerprintlib.zoo.shipped import Zoo, origin_of

    recipes = {gan: {"gan": gan, "width": 4, "images": 64} for gan in ("sngan", "progan")}
    members = {"sngan": {"recipe": "sngan"}, "progan-seed1": {"recipe": "progan", "seed": 1}}
    plan = {"dataset": "scenes", "resolution": 64, "photographs": 24, "recipes": recipes, "generators": members}
    zoo = Zoo(tmp_path_factory.mktemp("untrained") / "data" / "zoo", plan)
    quality = {"filter bank": {"frechet": 3.0, "floor": {"frechet": 2.0}}}
    for name, member in members.items():
        seed = member.get("seed", 0)
        gan = build(member["recipe"], 64, 4, seed).eval()
        recipe = gan.recipe | {"images": 64, "seed": seed, "without": None}
        origin = origin_of(zoo.data, 24)
        card = {
            "recipe": recipe,
            "origin": origin,
            "images_seen": 1064,
            "seconds": 330.0,
            "device": "cpu",
            "quality": quality,
        }
        save_generator(zoo.path(name), Generator(name, gan, card), name)
    return zoo


@pytest.fixture
def zoo(untrained, tmp_path, monkeypatch):
    """The same, which a test may spoil, as the command's."""
    from fingerprintlib import cli_shipped

    folder = shutil.copytree(untrained.folder, tmp_path / "data" / "zoo")
    mine = replace(untrained, folder=folder)
    monkeypatch.setattr(cli_shipped, "_zoo", lambda: mine)
    return mine


def test_the_zoo_is_listed(zoo):
    result = run("zoo", "list")
    assert result.exit_code == 0
    head, *rows = (re.split("  +", line) for line in result.stdout.splitlines())
    assert head == ["NAME", "GAN", "SEED", "WITHOUT", "IMAGES", "FD", "MB", "MINUTES", "DEVICE"]
    for name, row in zip(zoo.names, rows, strict=True):
        size = f"{zoo.path(name).stat().st_size / 1e6:.1f}"
        gan, seed = {"sngan": ("sngan", "0"), "progan-seed1": ("progan", "1")}[name]
        assert row == [name, gan, seed, "-", "1,064", "1.50", size, "6", "cpu"]


def test_the_projects_zoo_is_that_of_its_plan(in_project):
    import yaml

    result = run("zoo", "list")
    assert result.exit_code == 0
    names = list(yaml.safe_load((ROOT / "data/zoo/zoo.yml").read_text())["generators"])
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["NAME", *names]


def test_a_whole_zoo_is_verified(zoo):
    result = run("zoo", "verify")
    assert (result.exit_code, result.stderr) == (0, "")
    expected = [f"ok    {name}  weights {zoo.load(name).hash}" for name in zoo.names]
    assert result.stdout.splitlines() == expected
    assert run("zoo", "verify", "sngan").stdout.splitlines() == expected[:1]


def test_a_damaged_generator_is_named_and_the_others_are_looked_at(zoo):
    zoo.path("sngan").write_bytes(zoo.path("sngan").read_bytes()[:-100])
    result = run("zoo", "verify")
    assert result.exit_code == 1
    bad, good = result.stdout.splitlines()
    assert bad.startswith(f"FAIL  sngan  {zoo.path('sngan')} is no checkpoint, or not a whole one")
    assert good.startswith("ok    progan-seed1  weights ")
    assert result.stderr == "Error: 1 of the zoo's generators cannot be used; the lines marked FAIL say what to do.\n"
    assert run("zoo", "verify", "progan-seed1").exit_code == 0
    assert "missing or damaged: see `fingerprints zoo verify`" in run("zoo", "list").stdout
    sampled = run("zoo", "sample", "sngan", "-n", "1", "--out", str(zoo.folder / "out"))
    assert (sampled.exit_code, sampled.stdout) == (1, "")
    assert "sngan.safetensors is no checkpoint, or not a whole" in sampled.stderr


@pytest.mark.parametrize(
    "arguments",
    [["verify", "sgnan"], ["train", "sgnan"], ["measure", "sgnan"], ["sample", "sgnan", "-n1", "--out=out"]],
)
def test_a_generator_that_is_not_in_the_zoo(zoo, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*.*"))
    result = run("zoo", *arguments)
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: Unknown generator 'sgnan'. Did you mean 'sngan'?\n")
    assert sorted(tmp_path.rglob("*.*")) == before


def test_samples_are_the_same_bytes_whenever_and_however_many(zoo, tmp_path):
    def sampled(name, *options):
        result = run("zoo", "sample", "progan-seed1", "--out", str(tmp_path / name), *options)
        assert (result.exit_code, result.stdout) == (0, f"{tmp_path / name}\n")
        return {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}

    few = sampled("few", "-n", "3", "--seed", "4")
    assert sorted(few) == [f"progan-seed1-4-00000{index}.png" for index in range(3)]
    assert sampled("again", "-n", "3", "--seed", "4") == few
    more = sampled("more", "-n", "5", "--seed", "4")
    assert len(more) == 5
    assert few.items() <= more.items()
    assert len(set(more.values())) == 5
    assert not set(sampled("other", "-n", "3").values()) & set(more.values())
    wanted = zoo.load("progan-seed1").sample(5, seed=4)
    for index, image in enumerate(wanted):
        assert (decoding.decode(tmp_path / "more" / f"progan-seed1-4-{index:06d}.png") == image).all()


@pytest.mark.parametrize(
    "options", [["-n", "0", "--out", "x"], ["-n", "2"], ["--out", "x"], ["-n2", "--out=x", "--seed=-1"]]
)
def test_what_cannot_be_sampled(zoo, options):
    assert run("zoo", "sample", "sngan", *options).exit_code == 2


def test_measuring_writes_to_the_card(zoo):
    from fingerprintlib.zoo.quality import Reference

    result = run("zoo", "measure", "sngan")
    assert result.exit_code == 0
    found = zoo.load("sngan").card["quality"]["filter bank"]
    ratio = found["frechet"] / found["floor"]["frechet"]
    assert result.stdout == (
        f"sngan: Frechet distance {found['frechet']:.3f}, {ratio:.2f} times the floor (filter bank)\n"
    )
    reference = Reference.of(zoo.data, zoo.data.images("gan", 0, 24))
    assert found["floor"] == reference.floor
    assert zoo.load("progan-seed1").card["quality"]["filter bank"]["frechet"] == 3.0  # it was not asked for


@pytest.mark.parametrize(("words", "names"), [(["all"], ["sngan", "progan-seed1"]), (["sngan"], ["sngan"])])
def test_training_the_zoo(zoo, words, names, monkeypatch):
    asked = []
    monkeypatch.setattr(type(zoo), "train", lambda self, names, work: asked.append((list(names), work)))
    result = run("zoo", "train", *words)
    assert asked == [(names, zoo.folder.parents[1] / "_build" / "zoo")]
    assert result.stdout == run("zoo", "list").stdout
    assert run("zoo", "train").exit_code == 2
    assert len(asked) == 1


# --- pages without a network --------------------------------------------------------------------


class Sphinx(dict):
    def __init__(self, outdir, format):
        self.outdir, self.builder = outdir, SimpleNamespace(format=format)

    def connect(self, event, function, priority=500):
        self[event] = function


def test_mathjax_comes_from_a_package_and_thebe_does_not_come(tmp_path):
    app = Sphinx(tmp_path, "html")
    assert offline.setup(app)["parallel_read_safe"]
    scripts = [
        SimpleNamespace(filename="sphinx-thebe.js"),
        SimpleNamespace(filename=None, attributes={"body": "const THEBE_JS_URL = 1"}),  # written into the page
        "main.js",
    ]
    context = {"script_files": scripts, "css_files": ["thebe.css"]}
    app["html-page-context"](app, "page", "page.html", context, None)
    assert context == {"script_files": ["main.js"], "css_files": []}

    script = tmp_path / "_static" / "mathjax" / "tex-svg.js"
    app["build-finished"](app, RuntimeError("the build failed"))
    app["build-finished"](Sphinx(tmp_path, "latex"), None)
    assert not script.exists()
    app["build-finished"](app, None)
    assert script.stat().st_size > 100_000
    assert "mathjax_path: mathjax/tex-svg.js" in (ROOT / "_config.yml").read_text()


def test_only_pages_on_which_networks_answer_load_what_that_takes():
    added = []
    app = SimpleNamespace(add_js_file=lambda name, **_: added.append(name), add_css_file=added.append)
    offline._add_networks(app, "page", "page.html", {"body": "<p>Of `fp-try` only the name.</p>"}, None)
    offline._add_networks(app, "search", "search.html", {}, None)
    assert added == []
    offline._add_networks(app, "page", "page.html", {"body": '<div class="fp-try" data-files>'}, None)
    assert added == ["jpeg.js", "pixels.js", "judge.js", "try.js", "try.css"]
    assert all((ROOT / "book" / "_assets" / name).is_file() for name in added)


def test_without_the_package_of_mathjax_the_pages_do_not_build(tmp_path, monkeypatch):
    monkeypatch.setattr(offline.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="install the package django-static-mathjax"):
        offline._copy_mathjax(Sphinx(tmp_path, "html"), None)


def test_immunize_refuses_what_there_is_not(in_project, tmp_path):
    file = tmp_path / "attributor.safetensors"
    file.write_bytes(b"nothing")
    result = run("immunize", str(file), "--attack", "nois", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "Did you mean 'noise'?" in result.output
    result = run("immunize", str(file), "--attack", "noise", "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert str(file) in result.output
    assert not (tmp_path / "out").exists()


def test_export_writes_onnx_and_refuses_other_names(in_project, tmp_path):
    onnx = pytest.importorskip("onnx")
    file = str(ROOT / "data" / "networks" / "fingerprints-normalized-correlation.safetensors")
    result = run("export", file, "--out", str(tmp_path / "one.onnx"))
    assert result.exit_code == 0, result.output
    assert [one.name for one in onnx.load(tmp_path / "one.onnx").graph.output] == ["logits", "fingerprints"]
    result = run("export", file, "--out", str(tmp_path / "one.safetensors"))
    assert result.exit_code == 2
    assert "call it one.onnx" in result.output
    result = run("export", file, "--out", str(tmp_path / "none" / "one.onnx"))
    assert result.exit_code == 2
    assert "no folder" in result.output
    (tmp_path / "nothing").write_bytes(b"nothing")
    result = run("export", str(tmp_path / "nothing"), "--out", str(tmp_path / "two.onnx"))
    assert result.exit_code == 1
    assert not (tmp_path / "two.onnx").exists()


# --- what takes long ----------------------------------------------------------------------------


@pytest.fixture
def slow_book(monkeypatch):
    """A book that takes an hour and a half at `quick`, asked for at a terminal; what is built is recorded."""
    hour = Cost(5400.0, memory=2 * 10**9, disk=5 * 10**6)
    built = []
    monkeypatch.setattr("fingerprintlib.book.engine.build_book", lambda *rest, **options: built.append(rest) or "built")
    monkeypatch.setattr("fingerprintlib.book.memory.is_current", lambda job, build: False)
    known = lambda book, build, profile, chapter: hour if chapter.name == "real-images" else None  # noqa: E731
    monkeypatch.setattr("fingerprintlib.book.estimates.expected", known)
    monkeypatch.setattr("fingerprintlib.cli._answers", lambda: True)
    return built


def test_who_asks_for_what_takes_long_is_asked(slow_book):
    result = CliRunner().invoke(main, ["book"], input="n\n")
    assert (
        "This may take up to 1.5 h, 2.0 GB of memory and 5 MB of disk, judging by earlier runs. Go on? [y/N]"
        in result.stderr
    )
    assert (result.exit_code, slow_book) == (130, [])
    assert CliRunner().invoke(main, ["book"], input="y\n").exit_code == 0
    assert len(slow_book) == 1


def test_a_knob_that_is_turned_up_is_reckoned_with(slow_book):
    asked = CliRunner().invoke(main, ["run", "real-images", "-p", "probe_images=4000"], input="n\n")
    assert "This may take up to 15.0 h" in asked.stderr  # 4000 in the place of 400
    assert slow_book == []


def test_who_asks_for_what_fills_the_disk_is_asked(slow_book, monkeypatch):
    quick = lambda book, build, profile, chapter: Cost(2.0, disk=10**9)  # noqa: E731
    monkeypatch.setattr("fingerprintlib.book.estimates.expected", quick)
    assert CliRunner().invoke(main, ["run", "attribution"]).exit_code == 0
    asked = CliRunner().invoke(main, ["run", "attribution", "-p", "train_images=400000"], input="n\n")
    assert "91.0 GB of disk" in asked.stderr  # for 400,500 images where 4,500 were, and for the two chapters before
    assert len(slow_book) == 1


def test_a_dry_run_says_what_each_chapter_takes_and_runs_nothing(slow_book):
    said = CliRunner().invoke(main, ["run", "zoo", "--dry-run"])
    assert (said.exit_code, slow_book) == (0, [])
    assert [line.split() for line in said.stdout.splitlines()[1:]] == [
        ["real-images", "1.5", "h", "5", "MB"],
        ["all", "of", "them", "1.5", "h", "5", "MB"],
    ]


def test_a_sweep_is_reckoned_point_by_point(slow_book):
    said = CliRunner().invoke(main, ["sweep", "real-images", "-p", "probe_images=400,800", "--dry-run"])
    assert (said.exit_code, slow_book) == (0, [])
    hours = [line.rsplit(maxsplit=4)[:2] for line in said.stdout.splitlines()[1:]]
    point = "point {} of 2: probe_images = {}".format
    assert hours == [[point(1, 400), "1.5"], [point(2, 800), "3.0"], ["all of them", "4.5"]]


def test_nobody_is_asked_who_said_yes_or_cannot_answer(slow_book, monkeypatch):
    assert CliRunner().invoke(main, ["book", "--yes"]).exit_code == 0
    monkeypatch.setattr("fingerprintlib.cli._answers", lambda: False)
    assert CliRunner().invoke(main, ["run", "real-images"]).exit_code == 0
    assert len(slow_book) == 2


def test_what_is_done_takes_no_time(slow_book, monkeypatch):
    monkeypatch.setattr("fingerprintlib.book.memory.is_current", lambda job, build: True)
    assert CliRunner().invoke(main, ["book"]).exit_code == 0
    assert len(slow_book) == 1


def test_a_knob_that_no_shipped_network_feels_is_said_to_be_so(slow_book):
    arguments = ["run", "attribution", "--yes", "-p", "steps=1000"]
    assert "set attribution.networks to trained" in CliRunner().invoke(main, arguments).stderr
    assert "Note" not in CliRunner().invoke(main, [*arguments, "-p", "networks=trained"]).stderr
    assert "Note" not in CliRunner().invoke(main, ["run", "attribution", "--yes", "-p", "test_images=600"]).stderr
    assert len(slow_book) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "attribution", "-p", "attribution.steps=3"], "another chapter: -s attribution.steps=3"),
        (["run", "attribution", "-p", "steps=3", "-s", "attribution.steps=4"], "attribution.steps is given twice"),
        (["sweep", "attribution", "-p", "steps=3,4", "-s", "attribution.steps=4"], "is given to -p and to --set"),
        (["sweep", "attribution", "-p", "steps=3,4", "-s", "zoo.shown=20", "--publish", "x"], "without --set"),
        (["run", "zoo", "-p", "live=sngan", "-p", "live=progan"], "zoo.live is given twice"),
        (["book", "-s", "real-images.dataset=cats"], "must be one of clothing, scenes, cifar10, stl10, "),
    ],
)
def test_a_slip_is_refused_before_anything_runs(slow_book, arguments, said):
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, slow_book) == (2, [])
    assert said in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json", "attribute", "x"], "--json belongs behind the command: main attribute --json ..."),
        (["--figure", "a.png", "attribute", "x"], "--figure belongs behind the command: main attribute --figure ..."),
        (["-p", "steps=3", "run", "zoo"], "-p belongs behind the command: main run -p ..."),
        (["--jsom", "attribute", "x"], "No such option '--jsom'"),
        (["run", "attribution", "steps=3"], "Write -p before it: -p steps=3."),
        (["run", "attribution", "zoo"], "zoo is one argument too many. This command runs one chapter."),
        (["run", "your-images", "-p", "file=x"], "Unknown parameter 'file' of chapter 'your-images'. Did you mean"),
        (["run", "99"], "Unknown chapter '99'"),
    ],
)
def test_a_slip_of_order_is_told_how_to_mend(slow_book, arguments, said):
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, slow_book) == (2, [])
    assert said in result.stderr


def test_timings_of_what_was_never_built_are_not_published(in_project, monkeypatch, tmp_path):
    monkeypatch.setattr("fingerprintlib.book.timings.build_folder", lambda book, profile: tmp_path)
    result = CliRunner().invoke(main, ["timings", "--profile", "paper"])
    assert result.exit_code == 2
    assert "Run `fingerprints book --profile paper`" in result.stderr
