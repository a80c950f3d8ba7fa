"""What a chapter's cells use: open and make artifacts, record numbers and claims, show figures.

The runner says through the environment where the build lies (``FINGERPRINTS_BUILD``). Without it, in JupyterLab, a
chapter opens what ``make book`` built at the profile ``quick`` and writes to ``_build/lab``: playing breaks no page.
A point of a sweep opens what lies in the build and leaves what it makes in its own folder (``FINGERPRINTS_POINT``).
The runner also says what the chapter declares to read of the project's data (``FINGERPRINTS_READS``): if it were looked
up here, every chapter would depend on the module `chapters`, and run again when that is edited.
"""

import ast
import importlib
import inspect
import json
import math
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FingerprintsError
from ..project import find_root
from ..provenance import recipe_hash, write_json
from ..store import REUSED
from ..tables import markdown
from .claims import Measurement
from .prose import UNKNOWN, filled, in_words

PROFILE = os.environ.get("FINGERPRINTS_PROFILE", "quick")  #: of the build that a notebook opens artifacts of

if TYPE_CHECKING:
    from ..plots import Plot
    from ..statistics.metrics import Report


class Page:
    """One chapter while it runs."""

    def __init__(self, name: str, root: Path | str | None = None):
        """Open the page of the chapter `name` (``"attribution"``).

        `root` is the project's folder; it is looked for above the working directory if not given.
        """
        self.name = name
        self.root = Path(root) if root else find_root()
        build = os.environ.get("FINGERPRINTS_BUILD")
        self.build = Path(build) if build else self.root / "_build" / "lab"
        self._made = Path(os.environ.get("FINGERPRINTS_POINT") or self.build)
        self._fallback = None if build else self.root / "_build" / PROFILE
        self._shell = None if build else _shell()  # of a notebook that somebody runs by hand
        self._metrics: dict[str, Any] = {}
        self._shares: set[str] = set()  # names of metrics that are in per cent
        self._claims: list[dict[str, Any]] = []
        self._artifacts: dict[str, str] = {}
        self._files: set[str] = set()
        self._networks: dict[str, dict[str, Any]] = {}
        self._places: set[str | None] = set()
        self._said: list[tuple[str, Any]] = []  # texts and where they are displayed
        if self._shell:
            by_hand = _interactive()
            self._book = by_hand.Book(self.root)
            self._chapter = self._book.chapter(name)
            values = by_hand.check_knobs(self._chapter, self._shell.user_ns, self._shell.user_ns["In"])
            print(by_hand.cost_in_words(self._book, self._chapter, values))

    @property
    def store(self) -> Path:
        """Where trained things and corpora lie, named by their recipes: the profiles share them."""
        folder = self.build.parent / "store"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def data(self, name: str) -> Path:
        """The path of ``data/NAME``; while the book is built, NAME has to stand among the chapter's ``reads``.

        So the chapter runs again when the file, or a file in the folder, has changed.

        Raises:
            FingerprintsError: the chapter's front matter does not declare it.
        """
        declared = os.environ.get("FINGERPRINTS_READS")
        if declared is not None and name not in declared.split(os.pathsep):
            raise FingerprintsError(f"Chapter {self.name!r} reads data/{name}: add it to `reads` in its front matter.")
        return self.root / "data" / name

    def open(self, artifact: str) -> Any:
        """What an earlier chapter gave to `make` under this name; in a notebook it is made if it is missing.

        Raises:
            FingerprintsError: it has not been made yet.
        """
        path = self._find(f"{artifact}.json")
        if self._shell and (path is None or path.parent == self._fallback):
            _interactive().make_ready(self._book, artifact, PROFILE)
            path = self._find(f"{artifact}.json")
        if path is None:
            raise FingerprintsError(
                f"The artifact {artifact!r} is not there yet: run the chapters before {self.name!r} (`make book` does)."
            )
        return json.loads(path.read_text(encoding="utf-8"))

    def make(self, artifact: str, value: Any, files: Iterable[Path] = ()) -> None:
        """Leave a small JSON-able value for later chapters, and say what of it lies in the `store`.

        The chapter runs again when one of the `files` (or folders) is no longer there; files elsewhere do not count.
        """
        self._artifacts[artifact] = recipe_hash(value)
        within = [Path(file) for file in files if self.store in Path(file).parents]
        self._files |= {str(file.relative_to(self.store)) for file in within}
        write_json(self._made / f"{artifact}.json", value)

    def network(self, name: str, told: Mapping[str, Any]) -> None:
        """Note a network that was used here, and what `networks.publish` needs to know of it."""
        self._networks[name] = dict(told)

    def metrics_of_all(self) -> list[dict[str, Any]]:
        """The metrics of every chapter that has run, by name of file."""
        folders = [folder / "metrics" for folder in (self._fallback, self.build) if folder]
        paths = {path.name: path for folder in folders for path in folder.glob("*.json")}
        return [json.loads(path.read_text(encoding="utf-8")) for _, path in sorted(paths.items())]

    def metric(self, name: str, value: float | int | str) -> None:
        """Record a number (or word), for the prose too: see `prose`.

        Whatever in the name is neither letter nor digit becomes an underscore: ``log-DCT, as they are`` is called
        ``log_DCT_as_they_are``.

        Raises:
            FingerprintsError: it is neither, or not finite.
        """
        name = _spelled(name)
        if callable(getattr(value, "item", None)):
            value = value.item()  # type: ignore[union-attr]  # a scalar of NumPy or PyTorch
        if not isinstance(value, float | int | str):
            raise FingerprintsError(f"The metric {name!r} of chapter {self.name!r} is a {type(value).__name__}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise FingerprintsError(f"The metric {name!r} of chapter {self.name!r} is {value}: look into its cell.")
        self._metrics[name] = value

    def __getitem__(self, key: str) -> str:
        """A recorded number (or word) as the prose has it, see `prose.in_words`; `prose.UNKNOWN` if there is none."""
        return in_words(self._metrics, key) if key.partition(":")[0] in self._metrics else UNKNOWN

    def interval(self, name: str, value: float, interval: tuple[float, float], scale: float = 100) -> None:
        """Record a value and the ends of its interval, as the metrics NAME, NAME_low and NAME_high; shares in per cent.

        Raises:
            FingerprintsError: see `metric`.
        """
        for end, number in zip(("", "_low", "_high"), (value, *interval), strict=True):
            self.metric(name + end, scale * number)
        if scale == 100:
            self._shares.add(_spelled(name))

    def report(self, name: str, report: "Report") -> None:
        """Record the accuracy of a report and its interval, in per cent: see `interval`."""
        self.interval(name, report.accuracy, report.interval)

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Display rows as a table; the columns are the keys of the first: see `tables.markdown`."""
        from IPython.display import Markdown, display

        display(Markdown(markdown(rows)))

    def claim(self, claim: str, value: float, interval: tuple[float, float], **bounds: Any) -> None:
        """Record the effect for a claim of ``data/paper.yml``, and say what was found: see `Measurement`."""
        from IPython.display import Markdown, display

        measurement = Measurement(claim, float(value), float(interval[0]), float(interval[1]), **bounds)
        self._claims.append(measurement.as_dict())
        display(Markdown(measurement.sentence()), metadata={"claim": claim})

    def say(self, text: str) -> None:
        """Display a text with its numbers; those that are not known yet are put in when the page is finished."""
        from IPython.display import Markdown, display

        self._said.append((text, display(Markdown(filled(text, self.__getitem__)), display_id=True)))

    def show(self, plot: "Plot", place: str | None = None) -> None:
        """Display a figure with its alternative text; one shown at the same `place` before is replaced."""
        from IPython.display import Image, Markdown, display

        where = {"display_id": place, "update": place in self._places} if place else {}
        self._places.add(place)
        told = {"alt": plot.alt} | ({"narrow": True} if plot.narrow else {})
        display(Image(plot.png()), metadata=told, **where)
        if self._shell and not where:  # on the built page the caption stands in a figure
            display(Markdown(_interactive().caption_of(self._chapter, self._shell.user_ns["In"][-1])))

    def play(self, draw: Callable[..., "Plot"], **knobs: Sequence[Any]) -> None:
        """A figure that changes as its knobs are turned, in a notebook; on the page it stands as they begin.

        Args:
            draw: from one value of each knob to the figure.
            knobs: argument of `draw` to the values that there are, the first of them to begin with.
        """
        if self._shell:
            _interactive().controls(draw, knobs)
        else:
            self.show(draw(**{name: values[0] for name, values in knobs.items()}))

    def code(self, function: Callable[..., Any]) -> None:
        """Display a function as the library has it, without docstring, types, and what refuses wrong arguments."""
        from IPython.display import Markdown, display

        source = re.sub(r" +# type: ignore.*", "", textwrap.dedent(inspect.getsource(function)))
        definition = ast.parse(source).body[0]
        assert isinstance(definition, ast.FunctionDef)
        body = definition.body[1:] if ast.get_docstring(definition) else definition.body
        while _refuses(body[0]):
            body = body[1:]
        names = ", ".join(argument.arg for argument in definition.args.args)
        lines = [f"def {definition.name}({names}):", *source.splitlines()[body[0].lineno - 1 :]]
        display(Markdown("```python\n" + "\n".join(lines) + "\n```"))

    def relative(self, path: Path | str) -> str:
        """The path as seen from the project's folder, where any later chapter finds it again."""
        return Path(os.path.relpath(path, self.root)).as_posix()

    def finish(self) -> None:
        """Write ``metrics/<chapter>.json``; the same profile on the same machine gives the same bytes."""
        if self._said:
            from IPython.display import Markdown

            for text, shown in self._said:
                shown.update(Markdown(filled(text, self.__getitem__)))
        record = {
            "chapter": self.name,
            "metrics": self._metrics,
            "shares": sorted(self._shares),
            "claims": self._claims,
            "artifacts": self._artifacts,
            "store": sorted(self._files),
            "networks": self._networks,
            "device": _device(),
        }
        write_json(self._made / "metrics" / f"{self.name}.json", record)
        disk = sum(_size(self.store / file) for file in self._files)
        cost = {"saved": sum(REUSED), "memory": _peak_memory(), "disk": disk}
        write_json(self._made / "costs" / f"{self.name}.json", cost)

    def _find(self, relative: str) -> Path | None:
        """The file in the build; in the lab, in its own folder or in that of `quick`, whichever was made last."""
        paths = [folder / relative for folder in (self.build, self._fallback) if folder]
        return max((path for path in paths if path.exists()), key=lambda path: path.stat().st_mtime, default=None)


def _refuses(statement: ast.stmt) -> bool:
    """Whether a statement does nothing but refuse what it is given, or tell a type checker what that is."""
    only = isinstance(statement, ast.If) and not statement.orelse and isinstance(statement.body[0], ast.Raise)
    return only or isinstance(statement, ast.Assert)


def _spelled(name: str) -> str:
    """A metric's name as it is recorded: see `Page.metric`."""
    return re.sub(r"\W+", "_", name)


def _shell() -> Any:
    """IPython's, or nothing where the library is used from plain Python."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _interactive() -> Any:
    """The module `interactive`; by name, as no chapter shall depend on, and run again for, what a build never uses."""
    return importlib.import_module(".interactive", __package__)


def _size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def _peak_memory() -> int:
    """The most bytes that this process has held so far, or one that it had started; 0 where nobody counts them."""
    if sys.platform == "win32":
        return 0
    import resource

    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return most if sys.platform == "darwin" else 1024 * most


def _device() -> str:
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else "cpu"
