"""Is everything here that the book needs? One line a check, with the mend where something is missing."""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from .errors import FingerprintsError

NEEDED_GB = 3


@dataclass(frozen=True)
class Finding:
    """One check's outcome."""

    name: str
    ok: bool
    detail: str
    mend: str = ""

    def __str__(self) -> str:
        if self.ok:
            return f"OK    {self.name}: {self.detail}"
        return f"FAIL  {self.name}: {self.detail.rstrip('.')}. {self.mend}".rstrip()


def examine() -> list[Finding]:
    """Run every check; none of them raises."""
    checks: list[Callable[[], Finding]] = [
        _python,
        _packages,
        _torch,
        _gpu,
        _kernel,
        _photographs,
        _shipped,
        _book,
        _disk,
    ]
    return [_guarded(check) for check in checks]


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except FingerprintsError as error:
        return Finding(check.__name__.strip("_"), False, str(error))  # it says its own mend
    except Exception as error:  # a doctor who faints helps nobody: whatever it is, it becomes a line
        name = check.__name__.strip("_")
        return Finding(name, False, f"{type(error).__name__}: {error}", "Remove .venv and run `make book` again.")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), version, "Install Python 3.11 or newer.")


def _packages() -> Finding:
    import re

    names = [
        re.split(r"[<>=!~;\[ ]", line)[0] for line in metadata.requires("fingerprintlib") or [] if "dev" not in line
    ]
    missing = [name for name in names if not _installed(name)]
    detail = f"missing {', '.join(missing)}" if missing else f"all {len(names)} are installed"
    return Finding("packages", not missing, detail, "Remove .venv/ready and run `make book` again.")


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _torch() -> Finding:
    import torch
    import torchvision

    threads = f"{torch.get_num_threads()} CPU threads"
    return Finding("torch", True, f"{torch.__version__} with torchvision {torchvision.__version__} on {threads}")


def _gpu() -> Finding:
    """What a training would take, having computed something there: a driver may be too old for what is installed."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        found, device = f"CUDA, {' and '.join(names)}", "cuda"
    elif torch.backends.mps.is_available():
        found, device = "Apple's, by MPS", "mps"
    else:
        return Finding("GPU", True, "none (neither CUDA nor MPS), so all is computed on the CPU")
    try:
        works = float(torch.ones(4, 4, device=device).mm(torch.ones(4, 4, device=device)).sum()) == 64
    except RuntimeError as error:
        works, found = False, f"{found}: {error}".splitlines()[0]
    return Finding("GPU", works, found, "Update its driver, or set CUDA_VISIBLE_DEVICES= to do without it.")


def _kernel() -> Finding:
    from jupyter_client.kernelspec import find_kernel_specs

    found = "python3" in find_kernel_specs()
    detail = "python3" if found else "there is no kernel 'python3'"
    return Finding("jupyter kernel", found, detail, "Run `.venv/bin/python -m ipykernel install --sys-prefix`.")


def _photographs() -> Finding:
    from .data.datasets import SPLITS, open_dataset

    clothing = open_dataset("clothing", 64)
    count = sum(clothing.split(name).distinct for name in SPLITS)
    scenes = open_dataset("scenes", 64).split("train").sources
    return Finding("photographs", bool(scenes), f"{count} of clothing and {len(scenes)} of scenes are here")


def _shipped() -> Finding:
    from .project import find_root

    folder = find_root() / "data"
    cards = [*folder.glob("zoo/*.json"), *folder.glob("networks/*.json")]
    lost = [card.stem for card in cards if not card.with_suffix(".safetensors").is_file()]
    results = folder / "results" / "full.json"
    lost += [] if results.is_file() else [str(results)]
    detail = f"missing {', '.join(lost)}" if lost else f"{len(cards)} generators and networks have their weights"
    return Finding("networks", bool(cards) and not lost, detail, "Restore them: git checkout data.")


def _book() -> Finding:
    from .book.chapters import PROFILES, Book

    book = Book()
    for profile in PROFILES:
        book.plan(profile)
    mathjax = importlib.util.find_spec("mathjax") is not None
    detail = f"{len(book.chapters)} chapters, {len(PROFILES)} profiles" if mathjax else "MathJax is missing"
    return Finding("book", mathjax, detail, "Remove .venv/ready and run `make book` again.")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 1e9
    return Finding("disk", free > NEEDED_GB, f"{free:.0f} GB free", f"The book needs about {NEEDED_GB} GB: free some.")
