from dataclasses import replace

import pytest

import workbench as wb
from tests.helpers.networks import same
from tests.helpers.progress import Told
from workbench.runs.run import StageName


def without(data, *names):
    """The data without the images of some splits."""
    return replace(data, **{name: wb.Split.unlabelled(data.test.images[:0], name) for name in names})


def plans_tried(stages):
    """The different plans among the runs of `on_stage`, in order."""
    return list({id(run.plan): run.plan for run in stages}.values())


def test_the_first_plan_that_loses_little_enough_is_the_result(network, data, tmp_path):
    stages, store = [], wb.RunStore(tmp_path / "runs.db")
    run = wb.compress(network, data, max_drop=0.02, on_stage=stages.append, store=store)
    assert [r.last.name for r in stages] == [StageName.DECOMPOSED, StageName.CALIBRATED]
    assert run.plan.macs_ratio > 2
    lost = wb.score(network, data.validation).top1 - wb.score(run.network, data.validation).top1
    assert run.lost() == pytest.approx(lost)
    assert lost <= 0.02
    assert run.stage("original").scores["test"] == wb.score(network, data.test)
    (kept,) = store.runs()
    assert (kept.number, kept.settings["planner"], kept.plan) == (run.number, "evbmf", run.plan)
    assert same(store.load(kept, network).model.state_dict(), run.network.model.state_dict())


def test_gentler_plans_with_their_own_settings_until_it_is_enough(network, spectra, data, tmp_path):
    stages, store = [], wb.RunStore(tmp_path / "runs.db")
    hard = wb.budget_plan(spectra, 12)
    how = {"plan": hard, "settings": {"macs_ratio": 12}, "on_stage": stages.append, "store": store}
    run = wb.compress(network, without(data, "train"), max_drop=-1.0, **how)
    tried = plans_tried(stages)
    assert len(tried) > 1
    assert [p.macs_ratio for p in tried] == sorted((p.macs_ratio for p in tried), reverse=True)
    for kept, plan in zip(store.runs(), tried, strict=True):
        assert kept.plan == plan
        assert kept.plan.macs_ratio == pytest.approx(kept.settings["macs_ratio"], rel=0.1)
    assert run.plan is tried[-1]


def test_a_plan_that_saves_weights_alone_is_not_thrown_away(network, spectra, data):
    """Fault 4: all layers kept but one, whose factors save weights and no MACs worth mentioning."""
    plan = wb.evbmf_plan(spectra)
    plan = plan.keep(*(part.name for part in plan)).with_ranks("classifier.0", rank_in=32, rank_out=32)
    assert plan.weights_ratio > 1.2
    stages = []
    run = wb.compress(network, data, plan=plan, max_drop=0.05, on_stage=stages.append)
    assert plans_tried(stages) == [plan]
    assert run.plan is plan


def test_choices_by_hand_stay_in_gentler_plans(network, spectra, data):
    plan = wb.budget_plan(spectra, 10).keep("features.3").with_ranks("features.7", rank_in=9, rank_out=7)
    stages = []
    wb.compress(network, without(data, "train"), plan=plan, max_drop=-1.0, on_stage=stages.append)
    for tried in plans_tried(stages):
        assert tried["features.3"] == plan["features.3"]
        assert tried["features.7"] == plan["features.7"]


def test_nothing_is_chosen_by_the_test_images(network, spectra, data):
    """Fault 5: the test images would say that much was lost."""
    stages = []
    tested = without(data, "train", "validation")
    run = wb.compress(network, tested, plan=wb.budget_plan(spectra, 12), on_stage=stages.append)
    assert len(stages) == 1
    assert run.lost("test") > 0.1
    assert run.lost() is None


def test_without_labels_it_is_the_agreement_that_counts(network, data):
    images = data.train.images[:100]
    unlabelled = wb.Data(*(wb.Split.unlabelled(images, name) for name in ("train", "validation", "test")), name="mine")
    run = wb.compress(network, unlabelled, max_drop=0.05)
    assert run.score().kind == "agreement"
    assert run.score().top1 == wb.compare(run.network, images).agreement
    assert run.lost() == pytest.approx(1 - run.score().top1)


def test_progress_and_what_was_reached_when_it_is_cancelled_is_in_the_store(network, data, tmp_path):
    store, told = wb.RunStore(tmp_path / "runs.db"), Told(cancel_at="calibrating")
    with pytest.raises(wb.Cancelled):
        wb.compress(network, data, store=store, progress=told)
    (run,) = store.runs()
    assert run.last.name == StageName.DECOMPOSED
