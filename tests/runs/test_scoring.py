"""Scores of stages, and what runs say of a loss and a saving: by accuracy, by agreement and by a metric."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import Computes, compressed_of, numbered, small_compressed
from workbench.network.scores import Score
from workbench.network.verdict import judge_agreement, judge_pairs
from workbench.runs.run import Run, Runs, Stage, StageName
from workbench.runs.scoring import (
    accuracy_lost,
    judgement,
    points_lost,
    saving_text,
    scored_stage,
    selection_scores,
    summary,
)


def model(wrong=0):
    """Answers with the class that the image's only pixel names, but for the first `wrong` of a hundred."""

    def answer(_, x):
        number = x.flatten().long()
        return nn.functional.one_hot((number + (number % 100 < wrong).long()) % 10, 10).float()

    return Computes(answer)


def split(n, labels=True):
    return numbered(n, torch.arange(n) % 10 if labels else None)


@pytest.fixture
def networks(plan):
    """An original, and a network that answers otherwise on five of a hundred images."""
    made = compressed_of(plan, model(), model(5))
    return made.original, made


def run_of(networks, data, **more):
    original, made = networks
    first = scored_stage(original, data, StageName.ORIGINAL, **more)
    return Run.of(made, "mine", (first, scored_stage(made, data, StageName.DECOMPOSED, **more)))


@pytest.mark.parametrize(
    ("train", "validation", "expected"),
    [
        (split(800), split(200), {"validation": ("accuracy", 200)}),
        (split(800, labels=False), split(200), {"validation": ("accuracy", 200), "unlabelled": ("agreement", 400)}),
        (split(800, labels=False), split(500), {"validation": ("accuracy", 500)}),
        (split(800), split(200, labels=False), {"validation": ("agreement", 200)}),
        (split(800), split(0), {"validation": ("agreement", 400)}),
        (split(5000, labels=False), split(0), {"validation": ("agreement", 1000)}),
        (split(0), split(800, labels=False), {"validation": ("agreement", 400)}),
        (split(100, labels=False), split(0), {"validation": ("agreement", 50)}),
        (split(0), split(0), {}),
    ],
)
def test_the_images_to_choose_by(networks, train, validation, expected):
    data = wb.Data(train, validation, split(300))
    for network in networks:
        scores = selection_scores(network, data)
        assert {name: (score.kind, score.n) for name, score in scores.items()} == expected
    assert all(score.top1 == pytest.approx(0.95, abs=0.5 * score.n**-0.5) for score in scores.values())
    assert scored_stage(network, data, StageName.DECOMPOSED).scores["test"].top1 == 0.95


def test_the_verdict_is_that_of_the_narrower_interval(networks):
    run = run_of(networks, wb.Data(split(2000, labels=False), split(200), split(500)))
    right = torch.arange(200) % 100 >= 5
    labelled = replace(judge_pairs(torch.ones(200, dtype=bool).numpy(), right.numpy()), split="validation")
    assert run.verdict("validation") == labelled
    agreement = run.last.scores["unlabelled"].top1
    assert run.verdict() == replace(judge_agreement(agreement, 1000), split="unlabelled")
    assert run.verdict().width < labelled.width
    assert run.verdict("test").n == 500
    assert points_lost(run) == pytest.approx(100 * (1 - agreement))
    losses = run.last.scores["unlabelled"].losses
    assert accuracy_lost(run) == pytest.approx(
        (100 * losses.mean(), 100 * (losses.mean() + 1.96 * losses.std() / 1000**0.5)), rel=1e-4
    )
    assert accuracy_lost(run)[0] <= points_lost(run)
    seen = run_of(networks, wb.Data(split(2000), split(200), split(500)))
    assert accuracy_lost(seen) == (pytest.approx(100 * seen.verdict().lost), pytest.approx(100 * seen.verdict().high))
    assert judgement(run) == str(run.verdict())
    assert judgement(run).endswith("on 1000 unlabelled images)")


def value(network, given):
    """A metric."""
    return float(network.run(network.inputs(given.images)).argmax(1).double().mean())


def test_a_metric_is_a_score_like_others(networks, tmp_path):
    data = wb.Data(split(800), split(200), split(300))
    run = run_of(networks, data, metric=value)
    assert [stage.scores["validation"].kind for stage in run.stages] == ["value"] * 2
    assert run.verdict() is None
    original, made = (value(network, data.validation) for network in networks)
    assert run.lost() == original - made
    assert judgement(run) == f"value {made - original:.4g} higher on 200 images, of which chance may be a part"
    stored = wb.RunStore(tmp_path / "runs.db").add(run, weights=False)
    assert stored.stages == run.stages
    assert f"decomposed value {made:.4g} of 200 images" in str(Runs([stored]))
    assert "value" in Runs([stored]).to_csv()


def test_results_of_images_outlive_the_store_but_are_not_in_it(networks, tmp_path):
    store = wb.RunStore(tmp_path / "runs.db")
    run = run_of(networks, wb.Data(split(800), split(400), split(300)))
    kept = store.add(run, weights=False)
    assert kept.verdict() == run.verdict()
    (read,) = store.runs()
    assert read.stages == run.stages
    assert read.stages[0].score.hits is None
    assert read.verdict().lost == pytest.approx(run.verdict().lost)
    assert read.verdict().width > run.verdict().width


def hits(right, n):
    """The score of `right` of `n` images."""
    return Score(right / n, 1.0, n, hits=np.arange(n) < right)


def compared(before, after):
    """A run of which these scores are known before and after."""
    stages = Stage(StageName.ORIGINAL, before), Stage(StageName.CALIBRATED, after)
    return Run.of(small_compressed(), "some", stages)


@pytest.mark.parametrize(
    ("tested", "words"),
    [
        ((900, 1000), "9.0 points less accurate on 1000 images"),
        ((990, 1000), "as accurate as before on 1000 images"),
        ((7, 8), "12.5 points less accurate on 8 images, too few to tell"),
    ],
)
def test_the_test_images_judge(tested, words):
    right, n = tested
    chosen_by = hits(390, 400)
    run = compared(
        {"validation": chosen_by, "test": hits(min(n, 990), n)}, {"validation": chosen_by, "test": hits(right, n)}
    )
    assert summary(run) == f"{saving_text(run.plan)}, {words}"


@pytest.mark.parametrize(
    ("kind", "right", "words"),
    [
        ("accuracy", 47, "2.0 points less accurate on 50 images, too few to tell"),
        ("accuracy", 49, "2.0 points more accurate on 50 images, too few to tell"),
        ("agreement", 49, "2.0 % of the answers changed on 50 images, too few to tell"),
    ],
)
def test_too_few_images_are_said_with_what_they_show(kind, right, words):
    whole = 50 if kind == "agreement" else 48
    before, after = ({"validation": replace(hits(n, 50), kind=kind)} for n in (whole, right))
    assert summary(compared(before, after)).endswith(f", {words}")


def test_without_images_it_says_so():
    assert "not compared on any images" in summary(compared({}, {}))


def test_what_grows_is_said_to_grow(plan):
    layer = max(plan, key=lambda part: part.layer.cost.macs)
    ranks = dict(zip(("rank_in", "rank_out"), layer.layer.max_ranks, strict=True))
    larger = plan.keep(*(part.name for part in plan)).with_ranks(layer.name, **ranks)
    assert larger.macs_ratio < 1
    assert saving_text(SimpleNamespace(macs_ratio=118.0, weights_ratio=5.23)).startswith("120 times less work, 5.2 t")
    assert saving_text(larger) == (
        f"{1 / larger.macs_ratio:.2g} times more work, {1 / larger.weights_ratio:.2g} times larger"
    )
