"""Int8 files: their weights against the float ones, their answers against PyTorch's, and layers that stay in float."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from tests.exporters.conftest import NO_WHEELS, RUNNABLE, described
from tests.helpers.networks import Computes, decomposed
from workbench.catalog.networks.classics import LocalResponseNorm
from workbench.exporters.executorch import executorch_bytes, load_executorch
from workbench.exporters.export import export
from workbench.exporters.int8 import MAX_CALIBRATION_IMAGES, calibration
from workbench.exporters.onnx import load_onnx, onnx_bytes
from workbench.exporters.tracing import ExportError


@pytest.fixture(scope="module", params=RUNNABLE)
def exported(request, network, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / f"digits{request.param}"
    return export(network, path, data.test, int8=data.train.images[:128])


def weights_of(content):
    """Name of a node with weights -> its weights as they are stored, and their scale for each output channel."""
    from onnx import ModelProto, numpy_helper

    graph = ModelProto.FromString(content).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {node.output[0]: node for node in graph.node}
    found = {}
    for node in (n for n in graph.node if n.op_type in ("Conv", "Gemm", "MatMul")):
        if node.input[1] in constants:
            found[node.name] = constants[node.input[1]], None
        else:
            stored, scale, _ = made_by[node.input[1]].input
            found[node.name] = constants[stored], constants[scale]
    return found


def test_the_file_agrees_and_says_how_well(exported, network, data):
    found = exported.verification
    program = (load_executorch if exported.path.suffix == ".pte" else load_onnx)(exported.path)
    outputs = torch.cat([program(one) for one in data.test.images.split(1)])
    with torch.inference_mode():
        wanted = network.model(data.test.images)
    same = float((outputs.argmax(1) == wanted.argmax(1)).double().mean())
    snr = 10 * float(torch.log10(wanted.double().square().sum() / (outputs - wanted).double().square().sum()))
    assert (found.n, found.agreement, found.snr_db) == (500, pytest.approx(same), pytest.approx(snr, abs=1e-3))
    assert same > 0.98
    assert snr > 20
    assert found.passed
    assert exported.format.endswith(", int8")
    assert f"signal-to-noise ratio {snr:.1f} dB" in str(exported)


def test_the_file_is_smaller_and_describes_itself(exported, network):
    assert exported.bytes < 0.3 * 4 * network.weights
    about = described(exported.path)["int8"]
    assert (about["images"], about["in_float"]) == (MAX_CALIBRATION_IMAGES, [])


@pytest.fixture(scope="module")
def photos():
    """A small network, compressed, and images for it."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 4))
    network = wb.Network(nn.Sequential(*layers), (3, 9, 9), name="photos")
    images = torch.rand(12, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    return decomposed(network, {"2": (4, 6)}), images


def test_weights_are_the_nearest_steps_of_their_channel(photos):
    small, images = photos
    found = weights_of(onnx_bytes(small.model, images[:1], int8=calibration(small, images)))
    wanted = {name: p.detach().numpy() for name, p in small.model.named_parameters() if p.ndim > 1}
    assert {title.partition("/")[0] + ".weight" for title in found} == set(wanted)
    for title, (stored, scale) in found.items():
        weight = wanted[title.partition("/")[0] + ".weight"]
        steps = scale.reshape(-1, *[1] * (weight.ndim - 1))
        assert stored.dtype == np.int8
        assert len(scale) == len(weight)
        assert (np.abs(stored * steps - weight) <= 0.501 * steps).all()
        assert np.abs(stored).reshape(len(weight), -1).max(1) == pytest.approx(64, abs=1)  # 7 bits, all used


@pytest.mark.parametrize("suffix", RUNNABLE)
def test_layers_that_are_named_stay_in_float(photos, suffix, tmp_path):
    small, images = photos
    made = export(small, tmp_path / f"net{suffix}", int8=images)
    mixed = export(small, tmp_path / f"mixed{suffix}", int8=images, keep_float=["2", "5"])
    kept = sum(p.numel() for name, p in small.model.named_parameters() if name[0] in "25" and p.ndim > 1)
    assert mixed.bytes - made.bytes > kept  # of the 3 bytes more for each weight; nodes of quantisation are missing
    if suffix == ".onnx":
        stored = weights_of(mixed.path.read_bytes())
        assert {name[0] for name, (weight, _) in stored.items() if weight.dtype == np.float32} == {"2", "5"}
        assert {name[0] for name, (weight, _) in stored.items() if weight.dtype == np.int8} == {"0"}


@pytest.mark.parametrize(
    "scale", [nn.LocalResponseNorm(5, alpha=1.0), LocalResponseNorm(alpha=1.0)], ids=["nn", "ours"]
)
@pytest.mark.parametrize("suffix", RUNNABLE)
def test_normalisations_batch_norms_and_sums(suffix, scale):
    def block(net, x):
        x = torch.relu(net.norm(net.first(x)))
        x = torch.cat([net.scale(x), torch.relu(net.second(x) + x)], dim=1)
        return net.last(x.mean((2, 3)))

    first, second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
    layers = {"norm": nn.BatchNorm2d(16), "scale": scale, "last": nn.Linear(32, 5)}
    model = Computes(block, first=first, second=second, **layers)
    model(10 * torch.randn(16, 3, 9, 9))
    network = wb.Network(model, (3, 9, 9))
    images = torch.randn(32, 3, 9, 9)
    int8 = calibration(network, images)
    if suffix == ".onnx":
        content = onnx_bytes(network.model, images[:1], int8=int8)
        run = load_onnx(content)
        assert {title.partition("/")[0] for title in weights_of(content)} == {"first", "second", "last"}
        assert b"BatchNormalization" not in content
    else:
        run = load_executorch(executorch_bytes(network.model, images[:1], int8=int8))
    with torch.inference_mode():
        wanted = network.model(images)
    error = torch.cat([run(one) for one in images.split(1)]) - wanted
    assert 10 * torch.log10(wanted.square().sum() / error.square().sum()) > 25


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        (lambda x: x.flatten(1), nn.Linear(8 * 4 * 4, 12)),  # Tucker-2 sees this as a map again
        (lambda x: x.flatten(2).unsqueeze(3), nn.Conv2d(8, 12, (16, 1))),
        (lambda x: x.flatten(2).unsqueeze_(3), nn.Conv2d(8, 12, (16, 1))),
        (lambda x: x.view_as(torch.empty(1, 8, 16, 1)), nn.Conv2d(8, 12, (16, 1))),
        (lambda x: x.squeeze(), nn.Linear(4, 12)),
        (lambda x: x.flatten(2).mT, nn.Linear(8, 12)),
        (lambda x: x.movedim(1, 3), nn.Linear(8, 12)),
        (lambda x: x.swapaxes(1, 3), nn.Linear(8, 12)),
        (lambda x: x.swapdims(1, 3), nn.Linear(8, 12)),
    ],
    ids=["unflatten", "unsqueeze", "unsqueeze_", "view_as", "squeeze", "mT", "movedim", "swapaxes", "swapdims"],
)
@NO_WHEELS
@pytest.mark.slow
def test_ranges_around_a_change_of_shape(change, layer):
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    shaped = Computes(lambda net, x: net.layer(change(x)).reshape(1, -1)[:, :12], layer=layer)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), shaped, nn.ReLU(), nn.Linear(12, 5))
    network = wb.Network(nn.Sequential(*layers), example=torch.zeros(1, 3, 8, 8))
    if layer.weight.shape == (12, 8 * 4 * 4):
        network = decomposed(network, {"2.layer": (6, 10)})
    images = torch.randn(32, 3, 8, 8).pow(3)
    run = load_executorch(executorch_bytes(network.model, images[:1], int8=calibration(network, images)))
    with torch.inference_mode():
        wanted = torch.cat([network.model(one) for one in images.split(1)])
    error = torch.cat([run(one) for one in images.split(1)]) - wanted
    assert 10 * torch.log10(wanted.square().sum() / error.square().sum()) > 25


def test_a_file_of_little_use_is_not_kept(monkeypatch, photos, tmp_path):
    small, images = photos
    monkeypatch.setattr("workbench.exporters.verification.MIN_INT8_SNR_DB", 150.0)
    why = r"not kept, .*signal-to-noise ratio .* dB; keep the layers .* by keep_float$"
    with pytest.raises(ExportError, match=why):
        export(small, tmp_path / "net.onnx", int8=images)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_quantised(photos, tmp_path):
    small, images = photos
    half = wb.Network(copy.deepcopy(small.model).half(), small.input_shape)
    for network, name, how, why in (
        (small, "net.zip", {"int8": images}, r"int8 is for \.onnx and \.pte files, not for \.zip"),
        (small, "net.onnx", {"keep_float": "0"}, "keep_float is for int8 files"),
        (small, "net.onnx", {"int8": images, "keep_float": ["nothing"]}, "no layer of that name"),
        (half, "net.onnx", {"int8": images}, "networks in float32"),
    ):
        with pytest.raises(ExportError, match=why):
            export(network, tmp_path / name, **how)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ExportError, match="for 16 images in a run need at least as many"):
        calibration(small, images, batch=16)
