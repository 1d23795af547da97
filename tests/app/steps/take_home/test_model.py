"""What the page says to do with a file does it; a notebook loads what was opened, by name or from the user's files."""

import zipfile
from dataclasses import replace

import nbformat
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import workbench as wb
from tests.app.conftest import on_a_loop, small_session
from tests.helpers.networks import same
from tests.helpers.pictures import picture
from tests.helpers.sessions import idle, unlabelled_data
from workbench.app.session import Session
from workbench.app.steps.take_home.model import FILE_KINDS, IN_CHANNELS, load_code
from workbench.catalog.networks.entries import Centred


def small_model(channels):
    torch.manual_seed(0)
    layers = [nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)]
    return nn.Sequential(*layers)


def loads(choose, **names):
    """Check that the notebook's code loads what is open; what the user has to fill in."""
    code, missing = load_code(choose)
    exec(f"import workbench as wb\nnetwork = {code['network']}\ndata = {code['data']}", names)  # noqa: S102 - our own
    for name in ("train", "validation", "test"):
        one, other = getattr(names["data"], name), getattr(choose.data, name)
        assert torch.equal(one.images[:], other.images[:])
        assert torch.equal(one.labels, other.labels)
        answers = [network.run(network.inputs(one.images[:])) for network in (names["network"], choose.network)]
        assert torch.equal(*answers)
    return missing


def test_a_notebook_asks_for_what_was_given_in_code_and_repeats_the_run_with_it():
    session = small_session(data=unlabelled_data(), opened=True)
    session.recover.decompose()
    session.take_home.make("notebook")
    made = session.take_home.made["notebook"]
    assert made.words.endswith("the network small (given in code) and the data bare (given in code)")
    cells = nbformat.read(made.path, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    with pytest.raises(NameError, match="your_network"):
        exec(code, {})  # noqa: S102
    names = {"your_network": session.choose.network, "your_data": session.choose.data}
    exec(code, names)  # noqa: S102
    assert same(names["small"].model.state_dict(), session.recover.compressed.model.state_dict())


def test_bundled_names_need_nothing(digits):
    assert loads(digits.choose) == []


def test_a_checkpoint(digits, tmp_path, monkeypatch):
    file, state = tmp_path / "mine.safetensors", digits.choose.network.model.state_dict()
    save_file({**state, "classifier.2.bias": torch.zeros(10)}, file)
    digits.choose.open(weights=file.name, file=file)
    monkeypatch.chdir(tmp_path)
    assert loads(digits.choose) == ["the file mine.safetensors"]


@pytest.mark.parametrize(
    ("channels", "name", "folder", "missing"),
    [
        (1, "own", "own/{}", "the images own"),
        (3, "20 files", "pictures", "a folder with the 20 files"),
    ],
)
def test_an_onnx_file_and_pictures(tmp_path, monkeypatch, channels, name, folder, missing):
    for i in range(20):
        picture(tmp_path / folder.format("ab"[i % 2]) / f"{i}.png", (10 * i, 0, 0), (12, 10))
    original = wb.Network(small_model(channels), (channels, 8, 8), classes=("b", "a", "c"))
    file = wb.export(original, tmp_path / "mine.onnx").path
    session = Session()
    session.choose.open(network="mine.onnx", weights="mine.onnx", file=file)
    session.choose.open(data=name, pictures=tmp_path / folder.partition("/")[0])
    monkeypatch.chdir(tmp_path)
    assert loads(session.choose) == ["the file mine.onnx", missing]
    centred = Centred(8, shorter=8) if channels == 3 else None  # small pictures are taken whole
    assert session.choose.network.preprocessing == centred


@pytest.mark.parametrize(
    ("changes", "random", "wanted"),
    [
        ({"network": "resnet18"}, False, "wb.load_network('resnet18', weights='pretrained')"),
        ({"network": "resnet18"}, True, "wb.load_network('resnet18', weights=None)"),
        ({"data": "cifar10"}, False, f"wb.load_data('cifar10', root='datasets', size=8, download=True){IN_CHANNELS}"),
    ],
)
def test_what_the_catalogs_have(digits, changes, random, wanted):
    choose = digits.choose
    network = choose.network.with_model(choose.network.model, random_weights=random)
    opened = replace(choose.opened, choice=replace(choose.choice, **changes), network=network)
    choose.set_trait("opened", opened)
    codes, missing = load_code(choose)
    assert (codes[next(iter(changes))], missing) == (wanted, [])


@pytest.mark.parametrize("kind", ["onnx", "weights", pytest.param("executorch", marks=pytest.mark.slow)])
def test_the_three_lines_run(session, kind, tmp_path, monkeypatch):
    session.recover.decompose()
    session.take_home.make(kind)
    made, small = session.take_home.made.get(kind), session.recover.compressed
    assert made is not None, FILE_KINDS[kind].missing()
    image = session.choose.data.test.images[:1].float()
    names = {"image": image.numpy() if kind == "onnx" else image, "original": small.original.model}
    monkeypatch.chdir(made.path.parent)
    if kind == "weights":
        with zipfile.ZipFile(made.path) as archive:
            archive.extractall(tmp_path)
        monkeypatch.chdir(next(tmp_path.iterdir()))
        monkeypatch.syspath_prepend(next(tmp_path.iterdir()))
    code = FILE_KINDS[kind].code["In Python"].format(file=made.path.name, shape="1, 3, 8, 8")
    assert len(code.splitlines()) == 3
    with torch.inference_mode():
        exec(code, names)  # noqa: S102
        wanted = small.model(image)
    answers = names["answers"] if kind == "weights" else torch.as_tensor(names["answers"][0])
    torch.testing.assert_close(answers, wanted, atol=1e-4, rtol=1e-4)


def test_int8_files_are_quantised_on_images_without_labels(session, monkeypatch):
    asked = []

    def export(network, path, data, *, int8, progress):
        asked.append((path.name, int8))
        raise ValueError("enough")

    monkeypatch.setattr("workbench.app.steps.take_home.model.export", export)
    session.recover.decompose()
    for kind in ("onnx", "onnx_int8", "executorch_int8"):
        assert session.take_home.make(kind).error == "Enough."
    names, images = zip(*asked, strict=True)
    assert names == tuple(f"small-run1-decomposed{end}" for end in (".onnx", "-int8.onnx", "-int8.pte"))
    assert images[0] is None
    assert [(split.name, len(split)) for split in images[1:]] == [("train", len(session.choose.data.unlabelled))] * 2


@on_a_loop
async def test_files_need_a_compressed_network_that_stays(session):
    session.recover.decompose()
    await idle(session)
    session.recover.calibrate()
    job = session.take_home.make("weights")
    await idle(session)
    assert "has changed" in job.error
    assert [*session.take_home._folder.iterdir()] == []


def test_a_file_comes_with_the_time_of_its_own_runtime(session):
    session.recover.decompose()
    recover, take_home = session.recover, session.take_home
    rows = [{"runtime": "onnxruntime", "dense_ms": 2.0, "compressed_ms": 1.5, "int8_ms": 0.5}]
    for latency in (rows, [*rows, None], [{"runtime": "executorch"}, *rows]):
        recover.run = replace(recover.run, measured={"latency": latency})
        assert take_home.time_text("onnx").startswith("; 1.5 ms an image on this machine, the original 2 ms")
        assert take_home.time_text("onnx_int8").startswith("; 0.5 ms")
        assert {take_home.time_text(kind) for kind in ("executorch", "weights", "report")} == {""}
    recover.run = replace(recover.run, measured={"latency": "nothing"})
    assert take_home.time_text("onnx") == ""
