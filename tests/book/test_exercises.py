import re
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fingerprintlib.analysis.origins import enlarged, halved, kernel_of
from fingerprintlib.book import exercises, experiments
from fingerprintlib.book.checks import Choice, Design, Exercise, choice, design, exercise, prediction, student
from fingerprintlib.book.page import Page
from fingerprintlib.errors import FingerprintsError, UsageError
from fingerprintlib.statistics.distances import frechet_distance
from fingerprintlib.statistics.metrics import wilson_interval

from ..conftest import ROOT

ALL = {
    name: value
    for module in (exercises, experiments)
    for name, value in vars(module).items()
    if isinstance(value, Exercise)
}
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").glob("[01]*.md"))}
POINTS = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.5]])
MODELS = np.array([[1.0, 0.0], [0.0, 1.0]])
NOISE = np.random.default_rng(1)
REMEMBERED = NOISE.normal(size=(3, 4)), NOISE.normal(size=(50, 4))
TREATED = {"a": lambda some: some, "b": lambda some: 255 - some, "c": lambda some: some // 2}
PICTURES = NOISE.integers(0, 255, (4, 6, 6, 3), dtype=np.uint8)


def is_dark(some):
    """A judge that names source 1 where an image is bright."""
    return (some.mean((1, 2, 3)) > 100).astype(int)


# A triple of numbers an image: 0 is real, its own score against the best of the others.
SCORES = np.array([[5.0, 1, 0], [2, 4, 3], [1, 7, 0], [0, 2, 9.5], [6, 5, 0], [3, 3.5, 1]])
SOURCES = np.array([0, 0, 1, 1, 2, 2])

# Each with a student's numbers, what the chapter has at hand, what is right, worked out here by hand, and answers that
# are nearly so.
TRIED = [
    ("levels_between", {"low": 10, "high": 10}, {"resolution": 64}, 16, [48, 4096, 15]),
    ("levels_between", {"low": 0, "high": 127}, {"resolution": 32}, 512, [508, 2048]),
    ("most_alike", {"start": 0}, {"images": np.array([[0], [9], [50], [7]])}, (3, 1), [(0, 1), (1, 2), 3, (1, 3, 0)]),
    ("most_alike", {"start": 0}, {"images": np.r_[0:250:10, 241].astype(np.uint8)[:, None]}, (24, 25), [(23, 25)]),
    ("leaky_split", {"seed": 3}, {"groups": ["a"] * 8}, 100, [80, 50]),
    ("leaky_split", {"seed": 3}, {"groups": list(range(8))}, 0, [50, 11]),
    (
        "hinge",
        {"real_one": 2, "real_other": 0.5, "fake_one": -3, "fake_other": 0.2},
        {},
        0.25 + 0.6,
        [0.5 + 1.2, 0.25 + 0.4, 0.85 / 2],
    ),
    ("linear_penalty", {"weight": 0.01}, {"resolution": 64}, 10 * (0.64 * 3**0.5 - 1) ** 2, [0, 10 * 0.36**2]),
    (
        "remembered",
        {"known": 3},
        {"few": REMEMBERED[0], "held_out": REMEMBERED[1], "floor": 2},
        frechet_distance(REMEMBERED[0][np.arange(50) % 3], REMEMBERED[1]) / 2,
        [0.1, 100],
    ),
    (
        "nearest_fingerprint",
        {"start": 0},
        {"image_fingerprints": POINTS, "model_fingerprints": MODELS, "bias": [0.0, 0.2]},
        [0, 1, 1],
        [[0, 1, 0], [1, 0, 0], [0, 1], [[0], [1], [1]]],
    ),
    ("most_wrong", {"source": 3}, {"scores": SCORES, "labels": SOURCES}, 1, [0, 2, 5, 6, 1.5, -1]),
    ("most_wrong", {"source": 1}, {"scores": SCORES, "labels": SOURCES}, 3, [2, 1]),
    ("most_wrong", {"source": 0}, {"scores": SCORES[2:], "labels": SOURCES[2:]}, 1, [0, 3]),  # those that are there
    (
        "shared_with_test",
        {"percent": 50},
        {"learn": np.full((1, 2, 2, 3), 9), "asked": np.arange(48).reshape(4, 2, 2, 3), "drawn": [7, 1, 2, 7, 3]},
        50,  # of the first two the labels are known; the others are nearest to the second
        [100, 25, 75],
    ),
    (
        "correlation",
        {"image": 0},
        {"residual": [[1, 2], [3, 5]], "pattern": [[2, 2], [4, 4]]},
        5 / 35**0.5,
        [38 / 1560**0.5, 5],
    ),
    (
        "pattern_of_few",
        {"few": 2},
        {
            "learned": np.array([[1.0, 0, 0], [1, 0, 1], [0, 1.0, 0], [0, 1, 1]]),
            "sources": np.array([0, 0, 1, 1]),
            "asked": np.array([[5.0, 0, 1], [2, 0, 1], [0, 1, 0], [3, 0, 0]]),
            "truth": np.array([0, 0, 1, 1]),
        },
        75,
        [100, 50],
    ),
    (
        "wiener_noise",
        {"coefficient": 30, "first": 400, "second": 125, "third": 90, "fourth": 225},
        {},
        30 * 25 / 90,
        [30 * 25 / 115, 3.75, 2],
    ),
    ("wiener_noise", {"coefficient": -8, "first": 16, "second": 40, "third": 40, "fourth": 99}, {}, -8, [-5, 8]),
    ("contrast", {"factor": 2, "offset": 0.1}, {}, (1, 2), [(2, 1), (1, 2.1), (2, 2), 1]),
    (
        "moved",
        {"down": 1, "across": 0},
        {
            "fingerprints": np.array([[3.0, 0, 1], [0, 9, 1], [8, 1, 0], [9, 0, 1]]),
            "models": np.array([[1.0, 0, 0], [0, 1, 0]]),
            "truth": np.array([0, 1, 1, 0]),
        },
        75,
        [100, 50],
    ),
    ("checkerboard", {"a": 1, "b": 2, "c": 3, "d": 2}, {}, 0, [1, 2 / 8]),
    ("checkerboard", {"a": 1, "b": 3, "c": 2, "d": 3}, {}, 3 / 9, [0, 1 / 9]),
    ("copied_to", {"frequency": 0.1}, {}, 0.45, [0.05, 0.4, 0.55]),
    (
        "quieter_kernel",
        {},
        {"images": NOISE.integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)},
        [1, 5, 10, 10, 5, 1],
        [[0, 1, 3, 3, 1, 0], [0, 0, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1], [1, 3, 3, 1], [0] * 6],
    ),
    ("not_yet_due", {"count": 2268, "times": 1}, {}, 0.36780, [1 - 0.36780, 0.5, 1]),
    ("not_yet_due", {"count": 2, "times": 1.5}, {}, 1 / 8, [3 / 8, 7 / 8, 0]),
    (
        "three_siblings",
        {"turn": 2},
        # Of columns 3, 1 and 2; rows of source 0 do not count.
        {
            "scores": np.array([[9.0, 1, 2, 3], [9, 5, 2, 3], [0, 1, 2, 3], [9, 1, 2, 0], [0, 1, 0, 0]]),
            "labels": np.array([0, 1, 2, 2, 3]),
            "family": [1, 2, 3],
        },
        50,
        [25, 75, 100],
    ),
    (
        "hardest_pair",
        {},
        {
            "scores": np.array([[9.0, 5, 1, 2], [9, 0, 4, 3], [9, 1, 3, 4], [9, 1, 3, 5]]),
            "labels": np.array([1, 2, 3, 2]),
            "family": [1, 2, 3],
        },
        (3, 2),
        [(1, 2), (1, 3), (0, 1), 2],
    ),
    ("blurred_wave", {"period": 4}, {}, 0.25, [0.5, 6 / 16, 4 / 6]),
    ("blurred_wave", {"period": 3}, {}, (6 - 4 - 1) / 16, [0.25]),
    ("folded", {"frequency": 0.4}, {}, 0.2, [0.8, 0.4, -0.2]),
    (
        "one_frequency",
        {"source": 4},  # of three: real, and the first of two generators
        {
            "rings": np.array([[1.0, 5, 2], [2, 6, 4], [3, 1, 1], [1.5, 2, 3], [0, 9, 9]]),
            "labels": np.array([0, 0, 1, 1, 2]),
        },
        1,
        [0, 2, 3],
    ),
    ("receptive_field", {"convolutions": 2, "poolings": 1, "last": 1}, {}, 10, [7, 8, 9]),
    ("receptive_field", {"convolutions": 1, "poolings": 2, "last": 0}, {}, 1 + 2 + 1 + 4 + 2, [7, 8, 9]),
    (
        "five_patches",
        {"seed": 0},
        {"answers": np.stack([np.full((1, 1), k) for k in (0, 1, 2)]), "truth": np.array([0, 1, 1])},
        200 / 3,
        [100, 34],
    ),
    ("seam", {"splice": 3}, {"true": [9, 20], "found": [9, 24], "resolution": 64}, 17, [15, 25, 64, 65, -1]),
    ("chance_of_all", {"share": 90, "images": 20}, {}, 0.12158, [0.9, 0.5]),
    (
        "by_contrast",
        {"low": 50},
        # Two makers: of the first, ten images; of the second, two.
        {
            "contrast": np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 20, 30]),
            "makers": np.array([1] * 10 + [2] * 2),
            "right": np.arange(12) == 4,
        },
        50,
        [0, 100],
    ),
    ("cropped_frequency", {"offset": 8, "period": 2}, {"side": 64}, 0.4375, [0.571429, 0.5, 28]),
    ("noise_to_signal", {"variance": 20}, {}, 35.1205, [22.1102, 3.51205, 48.13]),
    (
        "within_budget",
        {"budget": 4, "seed": 0},
        {
            "before": np.full((2, 2, 2, 3), 98, np.uint8),
            "labels": np.zeros(2, int),
            "judge": is_dark,
            "start": np.stack([np.full((2, 2, 3), level, np.uint8) for level in (102, 98)]),
        },
        np.full((2, 2, 2, 3), 102, np.uint8),
        [np.full((2, 2, 2, 3), 98, np.uint8), np.full((2, 2, 2, 3), 120, np.uint8), np.full((2, 2, 2, 3), 102.0), 98],
    ),
    ("untouched", {"attacks": 5, "percent": 50}, {}, 1 / 32, [0.5, 31 / 32, 0.1]),
    ("untouched", {"attacks": 2, "percent": 90}, {}, 0.01, [0.81, 0.1]),
    ("safest", {"absent": 5}, {"table": {"a": {"x": 0.9, "y": 0.2}, "b": {"x": 0.4, "y": 0.3}}}, "a", ["b", "c"]),
    ("safest", {"absent": 4}, {"table": {"a": {"x": 0.9, "y": 0.2}, "b": {"x": 0.4, "y": 0.3}}}, "b", ["a"]),
    ("attacked_twice", {"attack": 0}, {"found": [0, 1, 2, 0], "truth": [0, 1, 1, 1]}, 50, [25, 61, 0.5]),
    ("at_least_one", {"tests": 20, "percent": 95}, {}, 0.641514, [1, 0.05, 0.358486]),
    ("two_names", {"pick": 0}, {"spectrum": lambda: SimpleNamespace(accuracy=0.75)}, 75, [25, 100, 0.75]),
    ("leak", {"secret": 0}, {"images": PICTURES, "treatments": TREATED}, "a", ["b", "c", "d"]),
    ("posterior", {}, {"prior": 1 / 200, "ratio": 1000}, 1000 / 1199, [0.999, 1000 / 200, 0.005]),
    ("energies", {}, {"scores": [(0, 0), (5, 5)]}, [np.log(2), 5 + np.log(2)], [[0.5, 0.5], 0.69]),
    ("judged", {}, {}, 2, [3, 5]),
    ("verdict", {"low": 88, "length": 5, "holds_above": 90, "fails_below": 40}, {}, "not shown", ["holds"]),
    ("verdict", {"low": 90, "length": 3, "holds_above": 90, "fails_below": 40}, {}, "holds", ["fails", "Holds", 1]),
    ("verdict", {"low": 60, "length": 5, "holds_above": 90, "fails_below": 40}, {}, "in part", ["holds", "not shown"]),
    ("verdict", {"low": 10, "length": 20, "holds_above": 90, "fails_below": 40}, {}, "fails", ["holds", None]),
    (
        "wilson",
        {"total": 100, "wrong": 10},
        {},
        wilson_interval(90, 100),
        [(0.8412, 0.9588), (0.9256, 0.8256), 0.9],
    ),
    (
        "closest_call",
        {},
        {"claims": {"holds": (0.6, 0.8, 0.5, 0), "open": (0.45, 0.6, 0.5, 0), "fails": (-2, -0.2, 0.5, 0)}},
        "open",
        ["holds", "fails", "other"],
    ),
]


@pytest.fixture(params=TRIED, ids=[f"{number}-{some[0]}" for number, some in enumerate(TRIED)])
def tried(request):
    """An exercise with its numbers pinned, as one that nobody has tried yet."""
    name, numbers, data, right, wrong = request.param
    assert numbers.keys() == ALL[name].draws.keys()
    pinned = replace(ALL[name], draws={key: [value] for key, value in numbers.items()}, tries=0)
    return pinned, data, right, wrong


@pytest.fixture(autouse=True)
def nobody_in_particular(monkeypatch):
    monkeypatch.delenv("FINGERPRINTS_BUILD", raising=False)
    monkeypatch.delenv("FINGERPRINTS_STUDENT", raising=False)


# --- answers ------------------------------------------------------------------------------------


def test_every_exercise_is_tried_here_and_asked_in_a_chapter():
    assert {some[0] for some in TRIED} == ALL.keys()
    code = "\n".join(TEXTS.values())
    assert {name for name in ALL if not re.search(rf"exper\w+\.{name}\(|exercises\.{name}\(", code)} == set()


def test_the_right_answer_is_right(tried, capsys, monkeypatch):
    check, data, right, _ = tried
    answers = [right]
    if not isinstance(right, str | np.ndarray):
        answers += [np.asarray(right), torch.tensor(right, dtype=torch.float64, requires_grad=True).detach()]
    for build in ("", "anywhere"):
        if build:
            monkeypatch.setenv("FINGERPRINTS_BUILD", build)
        for answer in answers:
            check(answer, **data)
            assert capsys.readouterr().out.endswith(": right.\n")


def test_a_wrong_answer_gets_a_hint(tried, capsys):
    check, data, _, wrong = tried
    for answer in [*wrong, "a word", None, [[1], [2, 3]], float("nan"), {}, ...]:
        check(answer, **data)
        out = capsys.readouterr().out
        if answer is ...:
            assert "replace the ... by your answer" in out
        else:
            assert ": not yet. " in out
            assert len(out.split("Hint ")[1]) > 20


def test_a_wrong_solution_stops_the_build_and_dots_do_not(tried, capsys, monkeypatch):
    check, data, _, wrong = tried
    monkeypatch.setenv("FINGERPRINTS_BUILD", "anywhere")
    for answer in wrong:
        with pytest.raises(FingerprintsError, match="the printed solution gives"):
            check(answer, **data)
    assert capsys.readouterr().out == ""
    check(..., **data)  # the page is printed with the dots
    assert "replace the ... by your answer" in capsys.readouterr().out


def test_what_is_printed_passes_for_no_answer(capsys):
    """Nobody gets through by repeating what the check says."""
    for _, _, data, right, _ in TRIED:
        for words in ("right.", str(right) + ".", "All of them: right."):
            if not isinstance(right, str):
                replace(ALL["posterior"], right=lambda right=right, **_: right)(words, **data)
                assert "right.\n" not in capsys.readouterr().out


# --- predictions and contests -------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "said"), [(80.0, "Too low, by about 20"), (40.0, "Too high, by about 20")])
def test_a_prediction_is_held_against_the_run_whichever_way_it_went(outcome, said, capsys):
    check = prediction("Run", "One.", within=10)(lambda outcome: outcome)
    check(61.3, outcome=outcome)
    assert capsys.readouterr().out == f"Run: not yet. {said}. Hint 1 of 1: One.\n"
    check(outcome - 9.9, outcome=outcome)
    assert capsys.readouterr().out.startswith(f"Your prediction: {outcome - 9.9:g}. The run: {outcome:g}.\nRun: right.")
    check(outcome + 10.1, outcome=outcome)
    assert "not yet" in capsys.readouterr().out


def test_of_candidates_that_are_equally_good_each_is_right(capsys):
    check = choice("Best", "One.", slack=0.1)(lambda: {1: 0.5, 2: 0.9, 3: 0.95, "x": 0.95})
    for answer in (2, 3, "x", np.int64(3), 3.0):
        check(answer)
        assert capsys.readouterr().out == "Best: right.\n"
    check(1)
    assert "3 of the 4 candidates are better." in capsys.readouterr().out
    assert check.answers([0])[0]["answer"] in (3, "x")


def test_a_design_is_told_its_score_and_what_is_needed(capsys):
    check = design("Bridge", "One.")(lambda load: (lambda answer: answer * load, 6))
    check(2, load=2)
    assert "Your score is 4; 6 is needed." in capsys.readouterr().out
    check(4, load=2)
    assert capsys.readouterr().out == "Your score is 8; 6 is needed.\nBridge: right.\n"


def test_the_quieter_kernel_is_scored_as_enlarged_photographs_measure_it():
    """The check works with spectra; here photographs without edges at their borders are enlarged, pixel by pixel."""
    rng, fade = np.random.default_rng(0), np.hanning(34)[1:-1]
    blobs = 60 * rng.normal(size=(40, 16, 16)).repeat(2, 1).repeat(2, 2) * np.outer(fade, fade)
    images = np.clip(128 + blobs, 0, 255).astype(np.uint8)[..., None].repeat(3, -1)
    score, _ = experiments.quieter_kernel.right(images)
    measured, scored = [], []
    for name, row in {"nearest": (0, 0, 1, 1, 0, 0), "bilinear": (0, 1, 3, 3, 1, 0)}.items():
        large = enlarged(halved(images), kernel_of(name))[..., 0].astype(float)
        power = (np.abs(np.fft.fft2(large - large.mean((1, 2), keepdims=True))) ** 2).mean(0)
        coarse = np.abs(np.fft.fftfreq(32)) < 1 / 4
        measured.append(100 * power[np.ix_(coarse, coarse)].sum() / power.sum())
        scored.append(score(row))
    assert scored == pytest.approx(measured, abs=3)  # points; the check fades the borders out, and nothing is rounded
    assert scored[1] - scored[0] > 6


# --- hints --------------------------------------------------------------------------------------


def test_hints_come_in_order_and_begin_anew_after_a_right_answer(capsys):
    check = exercise("Sum", "First.", "Second.", "Third.")(lambda: 4)
    for hint in ("1 of 3: First.", "2 of 3: Second.", "3 of 3: Third.", "3 of 3: Third."):
        check(5)
        assert capsys.readouterr().out == f"Sum: not yet. Too high, by about 1. Hint {hint}\n"
        check(...)
        capsys.readouterr()
    check(4)
    assert capsys.readouterr().out == "Sum: right.\n"
    check("four")
    assert capsys.readouterr().out == "Sum: not yet. Give a number. Hint 1 of 3: First.\n"


def test_every_exercise_has_hints_in_steps():
    for name, some in ALL.items():
        assert len(some.hints) >= 2, name
        assert len({*some.hints}) == len(some.hints), name


def test_no_two_exercises_share_a_title():
    assert max(Counter(some.title for some in ALL.values()).values()) == 1


# --- variants -----------------------------------------------------------------------------------


def test_fifty_students_have_fifty_variants_and_student_0_the_first():
    for name, some in ALL.items():
        variants = [some.variant(number) for number in range(50)]
        assert variants[0] == {key: values[0] for key, values in some.draws.items()}
        assert variants == [some.variant(number) for number in range(50)]
        if some.draws:
            assert len({tuple(variant.items()) for variant in variants}) == 50, name
            for key, values in some.draws.items():
                assert {variant[key] for variant in variants} <= {*values}


def test_right_answers_differ_between_students():
    for name in ("hinge", "linear_penalty", "wiener_noise", "blurred_wave", "chance_of_all", "wilson", "copied_to"):
        some, data = ALL[name], {"resolution": 64} if name == "linear_penalty" else {}
        answers = [row["answer"] for row in some.answers(range(50), **data)]
        assert len({np.round(answer, 6).tobytes() for answer in answers}) >= 15, name


def test_one_variants_answer_is_wrong_for_another(monkeypatch, capsys):
    key = exercises.chance_of_all.answers(range(3))
    assert [row["student"] for row in key] == [0, 1, 2]
    assert key[1]["answer"] == pytest.approx((key[1]["share"] / 100) ** key[1]["images"])
    for mine in range(3):
        monkeypatch.setenv("FINGERPRINTS_STUDENT", str(mine))
        for row in key:
            exercises.chance_of_all(row["answer"])
            assert (": right." in capsys.readouterr().out) == (row["student"] == mine)


def test_the_number_comes_from_a_call_or_the_environment_and_a_build_has_none(monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_STUDENT", "7")
    assert student() == 7
    assert exercises.hinge.given == exercises.hinge.variant(7)
    assert student(12) == student() == 12
    monkeypatch.setenv("FINGERPRINTS_BUILD", "anywhere")
    assert student() == 0
    monkeypatch.delenv("FINGERPRINTS_BUILD")
    for wrong in ("-1", "seven", "1.5", ""):
        monkeypatch.setenv("FINGERPRINTS_STUDENT", wrong)
        with pytest.raises(UsageError, match="whole number from 0 on"):
            student()


def test_a_text_is_told_the_numbers(tmp_path, monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_BUILD", str(tmp_path / "_build" / "smoke"))
    page = Page("first", tmp_path)
    exercises.chance_of_all.tell(page)
    assert (page["chance_of_all_share"], page["chance_of_all_images"]) == ("90", "20")


def test_a_teacher_sees_what_is_asked_of_a_choice_and_a_design():
    rows = experiments.most_wrong.answers(range(3), scores=SCORES, labels=SOURCES)
    assert {row["answer"] for row in rows} <= {1, 3, 5, 4}
    (row,) = experiments.quieter_kernel.answers([4], images=PICTURES)
    assert row["answer"].startswith("a score of ")
    assert isinstance(experiments.most_wrong, Choice)
    assert isinstance(experiments.quieter_kernel, Design)


def test_the_secret_treatment_is_that_of_the_student(monkeypatch):
    found = set()
    for number in range(6):
        monkeypatch.setenv("FINGERPRINTS_STUDENT", str(number))
        some = experiments.suspects(PICTURES, TREATED)
        (row,) = experiments.leak.answers([number], images=PICTURES, treatments=TREATED)
        assert np.array_equal(TREATED[row["answer"]](PICTURES), some)
        found.add(row["answer"])
    assert found == {"a", "b", "c"}


def test_the_chapters_have_two_or_three_exercises_and_an_experiment_among_them():
    for name, text in TEXTS.items():
        if name[:2] in {"14", "15"}:
            continue
        assert text.count("{exercise-start}") == text.count("{solution-start}")
        assert 2 <= text.count("{exercise-start}") <= 3, name
        assert {some for some in vars(experiments) if f"experiments.{some}(" in text} - {"suspects"}, name
