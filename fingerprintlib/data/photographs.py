"""The photographs that the data set `scenes` is cut from: who took them, under which licence, where they lie.

Some are shipped by scikit-image, scikit-learn and matplotlib and read from there. The others lie in the project's
``data/scenes``, where `make_scenes` left them: shrunk, so that no pixel is a camera's or has an edge of JPEG's blocks,
and stored without loss.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..project import data_folder
from ..provenance import content_hash, write_atomically
from .decoding import decode
from .images import Pixels, encode_webp, shrink
from .splits import DatasetError

SIDE = 512  # pixels on the short side of the photographs in ``data/scenes``


@dataclass(frozen=True)
class Photo:
    """A photograph.

    Attributes:
        file: its name; also the photograph's name here.
        title: what it shows.
        author: who took it, or owns it, and the year where it is stated.
        licence: its licence, as whoever ships it states it.
        origin: the package that it comes from.
        inside: the Python package and the folder in it where the file lies; None for those in ``data/scenes``.
        hash: of the pixels of those in ``data/scenes``, so that nobody mistakes an altered one for them. Those in
            Python packages have none: another version may bring another file, and the provenance says which.
    """

    file: str
    title: str
    author: str
    licence: str
    origin: str
    inside: tuple[str, str] | None = None
    hash: str | None = None

    @property
    def credit(self) -> str:
        """Author and licence."""
        return f"{self.author}; {self.licence}"


def _shipped(stem: str, title: str, author: str, licence: str, hash: str, release: str = "16.04") -> Photo:
    return Photo(f"{stem}.webp", title, author, licence, f"lomiri-wallpapers-{release} 20.04.0-2", None, hash)


_SKIMAGE = ("scikit-image", ("skimage", "data"))
_SKLEARN = ("scikit-learn", ("sklearn", "datasets/images"))
_MATPLOTLIB = ("matplotlib", ("matplotlib", "mpl-data/sample_data"))
_AITZOL, _PETER, _TREVOR = "Aitzol Berasategi, 2018", "Peter Nerlich, 2018", 'Trevor "Freespace", 2018'
PHOTOS = (
    Photo("astronaut.png", "The astronaut Eileen Collins", "NASA", "public domain", *_SKIMAGE),
    Photo("chelsea.png", "Chelsea the cat", "Stefan van der Walt", "CC0", *_SKIMAGE),
    Photo("coffee.png", "A cup of coffee", "Rachel Michetti, courtesy of Pikolo Espresso Bar", "CC0", *_SKIMAGE),
    Photo("rocket.jpg", "Launch of a Falcon 9", "SpaceX", "public domain", *_SKIMAGE),
    Photo("china.jpg", "A temple in China", "danielbuechele", "CC BY 2.0", *_SKLEARN),
    Photo("flower.jpg", "A flower", "vultilion", "CC BY 2.0", *_SKLEARN),
    Photo("grace_hopper.jpg", "Rear Admiral Grace Hopper", "US Navy", "public domain", *_MATPLOTLIB),
    _shipped(
        "Bridge_by_Sander_Klootwijk",
        "Cables of a bridge over an estuary",
        "Sander Klootwijk, 2018",
        "CC BY-SA 4.0",
        "c74d7eb2176fbd5fa736119b3a19e800",
    ),
    _shipped(
        "Dragonfly_by_Bolly", "A dragonfly on a twig", "Bolly, 2018", "CC BY-SA 4.0", "77f27de42ca9d6d6fbb4cdcd055d4cef"
    ),
    _shipped(
        "Picture_0B_by_freespace", "A fig in a red bowl", _TREVOR, "CC BY 4.0", "6531f079072dba746e8911a69d0b34be"
    ),
    _shipped("Picture_1A_by_freespace", "Paint brushes", _TREVOR, "CC BY 4.0", "6645d318906cef6bbb8469088bc18f39"),
    _shipped(
        "Wine_by_Jakkub_Mede",
        "A drum, a table and a bottle of wine",
        "Jakub Mede, 2018",
        "CC BY 4.0",
        "d621728046f2d12050ce859052fba01f",
    ),
    _shipped(
        "aitzgorri_by_Aitzol_Berasategi",
        "A mountain ridge in autumn",
        _AITZOL,
        "CC BY 4.0",
        "40ee46d1c86789a80b7f6a894632ed07",
    ),
    _shipped(
        "free_by_Peter_Nerlich", "A lamp with a wooden bird", _PETER, "CC BY-SA 4.0", "42661a7ce19753563a38a939d166aabc"
    ),
    _shipped(
        "friends_by_Aitzol_Berasategi",
        "Two spaniels at a window",
        _AITZOL,
        "CC BY 4.0",
        "4d7b1e65d0aa469c264fa3a9d93537b6",
    ),
    _shipped(
        "greentock_by_Peter_Nerlich", "A clock on a wall", _PETER, "CC BY-SA 4.0", "059fb3d64d27100a5b29c960cee3fca7"
    ),
    _shipped(
        "life_by_Aitzol_Berasategi", "A brook in a wood", _AITZOL, "CC BY 4.0", "6a93bad0aa20ba304b1e9b1faca471fb"
    ),
    _shipped(
        "picosdeeuropa_by_Aitzol_Berasategi",
        "A path in the Picos de Europa",
        _AITZOL,
        "CC BY 4.0",
        "afabc66587fc821a04e89b59cf1a0906",
    ),
    _shipped(
        "seeding_by_Clements_Engelhardt",
        "Dandelions in the evening sun",
        "Clemens Engelhardt, 2018",
        "CC0",
        "e507dfb19c90828e531404e84ad28c8e",
    ),
    _shipped(
        "sunset_by_Aitzol_Berasategi",
        "The sun going down over hills",
        _AITZOL,
        "CC BY 4.0",
        "5d7e9b8fc6ee98e4db4b2b426b47a4d6",
    ),
    _shipped(
        "Kleiber_by_Lukas_Baubkus",
        "A nuthatch on a trunk",
        "Lukas Baubkus, 2021",
        "CC BY-SA 3.0",
        "93d4ce67ef3d52600de00319c25c2593",
        "20.04",
    ),
    # Not taken from these two packages: drawings and renderings (Fossa, Infinite-Sea, Painting-Colors, umang) and a
    # pattern coloured by hand (analogpattern). They are no photographs of the world.
)
_LINKS = {
    "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC BY-SA 3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
    "CC BY-SA 4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
}
_CREDITS = f"""\
# The photographs in this folder

They come from packages of Debian, whose files `copyright` name author, year and licence of each; the project behind
them is [lomiri-wallpapers](https://gitlab.com/ubports/development/core/lomiri-wallpapers). Each was shrunk to {SIDE}
pixels on its short side by averaging areas and stored without loss; nothing else was changed. A photograph here is
under the licence of its original, not under that of the project's code.

| file | shows | author | licence | package and version |
|-|-|-|-|-|
"""


@cache
def pixels(photo: Photo) -> Pixels:
    """The photograph, uint8 ``[H, W, 3]``, read-only: it is shared by all who ask.

    The numbers are those that are stored, as they were when networks learned from them: one is in Adobe RGB.

    Raises:
        DatasetError: it is missing, or has been altered.
        ImageError: it cannot be read.
    """
    found = decode(path_of(photo), convert=False)
    if photo.hash not in (None, _hash(found)):
        raise DatasetError(f"{path_of(photo)} has been altered. Restore it: `git checkout data/scenes`.")
    found.flags.writeable = False
    return found


def path_of(photo: Photo) -> Path:
    """The photograph's file, found without importing the package that ships it; else in ``data/scenes``.

    Raises:
        DatasetError: it is missing; the error names all that are.
    """
    if path := _path_or_none(photo):
        return path
    missing = ", ".join(one.file for one in PHOTOS if not _path_or_none(one))
    raise DatasetError(
        f"Not found among the scenes: {missing}. Restore the project's data (`git checkout data/scenes`) and install "
        "scikit-image, scikit-learn and matplotlib, or copy the missing photographs to data/scenes."
    )


def _path_or_none(photo: Photo) -> Path | None:
    homes = []
    if photo.inside:
        package, folder = photo.inside
        found = importlib.util.find_spec(package)
        homes = [Path(place, folder) for place in (found.submodule_search_locations or [])] if found else []
    for home in (*homes, data_folder() / "scenes"):
        if (home / photo.file).is_file():
            return home / photo.file
    return None


def make_scenes(folder: Path, out: Path) -> None:
    """Make ``data/scenes`` from the originals: photographs shrunk to a short side of `SIDE` pixels, and their credits.

    Args:
        folder: holds the unpacked packages that `Photo.origin` names (``dpkg-deb -x``), at any depth; other files are
            passed over.
        out: where the files go.

    Raises:
        DatasetError: an original is missing or has other pixels; nothing is written.
        ImageError: an original cannot be read; nothing is written.
    """
    ours = [photo for photo in PHOTOS if not photo.inside]
    originals = {path.stem: path for path in sorted(folder.rglob("*.jpg"))}
    if missing := [f"{stem}.jpg" for stem in (Path(photo.file).stem for photo in ours) if stem not in originals]:
        raise DatasetError(
            f"{folder} lacks {', '.join(missing)}. Unpack there Debian's packages (`dpkg-deb -x`): "
            f"{', '.join(sorted({photo.origin for photo in ours}))}."
        )
    files = {"CREDITS.md": _credits(ours).encode()}
    for photo in ours:
        original = decode(originals[Path(photo.file).stem], convert=False)  # as its hash was made
        height, width = (round(SIDE * length / min(original.shape[:2])) for length in original.shape[:2])
        small = shrink(original, height, width)
        if _hash(small) != photo.hash:
            raise DatasetError(f"{originals[Path(photo.file).stem]} is not the photograph of {photo.origin}.")
        files[photo.file] = encode_webp(small)
    for name, data in files.items():
        write_atomically(out / name, data)


def _credits(photos: Sequence[Photo]) -> str:
    """``CREDITS.md``: what is there, by whom, under which licence, whence, and what was changed."""
    rows = [
        (photo.file, photo.title, photo.author, f"[{photo.licence}]({_LINKS[photo.licence]})", photo.origin)
        for photo in photos
    ]
    return _CREDITS + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _hash(pixels: Pixels) -> str:
    return content_hash(str(pixels.shape).encode(), pixels.tobytes())
