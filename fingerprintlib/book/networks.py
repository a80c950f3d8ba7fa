"""The networks of a page: shipped with the project, or trained while it runs; and how those of a build are published.

Whatever a build at the profile ``full`` trained with `shipped_or_trained` can be shipped: `publish` takes it over into
``data/networks``, and what the pages measured with it into ``data/results/full.json``.
"""

import datetime
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from .. import __version__
from ..attribution.attributor import SourceClassifier
from ..data.corpus import open_corpus
from ..errors import UsageError
from ..provenance import write_json
from ..store import get_all
from ..zoo.networks import Networks, load_network, told_of
from .chapters import Book, data_hash
from .page import Page
from .published import SHIPPED
from .timings import build_folder, machine

Key = TypeVar("Key")


def shipped_or_trained(
    page: Page, which: str, function: Callable[..., Any], trainings: Mapping[Key, Mapping[str, Any]]
) -> dict[Key, Any]:
    """The networks that the trainings make, by the same keys.

    Args:
        page: on which they are used; a network's name is the chapter's and its key.
        which: ``"shipped"``: as they come with the project, where it has one that learned from the same sources, and
            trained here where not, which is said; or ``"trained"``.
        function: that trains one or finds it trained, ``Attributor.load_or_train`` for example.
        trainings: key to keyword arguments, ``corpus`` among them; keys are words, numbers or tuples of them.
    """
    names = {key: network_name(page.name, key) for key in trainings}
    found: dict[Key, Any] = {}
    if which == "shipped":
        shipped = Networks(page.data("networks"))
        fitting = [key for key, training in trainings.items() if shipped.has(names[key], training["corpus"])]
        found = {key: shipped.load(names[key]) for key in fitting}
        for key in fitting:
            page.network(names[key], {"shipped": shipped.card(names[key])["file"]})
    missing = {key: training for key, training in trainings.items() if key not in found}
    if which == "shipped" and missing:
        print("Trained here, as none that learned from these sources is shipped:", ", ".join(map(str, missing)))
    trained = get_all(function, missing)
    for key, network in trained.items():
        where = str(network.path.relative_to(page.store))
        page.network(names[key], {"file": where, "corpus": told_of(trainings[key]["corpus"])})
    return {key: found[key] if key in found else trained[key] for key in trainings}


def leave_networks(page: Page, artifact: str, networks: Mapping[str, SourceClassifier[Any]]) -> None:
    """Leave networks, by word, for later chapters to open with `open_networks`."""
    made = {word: network for word, network in networks.items() if network.path}
    # The hash is of the weights: the file also tells when it was made, and a later chapter need not run for that.
    files = {word: {"file": page.relative(n.path), "hash": n.hash} for word, n in made.items() if n.path}
    page.make(artifact, files, [n.path for n in made.values() if n.path])


def open_networks(page: Page, artifact: str) -> dict[str, Any]:
    """The networks that an earlier chapter left, by word."""
    return {word: load_network(page.root / entry["file"]) for word, entry in page.open(artifact).items()}


def network_name(chapter: str, key: object) -> str:
    """The name of a chapter's network: ``frequency-8-residual-grey`` of the key ``(8, "residual", "grey")``."""
    words = key if isinstance(key, tuple) else (key,)
    return re.sub(r"\W+", "-", "-".join(map(str, (chapter, *words)))).lower()


def publish(book: Book, profile: str = SHIPPED) -> list[str]:
    """Make the networks that a build used the shipped ones, and its numbers the published ones; returns their names.

    Of chapters that have not run there, what is published stays if it is of the same data and networks.

    Raises:
        UsageError: some chapters have neither run at that profile nor valid numbers.
    """
    build, records, data = build_folder(book, profile), _records(book, profile), _data(book)
    path = book.root / "data" / "results" / f"{profile}.json"
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"data": None}
    shipped = Networks(book.root / "data" / "networks")
    anew = {name for record in records.values() for name, entry in record["networks"].items() if "file" in entry}
    missing = [chapter.name for chapter in book.chapters if chapter.name not in records]
    before = told["chapters"] if told["data"] == data else {}
    kept = {name: before[name] for name in missing if name in before and anew.isdisjoint(before[name]["networks"])}
    if lacking := [name for name in missing if name not in kept]:
        raise UsageError(
            f"At the profile {profile!r} these chapters have not run: {', '.join(lacking)}. "
            f"Run `fingerprints book --profile {profile}` first."
        )
    store = build.parent / "store"
    corpus = open_corpus(store / json.loads((build / "corpus.json").read_text(encoding="utf-8"))["folder"])
    images, _, _ = corpus.first("validation", 200)  # none of the test split decides anything
    used = {name: entry for record in records.values() for name, entry in record["networks"].items()}
    for name in sorted(anew):  # trained there; the others are shipped already, and stay
        shipped.publish(name, load_network(store / used[name]["file"]), used[name]["corpus"], images)
    names = {*used, *(network for found in kept.values() for network in found["networks"])}
    shipped.keep_only(names)
    found = {
        name: _told(record) | {"networks": {network: shipped.card(network)["file"] for network in record["networks"]}}
        for name, record in records.items()
    }
    write_json(path, {"profile": profile, "data": data, "chapters": kept | found})
    return sorted(names)


def report(book: Book, profile: str) -> Path:
    """Write the numbers and claims of a build to ``data/results/<profile>.json``: one file, which can be sent.

    Its networks stay where they are. Wherever the file lies, the ledger has a column for it.

    Raises:
        UsageError: no chapter has run at that profile, or its numbers go with networks that are shipped.
    """
    if profile == SHIPPED:
        raise UsageError(
            f"The numbers of the profile {profile!r} are about the networks in data/networks. "
            "Publish both: `fingerprints networks publish`."
        )
    records = _records(book, profile)
    if not records:
        raise UsageError(f"Nothing was built at the profile {profile!r}. Run `fingerprints book --profile {profile}`.")
    path = book.root / "data" / "results" / f"{profile}.json"
    chapters = {name: _told(record) | {"networks": {}} for name, record in records.items()}
    write_json(path, {"profile": profile, "data": _data(book), "chapters": chapters})
    return path


def _records(book: Book, profile: str) -> dict[str, dict[str, Any]]:
    """What each chapter that has run recorded."""
    paths = build_folder(book, profile).glob("metrics/*.json")
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def _data(book: Book) -> dict[str, str]:
    """Hashes of the photographs and of the zoo."""
    return {name: data_hash(book.root / "data" / name) for name in ("clothing", "zoo")}


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is published of a chapter that was run here, but for its networks."""
    here = {"date": datetime.date.today().isoformat(), "machine": machine(), "version": __version__}
    return here | {key: record[key] for key in ("metrics", "claims", "device")}
