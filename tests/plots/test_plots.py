import inspect
import itertools
import re
import subprocess
import sys
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from fingerprintlib import plots
from fingerprintlib.data.splits import SPLITS
from fingerprintlib.plots import Plot, style
from fingerprintlib.plots.cases import Case
from fingerprintlib.plots.fingerprints import stretch
from fingerprintlib.statistics.calibration import ReliabilityCurve
from fingerprintlib.statistics.distances import FrechetRatio
from fingerprintlib.statistics.metrics import Report

RANDOM = np.random.default_rng(0)
NAMES = ("real", "progan", "sngan", "cramergan", "mmdgan")


def pixels(*shape):
    return RANDOM.integers(0, 256, (*shape, 3), np.uint8)


def report(*rows):
    return Report(NAMES[: len(rows)], tuple(rows))


HISTORY = {"images": [64, 2000, 4000], "discriminator": [2.0, 1.5, 1.234], "generator": [0.0, -0.5, -0.789]}
POINTS = [{"step": 10, "validation_accuracy": 0.25}, {"step": 20, "validation_accuracy": 0.625}]
WAVE = 3 * np.cos(np.pi / 2 * np.arange(32))[:, None]  # a quarter of a cycle a pixel, across
TILES = [("gan", 0, 0, 16), ("gan", 0, 16, 16), ("train", 16, 0, 16), ("test", 16, 16, 16)]
ROWS = [
    ("attribution network", "as they are", 0.912, (0.9, 0.93)),
    ("attribution network", "equalized", 0.634, (0.6, 0.66)),
    ("colour histograms only", "as they are", 1.0, (0.98, 1.0)),
]
CURVES = {
    "low-pass": {4: (0.5, (0.45, 0.55)), 1: (0.9, (0.88, 0.92))},
    "residual": {1: (0.95, (0.94, 0.96)), 2: (0.7, (0.6, 0.8))},
}
STRENGTHS = [(0, 0.9, (0.85, 0.93)), (10, 0.5, (0.4, 0.6)), (50, 0.25, (0.2, 0.3))]
FLOATS = RANDOM.normal(size=(5, 16, 16, 3))
CLAIMS = [
    ("existence", "holds", 0.112, (0.105, 0.12), 0.1, "points"),
    ("unique-seed", "fails", -0.215, (-0.30, -0.12), 0.1, "points"),
    ("gain", "not shown", 0.012, (-0.03, 0.05), 0.05, "% of its errors"),
]
RELIABLE = ReliabilityCurve(*np.array([[0.6, 0.9], [0.5, 1.0], [10, 20], [0.3, 0.9], [0.7, 1.0]]))


def case(name, shares, squares=None, height=32, width=32):
    names = [f"$\\no_{k}$" for k in range(len(shares))]
    probabilities = dict(zip(names, shares, strict=True))
    return Case(name, "unsure", pixels(height, width), RANDOM.normal(size=(32, 32, 3)), probabilities, squares)


# name: (function, arguments, what the alternative text must tell)
PLACES = np.stack([10.0 * (np.arange(60) % 6), np.arange(60) / 60], 1)  # a column a class
RATIO = FrechetRatio(100, (80.0, 84.0), (2.0, 2.1))
CURVE = {1: (0.91, (0.88, 0.93)), 16: (0.4, (0.37, 0.43))}
CASES = {
    "sheet": (plots.sheet, ({"real": pixels(7, 32, 32), "progan": pixels(12, 32, 32)},), ["7 of real", "12 of progan"]),
    "sheet, one image": (plots.sheet, ({"real": pixels(1, 16, 16)},), ["1 of real"]),
    "sheet, many": (plots.sheet, ({name: pixels(60, 16, 16) for name in NAMES},), ["60 of mmdgan"]),
    "tile_map": (
        plots.tile_map,
        ([("A cat", pixels(32, 32), TILES), ("A tall tree", pixels(40, 24), TILES[:1])] * 3,),
        ["6 photographs", "9 tiles for gan", "3 tiles for train", "0 tiles for validation", "3 tiles for test"],
    ),
    "growth": (
        plots.growth,
        ({name: ([0, 640, 12000], pixels(3, 8, 16, 16)) for name in NAMES[1:]},),
        [*NAMES[1:], "3 moments"],
    ),
    "growth, one": (plots.growth, ({"progan": ([0], pixels(1, 4, 16, 16))},), ["1 moments"]),
    "architecture": (
        plots.architecture,
        ([(4, 64), (32, 16), (32, 3)], [(32, 16), (4, 64), (1, 256)], 100, "features"),
        ["100 random numbers", "4x4 with 64, 32x32 with 16", "to 256 features"],
    ),
    "distances": (
        plots.distances,
        (
            {name: {"frechet": k + 1.0, "kernel": 0.1 * k} for k, name in enumerate(NAMES[1:])},
            {"frechet": 0.5, "kernel": -0.01},
        ),
        ["Fréchet: progan 1.00", "floor 0.50", "kernel: progan 0.00", "floor -0.01"],
    ),
    "scales": (
        plots.scales,
        ({name: {"colour": 1.1 + k, "3 px": 9.0} for k, name in enumerate(NAMES[1:])},),
        ["progan: colour 1.1, 3 px 9.0", *NAMES[2:]],
    ),
    "losses": (plots.losses, (dict.fromkeys(NAMES[1:], HISTORY),), [*NAMES[1:], "1.23", "-0.79"]),
    "losses, of one": (
        plots.losses,
        ({"vae": {key: HISTORY[key] for key in ("images", "generator")}, "sngan": HISTORY},),
        ["vae ends at -0.79; sngan ends at 1.23 and -0.79"],
    ),
    "losses, many": (plots.losses, ({f"gan {n}": HISTORY for n in range(6)},), ["gan 5 ends at 1.23"]),
    "accuracies": (plots.accuracies, (ROWS, 0.2), ["91.2 %", "63.4 %", "100.0 %", "Chance: 20 %", "equalized"]),
    "accuracies, many conditions": (
        plots.accuracies,
        ([("network", f"attack {n}", n / 10, (0.0, 1.0)) for n in range(8)], 0.2),
        ["attack 7: 70.0 %"],
    ),
    "accuracies, of one condition": (
        plots.accuracies,
        ([("sngan", "all", 0.1, (0.05, 0.2))], 0.2, "taken for ProGAN"),
        ["Taken for ProGAN, with 95 % intervals. sngan, all: 10.0 %"],
    ),
    "confusions": (
        plots.confusions,
        ({"as they are": report((8, 2, 0), (5, 5, 0), (0, 1, 9)), "equalized": report((0, 4), (4, 0))},),
        ["real 80 %", "progan 50 %", "sngan 90 %", "equalized: real 0 %, progan 0 %"],
    ),
    "confusions, a class without images": (plots.confusions, ({"open": report((3, 1), (0, 0))},), ["real 75 %"]),
    "responses": (
        plots.responses,
        ({"models": np.array([[1, -0.5], [-0.25, 1]]), "images": np.eye(2)}, NAMES[:2]),
        ["models: 1.00 against -0.38", "images: 1.00 against 0.00"],
    ),
    "model_fingerprints": (
        plots.model_fingerprints,
        ({"normalized": FLOATS[:3], "inner product": 1e-9 * FLOATS[:3]}, NAMES[:3]),
        ["normalized: real ", "inner product: real ", "sngan ", " %"],
    ),
    "model_fingerprints, one row": (plots.model_fingerprints, ({"normalized": FLOATS}, NAMES), ["mmdgan "]),
    "model_fingerprints, nothing learned": (plots.model_fingerprints, ({"x": 0 * FLOATS[:2]}, NAMES[:2]), ["progan"]),
    "residuals": (
        plots.residuals,
        ({name: (pixels(3, 16, 16), FLOATS[:3], 0 * FLOATS[:3] + 2 / 255) for name in NAMES},),
        ["3 images of each source", "mmdgan 1.0"],
    ),
    "residuals, one": (plots.residuals, ({"real": (pixels(1, 32, 32), *[np.zeros((1, 32, 32, 3))] * 2)},), ["real 0"]),
    "fingerprint_spectra": (
        plots.fingerprint_spectra,
        ({"models": FLOATS[..., 0], "images": np.zeros((5, 16, 16))}, NAMES),
        ["models: real ", "images: real +0.0", "mmdgan "],
    ),
    "mean_responses": (
        plots.mean_responses,
        ({"normalized": np.eye(3) / 4, "inner product": 100 * np.ones((3, 3))}, NAMES[:3]),
        ["normalized: 0.25 against 0", "inner product: 100 against 100"],
    ),
    "training_curves": (
        plots.training_curves,
        ({f"seed {n}": POINTS for n in range(9)}, 0.2),
        ["seed 0 ends at 62 %", "seed 8 ends at 62 %", "chance is 20 %"],
    ),
    "histograms": (
        plots.histograms,
        (
            {
                "as they are": {f"s{n}": np.full((2, 4, 4, 3), 20 * n, np.uint8) for n in range(9)},
                "equalized": {"s0": pixels(2, 4, 4)},
            },
        ),
        ["as they are", "equalized", "s1 20", "s8 160"],
    ),
    "embedding": (
        plots.embedding,
        ({"learned": PLACES, "generic": PLACES[::-1]}, np.arange(60) % 6, (*NAMES, "a longer name")),
        ["60 images", "mmdgan", "learned 100%"],
    ),
    "frechet_ratios": (
        plots.frechet_ratios,
        (
            {"as they are": {"learned": RATIO, "generic": RATIO}, "grey": {"learned": RATIO}},
            {"Inception, CelebA": 2.36},
        ),
        ["learned, as they are: 40", "the paper's Inception, CelebA: 2.36"],
    ),
    "frechet_ratios, alone": (plots.frechet_ratios, ({"grey": {"learned": RATIO}},), ["learned, grey: 40"]),
    "against_number": (
        plots.against_number,
        ({"learned": {50: 1.0, 100: 0.51, 400: 0.12}, "generic": {50: 2.0, 100: 1.9, 400: 1.8}}, "distance"),
        ["from 50 to 400 images", "learned from 1 to 0.12"],
    ),
    "against_parameter": (
        plots.against_parameter,
        (
            "steps",
            [100, 400, 10000],
            {
                "claim existence, %": {
                    "colours = grey": [(40.0, 30.0, 50.0), (60.25, 50.0, 70.0), None],
                    "colours = all": [(50.0, 45.0, 55.0), (70.0, 65.0, 75.0), (90.0, 88.0, 92.0)],
                },
                "ratio": dict.fromkeys(["colours = grey", "colours = all"], [(1.5, None, None)] * 3),
            },
        ),
        ["60.25 (50.00 to 70.00) at 400, nothing at 10000", "ratio (colours = all): 1.5 at 100", "against steps"],
    ),
    "against_parameter, words, marked": (
        plots.against_parameter,
        (
            "generic",
            ["random network", "filter bank", "inception"],
            {"fd": {"": [(1.0, 0.5, 2.0), (3.0, None, None), None]}},
            ("", 0),
        ),
        ["marked is fd: 1.000 (0.5000 to 2.000) at random network."],
    ),
    "against_parameter, one point": (
        plots.against_parameter,
        ("seed", [0], {f"m{n}": {"": [(0.0, None, None)]} for n in range(3)}, ("", 0)),
        ["m2: 0 at 0"],
    ),
    "against_parameter, many": (
        plots.against_parameter,
        (
            "width",
            [round(0.05 * n, 2) for n in range(1, 20)],
            {"m": {f"runs = {k}": [(k + n / 20, k + n / 30, k + n / 10) for n in range(1, 20)] for k in range(9)}},
        ),
        ["m (runs = 8): 8.050 (8.033 to 8.100) at 0.05, 8.950 (8.633 to 9.900) at 0.95"],
    ),
    "patterns": (
        plots.patterns,
        ({name: RANDOM.normal(size=(32, 32, 3)) + WAVE for name in NAMES},),
        [*NAMES, "at (0, 0.25)"],
    ),
    "patterns, one": (plots.patterns, ({"real": RANDOM.normal(size=(16, 16, 3))},), ["real 10^"]),
    "radial_spectra": (
        plots.radial_spectra,
        ({name: 5 - np.arange(46.0) / 10 + k * np.log10(2) for k, name in enumerate(NAMES)}, 64),
        [*NAMES, "multiple of real's: progan 2.00, sngan 4.00"],
    ),
    "radial_spectra, one": (plots.radial_spectra, ({"real": np.arange(24.0)}, 32), ["power of real"]),
    "choices": (
        plots.choices,
        (
            {
                "kNN": ("k", {"grey": [(1, 0.4), (3, 0.55), (5, 0.5)], "as they are": [(1, 0.3), (3, 0.2)]}),
                "log-DCT": ("penalty", {"grey": [(1e5, 0.9), (1e3, 0.95)]}),
            },
            0.2,
        ),
        ["kNN, grey: 55 % at 3", "as they are: 30 % at 1", "log-DCT, grey: 95 % at 1000", "Chance: 20 %"],
    ),
    "distributions": (
        plots.distributions,
        ({name: np.arange(9) / 10 + k for k, name in enumerate(NAMES)}, "distance"),
        ["real 0.400", "mmdgan 4.400"],
    ),
    "supports": (
        plots.supports,
        (pixels(32, 32), {f"net {n}": np.tri(32, 32, -n, dtype=bool) for n in range(7)}),
        ["net 0: 32 by 32", "net 3: 29 by 29"],
    ),
    "supports, one": (plots.supports, (pixels(16, 16), {"all": np.ones((16, 16), bool)}), ["all: 16 by 16"]),
    "patch_sizes": (
        plots.patch_sizes,
        ({"real": pixels(64, 64), "progan": pixels(64, 64)}, [3, 10, 24, 52, 64]),
        ["real, progan", "64, 52, 24, 10, 3 pixels"],
    ),
    "patch_sizes, one": (plots.patch_sizes, ({"real": pixels(32, 32)}, [3]), ["patches of 3 pixels"]),
    "patch_maps": (
        plots.patch_maps,
        (
            pixels(3, 16, 16),
            [np.arange(64).reshape(8, 8) // 32, np.full((4, 4), 4), np.eye(2, dtype=int)],
            "abc",
            NAMES,
            np.stack([np.tri(16, dtype=bool), np.zeros((16, 16), bool), np.ones((16, 16), bool)]),
        ),
        ["a: real 50%, progan 50%", "b: mmdgan 100%"],
    ),
    "patch_maps, one": (
        plots.patch_maps,
        (pixels(1, 16, 16), [np.zeros((2, 2), int)], ["a"], NAMES[:2]),
        ["real 100%"],
    ),
    "numbered": (plots.numbered, (pixels(1, 64, 64)[0], "One splice"), ["One splice, 64 by 64 pixels"]),
    "numbered, tiny": (plots.numbered, (pixels(1, 4, 4)[0], "A few"), ["4 by 4"]),
    "persistence": (
        plots.persistence,
        (
            {"low": {"grey": CURVE, "as they are": CURVE, "equalized": CURVE}, "residual": {"grey": CURVE}},
            {"low": {"CelebA, paper": {1: 99.0, 32: 26.0}}},
            "factor",
            0.2,
        ),
        ["low, grey: 91.0 at 1, 40.0 at 16", "residual, grey", "Chance: 20 %"],
    ),
    "persistence, one panel": (
        plots.persistence,
        ({"": {"grey": CURVE}}, {}, "side", 0.5, True),
        ["against side. grey: 91.0 at 1"],
    ),
    "dendrograms": (
        plots.dendrograms,
        (
            {
                "models": np.array([[0, 1, 4], [1, 0, 3], [4, 3, 0.0]]),
                "images": np.array([[9, 5, 5], [5, 9, 2], [5, 2, 9.0]]),
            },
            ("real", "progan", "progan-without17710"),
            ("1 - cosine", "distance"),
        ),
        [
            "models: nearest are real and progan at 1; all are one at 3.5",
            "progan and progan-without17710 at 2; all are one at 5",
        ],
    ),
    "dendrograms, two alike": (plots.dendrograms, ({"a": np.zeros((2, 2))}, NAMES[:2], ["distance"]), ["progan at 0"]),
    "dendrograms, many": (
        plots.dendrograms,
        ({"a": 1 - np.eye(20), "b": 1 - np.eye(20)}, [f"a long name {n}" for n in range(20)], ["x", "y"]),
        ["a long name 19", "all are one at 1"],
    ),
    "accuracy_by_number": (
        plots.accuracy_by_number,
        ({"grey": {2: (0.9, 0.8, 1.0), 3: (0.85, 0.8, 0.9), 4: (0.7, 0.7, 0.7)}, "seeds": {2: (0.5, 0.5, 0.5)}},),
        ["grey: 2: 90.0 %, 3: 85.0 %, 4: 70.0 %", "seeds: 2: 50.0 %"],
    ),
    "accuracy_by_number, one point": (plots.accuracy_by_number, ({"grey": {2: (0.5, 0.5, 0.5)}},), ["2: 50.0 %"]),
    "roc_curves": (
        plots.roc_curves,
        (
            {f"progan-seed{n}": (np.array([0, 0.2, 1]), np.array([0, 0.8, 1])) for n in range(7)},
            {f"progan-seed{n}": 0.2 for n in range(7)},
            {f"progan-seed{n}": (0.1, 0.3) for n in range(7)},
        ),
        ["progan-seed0 20.0 (10.0–30.0) %", "progan-seed6 20.0 (10.0–30.0) %", "guessing is 50 %"],
    ),
    "bands": (
        plots.bands,
        (
            {
                name: {b: [pixels(64 >> n, 64 >> n) for n in range(5)] for b in ("low-pass", "residual")}
                for name in NAMES
            },
        ),
        ["real, progan", "low-pass at 64, 32, 16, 8, 4 pixels", "enlarged to 64"],
    ),
    "bands, few": (plots.bands, ({"real": {"low-pass": [pixels(32, 32)]}},), ["low-pass at 32 pixels"]),
    "spectral_differences": (
        plots.spectral_differences,
        (
            {name: tuple(k * np.linspace(0, 1, 46) + n for n in (0, -1, 1)) for k, name in enumerate(NAMES)},
            64,
            "real",
            (np.full(46, 0.2), np.zeros(46), np.ones(46)),
        ),
        ["less that of real", "other images of real +0.2 dB; real", "mmdgan +4.0 dB at 0.7"],
    ),
    "spectral_differences, one": (
        plots.spectral_differences,
        ({"progan": (np.zeros(24),) * 3}, 32, "real", (np.zeros(24),) * 3),
        ["progan +0.0 dB"],
    ),
    "spectrum_maps": (
        plots.spectrum_maps,
        (
            {name: 3 * FLOATS[k].repeat(4, 0).repeat(4, 1)[..., 0] for k, name in enumerate(NAMES[1:])},
            "real",
            [2, 4, 8],
        ),
        ["less that of real", "mmdgan "],
    ),
    "spectrum_maps, one": (plots.spectrum_maps, ({"progan": np.zeros((32, 32))}, "real", [2]), ["+0.0 dB"]),
    "grid_peaks": (
        plots.grid_peaks,
        ({name: {p: (k / p, (k / p - 0.2, k / p + 0.2)) for p in (2, 4, 8, 16, 32)} for k, name in enumerate(NAMES)},),
        ["real: 0.0 at 2", "mmdgan: 2.0 at 2, 1.0 at 4"],
    ),
    "grid_peaks, one": (plots.grid_peaks, ({"progan": {2: (1.0, (0.5, 1.5))}},), ["progan: 1.0 at 2"]),
    "picture_table": (
        plots.picture_table,
        (
            {
                "image": {f"attack {n}": pixels(16, 16) for n in range(9)},
                "difference": {f"attack {n}": pixels(16, 16) for n in range(1, 9)},
            },
            "Attacked images",
        ),
        ["Attacked images. Rows: image, difference. Columns: attack 0,"],
    ),
    "picture_table, one": (plots.picture_table, ({"image": {"clean": pixels(32, 32)}}, "One"), ["Columns: clean"]),
    "spectrum_changes": (
        plots.spectrum_changes,
        ({"noise": np.full((32, 32), 1.0), "blur": np.full((32, 32), -2.0), **dict.fromkeys("abcdef", WAVE.T + WAVE)},),
        ["noise 10, blur 0.01"],
    ),
    "spectrum_changes, one": (plots.spectrum_changes, ({"none": np.zeros((16, 24))},), ["none 1."]),
    "against_strength": (
        plots.against_strength,
        (
            {
                "noise": ("variance, squared levels of 255", (5, 20), {"network": STRENGTHS, "PRNU": STRENGTHS}),
                "jpeg": ("quality", (10, 75), {"network": STRENGTHS[::-1], "PRNU": STRENGTHS[::-1]}),
                **{f"attack {n}": ("share", (1, 1), {"network": STRENGTHS}) for n in range(5)},
            },
            0.2,
        ),
        ["noise, network: from 90 % to 25 %", "jpeg, PRNU: from 25 % to 90 %", "Chance: 20 %"],
    ),
    "against_strength, one": (
        plots.against_strength,
        ({"blur": ("side", (1, 9), {"network": STRENGTHS})}, 0.2),
        ["blur, network"],
    ),
    "transfer": (
        plots.transfer,
        ({f"a rather long course {n}": {f"attack {m}": (n + m) / 16 for m in range(9)} for n in range(8)},),
        ["a rather long course 0: attack 0 0, attack 1 6", "attack 8 94"],
    ),
    "transfer, one": (plots.transfer, ({"nothing": {"noise": 0.254}},), ["nothing: noise 25"]),
    "ledger": (
        plots.ledger,
        (CLAIMS,),
        ["existence", "+11.2 points", "holds", "unique-seed", "-21.5 points", "fails", "gain: 1 % of its errors"],
    ),
    "copies": (
        plots.copies,
        ({"nearest": (np.array([9.0, 4, 2, 1]), np.array([9.0, 4, 2, 2]))}, 8),
        ["nearest 0.0 dB"],
    ),
    "enlarging": (plots.enlarging, (np.array([100.0, 10, 1, 0.1]), np.linspace(1, 0, 8)), ["weakened by the kernel"]),
    "evidence": (
        plots.evidence,
        ({"image": pixels(16, 16), "its fingerprint": pixels(16, 16)}, {"real": -0.1, "progan": 0.3}),
        ["image, its fingerprint. Correlations", "progan +0.30"],
    ),
    "decision": (
        plots.decision,
        (np.array([0.0, 1, 2, 3, 4]), np.array([False, False, True, True, True]), 0.5),
        ["catches 100.0 %", "at 50.0 % false alarms"],
    ),
    "detection_curves": (
        plots.detection_curves,
        ({("network", "grey"): (np.array([0.0, 0.01, 1.0]), np.array([0.0, 0.9, 1.0]))},),
        ["network, grey: 90 %"],
    ),
    "ledger, nothing measured": (plots.ledger, ([],), ["No claim was measured"]),
    "reliability": (
        plots.reliability,
        ({"before": RELIABLE, "after": RELIABLE},),
        ["before: 60 % sure, 50 % right, 90 % sure, 100 % right; after: 60 % sure"],
    ),
    "tippett": (
        plots.tippett,
        (
            {"clean": (np.array([-1.0, 0.0, 2.0]), np.array([1.0, 0.75, 0.0]), np.array([0.5, 0.25, 0.0]))},
            ("generated", "photographs"),
        ),
        ["clean: above 0 are 75.0 % of generated and 25.0 % of photographs"],
    ),
    "tippett, none near 0": (
        plots.tippett,
        (
            {
                "sure": (np.array([-2.0, 3.0]), np.array([1.0, 0.0]), np.array([0.25, 0.0])),
                "for one": (np.array([1.0, 2.0]), np.array([0.5, 0.0]), np.array([0.25, 0.0])),
            },
            ("generated", "photographs"),
        ),
        [
            "sure: above 0 are 100.0 % of generated and 25.0 % of photographs",
            "for one: above 0 are 100.0 % of generated and 100.0 % of photographs",
        ],
    ),
    "cases": (plots.cases, ([case("a.png", [0.1, 0.8, 0.1])],), ["spectra", "a.png: unsure"]),
    "cases, some of them large": (
        plots.cases,
        ([case("a.png", [0.1, 0.8, 0.1]), case("b.png", [1, 0, 0], np.array([[0, 1, 2], [3, 3, 0]]), 40, 300)],),
        ["a.png: unsure; b.png: unsure"],
    ),
    "cases, of many sources": (plots.cases, ([case("a.png", np.eye(12)[3], np.eye(3, dtype=int))],), ["a.png: unsure"]),
    "cases, with odd names": (
        plots.cases,
        ([case(name, [0.5, 0.5]) for name in ("$\\frac{a}$.png", "a\nb.png", "a$b$.png", f"{'long' * 30}.png")],),
        ["a$b$.png: unsure", "long.png"],
    ),
}


def test_figures_know_nothing_of_the_book():
    code = "import sys, fingerprintlib.plots; print(*(name for name in sys.modules if 'lib.book' in name))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_every_figure_is_tried_here():
    public = {name for name, value in vars(plots).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert public <= set(plots.__all__)
    assert public == {case[0].__name__ for case in CASES.values()}


@pytest.mark.parametrize("case", CASES)
def test_a_figure_is_drawn_whole_and_tells_its_numbers(case):
    function, arguments, words = CASES[case]
    with warnings.catch_warnings(), mpl.rc_context({"font.size": 11, "axes.grid": True}):  # not the book's style
        warnings.simplefilter("error")  # a layout that collapses warns, and so does a division by zero
        before = dict(mpl.rcParams)
        plot = function(*arguments)
        canvas = FigureCanvasAgg(plot.figure)
        canvas.draw()
        assert dict(mpl.rcParams) == before
    assert isinstance(plot, Plot)
    assert isinstance(plot.figure, Figure)
    for word in words:
        assert word in plot.alt
    assert plot.alt.endswith(".")
    assert "nan" not in plot.alt
    picture = np.asarray(canvas.buffer_rgba())
    assert picture[..., :3].std() > 1  # something is on it
    assert picture.shape[1] == int((style.NARROW if plot.narrow else style.WIDTH) * style.STYLE["figure.dpi"])
    # Nothing is cut off at the edges, and no panel has shrunk away.
    width, height = plot.figure.bbox.size
    for ax in plot.figure.axes:
        assert ax.get_window_extent().height > 10
        box = ax.get_tightbbox(canvas.get_renderer())
        if box is not None:
            assert -1 <= box.x0 < box.x1 <= width + 1
            assert -1 <= box.y0 < box.y1 <= height + 1


def test_a_tippett_plot_begins_with_all_and_ends_with_none():
    figure = plots.tippett({"": (np.array([-1.0, 2.0]), np.array([0.75, 0]), np.array([0.25, 0]))}, ("a", "b")).figure
    for line in figure.axes[0].get_lines()[:2]:
        assert tuple(line.get_xydata()[0]) == (-1, 100)
        assert tuple(line.get_xydata()[-1]) == (2, 0)


def test_pictures_show_the_pixels_that_they_were_given():
    images = pixels(3, 16, 16)
    figure = plots.sheet({"real": images}, columns=3).figure
    shown = figure.axes[0].images[0].get_array()
    for index in range(3):
        np.testing.assert_array_equal(shown[:16, 18 * index : 18 * index + 16], images[index])


def test_blocks_of_columns_stand_apart_and_have_names():
    images = pixels(4, 16, 16)
    ax = plots.sheet({"real": images}, columns=4, blocks=["as they are", "grey"]).figure.axes[0]
    shown = ax.images[0].get_array()
    for index, left in enumerate((0, 18, 42, 60)):
        np.testing.assert_array_equal(shown[:, left : left + 16], images[index])
    assert [text.get_text() for text in ax.texts] == ["as they are", "grey"]


def test_the_bars_of_a_case_have_the_colours_of_the_sources_and_mean_nothing_of_the_unknown():
    found = [case("a.png", [0.2, 0.7, 0.1]), case("b.png", [0.6, 0.3, 0.1], height=30, width=45)]
    found[1] = found[1]._replace(verdict="unknown", told=["undecided: neither"])
    plot = plots.cases(found)
    known, strange = ([*ax.patches] for ax in plot.figure.axes if len(ax.patches) == 3)
    assert [bar.get_width() for bar in known] == [0.2, 0.7, 0.1]
    assert [to_hex(bar.get_facecolor()) for bar in known] == [style.colour_of(k) for k in range(3)]
    assert {bar.get_hatch() for bar in known} == {None}
    assert {bar.get_hatch() for bar in strange} == {"////"}
    assert "b.png: unknown: undecided: neither" in plot.alt
    frames = [ax.patches[0] for ax in plot.figure.axes if len(ax.patches) == 1]
    assert [(frame.get_x(), frame.get_y(), frame.get_width()) for frame in frames] == [(7.0, -0.5, 30)]


def test_the_map_of_a_case_has_the_shape_of_the_image():
    figure = plots.cases([case("a.png", [1, 0, 0], np.zeros((4, 8), int), 40, 60)]).figure
    (shown,) = [ax.images[0] for ax in figure.axes if ax.images and ax.images[0].get_array().shape == (4, 8)]
    assert shown.get_extent() == [0, 60, 40, 0]


def test_a_matrix_of_sources_with_odd_names_is_drawn():
    odd = Report(("$\\frac{a}$", "b$c$"), ((3, 1), (0, 4)))
    plot = plots.confusions({"odd": odd})
    FigureCanvasAgg(plot.figure).draw()
    texts = [label.get_text() for label in plot.figure.axes[0].get_xticklabels()]
    assert [text.replace(r"\$", "$") for text in texts] == [*odd.class_names]


def test_accuracies_stand_where_they_are():
    ax = plots.accuracies(ROWS, 0.2).figure.axes[0]
    points = {
        (float(line.get_xdata()[0]), line.get_color())
        for line in ax.lines
        if line.get_marker() in style.MARKERS and len(line.get_xdata()) == 1
    }
    assert {x for x, _ in points} == {91.2, 63.4, 100.0}
    assert len({colour for _, colour in points}) == 2  # two conditions
    places = {text.get_text(): text.xy for text in ax.texts}
    assert places["attribution network"] < places["colour histograms only"]  # above their marks, from the left end on
    assert plots.accuracies(ROWS, 0.2).narrow
    assert ax.get_xlabel() == "attribution accuracy on the test split, %"
    other = plots.accuracies(ROWS, 0.2, "real images recognized as real").figure.axes[0]
    assert other.get_xlabel() == "real images recognized as real, %"  # of whatever split they are


def test_five_conditions_have_five_colours():
    rows = [("network", f"attack {n}", 0.5, (0.4, 0.6)) for n in range(5)]
    ax = plots.accuracies(rows, 0.2).figure.axes[0]
    assert len({line.get_color() for line in ax.lines if line.get_marker() in style.MARKERS}) == 5


def test_a_confusion_matrix_is_in_per_cent_of_its_rows():
    ax = plots.confusions({"a": report((3, 1), (2, 2))}).figure.axes[0]
    np.testing.assert_allclose(ax.images[0].get_array(), [[75, 25], [50, 50]])
    assert [text.get_text() for text in ax.texts] == ["75", "25", "50", "50"]


def test_a_rare_mistake_is_not_told_as_none():
    ax = plots.confusions({"a": report((998, 2), (0, 1000))}).figure.axes[0]
    assert [text.get_text() for text in ax.texts] == [">99", ".2", "0", "100"]


def test_names_of_one_family_are_told_by_what_differs():
    ax = plots.responses({"a": np.eye(2)}, ["progan-seed0", "progan-seed1"], "trained", "untrained").figure.axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["seed0", "seed1"]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("trained", "untrained")
    mixed = plots.responses({"a": np.eye(2)}, ["progan-seed0", "sngan"]).figure.axes[0]
    assert [label.get_text() for label in mixed.get_xticklabels()] == ["progan-seed0", "sngan"]


def test_many_sources_are_told_by_colours_whose_range_leaves_out_the_diagonal():
    matrix = np.eye(13) + 0.2 * (np.eye(13, k=1) + np.eye(13, k=-1))
    ax, bar = plots.responses({"a": matrix}, [f"source {n}" for n in range(13)]).figure.axes
    assert not any(text.get_text() for text in ax.texts)
    assert ax.images[0].get_clim() == (-0.2, 0.2)
    assert bar.get_ylabel() == "correlation"


def test_a_method_with_one_score_for_all_has_no_line():
    curve, one = (np.array([0, 0.01, 1]), np.array([0.5, 0.9, 1])), (np.array([0, 1]), np.array([0, 1]))
    figure = plots.detection_curves({("a", "grey"): curve, ("b", "grey"): one}).figure
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a"]


def test_a_ratio_stands_below_the_name_of_its_features():
    ratio = FrechetRatio(10, (4.0, 4.0), (2.0, 2.0))
    found = {"grey": {"a": ratio, "b": ratio}, "as they are": {"b": ratio}}
    ax = plots.frechet_ratios(found, {"c": 3.0}).figure.axes[0]
    heights = {text.get_text(): text.xy[1] for text in ax.texts if text.get_text() in ("a", "b", "the paper's c")}
    marks = [float(line.get_ydata()[0]) for line in ax.lines if len(line.get_xdata()) == 1]
    downwards = [heights["a"], marks[0], heights["b"], *marks[1:3], heights["the paper's c"], marks[3]]
    assert downwards == sorted(downwards)


def test_the_ledger_marks_from_where_on_each_claim_holds():
    ax = plots.ledger(CLAIMS).figure.axes[0]
    bounds = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_color() == style.PALETTE[2]]
    assert [(float(line.get_xdata()[0]), float(np.mean(line.get_ydata()))) for line in bounds] == [
        (10.0, 0.0),
        (10.0, 1.0),
        (5.0, 2.0),
    ]


def test_trees_join_where_sources_are_that_far_apart():
    apart = np.array([[0, 1, 4], [1, 0, 3], [4, 3, 0.0]])
    ax = plots.dendrograms({"a": apart}, ("x", "y", "z"), ["distance"]).figure.axes[0]
    joints = [max(line.get_xdata()) for line in ax.lines]
    assert sorted(joints) == [1, 3.5]  # z joins x and y at the mean of 4 and 3
    assert {label.get_text() for label in ax.get_yticklabels()} == {"x", "y", "z"}


def test_an_equal_error_rate_stands_on_its_curve():
    curve = np.array([0, 0.1, 0.25, 1]), np.array([0, 0.6, 0.75, 1])
    ax = plots.roc_curves({"a": curve}, {"a": 0.25}, {"a": (0.2, 0.3)}).figure.axes[0]
    (marker,) = [line for line in ax.lines if line.get_marker() in style.MARKERS]
    assert (float(marker.get_xdata()[0]), float(marker.get_ydata()[0])) == (25, 75)
    (whole,) = [line for line in ax.lines if len(line.get_xdata()) == 4]
    np.testing.assert_allclose(whole.get_xydata()[2], (25, 75))


def test_of_many_curves_two_are_named_and_every_rate_is_told():
    curve, rates = (np.array([0, 1]), np.array([0, 1])), {"a": 0.3, "b": 0.1, "c": 0.2}
    intervals = {name: (rate - 0.05, rate + 0.05) for name, rate in rates.items()}
    figure = plots.roc_curves(dict.fromkeys("abc", curve), rates, intervals).figure
    _, beside = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["best: b", "worst: a"]
    assert [label.get_text() for label in beside.get_yticklabels()] == ["b", "c", "a"]
    bars = [line.get_xdata() for line in beside.lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(bars, [(5, 15), (15, 25), (25, 35)])


def test_a_matrix_of_many_sources_gets_room_when_it_is_alone():
    heights = [
        plots.responses(dict.fromkeys(names, np.eye(11)), [f"source {n}" for n in range(11)]).figure.get_figheight()
        for names in ("a", "ab")
    ]
    assert heights[0] > 5 > heights[1]


def test_a_line_looks_alike_in_all_panels_and_unlike_the_others():
    lines = dict.fromkeys(["as they are", "equalized", "grey", "noisy", "blurred"], CURVE)
    both = plots.persistence({"patches": lines, "pooled first": {"grey": CURVE}}, {}, "side", 0.2).figure.axes
    looks = [[(line[0].get_color(), line[0].get_marker()) for line in ax.containers] for ax in both]
    assert len({colour for colour, _ in looks[0]}) == len({marker for _, marker in looks[0]}) == 5
    assert looks[1] == [looks[0][2]]


def test_a_band_is_enlarged_pixel_by_pixel():
    large, small = pixels(8, 8), pixels(2, 2)
    sheet = plots.bands({"real": {"low-pass": [large, small]}}).figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(sheet[:8, :8], large)
    np.testing.assert_array_equal(sheet[:8, 10:18], np.kron(small, np.ones((4, 4, 1), np.uint8)))


def test_a_ring_lies_around_the_pixel_of_its_frequency():
    values = np.zeros((16, 16))
    values[8, 0] = 10  # half a cycle a pixel across, to the left
    ax = plots.spectrum_maps({"progan": values}, "real", [2]).figure.axes[0]
    image, rings = ax.images[0], ax.lines[0]
    left, right, bottom, top = image.get_extent()
    cells = {
        (int((y - top) / (bottom - top) * 16), int((x - left) / (right - left) * 16))
        for x, y in zip(rings.get_xdata(), rings.get_ydata(), strict=True)
    }
    assert cells == {(0, 0), (0, 8), (8, 0)}
    assert image.get_array()[8, 0] == 10


def test_large_areas_of_a_map_bear_the_letter_of_their_source():
    found = np.full((16, 16), 2)
    found[:, 9:] = 4
    found[0, 0] = 1  # too small for a letter
    figure = plots.patch_maps(pixels(1, 64, 64), [found], ["a"], NAMES).figure
    letters = {text.get_text(): text.get_position() for text in figure.axes[4].texts}
    assert letters.keys() == {"C", "E"}
    assert letters["C"][0] < 36 < letters["E"][0]
    assert [text.get_text()[0] for text in figure.legends[0].get_texts()] == list("ABCDE")


def test_patches_are_cut_from_the_middle():
    image = pixels(16, 16)
    axes = plots.patch_sizes({"real": image}, [4, 10]).figure.axes
    np.testing.assert_array_equal(axes[1].images[0].get_array(), image[3:13, 3:13])
    np.testing.assert_array_equal(axes[2].images[0].get_array(), image[6:10, 6:10])


def test_a_histogram_adds_up_to_all_pixels():
    ax = plots.histograms({"a": {"real": pixels(2, 8, 8), "progan": pixels(3, 8, 8)}}).figure.axes[0]
    for line in ax.lines:
        assert np.sum(line.get_ydata()) == pytest.approx(100)


def test_tiles_are_numbered_by_their_split():
    ax = plots.tile_map([("A cat", pixels(32, 32), TILES)]).figure.axes[0]
    assert [text.get_text() for text in ax.texts] == [str(SPLITS.index(tile[0]) + 1) for tile in TILES]
    assert [patch.get_xy() for patch in ax.patches] == [(tile[2] + 2, tile[1] + 2) for tile in TILES]


def lightness(colour):
    """CIE L* of an sRGB colour, by the formulas."""
    values = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return 116 * luminance ** (1 / 3) - 16 if luminance > (6 / 29) ** 3 else luminance * (29 / 3) ** 3


def test_the_colours_of_five_sources_can_be_told_apart_in_grey():
    assert lightness("#ffffff") == pytest.approx(100)
    for one, other in itertools.combinations(style.PALETTE[:5], 2):
        assert abs(lightness(one) - lightness(other)) > 8, (one, other)
    assert lightness(style.PALETTE[0]) < 25  # the first, "real", is the darkest
    assert len(style.MARKERS) == len(set(style.MARKERS)) == len(style.PALETTE)


def test_signs_can_be_told_in_grey():
    colours = style.signed(2)["cmap"]
    steps = [lightness(to_hex(colours(value))) for value in np.linspace(0, 1, 33)]  # from -2 to 2
    assert min(np.diff(steps)) > 1  # CIE: a difference of 1 can just be seen
    red, green, blue, _ = colours(0.5)
    assert max(red, green, blue) - min(red, green, blue) < 0.02  # 0 is grey


def test_a_stretched_fingerprint_uses_the_whole_range_and_keeps_its_shape():
    faint = 1e-6 * FLOATS + 5
    shown = stretch(faint)
    assert shown.dtype == np.uint8
    assert {shown.min(), shown.max()} == {0, 255}
    middle = shown.reshape(5, -1).mean(1)
    assert np.abs(middle - 127.5).max() < 3
    assert all(np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99 for a, b in zip(shown, FLOATS, strict=True))
    assert np.ptp(stretch(np.zeros((1, 4, 4, 3)))) == 0


def test_residuals_stand_beside_their_images():
    images, reconstructions, fingerprints = pixels(2, 16, 16), RANDOM.uniform(-1, 1, (2, 16, 16, 3)), FLOATS[:2]
    shown = plots.residuals({"real": (images, reconstructions, fingerprints)}).figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown[:16, 60:76], images[1])
    np.testing.assert_allclose(shown[:16, 18:34], 127.5 * (reconstructions[0] + 1), atol=0.51)
    np.testing.assert_array_equal(shown[:16, 96:112], stretch(fingerprints)[1])


def test_accuracies_by_strength_stand_where_they_are_and_the_range_is_shaded():
    curves = {"jpeg": ("quality", (10, 40), {"network": STRENGTHS[::-1]})}  # the strongest last: 50, 10, 0
    ax = plots.against_strength(curves, 0.2).figure.axes[0]
    (line,) = [line for line in ax.lines if line.get_marker() in style.MARKERS]
    np.testing.assert_allclose(line.get_xydata(), [[0, 25], [1, 50], [2, 90]])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["50", "10", "0"]
    (span,) = ax.patches
    np.testing.assert_allclose([span.get_x(), span.get_x() + span.get_width()], [0.25 - 0.06, 1 + 0.06])


@pytest.mark.parametrize("scale", [1e-6, 0.04, 60.0])
def test_the_share_of_fine_power_does_not_depend_on_the_scale(scale):
    """White noise has as much in the upper half as it has frequencies, a coarse pattern nothing, at any size."""
    noise = np.random.default_rng(0).normal(size=(2, 64, 64, 1)).repeat(3, -1)
    coarse = np.fft.fftshift(np.hypot(*np.meshgrid(*[np.fft.fftfreq(64)] * 2))) < 0.2
    spectrum = np.fft.fftshift(np.fft.fft2(noise[1, ..., 0])) * coarse
    noise[1] = np.fft.ifft2(np.fft.ifftshift(spectrum)).real[..., None]
    alt = plots.model_fingerprints({"x": scale * noise}, ["white", "coarse"]).alt
    white, smooth = (int(re.search(rf"{name} (\d+) %", alt)[1]) for name in ("white", "coarse"))
    assert white == pytest.approx(100 - 100 * np.pi / 16, abs=2)
    assert smooth == 0


def test_distances_have_bars_as_long_as_their_errors():
    found = {"a": {"frechet": 2.0, "kernel": 0.1, "errors": {"frechet": 0.5}}, "b": {"frechet": 3.0, "kernel": 0.2}}
    axes = plots.distances(found, {"frechet": 1.0, "kernel": 0.05}).figure.axes
    bars = [[segment[:, 0] for line in ax.collections for segment in line.get_segments()] for ax in axes]
    np.testing.assert_allclose(bars[0], [[1.5, 2.5], [3.0, 3.0]])
    assert not bars[1]


def test_an_axis_begins_near_results_that_are_all_high_and_says_where_chance_is():
    high, mixed = [("network", "grey", 0.97, (0.96, 0.98))], ROWS
    near, whole = (plots.accuracies(rows, 0.2).figure.axes[0] for rows in (high, mixed))
    assert near.get_xlim()[0] == 95
    assert "chance, 20 %" in " ".join(text.get_text() for text in near.texts)
    assert whole.get_xlim()[0] == 0
    low_interval = plots.accuracies([("network", "grey", 0.97, (0.81, 0.98))], 0.2).figure.axes[0]
    assert low_interval.get_xlim()[0] == 80  # no interval is cut
    curves = {"": {"grey": {1: (0.99, (0.97, 1.0)), 2: (0.95, (0.93, 0.97))}}}
    assert plots.persistence(curves, {}, "side", 0.2).figure.axes[0].get_ylim()[0] == 90
    assert plots.persistence({"": {"grey": CURVE}}, {}, "side", 0.2).figure.axes[0].get_ylim()[0] == 0


def test_chance_is_marked_in_the_row_for_which_it_is():
    rows = [(name, "grey", 0.5, (0.4, 0.6)) for name in ("ten", "two")]
    plot = plots.accuracies(rows, {"ten": 0.1, "two": 0.5})
    (marks,) = [some for some in plot.figure.axes[0].collections if some.get_linestyle() != [(0.0, None)]]
    assert [segment[0, 0] for segment in marks.get_segments()] == [10, 50]
    assert "Chance: 10 %, 50 %" in plot.alt


def test_no_two_of_many_sources_share_colour_and_marker():
    looks = {(style.colour_of(k), style.marker_of(k)) for k in range(20)}
    assert len(looks) == 20


def test_long_titles_and_near_moments_can_be_read():
    tiles = [("Cables of a bridge over an estuary, seen from below", pixels(48, 32), TILES[:1])] * 4
    figure = plots.tile_map(tiles).figure
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    titles = [
        text.get_window_extent() for ax in figure.axes for text in ax.findobj(Text) if "Cables" in text.get_text()
    ]
    assert len(titles) == 4
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(titles))
    assert titles[-1].x1 <= figure.bbox.x1
    growth = plots.growth({"progan": ([96, 1536, 2400], pixels(3, 4, 16, 16))}).figure.axes[0]
    assert [text.get_text() for text in growth.texts] == ["96", "1.54k", "2.4k"]


def test_near_sources_can_be_seen_in_a_tree_with_far_ones():
    apart = np.array([[0, 1, 100], [1, 0, 100], [100, 100, 0.0]])
    ax = plots.dendrograms({"a": apart}, ("x", "y", "z"), ["distance"]).figure.axes[0]
    assert ax.get_xscale() == "log"
    assert "logarithmic" in ax.get_xlabel()
    assert sorted(max(line.get_xdata()) for line in ax.lines) == [1, 100]
