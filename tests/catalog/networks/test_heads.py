"""Checkpoints with another number of classes, another head, or of a whole training script."""

from argparse import Namespace

import pytest
import torch
from torch import nn

import workbench as wb

HEADS = {
    "resnet18": ("fc", 512),
    "mobilenet_v3_small": ("classifier", 576),
    "squeezenet1_1": ("classifier", None),
    "densenet121": ("classifier", 1024),
}


def changed(name, plain):
    """The model of a user: with five classes, and a new head or only a new last layer."""
    network = wb.load_network(name, weights=None)
    head, features = HEADS[name]
    if plain:
        setattr(network.model, head, nn.Linear(features, 5))
        return network.model
    place, last = next(
        (n, m) for n, m in reversed(list(network.model.named_modules())) if isinstance(m, nn.Linear | nn.Conv2d)
    )
    new = nn.Linear(last.in_features, 5) if isinstance(last, nn.Linear) else nn.Conv2d(last.in_channels, 5, 1)
    if name == "squeezenet1_1":
        place, new = "classifier.1", nn.Conv2d(512, 5, 1)
    network.model.set_submodule(place, new)
    return network.model


@pytest.mark.parametrize(
    ("name", "plain"), [(name, plain) for name in HEADS for plain in (False, True) if HEADS[name][1] or not plain]
)
def test_another_number_of_classes(tmp_path, name, plain):
    model = changed(name, plain).eval()
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    network = wb.load_network(name, weights=tmp_path / "mine.pth")
    x = torch.rand(1, *network.input_shape)
    with torch.no_grad():
        torch.testing.assert_close(network.model(x), model(x))
    assert network.classes == ()
    assert not network.random_weights


@pytest.mark.parametrize(("key", "prefix"), [("model", ""), ("state_dict", "module."), ("ema", "_orig_mod.")])
def test_the_checkpoint_of_a_training_script(tmp_path, key, prefix):
    model = wb.load_network("squeezenet1_1", weights=None).model
    state = {prefix + name: value + 1 for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 0.1).state_dict()
    content = {key: state, "epoch": 3, "optimizer": optimizer, "args": Namespace(lr=0.1, name="run")}
    torch.save(content, tmp_path / "last.pth")
    found = wb.load_network("squeezenet1_1", weights=tmp_path / "last.pth").model.state_dict()
    assert all(torch.equal(found[name], value + 1) for name, value in model.state_dict().items())


def test_what_does_not_fit_is_said(tmp_path):
    model = wb.load_network("resnet18", weights=None).model
    model.conv1 = nn.Conv2d(1, 64, 7)
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    with pytest.raises(ValueError, match=r"conv1\.weight in the shape \(64, 1, 7, 7\)"):
        wb.load_network("resnet18", weights=tmp_path / "mine.pth")
