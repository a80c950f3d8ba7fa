"""The bar: silent when asked, on standard error, and a widget where somebody runs a notebook."""

import sys
import time
from types import SimpleNamespace

import pytest
from tqdm import tqdm
from tqdm.notebook import tqdm as widget

from fingerprintlib.progress import progress, progress_over, waiting


def test_the_bar_is_silent_when_asked(monkeypatch, capsys):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")
    progress(10, "training", "images").update(10)
    assert capsys.readouterr() == ("", "")
    monkeypatch.delenv("FINGERPRINTS_QUIET")
    bar = progress(10, "training", "images", initial=4)
    assert bar.n == 4
    bar.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert "training" in err


@pytest.mark.parametrize(("kernel", "build", "kind"), [(False, False, tqdm), (True, True, tqdm), (True, False, widget)])
def test_it_is_a_widget_in_a_notebook_that_no_build_runs(monkeypatch, kernel, build, kind):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")
    monkeypatch.delenv("FINGERPRINTS_BUILD", raising=False)
    shell = SimpleNamespace(kernel=True) if kernel else SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    if build:
        monkeypatch.setenv("FINGERPRINTS_BUILD", "somewhere")
    bar = progress(1, "training", "images")
    assert type(bar) is kind
    bar.close()


def test_what_is_quickly_done_shows_no_bar(monkeypatch, capsys):
    monkeypatch.delenv("FINGERPRINTS_QUIET", raising=False)
    assert list(progress_over(iter("abc"), 3, "reading", "files")) == [*"abc"]
    assert "reading" not in capsys.readouterr().err
    bar = progress(3, "reading", "files")
    bar.close()
    assert "reading" in capsys.readouterr().err


def test_who_waits_is_told_so_unless_it_is_over(monkeypatch, capsys):
    monkeypatch.delenv("FINGERPRINTS_QUIET", raising=False)
    with waiting("loading ...", delay=0.01):
        time.sleep(0.2)
    assert capsys.readouterr() == ("", "loading ...\n")
    with waiting("loading ...", delay=0.1) as begun:
        begun()
        time.sleep(0.2)
    with waiting("loading ...", delay=0.1):
        pass
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")
    with waiting("loading ...", delay=0.01):
        time.sleep(0.2)
    assert capsys.readouterr() == ("", "")
