"""The method on torchvision's families, with random weights: at full rank the network is the dense one, predicted costs
are the flop counter's, and an EVBMF plan never makes anything larger. Wide layers are narrowed, nothing else."""

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import workbench as wb
from tests.helpers.networks import at_full_rank, flops
from workbench.catalog.networks.torchvision import torchvision

MODELS = torchvision("models")


class NarrowResNet(MODELS.ResNet):
    """A quarter of the channels behind the stem."""

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        return super()._make_layer(block, planes // 4, blocks, stride, dilate)


def resnet(block, blocks, **more):
    model = NarrowResNet(block, blocks, num_classes=10, **more)
    model.fc = nn.Linear(model.inplanes, 10)
    return model


def convnext():
    setting = MODELS.convnext.CNBlockConfig
    return MODELS.ConvNeXt([setting(24, 48, 1), setting(48, 96, 1), setting(96, None, 2)], num_classes=10)


def segmentation():
    backbone = MODELS.mobilenet_v3_small(dilated=True)
    return torchvision("models.segmentation").lraspp._lraspp_mobilenetv3(backbone, num_classes=5)


ZOO = {
    "resnet18": lambda: resnet(MODELS.resnet.BasicBlock, [2, 2, 2, 2]),
    "resnext": lambda: resnet(MODELS.resnet.Bottleneck, [1, 1, 1, 1], groups=4, width_per_group=32),
    "densenet": lambda: MODELS.DenseNet(8, (2, 3, 2, 2), 16, num_classes=10),
    "convnext": convnext,
    "segmentation": segmentation,
}


def run(network):
    x = torch.randn(2, *network.input_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return tree_leaves(network.model(x))


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo(name):
    network = wb.Network(ZOO[name]().double(), (3, 64, 64), name=name)
    spectra = wb.analyze(network, cached=False)
    assert 2 * spectra.total.macs == flops(network)
    assert spectra.total.weights == network.weights

    for layers in ("spatial", "all"):
        plan = wb.evbmf_plan(spectra, layers=layers)
        assert all(p.cost.macs <= p.layer.cost.macs and p.cost.weights <= p.layer.cost.weights for p in plan)

    plan = at_full_rank(network, spectra)
    assert sum(part.decision != "keep" for part in plan) >= 5
    smaller = wb.decompose(network, plan)
    assert flops(smaller) == 2 * plan.macs
    assert smaller.weights == plan.weights
    for dense, factorised in zip(run(network), run(smaller), strict=True):
        assert float(dense.abs().max()) > 0
        assert (dense - factorised).abs().max() <= 1e-9 * dense.abs().max()
