"""What every training loop here shares: device and precision, randomness, moving averages.

Randomness is a function of ``(seed, step, stream)`` and never a state that wanders along: a run that is resumed at step
``n`` draws exactly what the uninterrupted run drew there, on every device and by however many processes.
"""

import ctypes
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch
from torch import nn

try:
    from lightning_fabric import Fabric
except ImportError:  # the umbrella package carries the same class under another name
    from lightning.fabric import Fabric  # type: ignore[no-redef]

from .ending import end_with_parent

__all__ = [
    "Fabric",
    "bfloat16_pays",
    "computed_with",
    "in_parallel",
    "make_fabric",
    "side_by_side",
    "step_generator",
    "update_ema",
]


#: The GPU that a process is to take, where each of several processes has its own.
_GPU = "FINGERPRINTS_GPU"


def make_fabric(accelerator: str = "auto", precision: str = "auto") -> Fabric:
    """A launched Fabric: one device, or all of this node's when started by ``torchrun``.

    Args:
        accelerator: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: ``"bf16-mixed"``, ``"32-true"``, or ``"auto"``: the first where `bfloat16_pays`.
    """
    if precision == "auto":
        precision = "bf16-mixed" if bfloat16_pays(accelerator) else "32-true"
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # it announces the precision at each call
    warnings.filterwarnings("ignore", "The `srun` command", UserWarning)  # on a cluster jobs are Snakemake's
    gpu = os.environ.get(_GPU)
    devices = [int(gpu)] if gpu else int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    fabric = Fabric(accelerator=accelerator, devices=devices, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    _keep_memory()
    return fabric


def bfloat16_pays(accelerator: str = "auto") -> bool:
    """Whether networks as small as ours compute faster in bfloat16 than in float32: where matrix units know it.

    Those are recent GPUs of NVIDIA, and AMX in recent CPUs of Intel (there about twice as fast). A CPU that knows
    bfloat16 in its vectors alone is slower with it, by a fifth to a half; one that does not know it, by far more.
    """
    if accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has_amx = torch.cpu.get_capabilities().get("amx_bf16", False)
    return accelerator in ("auto", "cpu") and not torch.backends.mps.is_available() and has_amx


def _keep_memory() -> None:
    """Have glibc keep freed memory for the next step; to give it back and ask anew takes a fifth of ProGAN's time."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except OSError:  # another system, another allocator
        return
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    mallopt(mmap_threshold, 32 << 20)  # the largest that it accepts
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 64 << 20)


def computed_with(fabric: Fabric) -> dict[str, Any]:
    """What of the device decides weights, for recipes: the type that autocast computes in.

    How many processes share the work does not: see `processes`.
    """
    kind = fabric.device.type
    with fabric.autocast():
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    return {"precision": str(dtype).removeprefix("torch.")}


def step_generator(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """The random numbers of one step, on the CPU; different seeds, steps and streams are independent.

    Torch's own seeding keeps 32 bits of a seed, and among some 100,000 streams two would be the same. So the whole
    state of its Mersenne twister is filled, by a counter-based generator keyed by the three numbers (below 2**64).
    """
    wide = 2**64 - 1  # stream -1 is the last of them
    key = np.array([seed & wide, step & wide], np.uint64)
    words = np.random.Philox(key=key, counter=np.array([0, 0, stream & wide, 0], np.uint64)).random_raw(312)
    state = _FRESH.clone()
    # 5,056 bytes: the seed, how many words are left (1: new ones are due), which is next, and the 624 words.
    state[24 : 24 + 624 * 8].view(torch.int64).copy_(torch.from_numpy(words.view(np.uint32).astype(np.int64)))
    generator = torch.Generator()
    generator.set_state(state)
    return generator


_FRESH = torch.Generator().manual_seed(0).get_state()


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move `average`'s parameters towards `network`'s, ``average = decay * average + (1 - decay) * network``.

    While few steps are done the decay is shorter, (1 + step) / (10 + step): the average would otherwise still be the
    initialization. Buffers (batch-norm statistics, spectral-norm vectors) are copied: they are averages already.
    """
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for mine, theirs in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(theirs)


def in_parallel(function: Callable[..., Any], calls: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Results of `function` for each set of keyword arguments, computed side by side, one on each GPU or core.

    Slim networks gain little from a second thread and lose much when it has to wait for a busy core; two trainings side
    by side gain a factor of two. With one GPU (or Apple's MPS), one thread to spend or without joblib, one after the
    other in this process.

    Args:
        function: of a module, so that other processes can import it; arguments and results have to be picklable.
        calls: keyword arguments of each call. Memory-mapped arrays are passed by file.
    """
    gpus, workers = torch.cuda.device_count(), side_by_side(len(calls))
    if workers < 2:
        return [function(**arguments) for arguments in calls]
    import joblib

    with (
        tempfile.TemporaryDirectory(prefix="fingerprints-") as locks,
        joblib.parallel_config(backend="loky", inner_max_num_threads=None if gpus else 1),
    ):
        jobs = [joblib.delayed(_on_a_free_gpu)(gpus, Path(locks), function, arguments) for arguments in calls]
        return list(joblib.Parallel(n_jobs=workers, batch_size=1)(jobs))


def side_by_side(count: int) -> int:
    """How many of `count` calls `in_parallel` runs at a time: 1 for each GPU, or for each thread of a CPU."""
    gpus = torch.cuda.device_count()
    accelerated = gpus or getattr(torch, "accelerator", torch.cuda).is_available()
    workers = min(count, (gpus or 1) if accelerated else torch.get_num_threads())
    return workers if find_spec("joblib") else 1


def _on_a_free_gpu(gpus: int, locks: Path, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call the function, with GPUs where `make_fabric` takes one on which no other call runs.

    That is one whose lock, a file in the folder `locks`, is free. As many calls run at a time as there are GPUs.
    """
    end_with_parent()
    last = os.environ.get(_GPU)  # this process holds memory there
    names = sorted(map(str, range(gpus)), key=lambda gpu: gpu != last)
    while names:
        for gpu in names:
            lock = filelock.FileLock(locks / gpu)
            with suppress(filelock.Timeout):
                lock.acquire(timeout=0)
            if lock.is_locked:
                os.environ[_GPU] = gpu
                try:
                    return function(**arguments)
                finally:
                    lock.release()
    return function(**arguments)
