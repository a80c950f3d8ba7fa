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
        things: functions and classes of the package; or the names of its modules, ``"fingerprintlib.datasets"``, which
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
    page = _Module.read("\n".join(sources), "__main__")
    reached = _Reached()
    reached.whole(page)
    for call in (node for node in ast.walk(page.tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "code" and call.args:
            reached.show(page, call.args[0])
    return _told(reached)


def same_meaning(one: str, other: str) -> bool:
    """Whether two pieces of Python compute the same; if one of them is no Python, whether they are the same text."""
    try:
        return _plain(_stripped(ast.parse(one))) == _plain(_stripped(ast.parse(other)))
    except SyntaxError:
        return one == other


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of these packages (as code names them) and of what they need, as far as it is `COMPUTING`."""
    found: dict[str, str] = {}
    queue = [COMPUTING[name] for name in packages if name in COMPUTING]
    computing = {name.lower(): name for name in COMPUTING.values()}
    while queue:
        name = queue.pop()
        if name not in found:
            with suppress(metadata.PackageNotFoundError):  # one of two that serve
                found[name] = metadata.version(name)
                needs = [need for need in metadata.requires(name) or [] if "extra ==" not in need]
                needed = [re.split(r"[^\w.-]", need)[0].lower() for need in needs]
                queue += [computing[need] for need in needed if need in computing]
    return found


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
        for statement in _stripped(ast.parse(source)).body:
            if names := list(_bound_by(statement)):
                for bound in names:
                    module.definitions.setdefault(bound, []).append(statement)
            else:
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


class _Stripper(ast.NodeTransformer):
    """Takes away what computes nothing, and imports: what they lead to is hashed in their place."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(ast.Constant(ast.unparse(kind)) if kind else None)


def _stripped(tree: ast.Module) -> ast.Module:
    stripped = _Stripper().visit(tree)
    assert isinstance(stripped, ast.Module)
    return stripped


def _plain(node: Any) -> Any:
    """A syntax tree as JSON, the same from every version of Python: without places, and without what is empty."""
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
        skipped = ("ctx", "kind", "type_comment")
        return [type(node).__name__, *([name, _plain(value)] for name, value in fields if name not in skipped)]
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
    else:
        for child in ast.iter_child_nodes(inner):
            yield from _names_in(child)


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
        self._seen: set[Any] = set()

    @classmethod
    def by(cls, *places: str) -> "_Reached":
        """Of modules, ``fingerprintlib.datasets``, and definitions, ``fingerprintlib.training:fit``."""
        reached = cls()
        for place in places:
            name, _, definition = place.partition(":")
            module = _module(name, ROOT)
            if not definition:
                reached.whole(module)
            elif definition in module.definitions:
                reached.definition((name, definition))
            else:
                raise ValueError(f"{name} defines no {definition!r}.")
        return reached

    def whole(self, module: _Module) -> None:
        """Everything in a module."""
        self._touch(module)
        for name in module.definitions:
            self._enter(module, name, module.definitions[name])

    def definition(self, target: _Target) -> None:
        """One definition, and what it leads to."""
        module = _module(target[0], ROOT)
        self._touch(module)
        self._enter(module, target[1], module.definitions[target[1]])

    def show(self, page: _Module, shown: ast.expr) -> None:
        """Count what the page shows with its comments: the definitions named, and those that a table of them names."""
        for names in _names_in(shown):
            for target in self._targets(page, names):
                for module_name, name in [target, *self._behind(target)]:
                    module = _module(module_name, ROOT)
                    lines = module.source.splitlines()
                    original = [node for node in module.tree.body if name in _bound_by(node)]
                    self.entries |= {recipe_hash(lines[node.lineno - 1 : node.end_lineno]) for node in original}

    def _behind(self, target: _Target) -> list[_Target]:
        module = _module(target[0], ROOT)
        tables = [node for node in module.definitions[target[1]] if isinstance(node, ast.Assign | ast.AnnAssign)]
        named = {names for node in tables for names in _names_in(node)}
        return [found for names in named for found in self._targets(module, names)]

    def _touch(self, module: _Module) -> None:
        """What runs when a module is imported, and the packages above it."""
        if module.name in self._seen:
            return
        self._seen.add(module.name)
        self._enter(module, "", module.always)
        for depth in range(1, module.name.count(".") + 1):
            if module.name.startswith(f"{PACKAGE}."):
                self._touch(_module(".".join(module.name.split(".")[:depth]), ROOT))

    def _enter(self, module: _Module, name: str, statements: Sequence[ast.stmt]) -> None:
        if (module.name, name) in self._seen:
            return
        self._seen.add((module.name, name))
        meant = []
        for names in sorted({names for node in statements for names in _names_in(node)}):
            for target in self._targets(module, names):
                meant.append([names[0], _own_hash(target, ROOT)])
                self.definition(target)
        self.entries.add(recipe_hash([name, _plain(list(statements)), sorted(meant)]))

    def _targets(self, module: _Module, names: tuple[str, ...]) -> list[_Target]:
        """The package's definitions that a name with its attributes stands for in a module; others are noted."""
        head, *rest = names
        found = [(module.name, head)] if head in module.definitions and module.name != "__main__" else []
        for base, name in module.imported.get(head, ()):
            found += self._followed(base, [*([name] if name else []), *rest])
        return found

    def _followed(self, base: str, names: Sequence[str]) -> list[_Target]:
        """The definitions that ``base.name.name...`` stands for, `base` a module."""
        if base.split(".")[0] != PACKAGE:
            self.packages.add(base.split(".")[0])
            return []
        module = _module(base, ROOT)
        self._touch(module)
        if not names:
            return [(base, name) for name in module.definitions]
        if names[0] in module.definitions:
            return [(base, names[0])]
        if names[0] in module.imported:
            return self._targets(module, tuple(names))
        below = f"{base}.{names[0]}"
        return self._followed(below, names[1:]) if _path_of(below, ROOT) else []


@cache
def _own_hash(target: _Target, root: Path) -> str:
    return recipe_hash(_plain(list(_module(target[0], root).definitions[target[1]])))
