import json
import os
import time
from types import SimpleNamespace

import pytest
from jupyter_client.manager import start_new_kernel

from fingerprintlib.book.chapters import Book, Chapter
from fingerprintlib.book.interactive import caption_of, check_knobs, controls, cost_in_words
from fingerprintlib.book.timings import Cost, with_knobs
from fingerprintlib.errors import UsageError

from ..conftest import ROOT

TEXT = """---
kernelspec: {name: python3, display_name: Python 3, language: python}
---
# A page

```{code-cell}
:tags: [parameters]

steps: int = 4  # how many [1..1000]
width: float = 0.5  # of the network [0.25..1]
seed: int = 1  # of draws [0..1000000]
```

```{code-cell}
---
mystnb:
  figure:
    name: fig-votes
    caption: How votes count.
---
y = x
```
"""
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8
VALUES = {"steps": 4, "width": 0.5, "seed": 1}


@pytest.fixture
def chapter(tmp_path):
    (tmp_path / "01-page.md").write_text(TEXT)
    return Chapter(tmp_path / "01-page.md")


def test_allowed_values_are_taken(chapter):
    assert check_knobs(chapter, {**VALUES, "other": 3}) == VALUES
    assert check_knobs(chapter, {**VALUES, "width": 1}, ["", "steps: int = 4"])["width"] == 1.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 0}, "Chapter page: steps = 0 is out of range; it must be from 1 to 1000"),
        ({"steps": 2.5}, "not of type int"),
        ({"width": "wide"}, "not of type float"),
    ],
)
def test_others_are_refused_as_on_the_command_line(chapter, changed, message):
    with pytest.raises(UsageError, match=message):
        check_knobs(chapter, VALUES | changed)


def test_a_knob_that_is_spelled_wrong_is_refused(chapter):
    with pytest.raises(UsageError, match=r"Unknown parameter 'stesp' of chapter 'page'.*Did you mean 'steps'"):
        check_knobs(chapter, VALUES, ["stesp: int = 9\nwidth: float = 0.5"])
    with pytest.raises(UsageError, match="'seed'"):
        check_knobs(chapter, {"steps": 4, "width": 0.5})


def test_what_turned_knobs_cost(chapter, tmp_path):
    usual = Cost(60.0, memory=10**9, disk=10**8)
    assert with_knobs(usual, chapter, VALUES, VALUES) == usual
    turned = with_knobs(usual, chapter, {"steps": 40, "width": 1.0, "seed": 99}, VALUES)
    assert turned == Cost(2400.0, memory=10**9, disk=10**8)
    assert with_knobs(usual, chapter, {"steps": 1, "width": 0.25, "seed": 1}, VALUES) == usual
    book = SimpleNamespace(root=tmp_path)
    assert cost_in_words(book, chapter, VALUES) == ""
    (tmp_path / "data").mkdir()
    timings = {"machines": {"quick": "a desktop"}, "profiles": {"quick": {"page": {"seconds": 60.0, "memory": 10**9}}}}
    (tmp_path / "data" / "timings.json").write_text(json.dumps(timings))
    assert cost_in_words(book, chapter, VALUES) == "This chapter takes about 60 s and 1.0 GB of memory."
    said = cost_in_words(book, chapter, {**VALUES, "steps": 8})
    assert said.endswith("1.0 GB of memory as it comes; as it stands now up to 2.0 min and 1.0 GB of memory.")


def test_the_caption_of_the_running_cell(chapter):
    assert caption_of(chapter, "y = x\n") == "*Fig. votes.* How votes count."
    assert caption_of(chapter, "x = 1") == ""


def test_every_chapters_defaults_are_allowed():
    for chapter in Book().pages:
        if chapter.is_notebook:
            defaults = {name: parameter.default for name, parameter in chapter.parameters.items()}
            assert check_knobs(chapter, defaults) == defaults


def test_controls_redraw_the_figure(monkeypatch):
    shown, drawn = [], []
    monkeypatch.setattr("IPython.display.display", shown.append)

    def draw(source, strength):
        drawn.append((source, strength))
        return SimpleNamespace(png=lambda: PNG)

    controls(draw, {"source": ["progan", "real"], "strength": [0.5, 0.0, 1.0]})
    (box,) = [some for some in shown if type(some).__name__ == "VBox"]
    source, strength = box.children[0].children
    assert (source.value, strength.value) == ("progan", 0.5)
    assert list(strength.options) == [0.0, 0.5, 1.0]
    strength.value = 1.0
    source.value = "real"
    assert drawn == [("progan", 0.5), ("progan", 1.0), ("real", 1.0)]


# --- interrupted ----------------------------------------------------------------------------------

TRAIN = """
import os, pathlib, time
import torch
from fingerprintlib import training_run
from fingerprintlib.attribution.attributor import Attributor
from tests.attribution.test_attributor import SETTINGS, Toy
torch.set_num_threads(1)
os.environ["FINGERPRINTS_QUIET"] = "1"
training_run.SAVE_SECONDS = 0  # a minute is long in a test
begun = []
training_run.Run.resume = lambda run, resume=training_run.Run.resume: (resume(run), begun.append(run.step))

def save(run, save=training_run.Run.save):
    save(run)
    if run.step == {halt}:
        pathlib.Path({folder!r}, "halted").touch()
        time.sleep(600)

training_run.Run.save = save
attributor = Attributor.load_or_train({folder!r}, Toy(), **{{**SETTINGS, "steps": 400}})
print(begun, float(sum(weight.double().sum() for weight in attributor.network.parameters())))
"""


@pytest.fixture
def kernel():
    manager, client = start_new_kernel(cwd=str(ROOT), env={**os.environ, "PYTHONPATH": str(ROOT)})
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def say(client, code):
    """Have a kernel run it; returns how that ended, and what it printed last."""
    printed = []

    def hear(message):
        if message["content"].get("name") == "stdout":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=120, output_hook=hear)["content"]
    return reply.get("ename", reply["status"]), "".join(printed).strip().splitlines()[-1:]


def test_training_goes_on_after_an_interrupt_and_a_restart(kernel, tmp_path):
    """In a notebook: the cell is stopped, run again, the kernel restarted in the middle; the weights are the same."""
    manager, client = kernel
    status, (undisturbed,) = say(client, TRAIN.format(folder=str(tmp_path / "undisturbed"), halt=None))
    assert (status, undisturbed.split("]")[0]) == ("ok", "[0")
    folder = tmp_path / "disturbed"
    client.execute(TRAIN.format(folder=str(folder), halt=100))
    wait_for(folder / "halted")
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=60)["content"]["ename"] == "KeyboardInterrupt"
    (folder / "halted").unlink()
    client.execute(TRAIN.format(folder=str(folder), halt=200))
    wait_for(folder / "halted")
    manager.restart_kernel(now=True)
    client.wait_for_ready(timeout=60)
    status, (resumed,) = say(client, TRAIN.format(folder=str(folder), halt=None))
    assert status == "ok"
    assert resumed == undisturbed.replace("[0]", "[200]")


def wait_for(path):
    end = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} was not written"
        time.sleep(0.02)
