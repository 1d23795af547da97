"""The user's own things on the page: an ONNX file, pictures, a network that is looked for."""

import io
import zipfile

import ipywidgets as w
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import workbench as wb
from tests.helpers.widgets import find, html
from workbench.app.steps.choose.view import choose_view, data_options, network_options
from workbench.app.widgets.upload import Upload


@pytest.fixture
def view(session):
    return choose_view(session)


def picture(seed, kind="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def bring(widget, files):
    """Send files as the page does; the last answer."""
    answers = []
    widget.send = answers.append
    sizes = [[name, len(content)] for name, content in files.items()]
    widget._receive(None, {"kind": "begin", "files": sizes}, [])
    widget._receive(None, {"kind": "piece", "at": 0}, [b"".join(files.values())])
    widget._receive(None, {"kind": "end"}, [])
    return answers[-1]["ok"]


class Colours(nn.Sequential):
    def __init__(self):
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 32, 3, stride=2), nn.ReLU(), nn.Conv2d(32, 32, 3, stride=2), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))


@pytest.fixture
def onnx_file(tmp_path):
    return wb.export(wb.Network(Colours(), (3, 32, 32)), tmp_path / "a.onnx").path.read_bytes()


def test_an_onnx_file_and_pictures_without_labels_become_a_smaller_onnx_file(session, view, onnx_file, tmp_path):
    upload, pictures = find(view, Upload)
    assert bring(upload, {"mine.onnx": onnx_file})
    choose = session.choose
    assert (choose.network.name, choose.network.input_shape) == ("mine.onnx", (3, 32, 32))
    assert network_options(session)[0] == ("mine.onnx (uploaded)", "mine.onnx")
    assert "the workbench assumes" in html(view)
    assert bring(pictures, {f"holiday/{i}.png": picture(i) for i in range(20)})
    assert (choose.data.name, choose.misfit) == ("20 files", "")
    assert not choose.data.validation.labelled
    assert len(choose.data.train) + len(choose.data.validation) + len(choose.data.test) == 20
    assert html(view).count("<img alt=''") == 12
    assert data_options(session)[0] == ("20 files (brought)", "20 files")
    session.plan.replan(planner="budget", macs_ratio=1.5)
    session.recover.decompose()
    session.recover.calibrate()
    run = session.recover.run
    assert run.last.score.kind == "agreement"
    made = session.take_home.make("onnx")
    assert made.error == ""


def test_one_photograph_is_tried_on_both_networks(session, view):
    session.choose.open(network="resnet20")
    assert bring(find(view, Upload)[1], {"cat.png": picture(1)})
    assert (session.choose.data.name, session.choose.misfit) == ("cat.png", "")
    session.plan.replan(planner="budget", macs_ratio=1.5)
    session.recover.decompose()
    (seen,) = session.gallery.gallery.pictures
    assert seen.before is not None
    assert seen.after is not None


@pytest.mark.parametrize("size", [None, (3, 224, 224)])
def test_an_onnx_file_that_leaves_its_size_open_is_opened_with_one(session, view, tmp_path, size):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(wb.export(wb.Network(Colours(), size or (3, 32, 32)), tmp_path / "a.onnx").path)
    if size is None:
        for dim in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
            dim.Clear()
    assert bring(find(view, Upload)[0], {"mine.onnx": proto.SerializeToString()})
    assert session.choose.network.input_shape == (3, 224, 224)
    assert ("whose size is open" in session.choose.warning) == (size is None)


def test_folders_in_a_zip_file_are_classes(session, view):
    session.choose.open(network="resnet20")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for label in ("cat", "dog"):
            for i in range(10):
                archive.writestr(f"pets/{label}/{i}.jpg", picture(i, "JPEG"))
    assert bring(find(view, Upload)[1], {"pets.zip": content.getvalue()})
    data = session.choose.data
    assert (data.name, data.test.labelled, len(data.test)) == ("pets.zip", True, 10)
    assert set(data.test.labels.tolist()) == {3, 5}  # of CIFAR's classes


@pytest.mark.parametrize(
    ("place", "files", "said"),
    [
        (0, {"half.onnx": b"\x08\x07\x12\x04half"}, "half.onnx"),
        (1, {"bomb.zip": b"PK\x03\x04 no zip"}, "bomb.zip"),
        (1, {"a.png": b"no picture", "b.png": b"none"}, "of the 2 images in 2 files"),
    ],
)
def test_what_cannot_be_opened_is_a_sentence_and_the_session_stays(session, view, place, files, said):
    before = session.choose.opened
    assert bring(find(view, Upload)[place], files)
    assert said in session.choose.job.error
    assert "upload" not in session.choose.job.error.lower()  # the name on the disk is ours
    assert session.choose.opened is before


def test_weights_for_an_onnx_file_are_refused(session, view, onnx_file):
    upload = find(view, Upload)[0]
    bring(upload, {"mine.onnx": onnx_file})
    assert not bring(upload, {"other.pth": b"x"})
    assert "choose the network that they are of" in upload.problem


def test_networks_are_found_by_a_part_of_their_name(session, view):
    choose = session.choose
    choose.networks = (*choose.networks, "timm/resnet99")
    box = next(text for text in find(view, w.Text) if text.description == "Find")
    box.value = "resnet"
    options = {name: text for text, name in network_options(session)}
    assert {"small", "resnet20", "resnet56", "timm/resnet99"} <= options.keys()
    assert "vgg16" not in options
    assert options["resnet20"] == "resnet20, 3x32x32, 270 k weights, 40.6 M MACs"
    box.value = ""
    texts = {name: text for text, name in network_options(session)}
    assert texts["vgg16"] == "vgg16 (the paper's)"
    assert "timm/resnet99" not in texts
