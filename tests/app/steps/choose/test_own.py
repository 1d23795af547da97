"""The user's own things on the page: an ONNX file, pictures, a network that is looked for."""

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.pictures import png
from tests.helpers.widgets import find, html, upload
from workbench.app.steps.choose.view import choose_view, data_options, network_options
from workbench.app.widgets.upload import Upload


@pytest.fixture
def view(session):
    return choose_view(session)


@pytest.fixture
def onnx_file(tmp_path):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3, stride=2), nn.ReLU(), nn.Conv2d(32, 32, 3, stride=2), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))
    return wb.export(wb.Network(model, (3, 32, 32)), tmp_path / "a.onnx").path.read_bytes()


def test_an_onnx_file_and_pictures_without_labels_become_a_smaller_onnx_file(session, view, onnx_file, tmp_path):
    network, pictures = find(view, Upload)
    assert upload(network, {"mine.onnx": onnx_file})
    choose = session.choose
    assert (choose.network.name, choose.network.input_shape) == ("mine.onnx", (3, 32, 32))
    assert network_options(session)[0] == ("mine.onnx (uploaded)", "mine.onnx")
    assert "the workbench assumes" in html(view)
    assert upload(pictures, {f"holiday/{i}.png": png((12 * i, 90, 200 - 9 * i)) for i in range(20)})
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
    assert session.take_home.make("onnx").error == ""


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
    assert upload(find(view, Upload)[place], files)
    assert said in session.choose.job.error
    assert "upload" not in session.choose.job.error.lower()  # the name on the disk is ours
    assert session.choose.opened is before


def test_weights_for_an_onnx_file_are_refused(session, view, onnx_file):
    network = find(view, Upload)[0]
    upload(network, {"mine.onnx": onnx_file})
    assert not upload(network, {"other.pth": b"x"})
    assert "choose the network that they are of" in network.problem
