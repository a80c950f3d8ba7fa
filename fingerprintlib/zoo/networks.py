"""Shipped networks: what the book's trainings became at their best, in ``data/networks/``.

A page asks for a network by name and says what it is about, a corpus. It gets the shipped one if that learned from the
same photographs and the same generators; else it trains its own (`book.page.Page.networks`). The shipped ones are those
that a build of the book trained at the profile ``full``: `publish` takes them over, and nothing else says how they are
made. A network is two files: ``NAME.safetensors``, all that it takes to use it, and ``NAME.json``, its card, for people
to read.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..attribution.attributor import Attributor, SourceClassifier
from ..attribution.visualizer import Visualizer
from ..checkpoints import CheckpointError, kind_of
from ..data.images import Pixels
from ..data.labelled import LabelledImages
from ..errors import UsageError, unknown
from ..provenance import file_hash, write_json
from ..runtime import Fabric

KINDS: dict[str, type[SourceClassifier[Any]]] = {kind.kind: kind for kind in (Attributor, Visualizer)}
#: Of the predictions, the share that may differ if a network is to be kept in fewer bits.
FLIPS = 0.01


def load_network(path: Path | str, fabric: Fabric | None = None) -> SourceClassifier[Any]:
    """Open the file of an attributor or a visualizer.

    Raises:
        CheckpointError: missing, damaged, or something else.
    """
    kind = kind_of(path)
    if kind not in KINDS:
        raise CheckpointError(f"{path} holds a {kind}; what names sources is one of: {', '.join(KINDS)}.")
    return KINDS[kind].load(path, fabric=fabric)


def told_of(corpus: LabelledImages) -> dict[str, Any]:
    """What decides whether a network fits a corpus: where the images come from, and the colour control."""
    return {"origin": corpus.origin, "colour": corpus.colour}


@dataclass(frozen=True)
class Networks:
    """The networks of a folder; the project's is ``data/networks``."""

    folder: Path

    @property
    def names(self) -> list[str]:
        """Of all that there are, or ought to be: of those with a card."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def card(self, name: str) -> dict[str, Any]:
        """What is known of a network: how it learned, from what, for how long, on which machine."""
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))

    def cards(self, beginning: str) -> list[dict[str, Any]]:
        """`card` of each whose name begins so."""
        return [self.card(name) for name in self.names if name.startswith(beginning)]

    def has(self, name: str, corpus: LabelledImages) -> bool:
        """Whether there is a network of that name which learned from the sources of this corpus, in its colours."""
        return name in self.names and self.card(name)["corpus"] == told_of(corpus)

    def load(self, name: str) -> SourceClassifier[Any]:
        """A network, on this machine's device.

        Raises:
            UsageError: there is no such network.
            CheckpointError: it is missing, damaged, or not what its card says.
        """
        if name not in self.names:
            raise unknown("network", name, self.names)
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            raise CheckpointError(f"{path} is missing. Restore it: `git checkout data/networks`.")
        if file_hash(path) != self.card(name)["file"]:
            raise CheckpointError(f"{path} is not what its card says. Restore both: `git checkout data/networks`.")
        return load_network(path)

    def learned_from(self, network: SourceClassifier[Any]) -> int:
        """How many training images of each source a network learned from, which need not be one of these.

        The oldest do not tell. Then another one tells it that learned from the same corpus: whose hash is the same has
        the same images. An immunized network learned from those of the network that it was finetuned from.

        Raises:
            UsageError: no other tells it either.
        """
        told = network.provenance
        corpus = told.get("start", told["recipe"])["corpus"]
        alike = (card for card in map(self.card, self.names) if card["recipe"]["corpus"] == corpus)
        known = [int(card["images"]) for card in (told, *alike) if "images" in card]
        if not known:
            raise UsageError("Nobody tells how many images this network learned from. Train it again: it will be told.")
        return known[0]

    def publish(self, name: str, network: SourceClassifier[Any], corpus: Mapping[str, Any], images: Pixels) -> None:
        """Write a network here, in 8 or 16 bits where that changes next to nothing.

        Args:
            name: under which pages ask for it.
            network: as it was trained.
            corpus: what `told_of` says of what it learned from.
            images: uint8 ``[N, R, R, 3]``, none of them from the test split, on which predictions are compared; R is
                not less than what the network judges, their middles count.
        """
        path = self.folder / f"{name}.safetensors"
        cut = slice((images.shape[1] - network.resolution) // 2, (images.shape[1] + network.resolution) // 2)
        images = images[:, cut, cut]
        answers = network.predict(images)
        for bits in (8, 16, 32):
            network.save(path, bits)
            if np.mean(load_network(path).predict(images) != answers) <= FLIPS:
                break
        told = {"kind": network.kind, "colour": network.colour, "corpus": corpus, "bits": bits}
        write_json(self.folder / f"{name}.json", {**told, "file": file_hash(path), **network.provenance})

    def keep_only(self, names: set[str]) -> None:
        """Remove all others."""
        for path in [*self.folder.glob("*.safetensors"), *self.folder.glob("*.json")]:
            if path.stem not in names:
                path.unlink()

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Of each: name, kind, colour, number of sources, steps, accuracy on validation, size, minutes, device."""
        for name in self.names:
            card = self.card(name)
            best = max(point["validation_accuracy"] for point in card["history"])
            path = self.folder / f"{name}.safetensors"
            size = f"{path.stat().st_size / 1e6:.1f}" if path.is_file() else "missing"
            yield (
                name,
                card["kind"],
                card["colour"],
                str(len(card["corpus"]["origin"])),
                f"{card['history'][-1]['step']:,}",
                f"{100 * best:.1f}",
                size,
                f"{card['seconds'] / 60:.0f}",
                card["device"],
            )
