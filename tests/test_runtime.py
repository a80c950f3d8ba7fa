import copy
import itertools
import multiprocessing
import os
import socket
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fingerprintlib import runtime
from fingerprintlib.errors import UsageError
from fingerprintlib.processes import average_gradients
from fingerprintlib.runtime import (
    computed_with,
    in_parallel,
    make_fabric,
    step_generator,
    update_ema,
)


def draw(*arguments):
    return torch.randint(2**31, (4,), generator=step_generator(*arguments)).tolist()


@settings(max_examples=50)
@given(st.integers(0, 2**40), st.integers(0, 10**7), st.integers(0, 64))
def test_randomness_is_a_function_of_seed_step_and_rank(seed, step, rank):
    here = draw(seed, step, rank)
    torch.rand(3)  # the global state plays no part
    assert draw(seed, step, rank) == here
    neighbours = {
        (s, t, r)
        for s in {seed, seed + 1, step}
        for t in {step, step + 1, seed, max(step - 1, 0)}
        for r in {rank, rank + 1, step}
    } - {(seed, step, rank)}
    streams = [here, *(draw(*neighbour) for neighbour in neighbours)]
    assert len({tuple(stream) for stream in streams}) == len(streams)


def test_a_thousand_steps_have_a_thousand_streams_that_look_uniform():
    first = torch.stack([torch.rand(8, generator=step_generator(0, step)) for step in range(1000)])
    assert len(first.unique(dim=0)) == 1000
    assert abs(first.mean() - 0.5) < 0.02
    assert abs(torch.corrcoef(torch.stack([first[:-1, 0], first[1:, 0]]))[0, 1]) < 0.1


def test_more_than_torchs_32_bits_of_a_seed_tell_streams_apart():
    # Steps of seed 0 that were one stream when each was seeded by torch with a hash of seed and step.
    for one, other in ((34460, 176909), (18319, 142997), (18154, 26287), (173627, 177995)):
        assert draw(0, one) != draw(0, other)
    word = torch.empty(1, dtype=torch.int64)
    assert len({word.random_(generator=step_generator(0, step)).item() for step in range(200_000)}) == 200_000


def test_the_whole_state_of_the_twister_is_filled():
    """It goes on as NumPy's does from the words that Philox, the keyed generator, gives."""
    seed, step, rank = 2**40 + 7, 12345, 3
    words = np.random.Philox(key=[seed, step], counter=[0, 0, rank, 0]).random_raw(312).view(np.uint32)
    assert len(set(words.tolist())) == 624
    twister = np.random.MT19937()
    twister.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": 624}}
    drawn = torch.randint(2**16, (2000,), generator=step_generator(seed, step, rank))
    np.testing.assert_array_equal(drawn, twister.random_raw(2000) % 2**16)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999, 1.0])
def test_the_moving_average_follows_its_formula_and_copies_buffers(decay):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = copy.deepcopy(network)
    expected = [parameter.detach().double() for parameter in average.parameters()]
    for step in (0, 1, 5, 10**6, 10**6 + 1):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        network(torch.randn(6, 3))
        update_ema(average, network, decay, step)
        shorter = min(decay, (1 + step) / (10 + step))
        expected = [
            shorter * old + (1 - shorter) * new.detach().double()
            for old, new in zip(expected, network.parameters(), strict=True)
        ]
    for found, wanted in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach().double(), wanted, rtol=1e-5, atol=1e-6)
    assert average[1].num_batches_tracked == 5
    assert torch.equal(average[1].running_mean, network[1].running_mean)
    assert average[1].running_mean.abs().max() > 0


def test_one_process_keeps_its_gradients():
    network = nn.Linear(2, 1)
    network.weight.grad = torch.tensor([[1.0, 2.0]])
    average_gradients(make_fabric("cpu", "32-true"), network)
    assert network.weight.grad.tolist() == [[1.0, 2.0]]
    assert network.bias.grad is None


@pytest.mark.parametrize(("precision", "type_"), [("bf16-mixed", "bfloat16"), ("32-true", "float32")])
def test_recipes_hold_what_is_computed_with(precision, type_):
    assert computed_with(make_fabric("cpu", precision)) == {"precision": type_}


@pytest.mark.parametrize("has_matrix_units", [True, False])
def test_the_precision_follows_the_processor(monkeypatch, has_matrix_units):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has_matrix_units})
    expected = "bfloat16" if has_matrix_units else "float32"
    assert computed_with(make_fabric())["precision"] == computed_with(make_fabric("cpu"))["precision"] == expected


def _average_in_a_process(rank, shared, results):
    os.environ.update(shared, RANK=str(rank), LOCAL_RANK=str(rank))
    fabric = make_fabric("cpu", "32-true")
    network = nn.Linear(2, 1)
    network.weight.grad = torch.tensor([[1.0, 10.0]]) * (1 + 2 * fabric.global_rank)
    average_gradients(fabric, network)
    results.put((fabric.world_size, network.weight.grad.tolist(), network.bias.grad))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_average_theirs():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {  # what torchrun sets
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
        **{"GROUP_RANK": "0", "NODE_RANK": "0", "TORCHELASTIC_RUN_ID": "test"},
    }
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_average_in_a_process, args=(rank, shared, results)) for rank in (0, 1)]
    for process in processes:
        process.start()
    try:
        assert [results.get(timeout=60) for _ in processes] == [(2, [[2.0, 20.0]], None)] * 2
    finally:
        for process in processes:
            process.kill()
            process.join()


def threads_and(value):
    return torch.get_num_threads(), value


@pytest.mark.parametrize("threads", [1, 2])
def test_in_parallel_keeps_the_order_and_gives_each_call_one_thread(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert in_parallel(threads_and, [{"value": value} for value in "abc"]) == [(1, value) for value in "abc"]
    finally:
        torch.set_num_threads(before)


def process_of(value):
    return os.getpid()


@pytest.mark.parametrize("lacking", ["joblib", "a free CPU"])
def test_in_parallel_stays_in_this_process_without_joblib_and_with_any_accelerator(monkeypatch, lacking):
    if lacking == "joblib":
        monkeypatch.setitem(sys.modules, "joblib", None)
    else:
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    torch.set_num_threads(2)
    try:
        assert in_parallel(process_of, [{"value": 1}, {"value": 2}]) == [os.getpid()] * 2
    finally:
        torch.set_num_threads(1)


def on_gpu(seconds):
    start = time.monotonic()
    time.sleep(seconds)
    return seconds, os.environ["FINGERPRINTS_GPU"], start, time.monotonic()


def test_in_parallel_takes_the_gpu_that_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    seconds = [0.8, 0.2, 0.8, 0.2, 0.2]  # turn and turn about, both long ones would be on one GPU
    calls = in_parallel(on_gpu, [{"seconds": some} for some in seconds])
    assert [call[0] for call in calls] == seconds
    for gpu in "01":
        mine = sorted((start, end) for _, one, start, end in calls if one == gpu)
        assert mine
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(mine))  # one at a time


def test_a_process_with_a_gpu_of_its_own_takes_that_one(monkeypatch):
    asked = {}

    class Launched:
        def __init__(self, **options):
            asked.update(options)

        def launch(self):
            pass

    monkeypatch.setattr(runtime, "Fabric", Launched)
    monkeypatch.setenv("FINGERPRINTS_GPU", "3")
    make_fabric()
    assert asked["devices"] == [3]
    monkeypatch.delenv("FINGERPRINTS_GPU")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    make_fabric()
    assert asked["devices"] == 2


def refuse(value):
    raise UsageError(f"{value} is refused.")


def test_in_parallel_hands_an_error_on():
    torch.set_num_threads(2)
    try:
        with pytest.raises(UsageError, match=r"[ab] is refused\."):
            in_parallel(refuse, [{"value": "a"}, {"value": "b"}])
    finally:
        torch.set_num_threads(1)
