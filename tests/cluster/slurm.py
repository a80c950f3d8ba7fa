"""A Slurm cluster of this one machine, for as long as a command runs: to try what is meant for a real one.

    apt install slurm-wlm munge
    python -m tests.cluster.slurm fingerprints sweep CHAPTER -p NAME=1,2,3,4 -- --profile tests/cluster/snakemake

``slurm.conf`` and ``gres.conf`` beside this file say what it is like. It needs no rights, and leaves no process behind.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from string import Template

HERE = Path(__file__).parent
OPTIONS = ("--profile", str(HERE / "snakemake"))  # for Snakemake
START = 120  # seconds in which it is to be ready
END = 20  # seconds in which its jobs are to end


class Unavailable(Exception):
    """Slurm is not installed, or does not start here; says why."""


@contextmanager
def one_node() -> Iterator[dict[str, str]]:
    """A cluster that is ready for jobs; gives the environment for the commands that are to see it.

    Raises:
        Unavailable: there is none to be had here.
    """
    sbin = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
    daemons = {name: shutil.which(name, path=sbin) for name in ("munged", "slurmctld", "slurmd")}
    if missing := [name for name, path in {**daemons, "setpriv": shutil.which("setpriv")}.items() if not path]:
        raise Unavailable(f"{', '.join(missing)} not found: apt install slurm-wlm munge")
    with ExitStack() as stack:
        # Not pytest's own folder: the name of a socket has to be short, and munge wants it where all may look.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
        folder.chmod(0o755)
        environment = _configure(folder)

        def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
            # Should this process be killed, the kernel ends the daemon.
            command = ["setpriv", "--pdeathsig", "TERM", str(daemons[name]), *arguments]
            with open(folder / f"{name}.out", "wb") as sink:
                process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink)
            stack.callback(_end, process)
            return process

        files = [f"--{name}-file={folder / f'munge.{name}'}" for name in ("key", "pid", "log", "seed")]
        running = [
            start("munged", "--foreground", f"--socket={folder / 'munge.socket'}", *files),
            start("slurmctld", "-D", "-i"),
            start("slurmd", "-D", "-N", "localhost"),
        ]
        ready = ("sinfo", "--noheader", "--states=idle", "--partition=usual", "--format=%D")

        def ended() -> bool:
            return any(process.poll() is not None for process in running)

        if not _within(START, lambda: ended() or _say(environment, *ready) == "1") or ended():
            raise Unavailable(f"Slurm does not start here within {START} seconds: {_last_words(folder)}")
        stack.callback(_cancel_all, environment)
        yield environment


def _configure(folder: Path) -> dict[str, str]:
    """Fill a folder with what the daemons want to find there; returns the environment that leads to it."""
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    with closing(socket.socket()) as one, closing(socket.socket()) as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        ports = {"controller_port": one.getsockname()[1], "node_port": other.getsockname()[1]}
    filled = Template((HERE / "slurm.conf").read_text()).substitute(ports, folder=folder, user=getpass.getuser())
    configuration = folder / "slurm.conf"
    configuration.write_text(filled)
    shutil.copy(HERE / "gres.conf", folder)
    # Snakemake takes the variable from the `srun` within a job: on a real cluster, all lies in /etc/slurm.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    path = os.pathsep.join([str(srun.parent), os.environ["PATH"]])
    return {**os.environ, "SLURM_CONF": str(configuration), "PATH": path}


def _say(environment: dict[str, str], *command: str) -> str:
    """What a command prints; nothing if it fails."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait for it; returns whether it came true."""
    end = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return true


def _last_words(folder: Path) -> str:
    logs = [path for end in ("out", "log") for path in sorted(folder.glob(f"*.{end}"))]
    lines = [(path.name, path.read_text(errors="replace").splitlines()) for path in logs]
    return "; ".join(f"{name}: {said[-1]}" for name, said in lines if said) or "it says nothing"


def _cancel_all(environment: dict[str, str]) -> None:
    """Jobs are no children of the daemons, and would outlive them."""
    _say(environment, "scancel", "--user", getpass.getuser())
    _within(END, lambda: not _say(environment, "squeue", "--noheader"))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    try:
        with one_node() as found:
            status = subprocess.run(sys.argv[1:] or ["sinfo"], env=found, check=False).returncode
    except Unavailable as error:
        sys.exit(str(error))
    sys.exit(status)
