import math

import pytest
import torch
from scipy.stats import binomtest
from torch import nn

import workbench as wb
from workbench.network.scores import MAX_SNR_DB
from workbench.plan.compressed import CompressedNetwork


class Fixed(nn.Module):
    """Gives the same outputs whatever the images."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, x):
        return self.outputs[: len(x)]


def fixed(outputs):
    return wb.Network(Fixed(outputs), (1, 1, 1), name="fixed")


def images(n, labels=None):
    return wb.Split(torch.zeros(n, 1, 1, 1), torch.tensor(labels or [0] * n), "test")


def test_accuracy_counts_first_and_first_five():
    outputs = torch.eye(10)[:4] * 2 - torch.arange(10) * 0.1  # row i: class i first, then 0, 1, 2, ...
    score = wb.score(fixed(outputs), images(4, [0, 1, 3, 9]))
    assert (score.top1, score.top5, score.n, score.kind) == (0.5, 0.75, 4, "accuracy")
    assert "50.00 % (15.0 to 85.0)" in str(score)
    assert wb.score(fixed(torch.eye(3)[[1, 1]]), images(2, [0, 1])).top5 == 1
    data = wb.Data(images(1), images(1), images(4, [0, 1, 3, 9]))
    assert wb.score(fixed(outputs), data) == score  # a Data stands for its test split


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 3), (497, 500), (5000, 10000)])
def test_the_interval_is_wilsons(right, n):
    found = binomtest(right, n).proportion_ci(0.95, method="wilson")
    score = wb.Score(right / n, right / n, n)
    assert score.interval == score.top5_interval == pytest.approx((found.low, found.high), abs=1e-12)


def test_agreement_and_fidelity_by_their_definitions(plan, generator):
    wanted, made = torch.randn(2, 40, 10, dtype=torch.float64, generator=generator)
    original = fixed(wanted)
    compressed = CompressedNetwork.of(original, plan, Fixed(made))
    found = wb.compare(compressed, images(40))
    assert found.agreement == pytest.approx(float((wanted.argmax(1) == made.argmax(1)).double().mean()))
    p, q = wanted.softmax(1), made.softmax(1)
    assert found.divergence == pytest.approx(float((p * (p / q).log()).sum(1).mean()))
    power, error = wanted.square().sum(), (made - wanted).square().sum()
    assert found.snr_db == pytest.approx(10 * math.log10(power / error))
    score = wb.score(compressed, wb.Split.unlabelled(torch.zeros(40, 1, 1, 1)))
    assert (score.top1, score.n, score.kind) == (found.agreement, 40, "agreement")
    same = wb.compare(CompressedNetwork.of(original, plan, Fixed(wanted)), images(40))
    assert (same.agreement, same.divergence, same.snr_db) == (1, 0, MAX_SNR_DB)


def test_splits(data):
    seen = torch.cat([labels for _, labels in data.train.batches(64)])
    assert torch.equal(seen, data.train.labels)
    drawn, again = (data.train.sample(50) for _ in range(2))
    assert len(drawn) == 50
    assert torch.equal(drawn.images, again.images)
    assert data.train.sample(5000) is data.train
    split, empty = wb.Split.unlabelled(data.test.images[:5]), wb.Split.unlabelled(torch.zeros(0, 1, 8, 8))
    assert (len(split), split.labelled, data.test.labelled) == (5, False, True)
    assert wb.Data(empty, data.validation, data.test).unlabelled is data.validation


NONE = wb.Split.unlabelled(torch.zeros(0, 1, 1, 1))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda n, d: wb.Split(torch.zeros(3, 1, 1, 1), torch.zeros(2).long()), ValueError, "3 images but 2 labels"),
        (lambda n, d: wb.Split(torch.zeros(2, 1, 1, 1), torch.zeros(2)), ValueError, "class indices, one whole number"),
        (lambda n, d: wb.Split(d.test.images[:2], torch.tensor([0, -2])), ValueError, "class index -2"),
        (
            lambda n, d: wb.Data("train", d.validation, d.test),
            ValueError,
            "there is no folder, ZIP file or picture train",
        ),
        (lambda n, d: wb.Data(NONE, NONE, d.test).unlabelled, ValueError, "test images only"),
        (lambda n, d: wb.score(fixed(torch.eye(3)), NONE), ValueError, "no images to score"),
        (lambda n, d: wb.score(fixed(torch.eye(3)), images(1, [7])), ValueError, "class 7, but .* outputs 0 to 2 only"),
        (lambda n, d: wb.score(n, d.test.images), ValueError, "have no labels, and digits_vgg was not compressed"),
        (lambda n, d: wb.score(nn.Flatten(), d.test), TypeError, "takes a Network, not a Flatten: wrap it first"),
        (lambda n, d: wb.compare(n, d.test), ValueError, "digits_vgg was not compressed"),
        (lambda n, d: wb.score(wb.Network(nn.Flatten(), (3, 9)), d.test), ValueError, r"inputs of shape \(3, 9\)"),
        (lambda n, d: wb.score(wb.Network(nn.Identity(), (1, 8, 8)), d.test), ValueError, "returned the shape"),
    ],
)
def test_what_cannot_be_scored_is_a_sentence(network, data, make, error, message):
    with pytest.raises(error, match=message):
        make(network, data)
