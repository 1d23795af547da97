"""Networks of timm and of the Hugging Face hub, without a network: its cache stands for it."""

import hashlib
import json
import sys

import pytest
import torch
from safetensors.torch import save

import workbench as wb
from workbench.catalog.networks import huggingface
from workbench.catalog.networks.checkpoints import WeightsError

timm = huggingface._timm()
NAME = "timm/mobilenetv3_small_050"


def test_a_network_of_timm_has_its_inputs_and_preprocessing():
    network = wb.load_network(NAME, weights=None)
    assert network.random_weights
    assert network.input_shape == (3, 224, 224)
    assert network.preprocessing.mean == (0.485, 0.456, 0.406)
    assert len(network.classes) == 1000
    assert network.weights == sum(p.numel() for p in timm.create_model("mobilenetv3_small_050").parameters())
    assert wb.budget_plan(wb.analyze(network, cached=False), macs_ratio=1.2).macs_ratio >= 1.2
    assert NAME in huggingface.timm_names()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder that stands for the hub's cache; everything else is out of reach."""

    def download(repository, file, local_files_only=False):
        path = tmp_path / repository.replace("/", "--") / file
        if path.exists():
            return str(path)
        raise FileNotFoundError(file) if local_files_only else ConnectionError("no network\nmore")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return tmp_path


ABOUT = {"architecture": "mobilenetv3_small_050", "num_classes": 5, "pretrained_cfg": {"input_size": [3, 96, 96]}}


def publish(cache, repository, content, about=ABOUT):
    folder = cache / repository.replace("/", "--")
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "model.safetensors").write_bytes(content)


def test_a_network_of_the_hub_with_its_own_classes(cache):
    model = timm.create_model("mobilenetv3_small_050", num_classes=5).eval()
    content = save(model.state_dict())
    publish(cache, "me/mine", content)
    network = wb.load_network("hf-hub:me/mine")
    assert network.sha256 == hashlib.sha256(content).hexdigest()
    assert (network.input_shape, network.classes, network.random_weights) == ((3, 96, 96), (), False)
    assert network.source.startswith("me/mine")
    x = torch.rand(2, 3, 96, 96)
    torch.testing.assert_close(network.model(x), model(x))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf-hub:me/absent", r"config\.json of me/absent is not in the cache and cannot be .* now: no network$"),
        ("hf-hub:me/damaged", r"model\.safetensors is not a valid safetensors file"),
        ("hf-hub:me/bert", "me/bert is no network of timm"),
    ],
)
def test_what_cannot_be_had_is_a_sentence(cache, name, said):
    publish(cache, "me/damaged", b"no weights")
    publish(cache, "me/bert", b"", {"architectures": ["BertModel"]})
    with pytest.raises(WeightsError, match=said):
        wb.load_network(name)


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(WeightsError, match=r"\[hub\]"):
        wb.load_network(NAME)
    assert huggingface.timm_names() == []
