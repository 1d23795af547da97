import pytest

import workbench as wb
from benchmarks import speed
from tests.helpers.machines import machine


def test_the_plans_are_in_the_range_and_promise_the_most(spectra):
    times = machine(spectra, overhead=1e-6)
    plans = speed.planned(spectra, times, 2.0, 2.8)
    assert len(plans) == len({plan.to_json() for plan in plans}) >= 2
    for plan in plans:
        assert 2.0 <= plan.macs_ratio <= 2.8
        ranks = [r for part in plan for r in (part.rank_in, part.rank_out) if r]
        assert ranks
        assert all(r % 16 == 0 for r in ranks)
    by_macs = wb.budget_plan(spectra, 2.0, rank_multiple=16)
    promised = max(times.speedup(plan) / plan.macs_ratio for plan in plans)
    assert promised >= times.speedup(by_macs) / by_macs.macs_ratio


def test_the_last_layers_are_those_with_the_smallest_maps_and_may_be_kept(spectra):
    last = speed.last_layers(spectra)
    sizes = {layer.name: layer.shape.positions[0][1] for layer in spectra.layers if layer.kind == "conv"}
    assert last
    assert {sizes[name] for name in last} == {min(sizes.values())}
    plans = speed.planned(spectra, machine(spectra, overhead=1e-6), 1.5, 2.8)
    kept = [[part.decision == "keep" for part in plan if part.name in last[-2:]] for plan in plans]
    assert any(all(parts) for parts in kept)


def test_of_several_plans_the_one_that_realises_most_as_a_whole_is_chosen(network, spectra, monkeypatch):
    plans = [wb.budget_plan(spectra, ratio) for ratio in (2.0, 3.0, 4.0, 2.5, 3.5)]
    realised = {0: [0.5, 0.5], 1: [0.9, 0.8], 2: [0.7, 0.85], 3: [0.1, 2.0], 4: [0.6, 0.6]}  # in each round
    rounds = []

    class Run:
        def __init__(self, networks, **how):
            assert networks["original"] is network
            self.plans = [each.plan for name, each in networks.items() if name != "original"]
            assert how["runtime"] == "eager"
            rounds.append(self.plans)

        def speedup(self, before, after):
            assert before == "original"
            plan = self.plans[int(after)]
            return realised[plans.index(plan)][len(rounds) - 1] * plan.macs_ratio

    monkeypatch.setattr(speed, "latency", Run)
    assert speed.chosen(network, plans, "eager", 0.1) == plans[2]  # the best at first was the luckiest
    assert rounds == [plans, [plans[i] for i in (1, 2, 4, 0)]]


def test_every_runtime_that_is_asked_for_is_measured_or_named_absent(network, spectra, monkeypatch):
    plan = wb.budget_plan(spectra, 2.0)
    monkeypatch.setattr("workbench.exporters.executorch.missing", lambda: "ExecuTorch is not installed here.")
    found = speed.runtimes(network, plan, ["eager", "executorch"], 0.1)
    eager = found["runtimes"]["eager"]
    assert set(eager) == {"dense_ms", "compressed_ms", "speedup", "realised"}
    assert eager["speedup"] == pytest.approx(eager["dense_ms"] / eager["compressed_ms"])
    assert eager["realised"] == pytest.approx(eager["speedup"] / plan.macs_ratio)
    assert found["best_realised"] == pytest.approx(eager["realised"])
    assert found["absent"] == {"executorch": "ExecuTorch is not installed here."}


def test_every_layers_time_has_a_place(network, spectra):
    plan = wb.budget_plan(spectra, 2.0)
    found = speed.stages(network, plan, "eager")
    for which, macs in (("original", plan.dense.macs), ("compressed", plan.macs)):
        kinds = {kind: row for kind, row in found[which].items() if "macs" in row}
        assert {"first", "spatial", "connected"} <= set(kinds)
        assert ("1x1" in kinds) == (which == "compressed")
        assert sum(row["macs"] for row in kinds.values()) == macs
        spent = sum(row["ms"] for row in kinds.values())
        assert found[which]["whole"]["ms"] == pytest.approx(spent + found[which]["rest"]["ms"])
        for row in kinds.values():
            assert row["gmacs_per_second"] == pytest.approx(1e-6 * row["macs"] / row["ms"])
