import json

import pytest

import workbench as wb
from tests.helpers.machines import machine, table
from workbench.plan.budget import budget_plan
from workbench.plan.layer_times import LayerTimes, NetworkTimes
from workbench.plan.plan import PlanError


def test_where_time_is_work_the_table_is_exact_between_its_points(spectra):
    times = machine(spectra, rest=1e-6)
    assert times.dense == pytest.approx(1e-9 * (spectra.total.macs - spectra.other.macs) + 1e-6)
    for ratio in (1.5, 2.0, 4.0, 7.0):
        plan = budget_plan(spectra, ratio)
        assert times.of(plan) == pytest.approx(1e-9 * (plan.macs - spectra.other.macs) + 1e-6, rel=1e-12)


def test_a_machine_without_overhead_is_planned_for_as_by_macs(spectra):
    by_time = budget_plan(spectra, time_ratio=3.0, times=machine(spectra))
    by_macs = budget_plan(
        spectra, spectra.total.macs / (spectra.other.macs + (spectra.total.macs - spectra.other.macs) / 3)
    )
    assert [(p.rank_in, p.rank_out) for p in by_time] == [(p.rank_in, p.rank_out) for p in by_macs]


def test_beyond_the_grid_times_do_not_fall(spectra):
    known = machine(spectra).layers["features.3"]
    grid = LayerTimes(known.dense, (8, 16), (8, 16), known.two_sided[:2, :2], known.one_sided[:2])
    assert grid.tucker2(2, 3) == grid.tucker2(8, 8)
    assert grid.tucker1(400) == grid.tucker1(16)
    assert grid.tucker2([8, 9], [8, 9]).shape == (2,)


def test_with_overhead_no_layer_is_reduced_that_is_not_faster(spectra):
    times = machine(spectra, overhead=2e-4)
    small = [layer.name for layer in spectra.layers if layer.name in spectra and layer.cost.macs < 2e5]
    assert small
    plan = budget_plan(spectra, 2.0, times=times)
    for part in plan:
        if part.decision != "keep":
            assert times.layer(part) < times.layers[part.name].dense
    assert all(plan[name].reason == "kept: no ranks make it cheaper here" for name in small)
    assert budget_plan(spectra, 2.0)[small[0]].decision in {"tucker1", "tucker2", "keep"}
    assert times.of(plan) < times.dense


@pytest.mark.parametrize("overhead", [0.0, 2e-5, 1e-4])
def test_a_budget_of_time_is_met_and_a_larger_one_never_predicts_a_larger_error(spectra, overhead):
    times = machine(spectra, overhead=overhead, rest=1e-4)
    errors = []
    for ratio in (1.0, 1.2, 1.5, 1.8):
        plan = budget_plan(spectra, time_ratio=ratio, times=times)
        assert times.speedup(plan) >= ratio - 1e-9
        errors.append(plan.error)
    assert errors == sorted(errors)


def test_macs_weights_and_time_together(spectra):
    times = machine(spectra, overhead=1e-5)
    plan = budget_plan(spectra, 2.5, weights_ratio=3.0, time_ratio=1.7, times=times)
    assert plan.macs_ratio >= 2.5
    assert plan.weights_ratio >= 3.0
    assert times.speedup(plan) >= 1.7
    assert plan.policy.startswith("budget MACs x2.5, weights x3, time x1.7 on a model of a machine")


def test_a_layer_that_must_save_more_is_kept_sooner(spectra):
    times = machine(spectra, overhead=1e-4)
    counts = [
        sum(p.decision != "keep" for p in budget_plan(spectra, time_ratio=1.05, times=times, min_gain=gain))
        for gain in (0.0, 0.6)
    ]
    plan = budget_plan(spectra, time_ratio=1.05, times=times, min_gain=0.6)
    assert counts[1] <= counts[0]
    for part in plan:
        if part.decision != "keep":
            assert times.layer(part) < 0.4 * times.layers[part.name].dense


def test_what_cannot_be_said_in_one_sentence_each(spectra):
    times = machine(spectra)
    with pytest.raises(PlanError, match=r"time x1000 is out of reach: the most on this machine is x\d"):
        budget_plan(spectra, time_ratio=1000, times=times)
    with pytest.raises(ValueError, match="needs the layers' times on this machine"):
        budget_plan(spectra, time_ratio=2)
    with pytest.raises(ValueError, match="time_ratio is original / compressed"):
        budget_plan(spectra, time_ratio=-1, times=times)
    with pytest.raises(ValueError, match="min_gain is a share"):
        budget_plan(spectra, 2, times=times, min_gain=1)
    with pytest.raises(PlanError, match="these times are of other"):
        budget_plan(spectra, 2, times=NetworkTimes("other", "", times.layers, 0.0, 0.0))


def test_a_pinned_layer_has_its_time(spectra):
    times = machine(spectra)
    plan = budget_plan(spectra, time_ratio=2.0, times=times, pinned={"features.3": (20, 30), "features.7": "keep"})
    assert (plan["features.3"].rank_in, plan["features.7"].decision) == (20, "keep")
    assert times.speedup(plan) >= 2.0


def test_tables_survive_json_and_broken_ones_do_not(spectra):
    for layer in spectra.layers:
        known = table(layer)
        again = LayerTimes.from_dict(json.loads(json.dumps(known.to_dict())))
        assert again.to_dict() == known.to_dict()
    values = table(spectra.layers[1]).to_dict()
    with pytest.raises(ValueError, match="no table"):
        LayerTimes.from_dict(values | {"two_sided": values["two_sided"][:-1]})
    with pytest.raises(ValueError, match="no table"):
        LayerTimes.from_dict(values | {"one_sided": [-1.0, *values["one_sided"][1:]]})


def test_it_says_what_it_is(spectra):
    assert "measured in 1 s" in str(machine(spectra))
    assert isinstance(budget_plan(spectra, 2.0), wb.Plan)
