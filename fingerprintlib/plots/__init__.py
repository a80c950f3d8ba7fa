"""One visual style; every function returns a `Plot`: the figure, and the sentence that says what it shows."""

from .attacks import against_strength, picture_table, spectrum_changes
from .features import against_number, embedding, frechet_ratios
from .fingerprints import fingerprint_spectra, mean_responses, model_fingerprints, residuals
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
from .spectra import choices, patterns, radial_spectra
from .style import PALETTE

__all__ = [
    "PALETTE",
    "accuracies",
    "against_number",
    "against_strength",
    "architecture",
    "choices",
    "confusions",
    "distances",
    "embedding",
    "fingerprint_spectra",
    "frechet_ratios",
    "growth",
    "histograms",
    "ledger",
    "losses",
    "mean_responses",
    "model_fingerprints",
    "patterns",
    "picture_table",
    "radial_spectra",
    "residuals",
    "responses",
    "scales",
    "sheet",
    "spectrum_changes",
    "tile_map",
    "training_curves",
]
