"""The profile `faces`: its first chapter, on a tiny archive of LFW's structure."""

import json
from dataclasses import replace

from fingerprintlib.book.chapters import Book
from fingerprintlib.book.engine import run_chapter
from fingerprintlib.data.fetching import fetch

from ..archives import MAKERS, lfw, offer


def test_faces_is_quick_but_for_the_photographs_and_who_trains():
    book = Book()
    quick, faces = ({job.chapter.name: job.values for job in book.plan(name)} for name in ("quick", "faces"))
    turned = {
        (name, knob): value
        for name, mine in faces.items()
        for knob, value in mine.items()
        if quick[name][knob] != value
    }
    assert turned.pop(("real-images", "dataset")) == "lfw"
    assert faces["real-images"]["resolution"] == 64
    assert turned.pop(("zoo", "generators")) == "trained"
    # No network that comes with the book has seen a face.
    assert {knob for _, knob in turned} == {"networks"}
    assert set(turned.values()) == {"trained"}
    assert len(turned) == sum("networks" in mine for mine in faces.values())


def test_who_trains_generators_trains_every_network():
    trains = {
        profile: {j.chapter.name: j.values for j in Book().plan(profile)} for profile in ("full", "faces", "paper")
    }
    for values in (some for some in trains.values() if some["zoo"]["generators"] == "trained"):
        assert {mine["networks"] for mine in values.values() if "networks" in mine} == {"trained"}
    assert trains["paper"]["zoo"]["generators"] == "trained"


def test_the_first_chapter_runs_on_faces(shelf, server, monkeypatch, tmp_path):
    monkeypatch.setitem(MAKERS, "lfw", lambda patch: lfw(patch, people=60))
    offer(server, "lfw", monkeypatch)
    fetch("lfw")
    monkeypatch.setenv("FINGERPRINTS_QUIET", "1")
    book = Book()
    (job,) = (job for job in book.plan("faces") if job.chapter.name == "real-images")
    run_chapter(book, replace(job, values=job.values | {"shown": 10, "probe_images": 50}), "faces", tmp_path / "build")
    made = json.loads((tmp_path / "build" / "data.json").read_text())
    assert "lfw" in json.dumps(made)
    found = json.loads((tmp_path / "build" / "metrics" / "real-images.json").read_text())["metrics"]
    assert found["groups_in_two_splits"] == 0
    assert sum(found[f"distinct_{split}"] for split in ("gan", "train", "validation", "test")) == 120
