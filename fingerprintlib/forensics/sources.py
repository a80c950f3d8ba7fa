"""A reader's own sources: folders of images become labelled pictures, and what to be wary of is found first."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..attribution.attributor import Attributor
from ..data.building import load_or_build
from ..data.corpus import Corpus
from ..data.headers import Header
from ..data.labelled import Labelled, LabelledImages
from ..errors import UsageError
from ..project import data_folder
from ..zoo.generators import GeneratorSource
from ..zoo.shipped import Zoo
from .calibrating import REAL
from .findings import Findings, findings
from .pictures import SHARES, Pictures, check_counts, check_names, deal
from .reading import read_sources, source_folders

OF_THE_ZOO = {"train": 1000, "validation": 200, "test": 300}  # images of each source
SAMPLING = 1  # the seed of the zoo's images
OTHERS = (
    "The images of the old sources are not those that the attributor learned from, or not those alone: it may have "
    "learned from some of those that it is tested on, so that its accuracy before is too high."
)


def open_sources(folder: Path | str, side: int = 64, view: str = "shrunk", seed: int = 0) -> tuple[Pictures, Findings]:
    """The images of a folder that has a sub-folder for each source, dealt to splits, and what was found there.

    A sub-folder called ``real`` holds photographs. Hidden ones are passed over. Of several files of one picture all are
    in one split.

    Args:
        folder: images lie in its sub-folders at any depth, see `files.image_files`.
        side: of what the network is to see, one of `reading.SIDES`; smaller images are not used.
        view: how larger ones are brought to it, see `viewing.seen`.
        seed: of the dealing.

    Raises:
        UsageError: an argument is out of range, the folder or sub-folders are missing, or there are too few images.
    """
    folders, beside = source_folders(folder)
    pictures, found = open_folders(folders, side, view, seed)
    return pictures, replace(found, passed_over=(*beside, *found.passed_over))


def open_folders(
    folders: Mapping[str, Path | str], side: int = 64, view: str = "shrunk", seed: int = 0
) -> tuple[Pictures, Findings]:
    """The same of folders by the name of their source, wherever they lie; where an image goes, see `Pictures.dealt`."""
    check_names([*folders])
    read = read_sources(folders, side, view)
    told = _told(folders, view, seed)
    pictures = Pictures.dealt(read.images, read.labels, read.names, read.groups, seed, view, told)
    return pictures, findings(read, pictures, read.headers, read.labels)


def open_beside(
    old: LabelledImages, folders: Mapping[str, Path | str], view: str = "shrunk", seed: int = 0
) -> tuple[Pictures, Findings]:
    """The sources of a corpus, its images in the splits where they are, and behind them new ones from folders.

    Args:
        old: has the splits of `pictures.SHARES`, and its images are as they are.
        folders: by name of the new source.
        view, seed: see `open_sources`.

    Raises:
        UsageError: as `open_sources`, or a new source has an old one's name.
    """
    names = (*old.class_names, *folders)
    check_names(names)
    read = read_sources(folders, old.resolution, view)
    check_counts(read.labels, read.groups, read.names)
    splits, parts, places = deal(read.labels, read.groups, seed), {}, []
    for number, split in enumerate(SHARES):
        images, labels = old.split(split)
        mine = splits == number
        parts[split] = Labelled(
            np.concatenate([images, read.images[mine]]),
            np.concatenate([labels, len(old.class_names) + read.labels[mine]]),
            np.concatenate([old.groups(split), -1 - read.groups[mine]]),  # no number is an old one's
        )
        places.append(labels)
    pictures = Pictures(names, parts, view, _told(folders, view, seed))
    before = np.concatenate(places)
    of_old = Header("PNG", None, False, old.resolution)  # they were in no file; that is, nothing was lost in one
    headers = [*[of_old] * len(before), *read.headers]
    labels = np.concatenate([before, len(old.class_names) + read.labels])
    return pictures, findings(read, pictures, headers, labels)


def open_again(
    attributor: Attributor, folders: Mapping[str, Path | str], keep: Path | str, old: Path | None = None
) -> tuple[Pictures, Findings]:
    """Images of all sources that an attributor knows, in the splits where they were, and of new ones behind them.

    Args:
        attributor: says in which folders its sources lie. What it does not say of is taken to be of the zoo.
        folders: by name of the new source.
        keep: folder for images of the zoo.
        old: a folder that has a sub-folder for each old source, in the place of those that it learned from.

    Raises:
        UsageError: as `open_sources`, or images of an old source are not to be found.
    """
    known, told = attributor.class_names, attributor.provenance
    check_names([*known, *folders])
    view, seed = told.get("view", "shrunk"), told.get("dealt", 0)
    mine = {name: old / name for name in known} if old else {n: Path(p) for n, p in told.get("folders", {}).items()}
    strangers = [name for name in known if name not in mine]
    zoo = [REAL, *Zoo.of(data_folder() / "zoo").names]
    gone = [name for name, path in mine.items() if not path.is_dir()]
    if lost := [*gone, *(name for name in strangers if name not in zoo)]:
        raise UsageError(
            f"There is no folder of images of {', '.join(lost)}: old sources are learned again, so as not to be "
            "forgotten. Name one that has a sub-folder for each of them: --old FOLDER."
        )
    if strangers:
        return open_beside(zoo_images(strangers, keep), {**mine, **folders}, view, seed)
    pictures, found = open_folders(
        {**{name: mine[name] for name in known}, **folders}, attributor.resolution, view, seed
    )
    if pictures.only(len(known)).hash != told["recipe"]["corpus"]:
        found = replace(found, warnings=(*found.warnings, OTHERS))
    return pictures, found


def zoo_images(names: Sequence[str], folder: Path | str) -> Corpus:
    """Images of the book's sources: photographs and the generators in ``data/zoo``.

    The photographs are in the splits that they have in the book: those for testing nothing here has learned from.

    Args:
        names: ``real`` and names of generators, in this order.
        folder: where the images are kept.

    Raises:
        UsageError: the zoo has no generator of one of the names.
    """
    zoo = Zoo.of(data_folder() / "zoo")
    sources = {name: zoo.data if name == REAL else GeneratorSource(zoo.load(name), SAMPLING) for name in names}
    return load_or_build(folder, "zoo", sources, OF_THE_ZOO, zoo.plan["resolution"])


def _told(folders: Mapping[str, Path | str], view: str, seed: int) -> dict[str, object]:
    """What an attributor keeps, so that a source can be added to it."""
    return {
        "view": view,
        "folders": {name: str(Path(path).absolute()) for name, path in folders.items()},
        "dealt": seed,
    }
