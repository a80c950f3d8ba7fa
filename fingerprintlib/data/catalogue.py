"""The published data sets that the book can learn from, and all there is to say of each: origin, terms, files, sides.

Nothing of them is shipped: `fetching` downloads them, `contents` reads what it has left, and `published` deals it to
splits. Addresses and checksums are those that torchvision and scikit-learn keep, read off them when they are needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import unknown

# Google's address for a file that is too large for it to look for viruses in.
DRIVE = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"


@dataclass(frozen=True)
class Download:
    """One file of a data set, as its makers or a mirror offer it.

    Attributes:
        name: what it is called there.
        size: bytes, about; to be said before it is asked for.
        remote: gives its address and its MD5 or SHA-256, in hexadecimal digits.
    """

    name: str
    size: int
    remote: Callable[[], tuple[str, str]]


@dataclass(frozen=True)
class Published:
    """A data set.

    Attributes:
        name: what knobs and commands call it.
        shows: what its images show.
        citation: who made it, where it was published.
        page: where its makers describe it and a browser finds the files.
        terms: of use, as we know them. They were not checked against the page, which has the last word.
        count: images, as its makers state it.
        side: the highest resolution that no image has to be enlarged for, in pixels.
        preparation: from a file's pixels to a square.
        downloads: the files.
        unpacked: bytes on the disk, about.
        by_person: whether a split has whole persons; if not, it has whole groups of near-duplicates.
        by_hand: a file that shows that somebody unpacked the data set there without our help, where that is accepted.
    """

    name: str
    shows: str
    citation: str
    page: str
    terms: str
    count: int
    side: int
    preparation: str
    downloads: tuple[Download, ...]
    unpacked: int
    by_person: bool = False
    by_hand: str | None = None

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return self.name.replace(":", "-")

    @property
    def size(self) -> int:
        """Bytes to download, about."""
        return sum(one.size for one in self.downloads)


def library(name: str) -> Any:
    """A module of another package that knows where a data set is, and how its files are laid out.

    It is asked for by name, so that its version does not count among what a chapter was computed with (see
    `codehash`): it changes no image, and if it did, `datasets.Dataset.hash` would tell.
    """
    return import_module(name)


def _cifar10() -> tuple[str, str]:
    found = library("torchvision.datasets").CIFAR10
    return found.url, found.tgz_md5


def _stl10() -> tuple[str, str]:
    found = library("torchvision.datasets").STL10
    return found.url, found.tgz_md5


def _flowers102() -> tuple[str, str]:
    found = library("torchvision.datasets").Flowers102
    name, md5 = found._file_dict["image"]
    return found._download_url_prefix + name, md5


def _celeba(name: str) -> tuple[str, str]:
    listed = library("torchvision.datasets").CelebA.file_list
    number, md5 = next((number, md5) for number, md5, file in listed if file == name)
    return DRIVE.format(number), md5


def _lfw() -> tuple[str, str]:
    found = library("sklearn.datasets._lfw").FUNNELED_ARCHIVE  # torchvision names a server that no longer answers
    return found.url, found.checksum


def _lsun() -> tuple[str, str]:
    # torchvision reads LSUN but does not fetch it. Address: download.py of github.com/fyu/lsun. Checksum: the one in
    # prepare_data.py of github.com/dorarad/gansformer; LSUN's makers state none.
    return "http://dl.yf.io/lsun/scenes/bedroom_train_lmdb.zip", "f2c5d904a82a6295dbdccb322b4b0a99"


PUBLISHED = {
    one.name: one
    for one in (
        Published(
            name="cifar10",
            shows="ten kinds of animals and vehicles",
            citation="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
            page="https://www.cs.toronto.edu/~kriz/cifar.html",
            terms="no licence is stated; its author asks to be cited",
            count=60_000,
            side=32,
            preparation="as it is",
            downloads=(Download("cifar-10-python.tar.gz", 170_498_071, _cifar10),),
            unpacked=186_000_000,
        ),
        Published(
            name="stl10",
            shows="animals and vehicles, the labelled images and the others",
            citation="Coates, Lee and Ng, An analysis of single-layer networks, AISTATS 2011",
            page="https://cs.stanford.edu/~acoates/stl10/",
            terms="no licence is stated; the images are from ImageNet, whose terms allow non-commercial research",
            count=113_000,
            side=96,
            preparation="as it is; reduced by area",
            downloads=(Download("stl10_binary.tar.gz", 2_640_397_119, _stl10),),
            unpacked=3_124_000_000,
        ),
        Published(
            name="flowers102",
            shows="flowers of 102 kinds",
            citation="Nilsback and Zisserman, Automated flower classification, ICVGIP 2008",
            page="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
            terms="no licence is stated; the photographs were collected from the web",
            count=8_189,
            side=256,
            preparation="centre square; reduced by area",
            downloads=(Download("102flowers.tgz", 344_862_509, _flowers102),),
            unpacked=347_000_000,
        ),
        Published(
            name="celeba",
            shows="aligned faces of celebrities; a data set of the paper",
            citation="Liu, Luo, Wang and Tang, Deep learning face attributes in the wild, ICCV 2015",
            page="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
            terms="non-commercial research only; neither the images nor parts of them may be passed on",
            count=202_599,
            side=128,
            preparation="128 x 128 pixels around x = 89, y = 121; reduced by area",
            downloads=(
                Download("img_align_celeba.zip", 1_443_490_838, lambda: _celeba("img_align_celeba.zip")),
                Download("identity_CelebA.txt", 3_420_000, lambda: _celeba("identity_CelebA.txt")),
            ),
            unpacked=1_800_000_000,
            by_person=True,
        ),
        Published(
            name="lsun:bedroom",
            shows="bedrooms, the first 200,000 of three million; a data set of the paper",
            citation="Yu et al., LSUN: Construction of a large-scale image dataset, arXiv 1506.03365, 2015",
            page="https://github.com/fyu/lsun",
            terms="no licence is stated; its makers ask to be cited",
            count=200_000,
            side=256,
            preparation="centre square; at 128 pixels reduced by Pillow's Lanczos filter, else by area",
            downloads=(Download("bedroom_train_lmdb.zip", 45_700_000_000, _lsun),),
            unpacked=57_000_000_000,
            by_hand="bedroom_train_lmdb/data.mdb",
        ),
        Published(
            name="lfw",
            shows="faces of people in the news, aligned by funneling",
            citation="Huang, Ramesh, Berg and Learned-Miller, Labeled faces in the wild, 2007",
            page="http://vis-www.cs.umass.edu/lfw/",
            terms="no licence is stated; press photographs of real people, offered for research on recognizing faces",
            count=13_233,
            side=128,
            preparation="128 x 128 pixels in the middle; reduced by area",
            downloads=(Download("lfw-funneled.tgz", 243_346_528, _lfw),),
            unpacked=250_000_000,
            by_person=True,
        ),
    )
}


def find(name: str) -> Published:
    """The data set of that name.

    Raises:
        UsageError: there is none; it names the nearest.
    """
    if name not in PUBLISHED:
        raise unknown("published data set", name, list(PUBLISHED))
    return PUBLISHED[name]
