"""The zoo: the trained generators that the project ships in ``data/zoo/``, and how they were made.

``zoo.yml`` there says what each is trained on and how; the rest is made from it, two files a generator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from ..checkpoints import CheckpointError
from ..data.building import load_or_build
from ..data.datasets import Dataset, open_dataset
from ..data.images import Pixels
from ..errors import UsageError, unknown
from ..gans import build
from ..gans.progan import ProGAN
from ..gans.siblings import train_siblings
from ..gans.training import TrainedGAN, train_gan
from ..provenance import content_hash, recipe_hash
from ..runtime import in_parallel
from ..store import get_all, held
from ..tables import markdown
from .generators import Generator, PrecisionError, load_generator, load_or_train, save_generator
from .quality import Reference, relative_nearest, resembled, verdict

#: The seed of the samples that are measured; no chapter shows or classifies those.
MEASURED = 20191027


@dataclass(frozen=True)
class Zoo:
    """The generators of a folder with a ``zoo.yml``.

    Attributes:
        folder: where the files lie.
        plan: the contents of ``zoo.yml``: ``dataset``, ``resolution``, ``photographs`` if not all of the split ``gan``
            are learned from, the ``recipes`` by name, each with its ``gan``, ``width``, number of ``images`` shown and
            the settings that differ from the paper's, and the ``generators`` by name, each with its ``recipe``, its
            ``seed`` unless that is 0, and, if one photograph was left out of its training, that one's number
            ``without``.
    """

    folder: Path
    plan: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path | str) -> "Zoo":
        """The zoo in a folder: the project's is ``data/zoo``."""
        folder = Path(folder)
        return cls(folder, yaml.safe_load((folder / "zoo.yml").read_text(encoding="utf-8")))

    @property
    def names(self) -> list[str]:
        """The generators' names, in the order of the plan."""
        return list(self.plan["generators"])

    def path(self, name: str) -> Path:
        """The file of a generator's weights; its card is the ``.json`` beside it.

        Raises:
            UsageError: the zoo has no generator of that name.
        """
        if name not in self.names:
            raise unknown("generator", name, self.names)
        return self.folder / f"{name}.safetensors"

    def recipe(self, name: str) -> dict[str, Any]:
        """Arguments of `build`, and ``images`` and, if one is left out, ``without``, as `train_gan` takes them."""
        self.path(name)
        member = dict(self.plan["generators"][name])
        recipe = dict(self.plan["recipes"][member.pop("recipe")])
        return {"name": recipe.pop("gan"), "resolution": self.plan["resolution"], "seed": 0, **recipe, **member}

    def has_siblings(self, name: str) -> bool:
        """Whether others are made by the same recipe, but for the seed or one photograph."""
        self.path(name)
        mine = self.plan["generators"][name]["recipe"]
        return sum(member["recipe"] == mine for member in self.plan["generators"].values()) > 1

    def load(self, name: str, data: Dataset | None = None) -> Generator:
        """A trained generator.

        Args:
            name: which.
            data: the real images that it has to have learned from (None: any).

        Raises:
            UsageError: the zoo has no generator of that name, or it learned from other images.
            CheckpointError: it is missing, damaged, not what its card says, or not what ``zoo.yml`` says.
        """
        path = self.path(name)
        if not path.is_file():
            raise CheckpointError(
                f"{path} is missing. Restore it (`git checkout data/zoo`), or run `fingerprints zoo train {name}`."
            )
        generator = load_generator(path)
        card = generator.card
        recipe, origin = card.get("recipe", {}), card.get("origin", {})
        made = {**recipe.get("settings", {}), **recipe, **origin, "name": generator.name}
        wanted = self._stated(name).items()
        if other := [f"{key} is {made.get(key)}, not {value}" for key, value in wanted if made.get(key) != value]:
            raise CheckpointError(
                f"{path} is not what zoo.yml says ({'; '.join(other)}). "
                f"Restore both, or train it: `fingerprints zoo train {name}`."
            )
        if data is not None and data.hash != origin.get("hash"):
            raise UsageError(
                f"{name} learned from other real images than {data.name!r} at {data.resolution} pixels as they are "
                f"here (hash {data.hash[:8]}). Train generators here: generators='trained' in the chapter 'zoo'."
            )
        return generator

    def _stated(self, name: str) -> dict[str, Any]:
        """What the plan says of a generator, the GAN's defaults included."""
        recipe = self.recipe(name)
        shown = {"images": recipe.pop("images"), "without": recipe.pop("without", None), "seed": recipe["seed"]}
        gan = build(**recipe).recipe
        data = {key: self.plan[key] for key in ("dataset", "photographs") if key in self.plan}
        return {"name": name, **gan.pop("settings"), **gan, **shown, **data}

    @cached_property
    def data(self) -> Dataset:
        """The real images that all of them learned from."""
        return open_dataset(self.plan["dataset"], self.plan["resolution"])

    def reals(self, store: Path) -> Pixels:
        """The photographs that they were shown, uint8 ``[N, R, R, 3]``, mapped from a file in the folder `store`.

        Raises:
            UsageError: ``zoo.yml`` does not say how many, and the real images have no end.
        """
        count = self.plan.get("photographs") or self.data.available("gan")
        if count is None:
            raise UsageError(
                f"There is no end of images of {self.data.name!r}: say in {self.folder / 'zoo.yml'} how many are "
                "learned from, as `photographs: 6000`."
            )
        counts = {"gan": count}
        corpus = load_or_build(store, "reals", {"real": self.data}, counts, self.plan["resolution"])
        return corpus.split("gan")[0]

    def train(self, names: Sequence[str], work: Path | str) -> None:
        """Train generators, measure them, and write them here.

        A training goes on where it was stopped, and one that is done is not done again, as long as the folder `work` is
        there. On a CPU as many run side by side as there are threads; on several GPUs, one on each, and ProGANs of one
        recipe all at once (see `gans.siblings`).

        Args:
            names: which.
            work: a folder for what is unfinished.
        """
        for name in names:
            self.path(name)  # all names are looked at before anything is trained
        reals = self.reals(Path(work))
        reference = Reference.of(self.data, reals)
        calls = [
            {"zoo": self, "names": group, "reals": reals, "reference": reference, "work": work}
            for group in self._together(names)
        ]
        in_parallel(_train, calls)

    def _together(self, names: Sequence[str]) -> list[list[str]]:
        """The names, grouped by what is trained at once: on a CPU, which has no launches to save, each alone."""
        if not torch.cuda.is_available():
            return [[name] for name in names]
        groups: dict[str, list[str]] = {}
        for name in names:
            growing = self.recipe(name)["name"] == ProGAN.name
            groups.setdefault(self.plan["generators"][name]["recipe"] if growing else f"{name} alone", []).append(name)
        return list(groups.values())

    def measure(self, name: str, reference: Reference) -> dict[str, Any]:
        """Measure a generator against real images, and write the outcome to its card."""
        measured = _measured(self.load(name), reference)
        _save(self.path(name), measured)
        return measured.card["quality"][reference.space]


def as_rows(zoo: Zoo) -> list[tuple[str, ...]]:
    """What there is to say of each generator in a line of nine words; a missing or damaged one is said to be so."""
    rows: list[tuple[str, ...]] = []
    for name in zoo.names:
        recipe = zoo.recipe(name)
        words = (name, recipe["name"], str(recipe["seed"]), str(recipe.get("without", "-")))
        try:
            card = zoo.load(name).card
        except CheckpointError:
            rows.append((*words, "missing or damaged: see `fingerprints zoo verify`", "", "", "", ""))
            continue
        quality = card.get("quality", {}).get("filter bank")
        distance = f"{quality['frechet'] / quality['floor']['frechet']:.2f}" if quality else "-"
        size, minutes = zoo.path(name).stat().st_size / 1e6, card["seconds"] / 60
        rows.append((*words, f"{card['images_seen']:,}", distance, f"{size:.1f}", f"{minutes:.0f}", card["device"]))
    return rows


def _train(zoo: Zoo, names: Sequence[str], reals: Pixels, reference: Reference, work: Path | str) -> None:
    """Train, measure and save one generator of the zoo, or several ProGANs of one recipe at once."""
    # Their states lie in one checkpoint: in another company each begins anew.
    folder = Path(work) / (names[0] if len(names) == 1 else f"siblings-{recipe_hash(list(names))[:12]}")
    with held(folder):  # of two commands that train the same, one waits, and finds it done
        for name, trained in zip(names, _trained(zoo, names, reals, folder), strict=True):
            card = trained.card | {"origin": origin_of(zoo.data, len(reals), zoo.recipe(name).get("without"))}
            made = Generator(name, trained.gan, card)
            if not zoo.has_siblings(name):  # of a dozen alike they would be most of the files
                made = replace(made, moments=trained.moments, previews=trained.previews)
            saved = _save(folder / f"{name}.safetensors", made)  # to be measured as it is shipped
            _save(zoo.path(name), _measured(saved, reference))


def _trained(zoo: Zoo, names: Sequence[str], reals: Pixels, folder: Path) -> list[TrainedGAN]:
    recipes = [zoo.recipe(name) for name in names]
    if len(names) == 1:
        shown = {key: recipes[0].pop(key, None) for key in ("images", "without")}
        return [train_gan(build(**recipes[0]), reals, folder=folder, **shown)]
    members = [{key: recipe.get(key) for key in ("seed", "without")} for recipe in recipes]
    same = {key: value for key, value in recipes[0].items() if key not in ("name", "seed", "without")}
    data_hash = content_hash(np.ascontiguousarray(reals).data.cast("B"))
    return train_siblings(reals, members, folder=folder, data_hash=data_hash, **same)


def origin_of(data: Dataset, count: int, without: int | None = None) -> dict[str, Any]:
    """What a card says of the first `count` real images of the split ``gan``, which a generator learned from."""
    origin: dict[str, Any] = {"dataset": data.name, "hash": data.hash, "split": "gan", "photographs": count}
    if without is not None:
        origin["left_out"] = {"number": without, "photograph": data.split("gan").source_of(without)}
    return origin


def _measured(generator: Generator, reference: Reference) -> Generator:
    quality = reference.measure(generator.sample(len(reference.held_out), seed=MEASURED))
    card = generator.card | {"quality": generator.card.get("quality", {}) | {reference.space: quality}}
    return replace(generator, card=card)


def _save(path: Path, generator: Generator) -> Generator:
    """Save it in 16 bits, unless that would show; and what was saved."""
    try:
        save_generator(path, generator, generator.name, half=True)
    except PrecisionError:
        save_generator(path, generator, generator.name)
    return load_generator(path)


def load_or_train_siblings(arguments: Mapping[str, Any], count: int) -> list[Generator]:
    """Generators that differ from one in hardly anything: `count` of other seeds, and as many that lack one image.

    Args:
        arguments: of `generators.load_or_train` for the one. The seeds are the next ones, the images lie evenly among
            all.
        count: of each kind; fewer than there are images.
    """
    name, seed, images = arguments["name"], arguments["seed"], len(arguments["reals"])
    seeds = {f"{name}-seed{s}": {"seed": s} for s in range(seed + 1, seed + 1 + count)}
    left_out = [images * k // (count + 1) for k in range(1, count + 1)]
    lacking = {f"{name}-without{one}": {"without": one} for one in left_out}
    calls = {called: {**arguments, "name": called, **other} for called, other in {**seeds, **lacking}.items()}
    return list(get_all(load_or_train, calls).values())


def origins(generators: Sequence[Generator]) -> str:
    """How each generator was made, as a Markdown table from the cards."""
    rows = []
    for generator in generators:
        card = generator.card
        number, origin = card["recipe"]["without"], card.get("origin", {})
        photograph = f" ({origin['left_out']['photograph'][:8]})" if "left_out" in origin else ""
        rows.append(
            {
                "Generator": f"**{generator.name}**",
                "Seed": card["recipe"]["seed"],
                "Left out": "none" if number is None else f"image {number}{photograph}",
                "Apart at": f"{card['parted_at']:,}" if card["parted_at"] is not None else "",
                "Images seen": f"{card['images_seen']:,}",
                "Steps": f"{card['steps']:,}",
                "Minutes": f"{card['seconds'] / 60:.1f}",
                "On": card["device"],
                "Weights": f"`{generator.hash[:8]}`",
            }
        )
    return markdown(rows)


def settings(generators: Sequence[Generator]) -> str:
    """The settings that there are among the generators, a column each, as a Markdown table from the cards.

    A column bears the name of the first generator that was trained with its settings.
    """
    columns: dict[str, dict[str, Any]] = {}
    for generator in generators:
        recipe = generator.card["recipe"]
        setting = {"width": recipe["width"], "images": recipe["images"], **recipe["settings"]}
        if setting not in columns.values():
            columns[generator.name] = setting
    names = list(dict.fromkeys(name for setting in columns.values() for name in setting))
    return markdown([{"": f"`{n}`"} | {title: setting.get(n, "") for title, setting in columns.items()} for n in names])


def departures(generators: Sequence[Generator]) -> str:
    """Where the code departs from the papers, as a Markdown list from the cards, model by model."""
    stated = {generator.card["recipe"]["gan"]: generator.card.get("departures", []) for generator in generators}
    return "\n".join(f"- **{gan}**: {' '.join(each)}" for gan, each in stated.items() if each) or "Nowhere."


SHARED = ("Fréchet floor", "kernel floor", "images")  # columns of `qualities` that are often the same in all rows


def qualities(generators: Sequence[Generator]) -> str:
    """How good each generator is, as a Markdown table from the cards; those not measured are left out.

    What is the same for all is told once, below the table.
    """
    rows = []
    for generator in generators:
        for space, quality in generator.card.get("quality", {}).items():
            floor, errors = quality["floor"], quality["errors"]
            rows.append(
                {
                    "Generator": f"**{generator.name}**" + ("" if space == "filter bank" else f" ({space})"),
                    "Fréchet": f"{quality['frechet']:.2f} ± {errors['frechet']:.2f}",
                    "Fréchet floor": f"{floor['frechet']:.2f} ± {errors['floor']:.2f}",
                    "Ratio": f"**{quality['frechet'] / floor['frechet']:.2f}** ± {errors['ratio']:.2f}",
                    "Kernel": f"{quality['kernel']:.3f}",
                    "kernel floor": f"{floor['kernel']:.3f}",
                    "Diversity": f"{quality['diversity']:.2f}",
                    "Nearest image": f"{relative_nearest(quality):.2f}",
                    "Kinds": f"{resembled(quality)} of {len(quality['kinds'])}",
                    "images": f"{quality['images']:,}",
                    "Verdict": verdict(quality),
                }
            )
    if not rows:
        return "None of these generators was measured when it was made."
    same = {column: rows[0][column] for column in SHARED if len(rows) > 1 and len({row[column] for row in rows}) == 1}
    told = ", ".join(f"{column} {value}" for column, value in same.items())
    table = markdown([{column: value for column, value in row.items() if column not in same} for row in rows])
    return f"{table}\n\nThe same for all: {told}." if told else table
