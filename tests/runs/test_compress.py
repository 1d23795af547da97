from dataclasses import replace

import numpy as np
import pytest

import workbench as wb
from tests.helpers.networks import few, same, small_compressed
from tests.helpers.progress import Told
from workbench.recover.checkpoint import CheckpointError
from workbench.runs import attempt
from workbench.runs.compress import Candidates, _judge
from workbench.runs.run import Run, Stage, StageName
from workbench.runs.scoring import accuracy_lost
from workbench.runs.search import Try, best_index, next_ratio, try_lines


def without(data, *names):
    """The data without the images of some splits."""
    return replace(data, **{name: wb.Split.unlabelled(data.test.images[:0], name) for name in names})


def plans_tried(stages):
    """The different plans among the runs of `on_stage`, in order."""
    return list({id(run.plan): run.plan for run in stages}.values())


def test_the_first_plan_that_loses_little_enough_is_the_result(network, data, tmp_path):
    stages, store = [], wb.RunStore(tmp_path / "runs.db")
    run = wb.compress(network, data, max_drop=1, on_stage=stages.append, store=store)
    assert [r.last.name for r in stages][:2] == [StageName.DECOMPOSED, StageName.CALIBRATED]
    assert run.plan.macs_ratio > 2
    lost = wb.score(network, data.validation).top1 - wb.score(run.network, data.validation).top1
    assert run.lost() == pytest.approx(lost)
    assert lost <= 0.01
    assert run.stage("original").scores["test"] == wb.score(network, data.test)
    (kept,) = store.runs()
    assert (kept.number, kept.settings["planner"], kept.plan) == (run.number, "budget", run.plan)
    assert kept.plan.macs_ratio == pytest.approx(kept.settings["macs_ratio"], rel=0.05)
    assert same(store.load(kept, network).model.state_dict(), run.network.model.state_dict())


def test_gentler_plans_with_their_own_settings_until_it_is_enough(network, spectra, data, tmp_path):
    stages, store = [], wb.RunStore(tmp_path / "runs.db")
    hard = wb.budget_plan(spectra, 20)
    how = {"plan": hard, "settings": {"macs_ratio": 20}, "max_drop": 1e-9, "store": store}
    run = wb.compress(network, without(data, "train"), on_stage=stages.append, **how)
    tried = plans_tried(stages)
    assert len(tried) > 1
    assert [p.macs_ratio for p in tried] == sorted((p.macs_ratio for p in tried), reverse=True)
    for kept, plan in zip(store.runs(), tried, strict=True):
        assert kept.plan == plan
        assert kept.plan.macs_ratio == pytest.approx(kept.settings["macs_ratio"], rel=0.1)
    assert run.plan is tried[-1]


def test_a_plan_that_saves_weights_alone_is_not_thrown_away(network, spectra, data):
    """All layers are kept but one, whose factors save weights and no MACs worth mentioning."""
    plan = wb.evbmf_plan(spectra)
    plan = plan.keep(*(part.name for part in plan)).with_ranks("classifier.0", rank_in=32, rank_out=32)
    assert plan.weights_ratio > 1.2
    stages = []
    run = wb.compress(network, data, plan=plan, max_drop=5, on_stage=stages.append)
    assert plans_tried(stages) == [plan]
    assert run.plan is plan


def test_nothing_is_chosen_by_the_test_images(network, spectra, data):
    """The test images would say that much was lost."""
    stages, tested = [], without(data, "train", "validation")
    run = wb.compress(network, tested, plan=wb.budget_plan(spectra, 12), on_stage=stages.append)
    assert len(stages) == 1
    assert run.lost("test") > 0.1
    assert run.lost() is None


def test_the_first_plan_is_the_largest_that_is_expected_to_lose_little_enough(network, spectra, data):
    """A budget with a larger ratio is forecast to lose more than the tolerated points."""
    images = bare(data, 60)
    measured = wb.importance(network, spectra, images)
    first, _, why = Candidates(spectra, measured, 3.0).first(None, None)
    assert measured.forecast(first.ranks).accuracy_lost <= 0.03
    larger = wb.budget_plan(spectra, 1.05 * first.macs_ratio, importance=measured)
    assert larger.forecast(network, images, importance=measured).accuracy_lost > 0.03
    assert str(measured.forecast(first.ranks)) in why
    given = wb.budget_plan(spectra, 4)
    assert Candidates(spectra, measured, 3.0).first(given, {"a": 1}) == (given, {"a": 1}, "")
    assert Candidates(spectra, None, 3.0).first(None, None)[0] == wb.evbmf_plan(spectra)
    assert Candidates(spectra, measured, None).first(None, None)[0] == wb.evbmf_plan(spectra)


def bare(data, n):
    """The training images without their labels."""
    return wb.Split.unlabelled(data.train.images[:n], "train")


def labelled(data, n):
    """The first validation images."""
    return wb.Split(data.validation.images[:n], data.validation.labels[:n], "validation")


def test_images_too_few_to_judge_any_plan_are_said(network, data, tmp_path):
    """60 validation images: not even a network without any other answer would be known to lose less than a point."""
    stages, store = [], wb.RunStore(tmp_path / "runs.db")
    data = replace(data, validation=labelled(data, 60))
    run = wb.compress(network, data, on_stage=stages.append, store=store)
    verdict = run.verdict()
    assert (verdict.n, verdict.split, verdict.tolerable) == (60, "validation", False)
    before, after = (wb.score(each, data.validation) for each in (network, run.network))
    assert (verdict.low, verdict.high) == (after.verdict(before).low, after.verdict(before).high)
    assert plans_tried(stages) == [run.plan]
    assert run.lost() <= 0.01
    assert "too few images to tell: " in run.note
    assert "on 60 validation images); 381 images or more can exclude a loss of 1 point" in run.note
    assert store.runs()[0].note == run.note


def test_many_images_without_labels_judge_rather_than_few_with(network, data):
    given = replace(data, train=bare(data, 800), validation=labelled(data, 60))
    run = wb.compress(network, given, max_drop=2)
    verdict = run.verdict(max_drop=2)
    assert (verdict.split, verdict.kind, verdict.n) == ("unlabelled", "agreement", 400)
    assert verdict.width < run.verdict("validation").width
    assert verdict.tolerable
    assert str(verdict) in run.note
    assert run.score().kind == "accuracy"  # which is still shown
    assert run.stages[-1].scores["unlabelled"] == wb.score(run.network, given.held_out)
    assert len(given.unlabelled.images) + len(given.held_out) == 800


def test_with_minutes_the_good_try_that_saves_most_is_the_result(network, spectra, data, tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "calibrate", lambda made, images, progress: made)  # which takes time
    stages, told, store = [], Told(), wb.RunStore(tmp_path / "runs.db")
    how = {"plan": wb.budget_plan(spectra, 6), "max_drop": 10, "minutes": 5, "store": store, "progress": told}
    run = wb.compress(network, bare(data, 400), on_stage=stages.append, **how)
    ends = {id(r.plan): r for r in stages}
    good = [r for r in ends.values() if accuracy_lost(r)[1] <= 10]
    assert len(good) > 1
    assert run.plan is max(good, key=lambda r: r.plan.macs_ratio).plan
    assert stages[-1] is run
    *tries, ended = run.tries
    assert len(tries) == len(ends)
    assert ended.startswith("ended: ")
    assert [line.split(", ")[-1] for line in run.tries].count("kept") == 1
    assert store[run.number].tries == run.tries
    assert told[-1][0] == 1


def test_minutes_over_after_the_first_try_end_the_search(network, spectra, data):
    run = wb.compress(network, without(data, "train"), plan=wb.budget_plan(spectra, 20), max_drop=1, minutes=1e-4)
    assert run.last.name == StageName.CALIBRATED
    assert run.plan.macs_ratio > 19
    assert run.tries[-1] == "ended: there was no time for another try"
    for settings in ({"minutes": 0}, {"max_drop": -1}):
        with pytest.raises(ValueError, match=rf"{next(iter(settings))} .*number above 0, not"):
            wb.compress(network, data, **settings)


def test_fine_tuning_that_does_not_help_is_taken_back_and_said(network, spectra, data, monkeypatch):
    def useless(made, data, *, teacher, epochs, **how):
        return made.with_model(made.model, history=(None,) * epochs)

    monkeypatch.setattr(attempt, "finetune", useless)
    monkeypatch.setattr(attempt, "calibrate", lambda made, images, progress: made)
    stages = []
    run = wb.compress(network, data, plan=wb.budget_plan(spectra, 30), max_drop=1e-3, on_stage=stages.append)
    assert run.stage(StageName.FINE_TUNED) is None
    assert len(run.tries) == len(plans_tried(stages)) == 3
    assert all("10 epochs of fine-tuning did not help and were taken back" in line for line in run.tries)
    assert {row[0] for row in run.rows[-3:]} == {"try 1", "try 2", "try 3"}


def test_each_try_is_a_training_of_its_own(network, spectra, data, tmp_path, monkeypatch):
    """The checkpoint of one try does not stop the next."""
    monkeypatch.setattr(attempt, "calibrate", lambda made, images, progress: made)  # which takes time
    monkeypatch.setattr(attempt, "FINE_TUNING", {**attempt.FINE_TUNING, "epochs": 1})
    file, stages = tmp_path / "training.checkpoint", []
    interrupted = wb.decompose(network, wb.budget_plan(spectra, 20))
    wb.finetune(interrupted, few(data), teacher=network, checkpoint=file, **attempt.FINE_TUNING)
    how = {"plan": wb.budget_plan(spectra, 40), "max_drop": 1e-3, "checkpoint": file, "on_stage": stages.append}
    wb.compress(network, few(data), **how)
    tuned = [run for run in stages if run.last.name is StageName.FINE_TUNED]
    assert len({run.plan.macs_ratio for run in tuned}) > 1
    assert [(run.settings["epochs"], run.settings["teacher"]) for run in tuned] == [(1, True)] * len(tuned)
    assert not file.exists()
    file.write_bytes(b"a file of the user's")
    with pytest.raises(CheckpointError):
        wb.compress(network, few(data), **how)
    assert file.exists()


@pytest.mark.parametrize(("note", "reached"), [("calibrating", [StageName.DECOMPOSED]), ("try 1: scoring", [])])
def test_progress_and_what_was_reached_when_it_is_cancelled_is_in_the_store(network, data, tmp_path, note, reached):
    store = wb.RunStore(tmp_path / "runs.db")
    with pytest.raises(wb.Cancelled):
        wb.compress(network, data, store=store, progress=Told(note))
    assert [run.last.name for run in store.runs()] == reached


def test_few_images_show_nothing_even_if_no_answer_changed():
    score = wb.Score(1.0, 1.0, 30, "agreement", losses=np.zeros(30))
    stages = [Stage(name, {"validation": score}) for name in (StageName.ORIGINAL, StageName.CALIBRATED)]
    judged = _judge(Run.of(small_compressed(), "some", stages), 1.0, "")
    assert (judged.good, judged.certain) == (True, False)


@pytest.mark.parametrize("limit", [1.2, 1.73, 2.9, 9.0])
def test_the_search_ends_near_the_largest_good_ratio(limit):
    found = [Try(2.33, limit >= 2.33)]
    while (ratio := next_ratio(found, allow_larger=True)) is not None:
        found.append(Try(ratio, ratio <= limit))
    assert limit / 1.06 < found[best_index(found)].macs_ratio <= limit
    assert len(found) <= 9


def test_what_images_show_comes_before_what_saves_more():
    tries = [Try(9.6, True, certain=True), Try(14.1, True), Try(28.6, False)]
    assert best_index(tries) == 0
    assert best_index([Try(9.6, True), Try(14.1, True)]) == 1
    assert best_index([*tries, Try(11.0, True, certain=True)]) == 3
    assert "less sure" in try_lines(tries)[1]


def test_the_line_of_the_kept_try_is_the_first():
    tries = [Try(2.0, True), Try(4.0, True), Try(8.0, False)]
    numbers = [line.split(":")[0] for line in try_lines(tries, end_reason="no other was worth a try")]
    assert numbers == ["try 2", "try 1", "try 3", "ended"]
