"""The notebook of a run loads what the user opened: by name, or from files that the user has to put there."""

from dataclasses import replace

import nbformat
import pytest
import torch
from PIL import Image
from torch import nn

import workbench as wb
from tests.helpers.pictures import picture
from workbench.app.session import Session
from workbench.app.steps.take_home.loading import load_code
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
    made = session.take_home.file("notebook")
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


def test_pictures_of_the_user(tmp_path, monkeypatch):
    for name in (f"{kind}/{i}.png" for kind in "ab" for i in range(10)):
        picture(tmp_path / "own" / name, (20 * int(name[2]), 0, 0), (8, 8))
    session = Session(wb.Network(small_model(3), (3, 8, 8), "small"))
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
        ({"data": "cifar10"}, False, "wb.load_data('cifar10', root='datasets', size=8, download=True)"),
    ],
)
def test_what_the_catalogs_have(digits, changes, random, wanted):
    choose = digits.choose
    network = choose.network.with_model(choose.network.model, random_weights=random)
    opened = replace(choose.opened, choice=replace(choose.choice, **changes), network=network)
    choose.set_trait("opened", opened)
    codes, missing = load_code(choose)
    assert (codes[next(iter(changes))], missing) == (wanted, [])
