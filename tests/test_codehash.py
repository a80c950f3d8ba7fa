"""What an edit costs. The package of these tests is read, never imported."""

import pytest

from fingerprintlib import codehash
from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.attribution.training import fit
from fingerprintlib.attribution.visualizer import Visualizer
from fingerprintlib.book.chapters import Book
from fingerprintlib.codehash import code_of, code_of_cells, same_meaning, versions
from fingerprintlib.gans.sngan import SNGAN
from fingerprintlib.gans.training import _Run
from fingerprintlib.zoo.generators import GeneratorSource

P = "fingerprintlib"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the same name; returns a function that writes one of its files."""
    monkeypatch.setattr(codehash, "ROOT", tmp_path)

    def write(path, source=""):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
        for cached in (codehash._module, codehash._node, codehash._own_hash):
            cached.cache_clear()

    write("__init__.py")
    return write


@pytest.fixture
def edited(package):
    """Whether an edit of module `a` changes what `entry` there means."""

    def edited(before, after):
        hashes = []
        for source in (before, after):
            package("a.py", source)
            hashes.append(reached(f"{P}.a:entry"))
        return hashes[0] != hashes[1]

    return edited


def reached(*places):
    return codehash._told(codehash._Reached.by(*places))


WHOLE = '''"""A module."""
import numpy as np

SIZE = 3  # pixels
OTHER = 4


def entry(x: int) -> int:
    """What it does."""
    if x > SIZE:
        raise ValueError(f"{x} is too large.")
    return helper(x)


def helper(x):
    return np.abs(x)


def stranger(x):
    return OTHER * x


class Unused:
    """Nobody names it."""
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another word."""'),
        ('"""What it does."""', '"""What it\n    really does."""'),
        ('    """What it does."""\n', ""),
        ("  # pixels", "  # the side"),
        ("return np.abs(x)", "return np.abs(  # of one\n        x)"),
        ("x: int) -> int", "x: float) -> float"),
        ("is too large.", "is more than there are."),
        ("OTHER * x", "2 * OTHER * x"),
        ("OTHER = 4", "OTHER = 5"),
        ("    raise", "    \n    \n        raise".replace("    \n    \n    ", "")),
        ("def stranger", "def unknown"),
        ("import numpy as np", "import numpy as np\nfrom collections import Counter"),
    ],
)
def test_what_computes_nothing_here_costs_nothing(edited, old, new):
    assert old in WHOLE
    assert not edited(WHOLE, WHOLE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SIZE = 3", "SIZE = 4"),
        ("x > SIZE", "x >= SIZE"),
        ("return np.abs(x)", "return np.abs(x) + 0"),
        ("np.abs(x)", "np.fabs(x)"),
        ("raise ValueError", "raise TypeError"),
        ("def helper(x)", "def helper(x, y=1)"),
        ("import numpy as np", "import cupy as np"),
        ("import numpy as np", "import math\nfrom numpy import linalg as np"),
        ("SIZE = 3", "SIZE = 3\nSIZE += 1"),
        ("SIZE = 3", "SIZE = 3\nnp.seterr(all='raise')"),
    ],
)
def test_what_computes_counts(edited, old, new):
    assert old in WHOLE
    assert edited(WHOLE, WHOLE.replace(old, new))


@pytest.mark.parametrize(
    "source",
    [
        "from .b import f\ndef entry():\n    return f()",
        "from . import b\ndef entry():\n    return b.f()",
        "from fingerprintlib import b as c\ndef entry():\n    return c.f()",
        "import fingerprintlib.b as c\ndef entry():\n    return c.f()",
        "import fingerprintlib.b\ndef entry():\n    return fingerprintlib.b.f()",
        "def entry():\n    from .b import f as g\n    return g()",
        "from . import b\ndef entry():\n    return getattr(b, 'f')()",
        "from .b import f\nTABLE = {'f': f}\ndef entry():\n    return TABLE['f']()",
        "from .b import f\nclass entry:\n    def method(self):\n        return [f() for _ in self]",
        "from .b import f\n@f\ndef entry():\n    pass",
        "from .b import f\ndef entry(x=f()):\n    pass",
        "from .d import f\ndef entry():\n    return f()",  # which has it from b
        "try:\n    from .b import f\nexcept ImportError:\n    f = None\ndef entry():\n    return f()",
    ],
)
def test_however_a_function_is_named_it_is_found(package, source):
    package("d.py", "from .b import f")
    package("a.py", source)
    package("b.py", "def f():\n    return g()\ndef g():\n    return 1\ndef h():\n    return 1")
    before = reached(f"{P}.a:entry")
    package("b.py", "def f():\n    return g()\ndef g():\n    return 2\ndef h():\n    return 1")
    assert reached(f"{P}.a:entry") != before


def test_of_another_module_only_what_is_named_counts(package):
    package("a.py", "from .b import f\ndef entry():\n    return f()")
    package("b.py", "def f():\n    return 1\ndef h():\n    return 1")
    before = reached(f"{P}.a:entry")
    package("b.py", "from .c import x\ndef f():\n    return 1\ndef h():\n    return 2")
    package("c.py", "x = 1")
    assert reached(f"{P}.a:entry") == before
    package("b.py", "print('hello')\ndef f():\n    return 1\ndef h():\n    return 1")  # runs whatever is asked
    assert reached(f"{P}.a:entry") != before


def test_code_that_moves_means_the_same_and_another_of_that_name_does_not(package):
    package("a.py", "from .b import f\nfrom .c import f as other\ndef entry():\n    return f() - other()")
    package("b.py", "def f():\n    return 1")
    package("c.py", "def f():\n    return 2")
    before = reached(f"{P}.a:entry")
    package("a.py", "from .b import f as other\nfrom .c import f\ndef entry():\n    return f() - other()")
    assert reached(f"{P}.a:entry") != before
    package("deep/__init__.py")
    package("deep/a.py", "from ..b import f\nfrom .e import f as other\ndef entry():\n    return f() - other()")
    package("deep/e.py", "def f():\n    return 2")
    assert reached(f"{P}.deep.a:entry") == before


def test_circles_end_and_what_is_not_there_is_named(package):
    package("a.py", "from .b import f\ndef entry():\n    return f()")
    package("b.py", "from . import a\ndef f():\n    return a.entry()")
    assert reached(f"{P}.a:entry") == reached(f"{P}.b:f")
    with pytest.raises(ValueError, match=r"no module 'fingerprintlib\.nonesuch'"):
        reached(f"{P}.nonesuch")
    with pytest.raises(ValueError, match=r"fingerprintlib\.a defines no 'f'"):
        reached(f"{P}.a:f")


def test_the_packages_that_are_reached_count_and_no_others(package):
    package(
        "a.py", "import pywt\nimport sklearn.svm\ndef entry():\n    return pywt.dwt2\ndef f():\n    return sklearn.svm"
    )
    assert {"PyWavelets", "numpy"} <= reached(f"{P}.a:entry")["versions"].keys()
    assert "scikit-learn" not in reached(f"{P}.a:entry")["versions"]
    assert {"scikit-learn", "scipy", "numpy"} <= reached(f"{P}.a:f")["versions"].keys()


def test_versions_are_of_what_is_installed_and_computes():
    assert versions(["json", "tqdm"]) == {}
    assert "lightning" not in versions(["lightning_fabric", "lightning"])  # one of the two is installed
    assert {"torch", "lightning-fabric"} <= versions(["lightning_fabric"]).keys()


# --- cells --------------------------------------------------------------------------------------


def test_cells_are_one_piece_of_code(package):
    package("b.py", "def f():\n    return 1\ndef h():\n    return 1")
    cells = ["from fingerprintlib import b", "# a comment\nx = b.f()"]
    before = code_of_cells(cells)
    assert code_of_cells([cells[0], "x = b.f()  # another"]) == before
    assert code_of_cells([cells[0], "x = b.f() + 1"]) != before
    assert code_of_cells(["x = 1", "print(x)", "x = 2"]) != code_of_cells(["x = 1", "x = 2", "print(x)"])
    package("b.py", "def f():\n    return 1\ndef h():\n    return 2")
    assert code_of_cells(cells) == before
    package("b.py", "def f():\n    return 2\ndef h():\n    return 2")
    assert code_of_cells(cells) != before


@pytest.mark.parametrize("shown", ["b.f", "TABLE['f']", "b.Loss.value"])
def test_code_that_a_page_shows_counts_with_its_comments(package, shown):
    source = "def f():\n    return 1{}\nTABLE = {{'f': f}}\nclass Loss:\n    def value(self):\n        return 1{}\n"
    package("b.py", source.format("", ""))
    cells = ["from fingerprintlib import b\nfrom fingerprintlib.b import TABLE", "b.f(), TABLE, b.Loss"]
    plain, told = code_of_cells(cells), code_of_cells([*cells, f"page.code({shown})"])
    package("b.py", source.format("  # one", "  # one"))
    assert code_of_cells(cells) == plain
    assert code_of_cells([*cells, f"page.code({shown})"]) != told


def test_same_meaning():
    assert same_meaning("x = 1  # one", "x = (1)")
    assert not same_meaning("x = 1", "x = 2")
    assert same_meaning("%time x", "%time x")
    assert not same_meaning("%time x", "%time y")


# --- of the real package ------------------------------------------------------------------------


def definitions(*things):
    reached = codehash._Reached.by(*(thing if isinstance(thing, str) else codehash._place(thing) for thing in things))
    return {place for place in reached.seen if place[1]}


def names(*things):
    return {name for _, name in definitions(*things)}


def test_an_attributor_depends_on_its_network_and_the_loop_and_little_else():
    found = names(*Attributor.code)
    assert {"AttributionNetwork", "fit", "EqualizedConv2d", "step_generator", "low_pass"} <= found
    assert not {"Attributor", "Report", "ProGAN", "VisualizationNetwork", "Page"} & found
    assert set(code_of(*Attributor.code)["versions"]) == {"lightning-fabric", "numpy", "torch"}


def test_editing_a_gan_makes_no_visualizer_stale():
    found = definitions(*Visualizer.code)
    mine = {name for module, name in found if ".gans." in module}
    assert {"Discriminator", "critic_loss", "gradient_penalty"} <= mine  # its critic is ProGAN's
    assert not {"ProGAN", "Generator", "SNGAN", "CramerGAN", "MMDGAN", "Flow", "VAE"} & mine


def test_a_generator_depends_on_its_own_gan_alone():
    found = names(_Run, SNGAN)
    assert {"SNGAN", "GAN", "step_generator"} <= found
    assert not {"ProGAN", "CramerGAN", "MMDGAN", "Flow", "VAE"} & found


def test_a_corpus_depends_on_all_that_can_sample():
    assert {"sample", "ProGAN", "SNGAN", "MMDGAN", "quantize"} <= names(GeneratorSource.__module__)


@pytest.mark.parametrize(
    ("package", "stale"),
    [
        ("PyWavelets", {"baselines", "fingerprints", "attacks"}),
        ("torchvision", {"attacks"}),
        ("matplotlib", None),
    ],
)
def test_another_version_of_a_package_reruns_the_chapters_that_use_it(monkeypatch, package, stale):
    names = ("real-images", "baselines", "fingerprints", "attacks", "claims")
    before = {name: Book().chapter(name).fingerprint({}) for name in names}
    installed = codehash.metadata.version
    monkeypatch.setattr(codehash.metadata, "version", lambda name: "0" if name == package else installed(name))
    after = {name: Book().chapter(name).fingerprint({}) for name in names}
    assert {name for name in names if before[name] != after[name]} == (stale or set(names))


def test_the_loop_counts_for_what_it_calls():
    assert {"evaluate", "batch_indices", "update_ema", "CrossEntropy"} <= names(fit)
