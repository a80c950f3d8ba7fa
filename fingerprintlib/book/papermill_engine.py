"""A papermill engine that says on standard error where a chapter is: step, elapsed and expected time."""

import re
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

from papermill.engines import NBClientEngine, papermill_engines
from traitlets.config import Config


class ReportingEngine(NBClientEngine):
    """papermill's own engine, with a line at every heading the chapter reaches."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        chapter: str = "",
        expected_seconds: float | None = None,
        **options: Any,
    ) -> None:
        """Run the cells, reporting; arguments as papermill gives them."""
        start = time.perf_counter()
        steps = _headings(nb_man.nb.cells)
        begin_cell = nb_man.cell_start

        def cell_start(cell: Any, cell_index: int | None = None, **rest: Any) -> None:
            if cell_index in steps:
                print(_line(chapter, steps[cell_index], time.perf_counter() - start, expected_seconds), file=sys.stderr)
            begin_cell(cell, cell_index=cell_index, **rest)

        nb_man.cell_start = cell_start
        # Sockets of its own in place of ports: those are chosen before the kernel takes them, and of several kernels
        # that start at once, two may be given the same. In /tmp, as a socket's path may not be long.
        with TemporaryDirectory(prefix="kernel-", dir="/tmp", ignore_cleanup_errors=True) as sockets:
            config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/socket"}})
            super().execute_managed_notebook(nb_man, kernel_name, config=config, **options)
        failed = any(output.output_type == "error" for cell in nb_man.nb.cells for output in cell.get("outputs", []))
        how = "stopped after" if failed else "done in"
        print(f"[{chapter}] {how} {_clock(time.perf_counter() - start)}", file=sys.stderr)


def _headings(cells: list[Any]) -> dict[int, str]:
    """For each code cell that is the first in a section: its heading, with its place among them."""
    found: dict[int, str] = {}
    heading = None
    for index, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            lines = re.findall(r"^## (.+)$", cell.source, re.MULTILINE)
            heading = lines[-1] if lines else heading
        elif heading:
            found[index], heading = heading, None
    return {index: f"{place}/{len(found)} {text}" for place, (index, text) in enumerate(found.items(), 1)}


def _line(chapter: str, step: str, elapsed: float, expected: float | None) -> str:
    total = ""
    if expected:
        total = f" of about {_clock(expected)}" if elapsed < expected else ", longer than expected"
    return f"[{chapter}] {step}  ({_clock(elapsed)}{total})"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def register_engine() -> None:
    """Make papermill know the engine as ``fingerprints``."""
    papermill_engines.register("fingerprints", ReportingEngine)
