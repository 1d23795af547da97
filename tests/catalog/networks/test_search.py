import pytest

from workbench.catalog.networks.entries import outline
from workbench.catalog.networks.search import Details, details, search
from workbench.catalog.networks.torchvision import torchvision

NAMES = ["resnet18", "wide_resnet50_2", "resnet20", "vgg16", "timm/resnet18", "timm/resnet18d"]


def test_equal_names_come_first_then_beginnings_then_short_ones():
    assert search("resnet18", NAMES) == ["resnet18", "timm/resnet18", "timm/resnet18d"]
    assert search("50 RES", NAMES) == ["wide_resnet50_2"]
    assert search("resnet", NAMES, most=2) == ["resnet18", "resnet20"]
    assert search(" ", NAMES) == search("lenet", NAMES) == []


@pytest.mark.parametrize(
    ("name", "weights", "macs"), [("digits_vgg", 560_266, 4_313_600), ("googlenet_bvlc", 6_998_552, None)]
)
def test_ours_are_counted(name, weights, macs):
    found = details(name)
    assert found.weights == weights
    assert macs is None or found.macs == macs


def test_torchvisions_figures_are_near_the_counted_ones():
    from workbench.kernels.complexity import total
    from workbench.network.tracing import find_layers

    published, traced = details("squeezenet1_1"), find_layers(outline("squeezenet1_1"))
    counted = total([layer.cost for layer in traced.layers]) + traced.other
    assert published.weights == counted.weights
    assert published.macs == pytest.approx(counted.macs, rel=0.03)
    assert str(published) == "3x224x224, 1.24 M weights, 349 M MACs"
    assert set(torchvision("models").list_models(torchvision("models"))) >= {"squeezenet1_1"}


def test_what_is_not_known_is_left_out():
    assert str(Details((3, 32, 32))) == "3x32x32"
