import gc

import numpy as np
import pytest
import torch

from tests.helpers.progress import Told
from tests.helpers.runners import FakeRunner
from workbench.measure.latency import MAX_ROUNDS, MIN_ROUNDS, Latency, latency, time_in_turns


def test_turns_are_taken_and_their_order_changes():
    log, collecting = [], []
    a, b = (FakeRunner(lambda s=seconds: collecting.append(gc.isenabled()) or s, log) for seconds in (0.1, 0.2))
    samples = time_in_turns({"a": a.clock, "b": b.clock}, seconds=2.5)
    assert {name: len(values) for name, values in samples.items()} == {"a": 8, "b": 8}
    assert log[-16:] == [a, b, b, a] * 4
    assert not any(collecting[-16:])
    assert gc.isenabled()


@pytest.mark.parametrize(("once", "rounds"), [(10.0, MIN_ROUNDS), (1e-6, MAX_ROUNDS)])
def test_there_are_neither_too_few_rounds_nor_too_many_and_warm_up_does_not_count(once, rounds):
    values = iter([0.9 * once, *[once] * 1000])
    found = time_in_turns({"a": lambda: next(values)}, seconds=1.0)["a"]
    assert (len(found), found.min()) == (rounds, once)


def test_medians_quartiles_and_their_ratio():
    def samples(**seconds):
        return Latency("", {name: np.array(values) for name, values in seconds.items()})

    found = samples(a=[0.04, 0.02, 0.03, 0.02, 0.9], b=[0.01, 0.01, 0.01, 0.01, 0.01])
    assert found.ms("a") == pytest.approx(30)
    assert found.rows[0] == ["a", "30", "20 to 40", "5"]
    assert found.speedup("a", "b") == pytest.approx(3)
    assert found.speedup_spread("a", "b") == pytest.approx((2, 4))
    drifting = samples(a=[0.02, 0.04, 0.08], b=[0.01, 0.02, 0.04])  # a busy machine slows both: the ratio stays
    assert drifting.speedup_spread("a", "b") == pytest.approx((2, 2))


def test_a_compressed_network_is_timed_against_its_original(smaller):
    before = torch.get_num_threads()
    told, both = Told(), {"original": smaller.original, "compressed": smaller}
    found = latency(both, batch=2, threads=2, channels_last=True, seconds=0.1, progress=told)
    assert list(found.samples) == ["original", "compressed"]
    assert all((values > 0).all() and len(values) >= MIN_ROUNDS for values in found.samples.values())
    assert found.how == "PyTorch, batch 2, 2 threads, channels last"
    assert torch.get_num_threads() == before
    assert told[0][1] == "preparing original for PyTorch"


def test_what_can_be_timed(network):
    with pytest.raises(ValueError, match="batch is a whole"):
        latency({"it": network}, batch=0)
