"""Choosing and uploading, by setting what the boxes set."""

import importlib
import json
import re

import ipywidgets as w
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from tests.helpers.networks import tiny
from tests.helpers.widgets import find, html, upload
from workbench.app.overview import RANDOM_WORDS, verdict_text
from workbench.app.session import Session
from workbench.app.steps.choose.view import choose_view, data_options, network_options, weights_options
from workbench.app.steps.compare.view import tradeoff_view
from workbench.app.steps.recover.view import recovery_status
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.upload import Upload
from workbench.catalog.networks.download import DownloadError
from workbench.catalog.networks.entries import network_names


@pytest.fixture
def view(digits):
    return choose_view(digits)


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """A folder of data sets with one folder of ten small images in it, and one that is none."""
    monkeypatch.setenv("WORKBENCH_DATASETS", str(tmp_path))
    for label in range(10):
        folder = tmp_path / "scans" / str(label)
        folder.mkdir(parents=True)
        Image.new("RGB", (40, 40), (20 * label,) * 3).save(folder / "a.png")
    (tmp_path / "notes").mkdir()


def test_what_there_is_to_choose(scans, monkeypatch):
    monkeypatch.setattr("workbench.app.steps.choose.model.network_names", network_names)
    session = Session()
    networks, data = ([text for text, _ in options(session)] for options in (network_options, data_options))
    assert {"digits_vgg (bundled)", "googlenet_bvlc (the paper's)", "resnet20 (CIFAR)"} <= set(networks)
    assert weights_options(session) == [("bundled", "default"), ("random", "random")]
    assert {"scans (your images)", "cifar10 (torchvision's, 170 MB)"} <= set(data)
    assert not any("notes" in text for text in data)
    session.open()
    assert {"resnet18", "squeezenet1_1", "mobilenet_v2"} <= set(session.choose.networks)


def test_a_network_without_weights_is_marked_random_everywhere(digits, scans, view):
    choose = digits.choose
    find(view, w.Dropdown, "Network").value = "resnet20"
    assert (choose.network.name, choose.network.random_weights) == ("resnet20", True)
    assert "Random weights" in html(view)
    assert verdict_text(digits) == RANDOM_WORDS
    assert "No accuracy" in html(view)  # grey 8 x 8 scans
    assert choose.original.scores == {}
    choose.open(data="scans")
    assert (choose.misfit, choose.untrainable) == ("", "")
    assert (len(choose.data.train), len(choose.data.validation), choose.original.scores["test"].n) == (4, 1, 5)
    assert choose.data.test.images.shape[2:] == (32, 32)  # as large as the network wants them, not a corner of 256
    (figure,) = find(tradeoff_view(digits), FigureView)
    digits.recover.decompose()
    assert "random weights" in json.dumps([figure.traces, figure.around])


def test_uploaded_weights_are_opened_and_named(digits, network, view):
    content = save({f"module.{k}": v for k, v in network.model.state_dict().items()})
    assert upload(find(view, Upload)[0], "mine.safetensors", content) == {"ok": True}
    choose = digits.choose
    assert choose.choice.weights == find(view, w.Dropdown, "Weights").value == "mine.safetensors"
    assert choose.network.source.startswith("mine.safetensors, sha256 ")
    assert choose.original.scores["test"].top1 == pytest.approx(0.994)
    choose.open(weights="random", file=None)
    assert choose.network.random_weights


def test_an_image_alone_is_for_the_score_and_nothing_can_be_recovered(digits, view, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATASETS", str(tmp_path))
    (tmp_path / "one" / "cat").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(tmp_path / "one" / "cat" / "a.png")
    (tmp_path / "one" / "cat" / "b.png").write_bytes(b"no picture")
    digits.choose.open(network="resnet20", data="one")
    assert digits.choose.original.scores["test"].n == 1
    assert re.search("b.png.*1 left out", html(view))
    digits.recover.decompose()
    assert "Recovery needs training images" in recovery_status(digits)[2]
    assert "test images only" in digits.recover.calibrate().error


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


def test_given_networks_are_offered(data):
    session = Session(tiny(), data)
    choose = session.choose
    choose.open()
    given = choose.network
    assert network_options(session)[0] == ("tiny (given in code)", "tiny")
    assert weights_options(session) == [("as given", "default")]
    choose.open(network="digits_vgg")
    choose.open(network="tiny")
    assert choose.network is given
