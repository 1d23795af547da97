import math

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import compressed_of, listed, numbered
from workbench.network.outputs import probability_lost
from workbench.network.scores import accuracy
from workbench.network.verdict import judge_agreement, paired_interval, unpaired_interval


def fixed(outputs):
    return wb.Network(listed(outputs), (1, 1, 1), name="fixed")


def test_accuracy_counts_first_and_first_five():
    outputs = torch.eye(10)[:4] * 2 - torch.arange(10) * 0.1  # row i: class i first, then 0, 1, 2, ...
    split = numbered(4, [0, 1, 3, 9])
    score = wb.score(fixed(outputs), split)
    assert (score.top1, score.top5, score.n, score.kind) == (0.5, 0.75, 4, "accuracy")
    assert "50.00 % (15.0 to 85.0)" in str(score)
    assert wb.score(fixed(torch.eye(3)[[1, 1]]), numbered(2, [0, 1])).top5 == 1
    assert wb.score(fixed(outputs), wb.Data(split, split, split)) == score  # a Data stands for its test split


def test_agreement_counts_the_answers_of_the_original(plan, generator):
    wanted, made = torch.randn(2, 40, 10, dtype=torch.float64, generator=generator)
    score = wb.score(compressed_of(plan, listed(wanted), listed(made)), numbered(40))
    same = wanted.argmax(1) == made.argmax(1)
    among = (made.topk(5).indices == wanted.argmax(1)[:, None]).any(1)
    assert score == wb.Score(float(same.double().mean()), float(among.double().mean()), 40, "agreement")
    assert score.hits.tolist() == same.tolist()
    assert score.losses.tolist() == probability_lost(wanted, made).tolist()
    places = torch.randn(2, 3, 4, 5, 6, generator=generator)  # 3 images, 4 classes
    score = wb.score(compressed_of(plan, *map(listed, places)), numbered(3))
    assert score.top1 == pytest.approx(float((places[0].argmax(1) == places[1].argmax(1)).double().mean()))
    assert (score.n, score.kind, score.hits) == (3, "agreement", None)


def test_scores_of_the_same_images_are_judged_image_by_image(plan, generator):
    labels = torch.randint(10, (200,), generator=generator)
    right = torch.eye(10)[labels]
    wrong = right.roll(1, dims=1)
    before, after = right.clone(), right.clone()
    after[:20], before[20:30] = wrong[:20], wrong[20:30]
    before[100:], after[100:] = wrong[100:], wrong[100:]
    original, made = (wb.score(fixed(outputs), numbered(200, labels)) for outputs in (before, after))
    found = made.verdict(original)
    assert (found.low, found.high) == paired_interval(20, 10, 200)
    assert found.lost == pytest.approx(0.05)
    apart = made.verdict(original.without_hits())  # from a file, say
    assert (apart.low, apart.high) == unpaired_interval(original.top1, 200, made.top1, 200)
    assert apart.width > found.width
    changed = wb.score(compressed_of(plan, listed(before), listed(after)), numbered(200))
    assert str(changed.verdict(wb.Score(1.0, 1.0, 200, "agreement"))) == str(judge_agreement(170 / 200, 200))
    with pytest.raises(ValueError, match="accuracy of 200 images cannot be compared with agreement of 200 images"):
        changed.verdict(original)


def mean_output(network, split):
    """A metric."""
    return float(network.run(network.inputs(split.images)).double().mean())


def test_a_metric_of_the_users_has_its_name_and_no_interval():
    outputs = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    score = wb.score(fixed(outputs), numbered(2), metric=mean_output)
    assert score == wb.Score(2.75, 2.75, 2, "mean_output")
    assert str(score) == "mean_output 2.75 of 2 images"
    assert score.rows == [["mean_output", "2.75", "", "2"]]
    assert all(math.isnan(end) for end in (*score.interval, *score.top5_interval))
    assert score.verdict(score) is None
    assert wb.score(fixed(outputs), numbered(2), metric=lambda network, split: 0.5).kind == "lambda"


NONE = numbered(0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda n, d: wb.Split(torch.zeros(3, 1, 1, 1), torch.zeros(2).long()), ValueError, "3 images but 2 labels"),
        (lambda n, d: wb.Split(torch.zeros(2, 1, 1, 1), torch.zeros(2)), ValueError, "class indices, one whole number"),
        (lambda n, d: wb.Split(d.test.images[:2], torch.tensor([0, -2])), ValueError, "class index -2"),
        (lambda n, d: wb.Data("train", d.validation, d.test), ValueError, "there is no folder, ZIP file or picture tr"),
        (lambda n, d: wb.Data(NONE, NONE, d.test).unlabelled, ValueError, "test images only"),
        (lambda n, d: wb.score(fixed(torch.eye(3)), NONE), ValueError, "no images to score"),
        (lambda n, d: wb.score(fixed(torch.eye(3)), numbered(1, [7])), ValueError, "class 7, .* outputs 0 to 2 only"),
        (lambda n, d: wb.score(n, d.test.images), ValueError, "have no labels, and digits_vgg was not compressed"),
        (lambda n, d: wb.score(nn.Flatten(), d.test), TypeError, "takes a Network, not a Flatten: wrap it first"),
        (lambda n, d: wb.score(n, d.test, metric=lambda n, s: math.nan), ValueError, "metric lambda of .* is nan"),
        (lambda n, d: wb.score(n, d.test, metric=accuracy), ValueError, "a name of its own, not 'accuracy'"),
        (lambda n, d: wb.score(wb.Network(nn.Flatten(), (3, 9)), d.test), ValueError, r"inputs of shape \(3, 9\)"),
        (lambda n, d: wb.score(wb.Network(nn.Identity(), (1, 8, 8)), d.test), ValueError, "returned the shape"),
    ],
)
def test_what_cannot_be_scored_is_a_sentence(network, data, make, error, message):
    with pytest.raises(error, match=message):
        make(network, data)
