import itertools

import numpy as np
import pytest
from torch import nn

import workbench as wb
from tests.helpers.machines import machine
from workbench.plan.budget import budget_plan
from workbench.plan.importance import importance
from workbench.plan.layer_times import NetworkTimes
from workbench.plan.plan import PlanError

RATIOS = (1.0, 1.2, 1.5, 2.06, 3.0, 4.5, 6.0, 8.0)


@pytest.fixture(scope="module")
def measured(network, spectra, data):
    return importance(network, spectra, data.train.images[:64])


def predicted(plan, measured=None):
    """The sum that the budget minimises."""
    if measured is None:
        return sum(part.error**2 for part in plan)
    reduced = [part for part in plan if part.decision != "keep"]
    return sum(measured.lost[p.name][p.rank_out, -1 if p.rank_in is None else p.rank_in] for p in reduced)


@pytest.mark.parametrize("outputs", [False, True])
@pytest.mark.parametrize("weights_ratio", [None, 3.0])
def test_the_budget_is_met_and_a_larger_one_never_predicts_a_larger_error(spectra, measured, outputs, weights_ratio):
    by = measured if outputs else None
    errors = []
    for ratio in RATIOS:
        plan = budget_plan(spectra, ratio, weights_ratio=weights_ratio, importance=by)
        assert ratio <= plan.macs_ratio < (1.1 * ratio if by is weights_ratio is None else 1000)
        assert weights_ratio is None or plan.weights_ratio >= weights_ratio
        for part in plan:
            assert part.cost.macs <= part.layer.cost.macs
            assert part.cost.weights <= part.layer.cost.weights
        errors.append(predicted(plan, by))
    assert errors == sorted(errors)
    assert errors[-1] > errors[0]
    assert weights_ratio or errors[0] < 1e-6  # nothing to save is nothing done


def test_no_plan_on_its_own_budget_is_better():
    model = nn.Sequential(nn.Conv2d(5, 6, 3, padding=1), nn.Conv2d(6, 7, 3, padding=1), nn.Conv2d(7, 8, 1))
    spectra = wb.analyze(wb.Network(model, (5, 6, 6)), cached=False)
    dense = budget_plan(spectra, 1.0, pinned={layer.name: "keep" for layer in spectra.layers})
    options = []
    for layer in spectra.layers:
        ins = range(1, layer.max_ranks[0] + 1) if layer.method == "tucker2" else ()
        ranks = itertools.product((None, *ins), range(1, layer.max_ranks[1] + 1))
        parts = [dense.with_ranks(layer.name, rank_in=i, rank_out=o)[layer.name] for i, o in ranks]
        fitting = [p for p in parts if p.cost.macs <= layer.cost.macs and p.cost.weights <= layer.cost.weights]
        options.append([(layer.cost.macs, 0.0), *((p.cost.macs, p.error**2) for p in fitting)])
    plans = np.array([np.sum(choice, axis=0) for choice in itertools.product(*options)])  # all of them
    for ratio in (1.3, 1.7, 2.5, 4.0):
        plan = budget_plan(spectra, ratio)
        assert predicted(plan) <= plans[plans[:, 0] <= plan.macs, 1].min() + 1e-9


def test_where_time_is_work_the_table_is_exact_between_its_points(spectra):
    times = machine(spectra, other=1e-6)
    assert times.dense == pytest.approx(1e-9 * (spectra.total.macs - spectra.other.macs) + 1e-6)
    for ratio in (1.5, 2.0, 4.0, 7.0):
        plan = budget_plan(spectra, ratio)
        assert times.of(plan) == pytest.approx(1e-9 * (plan.macs - spectra.other.macs) + 1e-6, rel=1e-12)
    total, other = spectra.total.macs, spectra.other.macs
    by_time = budget_plan(spectra, time_ratio=3.0, times=machine(spectra))
    assert by_time.same_decisions(budget_plan(spectra, total / (other + (total - other) / 3)))


@pytest.mark.parametrize("gain", [0.0, 0.6])
def test_with_overhead_no_layer_is_reduced_that_is_not_faster(spectra, gain):
    times = machine(spectra, overhead=1e-4)
    plan = budget_plan(spectra, time_ratio=1.05, times=times, min_gain=gain)
    assert plan["features.0"].reason == "kept: no ranks make it cheaper here"
    reduced = [part for part in plan if part.decision != "keep"]
    assert reduced
    assert all(times.layer(part) < (1 - gain) * times.layers[part.name].dense for part in reduced)


@pytest.mark.parametrize("overhead", [0.0, 2e-5, 1e-4])
def test_a_budget_of_time_is_met_and_a_larger_one_never_predicts_a_larger_error(spectra, overhead):
    times = machine(spectra, overhead=overhead, other=1e-4)
    errors = []
    for ratio in (1.0, 1.2, 1.5, 1.8):
        plan = budget_plan(spectra, time_ratio=ratio, times=times)
        assert times.speedup(plan) >= ratio - 1e-9
        errors.append(plan.error)
    assert errors == sorted(errors)


def test_pinned_layers_are_as_they_were_pinned(spectra, plan):
    pinned = {"features.3": (5, 9), "features.0": (None, 4), "features.7": "keep"}
    with pytest.raises(PlanError, match=r"layer features\.3 is pinned to a part of another layer, features\.7"):
        budget_plan(spectra, 2.5, pinned={"features.3": plan["features.7"]})
    plan = budget_plan(spectra, 2.5, pinned=pinned)
    assert (plan["features.3"].rank_in, plan["features.3"].rank_out) == (5, 9)
    assert plan["features.3"].by_hand
    assert (plan["features.0"].decision, plan["features.0"].rank_out) == ("tucker1", 4)
    assert (plan["features.7"].decision, plan["features.7"].reason) == ("keep", "kept by hand")
    assert plan.macs_ratio >= 2.5


def test_an_impossible_budget_names_the_best(spectra):
    with pytest.raises(PlanError, match=r"MACs x1000 is out of reach: the most with these settings is x\d") as raised:
        budget_plan(spectra, 1000)
    best = float(str(raised.value).rsplit("x", 1)[1])
    assert budget_plan(spectra, best - 0.01).macs_ratio >= best - 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights_ratio": 5000}, r"weights x5000 is out of reach: the most with these settings is x\d"),
        ({"macs_ratio": 0.5}, "macs_ratio is original / compressed"),
        ({"rank_multiple": 1.5}, "rank_multiple must be a whole number"),
        ({"min_rank": 0}, "min_rank must be a whole number"),
        ({"pinned": {"nothing": "keep"}}, "has no layer 'nothing' to pin"),
        ({"pinned": {"features.3": "kept"}}, "not to 'kept'"),
        ({"pinned": {"features.3": (500, 1)}}, "rank_in=500 does not fit"),
        ({"time_ratio": 1000}, r"time x1000 is out of reach: the most on this machine is x\d"),
        ({"time_ratio": 2, "times": None}, "needs the layers' times on this machine"),
        ({"min_gain": 1}, "min_gain is a share"),
        ({"times": NetworkTimes("other", "", {}, 0.0, 0.0)}, "these times are of other"),
    ],
)
def test_settings_that_make_no_sense(spectra, settings, message):
    with pytest.raises(ValueError, match=message):
        budget_plan(spectra, **{"times": machine(spectra)} | settings)
