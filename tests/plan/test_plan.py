import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import workbench as wb
from workbench.plan.plan import LayerPlan, PlanError


def test_totals_are_sums(plan):
    for what in ("macs", "weights"):
        whole = sum(getattr(part.cost, what) for part in plan) + getattr(plan.other, what)
        assert getattr(plan, what) == whole
        assert getattr(plan, f"{what}_ratio") == getattr(plan.dense, what) / whole
    assert plan.error == pytest.approx((sum(part.error**2 for part in plan) / 8) ** 0.5)
    kept = plan.keep(*(part.name for part in plan))
    assert (kept.error, kept.macs, kept.macs_ratio) == (0, plan.dense.macs, 1)
    assert wb.Plan.from_json(plan.to_json()).with_ranks("features.3", rank_in=3).error is None


def test_ranks_by_hand(plan):
    edited = plan.with_ranks("features.3", rank_in=12, rank_out=20)
    error = plan.spectra["features.3"].error(rank_in=12, rank_out=20)
    assert edited["features.3"] == LayerPlan(plan["features.3"].layer, "tucker2", 12, 20, "chosen by hand", error)
    assert plan["features.3"].rank_in != 12  # the plan itself has not changed
    one = edited.with_ranks("features.3", rank_out=21)
    assert (one["features.3"].rank_in, one["features.3"].rank_out) == (12, 21)
    kept = plan.keep("features.7")
    assert kept.with_ranks("features.7", rank_out=9)["features.7"].decision == "tucker1"
    assert "1.28 times the MACs" in plan.with_ranks("features.3", rank_in=32, rank_out=64)["features.3"].reason
    of_numpy = plan.with_ranks("features.3", rank_in=np.int64(12), rank_out=np.int32(20))
    assert of_numpy.to_json() == edited.to_json()


@given(rank_in=st.integers(1, 31), rank_out=st.integers(1, 63))
@settings(max_examples=30, deadline=None)
def test_more_rank_costs_more_and_errs_less(spectra, rank_in, rank_out):
    plan = wb.evbmf_plan(spectra)
    small = plan.with_ranks("features.3", rank_in=rank_in, rank_out=rank_out)
    for more in ({"rank_in": rank_in + 1}, {"rank_out": rank_out + 1}):
        large = small.with_ranks("features.3", **more)
        assert large.macs > small.macs
        assert large.weights > small.weights
        assert large["features.3"].error <= small["features.3"].error + 1e-12


@pytest.mark.parametrize(
    ("name", "ranks", "message"),
    [
        ("features.3", {"rank_in": 33, "rank_out": 2}, "layer features.3: rank_in=33 does not fit, it can be 1 to 32"),
        ("features.3", {"rank_in": 3, "rank_out": 0}, "layer features.3: rank_out=0 does not fit"),
        ("features.3", {"rank_in": 3, "rank_out": 2.5}, "layer features.3: rank_out=2.5 is not a whole number"),
        ("features.3", {"rank_in": 3, "rank_out": True}, "layer features.3: rank_out=True is not a whole number"),
        ("features.3", {}, "layer features.3: give rank_in, rank_out or both"),
        ("features.0", {"rank_in": 1}, "layer features.0 is reduced in its output channels only"),
        ("classifier.2", {"rank_in": 3, "rank_out": 3}, "layer classifier.2 is a matrix"),
    ],
)
def test_ranks_that_do_not_fit(plan, name, ranks, message):
    with pytest.raises(PlanError, match=message):
        plan.with_ranks(name, **ranks)


def test_json_there_and_back(plan, mixed):
    tied = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))
    tied[1].weight = tied[0].weight
    for original in (plan, *(wb.evbmf_plan(wb.analyze(n)) for n in (mixed, wb.Network(tied, (8, 9, 9))))):
        assert wb.Plan.from_json(original.to_json()) == original
    assert wb.Plan.from_json(plan.to_json(), plan.spectra).with_ranks("features.3", rank_in=3)["features.3"].error


def change(**values):
    return lambda plan: plan["layers"][2].update(values)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda plan: plan.pop("schema"), "no schema version"),
        (lambda plan: plan.update(schema=99), "schema version 99; this workbench reads version 1"),
        (lambda plan: plan.pop("layers"), "damaged in its head"),
        (lambda plan: plan["layers"].insert(2, 5), "damaged in layer number 3"),
        (lambda plan: plan["layers"][2].pop("layer"), "damaged in layer number 3"),
        (lambda plan: plan["layers"][2].pop("decision"), "damaged in layer features.7"),
        (change(decision="svd"), "layer features.7: the decision 'svd' is none of"),
        (change(rank_in=4000), "layer features.7: rank_in=4000 does not fit"),
        (change(rank_in=None), "layer features.7: tucker2 takes a rank_in"),
        (change(decision="keep"), "layer features.7: keep takes no rank_in"),
    ],
)
def test_damaged_plans_are_named(plan, damage, message):
    values = json.loads(plan.to_json())
    damage(values)
    with pytest.raises(PlanError, match=message):
        wb.Plan.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "{", "[]", '"plan"'])
def test_what_is_no_plan(text):
    with pytest.raises(PlanError, match="this is not a plan"):
        wb.Plan.from_json(text)
