"""Choosing and uploading, by setting what the boxes set."""

import importlib
import json
import re

import ipywidgets as w
import pytest
import torch
from safetensors.torch import save

from tests.helpers.pictures import picture
from tests.helpers.widgets import find, html, upload
from workbench.app.overview import RANDOM_WORDS, verdict_text
from workbench.app.steps.choose.view import choose_view
from workbench.app.steps.compare.view import tradeoff_view
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.upload import Upload
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
    assert verdict_text(digits) == RANDOM_WORDS
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
