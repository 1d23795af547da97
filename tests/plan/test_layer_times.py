import pytest

from tests.helpers.machines import machine
from workbench.plan.budget import budget_plan


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
