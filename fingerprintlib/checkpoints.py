"""Safe checkpoints: tensors and JSON in one safetensors file, never a pickle.

A checkpoint knows its format and carries a hash of its tensors and metadata, so a file that was cut short, altered, or
made by something else is refused by name. Writing is atomic: the last good checkpoint survives whatever happens next.
When a training writes one, `training_run` says.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .errors import FingerprintsError
from .provenance import content_hash, write_atomically

FORMAT = "fingerprintlib-1"


class CheckpointError(FingerprintsError):
    """A checkpoint that is missing, damaged, foreign, or does not fit what asks for it."""


def save_checkpoint(path: Path | str, kind: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors (any shapes and dtypes) and JSON-able metadata as one file.

    `kind` says what it is (``"attributor"``, ``"gan-training"``, ...); `load_checkpoint` insists on it.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(dict(metadata))
    header = {"format": FORMAT, "kind": kind, "hash": _file_hash(tensors, text), "metadata": text}
    write_atomically(path, _in_order(save(tensors, header)))


def _in_order(data: bytes) -> bytes:
    """A safetensors file with the keys of its header sorted: the library leaves them in an order that changes."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    text = header.encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def load_checkpoint(path: Path | str, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_checkpoint` wrote: tensors on the CPU, and the metadata.

    Raises:
        CheckpointError: the file is missing, cut short, altered, foreign, or of another kind.
    """
    found, header, tensors = _opened(Path(path), tensors=True)
    if found != kind:
        raise CheckpointError(f"{path} holds {_one(found)}, where {_one(kind)} is needed.")
    if header.get("hash") != _file_hash(tensors, header.get("metadata", "")):
        raise CheckpointError(f"{path} was altered after it was written. Delete it and train or copy it again.")
    return tensors, json.loads(header["metadata"])


def _opened(path: Path, tensors: bool = False) -> tuple[str, dict[str, str], dict[str, Tensor]]:
    """The kind, the header and, if asked for, the tensors of a checkpoint of this library."""
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}. Train it first, or name one that exists.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            names = file.keys() if tensors else []
            found = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no checkpoint, or not a whole one ({error}). Name one, or train or copy it again."
        ) from error
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} was not written by this library (no {FORMAT!r} mark). Use one that was.")
    return header.get("kind", ""), header, found


def _one(kind: str) -> str:
    """``an attributor``, in words."""
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def kind_of(path: Path | str) -> str:
    """The kind of the checkpoint at `path`, as it says itself.

    Raises:
        CheckpointError: the file is missing, cut short or foreign.
    """
    return _opened(Path(path))[0]


def _file_hash(tensors: Mapping[str, Tensor], metadata: str) -> str:
    # The metadata counts too: a list of class names in another order would silently swap every answer.
    return content_hash(tensors_hash(tensors).encode(), metadata.encode())


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """A hash of names, shapes, dtypes and bytes; it does not depend on the order."""
    chunks: list[bytes | memoryview] = []
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        chunks.append(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        chunks.append(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return content_hash(*chunks)


def narrowed(tensors: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """Matrices and kernels in 16 or 8 bits, the rest as it is.

    In 8 bits each row of a matrix, each kernel's output, has a scale of its own, by which its whole numbers from -127
    to 127 are to be multiplied; it lies beside them.
    """
    found: dict[str, Tensor] = {}
    for name, x in tensors.items():
        if x.ndim < 2 or not x.is_floating_point():
            found[name] = x
        elif bits == 16:
            found[name] = x.half()
        else:
            scale = x.abs().flatten(1).amax(1).clamp_min(1e-12) / 127
            found[name] = (x / _beside(scale, x)).round().to(torch.int8)
            found[name + _SCALE] = scale
    return found


def widened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `narrowed`, but for what was rounded: all in 32 bits."""
    found: dict[str, Tensor] = {}
    for name, x in tensors.items():
        if name + _SCALE in tensors:
            found[name] = x * _beside(tensors[name + _SCALE], x)
        elif not name.endswith(_SCALE):
            found[name] = x.float() if x.dtype == torch.float16 else x
    return found


_SCALE = "|scale"  # after a tensor's name


def _beside(scale: Tensor, x: Tensor) -> Tensor:
    """A number a row, to be multiplied with a tensor of as many rows."""
    return scale.reshape(-1, *[1] * (x.ndim - 1))


def require_same_recipe(theirs: Mapping[str, Any], ours: Mapping[str, Any], path: Path | str) -> None:
    """Refuse to go on with a training by other settings than it was begun with.

    Args:
        theirs: the recipe in the checkpoint `path`; JSON-able, dictionaries within it too.
        ours: the one asked for. What is missing in one counts as None.

    Raises:
        CheckpointError: naming each setting that differs, there and here.
    """
    there, here = _leaves(theirs), _leaves(ours)
    differing = {
        f"{name[-1]} (there {there.get(name)!r}, here {here.get(name)!r})"
        for name in there.keys() | here.keys()
        if there.get(name) != here.get(name)
    }
    if differing:
        raise CheckpointError(
            f"{path} is of a run with other settings: {', '.join(sorted(differing))}. "
            "Use those, or delete it to train from the start."
        )


def _leaves(recipe: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """The values in dictionaries within dictionaries, by the keys that lead to them."""
    found: dict[tuple[str, ...], Any] = {}
    for key, value in recipe.items():
        found |= _leaves(value, (*path, key)) if isinstance(value, Mapping) else {(*path, key): value}
    return found


def pack(objects: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split modules and optimizers into tensors and JSON, ready for `save_checkpoint`.

    Each value is anything with ``state_dict()``; numbers and strings inside (an optimizer's settings) go to the JSON.
    """
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> Any:
        if isinstance(value, Tensor):
            tensors[prefix] = value
            return {"tensor": prefix}
        if isinstance(value, Mapping):
            # JSON has string keys only, and an optimizer's state is keyed by numbers: keep pairs.
            return {"pairs": [[key, walk(f"{prefix}/{key}", item)] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            kind = "tuple" if isinstance(value, tuple) else "list"
            return {kind: [walk(f"{prefix}/{index}", item) for index, item in enumerate(value)]}
        return {"value": value}

    for name, thing in objects.items():
        plain[name] = walk(name, thing.state_dict())
    return tensors, plain


def unpack(objects: Mapping[str, Any], tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
    """Load into modules and optimizers what `pack` took out of their like.

    Raises:
        CheckpointError: names or shapes do not fit.
    """

    def build(node: Any) -> Any:
        (kind, value), *_ = node.items()
        if kind == "tensor":
            return tensors[value]
        if kind == "pairs":
            return {key: build(item) for key, item in value}
        if kind in ("list", "tuple"):
            items = [build(item) for item in value]
            return tuple(items) if kind == "tuple" else items
        return value

    for name, thing in objects.items():
        try:
            thing.load_state_dict(build(plain[name]))
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"The checkpoint's {name!r} does not fit this network: {error}") from error
        if isinstance(thing, torch.optim.Optimizer):
            # Files hold plain row-major tensors. Fused optimizers walk through memory and would, without a word, mix up
            # the entries of a state that is laid out otherwise than its parameter (channels last, say).
            for parameter, state in thing.state.items():
                for key, value in state.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        state[key] = torch.empty_like(parameter.detach(), dtype=value.dtype).copy_(value)
