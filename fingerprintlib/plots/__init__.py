"""One visual style; every function returns a `Plot`: the figure, and the sentence that says what it shows."""

from .attacks import against_strength, picture_table, spectrum_changes, transfer
from .features import against_number, embedding, frechet_ratios
from .fingerprints import fingerprint_spectra, mean_responses, model_fingerprints, residuals
from .frequency import bands, grid_peaks, spectral_differences, spectrum_maps
from .images import architecture, growth, sheet, tile_map
from .patches import patch_maps, patch_sizes, supports
from .persistence import persistence
from .results import (
    accuracies,
    confusions,
    distances,
    distributions,
    histograms,
    ledger,
    losses,
    responses,
    scales,
    training_curves,
)
from .spectra import choices, patterns, radial_spectra
from .style import PALETTE
from .sweeps import against_parameter
from .uniqueness import accuracy_by_number, dendrograms, roc_curves

__all__ = [
    "PALETTE",
    "accuracies",
    "accuracy_by_number",
    "against_number",
    "against_parameter",
    "against_strength",
    "architecture",
    "bands",
    "choices",
    "confusions",
    "dendrograms",
    "distances",
    "distributions",
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
    "patch_maps",
    "patch_sizes",
    "patterns",
    "persistence",
    "picture_table",
    "radial_spectra",
    "residuals",
    "responses",
    "roc_curves",
    "scales",
    "sheet",
    "spectral_differences",
    "spectrum_changes",
    "spectrum_maps",
    "supports",
    "tile_map",
    "training_curves",
    "transfer",
]
