"""Choosing and uploading, by setting what the boxes set."""

import json

import ipywidgets as w
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from workbench.app.state import State

import workbench as wb
from tests.app.test_panels import find, html
from tests.app.test_state import done
from workbench.app.steps.choose.opening import Choice
from workbench.app.steps.choose.view import chooser, data_options, network_options, weights_options
from workbench.app.steps.look.overview import card_texts
from workbench.app.steps.recover.view import advice_text
from workbench.app.widgets.upload import Upload
from workbench.catalog.networks.download import DownloadError
from workbench.catalog.networks.load import load as networks
from workbench.plot.interactive.tradeoff import fill_tradeoff, tradeoff_figure


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """A folder of data sets with one folder of ten small images in it, and one that is none."""
    monkeypatch.setenv("WORKBENCH_DATASETS", str(tmp_path))
    for label in range(10):
        folder = tmp_path / "scans" / str(label)
        folder.mkdir(parents=True)
        Image.new("RGB", (40, 40), (20 * label,) * 3).save(folder / "a.png")
    (tmp_path / "notes").mkdir()
    return tmp_path / "scans"


def upload(panel, path):
    widget = next(
        child for box in panel.children for child in getattr(box, "children", ()) if isinstance(child, Upload)
    )
    widget.send = lambda _: None
    content = path.read_bytes()
    widget._heard(None, {"kind": "begin", "name": path.name, "size": len(content)}, [])
    widget._heard(None, {"kind": "piece", "at": 0}, [memoryview(content)])
    widget._heard(None, {"kind": "end"}, [])
    return widget


def test_what_there_is_to_choose(state, scans):
    texts = {name: text for text, name in network_options(state)}
    assert texts["digits_vgg"] == "digits_vgg (bundled)"
    assert texts["googlenet_bvlc"] == "googlenet_bvlc (the paper's)"
    assert texts["resnet20"] == "resnet20 (CIFAR)"
    assert weights_options(state) == [("bundled", "default"), ("random", "random")]
    names = {name: text for text, name in data_options(state)}
    assert names["scans"] == "scans (your images)"
    assert "notes" not in names
    assert names["cifar10"] == "cifar10 (torchvision's)"


def test_torchvisions_names_join_after_the_first_opening(state):
    state.job.wait(60)
    assert {"resnet18", "squeezenet1_1", "mobilenet_v2"} <= set(state.networks)


def test_a_network_without_weights_is_marked_random_everywhere(state, scans):
    panel = chooser(state)
    find(panel, w.Dropdown, "Network").value = "resnet20"
    done(state)
    assert state.network.name == "resnet20"
    assert state.network.random_weights
    assert "Random weights" in html(panel)
    assert "random weights" in card_texts(state)[2]
    assert "No accuracy" in html(panel)  # grey 8 x 8 scans
    assert state.misfit
    assert state.original.test is None
    done(state, state.open(data="scans"))
    assert state.misfit == ""
    assert (len(state.data.train), len(state.data.validation), state.original.test.n) == (4, 1, 5)
    assert state.data.test.images.shape[2:] == (32, 32)  # as large as the network wants them, not a corner of 256
    assert state.trainable
    done(state, state.compress())
    assert state.job.error == ""
    figure = tradeoff_figure()
    fill_tradeoff(figure, state.results)
    assert "random weights" in json.dumps(figure.to_plotly_json(), default=str)


def test_uploaded_weights_are_opened_and_named(state, network, tmp_path):
    panel = chooser(state)
    path = tmp_path / "mine.safetensors"
    save_file({f"module.{k}": v for k, v in network.model.state_dict().items()}, path)
    upload(panel, path)
    done(state)
    assert state.job.error == ""
    assert state.choice.weights == "mine.safetensors"
    assert state.network.source.startswith("mine.safetensors, sha256 ")
    assert state.original.test.top1 == pytest.approx(99.4)
    assert not state.network.random_weights
    assert find(panel, w.Dropdown, "Weights").value == "mine.safetensors"
    done(state, state.open(weights="default", file=None))
    assert state.network.source.startswith("digits_vgg.safetensors")


def test_a_wrong_file_is_named_as_the_user_knows_it_and_changes_nothing(state, tmp_path):
    panel, before, results = chooser(state), state.network, state.results
    path = tmp_path / "wrong.safetensors"
    save_file({"a.weight": torch.zeros(3)}, path)
    upload(panel, path)
    done(state)
    assert state.job.error.startswith("wrong.safetensors does not fit")
    assert "upload1" not in state.job.error
    assert state.network is before
    assert state.results == results
    assert state.choice == Choice("digits_vgg", "digits")
    assert find(panel, w.Dropdown, "Weights").value == "default"


def test_an_upload_that_is_refused_clears_the_error_before(state, tmp_path):
    panel = chooser(state)
    state.job.error = "of the file before"
    path = tmp_path / "picture.png"
    path.write_bytes(b"x")
    upload(panel, path)
    assert state.job.error == ""
    assert "picture.png is none of the kinds" in html(panel)


def test_what_is_being_opened_gives_way_to_a_new_choice(state):
    assert state.open(network="vgg16_cifar")
    assert state.open(network="resnet20")
    for _ in range(3):
        state.job.wait(60)
    assert state.network.name == state.choice.network == "resnet20"


def test_other_work_does_not_give_way(state):
    state.compress()
    assert not state.open(network="resnet20")
    done(state)
    assert state.choice.network == "digits_vgg"
    assert state.latest is not None


def test_an_image_alone_is_for_the_score_and_nothing_can_be_recovered(state, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATASETS", str(tmp_path))
    (tmp_path / "one" / "cat").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(tmp_path / "one" / "cat" / "a.png")
    (tmp_path / "one" / "cat" / "b.png").write_bytes(b"no picture")
    panel = chooser(state)
    done(state, state.open(network="resnet20", data="one"))
    assert state.original.test.n == 1
    assert "1 left out" in html(panel)
    assert "b.png" in html(panel)
    assert not state.trainable
    done(state, state.compress())
    assert state.job.error == ""
    assert "Recovery needs training images" in advice_text(state)
    done(state, state.calibrate())
    assert state.job.error == "One has test images only, and those are for the score: choose data with training images."


def test_torchvisions_weights_offline_are_a_sentence_and_random(state, monkeypatch, tmp_path):
    notes = []

    def offline(url, target, *, progress, **_):
        progress(0.5, f"downloading {target.name}: 2.4 MiB of 4.7 MiB")
        raise DownloadError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # they may be on this machine
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(networks, "fetch", offline)
    state.job.observe(lambda change: notes.append(change["new"]), ["note"])
    done(state, state.open(network="squeezenet1_1"))
    assert state.job.error == ""
    assert state.network.random_weights
    assert "Opened with random weights" in state.warning
    assert "squeezenet1_1-b8a52dc0.pth" in state.warning
    assert "downloading squeezenet1_1-b8a52dc0.pth: 2.4 MiB of 4.7 MiB" in notes


def test_given_networks_are_offered(data):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 10))
    state = State(wb.Network(model, (1, 8, 8), name="mine"), data)
    done(state, state.open())
    assert network_options(state)[0] == ("mine (given in code)", "mine")
    assert weights_options(state) == [("as given", "default")]
    done(state, state.open(network="digits_vgg"))
    done(state, state.open(network="mine"))
    assert state.network.model is model
