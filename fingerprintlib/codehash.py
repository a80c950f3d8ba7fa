"""What code means, as a hash: an edit costs what it means.

A result depends on the functions that compute it, on the functions and constants that these name, and so on; not on
what else stands in the same file, nor in which file they stand. So the package's source is read (nothing is imported or
run), and of each definition that is reached the syntax tree is hashed, without what computes nothing: comments,
docstrings, the types of arguments, the words of an error. Of other packages those that are reached count with their
version, if they are known to compute.

A method is found by the name of its class, so whoever is handed an object must name its class, too. A module that is
used otherwise than by ``module.name`` counts as a whole.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from .provenance import recipe_hash

PACKAGE = "fingerprintlib"
ROOT = Path(__file__).resolve().parent

#: The packages of which another version may give other pixels, weights or figures: name in code to name when installed.
COMPUTING = {
    "PIL": "pillow",
    "joblib": "joblib",
    "lightning": "lightning",
    "lightning_fabric": "lightning-fabric",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "pandas": "pandas",
    "pywt": "PyWavelets",
    "scipy": "scipy",
    "seaborn": "seaborn",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "torchvision": "torchvision",
}


def code_of(*things: Callable[..., Any] | str) -> dict[str, Any]:
    """What a result depends on that these compute: the hash of their code and the versions of what they use.

    Args:
        things: functions and classes of the package; or its modules by name, ``"fingerprintlib.data.datasets"``, which
            count as a whole.

    Returns:
        ``code`` and ``versions``, to be put into a recipe.

    Raises:
        ValueError: the package has no such module or definition.
    """
    return _told(_Reached.by(*(thing if isinstance(thing, str) else _place(thing) for thing in things)))


def code_of_cells(sources: Sequence[str]) -> dict[str, Any]:
    """`code_of` the cells of a notebook, which are Python and follow one another.

    A definition that a cell shows, by ``page.code(...)``, counts with its comments.
    """
    reached = _Reached()
    reached.page(_Module.read("\n".join(sources), "__main__"))
    return _told(reached)


def same_meaning(one: str, other: str) -> bool:
    """Whether two pieces of Python compute the same; if one of them is no Python, whether they are the same text."""
    try:
        return bool(_plain(ast.parse(one)) == _plain(ast.parse(other)))
    except SyntaxError:
        return one == other


def imports_of(name: str) -> set[str]:
    """The package's modules that a module imports, dotted: a package where something that its ``__init__`` has."""
    found = set()
    for base, attribute in [target for targets in _module(name, ROOT).imported.values() for target in targets]:
        places = [f"{base}.{attribute}", base] if attribute else [base]
        found |= {place for place in places if _path_of(place, ROOT)} - {PACKAGE}
    return found


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of these packages (as code names them) and of what they need, as far as it is `COMPUTING`."""
    found: dict[str, str] = {}
    queue = [COMPUTING[name] for name in packages if name in COMPUTING]
    while queue:
        name = queue.pop()
        if name not in found:
            with suppress(metadata.PackageNotFoundError):  # one of two that serve
                found[name] = metadata.version(name)
                queue += _needed_by(name)
    return found


@cache
def _needed_by(name: str) -> list[str]:
    computing = {each.lower(): each for each in COMPUTING.values()}
    needs = [need for need in metadata.requires(name) or [] if "extra ==" not in need]
    needed = [re.split(r"[^\w.-]", need)[0].lower() for need in needs]
    return [computing[need] for need in needed if need in computing]


def _told(reached: "_Reached") -> dict[str, Any]:
    return {"code": recipe_hash(sorted(reached.entries)), "versions": versions(reached.packages)}


def _place(thing: Callable[..., Any]) -> str:
    return f"{thing.__module__}:{thing.__qualname__.split('.')[0]}"


# --- a module, read -----------------------------------------------------------------------------


@dataclass
class _Module:
    """What a module's source says.

    Attributes:
        definitions: the statements that bind each name at the top of the module.
        imported: for each name that an import binds, anywhere in it, the modules and the names there (None: the module
            itself).
        always: the other statements, which run whatever is asked of the module.
    """

    name: str
    source: str
    tree: ast.Module
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict)
    always: list[ast.stmt] = field(default_factory=list)

    @classmethod
    def read(cls, source: str, name: str) -> "_Module":
        module = cls(name, source, ast.parse(source))
        for node in ast.walk(module.tree):
            for bound, target in _imports(node, name):
                module.imported.setdefault(bound, []).append(target)
        for statement in module.tree.body:
            if names := list(_bound_by(statement)):
                for bound in names:
                    module.definitions.setdefault(bound, []).append(statement)
            elif not _is_mute(statement):
                module.always.append(statement)
        return module


@cache
def _module(name: str, root: Path) -> _Module:
    path = _path_of(name, root)
    if path is None:
        raise ValueError(f"{PACKAGE} has no module {name!r}.")
    return _Module.read(path.read_text(encoding="utf-8"), name)


def _path_of(name: str, root: Path) -> Path | None:
    top, *rest = name.split(".")
    base = root.joinpath(*rest)
    candidates = [base / "__init__.py", base.with_suffix(".py")] if top == PACKAGE else []
    return next((path for path in candidates if path.is_file()), None)


def _imports(node: ast.AST, module: str) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """What an import statement binds, and to what."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.split(".")[0]
            yield alias.asname or top, (alias.name if alias.asname else top, None)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            path = _path_of(module, ROOT)
            parents = module.split(".") if path and path.name == "__init__.py" else module.split(".")[:-1]
            parents = parents[: len(parents) - node.level + 1]
            base = ".".join([*parents, base] if base else parents)
        for alias in node.names:
            yield alias.asname or alias.name, (base, alias.name)


def _bound_by(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            for node in ast.walk(target):
                # A place in something that has a name (`table["key"] = ...`) binds no name.
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


def _is_mute(node: Any) -> bool:
    """Whether a statement computes nothing by itself: a docstring, or an import (what that leads to counts)."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return text or isinstance(node, ast.Import | ast.ImportFrom)


def _parts(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """The fields of a piece of code that compute: types of arguments do not, nor does an error's text."""
    if isinstance(node, ast.Raise):
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        yield "exc", ast.unparse(kind) if kind else None
        return
    skipped = _SKIPPED.get(type(node), ("ctx", "kind", "type_comment"))
    for name, value in ast.iter_fields(node):
        if name not in skipped and value is not None:
            some = [item for item in value if not _is_mute(item)] if isinstance(value, list) else value
            if some != []:
                yield name, some


_SKIPPED = {
    ast.arg: ("annotation", "type_comment"),
    ast.FunctionDef: ("returns", "type_comment"),
    ast.AsyncFunctionDef: ("returns", "type_comment"),
}


def _plain(node: Any) -> Any:
    """A piece of code as JSON, the same from every version of Python: without places, and without what is empty."""
    if isinstance(node, ast.AST):
        return [type(node).__name__, *([name, _plain(value)] for name, value in _parts(node))]
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return repr(node)


def _names_in(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """The names that a piece of code uses, each with the attributes that follow it: ``("np", "linalg", "norm")``."""
    chain: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        chain.insert(0, inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield (inner.id, *chain)
        return
    for _, value in _parts(inner):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                yield from _names_in(item)


# --- what is reached ----------------------------------------------------------------------------

#: A definition in a module, by their names.
_Target = tuple[str, str]


class _Reached:
    """What is reached from somewhere: an entry a definition, and the other packages.

    An entry tells the definition's name, its code, and for each name in that what is meant, by the code that stands
    there. In which module it stands is not told: code that moves means the same.
    """

    def __init__(self) -> None:
        self.entries: set[str] = set()
        self.packages: set[str] = set()
        self.seen: set[_Target] = set()

    @classmethod
    def by(cls, *places: str) -> "_Reached":
        """Of modules, ``fingerprintlib.data.datasets``, and definitions, ``fingerprintlib.training:fit``."""
        reached = cls()
        for place in places:
            name, _, definition = place.partition(":")
            known = _module(name, ROOT).definitions
            if definition and definition not in known:
                raise ValueError(f"{name} defines no {definition!r}.")
            reached.follow([(name, one) for one in ([definition] if definition else known)])
        return reached

    def follow(self, targets: Iterable[_Target]) -> None:
        """Enter definitions, and whatever they lead to."""
        queue = list(targets)
        while queue:
            target = queue.pop()
            if target not in self.seen:
                self.seen.add(target)
                node = _node(target, ROOT)
                self.entries.add(node.entry)
                self.packages |= node.packages
                queue += node.leads_to

    def page(self, page: _Module) -> None:
        """Enter the cells of a notebook; the code that they show counts with its comments."""
        # In their order: what a name stands for changes from cell to cell.
        node = _described(page, "", [node for node in page.tree.body if not _is_mute(node)], ROOT)
        self.entries.add(node.entry)
        self.packages |= node.packages
        self.follow(node.leads_to)
        for call in (node for node in ast.walk(page.tree) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Attribute) and call.func.attr == "code" and call.args:
                for names in _names_in(call.args[0]):
                    for target in _meant(page, names, ROOT).targets:
                        self._show(target)

    def _show(self, target: _Target) -> None:
        """Count a definition as it is written; if it is a table, those that it names."""
        module = _module(target[0], ROOT)
        tables = [node for node in module.definitions[target[1]] if isinstance(node, ast.Assign | ast.AnnAssign)]
        named = [names for node in tables for names in _names_in(node)]
        behind = [target for names in named for target in _meant(module, names, ROOT).targets]
        for module_name, name in [target, *behind]:
            source = _module(module_name, ROOT)
            lines = source.source.splitlines()
            original = [node for node in source.tree.body if name in _bound_by(node)]
            self.entries |= {recipe_hash(lines[node.lineno - 1 : node.end_lineno]) for node in original}


@dataclass(frozen=True)
class _Node:
    """What there is to know of a definition: its entry, where it leads, which other packages it uses."""

    entry: str
    leads_to: tuple[_Target, ...]
    packages: frozenset[str]


@cache
def _node(target: _Target, root: Path) -> _Node:
    """Of a definition; of a module (named ``""``) what runs when it is imported, and the packages above it."""
    module = _module(target[0], root)
    return _described(module, target[1], module.definitions[target[1]] if target[1] else module.always, root)


def _described(module: _Module, name: str, statements: Sequence[ast.stmt], root: Path) -> _Node:
    told: list[list[str]] = []  # of each name what is meant
    packages: set[str] = set()
    leads_to = {(module.name, "")} if name else set()
    for names in sorted({names for node in statements for names in _names_in(node)}):
        meant = _meant(module, names, root)
        told += [[names[0], _own_hash(target, root)] for target in meant.targets]
        told += [[names[0], place] for place in meant.outside]
        packages |= {place.split(".")[0] for place in meant.outside}
        leads_to |= {*meant.targets, *meant.passed}
    if not name:
        above = module.name.split(".")
        leads_to |= {(".".join(above[:depth]), "") for depth in range(1, len(above))}
    entry = recipe_hash([name, _plain(list(statements)), sorted(told)])
    return _Node(entry, tuple(sorted(leads_to)), frozenset(packages))


@dataclass
class _Meant:
    """What a name with its attributes stands for: definitions here, places in other packages; the modules passed."""

    targets: list[_Target]
    outside: list[str]
    passed: list[_Target]


def _meant(module: _Module, names: tuple[str, ...], root: Path) -> _Meant:
    head, *rest = names
    here = head in module.definitions and module.name != "__main__"  # a page's own cells are hashed as they stand
    found = _Meant([(module.name, head)] if here else [], [], [])
    queue = [(base, [*([name] if name else []), *rest]) for base, name in module.imported.get(head, ())]
    while queue:
        base, left = queue.pop()
        if base.split(".")[0] != PACKAGE:
            found.outside.append(".".join([base, *left]))
            continue
        inside = _module(base, root)
        found.passed.append((base, ""))
        if not left:
            found.targets += [(base, name) for name in inside.definitions]
        elif left[0] in inside.definitions:
            found.targets.append((base, left[0]))
        elif left[0] in inside.imported:
            queue += [(b, [*([name] if name else []), *left[1:]]) for b, name in inside.imported[left[0]]]
        elif _path_of(f"{base}.{left[0]}", root):
            queue.append((f"{base}.{left[0]}", left[1:]))
    return found


@cache
def _own_hash(target: _Target, root: Path) -> str:
    return recipe_hash(_plain(list(_module(target[0], root).definitions[target[1]])))
