"""Choosing and uploading, by setting what the boxes set."""

import importlib
import json
import re
import threading
from pathlib import Path

import ipywidgets as w
import pytest
import torch
from safetensors.torch import save
from torch import nn

import workbench as wb
from tests.app.conftest import on_a_loop
from tests.helpers.pictures import picture, png
from tests.helpers.sessions import idle
from tests.helpers.widgets import find, html, upload
from workbench.app.overview import RANDOM_WEIGHTS_TEXT, verdict_text
from workbench.app.steps.choose.model import Choice
from workbench.app.steps.choose.view import choose_view, data_options, network_options
from workbench.app.steps.compare.view import tradeoff_view
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.upload import Upload
from workbench.app.worker import JobKind
from workbench.catalog.networks.download import DownloadError


@pytest.fixture
def view(digits):
    return choose_view(digits)


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """A folder of data sets with one folder of ten small images in it."""
    monkeypatch.setenv("WORKBENCH_DATASETS", str(tmp_path))
    for label in range(10):
        picture(tmp_path / "scans" / str(label) / "a.png", (20 * label,) * 3)


def test_a_network_without_weights_is_marked_random_everywhere(digits, scans, view):
    choose = digits.choose
    find(view, w.Dropdown, "Network").value = "resnet20"
    assert (choose.network.name, choose.network.random_weights) == ("resnet20", True)
    assert "Random weights" in html(view)
    assert verdict_text(digits) == RANDOM_WEIGHTS_TEXT
    assert "No accuracy" in html(view)  # grey 8 x 8 scans
    assert choose.original.scores == {}
    choose.open(data="scans")
    assert (choose.misfit, choose.why_untrainable) == ("", "")
    assert (len(choose.data.train), len(choose.data.validation), choose.original.scores["test"].n) == (4, 1, 5)
    assert choose.data.test.images.shape[2:] == (32, 32)  # as large as the network wants them, not a corner of 256
    (figure,) = find(tradeoff_view(digits), FigureView)
    digits.recover.decompose()
    assert "random weights" in json.dumps([figure.traces, figure.around])


def test_uploaded_weights_are_opened_and_named(digits, network, view):
    content = save({f"module.{k}": v for k, v in network.model.state_dict().items()})
    assert upload(find(view, Upload)[0], {"mine.safetensors": content})
    choose = digits.choose
    assert choose.choice.weights == find(view, w.Dropdown, "Weights").value == "mine.safetensors"
    assert choose.network.source.startswith("mine.safetensors, sha256 ")
    assert choose.original.scores["test"].top1 == pytest.approx(0.994)
    choose.open(weights="random", file=None)
    assert choose.network.random_weights


def test_torchvisions_weights_offline_are_a_sentence_and_random(digits, monkeypatch, tmp_path):
    def offline(url, target, *, progress, **_):
        progress(0.5, f"downloading {target.name}: 2.4 MiB of 4.7 MiB")
        raise DownloadError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # they may be on this machine
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(importlib.import_module("workbench.catalog.networks.load"), "fetch", offline)
    assert digits.choose.open(network="squeezenet1_1").error == ""
    assert digits.choose.network.random_weights
    assert re.search("Opened with random weights.*squeezenet1_1-b8a52dc0.pth", digits.choose.warning)


def test_an_onnx_file_and_pictures_without_labels_are_opened_and_named(session, tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 32, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))
    file = wb.export(wb.Network(model, (3, 32, 32)), tmp_path / "a.onnx").path
    view, choose = choose_view(session), session.choose
    network, pictures = find(view, Upload)
    assert upload(network, {"mine.onnx": file.read_bytes()})
    assert (choose.network.name, choose.network.input_shape) == ("mine.onnx", (3, 32, 32))
    assert network_options(session)[0] == ("mine.onnx (uploaded)", "mine.onnx")
    assert "the workbench assumes" in html(view)
    assert upload(pictures, {f"holiday/{i}.png": png((12 * i, 90, 200 - 9 * i)) for i in range(20)})
    assert (choose.data.name, choose.misfit) == ("20 files", "")
    assert not choose.data.validation.labelled
    assert len(choose.data.train) + len(choose.data.validation) + len(choose.data.test) == 20
    assert html(view).count("<img alt=''") == 12
    assert data_options(session)[0] == ("20 files (brought)", "20 files")
    assert not upload(network, {"other.pth": b"x"})
    assert "choose the network that they are of" in network.problem


def test_pictures_that_cannot_be_read_are_a_sentence_and_the_session_stays(session):
    before = session.choose.opened
    assert upload(find(choose_view(session), Upload)[1], {"a.png": b"no picture", "b.png": b"none"})
    assert "of the 2 images in 2 files" in session.choose.job.error
    assert "upload" not in session.choose.job.error.lower()  # the name on the disk is ours
    assert session.choose.opened is before


@on_a_loop
async def test_pictures_for_a_grey_network_stay_until_others_are_open(session):
    pictures, choose, gate = find(choose_view(session), Upload)[1], session.choose, threading.Event()

    async def bring(files):
        assert upload(pictures, files)
        assert choose.choice.pictures.exists()
        gate.set()
        await idle(session)
        assert [*Path(pictures._folder.name).iterdir()] == [choose.choice.pictures]
        return choose.choice.pictures

    given = {f"{i}.png": png((12 * i, 0, 0), (8, 8)) for i in range(4)}
    first = await bring(given)
    assert (choose.misfit, choose.data.train.images.shape[1:]) == ("", (1, 8, 8))
    assert await bring({"bomb.zip": b"PK\x03\x04 no zip"}) == first
    gate.clear()
    session.worker.submit(JobKind.SPEED, "Timing", lambda job: gate.wait(20))
    assert upload(pictures, given)  # waits, and is given up for the next
    assert await bring(given) != first
    choose.open(data="digits")
    await idle(session)
    assert [*Path(pictures._folder.name).iterdir()] == []


def test_the_scale_of_an_onnx_files_colours_is_a_choice(session, tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    file = wb.export(wb.Network(model, (3, 32, 32)), tmp_path / "a.onnx").path
    view, choose = choose_view(session), session.choose
    colours = find(view, w.Dropdown, "Colours")
    assert colours.layout.display == "none"
    upload(find(view, Upload)[0], {"mine.onnx": file.read_bytes()})
    assert colours.layout.display == ""
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).expand(1, 3, 32, 2).repeat(1, 1, 1, 16)
    for scale, ends in (("from 0 to 1", (0, 1)), ("from -1 to 1", (-1, 1)), ("from 0 to 255", (0, 255))):
        colours.value = scale
        scaled = choose.network.preprocessing(black_and_white)
        assert (float(scaled.min()), float(scaled.max())) == pytest.approx(ends)
    choose.open(network="digits_vgg")
    assert (colours.value, colours.layout.display) == (Choice.colours, "none")
