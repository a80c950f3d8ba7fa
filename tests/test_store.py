"""What several processes need at once is made once, whatever happens to the one that makes it. With real processes."""

import json
import multiprocessing
import os
import signal
import socket
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from fingerprintlib import store
from fingerprintlib.attacks import immunization
from fingerprintlib.attacks.immunization import immunize
from fingerprintlib.attacks.perturbations import NOISE
from fingerprintlib.attribution import attributor as attribution
from fingerprintlib.attribution.attributor import Attributor
from fingerprintlib.book.chapters import Chapter
from fingerprintlib.book.timings import record_run
from fingerprintlib.data.building import build_corpus
from fingerprintlib.provenance import write_json
from fingerprintlib.runtime import make_fabric
from fingerprintlib.store import get_or_make, put_in_place, trained, unfinished
from fingerprintlib.zoo import generators
from fingerprintlib.zoo.generators import load_or_train

from .attribution.test_attributor import Toy

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
CONTEXT = multiprocessing.get_context("fork") if hasattr(os, "fork") else None


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")


def note(path, line):
    """Append a line, whole whoever else does."""
    with open(path, "a") as file:
        file.write(f"{line}\n")


def lines(path):
    return path.read_text().split() if path.exists() else []


def wait_for(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def _run(results, target, *arguments):
    try:
        results.put(target(*arguments))
    except Exception as error:
        results.put(error)


@contextmanager
def processes(count, target, *arguments, context=CONTEXT):
    """So many at once: each calls ``target(number, *arguments)`` and hands on what comes out."""
    results = context.Queue()
    started = [context.Process(target=_run, args=(results, target, number, *arguments)) for number in range(count)]
    for process in started:
        process.start()
    try:
        yield started, lambda: results.get(timeout=120)
    finally:
        for process in started:
            process.kill()
            process.join()


def get_thing(number, folder, seconds=0.3, failing=()):
    """A thing that takes a while to make, with a note of everyone who began to."""

    def make():
        note(folder / "began", number)
        (folder / "unfinished").write_text("")
        time.sleep(seconds)
        if len(lines(folder / "began")) in failing:
            raise RuntimeError("It failed.")
        (folder / "unfinished").write_text(f"made by {number}")
        (folder / "unfinished").rename(folder / "thing")
        return f"made by {number}"

    thing = folder / "thing"
    return get_or_make(thing, thing.exists, thing.read_text, make)


def test_of_several_that_come_at_once_one_makes_it_and_the_others_say_that_they_wait(tmp_path, capfd):
    with processes(4, get_thing, tmp_path) as (_, result):
        found = {result() for _ in range(4)}
    (first,) = lines(tmp_path / "began")
    assert found == {f"made by {first}"}
    said = capfd.readouterr().err
    assert said.count(f"{tmp_path / 'thing'} is being made by another process: waiting for it.\n") == 3
    assert sorted(os.listdir(tmp_path)) == ["began", "thing"]


def test_one_that_is_killed_is_followed_by_one_that_waits(tmp_path):
    with processes(1, get_thing, tmp_path, 60) as ((killed,), _):
        wait_for(lambda: lines(tmp_path / "began"))
        with processes(2, get_thing, tmp_path) as (_, result):
            time.sleep(0.3)
            assert len(lines(tmp_path / "began")) == 1  # they wait
            os.kill(killed.pid, signal.SIGKILL)
            found = {result(), result()}
    assert len(lines(tmp_path / "began")) == 2
    assert len(found) == 1
    assert found < {"made by 0", "made by 1"}


def test_what_a_killed_process_left_does_not_block(tmp_path):
    with processes(1, get_thing, tmp_path, 60) as ((killed,), _):
        wait_for(lambda: lines(tmp_path / "began"))
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
    assert [name for name in os.listdir(tmp_path) if name.endswith(".lock")]
    assert get_thing(7, tmp_path) == "made by 7"
    assert sorted(os.listdir(tmp_path)) == ["began", "thing"]


def test_one_that_fails_is_followed_by_one_that_waits(tmp_path):
    with processes(3, get_thing, tmp_path, 0.2, [1]) as (_, result):
        found = [str(result()) for _ in range(3)]
    assert len(lines(tmp_path / "began")) == 2
    assert found.count("It failed.") == 1
    assert len(set(found)) == 2


def test_what_is_there_is_opened_without_a_lock(tmp_path, monkeypatch):
    get_thing(0, tmp_path)
    monkeypatch.setattr(store.filelock, "FileLock", None)  # as in a folder that is read-only
    assert get_thing(1, tmp_path) == "made by 0"


def hold(number, folder):
    """Whether nobody else was where it was, fifty times."""
    alone = True
    for _ in range(50):
        with store.held(folder / "thing"):
            try:
                os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                alone = False
            else:
                time.sleep(0.001)
                os.unlink(folder / "inside")
    return alone


def test_two_never_hold_the_lock_though_its_file_is_removed_each_time(tmp_path, monkeypatch):
    taken = store.filelock.FileLock
    monkeypatch.setattr(store.filelock, "FileLock", lambda path, **_: taken(path, poll_interval=0.001))
    with processes(3, hold, tmp_path) as (_, result):
        assert [result() for _ in range(3)] == [True] * 3


# --- a run of several processes -----------------------------------------------------------------


def get_together(rank, folder, shared):
    """As two processes of `torchrun`: both have to make it, for each waits for the other meanwhile."""
    os.environ.update(shared, RANK=str(rank), LOCAL_RANK=str(rank))
    fabric = make_fabric("cpu", "32-true")

    def make():
        note(folder / "began", rank)
        if fabric.is_global_zero:
            (folder / "thing").write_text("made by two")
        fabric.barrier()
        return "made by two"

    def is_there():
        assert fabric.is_global_zero, "the others have to go by its answer"
        return (folder / "thing").exists()

    return get_or_make(folder / "thing", is_there, (folder / "thing").read_text, make, fabric)


@pytest.mark.parametrize("made", ["before", "meanwhile", "not at all"])
def test_processes_of_one_run_wait_and_make_it_together(tmp_path, monkeypatch, capfd, made):
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {  # what torchrun sets
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
        **{"GROUP_RANK": "0", "NODE_RANK": "0", "TORCHELASTIC_RUN_ID": "test"},
    }
    if made == "before":
        (tmp_path / "thing").write_text("made by one")
    lock = store.filelock.FileLock(store._beside(tmp_path / "thing"))
    lock.acquire()
    said = ""
    with processes(2, get_together, tmp_path, shared) as (_, result):
        if made != "before":
            for _ in range(600):
                said += capfd.readouterr().err
                if "waiting for it" in said:
                    break
                time.sleep(0.05)
            time.sleep(0.5)  # several times their patience
            if made == "meanwhile":
                (tmp_path / "thing").write_text("made by one")
            lock.release()
        found = [result(), result()]
    lock.release()
    assert found == ["made by two" if made == "not at all" else "made by one"] * 2
    assert sorted(lines(tmp_path / "began")) == (["0", "1"] if made == "not at all" else [])
    assert said.count("waiting for it") == (made != "before")


# --- whoever makes things -----------------------------------------------------------------------


class Slow:
    """A source of a corpus that notes when it is asked."""

    def __init__(self, folder):
        self.folder = folder
        self.provenance = {"slow": 1}

    def images(self, split, start, count):
        note(self.folder / "began", start)
        time.sleep(0.2)
        return np.full((count, 8, 8, 3), 7, np.uint8)


def get_corpus(_, folder):
    return build_corpus(folder / "store" / "corpus", {"real": Slow(folder)}, {"train": 300}, 8).hash


def get_generator(_, folder):
    reals = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    settings = {"resolution": 32, "width": 4, "images": 16, "seed": 0, "batch": 8, "d_steps": 1}
    return load_or_train("mine", "sngan", reals, folder=folder / "store", **settings).hash


def get_attributor(_, folder):
    return Attributor.load_or_train(folder / "store", Toy(), steps=2, width=0.02).seconds


def get_immune(_, folder):
    return immunize(folder / "clean.safetensors", Toy(), NOISE, folder / "store", steps=2).seconds


def counted(number, get, folder):
    """Call it where every training begins with a note and a rest."""
    for module, name in ((generators, "train_gan"), (attribution, "fit"), (immunization, "fit")):
        setattr(module, name, noting(folder, getattr(module, name)))
    return get(number, folder)


def noting(folder, function):
    def call(*arguments, **options):
        note(folder / "began", os.getpid())
        time.sleep(0.2)
        return function(*arguments, **options)

    return call


@pytest.mark.parametrize("get", [get_corpus, get_generator, get_attributor, get_immune])
def test_whatever_is_trained_or_built_is_made_once(tmp_path, get):
    if get is get_immune:
        Attributor.load_or_train(tmp_path, Toy(), steps=1, width=0.02).save(tmp_path / "clean.safetensors")
    # Not by fork: torch refuses to train in a fork of a process that has exported a network.
    with processes(3, counted, get, tmp_path, context=multiprocessing.get_context("spawn")) as (_, result):
        found = {result() for _ in range(3)}
    assert len(found) == 1
    assert not isinstance(found.pop(), Exception)
    assert len(lines(tmp_path / "began")) == (2 if get is get_corpus else 1)  # a corpus of 300 images is asked twice
    left = os.listdir(tmp_path / "store")
    assert len(left) == (2 if get is get_generator else 1)
    assert not [name for name in left if name.endswith((".partial", ".training", ".lock"))]


# --- folders ------------------------------------------------------------------------------------


def filled(folder, text):
    folder.mkdir()
    (folder / "file").write_text(text)
    return folder


def test_a_folder_takes_the_place_of_another_behind_a_link_too(tmp_path):
    plain = filled(tmp_path / "plain", "old")
    away = filled(tmp_path / "away", "old")
    linked = tmp_path / "linked"
    linked.symlink_to(away)
    for path in (plain, linked, tmp_path / "none yet"):
        filled(unfinished(path), "new")
        put_in_place(path)
        assert (path / "file").read_text() == "new"
    assert linked.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["away", "linked", "none yet", "plain"]


def test_killed_between_the_renames_both_folders_are_whole(tmp_path, monkeypatch):
    path = filled(tmp_path / "pages", "old")
    filled(unfinished(path), "new")
    rename = os.replace

    def killed(old, new):
        if Path(old) == unfinished(path):
            raise KeyboardInterrupt
        rename(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            put_in_place(path)
    assert (tmp_path / "pages.old" / "file").read_text() == "old"
    put_in_place(path)
    assert (path / "file").read_text() == "new"
    assert os.listdir(tmp_path) == ["pages"]


# --- several, and what they cost ----------------------------------------------------------------


class Tried:
    """Something that learned."""

    def __init__(self, seconds):
        self.seconds = seconds


def learn(folder, name, seconds):
    """What takes `seconds` to train, as far as it says itself."""
    return trained(
        folder,
        name,
        {"seconds": seconds},
        train=lambda unfinished: unfinished.touch() or note(folder / "trained", name),
        save=lambda _, path: path.write_text(str(seconds)),
        load=lambda path: Tried(float(path.read_text())),
        fabric=make_fabric("cpu"),
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_several_come_back_by_their_keys_and_tell_what_they_saved(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(store, "REUSED", [5.0])
    calls = {("one", 1): {"name": "a", "seconds": 40}, "two": {"name": "b", "seconds": 8}}
    calls = {key: {"folder": tmp_path / "kept", **arguments} for key, arguments in calls.items()}
    found = store.get_all(learn, {"two": calls["two"]})
    assert store.REUSED == [5.0]
    found = store.get_all(learn, calls)
    assert {key: thing.seconds for key, thing in found.items()} == {("one", 1): 40, "two": 8}
    assert [5.0, 8 / threads] == store.REUSED  # side by side it would have taken half as long
    store.get_all(learn, calls)
    assert [5.0, 8 / threads, 40 / threads, 8 / threads] == store.REUSED
    assert sorted(lines(tmp_path / "kept" / "trained")) == ["a", "b"]
    assert not list((tmp_path / "kept").glob("*.training"))


def test_a_chapter_that_found_something_trained_keeps_its_cost_from_scratch(tmp_path):
    chapter = Chapter(tmp_path / "02-zoo.md")
    for saved, told in ((0.0, 10.0), (61.25, 71.2)):
        write_json(tmp_path / "costs" / "zoo.json", {"saved": saved, "memory": 5, "disk": 7})
        record_run(tmp_path, chapter, 10.0)
        timing = json.loads((tmp_path / "timings" / "zoo.json").read_text())
        assert timing == {"seconds": 10.0, "from_scratch": told, "memory": 5, "disk": 7}
