"""A Sphinx extension: the pages work from a folder, without a network and without a console error.

MathJax comes out of a Python package, and the scripts of sphinx-thebe, which would fetch a kernel's front end from the
network and declare the same constant twice, are left out. Only pages on which networks answer load what that takes.
"""

import importlib.util
import shutil
from pathlib import Path
from typing import Any


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("html-page-context", _add_networks)
    app.connect("html-page-context", _drop_thebe, priority=900)
    app.connect("build-finished", _copy_mathjax)
    # One more wherever pages come to need other scripts: pages of an older build are written anew.
    return {"version": "1", "env_version": 2, "parallel_read_safe": True, "parallel_write_safe": True}


def _add_networks(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if 'class="fp-try"' in context.get("body", ""):
        for name in ("jpeg.js", "pixels.js", "judge.js", "try.js"):  # which fetches the rest, as soon as it is in sight
            app.add_js_file(name, loading_method="defer")
        app.add_css_file("try.css")


def _drop_thebe(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context.get(kind, []) if not _is_thebe(file)]


def _is_thebe(file: Any) -> bool:
    """Whether a script or style sheet, perhaps one written into the page, belongs to sphinx-thebe."""
    return "thebe" in f"{getattr(file, 'filename', file)} {getattr(file, 'attributes', '')}".lower()


def _copy_mathjax(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        spec = importlib.util.find_spec("mathjax")
        if spec is None or not spec.submodule_search_locations:
            raise RuntimeError("MathJax is missing: install the package django-static-mathjax.")
        source = Path(spec.submodule_search_locations[0]) / "static" / "mathjax" / "es5"
        target = Path(app.outdir) / "_static" / "mathjax"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / "tex-svg.js", target / "tex-svg.js")
