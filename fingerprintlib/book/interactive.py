"""What a chapter does besides when somebody runs its cells: in JupyterLab or any other notebook, but not in a build.

Its knobs are checked before anything starts, what they will cost is said, and figures have their captions below.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import FingerprintsError, unknown
from .chapters import Book, Chapter, Job
from .memory import is_current
from .timings import build_folder, expected, with_knobs

if TYPE_CHECKING:
    from ..plots import Plot

KNOB = re.compile(r"^(\w+): (?:int|float|str|bool) = ", re.MULTILINE)


def check_knobs(chapter: Chapter, namespace: Mapping[str, Any], sources: Iterable[str] = ()) -> dict[str, Any]:
    """The values of a chapter's knobs as they stand in a notebook, by name.

    Args:
        chapter: whose they are.
        namespace: the notebook's variables.
        sources: of the cells that have run; a knob among them that the chapter does not have is a slip.

    Raises:
        UsageError: an unknown name, a wrong type, or a value out of range.
    """
    parameters = next((source for source in sources if set(KNOB.findall(source)) & set(chapter.parameters)), "")
    for name in KNOB.findall(parameters):
        chapter.parameter(name)
    missing = [name for name in chapter.parameters if name not in namespace]
    if missing:
        raise unknown("parameter", missing[0], [], f"chapter {chapter.name!r}")
    return chapter.values((f"Chapter {chapter.name}", {name: namespace[name] for name in chapter.parameters}))


def cost_in_words(book: Book, chapter: Chapter, values: Mapping[str, Any]) -> str:
    """What the chapter will take with these values, from what it took before; empty if nobody measured it."""
    usual = expected(book, build_folder(book, "quick"), "quick", chapter)
    if usual is None:
        return ""
    now = with_knobs(usual, chapter, values, {name: knob.default for name, knob in chapter.parameters.items()})
    if now == usual:
        return f"This chapter takes about {usual}."
    return f"This chapter takes about {usual} as it comes; as it stands now up to {now}."


def make_ready(book: Book, artifact: str, profile: str) -> None:
    """Have an artifact of an earlier chapter in the build: run what is missing, and say so if it is out of date.

    Raises:
        FingerprintsError: no chapter makes it, or one that is needed failed.
    """
    plan = _plan(book, profile)
    makers = [job for job in plan if artifact in job.chapter.makes]
    if not makers:
        raise FingerprintsError(f"No chapter makes the artifact {artifact!r}.")
    (job,) = makers
    name, build = job.chapter.name, build_folder(book, profile)
    if not (build / job.outputs[artifact]).is_file():
        print(f"{name!r} has not run yet: it runs now, and what it needs before it.")
        command = [sys.executable, "-m", "fingerprintlib.cli", "run", name, "--profile", profile]
        process = subprocess.Popen(command, cwd=book.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            for line in process.stdout or ():
                print(line, end="", flush=True)
        finally:
            process.terminate()  # if interrupted; it goes on from there the next time
        if process.wait():
            raise FingerprintsError(f"{name!r} failed: see above. Mend it, or run `fingerprints run {name}`.")
    elif not is_current(job, build):
        print(
            f"What {name!r} made is out of date: its text, its knobs or the library have changed since. "
            f"`fingerprints run {name}` makes it anew."
        )


def _plan(book: Book, profile: str) -> list[Job]:
    if (str(book.root), profile) not in _PLANS:
        _PLANS[str(book.root), profile] = book.plan(profile)
    return _PLANS[str(book.root), profile]


_PLANS: dict[tuple[str, str], list[Job]] = {}  # each takes seconds


def controls(draw: Callable[..., "Plot"], knobs: Mapping[str, Sequence[Any]]) -> None:
    """Display a figure below controls for what it is drawn from: see `page.Page.play`.

    Numbers have a slider, in ascending order, words a menu.
    """
    from IPython.display import Image, display
    from ipywidgets import Dropdown, HBox, Layout, SelectionSlider, VBox, interactive_output

    made = {}
    for name, values in knobs.items():
        common = {"value": values[0], "description": name, "style": {"description_width": "initial"}}
        if all(isinstance(value, int | float) for value in values):
            made[name] = SelectionSlider(options=sorted(values), continuous_update=False, **common)
        else:
            made[name] = Dropdown(options=list(values), **common)
    shown = interactive_output(lambda **chosen: display(Image(draw(**chosen).png())), made)
    display(VBox([HBox(list(made.values()), layout=Layout(flex_flow="row wrap")), shown]))


def caption_of(chapter: Chapter, source: str) -> str:
    """The caption of the figure that the code cell with this source shows, as Markdown; empty if it has none."""
    for cell in chapter.notebook.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if figure and cell.source.strip() == source.strip():
            return f"*Fig. {figure['name'].removeprefix('fig-')}.* {figure['caption']}"
    return ""
