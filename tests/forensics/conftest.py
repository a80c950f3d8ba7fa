import pytest

from fingerprintlib.forensics.judging import Judge
from fingerprintlib.forensics.learning import learn
from fingerprintlib.forensics.pictures import Pictures

from .planted import NAMES, labelled

STEPS, WIDTH = 40, 0.0625  # enough for what is planted


@pytest.fixture(autouse=True, scope="session")
def _quiet():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINGERPRINTS_QUIET", "1")
        yield


@pytest.fixture(scope="session")
def pictures():
    return Pictures.dealt(*labelled(120), NAMES)


@pytest.fixture(scope="session")
def learned(pictures, tmp_path_factory):
    """An attributor of what is planted, that withstands handling and is calibrated."""
    return learn(pictures, tmp_path_factory.mktemp("learned"), steps=STEPS, width=WIDTH)


@pytest.fixture(scope="session")
def judge(learned):
    return Judge.of(learned)
