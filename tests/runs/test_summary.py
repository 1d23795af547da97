"""What a run saved and lost, in a sentence."""

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.networks import small_compressed
from workbench.network.scores import Score
from workbench.runs.run import Run, Stage, StageName
from workbench.runs.summary import saving_text, summary


def hits(right, n):
    """The score of `right` of `n` images."""
    return Score(right / n, 1.0, n, hits=np.arange(n) < right)


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
    before = {"validation": hits(390, 400), "test": hits(min(n, 990), n)}
    after = {"validation": hits(390, 400), "test": hits(right, n)}
    run = Run.of(small_compressed(), "some", (Stage(StageName.ORIGINAL, before), Stage(StageName.CALIBRATED, after)))
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
    before, after = (replace(hits(n, 50), kind=kind) for n in (whole, right))
    stages = Stage(StageName.ORIGINAL, {"validation": before}), Stage(StageName.CALIBRATED, {"validation": after})
    assert summary(Run.of(small_compressed(), "some", stages)).endswith(f", {words}")


def test_without_images_it_says_so():
    run = Run.of(small_compressed(), "none", (Stage(StageName.ORIGINAL, {}), Stage(StageName.DECOMPOSED, {})))
    assert "not compared on any images" in summary(run)


def test_what_grows_is_said_to_grow(plan):
    layer = max(plan, key=lambda part: part.layer.cost.macs)
    ranks = dict(zip(("rank_in", "rank_out"), layer.layer.max_ranks, strict=True))
    for part in plan:
        plan = plan.keep(part.name)
    larger = plan.with_ranks(layer.name, **ranks)
    assert larger.macs_ratio < 1
    assert saving_text(larger) == (
        f"{1 / larger.macs_ratio:.2g} times more work, {1 / larger.weights_ratio:.2g} times larger"
    )
