"""Checkpoints with another number of classes, or another head."""

import pytest
import torch
from torch import nn

import workbench as wb


@pytest.mark.parametrize(
    ("name", "place", "head"),
    [
        ("resnet18", "fc", nn.Linear(512, 5)),
        ("mobilenet_v3_small", "classifier.3", nn.Linear(1024, 5)),
        ("mobilenet_v3_small", "classifier", nn.Linear(576, 5)),
        ("squeezenet1_1", "classifier.1", nn.Conv2d(512, 5, 1)),
    ],
)
def test_another_number_of_classes(tmp_path, name, place, head):
    """A new head, or only a new last layer."""
    model = wb.load_network(name, weights=None).model
    model.set_submodule(place, head.eval())
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    network = wb.load_network(name, weights=tmp_path / "mine.pth")
    x = torch.rand(1, *network.input_shape)
    with torch.no_grad():
        torch.testing.assert_close(network.model(x), model(x))
    assert network.classes == ()
    assert not network.random_weights


def test_what_does_not_fit_is_said(tmp_path):
    model = wb.load_network("resnet18", weights=None).model
    model.conv1 = nn.Conv2d(1, 64, 7)
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    with pytest.raises(ValueError, match=r"conv1\.weight in the shape \(64, 1, 7, 7\)"):
        wb.load_network("resnet18", weights=tmp_path / "mine.pth")
