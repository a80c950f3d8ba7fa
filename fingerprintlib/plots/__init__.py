"""One visual style; every function returns a `Plot`: the figure, and the sentence that says what it shows."""

from .images import architecture, growth, sheet, tile_map
from .results import (
    accuracies,
    confusions,
    distances,
    histograms,
    ledger,
    losses,
    responses,
    scales,
    training_curves,
)
from .style import PALETTE

__all__ = [
    "PALETTE",
    "accuracies",
    "architecture",
    "confusions",
    "distances",
    "growth",
    "histograms",
    "ledger",
    "losses",
    "responses",
    "scales",
    "sheet",
    "tile_map",
    "training_curves",
]
