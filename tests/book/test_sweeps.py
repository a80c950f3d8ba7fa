import csv
import html
import io
import json
import re
from dataclasses import replace

import nbformat
import numpy as np
import pandas
import pytest
from PIL import Image

from fingerprintlib.book import gallery, sweeps
from fingerprintlib.book.chapters import PROFILES, Book
from fingerprintlib.book.grids import MOST_POINTS, Grid, name_of
from fingerprintlib.book.sweeps import Estimate, Picture, Point, Sweep
from fingerprintlib.errors import FingerprintsError, UsageError

from ..conftest import example_sweep
from .test_player import Parsed

PAGE = """---
kernelspec: {name: python3, display_name: Python 3}
---
# A page

```{code-cell}
:tags: [parameters]

steps: int = 4  # how many [1..9000]
share: float = 0.5  # how much [0..1]
kind: str = "filter bank"  # which [filter bank, random network]
fast: bool = True  # whether [True, False]
words: str = ""  # said [text]
```

```{code-cell}
---
mystnb:
  figure:
    name: fig-all
    caption: All.
---
x = steps
```
"""


@pytest.fixture
def book(tmp_path):
    (tmp_path / "_config.yml").touch()
    (tmp_path / "book" / "profiles").mkdir(parents=True)
    (tmp_path / "book" / "01-page.md").write_text(PAGE)
    (tmp_path / "book" / "_toc.yml").write_text("root: intro\nchapters:\n- file: 01-page\n")
    for profile in PROFILES:
        (tmp_path / "book" / "profiles" / f"{profile}.yml").write_text("page: {share: 0.25}\n")
    return Book(tmp_path)


# --- the grid -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "name", "values"),
    [
        ("steps=1,20,300", "steps", [1, 20, 300]),
        ("steps=7", "steps", [7]),
        ("share=1, 1e-3 ,0", "share", [1.0, 0.001, 0.0]),
        ("kind=random network,filter bank", "kind", ["random network", "filter bank"]),
        ("fast=true,False", "fast", [True, False]),
        ('words="a, b",c=d', "words", ["a, b", "c=d"]),
    ],
)
def test_values_are_read_with_their_types_in_their_order(book, setting, name, values):
    grid = Grid.parse(book, "01-page", [setting])
    assert (grid.chapter, grid.values) == ("page", {name: values})
    assert [type(value) for value in grid.values[name]] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([], "Name a knob to turn: -p NAME=VALUE,VALUE. There is: steps, share, kind, fast, words."),
        (["stesp=1,2"], "Did you mean 'steps'?"),
        (["steps"], "'steps' is not of the form NAME=VALUE,VALUE"),
        (["steps="], "-p steps=: a value of steps is missing; it must be from 1 to 9000"),
        (["steps=1,,2"], "a value of steps is missing"),
        (["steps=1,2,"], "a value of steps is missing"),
        (["steps=1,9001"], "-p steps=1,9001: steps = 9001 is out of range; it must be from 1 to 9000"),
        (["steps=1,2.5"], "not of type int"),
        (["kind=inception"], "one of filter bank, random network"),
        (["share=1,1.0"], "share = 1.0 is given twice"),
        (["steps=1", "steps=2"], "steps is given twice; give all its values at once"),
        (["steps=" + ",".join(map(str, range(1, 502))), "fast=True,False"], f"1002 points; at most {MOST_POINTS}"),
    ],
)
def test_what_is_no_grid_is_refused(book, settings, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        Grid.parse(book, "page", settings)


def test_the_points_are_all_combinations_and_their_jobs_keep_the_rest(book):
    grid = Grid.parse(book, "page", ["steps=1,2", "fast=True,False"])
    assert grid.points == [{"steps": s, "fast": f} for s in (1, 2) for f in (True, False)]
    plan = book.plan("quick")
    jobs = grid.jobs(plan)
    assert [job.values for job in jobs] == [{**plan[0].values, **point} for point in grid.points]
    assert jobs[0].values["share"] == 0.25  # the profile's
    assert jobs[0].folder == "sweeps/page/fast+steps/fast-True+steps-1"
    assert jobs[0].outputs["metrics"] == f"{jobs[0].folder}/metrics/page.json"
    assert jobs[2].label == "point 3 of 4: steps = 2, fast = True"
    assert len({job.fingerprint for job in jobs}) == len({job.folder for job in jobs}) == 4
    # The same points again, whatever the order of the parameters and of the values.
    again = Grid.parse(book, "page", ["fast=False,True", "steps=3,2,1"]).jobs(plan)
    assert {(job.folder, job.fingerprint) for job in jobs} < {(job.folder, job.fingerprint) for job in again}


def test_a_value_that_is_the_profiles_is_the_chapters_own_run(book):
    plan = book.plan("quick")
    (job,) = Grid.parse(book, "page", ["share=0.25"]).jobs(plan)
    assert job.fingerprint == plan[0].fingerprint


def test_names_of_points_are_files_and_never_the_same():
    texts = ["a b", "a-b", "a/b", "a+b", "", "é", "x" * 300, "x" * 301, "folder:/a/b", "-1", "1", "1_b-2"]
    names = [name_of({"one": one, "two": two}) for one in texts for two in texts]
    assert len(set(names)) == len(texts) ** 2
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_.+-]{1,200}", name)
    assert name_of({"b": 0.25, "a": 1}) == "a-1+b-0.25"


# --- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "figure", "words"),
    [
        ("Ünwise", None, "small letters, digits and hyphens"),
        ("../up", None, "small letters, digits and hyphens"),
        (None, "fig-all", "add --publish NAME"),
        ("good", "fig-al", "Did you mean 'fig-all'?"),
    ],
)
def test_requests_that_could_only_fail_in_the_end(book, name, figure, words):
    grid = Grid.parse(book, "page", ["steps=1"])
    sweeps.check_request(book, grid, "good", "fig-all")
    with pytest.raises(UsageError, match=re.escape(words)):
        sweeps.check_request(book, grid, name, figure)


def test_a_page_is_not_for_a_hundred_points(book):
    grid = Grid.parse(book, "page", ["steps=" + ",".join(map(str, range(1, 101)))])
    sweeps.check_request(book, grid, None, None)
    with pytest.raises(UsageError, match="100 points are too many for a page"):
        sweeps.check_request(book, grid, "good", None)


# --- collecting ---------------------------------------------------------------------------------

CLAIM = {"claim": "existence", "value": 0.5, "low": 0.25, "high": 0.75, "unit": "%"}


def record(metrics, claims=(), device="cpu", shares=()):
    return {"metrics": metrics, "claims": list(claims), "device": device, "shares": list(shares)}


def test_numbers_and_their_bounds():
    metrics = {"a": 1, "a_low": 0.5, "a_high": 2.5, "b": 0.1 + 0.2, "b_low": 3, "word": "x"}
    assert sweeps.estimates_of(record(metrics, [CLAIM])) == {
        "metric.a": (1, 0.5, 2.5),
        "metric.b": (0.1 + 0.2, None, None),
        "metric.b_low": (3, None, None),
        "claim.existence": (0.5, 0.25, 0.75),
    }


def test_the_table_has_a_row_a_point_and_survives_csv(book, tmp_path):
    grid = Grid.parse(book, "page", ["steps=1,2", 'words="a, ""b""",c'])
    jobs = grid.jobs(book.plan("quick"))
    assert not sweeps.have_run(jobs, tmp_path)
    for number, job in enumerate(jobs):
        path = tmp_path / job.outputs["metrics"]
        path.parent.mkdir(parents=True)
        metrics = {"third": number / 3} if number != 1 else {"other": 7, "third": 1e-300}
        path.write_text(json.dumps(record(metrics, [CLAIM] if number else [], device=f"gpu {number % 2}")))
    assert sweeps.have_run(jobs, tmp_path)
    sweep = sweeps.collect(book, grid, jobs, tmp_path, "quick", 3, None)
    assert sweep.held == {"share": 0.25, "kind": "filter bank", "fast": True}
    made = sweep.provenance
    assert (made["profile"], made["cores"], made["device"]) == ("quick", 3, "gpu 0, gpu 1")
    sweeps.write_csv(sweep, tmp_path / "sweep.csv")

    with open(tmp_path / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    claim = "claim.existence"
    assert list(rows[0]) == ["steps", "words", "metric.third", "metric.other", claim, f"{claim}_low", f"{claim}_high"]
    assert [row["words"] for row in rows] == ['a, "b"', "c"] * 2
    assert [row["metric.other"] for row in rows] == ["", "7", "", ""]
    assert [float(row["metric.third"]) for row in rows] == [0.0, 1e-300, 2 / 3, 1.0]  # to the last digit
    found = pandas.read_csv(tmp_path / "sweep.csv")
    assert found["steps"].tolist() == [1, 1, 2, 2]
    assert found["metric.third"].tolist() == pytest.approx([0.0, 1e-300, 2 / 3, 1.0], rel=1e-12, abs=0)
    assert found[f"{claim}_high"].isna().tolist() == [True, False, False, False]


def test_a_bound_without_the_other_stays_a_number_of_its_own():
    """Whichever was recorded first: it stands in the table, and the number it might bound has no interval."""
    for names in (["a", "a_low", "b"], ["a_low", "a", "b"]):
        found = sweeps.estimates_of(record({name: k for k, name in enumerate(names)} | {"b_low": -1, "b_high": 9}))
        sweep = Sweep("page", "A page", {"k": [1]}, {}, {}, [Point({"k": 1}, found)])
        (row,) = sweep.table.to_dict("records")
        assert row == {
            "k": 1,
            "metric.a": names.index("a"),
            "metric.a_low": names.index("a_low"),
            "metric.b": 2,
            "metric.b_low": -1,
            "metric.b_high": 9,
        }
        assert sweep.showing([]).shown == ["metric.b"]


def test_a_point_without_the_number_is_left_out_of_its_line(monkeypatch):
    sweep = example_sweep()
    points = [replace(point, estimates={}) if number in (0, 3) else point for number, point in enumerate(sweep.points)]
    sweep = replace(sweep, points=points)
    drawn = []
    monkeypatch.setattr(gallery.plots, "against_parameter", lambda *arguments: drawn.append(arguments))
    gallery.figure(sweep, 3)
    (_, values, panels, marked), *_ = drawn
    assert values == [100, 200, 400]
    expected = [sweep.scaled(point, "claim.existence") for point in points]
    assert panels == {"claim existence, %": {"colours = grey": expected[::2], "colours = all": expected[1::2]}}
    assert expected[0] is None
    assert marked == ("colours = all", 1)
    once = replace(sweep, parameters={"width": [1], **sweep.parameters})  # what was not turned is no axis
    for point in once.points:
        point.values["width"] = 1
    gallery.figure(once, 3)
    assert drawn[1] == drawn[0]
    assert "Held fixed: width = 1" in gallery.provenance(once)
    assert "width" not in gallery.caption(once)


def test_a_metric_in_per_cent_says_so_and_is_not_multiplied_again():
    sweep = Sweep("page", "A page", {}, {}, {}, [], {"metric.network_as_they_are": "%", "claim.existence": "%"})
    point = Point({}, {"metric.network_as_they_are": Estimate(45.0, 43.0, 47.0), "claim.existence": Estimate(0.25)})
    assert sweep.printed("metric.network_as_they_are") == "network as they are, %"
    assert sweep.scaled(point, "metric.network_as_they_are") == (45.0, 43.0, 47.0)
    assert sweep.scaled(point, "claim.existence") == (25.0, None, None)


def test_the_table_of_a_page_shows_every_character():
    long = "/<b>&" + "a long folder" * 20
    sweep = Sweep("page", "A page", {"metric": [long, "c"]}, {}, {}, [])
    points = [Point({"metric": long}, {"metric.metric": Estimate(1e-7)}), Point({"metric": "c"}, {})]
    text = gallery.table(replace(sweep, points=points).showing([]))
    cells = re.findall("<t[hd]>(.*)</t[hd]>", text)
    assert [html.unescape(cell) for cell in cells] == ["metric", "metric", long, "1e-07", "c", "nothing"]
    assert "<b>" not in text


def test_what_the_figure_shows():
    values = {"metric.a": Estimate(1), "metric.b": Estimate(2, 1, 3), "claim.existence": Estimate(0.5, 0.25, 0.75)}

    def shown(*names, wanted=()):
        points = [Point({"k": 1}, {}), Point({"k": 2}, {name: values[name] for name in names})]
        return Sweep("page", "A page", {"k": [1, 2]}, {}, {}, points).showing(wanted).shown

    assert shown(*values) == ["claim.existence"]
    assert shown("metric.a", "metric.b") == ["metric.b"]
    assert shown("metric.a") == ["metric.a"]
    assert shown() == []
    assert shown(*values, wanted=["b", "existence", "metric.a", "b"]) == ["metric.b", "claim.existence", "metric.a"]
    with pytest.raises(UsageError, match=r"Unknown metric 'existance' of chapter 'page'\. Did you mean 'existence'"):
        shown(*values, wanted=["existance"])


# --- pictures -----------------------------------------------------------------------------------


def png(*shape, seed=0):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(20, 30, 3), (200, 300, 3), (900, 1200, 3), (300, 300, 4)])
def test_pictures_become_small(shape, monkeypatch):
    before = png(*shape)
    after = sweeps.small(before)
    assert len(after) <= sweeps.LARGEST_PICTURE
    assert (after == before) == (len(before) <= sweeps.LARGEST_PICTURE)
    with Image.open(io.BytesIO(after)) as image:
        assert Picture(after, "").suffix == {"PNG": ".png", "WEBP": ".webp"}[image.format]
        assert image.width / image.height == pytest.approx(shape[1] / shape[0], rel=0.01)
    monkeypatch.setattr(sweeps, "LARGEST_PICTURE", 100)
    with pytest.raises(FingerprintsError, match="does not fit into 100 bytes"):
        sweeps.small(png(200, 200, 3))


def test_a_figure_is_found_by_its_label(tmp_path):
    def cell(label, *outputs):
        made = nbformat.v4.new_code_cell("x", outputs=list(outputs))
        made.metadata["mystnb"] = {"figure": {"name": label}}
        return made

    def picture(data, alt):
        from base64 import b64encode

        bundle = {"image/png": b64encode(data).decode()}
        return nbformat.v4.new_output("display_data", bundle, metadata={"alt": alt})

    words = nbformat.v4.new_output("stream", text="words")
    cells = [nbformat.v4.new_code_cell("y"), cell("a", picture(png(4, 4, 3), "A")), cell("b", words)]
    cells += [cell("c", words, picture(png(5, 5, 3), "C"))]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "n.ipynb")
    assert sweeps.picture_of(tmp_path / "n.ipynb", "a") == (png(4, 4, 3), "A")
    assert sweeps.picture_of(tmp_path / "n.ipynb", "c") == (png(5, 5, 3), "C")
    for label in ("b", "d"):
        with pytest.raises(FingerprintsError, match=f"the figure '{label}' is no picture there"):
            sweeps.picture_of(tmp_path / "n.ipynb", label)


# --- publishing and the gallery -----------------------------------------------------------------


def test_what_is_published_is_what_is_loaded(tmp_path):
    assert sweeps.load_sweeps(tmp_path) == []
    sweep = example_sweep()
    path = sweeps.publish(sweep, "example", tmp_path)
    assert path == tmp_path / "example.json"
    assert sorted(file.name for file in (tmp_path / "example").iterdir()) == sorted(
        f"colours-{c}+steps-{s}.png" for c in ("grey", "all") for s in (100, 200, 400)
    )
    (loaded,) = sweeps.load_sweeps(tmp_path)
    assert loaded.name == "example"
    assert (loaded.parameters, loaded.points[4].picture) == (sweep.parameters, sweep.points[4].picture)
    for values in (loaded.parameters, *(point.values for point in loaded.points)):
        assert list(values) == ["steps", "colours"]  # as they were given: the first is the axis
    assert [point.estimates for point in loaded.points] == [
        {"claim.existence": point.estimates["claim.existence"]} for point in sweep.points
    ]
    # Published anew without pictures, none is left behind.
    bare = [Point(point.values, point.estimates) for point in sweep.points]
    sweeps.publish(Sweep(**{**vars(sweep), "points": bare}), "example", tmp_path)
    assert not (tmp_path / "example").exists()


def test_a_sweep_of_other_generators_is_known_by_its_hash(tmp_path):
    """The gallery says so; it is made anew when the generators change."""
    (tmp_path / "gan.json").write_text("{}")
    first = sweeps.zoo_hash(tmp_path)
    (tmp_path / "gan.json").write_text('{"seed": 1}')
    assert sweeps.zoo_hash(tmp_path) != first


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("{}"),
        lambda path: path.write_text("not JSON"),
        lambda path: path.write_text(path.read_text().replace("400", "500", 1)),
        lambda path: next(path.with_suffix("").iterdir()).unlink(),
    ],
)
def test_a_damaged_sweep_is_named(tmp_path, spoil):
    path = sweeps.publish(example_sweep(), "example", tmp_path)
    spoil(path)
    with pytest.raises(FingerprintsError, match=r"example\.json is not a whole sweep"):
        sweeps.load_sweeps(tmp_path)


@pytest.fixture(scope="module")
def slider():
    return gallery.sliders(example_sweep(), True)


def test_the_sliders_are_whole_and_ask_nobody(slider):
    parsed = Parsed(re.sub("<(input[^>]*)>", r"<\1></input>", slider))
    assert parsed.stack == []
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub("[A-Za-z0-9+/=]{40,}", "", slider))
    inputs = [attributes for tag, attributes in parsed.elements if tag == "input"]
    labels = [attributes["for"] for tag, attributes in parsed.elements if tag == "label"]
    assert [made["id"] for made in inputs] == labels
    assert [(made["type"], made["min"], made["max"], made["aria-valuetext"]) for made in inputs] == [
        ("range", "0", "2", "steps = 100"),
        ("range", "0", "1", "colours = grey"),
    ]
    # Without a script: no dead controls, the first figure, and all the numbers.
    assert all("hidden" in made for tag, made in parsed.elements if made.get("class") == "fp-knob")
    images = [attributes for tag, attributes in parsed.elements if tag == "img"]
    assert [image["class"] for image in images] == ["fp-curve", "fp-picture"]
    assert all(len(image["alt"]) > 15 and image["src"].startswith("data:image/png;base64,") for image in images)
    figures = re.findall("<figure>\n?<img [^>]*>\n?<figcaption>(.+?)</figcaption>\n?</figure>", slider)
    assert len(figures) == 2
    assert "against steps (training steps); a line for each setting" in figures[0]
    assert sum(tag == "tr" for tag, _ in parsed.elements) == 1 + 6


def test_the_frames_follow_the_points(slider):
    data = json.loads(re.search(r"const data = (.*);\n", slider)[1].replace("<\\/", "</"))
    sweep = example_sweep()
    assert data["names"] == ["steps", "colours"]
    assert data["values"] == [["100", "200", "400"], ["grey", "all"]]
    assert len(data["frames"]) == 6
    assert len({frame["curve"] for frame in data["frames"]}) == 6
    for number, (frame, point) in enumerate(zip(data["frames"], sweep.points, strict=True)):
        # As the script counts: the last slider changes fastest.
        assert number == [100, 200, 400].index(point.values["steps"]) * 2 + ["grey", "all"].index(
            point.values["colours"]
        )
        value, low, high = (100 * x for x in point.estimates["claim.existence"])
        told = f"claim existence, %: {value:#.4g} ({low:#.4g} to {high:#.4g})"
        assert frame["words"] == f"At steps = {point.values['steps']}, colours = {point.values['colours']}. {told}."
        assert f"{value:.4g}" in frame["alt"]
        assert frame["pictured"].endswith(f"A square, number {number}.")


def test_pictures_can_be_left_out():
    assert 'class="fp-picture"' not in gallery.sliders(example_sweep(), False)


def test_names_from_outside_cannot_break_the_page():
    sweep = example_sweep()
    evil = "</script><b>"
    bad = Sweep(**{**vars(sweep), "title": evil, "meanings": {"steps": evil, "colours": '"><b>'}, "held": {"x": evil}})
    assert "<b>" not in gallery.sliders(bad, True)
    assert gallery.sliders(bad, True).count("</script>") == 1


def test_an_empty_gallery_says_how_to_fill_it():
    (made,) = gallery.pieces([], True)
    command = re.search(r"fingerprints (sweep .*)", made.data)[1].split()
    from click.testing import CliRunner

    from fingerprintlib.cli import main

    assert "There is no sweep of the generators" in made.data
    result = CliRunner().invoke(main, [*command, "--profile", "smok"])  # all but the profile is in order
    assert (result.exit_code, result.stderr) == (2, "Error: Unknown profile 'smok'. Did you mean 'smoke'?\n")


def test_the_report_stands_alone(tmp_path):
    path = gallery.write_report(example_sweep(), tmp_path)
    text = path.read_text()
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script", re.sub("[A-Za-z0-9+/=]{40,}", "", text))
    assert text.count("<tr") == 7
    assert (tmp_path / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    assert re.search(r'<img alt="claim existence, % against steps\. .{15,}?"', text)
    nothing = Sweep(**{**vars(example_sweep()), "shown": []})
    assert "no number" in gallery.write_report(nothing, tmp_path).read_text()
