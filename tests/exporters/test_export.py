"""ONNX and ExecuTorch files of whole networks: run on real images, described inside, refused when they are wrong."""

import json
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.catalog.networks.load import Centred
from workbench.exporters import executorch, onnx
from workbench.exporters.executorch import load_executorch
from workbench.exporters.files import export_executorch, export_onnx
from workbench.exporters.onnx import load_onnx
from workbench.exporters.preparing import ExportError

EXPORTS = {".onnx": export_onnx, ".pte": export_executorch}
MOBILE = pytest.mark.skipif(executorch.missing() != "", reason="ExecuTorch has no wheels for this machine")
SUFFIXES = [".onnx", pytest.param(".pte", marks=MOBILE)]
FILES = pytest.mark.parametrize("suffix", SUFFIXES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module", params=SUFFIXES)
def exported(request, smaller, data, folder):
    return EXPORTS[request.param](smaller, folder / f"digits{request.param}", data.test)


def known(path):
    """What the file says of itself."""
    if path.suffix == ".pte":
        return json.loads(load_executorch(path).metadata)
    import onnxruntime

    texts = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map
    return {
        k: json.loads(v) if v[:1] in "[{0123456789tf" and k not in ("sha256", "source") else v for k, v in texts.items()
    }


def run(path, inputs):
    program = (load_executorch if path.suffix == ".pte" else load_onnx)(path)
    return torch.cat([program(one) for one in inputs.split(1)])


def test_the_compressed_digits_run_and_agree_on_every_test_image(exported, smaller, data):
    assert (exported.check.n, exported.check.agreement, exported.check.on) == (500, 1.0, "test")
    assert exported.check.max_error < 1e-5
    assert exported.bytes == exported.path.stat().st_size
    assert "every answer on 500 images (test) as in PyTorch" in str(exported)
    # and not only by its own word
    with torch.inference_mode():
        expected = smaller.model.eval()(data.test.images)
    found = run(exported.path, data.test.images)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4
    assert torch.equal(found.argmax(1), expected.argmax(1))


def test_the_file_says_what_it_is(exported, smaller):
    found = known(exported.path)
    assert found["name"] == "digits_vgg"
    assert found["classes"] == list("0123456789")
    assert found["input_shape"] == [1, 8, 8]
    assert found["preprocessing"]["words"].startswith("Nothing is to be done before: an input is 1 x 8 x 8")
    assert found["source"] == smaller.source
    assert found["random_weights"] is False
    assert found["versions"]["torch"]
    assert found["compression"]["macs_ratio"] == pytest.approx(smaller.plan.macs_ratio, abs=1e-3)
    assert found["compression"]["policy"] == smaller.plan.policy
    assert "arXiv:1511.06530" in found["compression"]["reference"]


def test_nothing_else_is_left_in_the_folder(exported, folder):
    assert all(path.name in ("digits.onnx", "digits.pte") for path in folder.iterdir())


def test_any_number_of_images_at_a_time(smaller, data, tmp_path):
    found = export_onnx(smaller, tmp_path / "any.onnx", data.validation, dynamic_batch=True)
    assert found.check.n == 297
    assert load_onnx(found.path)(data.test.images[:7]).shape == (7, 10)


@pytest.fixture(scope="module")
def photos():
    """A small network behind the catalog's preprocessing, and images larger than it takes."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    images = torch.randint(256, (12, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    network = wb.Network(nn.Sequential(*layers).eval(), (3, 16, 16), "photos", Centred(16), tuple("abcd"))
    return network, wb.Split(images, torch.zeros(12, dtype=torch.long), "test")


@FILES
def test_the_preprocessings_arithmetic_can_be_inside(photos, suffix, tmp_path):
    network, split = photos
    plain = EXPORTS[suffix](network, tmp_path / f"plain{suffix}", split)
    inside = EXPORTS[suffix](network, tmp_path / f"inside{suffix}", split, pixels=True)
    pixels = split.images[..., 2:18, 4:20].float()
    assert torch.allclose(run(inside.path, pixels), run(plain.path, network.inputs(split.images)), atol=1e-5, rtol=0)
    said = known(plain.path)["preprocessing"]
    assert (said["inside"], said["size"], said["mean"]) == (False, 16, [0.485, 0.456, 0.406])
    assert said["words"] == (
        "RGB images, channels first, resized and cropped to their centre of 16 x 16 pixels. "
        "Divide the pixels by 255, subtract the mean and divide by the deviation of each channel."
    )
    assert known(inside.path)["preprocessing"]["inside"] is True
    assert "takes the pixels as they are, 0 to 255" in known(inside.path)["preprocessing"]["words"]


@FILES
def test_a_preprocessing_of_ones_own_stays_outside_and_is_named(photos, suffix, tmp_path):
    def halved(images):
        return images[..., ::2, ::2].float()[..., :8, :8]

    network = replace(photos[0], preprocessing=halved, input_shape=(3, 8, 8))
    with pytest.raises(ExportError, match=r"preprocessing of photos is not a scale, a mean and a deviation"):
        EXPORTS[suffix](network, tmp_path / f"own{suffix}", photos[1], pixels=True)
    said = known(EXPORTS[suffix](network, tmp_path / f"own{suffix}", photos[1]).path)["preprocessing"]["words"]
    assert "halved, that is not in this file; it must give inputs of 3 x 8 x 8." in said


@FILES
def test_without_images_random_inputs_are_compared_and_it_says_so(photos, suffix, tmp_path):
    found = EXPORTS[suffix](photos[0], tmp_path / f"noise{suffix}")
    assert (found.check.n, found.check.on) == (8, "random inputs")


@pytest.mark.parametrize(
    ("suffix", "name", "wrong"),
    [
        (".onnx", "load_onnx", lambda found: found * 1.01),
        pytest.param(".pte", "load_executorch", lambda found: found.roll(1, 1), marks=MOBILE),
    ],
)
def test_a_file_that_computes_something_else_is_not_kept(monkeypatch, photos, suffix, name, wrong, tmp_path):
    module = onnx if suffix == ".onnx" else executorch
    load = getattr(module, name)

    def loaded(path):
        program = load(path)
        return lambda inputs: wrong(program(inputs))

    monkeypatch.setattr(module, name, loaded)
    (tmp_path / f"old{suffix}").write_bytes(b"an older export")
    for path in (tmp_path / f"new{suffix}", tmp_path / f"old{suffix}"):
        with pytest.raises(
            ExportError, match=rf"^...\{suffix} was not kept, since it does not compute what PyTorch does"
        ):
            EXPORTS[suffix](photos[0], path, photos[1])
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"an older export"]


@FILES
def test_paths_that_cannot_be_written(photos, suffix, tmp_path):
    export = EXPORTS[suffix]
    (tmp_path / f"folder{suffix}").mkdir()
    for path, why in (
        (tmp_path / "net.txt", rf"net\.txt does not end with \{suffix}"),
        (tmp_path / "nowhere" / f"net{suffix}", "there is no folder .*nowhere$"),
        (tmp_path / f"folder{suffix}", rf"folder\{suffix} is a folder: name a file in it"),
    ):
        with pytest.raises(ExportError, match=why):
            export(photos[0], path)


@FILES
def test_a_full_disk(monkeypatch, photos, suffix, tmp_path):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.exporters.files.write_atomically", full)
    with pytest.raises(ExportError, match=rf"net\{suffix} cannot be written: No space left on device$"):
        EXPORTS[suffix](photos[0], tmp_path / f"net{suffix}", photos[1])
    assert list(tmp_path.iterdir()) == []


@FILES
def test_what_is_missing_is_said_before_anything_is_done(monkeypatch, photos, suffix, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "executorch", None)
    with pytest.raises(ExportError, match=r"is not installed here: pip install -e '\.\[(onnx|mobile)\]'$"):
        EXPORTS[suffix](photos[0], tmp_path / f"net{suffix}", progress=lambda share, what: pytest.fail("began"))


@FILES
def test_progress_and_what_it_raises(photos, suffix, tmp_path):
    class EnoughError(Exception):
        pass

    seen = []

    def progress(share, what):
        seen.append((share, what))
        if what == "checking it":
            raise EnoughError

    with pytest.raises(EnoughError):
        EXPORTS[suffix](photos[0], tmp_path / f"net{suffix}", progress=progress)
    assert [what for _, what in seen] == ["running it in PyTorch", "translating it", "writing it", "checking it"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@FILES
def test_googlenet_runs_and_agrees(shared, suffix, tmp_path):
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    sample = shared / "imagenet_sample"
    data = wb.load_data("images", root=sample, labels=sample / "labels.csv", classes=network.classes)
    few = torch.arange(0, len(data.test), 10)
    split = wb.Split(data.test.images[few], data.test.labels[few], "test")
    smaller = wb.decompose(network, wb.evbmf_plan(wb.analyze(network), layers="spatial"))
    found = EXPORTS[suffix](smaller, tmp_path / f"googlenet{suffix}", split, pixels=True)
    assert found.check.passed
    assert found.check.n == len(few) >= 50
    assert known(found.path)["classes"][1] == "goldfish"
