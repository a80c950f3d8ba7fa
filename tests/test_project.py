import pytest

from fingerprintlib import project
from fingerprintlib.errors import UsageError
from fingerprintlib.project import data_folder

from .conftest import ROOT


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package as it lies after an ordinary installation, where no data are beside it."""
    monkeypatch.delenv("FINGERPRINTS_SHIPPED", raising=False)
    packages = tmp_path / "site-packages"
    (packages / "data").mkdir(parents=True)  # another project's
    monkeypatch.setattr(project, "PACKAGE", packages / "fingerprintlib")
    return tmp_path


def test_the_data_of_the_checkout_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.delenv("FINGERPRINTS_SHIPPED", raising=False)
    monkeypatch.chdir(tmp_path)
    assert data_folder() == ROOT / "data"


def test_an_installed_package_finds_the_data_of_the_checkout_one_works_in(installed, monkeypatch):
    (installed / "clone" / "data").mkdir(parents=True)
    (installed / "clone" / "data" / "paper.yml").touch()
    (installed / "clone" / "book" / "data").mkdir(parents=True)
    monkeypatch.chdir(installed / "clone" / "book")
    assert data_folder() == installed / "clone" / "data"


def test_without_a_checkout_the_error_says_what_to_set(installed, monkeypatch):
    monkeypatch.chdir(installed)
    with pytest.raises(UsageError, match=r"Go to a checkout of the project, or set FINGERPRINTS_SHIPPED"):
        data_folder()


def test_the_variable_goes_before_all(tmp_path, monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_SHIPPED", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("FINGERPRINTS_SHIPPED", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"FINGERPRINTS_SHIPPED names .*nowhere, which is no folder"):
        data_folder()
