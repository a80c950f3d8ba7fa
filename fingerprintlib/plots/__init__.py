"""One visual style; every function returns a `Plot`: the figure, and the sentence that says what it shows.

Arrays and reports come in, a `Plot` goes out for a page to show. A file holds a family of figures; `style` is how all
of them look, `axes` what they are put together from.
"""

from .cases import cases
from .curves import accuracy_by_number, against_number, against_strength, choices, persistence, training_curves
from .features import embedding, frechet_ratios
from .fingerprints import evidence, model_fingerprints, residuals
from .images import architecture, bands, growth, picture_table, sheet, tile_map
from .matrices import confusions, mean_responses, responses, transfer
from .open_world import reliability, tippett
from .patches import numbered, patch_maps, patch_sizes, supports
from .results import (
    accuracies,
    decision,
    detection_curves,
    distances,
    distributions,
    grid_peaks,
    histograms,
    ledger,
    losses,
    scales,
)
from .spectra import (
    copies,
    enlarging,
    fingerprint_spectra,
    patterns,
    radial_spectra,
    spectral_differences,
    spectrum_changes,
    spectrum_maps,
)
from .style import Plot
from .sweeps import against_parameter
from .uniqueness import dendrograms, roc_curves

__all__ = [
    "Plot",
    "accuracies",
    "accuracy_by_number",
    "against_number",
    "against_parameter",
    "against_strength",
    "architecture",
    "bands",
    "cases",
    "choices",
    "confusions",
    "copies",
    "decision",
    "dendrograms",
    "detection_curves",
    "distances",
    "distributions",
    "embedding",
    "enlarging",
    "evidence",
    "fingerprint_spectra",
    "frechet_ratios",
    "grid_peaks",
    "growth",
    "histograms",
    "ledger",
    "losses",
    "mean_responses",
    "model_fingerprints",
    "numbered",
    "patch_maps",
    "patch_sizes",
    "patterns",
    "persistence",
    "picture_table",
    "radial_spectra",
    "reliability",
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
    "tippett",
    "training_curves",
    "transfer",
]
