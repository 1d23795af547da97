"""The paper's networks cost what the paper's networks cost, and real weights give the accuracies they are known for."""

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.catalog.networks.classics import LocalResponseNorm
from workbench.catalog.networks.torchvision import class_names
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


@pytest.mark.slow
def test_googlenet_on_real_images(shared, tmp_path):
    """The BVLC weights, loaded strictly; on all 500 images the reference is 92.2 % top-5.

    Folders are called by our class names, images and network by others: only the right order makes them agree.
    """
    rows = [row.split(",") for row in (shared / "imagenet_sample" / "labels.csv").read_text().splitlines()[1::5]]
    for file, index, _ in rows:
        folder = tmp_path / class_names()[int(index)].replace(" ", "_")
        folder.mkdir(exist_ok=True)
        (folder / file).symlink_to((shared / "imagenet_sample" / file).resolve())
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    data = wb.load_data("images", root=tmp_path, classes=network.classes)
    assert sorted(data.test.labels.tolist()) == sorted(int(index) for _, index, _ in rows)
    score = wb.score(network, data.test)
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
