"""Weights of ONNX files, as those converted from Caffe, in our definitions of the paper's networks."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import workbench as wb
from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.classics import INCEPTION, alexnet_caffe, googlenet_bvlc

onnx = pytest.importorskip("onnx")
WARNINGS = ("DeprecationWarning", "torch.jit.TracerWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in WARNINGS]  # of PyTorch's exporter


class GoogLeNetFile:
    """Writes GoogLeNet as the converters from Caffe did: fixed batch, LRN, Gemm, Dropout, a softmax at the end."""

    def __init__(self, model):
        self.nodes, self.weights, self.out = [], [], "data_0"
        self.conv("conv1/7x7_s2", model.conv1)
        self.pool("pool1")
        self.add("LRN", "norm1", size=5, alpha=1e-4, beta=0.75, bias=1.0)
        self.conv("conv2/3x3_reduce", model.conv2_reduce)
        self.conv("conv2/3x3", model.conv2)
        x = self.add("LRN", "norm2", size=5, alpha=1e-4, beta=0.75, bias=1.0)
        for name in INCEPTION:
            block = getattr(model, f"inception{name}")
            if name in ("3a", "4a", "5a"):
                x = self.pool(f"pool_{name}")
            parts = [self.conv(f"{name}/1x1", block.b1x1, x)]
            for size in ("3x3", "5x5"):
                self.conv(f"{name}/{size}_reduce", getattr(block, f"b{size}_reduce"), x)
                parts.append(self.conv(f"{name}/{size}", getattr(block, f"b{size}")))
            self.add("MaxPool", f"{name}/pool", x=x, kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4)
            parts.append(self.conv(f"{name}/pool_proj", block.pool_proj))
            x = self.add("Concat", f"{name}/output", *parts[1:], x=parts[0], axis=1)
        self.add("AveragePool", "pool5", kernel_shape=[7, 7], strides=[1, 1])
        self.add("Dropout", "drop", ratio=0.4)
        self.add("Flatten", "flatten")
        self.add("Gemm", "classifier", *self.constants("classifier", model.fc), transB=1)
        self.add("Softmax", "prob")

    def add(self, operator, name, *inputs, x=None, **attributes):
        source, self.out = x or self.out, f"{name}_1"
        self.nodes.append(onnx.helper.make_node(operator, [source, *inputs], [self.out], name=name, **attributes))
        return self.out

    def constants(self, name, module):
        names = [f"{name}_w_0", f"{name}_b_0"]
        for label, value in zip(names, (module.weight, module.bias), strict=True):
            self.weights.append(onnx.numpy_helper.from_array(value.detach().numpy(), label))
        return names

    def conv(self, name, module, x=None):
        pads, strides = [*module.padding, *module.padding], list(module.stride)
        self.add("Conv", name, *self.constants(name, module), x=x, pads=pads, strides=strides)
        return self.add("Relu", f"{name}_relu")

    def pool(self, name):
        return self.add("MaxPool", name, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)

    def save(self, path):
        shapes = ("data_0", [1, 3, 224, 224]), (self.out, [1, 1000])
        inputs, outputs = (onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes)
        graph = onnx.helper.make_graph(self.nodes, "caffe", [inputs], [outputs], self.weights)
        version = onnx.helper.make_opsetid("", 12)
        onnx.save(onnx.helper.make_model(graph, opset_imports=[version], ir_version=7), path)
        return path


def exported(model, path):
    """A file of AlexNet with a fixed batch, and a softmax at the end."""
    whole = nn.Sequential(model, nn.Softmax(1)).eval()
    torch.onnx.export(whole, (torch.rand(1, 3, 227, 227),), path, opset_version=9, dynamo=False)
    return path


def with_pixels(network, pixels):
    """The network's logits of pixels (n, 3, h, w) from 0 to 1, red first."""
    with torch.no_grad():
        return network.model(network.inputs(pixels))


@pytest.fixture
def alexnet():
    torch.manual_seed(1)
    return alexnet_caffe().eval()


def test_alexnet_from_a_file_of_caffes_weights(alexnet, tmp_path, generator):
    path = exported(alexnet, tmp_path / "bvlcalexnet-9.onnx")
    network = wb.load_network("alexnet_caffe", weights=path)
    pixels = torch.rand(2, 3, 227, 227, generator=generator)
    caffe = 255 * pixels.flip(1) - torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    with torch.no_grad():
        torch.testing.assert_close(with_pixels(network, pixels), alexnet(caffe), rtol=1e-4, atol=1e-4)
    assert network.source.startswith("bvlcalexnet-9.onnx")
    assert not network.random_weights


@pytest.mark.slow
def test_googlenet_with_its_real_weights(shared, tmp_path, generator):
    """The stored weights take normalised pixels; written as Caffe's they are the same network."""
    model = googlenet_bvlc().eval()
    model.load_state_dict(load_file(shared / "googlenet_bvlc.safetensors"))
    caffe = googlenet_bvlc().eval()
    caffe.load_state_dict(model.state_dict())
    with torch.no_grad():
        caffe.conv1.weight.copy_(
            (model.conv1.weight / (255 * torch.tensor([0.229, 0.224, 0.225])[:, None, None])).flip(1)
        )
    path = GoogLeNetFile(caffe).save(tmp_path / "googlenet-12.onnx")
    network = wb.load_network("googlenet_bvlc", weights=path)
    pixels = torch.rand(1, 3, 224, 224, generator=generator)
    with torch.no_grad():
        wanted = model(
            (pixels - torch.tensor([123, 117, 104])[:, None, None] / 255)
            / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        )
    torch.testing.assert_close(with_pixels(network, pixels), wanted, rtol=1e-3, atol=1e-3)
    row = wb.paper_table([network])["googlenet_bvlc"]
    assert row.plan.macs_ratio > 1.5


@pytest.mark.slow
def test_what_does_not_fit_is_named(alexnet, tmp_path):
    with torch.no_grad():
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
