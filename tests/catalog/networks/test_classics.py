"""The paper's networks cost what the paper's networks cost, and real weights give the accuracies they are known for."""

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.catalog.networks.classics import LocalResponseNorm
from workbench.network.tracing import find_layers


def test_vgg_s_has_the_papers_maps():
    layers = find_layers(wb.load_network("vgg_s")).layers
    sides = [[int(places**0.5) for places in layer.shape.positions[0]] for layer in layers if layer.kind == "conv"]
    assert ([before for before, _ in sides[1:]], [after for _, after in sides[:2]]) == ([37, 17, 17, 17], [109, 33])
    assert next(layer for layer in layers if layer.kind == "linear").describe() == "512 -> 4096, 6x6"


@pytest.mark.parametrize("channels", [3, 5, 16])
@pytest.mark.parametrize(("alpha", "k"), [(1e-4, 1.0), (0.5, 2.0)])
def test_normalisation_is_pytorchs(channels, alpha, k, generator):
    x = torch.randn(2, channels, 6, 7, generator=generator, dtype=torch.float64) * 30
    ours, theirs = LocalResponseNorm(alpha, k), nn.LocalResponseNorm(5, alpha, 0.75, k)
    assert torch.allclose(ours(x), theirs(x), rtol=1e-12)
    assert torch.allclose(ours(x[..., 0]), theirs(x[..., 0]), rtol=1e-12)


def test_grouped_alexnet_is_factorised_group_by_group():
    network = wb.load_network("alexnet_caffe")
    layers = {layer.name: layer for layer in find_layers(network).layers}
    assert layers["conv2.conv"].max_ranks == (48, 128)
    assert layers["classifier.0"].describe() == "256 -> 4096, 6x6"


@pytest.mark.slow
def test_googlenet_on_real_images(shared):
    """The BVLC weights, loaded strictly; on all 500 images the reference is 92.2 % top-5."""
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    rows = [row.split(",") for row in (shared / "imagenet_sample" / "labels.csv").read_text().splitlines()[1::5]]
    images = wb.Split.of([shared / "imagenet_sample" / file for file, *_ in rows], size=256).images
    score = wb.score(network, wb.Split(images, torch.tensor([int(index) for _, index, *_ in rows]), "fifth"))
    assert score.n == 100
    assert score.top5 == pytest.approx(0.92, abs=0.03)
    plan = wb.evbmf_plan(wb.analyze(network), layers="spatial")
    assert plan.macs_ratio == pytest.approx(2.33, abs=0.02)
    assert plan.weights_ratio == pytest.approx(1.58, abs=0.02)


def test_resnet20_on_real_images(shared):
    network = wb.load_network("resnet20", weights=shared / "cifar10_resnet20.pth")
    with np.load(shared / "cifar10_clean_subset.npz") as arrays:
        images = torch.from_numpy(arrays["test_images"]).permute(0, 3, 1, 2)
        labels = torch.from_numpy(arrays["test_labels"].astype(np.int64))
    assert wb.score(network, wb.Split(images, labels, "test")).top1 == pytest.approx(0.915, abs=0.0011)
