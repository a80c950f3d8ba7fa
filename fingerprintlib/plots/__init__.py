"""One visual style; every function returns a `Plot`: the figure, and the sentence that says what it shows."""

from .features import against_number, embedding, frechet_ratios
from .fingerprints import fingerprint_spectra, mean_responses, model_fingerprints, residuals
from .frequency import bands, grid_peaks, spectral_differences, spectrum_maps
from .images import architecture, growth, sheet, tile_map
from .results import (
    accuracies,
    confusions,
    distances,
    histograms,
    ledger,
    losses,
    persistence,
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
    "architecture",
    "bands",
    "choices",
    "confusions",
    "distances",
    "embedding",
    "fingerprint_spectra",
    "frechet_ratios",
    "grid_peaks",
    "growth",
    "histograms",
    "ledger",
    "losses",
    "mean_responses",
    "model_fingerprints",
    "patterns",
    "persistence",
    "radial_spectra",
    "residuals",
    "responses",
    "scales",
    "sheet",
    "spectral_differences",
    "spectrum_maps",
    "tile_map",
    "training_curves",
]
