import json
import threading
import warnings
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import zoom

from fingerprintlib.attacks.perturbations import ATTACKS, HANDLING
from fingerprintlib.cli_images import SHIPPED
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.data.decoding import ImageError, decode
from fingerprintlib.data.images import to_tensor
from fingerprintlib.errors import UsageError
from fingerprintlib.forensics import judging
from fingerprintlib.forensics.calibrating import Calibration
from fingerprintlib.forensics.judging import Judge, handled, seen, squares
from fingerprintlib.project import data_folder
from fingerprintlib.runtime import Fabric

from .planted import NAMES, SIDE, labelled, planted

RNG = np.random.default_rng(0)
IMAGES, LABELS = labelled(20, seed=1)


@dataclass
class Told:
    """An attributor whose logits are what it was told: image i has i in its first pixel."""

    told: np.ndarray
    class_names: tuple[str, ...] = NAMES
    given_fabric: Fabric | None = None
    fabric = SimpleNamespace(device=torch.device("cpu"))

    def logits(self, images):
        return np.asarray(self.told, np.float32)[images[:, 0, 0].astype(int) @ [256, 1, 0]]


def numbered(count):
    images = np.zeros((count, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.divmod(np.arange(count), 256)
    return images


def verdicts_on(logits, calibration, names=NAMES, becomes=None):
    """Of images with these logits; after harmless changes they have those of the images `becomes`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "handled", lambda images: 3 * [images if becomes is None else images[becomes]])
        return Judge(Told(logits, names), calibration).judge(numbered(len(logits)))


ENDLESS = (np.inf, np.inf, np.inf)
PLAIN = Calibration(1.0, (1 / 3, 1 / 3, 1 / 3), least=-50.0, most=ENDLESS, line=0.5, bounds=(-9.0, 9.0), told={})


# --- calibration --------------------------------------------------------------------------------


def errors_by_hand(logits, labels, temperature):
    logits = logits / temperature
    return -np.mean(logits[np.arange(len(labels)), labels] - np.log(np.exp(logits).sum(1)))


@pytest.fixture(scope="module")
def uncertain():
    """1,000 images whose logits are twice as large as they should be."""
    labels = RNG.integers(3, size=1000)
    logits = RNG.normal(size=(1000, 3))
    logits[np.arange(1000), labels] += 1.5
    return 2 * logits, labels


def test_the_temperature_is_that_of_the_least_log_loss(uncertain):
    logits, labels = uncertain
    found = Calibration.of(Told(logits), numbered(1000), labels)
    tried = np.linspace(0.5, 4, 701)
    best = tried[np.argmin([errors_by_hand(logits, labels, t) for t in tried])]
    assert found.temperature == pytest.approx(best, rel=0.02)  # one image in a thousand is added
    before, after = found.told["error"]
    assert after < before
    assert found.told["images"] == 1000
    assert found.told["photographs"] == np.sum(labels == 0)


def test_where_all_are_named_rightly_confidence_does_not_grow_without_bounds():
    labels = np.arange(300) % 3
    logits = 8.0 * np.eye(3)[labels] + RNG.normal(0, 0.1, (300, 3))
    judge = Judge(Told(logits), Calibration.of(Told(logits), numbered(300), labels))
    surest = judge.probabilities(numbered(300)).max()
    assert 0.97 < surest < 0.9999  # none of 300 was wrong: that is all that is known
    assert judge.calibration.bounds[1] < np.log10(300)


@pytest.mark.parametrize("rejected", [0.02, 0.1])
def test_as_many_are_unknown_and_accused_as_was_asked_for(uncertain, rejected):
    logits, labels = uncertain
    calibration = Calibration.of(Told(logits), numbered(1000), labels, rejected=rejected, alarms=0.02)
    verdicts = verdicts_on(logits, calibration)
    assert np.mean([one.known < 0 for one in verdicts]) == rejected
    assert np.mean([one.answer == "unknown" for one in verdicts]) == rejected
    assert all(one.origin == "undecided" for one in verdicts if one.known < 0)
    # If none were unknown, as many photographs would be accused as was asked for.
    verdicts = verdicts_on(logits, replace(calibration, least=-np.inf, most=ENDLESS))
    photographs = [one for one, label in zip(verdicts, labels, strict=True) if label == 0]
    accused = sum(one.origin == "generated" for one in photographs)
    assert accused == int(0.02 * len(photographs))


def test_an_eighth_of_those_rejected_have_too_much_energy_for_their_source():
    """The second source has ten times the energy of the first: what is too much for that is little for this one."""
    labels, found = np.repeat([0, 1], 1000), RNG.exponential(1, 2000)
    logits = np.stack([20 + 5 * found, np.full(2000, -99.0)], axis=1)
    logits[labels == 1] = 10 * logits[labels == 1, ::-1]
    told = Told(logits, ("real", "gan"))
    calibration = Calibration.of(told, numbered(2000), labels, rejected=0.08)
    scores = Judge(told, calibration).scores(numbered(2000))
    by, above = calibration.known_by(scores), scores.max(1) > np.array(calibration.most)[labels]
    assert np.sum(by < 0) == 160
    assert np.sum(above) == 20
    assert np.all(by[above] < 0)
    assert 3 < np.sum(above[labels == 0]) < 17  # both sources take part
    assert np.all(found[above] > np.quantile(found, 0.98))
    # The energy that all images of the second source have is a stranger's where the first is the likeliest.
    stranger = verdicts_on([(250, -99), (-99, 250)], calibration, ("real", "gan"))
    assert [one.answer for one in stranger] == ["unknown", "gan"]
    assert stranger[0].origin == "undecided"


def test_few_images_are_no_reason_to_reject_more():
    """The most of 15 images is exceeded by one new one in 16; the lines of all sources together are not."""

    def drawn(count):
        labels = np.arange(count) % 5
        return 10 * np.eye(5)[labels] * RNG.gamma(20, 0.05, (count, 1)), labels

    many, few = [], []
    for _ in range(40):
        logits, labels = drawn(75)
        calibration = Calibration.of(Told(logits, tuple("abcde")), numbered(75), labels)
        new = drawn(1000)[0] / calibration.temperature
        found, likeliest = new.max(1), new.argmax(1)
        few.append(np.mean(found > np.array(calibration.most)[likeliest]))
        alone = np.array([logits[labels == k].max() for k in range(5)]) / calibration.temperature
        many.append(np.mean(found > alone[likeliest]))
    assert np.mean(few) < 0.03 < np.mean(many)


def test_noise_that_is_louder_than_any_photograph_is_unknown_to_the_judge_that_ships():
    judge = Judge.load(data_folder() / "networks" / f"{SHIPPED}.safetensors")
    noise = np.random.default_rng(1).integers(0, 256, (16, 64, 64, 1), np.uint8).repeat(3, 3)
    boards = np.indices((64, 64)).sum(0)[None, :, :, None].repeat(3, 3) % 2 * np.uint8(255)
    for some in (noise, boards.astype(np.uint8)):
        assert set(judge.scores(some).argmax(1)) == {0}  # it would be called real
        assert {(one.answer, one.origin) for one in judge.judge(some)} == {("unknown", "undecided")}
    photographs = open_dataset("clothing", 64).images("test", 0, 64)
    assert np.mean([one.known < 0 for one in judge.judge(photographs)]) < 0.15  # 4 % of all that there are


def test_images_of_a_mapped_corpus_are_handled_without_a_warning():
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    images.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns once a process of what it could not write to
        torch.set_warn_always(True)
        try:
            handled(images)
        finally:
            torch.set_warn_always(False)


def test_handled_images_count_for_all_but_the_energy(uncertain):
    logits, labels = uncertain
    fainter = 0.5 * logits
    told = Told(np.concatenate([logits, fainter]))
    both = Calibration.of(told, numbered(1000), labels, handled=numbered(2000)[1000:])
    clean = Calibration.of(told, numbered(1000), labels)
    all_of_them = Calibration.of(told, numbered(2000), np.tile(labels, 2))
    assert both.temperature == all_of_them.temperature != clean.temperature
    assert both.line == all_of_them.line
    verdicts = verdicts_on(logits, both)
    assert np.mean([one.known < 0 for one in verdicts]) == both.told["rejected"]


def test_the_bounds_count_contributors_and_no_image_twice():
    """All are told apart with ease: then 300 photographs carry as far as 300, and those by 20 people as far as 20."""
    labels = np.arange(900) % 3
    logits = 12.0 * np.eye(3)[labels] + RNG.normal(0, 0.1, (900, 3))
    told = Told(np.concatenate([logits, logits]))
    again, hands = numbered(1800)[900:], np.where(labels == 0, np.arange(900) % 20, 1000 + np.arange(900))

    def reach(**more):
        return Calibration.of(told, numbered(900), labels, **more).bounds[1]

    alone = np.log10(600 / 601 * 301)
    assert reach() == reach(handled=again) == pytest.approx(alone)
    assert reach(groups=hands) == reach(groups=hands, handled=again) == pytest.approx(np.log10(600 / 601 * 21))
    assert Calibration.of(told, numbered(900), labels, handled=again, groups=hands).told["groups"] == 20
    with pytest.raises(UsageError, match=r"groups must be \[900\], one an image"):
        reach(groups=hands[:5])


def test_the_unknown_among_validation_images_are_the_share_asked_for(judge, pictures):
    images, labels = pictures.split("validation")
    calibration = Calibration.of(judge.attributor, images, labels, rejected=0.1)
    verdicts = Judge(judge.attributor, calibration).judge(images)
    assert sum(one.answer == "unknown" for one in verdicts) == int(0.1 * len(images))


def test_a_source_that_is_seen_more_often_is_not_named_more_often():
    """Two sources, one with nine times as many images: where nothing but their number speaks, neither is likelier."""
    labels = np.repeat([0, 1], [900, 100])
    logits = np.log([0.9, 0.1]) + RNG.normal(0, 0.05, (1000, 2))
    calibration = Calibration.of(Told(logits, ("real", "gan")), numbered(1000), labels)
    judge = Judge(Told([np.log([0.9, 0.1])], ("real", "gan")), replace(calibration, temperature=1.0))
    np.testing.assert_allclose(judge.probabilities(numbered(1)), [[0.5, 0.5]])
    np.testing.assert_allclose(judge.evidence(numbered(1)), [0], atol=1e-7)


def test_without_photographs_nothing_is_said_of_where_images_come_from(uncertain):
    logits, labels = uncertain
    calibration = Calibration.of(Told(logits, ("a", "b", "c")), numbered(1000), labels)
    assert calibration.line is None
    assert calibration.bounds is None
    verdicts = verdicts_on(logits, calibration, ("a", "b", "c"))
    assert {one.evidence for one in verdicts} == {None}
    assert {one.origin for one in verdicts} == {"undecided"}
    assert {one.answer for one in verdicts} == {"a", "b", "c", "unknown"}
    with pytest.raises(UsageError, match="No source is called 'real'"):
        Judge(Told(logits, ("a", "b", "c")), calibration).evidence(numbered(3))


def test_a_source_without_images_cannot_be_calibrated(uncertain):
    logits, labels = uncertain
    some = np.flatnonzero(labels < 2)
    with pytest.raises(UsageError, match="none of rows"):
        Calibration.of(Told(logits), numbered(1000)[some], labels[some])


def test_the_calibration_travels_in_the_file(judge, tmp_path):
    judge.calibrated.save(tmp_path / "a.safetensors")
    again = Judge.load(tmp_path / "a.safetensors")
    assert again.judge(IMAGES) == judge.judge(IMAGES)
    provenance = {key: value for key, value in judge.attributor.provenance.items() if key != "calibration"}
    replace(judge.attributor, provenance=provenance).save(tmp_path / "b.safetensors")
    with pytest.raises(UsageError, match=r"b.safetensors is not calibrated.*fingerprints learn"):
        Judge.load(tmp_path / "b.safetensors")
    with pytest.raises(UsageError, match="calibrated by another version"):
        Judge.of(replace(judge.attributor, provenance={**provenance, "calibration": {"temperature": 1.0}}))


# --- verdicts -----------------------------------------------------------------------------------


def test_evidence_is_the_mean_likelihood_of_the_generators_over_that_of_photographs():
    logits = RNG.normal(0, 2, (50, 3))
    likelihoods = np.exp(logits)
    by_hand = np.log10(likelihoods[:, 1:].mean(1) / likelihoods[:, 0])
    judge = Judge(Told(logits), PLAIN)
    np.testing.assert_allclose(judge.evidence(numbered(50)), by_hand, atol=1e-5)  # logits are float32
    narrow = replace(PLAIN, bounds=(-0.5, 1.0))
    told = [one.evidence for one in verdicts_on(logits, narrow)]
    np.testing.assert_allclose(told, np.clip(by_hand, -0.5, 1.0), atol=1e-5)


@pytest.mark.parametrize(
    ("logits", "answer", "origin"),
    [
        ((9, 0, 0), "real", "real"),
        ((0, 9, 0), "columns", "generated"),
        ((0, 0.8, 0.7), "unsure", "undecided"),  # 10^0.35 is below the line
        ((0, 0.5, -9), "unsure", "real"),  # columns is the likeliest, and yet a photograph likelier than a generator
        ((-60, -61, -62), "unknown", "undecided"),
    ],
)
def test_the_answer_follows_from_the_scores(logits, answer, origin):
    (verdict,) = verdicts_on([logits], PLAIN)
    assert (verdict.answer, verdict.origin) == (answer, origin)
    assert verdict.likeliest == NAMES[int(np.argmax(logits))]
    shares = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose([*verdict.probabilities.values()], shares, rtol=1e-5)
    assert sum(verdict.probabilities.values()) == pytest.approx(1)
    assert json.loads(json.dumps(verdict.as_dict()))["answer"] == answer


def test_an_answer_that_flips_with_harmless_changes_is_unsure():
    verdict, other = verdicts_on([(0, 9, 0), (0, 0, 9)], PLAIN, becomes=[1, 1])
    assert (verdict.answer, verdict.agreeing) == ("unsure", 0)
    assert verdict.spread == pytest.approx((1 / (np.exp(9) + 2), np.exp(9) / (np.exp(9) + 2)))
    assert (other.answer, other.agreeing) == ("rows", 1)


def test_it_names_what_is_planted_and_photographs_are_not_accused(judge):
    verdicts = judge.judge(IMAGES)
    right = np.mean([one.answer == NAMES[k] for one, k in zip(verdicts, LABELS, strict=True)])
    assert right > 0.9
    assert not any(one.origin == "generated" for one in verdicts[:20])


@pytest.mark.parametrize("count", [1, 3, 16, 17])
def test_a_verdict_does_not_depend_on_the_others(judge, count):
    assert judge.judge(IMAGES[:count]) == judge.judge(IMAGES)[:count]
    assert judge.judge(IMAGES[::-1][:count].copy()) == judge.judge(IMAGES)[::-1][:count]


def test_images_of_another_size_are_refused(judge):
    with pytest.raises(UsageError, match="images are 16x16; this attributor judges 32x32"):
        judge.judge(IMAGES[:, :16, :16].copy())
    with pytest.raises(UsageError, match="images is empty"):
        judge.judge(IMAGES[:0])


def test_harmless_changes_change_little():
    smooth = np.stack([zoom(RNG.uniform(40, 215, (8, 8, 3)), (8, 8, 1), order=3) for _ in range(5)])
    images = smooth.clip(0, 255).astype(np.uint8)
    changes = handled(images)
    assert len(changes) == 3
    everyday = np.abs(HANDLING(images, 0, strength=1.0).astype(int) - images).mean()
    for changed in changes:
        assert changed.dtype == np.uint8
        assert changed.shape == images.shape
        difference = np.abs(changed.astype(int) - images).mean()
        assert 0 < difference < everyday / 2
    assert np.array_equal(changes[0], ATTACKS["jpeg"](images, 0, strength=90))
    assert np.array_equal(changes[2], ATTACKS["resample"](images, 0, strength=0.98))


# --- files --------------------------------------------------------------------------------------


def test_files_are_judged_in_order_and_as_they_would_be_alone(judge, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for path, image in zip(paths, IMAGES[:40], strict=True):
        Image.fromarray(image).save(path)
    paths[7].write_text("This is no image.")
    found = dict(judge.judge_files(paths))
    assert [*found] == paths
    assert isinstance(found.pop(paths[7]), ImageError)
    kept = [k for k in range(40) if k != 7]
    assert [*found.values()] == judge.judge(IMAGES[kept])
    assert [*judge.judge_files([])] == []
    assert isinstance(dict(judge.judge_files(paths[7:8]))[paths[7]], ImageError)


def test_verdicts_are_those_of_the_network_in_float32_image_by_image(judge):
    network, calibration = judge.attributor.network, judge.calibration
    for image, verdict in zip(IMAGES[::7], judge.judge(IMAGES[::7].copy()), strict=True):
        seen_by = [image, *(some[0] for some in handled(image[None]))]
        with torch.no_grad():
            logits = np.concatenate([network(to_tensor(some[None])).double().numpy() for some in seen_by])
        scores = logits / calibration.temperature - np.log(3 * np.array(calibration.prior))
        shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        np.testing.assert_allclose([*verdict.probabilities.values()], shares[0], atol=1e-5)
        found, most = np.log(np.exp(scores[0]).sum()), calibration.most[scores[0].argmax()]
        assert verdict.known == pytest.approx(min(found - calibration.least, most - found), abs=1e-4)
        assert verdict.agreeing == pytest.approx(np.mean(shares[1:].argmax(1) == shares[0].argmax()))
        of_it = shares[:, shares[0].argmax()]
        assert verdict.spread == pytest.approx((of_it.min(), of_it.max()), abs=1e-5)


def test_batches_of_files_are_judged_side_by_side(judge, tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}.png" for number in range(2 * judging.AT_ONCE)]
    for path, image in zip(paths, IMAGES, strict=False):
        Image.fromarray(image).save(path)
    alone = judge.judge(IMAGES[: len(paths)])
    met = threading.Barrier(2)

    def judge_together(self, images):
        met.wait(timeout=60)  # for another one
        return original(self, images)

    original = Judge.judge
    monkeypatch.setattr(Judge, "judge", judge_together)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert [verdict for _, verdict in judge.judge_files(paths)] == alone
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_of_a_large_image_the_squares_are_judged_too(judge, tmp_path):
    tiles = [planted(name, 1, seed=9)[0] for name in ("columns", "columns", "rows", "columns", "rows", "rows")]
    sheet = np.concatenate([np.concatenate(tiles[row : row + 3], axis=1) for row in (0, 3)])
    Image.fromarray(sheet).save(tmp_path / "sheet.png")
    Image.fromarray(tiles[0]).save(tmp_path / "tile.png")
    ((_, large), (_, small)) = judge.judge_files([tmp_path / "sheet.png", tmp_path / "tile.png"])
    assert large.squares == {"real": 0, "columns": 3, "rows": 3, "unknown": 0}
    assert small.squares is None
    assert (large.answer, large.origin, large.evidence, large.shrunk_from) == ("unsure", "undecided", None, (64, 96))
    assert small.shrunk_from is None
    np.testing.assert_array_equal(judge.square_map(sheet), [[1, 1, 2], [1, 2, 2]])
    assert judge.square_map(tiles[0][:20]).size == 0


@pytest.mark.parametrize(
    ("whole", "squares", "answer", "origin"),
    [
        ((9, 0, 0), {"columns": 4}, "unsure", "undecided"),  # a collage that looks like a photograph once it was shrunk
        ((9, 0, 0), {"columns": 1, "rows": 1, "unknown": 2}, "unsure", "undecided"),
        ((9, 0, 0), {"columns": 1, "real": 1, "unknown": 2}, "real", "real"),
        ((9, 0, 0), {"unknown": 4}, "real", "real"),
        ((0, 9, 0), {"columns": 3, "rows": 1}, "columns", "generated"),
        ((0, 9, 0), {"real": 2, "unknown": 2}, "unsure", "undecided"),  # a photograph that was shrunk: not accused
        ((-60, -61, -62), {"rows": 4}, "unsure", "undecided"),
        ((-60, -61, -62), {"unknown": 4}, "unknown", "undecided"),
        ((0, 0.8, 0.7), {"columns": 4}, "unsure", "undecided"),
    ],
)
def test_where_squares_name_other_sources_than_the_whole_the_answer_is_not_sure(whole, squares, answer, origin):
    (verdict,) = verdicts_on([whole], PLAIN)
    counted = {name: squares.get(name, 0) for name in (*NAMES, "unknown")}
    found = judging._with_squares(verdict, counted)
    assert (found.answer, found.origin) == (answer, origin)
    assert found == replace(verdict, answer=answer, origin=origin, squares=counted)
    assert judging._with_squares(verdict, None) == verdict


def test_a_shrunk_image_is_not_exonerated_by_who_never_met_one(judge, tmp_path):
    large = planted("real", 1)[0].repeat(3, axis=0).repeat(3, axis=1)
    Image.fromarray(large).save(tmp_path / "large.png")

    def ask(**provenance):
        told = {**judge.attributor.provenance, **provenance}
        ((_, verdict),) = Judge.of(replace(judge.attributor, provenance=told)).judge_files([tmp_path / "large.png"])
        return verdict

    (alone,) = judge.judge(seen(large, SIDE)[None])
    assert (alone.answer, alone.origin) == ("real", "real")  # what it would say
    assert (ask().answer, ask().origin, ask().evidence) == ("unsure", "undecided", None)
    assert ask(view="middle").shrunk_from is None
    met = ask(folders={"columns": "there"})
    assert (met.evidence, met.shrunk_from) == (alone.evidence, None)


def test_of_an_image_that_has_to_be_enlarged_no_answer_is_sure(judge, tmp_path):
    Image.fromarray(planted("columns", 1)[0][:24, :28]).save(tmp_path / "small.png")
    ((_, verdict),) = judge.judge_files([tmp_path / "small.png"])
    assert verdict.answer in ("unsure", "unknown")
    assert verdict.enlarged_from == (24, 28)


def test_a_photograph_turned_by_exif_is_judged_as_it_is_seen(judge, tmp_path):
    image = planted("columns", 1)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(image).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    upright = decode(tmp_path / "turned.jpg")
    assert np.abs(np.rot90(image, -1).astype(int) - upright).mean() < 5
    ((_, verdict),) = judge.judge_files([tmp_path / "turned.jpg"])
    assert verdict == judge.judge(upright[None])[0]
    assert verdict.likeliest == "rows"


@pytest.mark.parametrize("view", ["shrunk", "middle"])
def test_an_image_of_the_networks_size_is_seen_as_it_is(view):
    assert np.array_equal(seen(IMAGES[0], SIDE, view), IMAGES[0])


def test_a_larger_image_is_shrunk_or_cut():
    image = RNG.integers(0, 256, (64, 96, 3), np.uint8)
    by_area = image[:, 16:80].reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert np.abs(seen(image, 32) - by_area).max() <= 0.5
    assert np.array_equal(seen(image, 32, "middle"), image[16:48, 32:64])
    assert seen(image[:20], 32).shape == (32, 32, 3)


@given(st.integers(1, 250), st.integers(1, 250), st.integers(1, 64), st.integers(1, 9))
def test_squares_lie_evenly_and_none_over_another(height, width, side, most):
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8)  # each pixel tells where it is
    found = squares(image, side, most)
    down, across = (min(length // side, most) for length in (height, width))
    assert found.shape == (down, across, side, side, 3)
    if not found.size:
        return
    corners = found[:, :, 0, 0, :2].astype(int)
    assert np.array_equal(found[..., 0], corners[:, :, 0, None, None] + np.arange(side)[:, None] + np.zeros(side, int))
    assert np.array_equal(found[..., 1], corners[:, :, 1, None, None] + np.arange(side) + np.zeros((side, 1), int))
    for starts, length in ((corners[:, 0, 0], height), (corners[0, :, 1], width)):
        room = [starts[0], *(np.diff(starts) - side), length - starts[-1] - side]
        assert min(room) >= 0
        assert np.ptp(room[1:-1] or [0]) <= 1
        assert abs(room[0] - room[-1]) <= 1
