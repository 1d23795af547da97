"""Weights of ONNX files, as those converted from Caffe, in our definitions of the paper's networks."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import workbench as wb
from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.classics import LocalResponseNorm, googlenet_bvlc
from workbench.catalog.networks.entries import Centred, Entry
from workbench.catalog.onnx.weights import onnx_weights

pytest.importorskip("onnx")
WARNINGS = ("DeprecationWarning", "torch.jit.TracerWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in WARNINGS]  # of PyTorch's exporter


def exported(model, path, side):
    """A file with a fixed batch, and a softmax at the end."""
    whole = nn.Sequential(model, nn.Softmax(1)).eval()
    torch.onnx.export(whole, (torch.rand(1, 3, side, side),), path, opset_version=9, dynamo=False)
    return path


def in_caffes_order(block, x):
    """An inception block whose layers are called in the order of Caffe's files."""
    one, three = block.b1x1(x), block.b3x3(block.b3x3_reduce(x).relu())
    five = block.b5x5(block.b5x5_reduce(x).relu())
    return torch.cat([one, three, five, block.pool_proj(block.pool(x))], dim=1).relu()


def small_model(hidden=6, activation=nn.ReLU):
    layers = nn.Conv2d(3, hidden, 3), activation(), LocalResponseNorm(), nn.Conv2d(hidden, 5, 3)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(5 * 16, 4)).eval()


def test_a_file_of_caffes_weights(tmp_path, generator, monkeypatch):
    entry = Entry(small_model, (3, 8, 8), Centred(8), caffe=True)
    monkeypatch.setattr("workbench.catalog.networks.load.entry_of", lambda name: entry)
    torch.manual_seed(1)  # 0 is that of random weights
    model = small_model()
    network = wb.load_network("alexnet_caffe", weights=exported(model, tmp_path / "bvlcalexnet-9.onnx", 8))
    pixels = torch.rand(2, 3, 8, 8, generator=generator)
    caffe = 255 * pixels.flip(1) - torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    torch.testing.assert_close(network.run(network.inputs(pixels)), model(caffe), rtol=1e-4, atol=1e-4)
    assert network.source.startswith("bvlcalexnet-9.onnx")
    assert not network.random_weights


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (small_model(hidden=7), r"layer_0_0 .*\(6, 3, 3, 3\).* no 0 .*\(7, 3, 3, 3\).*; layer_0_3 [^;]*$"),
        (nn.Conv2d(3, 6, 3), "3 layers with weights, this network 1"),
        (small_model(activation=nn.Tanh), "computes something else"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, model, message):
    with pytest.raises(WeightsError, match=message):
        onnx_weights(model, exported(small_model(), tmp_path / "mine.onnx", 8), (3, 8, 8))


@pytest.mark.slow
def test_googlenet_with_its_real_weights(shared, tmp_path, generator, monkeypatch):
    """The stored weights take normalised pixels; written as Caffe's they are the same network."""
    model = googlenet_bvlc().eval()
    model.load_state_dict(load_file(shared / "googlenet_bvlc.safetensors"))
    mean, std = torch.tensor([123, 117, 104])[:, None, None] / 255, torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    caffe = copy.deepcopy(model)
    with torch.no_grad():
        caffe.conv1.weight.copy_((model.conv1.weight / (255 * std)).flip(1))
    with monkeypatch.context() as patch:
        patch.setattr(type(model.inception3a), "forward", in_caffes_order)
        path = exported(caffe, tmp_path / "googlenet-12.onnx", 224)
    network = wb.load_network("googlenet_bvlc", weights=path)
    pixels = torch.rand(1, 3, 224, 224, generator=generator)
    wanted = model((pixels - mean) / std)
    torch.testing.assert_close(network.run(network.inputs(pixels)), wanted, rtol=1e-3, atol=1e-3)
    row = wb.paper_table([network])["googlenet_bvlc"]
    assert row.plan.macs_ratio > 1.5
