"""Sampling that depends on nothing but weights, seed and index; files that are whole or refused."""

import json

import numpy as np
import pytest
import torch

from fingerprintlib.checkpoints import CheckpointError, load_checkpoint
from fingerprintlib.errors import FingerprintsError, UsageError
from fingerprintlib.gans import MODELS, build
from fingerprintlib.runtime import make_fabric
from fingerprintlib.zoo import generators
from fingerprintlib.zoo.generators import (
    Generator,
    GeneratorSource,
    load_generator,
    load_or_train,
    sample,
    save_generator,
)


@pytest.fixture(scope="module")
def fabric():
    return make_fabric("cpu")


@pytest.fixture(scope="module")
def gans():
    """Untrained, but with batch statistics that are not the initial ones."""
    made = {name: build(name, 32, 8, seed=1) for name in MODELS}
    for gan in made.values():
        for step in range(3):
            gan.generator(gan.latents(16, torch.Generator().manual_seed(step)))
    return made


@pytest.mark.parametrize("name", MODELS)
def test_an_image_depends_on_seed_and_index_alone(name, gans):
    gan = gans[name]
    images = sample(gan, 120, seed=5)
    assert images.dtype == np.uint8
    assert images.shape == (120, 32, 32, 3)
    np.testing.assert_array_equal(sample(gan, 1, seed=5, start=49), images[49:50])
    np.testing.assert_array_equal(sample(gan, 70, seed=5, start=45), images[45:115])
    assert not (sample(gan, 120, seed=6) == images).all(axis=(1, 2, 3)).any()
    assert len({image.tobytes() for image in images}) == 120
    assert sample(gan, 0, seed=5).shape == (0, 32, 32, 3)


@pytest.mark.parametrize("name", MODELS)
def test_the_number_of_threads_changes_no_byte(name, gans):
    before = torch.get_num_threads()
    try:
        made = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            made.append(sample(gans[name], 120, seed=5))
            assert torch.get_num_threads() == threads  # left as found
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])


def test_sampling_is_in_evaluation_mode_and_leaves_the_network_as_it_was(gans):
    gan = gans["sngan"]
    gan.train()
    before = {key: value.clone() for key, value in gan.state_dict().items()}
    images = sample(gan, 60, seed=0)
    assert gan.generator.training
    assert all(torch.equal(value, before[key]) for key, value in gan.state_dict().items())
    with torch.no_grad():
        latents = generators._latents(gan, 0, 0, 0)
        plain = gan.generator.eval()(latents)
    np.testing.assert_allclose(images[:50].transpose(0, 3, 1, 2), (plain.numpy() + 1) * 127.5, atol=0.51)


def test_the_moving_average_is_what_is_sampled(gans):
    gan = build("progan", 32, 4, seed=0)
    images = sample(gan, 5, seed=0)
    with torch.no_grad():
        for parameter in gan.generator.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(sample(gan, 5, seed=0), images)


def test_a_diverged_network_is_named():
    gan = build("sngan", 32, 4, seed=0)
    gan.generator.dense.weight.data.fill_(float("nan"))
    with pytest.raises(FingerprintsError, match="diverged"):
        sample(gan, 2, seed=0)


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_samples_the_same(name, gans, tmp_path):
    path = tmp_path / "generator.safetensors"
    made = Generator("mine", gans[name].eval(), {"seed": 1}, [8], np.zeros((1, 8, 32, 32, 3), np.uint8))
    save_generator(path, made, "mine")
    back = load_generator(path)
    assert (back.name, back.moments, back.gan.name, back.path) == ("mine", [8], name, path)
    assert back.card == {"seed": 1, "name": "mine", "weights": back.hash}
    assert back.hash == made.hash
    np.testing.assert_array_equal(back.previews, made.previews)
    np.testing.assert_array_equal(back.sample(60, 3), made.sample(60, 3))
    tensors, _ = load_checkpoint(path, "generator")
    assert not any(part in key for key in tensors for part in ("discriminator", "encoder", "average"))


def test_half_precision_is_smaller_and_within_a_level(gans, tmp_path):
    made = Generator("mine", gans["cramergan"].eval(), {})
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    save_generator(whole, made, "mine")
    save_generator(half, made, "mine", half=True)
    assert half.stat().st_size < 0.7 * whole.stat().st_size
    back = load_generator(half)
    assert np.abs(back.sample(60, 3).astype(int) - made.sample(60, 3)).max() <= 1
    assert back.card["weights"] == back.hash != made.hash  # of the weights that are in the file
    save_generator(half, back, "mine", half=True)
    assert load_generator(half).hash == back.hash  # rounded once for all


def test_half_precision_that_would_show_is_refused(tmp_path):
    gan = build("cramergan", 32, 4, seed=0)
    with torch.no_grad():
        gan.generator.to_rgb.weight.mul_(1000)  # steep: small differences of the features become large ones
        gan.generator.to_rgb.weight.add_(0.123)
    with pytest.raises(FingerprintsError, match="half=False"):
        save_generator(tmp_path / "half.safetensors", Generator("mine", gan.eval(), {}), "mine", half=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["cut", "altered", "foreign", "missing"])
def test_a_damaged_file_is_refused(damage, gans, tmp_path):
    path = tmp_path / "generator.safetensors"
    save_generator(path, Generator("mine", gans["sngan"].eval(), {}), "mine")
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[:-100])
    elif damage == "altered":
        path.write_bytes(data[:-100] + bytes([data[-100] ^ 1]) + data[-99:])
    elif damage == "foreign":
        path.write_bytes(b"GIF89a" + data)
    else:
        path.unlink()
    with pytest.raises(CheckpointError, match=r"generator\.safetensors"):
        load_generator(path)


def test_the_card_is_beside_the_weights_for_people_to_read(gans, tmp_path):
    path = tmp_path / "generator.safetensors"
    history = {"images": [8, 16], "generator": [-0.25, 1e-05], "discriminator": [3.0, 1e16]}
    card = {"recipe": {"gan": "sngan", "settings": {"betas": [0.0, 0.9]}}, "history": history, "note": "née [\n1]"}
    save_generator(path, Generator("mine", gans["sngan"].eval(), card), "mine")
    text = (tmp_path / "generator.json").read_text(encoding="utf-8")
    assert card.items() <= json.loads(text).items()
    assert "née" in text
    assert '"images": [ 8, 16 ]' in text  # a curve is one line
    assert load_generator(path).card == json.loads(text)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["generator.json", "generator.safetensors"]


@pytest.mark.parametrize("mend", [lambda card: card.replace('"seed": 1', '"seed":1'), str.strip])
def test_the_layout_of_a_card_may_change(mend, gans, tmp_path):
    path = tmp_path / "generator.safetensors"
    save_generator(path, Generator("mine", gans["sngan"].eval(), {"seed": 1}), "mine")
    card = path.with_suffix(".json")
    card.write_text(mend(card.read_text()))
    assert load_generator(path).card["seed"] == 1


def card_missing(path):
    path.unlink()


def card_altered(path):
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 7'))


def card_longer(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quality": 0}))


def card_of_another(path):
    path.write_bytes(path.with_name("other.json").read_bytes())


def card_cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def card_in_no_encoding(path):
    path.write_bytes(b"\xff\xfe" + path.read_bytes())


def card_a_list(path):
    path.write_text("[]")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (card_missing, "generator.safetensors lacks its training card generator.json. Copy both"),
        (card_altered, "generator.json disagrees with its weights generator.safetensors"),
        (card_longer, "generator.json disagrees with its weights generator.safetensors"),
        (card_of_another, "generator.json disagrees with its weights generator.safetensors"),
        (card_cut, "generator.json is not JSON"),
        (card_in_no_encoding, "generator.json is not JSON"),
        (card_a_list, "generator.json disagrees"),
    ],
)
def test_weights_without_their_own_card_are_refused(damage, says, gans, tmp_path):
    path = tmp_path / "generator.safetensors"
    made = Generator("mine", gans["sngan"].eval(), {"seed": 1})
    save_generator(path, made, "mine")
    save_generator(tmp_path / "other.safetensors", made, "other")
    damage(path.with_suffix(".json"))
    with pytest.raises(CheckpointError) as refused:
        load_generator(path)
    assert says in str(refused.value)
    assert "again" in str(refused.value)
    assert load_generator(tmp_path / "other.safetensors").name == "other"


def test_weights_of_another_card_are_refused(gans, tmp_path):
    for name in ("one", "other"):
        save_generator(tmp_path / f"{name}.safetensors", Generator(name, gans["sngan"].eval(), {}), name)
    (tmp_path / "other.safetensors").replace(tmp_path / "one.safetensors")
    with pytest.raises(CheckpointError, match=r"one\.json disagrees with its weights one\.safetensors"):
        load_generator(tmp_path / "one.safetensors")


def test_a_save_that_is_stopped_between_the_two_files_is_noticed(gans, tmp_path, monkeypatch):
    path = tmp_path / "generator.safetensors"
    save_generator(path, Generator("mine", gans["sngan"].eval(), {"seed": 1}), "mine")
    with monkeypatch.context() as patch:
        patch.setattr(generators, "save_checkpoint", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save_generator(path, Generator("mine", gans["sngan"].eval(), {"seed": 2}), "mine")
    with pytest.raises(CheckpointError, match="disagrees"):
        load_generator(path)


def test_another_generator_than_expected_is_refused(gans, tmp_path):
    path = tmp_path / "generator.safetensors"
    save_generator(path, Generator("mine", gans["sngan"].eval(), {}), "mine")
    expected = load_generator(path).hash
    assert load_generator(path, expect=expected).hash == expected
    save_generator(path, Generator("mine", build("sngan", 32, 8, seed=2).eval(), {}), "mine")
    with pytest.raises(CheckpointError, match=r"generator\.safetensors has changed .*'zoo' again"):
        load_generator(path, expect=expected)


def test_load_or_train_trains_once_and_never_shows_what_is_stale(fabric, tmp_path, monkeypatch):
    reals = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    settings = {"resolution": 32, "width": 4, "images": 32, "seed": 0, "batch": 8, "d_steps": 2}

    def get(**other):
        data = {"reals": reals, "folder": tmp_path, "fabric": fabric} | settings | other
        return load_or_train("mine", "sngan", **data)

    first = get()
    with monkeypatch.context() as patch:
        patch.setattr(generators, "train_gan", None)  # must not be called
        again = get()
    assert again.hash == first.hash
    assert again.card == first.card
    assert again.previews is not None
    kept = set(tmp_path.iterdir())
    assert kept == {first.path, first.path.with_suffix(".json")}  # no unfinished training is left
    usual = first.card["recipe"]["precision"]
    otherwise = make_fabric("cpu", {"bfloat16": "32-true", "float32": "bf16-mixed"}[usual])
    for other in ({"seed": 1}, {"images": 48}, {"reals": reals[1:]}, {"lr": 1e-3}, {"fabric": otherwise}):
        assert get(**other).hash != first.hash
    assert get(without=3).card["recipe"] == first.card["recipe"] | {"without": 3}
    for other in ({"code": "another"}, {"versions": "another"}):
        monkeypatch.setattr("fingerprintlib.gans.training.code_of", lambda *_, other=other: other)
        get()
    assert len(set(tmp_path.iterdir()) - kept) == 2 * 8


def test_what_was_saved_only_in_part_is_saved_again(fabric, tmp_path, monkeypatch):
    reals = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    settings = {"resolution": 32, "width": 4, "images": 32, "seed": 0, "batch": 8, "d_steps": 2}

    def get():
        return load_or_train("mine", "sngan", reals, folder=tmp_path, fabric=fabric, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(generators, "save_checkpoint", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            get()
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".json", ".training"]
    with monkeypatch.context() as patch:
        patch.setattr("fingerprintlib.gans.training._Run.advance", None)  # it need not be trained again for that
        made = get()
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".json", ".safetensors"]
    assert get().hash == made.hash


def test_source(gans):
    source = GeneratorSource(Generator("mine", gans["sngan"].eval(), {"recipe": {"seed": 1}, "images_seen": 9}), 4)
    splits = {split: source.images(split, 0, 60) for split in ("train", "validation", "test")}
    np.testing.assert_array_equal(source.images("test", 30, 20), splits["test"][30:50])
    everything = {image.tobytes() for images in splits.values() for image in images}
    assert len(everything) == 180  # no latent is shared
    assert source.provenance["sampling_seed"] == 4
    assert source.provenance["recipe"] == {"seed": 1}
    with pytest.raises(UsageError, match="Did you mean 'train'"):
        source.images("trian", 0, 1)


@pytest.mark.parametrize(
    ("name", "seed", "splits", "rows"),
    [
        ("progan", 0, ("train", "test"), (99247, 2528)),
        ("sngan", 0, ("train", "validation"), (11752, 3518)),
        ("cramergan", 0, ("validation", "test"), (2931, 5678)),
        ("mmdgan", 0, ("validation", "test"), (3948, 8422)),
    ],
)
def test_no_two_splits_share_a_latent(name, seed, splits, rows, gans):
    """These did, at the sizes of the profile `paper`, while 32 bits told latents apart."""
    source = GeneratorSource(Generator(name, gans[name].eval(), {}), seed)
    one, other = (source.images(split, row, 1) for split, row in zip(splits, rows, strict=True))
    assert (one != other).any()
