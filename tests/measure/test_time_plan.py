import numpy as np
import pytest

from tests.helpers.machines import machine
from tests.helpers.progress import Told
from workbench.measure import time_plan as module
from workbench.measure.latency import Latency
from workbench.measure.time_plan import MIN_GAINS, SLOWER_REASON, time_plan


@pytest.fixture
def clock(monkeypatch):
    """Whole networks are as much faster as this list says, one entry for each time they are timed."""
    speedups, seen, disturbed = [], [], {}

    def latency(networks, **settings):
        seen.append(networks["planned"])
        value = np.array([speedups[len(seen) - 1]])
        return Latency("", {"original": value, "planned": np.ones(1)}, disturbed.pop("note", ""))

    monkeypatch.setattr(module, "latency", latency)
    return speedups, seen, disturbed


@pytest.fixture
def times(spectra):
    return machine(spectra, overhead=1e-6)


def test_a_network_that_is_not_as_fast_as_promised_is_planned_anew(network, spectra, clock, times):
    clock[0][:] = [1.2, 1.3, 1.5]
    plan = time_plan(network, spectra, 1.5, times=times)
    promised = [times.speedup(other.plan) for other in clock[1]]
    assert promised[0] >= 1.5
    assert promised[1] >= promised[0] * 1.5 / 1.2
    assert promised[2] >= promised[1] * 1.5 / 1.3
    assert times.speedup(plan) == promised[2]
    assert plan.policy.endswith("measured x1.50 faster")
    assert all(r % 8 == 0 for p in plan for r in (p.rank_in, p.rank_out) if r)


@pytest.mark.parametrize("speedups", [[1.2, 1.3, 1.25], [1.2, 1.3, 0.9], [1.3]])
def test_the_fastest_is_taken_where_none_is_fast_enough(network, spectra, clock, times, speedups):
    clock[0][:] = speedups
    plan = time_plan(network, spectra, 1.5, times=times, rounds=len(speedups))
    assert plan.policy.endswith("measured x1.30 faster, where x1.50 was asked for")
    assert plan.layers == clock[1][speedups.index(1.3)].plan.layers


def test_a_plan_that_is_slower_after_all_gives_way(network, spectra, clock, times):
    speedups, seen, _ = clock
    speedups[:] = [0.9, 1.3]
    plan = time_plan(network, spectra, 1.3, times=times)
    for part in plan:
        if part.decision != "keep":
            assert times.layer(part) < (1 - MIN_GAINS[1]) * times.layers[part.name].dense
    speedups[:] = [0.9] * 9
    seen.clear()
    plan = time_plan(network, spectra, 1.3, times=times)
    assert len(seen) == len(MIN_GAINS)
    assert plan.macs_ratio == 1
    assert {part.decision for part in plan} == {"keep"}
    assert SLOWER_REASON in {part.reason for part in plan}


@pytest.mark.slow
def test_measured_for_real(network, spectra, own_cache):
    plan = time_plan(network, spectra, 1.1, seconds=0.2, progress=Told())
    assert all(p.decision == "keep" for p in plan) or "measured x" in plan.policy
