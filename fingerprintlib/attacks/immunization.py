"""Immunization: finetune an attributor on attacked images, so that it attributes them too (the fourth finding)."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..attribution.attributor import Attributor
from ..attribution.training import Hyperparameters, fit
from ..checkpoints import tensors_hash
from ..codehash import code_of
from ..data.corpus import Corpus, CorpusError, corpus_hash, open_corpus
from ..data.images import Pixels, coloured
from ..data.labelled import LabelledImages
from ..data.splits import SPLITS
from ..data.views import View
from ..errors import UsageError
from ..processes import rows
from ..provenance import files_in
from ..runtime import Fabric, computed_with, make_fabric
from ..store import trained
from .perturbations import Attack


def attacked(
    corpus: LabelledImages, attack: Attack, strength: float | None = None, control: str = "as_is", seed: int = 0
) -> View:
    """A corpus whose images were attacked, and then put under the colour control.

    That is the order of things outside: images are changed on their way, and whoever attributes them controls what
    arrives.

    Args:
        corpus: images as they are.
        attack: what happens to each.
        strength: the same for all, in place of one drawn for each.
        control: the colour control, one of `images.COLOURS`.
        seed: of the attack; each split has random numbers of its own.

    Raises:
        UsageError: the corpus is under a colour control already.
    """
    if corpus.colour != "as_is":
        raise UsageError(f"The corpus is {corpus.colour} already. Give the one as it is, and a control.")

    def change(split: str, images: Pixels, labels: np.ndarray) -> tuple[Pixels, np.ndarray]:
        met = attack(images, len(SPLITS) * seed + SPLITS.index(split), strength=strength)
        return coloured(met, control), labels

    return View(
        corpus, ["attacked", *_told(attack), strength, seed, code_of(attacked, type(attack))], change, control=control
    )


def immunize(
    start: Path | str,
    corpus: LabelledImages,
    attack: Attack,
    folder: Path | str,
    *,
    steps: int = 500,
    images: int | None = None,
    learning_rate: float = 1e-3,
    decay: float = 0.0,
    batch_size: int = 32,
    seed: int = 0,
    fabric: Fabric | None = None,
) -> Attributor:
    """Go on training an attributor on images that are attacked anew, each time they are seen.

    What it becomes is chosen on attacked validation images; if `folder` has it already, it is loaded. Several:
    `store.get_all`.

    Args:
        start: the attributor's file; it stays as it is.
        corpus: images as they are, of the attributor's sources and size. Its own colour control comes after the attack.
        attack: one of `perturbations.ATTACKS`, or one like them.
        folder: where to keep what it becomes.
        steps: of finetuning, at least 1.
        images: training images of each source, by default all.
        learning_rate, decay, batch_size: see `training.Hyperparameters`.
        seed: of the order, the flips and the attack.
        fabric: device and precision; by default `runtime.make_fabric()`.

    Raises:
        CheckpointError: `start` is missing, damaged or no attributor.
        UsageError: sources, size or colour of the corpus do not fit, or an argument is out of range.
    """
    fabric = fabric or make_fabric()
    settings = {"steps": steps, "learning_rate": learning_rate, "decay": decay, "batch_size": batch_size, "seed": seed}
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
        **code_of(immunize, *Attributor.code, type(attack)),
        **computed_with(fabric),
    }

    def augment(drawn: Tensor, generator: torch.Generator) -> Tensor:
        met = attack(drawn, generator, first=rows(len(drawn)).start)
        return torch.from_numpy(np.array(coloured(met.numpy(), attributor.colour)))

    def finetune(checkpoint: Path) -> Attributor:
        seen, labels = corpus.split("train") if images is None else corpus.first("train", images)[:2]
        network = copy.deepcopy(attributor.network)
        curve = max(1, steps // 5)  # five points are enough for one
        history = fit(
            network,
            (seen, labels),
            attacked(corpus, attack, control=attributor.colour, seed=seed).split("validation"),
            Hyperparameters(evaluate_every=curve, **settings),  # type: ignore[arg-type]
            checkpoint=checkpoint,
            augment=augment,
            recipe=recipe,
            fabric=fabric,
            description=f"immunizing, {attack.name}",
        )
        told = {"recipe": recipe, "immunized": attack.name, "history": history, "seconds": history[-1]["seconds"]}
        provenance = {**attributor.provenance, **told, "start": attributor.provenance["recipe"]}
        return Attributor(network, attributor.class_names, attributor.colour, provenance, fabric)

    return trained(
        folder,
        "immunized",
        recipe,
        train=finetune,
        save=Attributor.save,
        load=lambda path: Attributor.load(path, fabric=fabric),
        fabric=fabric,
    )


def learned_from(attributor: Attributor, store: Path | str) -> Corpus:
    """The corpus that an attributor learned from, as it was before the colour control, in a folder of corpora.

    Raises:
        CorpusError: it is not there.
    """
    wanted = attributor.provenance["recipe"]["corpus"]
    for folder in (path.parent for path in files_in(store) if path.name == "card.json"):
        if corpus_hash(folder) == wanted:
            controlled = (folder.parent / "card.json").is_file()
            return open_corpus(folder.parent if controlled else folder)
    raise CorpusError(
        f"The corpus that the attributor learned from is not in {store}. Name one like it: --corpus FOLDER."
    )


def _told(attack: Attack) -> list[Any]:
    """What tells an attack from others, besides its code."""
    return [attack.name, attack.low, attack.high]
