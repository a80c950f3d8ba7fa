"""What JupyterLab is told in an environment, so that it shows chapters as their pages: ``python -m`` of this module.

``make lab`` does this before it starts JupyterLab, Binder after it made its environment. All of it lies in the
environment and goes with it, but for the kernel: that one is registered for the user, so that other JupyterLabs and
editors offer it too (``jupyter kernelspec remove gan-fingerprints`` takes it away).
"""

import json
import shutil
import sys
from pathlib import Path

from ipykernel.kernelspec import install

from ..provenance import write_json

NAME, TITLE = "gan-fingerprints", "GAN Fingerprints"
START, CONTENTS = "notebook:book/intro.md", "@jupyterlab/toc:plugin"  # as JupyterLab's layouts name them

#: JupyterLab as it opens: the first page, and beside it the contents of whatever page is open.
WORKSPACE = {
    "metadata": {"id": NAME},
    "data": {
        "layout-restorer:data": {
            "main": {"dock": {"type": "tab-area", "currentIndex": 0, "widgets": [START]}, "current": START},
            "left": {
                "collapsed": False,
                "visible": True,
                "current": CONTENTS,
                "widgets": ["filebrowser", "running-sessions", CONTENTS],
            },
            "relativeSizes": [0.22, 0.78, 0],
        },
        START: {"data": {"path": "book/intro.md", "factory": "Jupytext Notebook"}},
    },
}


def set_up(prefix: Path, *, kernel: bool = True) -> None:
    """Write JupyterLab's settings, the server's, and the layout it opens with; register the kernel.

    Args:
        prefix: of the environment, as in ``sys.prefix``.
        kernel: whether to register it, for the user who calls this.
    """
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    lab = prefix / "share" / "jupyter" / "lab"
    (lab / "settings").mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("overrides.json"), lab / "settings")
    WorkspacesManager(str(lab / "workspaces")).save(NAME, json.dumps(WORKSPACE))
    # Jupyter reads this file of its own accord; what else somebody put there stays.
    path = prefix / "etc" / "jupyter" / "jupyter_server_config.json"
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    told.setdefault("ServerApp", {})["contents_manager_class"] = "fingerprintlib.book.lab.Contents"
    told.setdefault("LabApp", {}).update(default_url=f"/lab/workspaces/{NAME}", workspaces_dir=str(lab / "workspaces"))
    write_json(path, told)
    if kernel:
        install(user=True, kernel_name=NAME, display_name=TITLE, env={"OMP_WAIT_POLICY": "passive"})  # as in `cli`


if __name__ == "__main__":
    set_up(Path(sys.prefix))
