import pytest
import torch
from scipy.stats import binomtest
from torch import nn

import workbench as wb
from workbench.network.data import UNLABELLED, evaluating


def fixed(outputs):
    """A network that always gives the same outputs."""

    class Fixed(nn.Module):
        def forward(self, x):
            return outputs[: len(x)]

    return wb.Network(Fixed(), (1, 1, 1), name="fixed")


def test_accuracy_counts_first_and_first_five():
    outputs = torch.eye(10)[:4] * 2 - torch.arange(10) * 0.1  # row i: class i first, then 0, 1, 2, ...
    split = wb.Split(torch.zeros(4, 1, 1, 1), torch.tensor([0, 1, 3, 9]), "test")
    score = wb.accuracy(fixed(outputs), split)
    assert (score.top1, score.top5, score.n) == (50.0, 75.0, 4)
    assert str(score) == "top-1 50.00 % (15.0 to 85.0), top-5 75.00 % (30.1 to 95.4) of 4 images"


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 3), (497, 500), (5000, 10000)])
def test_the_interval_is_wilsons(right, n):
    found = binomtest(right, n).proportion_ci(0.95, method="wilson")
    score = wb.Accuracy(100 * right / n, 100.0, n)
    assert score.interval == pytest.approx((100 * found.low, 100 * found.high), abs=1e-12)
    assert score.top5_interval[1] == 100


def test_fewer_than_five_classes():
    split = wb.Split(torch.zeros(2, 1, 1, 1), torch.tensor([0, 1]))
    assert wb.accuracy(fixed(torch.eye(3)[[1, 1]]), split).top5 == 100.0


def test_batches_cover_every_image_once(data, generator):
    seen = torch.cat([labels for _, labels in data.train.batches(64, generator)])
    assert len(seen) == len(data.train)
    assert torch.equal(seen.bincount(), data.train.labels.bincount())
    assert not torch.equal(seen, data.train.labels)


def test_bad_splits():
    with pytest.raises(ValueError, match="3 images but 2 labels"):
        wb.Split(torch.zeros(3, 1, 1, 1), torch.zeros(2).long())
    with pytest.raises(ValueError, match="no images to score"):
        wb.accuracy(fixed(torch.eye(3)), wb.Split(torch.zeros(0, 1, 1, 1), torch.zeros(0).long()))
    with pytest.raises(ValueError, match="class 7, but the network has outputs 0 to 2 only"):
        wb.accuracy(fixed(torch.eye(3)), wb.Split(torch.zeros(1, 1, 1, 1), torch.tensor([7]), "test"))


def test_modes_are_put_back():
    model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with evaluating(model):
        assert not any(m.training for m in model.modules())
    assert [m.training for m in model] == [True, False]


def test_arguments_in_the_wrong_place(network, data):
    with pytest.raises(TypeError, match=r"is a Split, not a Data: say which, like data.test"):
        wb.accuracy(network, data)
    with pytest.raises(TypeError, match=r"takes a Network, not a Flatten: wrap it first"):
        wb.accuracy(nn.Flatten(), data.test)
    with pytest.raises(TypeError, match="train of a Data is a Split, not a str"):
        wb.Data("train", data.validation, data.test)
    with pytest.raises(ValueError, match=r"class indices, one whole number an image, not torch.float32"):
        wb.Split(torch.zeros(2, 1, 1, 1), torch.zeros(2))


def test_images_that_the_network_does_not_take(data):
    network = wb.Network(nn.Flatten(), (3, 32, 32), name="mine")
    with pytest.raises(ValueError, match=r"mine takes inputs of shape \(3, 32, 32\), these images have \(1, 8, 8\)"):
        wb.accuracy(network, data.test)


def test_images_without_a_label(network, data):
    split = wb.Split.unlabelled(data.test.images[:5], "own")
    assert (len(split), split.labelled, data.test.labelled) == (5, False, True)
    assert (split.labels == UNLABELLED).all()
    with pytest.raises(ValueError, match="the own split has images without a label: there is nothing to compare"):
        wb.accuracy(network, split)


def test_negative_labels_are_refused(data):
    with pytest.raises(ValueError, match="the train split has the class index -2: they begin with 0"):
        wb.Split(data.test.images[:2], torch.tensor([0, -2]), "train")
