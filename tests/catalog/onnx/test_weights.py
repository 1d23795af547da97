"""Weights of ONNX files, as those converted from Caffe, in our definitions of the paper's networks."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import workbench as wb
from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.classics import alexnet_caffe, googlenet_bvlc

pytest.importorskip("onnx")
WARNINGS = ("DeprecationWarning", "torch.jit.TracerWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in WARNINGS]  # of PyTorch's exporter


def exported(model, path, side=227):
    """A file with a fixed batch, and a softmax at the end."""
    whole = nn.Sequential(model, nn.Softmax(1)).eval()
    torch.onnx.export(whole, (torch.rand(1, 3, side, side),), path, opset_version=9, dynamo=False)
    return path


def in_caffes_order(block, x):
    """An inception block whose layers are called in the order of Caffe's files."""
    one, three = block.b1x1(x), block.b3x3(block.b3x3_reduce(x).relu())
    five = block.b5x5(block.b5x5_reduce(x).relu())
    return torch.cat([one, three, five, block.pool_proj(block.pool(x))], dim=1).relu()


@pytest.fixture
def alexnet():
    torch.manual_seed(1)
    return alexnet_caffe().eval()


def test_alexnet_from_a_file_of_caffes_weights(alexnet, tmp_path, generator):
    path = exported(alexnet, tmp_path / "bvlcalexnet-9.onnx")
    network = wb.load_network("alexnet_caffe", weights=path)
    pixels = torch.rand(2, 3, 227, 227, generator=generator)
    caffe = 255 * pixels.flip(1) - torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    torch.testing.assert_close(network.run(network.inputs(pixels)), alexnet(caffe), rtol=1e-4, atol=1e-4)
    assert network.source.startswith("bvlcalexnet-9.onnx")
    assert not network.random_weights


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


@pytest.mark.slow
def test_what_does_not_fit_is_named(alexnet, tmp_path):
    alexnet.conv3.conv = nn.Conv2d(256, 380, 3, padding=1)
    alexnet.conv4.conv = nn.Conv2d(380, 384, 3, padding=1, groups=2)
    path = exported(alexnet, tmp_path / "mine.onnx")
    with pytest.raises(WeightsError, match=r"conv3.*\(380, 256, 3, 3\).*\(384, 256, 3, 3\).*; .*conv4") as caught:
        wb.load_network("alexnet_caffe", weights=path)
    assert "conv5" not in str(caught.value)
    with pytest.raises(WeightsError, match="8 layers with weights, this network 58"):
        wb.load_network("googlenet_bvlc", weights=path)


@pytest.mark.slow
def test_a_file_that_computes_something_else_is_refused(alexnet, tmp_path):
    with torch.no_grad():
        alexnet.conv1.conv.weight *= 100  # so that the normalisation matters
    alexnet.norm1 = nn.Identity()
    path = exported(alexnet, tmp_path / "other.onnx")
    with pytest.raises(WeightsError, match="computes something else"):
        wb.load_network("alexnet_caffe", weights=path)
