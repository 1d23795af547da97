import pytest
import torch

from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.entries import entry_of
from workbench.catalog.networks.load import load_network
from workbench.catalog.networks.search import fitting_network, search

NAMES = ["resnet18", "wide_resnet50_2", "resnet20", "vgg16", "timm/resnet18", "timm/resnet18d"]


def test_equal_names_come_first_then_beginnings_then_short_ones():
    assert search("resnet18", NAMES) == ["resnet18", "timm/resnet18", "timm/resnet18d"]
    assert search("50 RES", NAMES) == ["wide_resnet50_2"]
    assert search("resnet", NAMES, most=2) == ["resnet18", "resnet20"]
    assert search(" ", NAMES) == search("lenet", NAMES) == []


@pytest.mark.parametrize("name", ["squeezenet1_0", "resnet20"])
def test_a_checkpoint_finds_its_network_whatever_its_classes(name, tmp_path):
    state = entry_of(name).build().state_dict()
    last = {"squeezenet1_0": "classifier.1", "resnet20": "linear"}[name]
    for key in (f"{last}.weight", f"{last}.bias"):
        state[key] = state[key][:5]
    assert fitting_network(state) == name
    torch.save(state, tmp_path / "mine.pth")
    with pytest.raises(WeightsError, match=rf"^mine\.pth does not fit this network: .*; it fits {name}$"):
        load_network("resnet32", weights=tmp_path / "mine.pth")
    assert fitting_network({"weight": torch.zeros(3, 3)}) is None
