"""How the library is built, read off its source: the rooms, what stands in each, and which room uses which."""

import ast
from functools import cache
from graphlib import TopologicalSorter

from ..codehash import PACKAGE, ROOT, code_of, imports_of
from ..provenance import recipe_hash
from ..tables import markdown

#: The modules that stand in no room: those that every room may use, and those that use the rooms.
GROUND, DOORS = "ground floor", "doors"
#: What becomes of an image, and which module sees to it.
WAY = {
    "a photograph": "data.clothing",
    "in a split": "data.splits",
    "shown to a GAN": "gans.training",
    "which is kept": "zoo.shipped",
    "and sampled": "zoo.generators",
    "into a corpus": "data.building",
    "attributed": "attribution.attributor",
    "counted": "statistics.metrics",
    "drawn": "plots.results",
    "judged": "book.claims",
}


@cache
def modules() -> dict[str, str]:
    """Every module (``data.corpus``; a package by its own name) with the first sentence of its docstring."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if name:
            found[name] = " ".join(docstring.split("\n\n")[0].split())
    return found


@cache
def uses() -> dict[tuple[str, str], int]:
    """How many modules of one room use another: by the names of the two, user first."""
    of = {name: _room(name) for name in modules()}
    pairs = {(name, of[target]) for name in of for target in _used_by(name) if of[target] != of[name]}
    found: dict[tuple[str, str], int] = {}
    for name, room in pairs:
        found[of[name], room] = found.get((of[name], room), 0) + 1
    return found


@cache
def rooms() -> dict[str, list[str]]:
    """The rooms with the names of their modules; each stands after all that it uses.

    Raises:
        graphlib.CycleError: two rooms use each other.
    """
    needs: dict[str, set[str]] = {}
    for user, used in uses():
        needs.setdefault(user, set()).add(used)
    floor: dict[str, int] = {}
    for room in TopologicalSorter(needs).static_order():
        floor[room] = 1 + max((floor[used] for used in needs.get(room, ())), default=0)
    files = [name for name in modules() if not (ROOT / name.replace(".", "/")).is_dir()]
    order = sorted(floor, key=lambda room: (floor[room], room))
    return {room: [name.split(".")[-1] for name in files if _room(name) == room] for room in order}


@cache
def _room(name: str) -> str:
    first = name.split(".")[0]
    if (ROOT / first).is_dir():
        return first
    return DOORS if any((ROOT / used.split(".")[0]).is_dir() for used in _used_by(name)) else GROUND


@cache
def _used_by(name: str) -> frozenset[str]:
    return frozenset(used.removeprefix(f"{PACKAGE}.") for used in imports_of(f"{PACKAGE}.{name}"))


def way() -> dict[str, list[str]]:
    """The steps of `WAY` that each room sees to, numbered.

    Raises:
        KeyError: a module of it is no longer there.
    """
    found: dict[str, list[str]] = {}
    for number, (step, module) in enumerate(WAY.items(), 1):
        modules()[module]
        found.setdefault(module.split(".")[0], []).append(f"{number} {step}")
    return found


def recipe() -> str:
    """A hash of all that `house_page` depends on."""
    how = code_of("fingerprintlib.book.house", "fingerprintlib.plots.house")
    return recipe_hash([modules(), rooms(), sorted(uses().items()), how])


def house_page() -> tuple[str, bytes]:
    """The page *How this book is built* as MyST text, which shows ``house.png``; and that figure as a PNG file."""
    from ..plots.house import house  # here: to ask about rooms should not take a second

    plot = house(rooms(), {pair: count for pair, count in uses().items() if GROUND not in pair}, way())
    rows = []
    for room, names in rooms().items():
        for name in names:
            told = modules()[name if room in (GROUND, DOORS) else f"{room}.{name}"]
            rows.append({"Room": room if name == names[0] else "", "File": f"`{name}.py`", "What it does": told})
    text = f"""# How this book is built

Written by the build, from the source of `{PACKAGE}`. The library has {len(rooms()) - 2} rooms. A room uses only what
stands above it, so data run downwards. All of them use the ground floor, so its arcs are left out.

```{{figure}} house.png
:name: fig-house
:alt: {plot.alt}

The rooms with their files. Arcs lead from a room to those that use it, the thicker the more files do. The numbers
follow an image on its way.
```

## Where to change what

{markdown(rows)}
"""
    return text, plot.png()
