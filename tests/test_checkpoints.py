import json
import pickle
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from fingerprintlib.checkpoints import (
    CheckpointError,
    load_checkpoint,
    narrowed,
    pack,
    require_same_recipe,
    save_checkpoint,
    tensors_hash,
    unpack,
    widened,
)

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
]
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)  # () is one number, (0, 3) is empty


@st.composite
def tensors(draw):
    """A tensor of any of the types, with random bits: NaNs and infinities occur."""
    dtype, shape = draw(st.sampled_from(DTYPES)), draw(SHAPES)
    seed = draw(st.integers(0, 2**31))
    count = int(np.prod(shape)) * dtype.itemsize
    bits = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, count, np.uint8))
    if dtype is torch.bool:
        return (bits % 2).bool().reshape(shape)
    return bits.view(dtype).reshape(shape) if count else torch.zeros(shape, dtype=dtype)


def same_bits(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    return (
        a.contiguous().reshape(-1).view(torch.uint8).tolist() == b.contiguous().reshape(-1).view(torch.uint8).tolist()
    )


METADATA = st.dictionaries(
    st.text(max_size=8),
    st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.lists(st.none() | st.booleans()),
    max_size=4,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda n: n != "__metadata__")


@settings(max_examples=60)
@given(st.dictionaries(NAMES, tensors(), max_size=4), METADATA)
def test_what_was_saved_is_loaded_bit_for_bit(tmp_path_factory, given_tensors, metadata):
    path = tmp_path_factory.getbasetemp() / "round.safetensors"
    save_checkpoint(path, "thing", given_tensors, metadata)
    found, told = load_checkpoint(path, "thing")
    assert told == metadata
    assert set(found) == set(given_tensors)
    for name, tensor in given_tensors.items():
        assert same_bits(found[name], tensor), name


def test_views_gradients_and_other_layouts_are_saved_by_value(tmp_path):
    base = torch.randn(2, 3, 4, 5)
    odd = {
        "strided": base[..., ::2],
        "channels last": base.to(memory_format=torch.channels_last),
        "expanded": torch.tensor([1.0, 2.0])[:, None].expand(2, 3),
        "learned": base.clone().requires_grad_(),
    }
    save_checkpoint(tmp_path / "c", "thing", odd, {})
    found, _ = load_checkpoint(tmp_path / "c", "thing")
    for name, tensor in odd.items():
        assert torch.equal(found[name], tensor), name
        assert not found[name].requires_grad


# --- what is refused ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "c.safetensors"
    content = {"weight": torch.randn(3, 2), "half": torch.randn(5).bfloat16(), "none": torch.zeros(0, 3)}
    save_checkpoint(path, "thing", content, {"classes": ["real", "progan"], "note": "née"})
    return path.read_bytes()


@pytest.fixture
def refused(tmp_path):
    def check(data, match=None):
        (tmp_path / "c").write_bytes(data)
        with pytest.raises(CheckpointError, match=match) as caught:
            load_checkpoint(tmp_path / "c", "thing")
        assert str(tmp_path / "c") in str(caught.value)

    return check


def test_cut_short_anywhere(whole, refused):
    (header,) = struct.unpack("<Q", whole[:8])
    for length in range(0, len(whole)):
        if length in (0, 1, 7, 8, 9, 8 + header - 1, 8 + header, 8 + header + 1, len(whole) - 1) or length % 37 == 0:
            refused(whole[:length], "not a whole one")
    refused(whole + b"\0", "not a whole one")


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
def test_one_altered_byte_anywhere(whole, refused, mask):
    for position in range(len(whole)):
        refused(whole[:position] + bytes([whole[position] ^ mask]) + whole[position + 1 :])


def test_altered_values_and_metadata_are_told_apart_from_damage(whole, refused):
    refused(whole[:-1] + bytes([whole[-1] ^ 1]), "was altered")
    assert whole.count(b"progan") == 1
    refused(whole.replace(b"progan", b"sngan2"), "was altered")
    swapped = whole.replace(b'\\"real\\", \\"progan\\"', b'\\"progan\\", \\"real\\"')
    assert swapped != whole
    refused(swapped, "was altered")  # another order of the classes would silently swap the answers


def test_another_kind(tmp_path, whole):
    (tmp_path / "c").write_bytes(whole)
    with pytest.raises(CheckpointError, match="holds a thing, where an attributor is needed"):
        load_checkpoint(tmp_path / "c", "attributor")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "fingerprintlib-0", "kind": "thing"}])
def test_a_safetensors_file_of_others(tmp_path, metadata):
    save_file({"weight": torch.ones(2)}, tmp_path / "c", metadata)
    with pytest.raises(CheckpointError, match="not written by this library"):
        load_checkpoint(tmp_path / "c", "thing")


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was executed",))


def test_a_pickle_is_not_opened(tmp_path, refused):
    refused(pickle.dumps(Trap()), "not a whole one")
    torch.save({"weight": torch.ones(2)}, tmp_path / "weights.pt")
    refused((tmp_path / "weights.pt").read_bytes(), "not a whole one")
    refused(b"", "not a whole one")


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(CheckpointError, match="There is no checkpoint"):
            load_checkpoint(path, "thing")


# --- hash ---------------------------------------------------------------------------------------


def test_another_recipe_is_refused_naming_each_setting_that_differs_once():
    def recipe(seed=0, **other):
        return {"corpus": "abc", "settings": {"network": {"seed": seed}, "training": {"seed": seed}}, **other}

    require_same_recipe(recipe(), recipe(), "here/x.st")
    require_same_recipe(recipe(without=None), recipe(), "here/x.st")
    with pytest.raises(CheckpointError) as caught:
        require_same_recipe(recipe(betas=[0, 1]), recipe(seed=4, corpus="xyz"), "here/x.st")
    differing = "betas (there [0, 1], here None), corpus (there 'abc', here 'xyz'), seed (there 0, here 4)"
    advice = "Use those, or delete it to train from the start."
    assert str(caught.value) == f"here/x.st is of a run with other settings: {differing}. {advice}"


def test_settings_of_one_name_in_two_places_are_told_apart():
    one, other = {"network": {"seed": 1}, "seed": 2}, {"network": {"seed": 2}, "seed": 2}
    with pytest.raises(CheckpointError, match=r"seed \(there 1, here 2\)"):
        require_same_recipe(one, other, "x")


def test_the_hash_is_of_names_shapes_dtypes_and_bytes():
    a, b = torch.arange(6, dtype=torch.float32), torch.ones(2)
    base = tensors_hash({"a": a, "b": b})
    assert tensors_hash({"b": b, "a": a.clone()}) == base
    others = [
        {"a": a.reshape(2, 3), "b": b},
        {"a": a.view(torch.int32), "b": b},
        {"a": a, "c": b},
        {"a": a},
        {"a": a + 1, "b": b},
        {"a": -a, "b": b},  # -0.0 for 0.0 counts too
    ]
    assert len({base, *map(tensors_hash, others)}) == 1 + len(others)
    wide = torch.randn(2, 3, 4, 4)
    assert tensors_hash({"a": wide.to(memory_format=torch.channels_last)}) == tensors_hash({"a": wide})


# --- modules and optimizers ---------------------------------------------------------------------


def network(width=3):
    return nn.Sequential(nn.Conv2d(2, width, 3), nn.BatchNorm2d(width), nn.utils.spectral_norm(nn.Conv2d(width, 1, 1)))


def train(net, optimizer, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(4, 2, 5, 5, generator=generator)).square().mean().backward()
        optimizer.step()


def all_state(net, optimizer):
    found = {f"net/{name}": value for name, value in net.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        found |= {f"adam/{number}/{name}": torch.as_tensor(value) for name, value in state.items()}
    return found


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_network_and_its_adam_go_on_bit_for_bit(tmp_path, fused, layout):
    def fresh(learning_rate):
        torch.manual_seed(0)
        net = network().to(memory_format=layout)
        return net, torch.optim.Adam(net.parameters(), lr=learning_rate, betas=(0.1, 0.97), fused=fused)

    net, adam = fresh(1e-2)
    train(net, adam, 3, seed=1)
    packed, plain = pack({"net": net, "adam": adam})
    save_checkpoint(tmp_path / "c", "thing", packed, {"state": plain})

    other, other_adam = fresh(0.5)
    train(other, other_adam, 1, seed=9)
    found, told = load_checkpoint(tmp_path / "c", "thing")
    unpack({"net": other, "adam": other_adam}, found, told["state"])
    assert other_adam.param_groups[0]["lr"] == 1e-2
    assert other_adam.param_groups[0]["betas"] == (0.1, 0.97)  # a tuple again
    for steps in (0, 3):
        train(net, adam, steps, seed=2)
        train(other, other_adam, steps, seed=2)
        mine, theirs = all_state(net, adam), all_state(other, other_adam)
        assert set(mine) == set(theirs)
        assert {"adam/0/exp_avg", "adam/0/step", "net/1.running_mean", "net/2.weight_u"} <= set(mine)
        for name, value in mine.items():
            assert same_bits(value, theirs[name]), (steps, name)


def test_packed_state_is_json_and_tensors():
    net = network()
    adam = torch.optim.Adam(net.parameters())
    train(net, adam, 1, seed=0)
    packed, plain = pack({"net": net, "adam": adam})
    assert json.loads(json.dumps(plain)) == plain
    assert all(isinstance(value, torch.Tensor) for value in packed.values())


@pytest.mark.parametrize("misfit", ["wider", "another network", "absent", "another optimizer"])
def test_what_does_not_fit_is_refused_by_name(misfit):
    net = network()
    adam = torch.optim.Adam(net.parameters())
    packed, plain = pack({"net": net, "adam": adam})
    wanted = {
        "wider": {"net": network(4)},
        "another network": {"net": nn.Linear(2, 2)},
        "absent": {"critic": network()},
        "another optimizer": {"adam": torch.optim.Adam(nn.Linear(2, 2).parameters())},
    }[misfit]
    with pytest.raises(CheckpointError, match=f"checkpoint's '{next(iter(wanted))}' does not fit"):
        unpack(wanted, packed, plain)


@pytest.mark.parametrize(("bits", "error"), [(16, 2**-11), (8, 1 / 254)])
def test_fewer_bits_round_and_nothing_more(bits, error):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "kernel": torch.randn(4, 3, 3, 3, generator=generator),
        "bias": torch.randn(4, generator=generator),
        "count": torch.arange(4)[None],
        "nothing": torch.zeros(2, 5),
    }
    tensors["kernel"][1] *= 1000  # a loud row does not spoil a soft one
    narrow = narrowed(tensors, bits)
    assert narrow["kernel"].element_size() == bits // 8
    found = widened(narrow)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in ("bias", "count", "nothing"))
    largest = tensors["kernel"].abs().flatten(1).amax(1)[:, None, None, None]
    assert ((found["kernel"] - tensors["kernel"]).abs() <= 1.01 * error * largest).all()
