"""Files of whole networks: run on real images, described inside, refused when they are wrong."""

import copy
import sys

import onnx as onnx_proto
import pytest
import torch
from torch import nn

import workbench as wb
from tests.exporters.conftest import RUNNABLE, described
from tests.helpers.networks import Computes, decomposed, same
from workbench.catalog.networks.entries import Centred
from workbench.exporters import archive, executorch, onnx
from workbench.exporters.executorch import load_executorch
from workbench.exporters.export import export
from workbench.exporters.onnx import load_onnx
from workbench.exporters.tracing import ExportError
from workbench.progress import Cancelled

LOADERS = {".onnx": (onnx, "load_onnx"), ".pte": (executorch, "load_executorch"), ".zip": (archive, "load_archive")}


@pytest.fixture(scope="module", params=RUNNABLE)
def exported(request, small, data, tmp_path_factory):
    before = copy.deepcopy(small.model.state_dict())
    found = export(small, tmp_path_factory.mktemp("exports") / f"digits{request.param}", data.test)
    assert same(small.model.state_dict(), before)  # nothing of the network is changed
    assert all(p.requires_grad for p in small.model.parameters())
    assert not any(module._forward_hooks for module in small.model.modules())
    return found


def test_the_compressed_digits_run_and_agree_on_every_test_image(exported, small, data):
    found = exported.verification
    assert (found.n, found.agreement, found.inputs) == (500, 1.0, "test")
    assert found.max_error < 1e-5
    assert exported.bytes == exported.path.stat().st_size
    assert "every answer on 500 images (test)" in str(exported)
    assert [path.name for path in exported.path.parent.iterdir()] == [exported.path.name]
    # and not only by its own word
    program = (load_executorch if exported.path.suffix == ".pte" else load_onnx)(exported.path)
    outputs = torch.cat([program(one) for one in data.test.images.split(1)])
    with torch.inference_mode():
        expected = small.model(data.test.images)
    assert float((outputs - expected).abs().max() / expected.abs().max()) < 1e-4
    assert torch.equal(outputs.argmax(1), expected.argmax(1))


def test_the_file_describes_itself(exported, small):
    found = described(exported.path)
    assert found["name"] == "digits_vgg"
    assert found["classes"] == list("0123456789")
    assert found["input_shape"] == [1, 8, 8]
    assert found["source"] == small.source
    assert found["random_weights"] is False
    assert found["versions"]["torch"]
    assert found["compression"]["macs_ratio"] == pytest.approx(small.plan.macs_ratio, abs=1e-3)
    assert "arXiv:1511.06530" in found["compression"]["reference"]


def test_any_number_of_images_at_a_time(small, data, tmp_path):
    found = export(small, tmp_path / "any.onnx", data.validation, dynamic_batch=True)
    assert found.verification.n == 297
    graph = pytest.importorskip("onnx").load(found.path).graph
    for value in (graph.input[0], graph.output[0]):
        assert value.type.tensor_type.shape.dim[0].dim_param == "n"
    images = data.test.images[:7]
    assert torch.allclose(load_onnx(found.path)(images), small.model(images), atol=1e-4)
    with pytest.raises(ExportError, match=r"dynamic_batch is only for \.onnx files"):
        export(small, tmp_path / "any.zip", dynamic_batch=True)


@pytest.fixture(scope="module")
def photos():
    """A small compressed network behind a preprocessing, and images larger than it takes."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    network = wb.Network(nn.Sequential(*layers), (3, 16, 16), name="photos", preprocessing=Centred(16))
    return decomposed(network, {"0": (None, 6)})


def test_the_preprocessing_is_described_and_done_before_the_comparison(photos, tmp_path):
    images = torch.randint(256, (12, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    found = export(photos, tmp_path / "photos.onnx", images)
    assert found.verification.n == 12
    described_as = described(found.path)["preprocessing"]
    assert (described_as["size"], described_as["width"], described_as["mean"]) == (16, 16, [0.485, 0.456, 0.406])
    assert "cropped to their centre of 16 x 16 pixels. Divide the pixels by 255" in described_as["words"]


def test_an_onnx_file_is_opened_with_what_it_records(tmp_path, caplog):
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    preprocessing = Centred(16, shorter=20, width=12)
    original = wb.Network(nn.Sequential(*layers), (3, 16, 12), preprocessing=preprocessing, classes=("cat", "dog"))
    path = export(original, tmp_path / "pets.onnx").path
    caplog.clear()
    opened = wb.load_network(path)
    assert not caplog.records
    assert (opened.classes, opened.preprocessing) == (original.classes, original.preprocessing)
    rescaled = wb.load_network(path, mean=(0.5,), std=(0.5,)).preprocessing
    assert rescaled == Centred(16, (0.5,), (0.5,), shorter=20, width=12)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("versions", '{"another": "1"}'),
        ("classes", '["cat"]'),
        ("classes", "cat and dog"),
        ("preprocessing", '{"words": "none"}'),
        ("preprocessing", '{"size": 16, "width": 16, "shorter": 1000000000, "mean": [0], "std": [1]}'),
        ("preprocessing", '{"size": 16, "width": 16, "shorter": 20, "mean": [0, 0], "std": [1]}'),
        ("preprocessing", '{"size": 16, "width": 16, "shorter": 20, "mean": ["a"], "std": [1]}'),
        ("preprocessing", '{"size": 16, "width": 16, "shorter": 20, "mean": [0], "std": [0]}'),
        ("preprocessing", '{"size": 16, "width": 16, "shorter": 20, "mean": [NaN], "std": [1]}'),
        ("preprocessing", '{"size": 16, "width": 16, "shorter": Infinity, "mean": [0], "std": [1]}'),
    ],
)
def test_records_that_do_not_fit_are_left_out(key, text, tmp_path):
    layers = (nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    original = wb.Network(nn.Sequential(*layers), (3, 16, 16), preprocessing=Centred(16), classes=("cat", "dog"))
    path = export(original, tmp_path / "pets.onnx").path
    proto = onnx_proto.load(path)
    next(entry for entry in proto.metadata_props if entry.key == key).value = text
    onnx_proto.save(proto, path)
    opened = wb.load_network(path)
    assert not getattr(opened, "classes" if key == "versions" else key)


def test_indices_stay_whole_numbers(tmp_path, generator):
    layers = {"embedding": nn.Embedding(50, 8), "convolution": nn.Conv1d(8, 8, 3), "head": nn.Linear(8, 4)}
    model = Computes(lambda net, x: net.head(net.convolution(net.embedding(x).mT).mean(2)), **layers)
    network = wb.Network(model, example=torch.randint(50, (1, 20), generator=generator))
    assert export(network, tmp_path / "tokens.onnx").verification.passed


@pytest.mark.parametrize("suffix", [*RUNNABLE, ".zip"])
def test_a_file_that_computes_something_else_is_not_kept(monkeypatch, photos, suffix, tmp_path):
    module, name = LOADERS[suffix]
    load = getattr(module, name)

    def loaded(*given, **more):
        program = load(*given, **more)
        return lambda inputs: program(inputs).roll(1, 1)

    monkeypatch.setattr(module, name, loaded)
    (tmp_path / f"old{suffix}").write_bytes(b"an older export")
    with pytest.raises(ExportError, match=rf"^old\{suffix} was not kept, since it does not compute what PyTorch"):
        export(photos, tmp_path / f"old{suffix}")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"an older export"]


def test_progress_and_cancelling(photos, tmp_path):
    seen = []

    def progress(share, note):
        seen.append((share, note))
        if note == "checking it":
            raise Cancelled

    with pytest.raises(Cancelled):
        export(photos, tmp_path / "net.zip", progress=progress)
    assert [note for _, note in seen] == ["running it in PyTorch", "translating it", "writing it", "checking it"]
    assert list(tmp_path.iterdir()) == []


def test_paths_that_cannot_be_written(monkeypatch, photos, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    for path, why in (
        (tmp_path / "net.docx", r"net\.docx does not end .*\.onnx \(ONNX\), \.pte .*, \.zip"),
        (tmp_path / "nowhere" / "net.zip", "there is no folder .*nowhere$"),
        (tmp_path / "folder.onnx", r"folder\.onnx is a folder: name a file in it"),
    ):
        with pytest.raises(ValueError, match=why):
            export(photos, path)

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.exporters.export.write_atomically", full)
    with pytest.raises(ExportError, match=r"net\.zip cannot be written: No space left on device$"):
        export(photos, tmp_path / "net.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


@pytest.mark.parametrize("suffix", [".onnx", ".pte"])
def test_a_missing_library_is_said_before_anything_is_done(monkeypatch, photos, suffix, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "executorch", None)
    with pytest.raises(ExportError, match=r"is not installed here: pip install -e '\.\[(onnx|mobile)\]'$"):
        export(photos, tmp_path / f"net{suffix}", progress=lambda share, note: pytest.fail("began"))


@pytest.mark.slow
def test_googlenet_runs_and_agrees(shared, tmp_path):
    """In each format, on ten real images."""
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    small = wb.decompose(network, wb.evbmf_plan(wb.analyze(network), layers="spatial"))
    images = sorted((shared / "imagenet_sample").glob("*.[jJ]*"))[::50]
    for suffix in LOADERS:
        if suffix != ".pte" or not executorch.missing():
            found = export(small, tmp_path / f"googlenet{suffix}", images)
            assert (found.verification.passed, found.verification.n) == (True, 10)
            assert suffix == ".zip" or described(found.path)["classes"][1] == "goldfish"
