"""The ways in agree: pyproject.toml says what is needed, requirements.lock which versions, environment.yml reads it."""

import re
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_TEXT = (ROOT / "environment.yml").read_text()
CONDA = yaml.safe_load(CONDA_TEXT)
LOCK = (ROOT / "requirements.lock").read_text()
# A requirement and its continuation lines.
LOCKED = re.sub(r"\\\n\s*", " ", LOCK).strip().splitlines()


def pins():
    """Name to the versions that are pinned for one machine or another, with their markers."""
    found = {}
    for line in LOCKED:
        requirement = Requirement(line.split(" --hash")[0].strip())
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


PINS = pins()
NEEDED = [
    *PROJECT["dependencies"],
    *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
]


def test_conda_reads_the_lock():
    assert CONDA["name"] == "gan-fingerprints"
    (pip,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.lock"]
    (python,) = [entry for entry in CONDA["dependencies"] if str(entry).startswith("python=")]
    assert Version(python.split("=")[1]) in Requirement(f"python{PROJECT['requires-python']}").specifier
    assert "pip" in CONDA["dependencies"]


def test_conda_names_the_packages_that_it_brings():
    named = re.search(r"# packages: (.*) and theirs", CONDA_TEXT)[1].replace(",", " ").split()
    expected = {"jupyterlab", "jupytext", "torch", "torchvision", "seaborn", "matplotlib", "scikit-learn", "papermill"}
    assert set(named) == expected
    assert expected <= set(PINS)
    assert expected <= {canonicalize_name(Requirement(line).name) for line in NEEDED}


def test_every_line_of_the_lock_is_one_exact_hashed_version():
    assert len(LOCKED) > 100
    for line in LOCKED:
        requirement, *hashes = line.split(" --hash=")
        assert re.fullmatch(r"[\w.\[\],-]+==[\w.+!]+( ; .+)?", requirement.strip()), line[:80]
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest.strip()) for digest in hashes), requirement


def test_the_lock_names_no_address():
    assert "://" not in LOCK
    assert not re.search(r"^\s*(-|file:|\.)", LOCK.replace("    --hash", ""), re.MULTILINE)


@pytest.mark.parametrize("line", NEEDED)
def test_every_dependency_is_locked_to_a_version_that_will_do(line):
    wanted = Requirement(line)
    found = PINS.get(canonicalize_name(wanted.name), [])
    assert found, f"{wanted.name} is not in requirements.lock: run `make lock`"
    for requirement in found:
        (pin,) = requirement.specifier
        assert wanted.specifier.contains(Version(pin.version), prereleases=True), str(requirement)


def test_a_machine_gets_one_version_of_each():
    for name, requirements in PINS.items():
        markers = [requirement.marker or Marker("python_version > '3'") for requirement in requirements]
        for system in ("linux", "darwin"):
            applying = [marker for marker in markers if marker.evaluate({"sys_platform": system})]
            assert len(applying) <= 1, (name, system)


def test_what_is_installed_here_is_what_the_lock_says():
    for name in ("torch", "numpy", "jupyter-book", "snakemake", "safetensors"):
        here = {pin.version for r in PINS[name] if not r.marker or r.marker.evaluate() for pin in r.specifier}
        assert Version(metadata.version(name)).public in {Version(version).public for version in here}


def test_the_version_is_said_once_and_alike():
    from fingerprintlib import __version__

    assert PROJECT["version"] == __version__
    assert str(yaml.safe_load((ROOT / "CITATION.cff").read_text()).get("version", __version__)) == __version__
