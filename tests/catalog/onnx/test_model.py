"""ONNX files open as networks that compute the same, and are written back with only their compressed nodes changed."""

import copy
import hashlib
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import Computes
from tests.helpers.onnx_files import relu, saved
from workbench.catalog.onnx.load import load_onnx, run_in_onnxruntime
from workbench.catalog.onnx.model import OnnxError, OnnxModel
from workbench.exporters.tracing import ExportError
from workbench.exporters.verification import reference

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


WARNINGS = ("DeprecationWarning", "FutureWarning", "torch.jit.TracerWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in WARNINGS]  # of PyTorch's exporters


def small_model(outputs=1):
    """A network with a batch norm, a branch, a reshape and two outputs."""

    def forward(net, x):
        maps = torch.relu(net.body(torch.relu(net.norm(net.stem(x)))))
        answer = net.head(nn.functional.adaptive_avg_pool2d(maps, 4).flatten(1))
        return answer if outputs == 1 else (answer, maps)

    stem, body = nn.Conv2d(3, 24, 3, padding=1), nn.Conv2d(24, 32, 3, stride=2, padding=1)
    return Computes(forward, stem=stem, norm=nn.BatchNorm2d(24), body=body, head=nn.Linear(32 * 16, 5)).eval()


def write(folder, model, *, dynamo=True, dynamic=False, half=False):
    path = folder / "in.onnx"
    x = torch.rand(2 if dynamic else 1, 3, 16, 16)
    model = model.eval()
    if half:
        model, x = copy.deepcopy(model).half(), x.half()
    if dynamo:
        shapes = {"x": {0: torch.export.Dim("n")}} if dynamic else None
        torch.onnx.export(model, (x,), path, dynamo=True, external_data=False, verbose=False, dynamic_shapes=shapes)
    else:
        axes = {"x": {0: "n"}} if dynamic else None
        torch.onnx.export(model, (x,), path, dynamo=False, input_names=["x"], dynamic_axes=axes)
    return path


def same(found, wanted, tolerance=1e-5):
    for mine, theirs in zip(found.values() if isinstance(found, dict) else [found], wanted, strict=True):
        assert mine.shape == theirs.shape
        assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.fixture
def small():
    return small_model()


@pytest.mark.parametrize("dynamo", [True, False])
def test_layers_are_called_as_in_the_model_that_was_exported(tmp_path, dynamo):
    block = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    model = nn.Sequential(OrderedDict(stem=nn.Conv2d(3, 4, 3), layer1=nn.Sequential(block), head=nn.Conv2d(4, 2, 1)))
    network = load_onnx(write(tmp_path, model, dynamo=dynamo))
    assert [layer.name for layer in wb.analyze(network).layers] == ["stem", "layer1_0_0", "layer1_0_2", "head"]


def test_layers_with_the_same_weights_are_numbered(tmp_path):
    shared = nn.Conv2d(3, 3, 1)
    modules = OrderedDict((name, shared) for name in ("a", "b", "c", "conv_1"))
    network = load_onnx(write(tmp_path, nn.Sequential(modules)))
    names = [layer.name for layer in wb.analyze(network).layers]
    assert names == ["conv_1", "layer_conv_1", "layer_conv_1_2", "layer_conv_1_3"]


@pytest.mark.parametrize(
    ("dynamo", "dynamic", "outputs"), [(True, True, 2), (True, False, 1), (False, True, 1), (False, False, 2)]
)
def test_a_file_computes_what_its_model_did(tmp_path, dynamo, dynamic, outputs):
    model = small_model(outputs)
    network = load_onnx(write(tmp_path, model, dynamo=dynamo, dynamic=dynamic))
    x = torch.rand(5, 3, 16, 16)
    wanted = model(x)
    same(network.model(x), wanted if isinstance(wanted, tuple) else (wanted,))
    assert network.model.batch == (None if dynamic else 1)
    spectra = wb.analyze(network)
    assert [layer.shape.out_channels for layer in spectra.layers] == [24, 32, 5]


def compressed(network):
    spectra = wb.analyze(network)
    return wb.decompose(network, wb.budget_plan(spectra, macs_ratio=1.5))


@pytest.mark.parametrize(("dynamo", "half"), [(True, False), (False, False), (True, True)])
def test_only_compressed_nodes_change(small, tmp_path, dynamo, half):
    path = write(tmp_path, small, dynamo=dynamo, half=half)
    given = onnx.load(path)
    given.metadata_props.add(key="author", value="somebody")
    onnx.save(given, path)
    network = load_onnx(path)
    assert network.model.to_proto() == network.model.proto
    smaller = compressed(network)
    made = smaller.model.to_proto({"author": "else", "tool": "workbench"})
    onnx.checker.check_model(made, full_check=True)
    assert {p.key: p.value for p in made.metadata_props}["author"] == "somebody"
    assert list(made.graph.input) == list(given.graph.input)
    assert list(made.graph.output) == list(given.graph.output)
    replaced = {part.name for part in smaller.plan if part.decision != "keep"}
    untouched = [n for i, n in enumerate(given.graph.node) if i not in {network.model.nodes[r] for r in replaced}]
    kept = [n for n in made.graph.node if n in untouched]
    assert replaced
    assert len(kept) == len(untouched)
    assert len(made.SerializeToString()) < len(given.SerializeToString())
    x = torch.rand(1, 3, 16, 16)
    same(smaller.model(x), run_in_onnxruntime(made, [x]), 5e-3 if half else 1e-5)


def test_weights_that_changed_are_written(small, tmp_path):
    network = load_onnx(write(tmp_path, small))
    smaller = compressed(network)
    for parameter in smaller.model.parameters():
        parameter.data.mul_(1.25)
    x = torch.rand(1, 3, 16, 16)
    same(smaller.model(x), run_in_onnxruntime(smaller.model.to_proto(), [x]))
    same(network.model(x), [small(x)])


def caffe_like(path):
    """A file as converted from Caffe: initialisers among the inputs, groups, LRN, Dropout, Gemm."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (16, 3, 5, 5), "b1": 16, "w2": (32, 8, 3, 3), "b2": 32, "w3": (4, 512), "b3": 4}
    nodes = [
        ("Conv", ["x", "w1", "b1"], ["c1"], {"name": "conv1", "kernel_shape": [5, 5], "pads": [2] * 4}),
        ("Relu", ["c1"], ["r1"], {}),
        ("LRN", ["r1"], ["n1"], {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}),
        ("MaxPool", ["n1"], ["p1"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
        ("Conv", ["p1", "w2", "b2"], ["c2"], {"group": 2, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ("Flatten", ["c2"], ["f"], {}),
        ("Dropout", ["f"], ["d"], {}),
        ("Gemm", ["d", "w3", "b3"], ["fc"], {"transB": 1}),
        ("Softmax", ["fc"], ["y"], {}),
    ]
    weights = {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}
    proto = onnx.load(saved(path, nodes, [1, 3, 16, 16], [1, 4], opset=9, **weights))
    proto.graph.input.extend(onnx.helper.make_tensor_value_info(w.name, 1, w.dims) for w in proto.graph.initializer)
    proto.ir_version = 3
    onnx.save(proto, path)
    return path


def test_files_converted_from_caffe(tmp_path):
    network = load_onnx(caffe_like(tmp_path / "caffe.onnx"))
    assert network.input_shape == (3, 16, 16)
    assert [layer.shape.groups for layer in wb.analyze(network).layers] == [1, 2, 1]
    smaller = wb.decompose(network, wb.budget_plan(wb.analyze(network), weights_ratio=1.5))
    assert any(part.decision != "keep" for part in smaller.plan)
    made = smaller.model.to_proto()
    onnx.checker.check_model(made)
    x = torch.rand(1, 3, 16, 16)
    same(smaller.model(x), run_in_onnxruntime(made, [x]))


def test_a_matrix_without_a_bias_in_an_old_file(tmp_path):
    """Gemm takes a bias before version 11 of the operators, and the core of a Tucker-1 layer has none."""
    values = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    nodes = [("Gemm", ["x", "w", "b"], ["y"], {"transB": 1})]
    network = load_onnx(saved(tmp_path / "in.onnx", nodes, [1, 6], [1, 4], opset=9, w=values[:4], b=values[4, :4]))
    plan = wb.evbmf_plan(wb.analyze(network))
    smaller = wb.decompose(network, plan.with_ranks(plan.layers[0].name, rank_out=2))
    x = torch.rand(1, 6)
    same(smaller.model(x), run_in_onnxruntime(smaller.model.to_proto(), [x]))


def test_what_follows_from_the_size_of_a_batch_is_no_constant(tmp_path):
    """ONNX Runtime computes this Resize, to a size that the number of images is a part of."""
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [
        ("Shape", ["x"], ["n"], {"end": 2}),
        ("Concat", ["n", "size"], ["sizes"], {"axis": 0}),
        ("Resize", ["x", "", "", "sizes"], ["r"], how),
        ("GlobalAveragePool", ["r"], ["y"], {}),
    ]
    network = load_onnx(saved(tmp_path / "in.onnx", nodes, ["n", 3, 8, 8], ["n", 3, 1, 1], size=[13, 13]))
    x = torch.rand(5, 3, 8, 8)
    same(network.model(x), [torch.cat([network.model(one) for one in x.split(1)])])


def test_reshapes_that_cannot_follow_the_batch_run_one_by_one(tmp_path):
    nodes = [("Reshape", ["x", "four"], ["f"], {}), ("Reshape", ["f", "one"], ["y"], {})]
    network = load_onnx(saved(tmp_path / "in.onnx", nodes, [1, 2, 2, 2], [1, 8], four=[4, -1], one=[1, -1]))
    x = torch.rand(3, 2, 2, 2)
    same(network.model(x), [x.flatten(1)])


def test_a_file_of_a_fixed_batch_is_exported_with_it(tmp_path):
    path = relu(tmp_path / "in.onnx", 4, 3)
    network = load_onnx(path)
    assert network.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    checked = wb.export(network, tmp_path / "out.onnx", torch.rand(10, 3)).verification
    assert (checked.n, checked.agreement) == (10, 1.0)
    last = reference(network, torch.eye(3).repeat(3, 1)).compare(lambda x: x.flip(1) if x[0].equal(x[1]) else x)
    assert (last.n, last.agreement) == (9, 8 / 9)
    with pytest.raises(ExportError, match="leave out dynamic_batch"):
        wb.export(network, tmp_path / "out.onnx", dynamic_batch=True)


@pytest.mark.parametrize(("known", "source"), [({}, "before"), ({"versions": '{"workbench": "1"}'}, "after")])
def test_what_the_workbench_wrote_into_a_file_is_replaced(tmp_path, known, source):
    proto = onnx.load(relu(tmp_path / "in.onnx", 1, 3))
    onnx.helper.set_model_props(proto, {"source": "before", **known})
    made = OnnxModel(proto).to_proto({"source": "after"})
    assert {p.key: p.value for p in made.metadata_props} == {"source": source, **known}


def test_outputs_that_are_no_numbers_are_not_those_of_the_file(tmp_path, monkeypatch):
    path = relu(tmp_path / "in.onnx", 1, 3)
    monkeypatch.setattr("workbench.catalog.onnx.load.run_in_onnxruntime", lambda *_: [torch.full((1, 3), np.nan)])
    with pytest.raises(OnnxError, match="another output y"):
        load_onnx(path)


def test_a_file_that_is_not_finite_here_and_there_is_opened(tmp_path):
    nodes = [("Sub", ["x", "x"], ["z"], {}), ("Div", ["z", "z"], ["y"], {})]
    assert load_onnx(saved(tmp_path / "nan.onnx", nodes, [1, 3], [1, 3])).run(torch.ones(1, 3)).isnan().all()


def test_weights_beside_a_file_are_in_its_checksum(tmp_path):
    found = set()
    for value in (1.0, 1.0, 2.0):
        weight = np.full((64, 64), value, np.float32)
        proto = onnx.load(saved(tmp_path / "m.onnx", [("MatMul", ["x", "w"], ["y"], {})], [1, 64], [1, 64], w=weight))
        (tmp_path / "m.data").unlink(missing_ok=True)
        onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
        found.add(load_onnx(tmp_path / "m.onnx").sha256)
    assert len(found) == 2


def test_what_cannot_be_opened_is_said_in_a_sentence(small, tmp_path):
    path = write(tmp_path, small, dynamo=False)
    content = path.read_bytes()
    nodes = [("QuantizeLinear", ["x", "s"], ["q"], {}), ("DequantizeLinear", ["q", "s"], ["y"], {})]
    saved(tmp_path / "int8.onnx", nodes, [1, 3], [1, 3], s=np.float32(0.1))
    for name, bad in {"cut.onnx": content[: len(content) // 2], "empty.onnx": b"", "text.onnx": b"hello" * 100}.items():
        (tmp_path / name).write_bytes(bad)
    open_shape = onnx.load(path)
    for dim in open_shape.graph.input[0].type.tensor_type.shape.dim:
        dim.dim_param = f"d{len(dim.dim_param)}"
    onnx.save(open_shape, tmp_path / "open.onnx")
    for name in ("cut.onnx", "empty.onnx", "text.onnx", "int8.onnx", "open.onnx", "absent.onnx"):
        with pytest.raises(OnnxError) as error:
            load_onnx(tmp_path / name)
        assert "\n" not in str(error.value), name
        assert 15 < len(str(error.value)) < 300, name
    assert load_onnx(tmp_path / "open.onnx", input_shape=(3, 16, 16)).input_shape == (3, 16, 16)
    with pytest.raises(OnnxError, match="3 x 16 x 16"):
        load_onnx(path, input_shape=(3, 32, 32))
