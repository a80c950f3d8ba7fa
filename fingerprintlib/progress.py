"""A progress bar on everything that takes longer than a breath."""

import os
import sys
from typing import Any


def progress(total: int, description: str, unit: str, initial: int = 0) -> Any:
    """A tqdm bar with rate and time left; silent when FINGERPRINTS_QUIET is set.

    It is drawn on standard error, or as a widget in a notebook that somebody runs cell by cell: there the other would
    leave an empty red box behind. (A build runs notebooks too; its bars go to the terminal.)
    """
    python = sys.modules.get("IPython")
    shell = python.get_ipython() if python else None
    if hasattr(shell, "kernel") and "FINGERPRINTS_BUILD" not in os.environ:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return tqdm(
        total=total,
        initial=initial,
        desc=description,
        unit=f" {unit}",
        unit_scale=total >= 100_000,
        mininterval=0.5,
        file=sys.stderr,
        dynamic_ncols=True,
        leave=False,
        disable=bool(os.environ.get("FINGERPRINTS_QUIET")),
    )
