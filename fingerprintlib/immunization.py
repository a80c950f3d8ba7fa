"""Immunization: finetune an attributor on attacked images, so that it attributes them too (the fourth finding)."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .attribution import Attributor
from .checkpoints import tensors_hash
from .corpus import Corpus, CorpusError, open_corpus
from .errors import UsageError
from .images import Pixels, coloured
from .perturbations import Attack
from .provenance import code_hash, files_in, recipe_hash, versions
from .runtime import Fabric, computed_with, in_parallel, make_fabric, report_reuse
from .splits import SPLITS
from .store import get_or_make
from .training import Hyperparameters, fit
from .views import LabelledImages, View


@dataclass(frozen=True)
class Attacked(View):
    """A corpus whose images were attacked, and then put under the colour control. It can be learned like a corpus.

    That is the order of things outside: images are changed on their way, and whoever attributes them controls what
    arrives.

    Attributes:
        corpus: images as they are.
        attack: what happens to each.
        strength: the same for all, in place of one drawn for each.
        control: the colour control, one of `images.COLOURS`.
        seed: of the attack; each split has random numbers of its own.

    Raises:
        UsageError: the corpus is under a colour control already.
    """

    attack: Attack
    strength: float | None = None
    control: str = "as_is"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.corpus.colour != "as_is":
            raise UsageError(f"The corpus is {self.corpus.colour} already. Give the one as it is, and a control.")

    @property
    def colour(self) -> str:
        """The control."""
        return self.control

    @property
    def hash(self) -> str:
        """Of the corpus and of all that happens to its images."""
        how = [*_told(self.attack), self.strength, self.control, self.seed]
        return recipe_hash({"attacked": self.corpus.hash, "how": how, "code": code_hash([__name__])})

    def split(self, name: str) -> tuple[Pixels, np.ndarray]:
        """uint8 ``[N, H, W, 3]`` and int64 ``[N]``; computed anew each time."""
        images, labels = self.corpus.split(name)
        attacked = self.attack(images, len(SPLITS) * self.seed + SPLITS.index(name), strength=self.strength)
        return coloured(attacked, self.control), labels


def immunize(
    start: Path | str,
    corpus: LabelledImages,
    attack: Attack,
    folder: Path | str,
    *,
    steps: int = 500,
    images: int | None = None,
    learning_rate: float = 1e-3,
    batch_size: int = 32,
    seed: int = 0,
    fabric: Fabric | None = None,
) -> Attributor:
    """Go on training an attributor on images that are attacked anew, each time they are seen.

    What it becomes is chosen on attacked validation images; if `folder` has it already, it is loaded.

    Args:
        start: the attributor's file; it stays as it is.
        corpus: images as they are, of the attributor's sources and size. Its own colour control comes after the attack.
        attack: one of `perturbations.ATTACKS`, or one like them.
        folder: where to keep what it becomes.
        steps: of finetuning, at least 1.
        images: training images of each source, by default all.
        learning_rate, batch_size: of Adam, above 0; images a step.
        seed: of the order, the flips and the attack.
        fabric: device and precision; by default `runtime.make_fabric()`.

    Raises:
        CheckpointError: `start` is missing, damaged or no attributor.
        UsageError: sources, size or colour of the corpus do not fit, or an argument is out of range.
    """
    fabric = fabric or make_fabric()
    settings = {"steps": steps, "learning_rate": learning_rate, "batch_size": batch_size, "seed": seed}
    attributor = Attributor.load(start, fabric=fabric)
    attributor.check_fits(corpus, "class_names", "resolution")
    if images is not None and images < 1:
        raise UsageError(f"images must be at least 1, not {images}.")
    recipe = {
        "start": tensors_hash(attributor.network.state_dict()),
        "attack": _told(attack),
        "images": images,
        "corpus": corpus.hash,
        "colour": attributor.colour,
        "settings": settings,
        "code": code_hash([__name__]),
        "versions": versions(),
        **computed_with(fabric),
    }
    path = Path(folder) / _file_name(recipe)

    def get() -> Attributor:
        found = Attributor.load(path, fabric=fabric)
        report_reuse("immunized attributor", found.seconds)
        return found

    def augment(drawn: Tensor, generator: torch.Generator) -> Tensor:
        return torch.from_numpy(np.array(coloured(attack(drawn, generator).numpy(), attributor.colour)))

    def make() -> Attributor:
        seen, labels = corpus.split("train")
        if images is not None:
            some = np.concatenate([np.flatnonzero(labels == k)[:images] for k in range(len(corpus.class_names))])
            seen, labels = seen[some], labels[some]
        network, unfinished = copy.deepcopy(attributor.network), path.with_suffix(".training")
        curve = max(1, steps // 5)  # five points are enough for one
        history = fit(
            network,
            (seen, labels),
            Attacked(corpus, attack, control=attributor.colour, seed=seed).split("validation"),
            Hyperparameters(evaluate_every=curve, **settings),  # type: ignore[arg-type]
            checkpoint=unfinished,
            augment=augment,
            recipe=recipe,
            fabric=fabric,
            description=f"immunizing, {attack.name}",
        )
        told = {"recipe": recipe, "immunized": attack.name, "history": history, "seconds": history[-1]["seconds"]}
        provenance = {**attributor.provenance, **told, "start": attributor.provenance["recipe"]}
        immune = Attributor(network, attributor.class_names, attributor.colour, provenance, fabric)
        if fabric.is_global_zero:
            immune.save(path)
            unfinished.unlink()
        fabric.barrier()
        return immune

    return get_or_make(path, path.exists, get, make, fabric)


def immunize_all(calls: Sequence[Mapping[str, Any]]) -> list[Attributor]:
    """`immunize` for each set of arguments; on a CPU several side by side."""
    return [Attributor.load(path) for path in in_parallel(_path_when_immune, calls)]


def _path_when_immune(**arguments: Any) -> Path:
    immune = immunize(**arguments)
    return Path(arguments["folder"]) / _file_name(immune.provenance["recipe"])


def _file_name(recipe: Mapping[str, Any]) -> str:
    return f"immunized-{recipe_hash(recipe)[:12]}.safetensors"


def learned_from(attributor: Attributor, store: Path | str) -> Corpus:
    """The corpus that an attributor learned from, as it was before the colour control, in a folder of corpora.

    Raises:
        CorpusError: it is not there.
    """
    wanted = attributor.provenance["recipe"]["corpus"]
    for card in (path for path in files_in(store) if path.name == "card.json"):
        if json.loads(card.read_text(encoding="utf-8")).get("hash") == wanted:
            controlled = (card.parents[1] / card.name).is_file()
            return open_corpus(card.parents[1] if controlled else card.parent)
    raise CorpusError(f"The corpus that the attributor learned from is not in {store}. Name the folder of one like it.")


def _told(attack: Attack) -> list[Any]:
    """What tells an attack from others, besides its code."""
    return [attack.name, attack.low, attack.high]
