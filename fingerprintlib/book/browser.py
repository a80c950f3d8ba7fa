"""What the reader's browser needs to judge images: engine, networks and sample images, as scripts.

From a folder, browsers load scripts and nothing else; so what is no script is in one, as text. They lie beside
``judge.js`` in the built book's ``_static``, and pages that do not ask for them do not load them.
"""

import base64
import gzip
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..attribution.attributor import SourceClassifier
from ..attribution.exporting import export
from ..codehash import code_of
from ..data.images import Pixels, encode_webp
from ..errors import FingerprintsError
from ..provenance import content_hash, write_atomically
from ..store import named, put_in_place, unfinished
from .widgets import data_url, script_data

SUMS = "SHA256SUMS"
RUNTIME, GLUE, WASM = "ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"


def write_scripts(
    store: Path, engine: Path, networks: Mapping[str, SourceClassifier[Any]], samples: Mapping[str, Pixels]
) -> Path:
    """The folder in `store` of ``fp-engine.js``, ``fp-networks.js`` and ``fp-samples.js``; written if it is not there.

    Args:
        store: where it is kept, named by what is in it.
        engine: ``data/engine``.
        networks: by the names under which the pages ask for them; attributors are calibrated.
        samples: source to images to choose from, uint8 ``[N, R, R, 3]``; a stranger's name is not among the networks'.

    Raises:
        FingerprintsError: a file of the engine is not the one that it ought to be, or ONNX cannot be written here.
    """
    recipe = {
        "engine": (engine / SUMS).read_text(),
        "networks": {name: [one.hash, one.provenance] for name, one in networks.items()},
        "samples": {name: content_hash(np.ascontiguousarray(some).tobytes()) for name, some in samples.items()},
    }
    folder = named(store, "browser", {**recipe, **code_of("fingerprintlib.book.browser", export)})
    if not folder.is_dir():
        scripts = {
            "fp-engine.js": _engine(engine),
            "fp-networks.js": _part("networks", {name: _network(one) for name, one in networks.items()}),
            "fp-samples.js": _part("samples", {name: _pictures(some) for name, some in samples.items()}),
        }
        shutil.rmtree(unfinished(folder), ignore_errors=True)
        for name, text in scripts.items():
            write_atomically(unfinished(folder) / name, text.encode())
        put_in_place(folder)
    return folder


def _part(name: str, value: Any) -> str:
    return f'"use strict";\n(globalThis.fpParts ??= {{}}).{name} = {script_data(value)};\n'


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def _engine(folder: Path) -> str:
    """The runtime as it is, with its module and its WebAssembly as text."""
    runtime, glue = ((folder / name).read_bytes() for name in (RUNTIME, GLUE))
    packed = (folder / f"{WASM}.gz").read_bytes()
    sums = {name: found for found, name in (line.split() for line in (folder / SUMS).read_text().splitlines())}
    for name, data in {RUNTIME: runtime, GLUE: glue, WASM: gzip.decompress(packed)}.items():
        if hashlib.sha256(data).hexdigest() != sums[name]:
            raise FingerprintsError(f"{folder / name} is not the file that it ought to be: run `make engine`.")
    code = runtime.decode().partition("//# sourceMappingURL")[0]
    return code + _part("engine", {"glue": glue.decode(), "wasm": base64.b64encode(packed).decode()})


def _network(classifier: SourceClassifier[Any]) -> dict[str, Any]:
    """What its ONNX file tells, and the file."""
    with TemporaryDirectory(prefix="fingerprints-") as folder:
        path = Path(folder) / "network.onnx"
        export(classifier, path)
        import onnx  # here: where it is missing, `export` has said so

        told = {one.key: json.loads(one.value) for one in onnx.load(path).metadata_props}
        return {**told, "model": _packed(path.read_bytes())}


def _pictures(images: Pixels) -> list[str]:
    return [data_url(encode_webp(image), ".webp") for image in images]
