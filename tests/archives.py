"""Tiny archives of the very structure of the published data sets, and a server that sends them, well or badly."""

import hashlib
import io
import pickle
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fingerprintlib.data import catalogue


def photo(seed: int, width: int, height: int) -> Image.Image:
    """Blotches of colour with some grain: of two seeds, never near-duplicates."""
    rng = np.random.default_rng(seed)
    blotches = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((width, height))
    grain = rng.bytes(width * height * 3)
    return Image.blend(blotches, Image.frombytes("RGB", (width, height), grain), 0.1)


@cache
def encoded(seed: int, width: int, height: int, kind: str = "JPEG", quality: int = 90) -> bytes:
    """The `photo` as a file."""
    return saved(photo(seed, width, height), kind, quality)


def saved(image: Image.Image, kind: str = "JPEG", quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    options = {"method": 0} if kind == "WEBP" else {}
    image.save(buffer, kind, quality=quality, **options)
    return buffer.getvalue()


def tar_gz(members: dict[str, bytes], more: Iterable[tarfile.TarInfo] = ()) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


# --- the data sets: the file of each download, by name --------------------------------------------


def cifar10(patch: pytest.MonkeyPatch, each: int = 10) -> dict[str, bytes]:
    from torchvision.datasets import CIFAR10

    rng = np.random.default_rng(0)
    members, lists = {}, {}
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        images = np.stack([np.asarray(photo(int(rng.integers(1 << 30)), 32, 32)) for _ in range(each)])
        rows = images.transpose(0, 3, 1, 2).reshape(each, 3072)
        batch = {"batch_label": name, "labels": rng.integers(0, 10, each).tolist(), "data": rows, "filenames": []}
        members[f"cifar-10-batches-py/{name}"] = pickle.dumps(batch, protocol=2)
        lists[name] = [name, md5(members[f"cifar-10-batches-py/{name}"])]
    meta = pickle.dumps({"label_names": [f"kind {number}" for number in range(10)]}, protocol=2)
    patch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(meta)})
    patch.setattr(CIFAR10, "test_list", [lists.pop("test_batch")])
    patch.setattr(CIFAR10, "train_list", list(lists.values()))
    archive = tar_gz({**members, "cifar-10-batches-py/batches.meta": meta})
    patch.setattr(CIFAR10, "tgz_md5", md5(archive))
    return {"cifar-10-python.tar.gz": archive}


def stl10(patch: pytest.MonkeyPatch) -> dict[str, bytes]:
    from torchvision.datasets import STL10

    members = {"stl10_binary/class_names.txt": b"airplane\nbird\ncar\n", "stl10_binary/fold_indices.txt": b"0 1\n"}
    for number, (part, count) in enumerate({"train": 10, "test": 12, "unlabeled": 30}.items()):
        images = np.stack([np.asarray(photo(100 * number + k, 96, 96)) for k in range(count)])
        members[f"stl10_binary/{part}_X.bin"] = images.transpose(0, 3, 2, 1).tobytes()
        if part != "unlabeled":
            members[f"stl10_binary/{part}_y.bin"] = bytes(k % 3 + 1 for k in range(count))
    for listed in ("train_list", "test_list"):
        sums = [[name, md5(members[f"stl10_binary/{name}"])] for name, _ in getattr(STL10, listed)]
        patch.setattr(STL10, listed, sums)
    archive = tar_gz(members)
    patch.setattr(STL10, "tgz_md5", md5(archive))
    return {"stl10_binary.tar.gz": archive}


def flowers102(patch: pytest.MonkeyPatch) -> dict[str, bytes]:
    from torchvision.datasets import Flowers102

    members = {f"jpg/image_{k:05d}.jpg": encoded(k, 310 + k, 260) for k in range(1, 49)}
    # The same photographs once more, smaller or as others' files: near-duplicates and duplicates.
    members["jpg/image_00049.jpg"] = saved(photo(7, 317, 260).resize((300, 256)), quality=70)
    members["jpg/image_00050.jpg"] = members["jpg/image_00009.jpg"]
    archive = tar_gz(members)
    patch.setattr(Flowers102, "_file_dict", {"image": ("102flowers.tgz", md5(archive))})
    return {"102flowers.tgz": archive}


def celeba(patch: pytest.MonkeyPatch, images: int = 60, people: int = 30) -> dict[str, bytes]:
    from torchvision.datasets import CelebA

    faces = {f"{k:06d}.jpg": encoded(k, 178, 218) for k in range(1, images + 1)}
    faces["000011.jpg"] = faces["000002.jpg"]  # one picture, two people
    who = {name: (7 * k) % people + 1 for k, name in enumerate(faces)}
    files = {
        "img_align_celeba.zip": zipped({f"img_align_celeba/{name}": face for name, face in faces.items()}),
        "identity_CelebA.txt": "".join(f"{name} {person}\n" for name, person in who.items()).encode(),
    }
    patch.setattr(CelebA, "file_list", [(name, md5(content), name) for name, content in files.items()])
    return files


def lsun(patch: pytest.MonkeyPatch, count: int = 50) -> dict[str, bytes]:
    content = zipped({f"bedroom_train_lmdb/{name}": content for name, content in lmdb_of(bedrooms(count)).items()})
    return {"bedroom_train_lmdb.zip": content}


def bedrooms(count: int) -> dict[bytes, bytes]:
    """Key to value: WebP as LSUN has it, JPEG as older exports do; of 256 pixels on the short side."""
    rng = np.random.default_rng(1)
    sides = [(256, 256 + int(rng.integers(0, 99))) for _ in range(count)]
    sizes = [side if number % 3 else side[::-1] for number, side in enumerate(sides)]
    return {
        md5(str(number).encode()).encode(): encoded(number, *size, "WEBP" if number % 4 else "JPEG")
        for number, size in enumerate(sizes)
    }


def lmdb_of(values: dict[bytes, bytes]) -> dict[str, bytes]:
    """The two files of an LMDB."""
    import tempfile

    lmdb = pytest.importorskip("lmdb")
    with tempfile.TemporaryDirectory() as folder:
        with lmdb.open(folder, map_size=1 << 26) as environment, environment.begin(write=True) as transaction:
            for key, value in values.items():
                transaction.put(key, value)
        return {name: Path(folder, name).read_bytes() for name in ("data.mdb", "lock.mdb")}


def lfw(patch: pytest.MonkeyPatch, people: int = 30) -> dict[str, bytes]:
    import sklearn.datasets._lfw as module

    members = {"lfw_funneled/pairs_01.txt": b"no image\n"}
    for person in range(people):
        for number in range(1, 2 + person % 3):
            name = f"Some_Body{person:02d}"
            path = f"lfw_funneled/{name}/{name}_{number:04d}.jpg"
            members[path] = encoded(10 * person + number, 250, 250)
    archive = tar_gz(members)
    digest = hashlib.sha256(archive).hexdigest()
    patch.setattr(module, "FUNNELED_ARCHIVE", module.FUNNELED_ARCHIVE._replace(checksum=digest))
    return {"lfw-funneled.tgz": archive}


MAKERS: dict[str, Callable[[pytest.MonkeyPatch], dict[str, bytes]]] = {
    "cifar10": cifar10,
    "stl10": stl10,
    "flowers102": flowers102,
    "celeba": celeba,
    "lsun:bedroom": lsun,
    "lfw": lfw,
}


# --- the server -----------------------------------------------------------------------------------


@dataclass
class Server:
    """What it sends by path, and how badly.

    Attributes:
        cut: how many bytes it sends of each answer before it hangs up; None: all.
        status: what it answers with in place of the file.
        heeds: whether it sends parts when asked for them.
        asked: path and range of each request so far.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    status: int | None = None
    heeds: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


def serve(server: Server) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.rpartition("/")[2], self.headers.get("Range")
            server.asked.append((name, wanted))
            if server.status or name not in server.files:
                self.send_error(server.status or 404)
                return
            content, start = server.files[name], 0
            if wanted and server.heeds:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            self.send_header("Content-Type", server.types.get(name, "application/octet-stream"))
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:][: server.cut])
            self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    server.address = f"http://127.0.0.1:{listening.server_port}"
    return listening


def offer(
    server: Server, name: str, patch: pytest.MonkeyPatch, files: dict[str, bytes] | None = None
) -> dict[str, bytes]:
    """Have the server offer a tiny data set under the addresses that the catalogue gives; its files."""
    made = MAKERS[name](patch)
    server.files |= made
    one = catalogue.PUBLISHED[name]

    def remote(download: catalogue.Download) -> Callable[[], tuple[str, str]]:
        checksum = md5(made[download.name]) if name == "lsun:bedroom" else None
        return lambda: (f"{server.address}/{download.name}", checksum or download.remote()[1])

    downloads = tuple(replace(download, remote=remote(download)) for download in one.downloads)
    patch.setitem(catalogue.PUBLISHED, name, replace(one, downloads=downloads))
    return made
