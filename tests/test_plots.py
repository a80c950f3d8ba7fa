import inspect
import itertools
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fingerprintlib import plots
from fingerprintlib.claims import Claim, Entry, Measurement
from fingerprintlib.metrics import FrechetRatio, Report
from fingerprintlib.notebook import Plot
from fingerprintlib.plots import style
from fingerprintlib.plots.fingerprints import stretch
from fingerprintlib.splits import SPLITS

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
FLOATS = RANDOM.normal(size=(5, 16, 16, 3))
BOUNDS = {"holds_above": 0.9, "fails_below": 0.55}
CLAIMS = [
    Entry(Claim("existence", "", "", 99.43), "a", Measurement("existence", 0.912, 0.90, 0.93, **BOUNDS)),
    Entry(Claim("unique-seed", "", ""), "a", Measurement("unique-seed", 0.415, 0.30, 0.52, **BOUNDS)),
    Entry(Claim("frechet-ratio", "", ""), "a", Measurement("frechet-ratio", 7, 6, 8, **BOUNDS, unit="ratio")),
    Entry(Claim("immunizable", "", "", 72.64), None, None),
]

# name: (function, arguments, what the alternative text must tell)
PLACES = np.stack([10.0 * (np.arange(60) % 6), np.arange(60) / 60], 1)  # a column a class
RATIO = FrechetRatio(100, (80.0, 84.0), (2.0, 2.1))
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
        ({name: ([0, 640, 12000], pixels(3, 8, 16, 16)) for name in NAMES[1:]}, 16),
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
        ["frechet: progan 1.00", "floor 0.50", "kernel: progan 0.00", "floor -0.01"],
    ),
    "scales": (
        plots.scales,
        ({name: {"colour": 1.1 + k, "3 px": 9.0} for k, name in enumerate(NAMES[1:])},),
        ["progan: colour 1.1, 3 px 9.0", *NAMES[2:]],
    ),
    "losses": (plots.losses, (dict.fromkeys(NAMES[1:], HISTORY),), [*NAMES[1:], "1.23", "-0.79"]),
    "losses, many": (plots.losses, ({f"gan {n}": HISTORY for n in range(6)},), ["gan 5 ends at 1.23"]),
    "accuracies": (plots.accuracies, (ROWS, 0.2), ["91.2 %", "63.4 %", "100.0 %", "Chance: 20 %", "equalized"]),
    "accuracies, many conditions": (
        plots.accuracies,
        ([("network", f"attack {n}", n / 10, (0.0, 1.0)) for n in range(8)], 0.2),
        ["attack 7: 70.0 %"],
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
    "patterns": (
        plots.patterns,
        ({name: RANDOM.normal(size=(32, 32, 3)) + WAVE for name in NAMES},),
        [*NAMES, "at (0, 0.25)"],
    ),
    "patterns, one": (plots.patterns, ({"real": RANDOM.normal(size=(16, 16, 3))},), ["real 10^"]),
    "radial_spectra": (
        plots.radial_spectra,
        ({name: 5 - np.arange(46.0) / 10 + k * np.log10(2) for k, name in enumerate(NAMES)}, 64),
        [*NAMES, "multiple of real: progan 2.00, sngan 4.00"],
    ),
    "radial_spectra, one": (plots.radial_spectra, ({"real": np.arange(24.0)}, 32), ["spectra of real"]),
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
        ({name: tuple(k * np.linspace(0, 1, 46) + n for n in (0, -1, 1)) for k, name in enumerate(NAMES)}, 64, "real"),
        ["less that of real", "mmdgan +4.0 dB at 0.7"],
    ),
    "spectral_differences, one": (
        plots.spectral_differences,
        ({"progan": (np.zeros(24),) * 3}, 32, "real"),
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
    "persistence": (
        plots.persistence,
        (CURVES, {"low-pass": {1: 99.43, 32: 26.58}, "residual": {2: 98.64}}, 0.2, "factor"),
        ["low-pass: 90.0 % at 1, 50.0 % at 4", "residual: 98.64 % at 2", "Accuracy by factor", "Chance: 20 %"],
    ),
    "persistence, many curves": (
        plots.persistence,
        (
            {f"patches, condition {n}": {3: (n / 10, (0.0, 1.0)), 128: (1.0, (0.9, 1.0))} for n in range(7)},
            {},
            0.2,
            "px",
        ),
        ["condition 6: 60.0 % at 3, 100.0 % at 128"],
    ),
    "persistence, one point": (plots.persistence, ({"x": {8: (0.5, (0.4, 0.6))}}, {}, 0.5, "side"), ["50.0 % at 8"]),
    "ledger": (plots.ledger, (CLAIMS,), ["existence", "91.2 %", "99.43 %", "holds", "unique-seed", "41.5 %", "fails"]),
    "ledger, nothing measured": (plots.ledger, ([],), ["No claim was measured"]),
}


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
    assert picture.shape[1] == int(style.WIDTH * style.STYLE["figure.dpi"])
    # Nothing is cut off at the edges, and no panel has shrunk away.
    width, height = plot.figure.bbox.size
    for ax in plot.figure.axes:
        assert ax.get_window_extent().height > 10
        box = ax.get_tightbbox(canvas.get_renderer())
        if box is not None:
            assert -1 <= box.x0 < box.x1 <= width + 1
            assert -1 <= box.y0 < box.y1 <= height + 1


def test_pictures_show_the_pixels_that_they_were_given():
    images = pixels(3, 16, 16)
    figure = plots.sheet({"real": images}, columns=3).figure
    shown = figure.axes[0].images[0].get_array()
    for index in range(3):
        np.testing.assert_array_equal(shown[:16, 18 * index : 18 * index + 16], images[index])


def test_accuracies_stand_where_they_are():
    ax = plots.accuracies(ROWS, 0.2).figure.axes[0]
    points = {
        (float(line.get_xdata()[0]), line.get_color())
        for line in ax.lines
        if line.get_marker() in style.MARKERS and len(line.get_xdata()) == 1
    }
    assert {x for x, _ in points} == {91.2, 63.4, 100.0}
    assert len({colour for _, colour in points}) == 2  # two conditions
    assert [label.get_text() for label in ax.get_yticklabels()] == ["attribution network", "colour histograms only"]


def test_a_confusion_matrix_is_in_per_cent_of_its_rows():
    ax = plots.confusions({"a": report((3, 1), (2, 2))}).figure.axes[0]
    np.testing.assert_allclose(ax.images[0].get_array(), [[75, 25], [50, 50]])
    assert [text.get_text() for text in ax.texts] == ["75", "25", "50", "50"]


def test_the_ledger_marks_the_papers_figure_only_where_there_is_one():
    ax = plots.ledger(CLAIMS).figure.axes[0]
    diamonds = [line for line in ax.lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in diamonds] == [(99.43, 0.0)]


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


def test_a_curve_goes_by_size_and_the_papers_diamonds_have_its_colour():
    paper = {"residual": {1: 99.0, 8: 92.9}, "another": {2: 10.0}}
    ax = plots.persistence(CURVES, paper, 0.2, "factor").figure.axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines["low-pass"].get_ydata()) == [90, 50]
    np.testing.assert_allclose(lines["low-pass"].get_xdata(), [1, 4], rtol=0.03)
    diamonds = lines["residual, the paper's"]
    assert (list(diamonds.get_xdata()), list(diamonds.get_ydata())) == ([1, 8], [99.0, 92.9])
    assert diamonds.get_color() == lines["residual"].get_color() != lines["low-pass"].get_color()
    assert lines["another, the paper's"].get_color() not in {line.get_color() for line in (diamonds, lines["low-pass"])}
    assert ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "4", "8"]
    assert sum(list(np.round(line.get_ydata(), 6)) == [45, 55] for line in ax.lines) == 1  # an interval


def test_a_histogram_adds_up_to_all_pixels():
    ax = plots.histograms({"a": {"real": pixels(2, 8, 8), "progan": pixels(3, 8, 8)}}).figure.axes[0]
    for line in ax.lines:
        assert np.sum(line.get_ydata()) == pytest.approx(100)


def test_tiles_are_numbered_by_their_split():
    ax = plots.tile_map([("A cat", pixels(32, 32), TILES)], columns=1).figure.axes[0]
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
    for one, other in itertools.combinations(plots.PALETTE[:5], 2):
        assert abs(lightness(one) - lightness(other)) > 8, (one, other)
    assert lightness(plots.PALETTE[0]) < 25  # the first, "real", is the darkest
    assert len(style.MARKERS) == len(set(style.MARKERS)) == len(plots.PALETTE)


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
    np.testing.assert_array_equal(shown[:16, 54:70], images[1])
    np.testing.assert_allclose(shown[:16, 18:34], 127.5 * (reconstructions[0] + 1), atol=0.51)
    np.testing.assert_array_equal(shown[:16, 90:106], stretch(fingerprints)[1])
