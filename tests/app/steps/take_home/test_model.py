"""What the page says to do with a file does it; a notebook loads what was opened, by name or from the user's files."""

import zipfile
from dataclasses import replace

import nbformat
import pytest
import torch
from PIL import Image
from torch import nn

import workbench as wb
from tests.app.conftest import on_a_loop
from tests.helpers.pictures import picture
from tests.helpers.sessions import idle
from workbench.app.session import Session
from workbench.app.steps.take_home.model import FILE_KINDS, IN_CHANNELS, load_code
from workbench.catalog.networks.entries import Centred
from workbench.catalog.networks.load import BUNDLED


def small_model(channels):
    torch.manual_seed(0)
    layers = [nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)]
    return nn.Sequential(*layers)


def execute(session, names=None, *, calibrated=False):
    """What the notebook's cells make, and the words of its file."""
    session.recover.decompose()
    if calibrated:
        session.recover.calibrate()
    job = session.take_home.make("notebook")
    assert job.error == ""
    made = session.take_home.made["notebook"]
    cells = nbformat.read(made.path, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    found = dict(names or {})
    exec(code.replace("{**before", "scores = {**before"), found)  # noqa: S102 - our own
    after, before = found["small"].model.state_dict(), session.recover.compressed.model.state_dict()
    for key in before:
        torch.testing.assert_close(after[key], before[key], rtol=0, atol=1e-6 if calibrated else 0)
    return found, made.words


def test_what_was_given_in_code(session):
    with pytest.raises(NameError, match="your_network"):
        execute(session)
    names = {"your_network": session.choose.network, "your_data": session.choose.data}
    _, words = execute(session, names)
    assert words.endswith("the network small (given in code) and the data tiny (given in code)")


def test_bundled_names_need_nothing(digits):
    assert "first cell" not in execute(digits)[1]


def test_a_checkpoint(digits, tmp_path, monkeypatch):
    file = tmp_path / "mine.safetensors"
    file.write_bytes((BUNDLED / "digits_vgg.safetensors").read_bytes())
    digits.choose.open(weights=file.name, file=file)
    monkeypatch.chdir(tmp_path)
    assert execute(digits)[1].endswith("where to find the file mine.safetensors")


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_the_user(tmp_path, monkeypatch, channels):
    for name in (f"{kind}/{i}.png" for kind in "ab" for i in range(10)):
        picture(tmp_path / "own" / name, (20 * int(name[2]), 0, 0), (8, 8))
    session = Session(wb.Network(small_model(channels), (channels, 8, 8), "small"))
    session.choose.open()
    session.choose.open(data="own", pictures=tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    found, words = execute(session, {"your_network": session.choose.network})
    assert words.endswith("the network small (given in code) and the images own")
    for name in ("train", "validation", "test"):
        one, other = getattr(found["data"], name), getattr(session.choose.data, name)
        assert torch.equal(one.images[:], other.images[:])
        assert torch.equal(one.labels, other.labels)


def test_an_onnx_file(session, tmp_path, monkeypatch):
    path = wb.export(wb.Network(small_model(1), (1, 8, 8)), tmp_path / "mine.onnx").path
    session.choose.open(network="mine.onnx", weights="mine.onnx", file=path)
    monkeypatch.chdir(tmp_path)
    found, words = execute(session, {"your_data": session.choose.data})
    assert found["network"].input_shape == (1, 8, 8)
    assert "the file mine.onnx and the data tiny" in words


def test_an_onnx_file_of_coloured_images_and_pictures_without_labels(tmp_path, monkeypatch):
    path = wb.export(wb.Network(small_model(3), (3, 8, 8)), tmp_path / "mine.onnx").path
    (tmp_path / "pictures").mkdir()
    noise = torch.Generator().manual_seed(0)
    for i in range(30):
        pixels = torch.randint(256, (12, 10, 3), generator=noise, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(tmp_path / "pictures" / f"{i}.png")
    session = Session()
    session.choose.open(network="mine.onnx", weights="mine.onnx", file=path)
    session.choose.open(data="30 files", pictures=tmp_path / "pictures")
    assert session.choose.network.preprocessing == Centred(8, shorter=8)  # small pictures are taken whole
    monkeypatch.chdir(tmp_path)
    found, words = execute(session, calibrated=True)
    assert words.endswith("the file mine.onnx and a folder with the 30 files")
    assert found["scores"]["compressed"].kind == "agreement"


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
    assert "became another one" in job.error
    assert [*session.take_home._folder.iterdir()] == []


def test_a_file_comes_with_the_time_of_its_own_runtime(session):
    session.recover.decompose()
    recover, take_home = session.recover, session.take_home
    rows = [{"runtime": "onnxruntime", "dense_ms": 2.0, "compressed_ms": 1.5, "int8_ms": 0.5}]
    for latency in (rows, [*rows, None], [{"runtime": "executorch"}, *rows]):
        recover.run = replace(recover.run, measured={"latency": latency})
        assert take_home.timed("onnx").startswith("; 1.5 ms an image on this machine, the original 2 ms")
        assert take_home.timed("onnx_int8").startswith("; 0.5 ms")
        assert take_home.timed("executorch") == take_home.timed("weights") == take_home.timed("report") == ""
    recover.run = replace(recover.run, measured={"latency": "nothing"})
    assert take_home.timed("onnx") == ""
