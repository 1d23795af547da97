import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import workbench as wb
from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.load import (
    CHECKSUM,
    OWN,
    bundled_names,
    catalog,
    data_folder,
    image_size,
    network_names,
    outline,
)
from workbench.catalog.networks.torchvision import torchvision
from workbench.kernels.complexity import total
from workbench.network.tracing import find_layers


def test_the_bundled_network_is_what_its_card_says(network, plan, data):
    card = json.loads((data_folder() / "digits_vgg.json").read_text())
    weights = data_folder() / "digits_vgg.safetensors"
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest() == network.sha256
    assert card["sha256"] in str(network)
    assert wb.decompose(network, plan).sha256 == wb.from_scratch(network).sha256 == ""
    assert weights.stat().st_size < 4e6
    assert card["weights"] == network.weights
    for split in (data.test, data.validation):
        assert 100 * wb.score(network, split).top1 == pytest.approx(card["top1_percent"][split.name], abs=0.01)
    assert card["top1_percent"]["test"] >= 98
    assert (data_folder().parent / card["script"]).is_file()
    assert not network.model.training


def test_a_damaged_or_missing_file_says_so(tmp_path, monkeypatch):
    for name in ("digits_vgg.safetensors", "digits_vgg.json"):
        shutil.copy(data_folder() / name, tmp_path)
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    path = tmp_path / "digits_vgg.safetensors"
    content = path.read_bytes()
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), content[:1000]):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"digits_vgg.safetensors is damaged: its sha256 begins with \w{12}"):
            wb.load_network("digits_vgg")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"digits_vgg.safetensors is not in .*: restore it with git"):
        wb.load_network("digits_vgg")


def test_an_unknown_name():
    with pytest.raises(KeyError, match="no network is called 'resnet19'; there are: resnet101"):
        wb.load_network("resnet19")
    assert {"digits_vgg", "alexnet_caffe", "resnet20", "squeezenet1_1", "vgg16"} <= set(network_names())
    assert bundled_names() == ["digits_vgg"]
    with pytest.raises(WeightsError, match="googlenet_bvlc has no weights to download"):
        wb.load_network("googlenet_bvlc", weights="pretrained")


def test_the_bundled_network_needs_no_torchvision():
    code = "import workbench as wb, sys; wb.load_network('digits_vgg'); print('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_random_weights_say_so_and_are_always_the_same():
    one, two = wb.load_network("resnet20"), wb.load_network("resnet20", weights=None)
    assert one.source == two.source == "random weights (seed 0): accuracies mean nothing"
    pairs = zip(one.model.parameters(), two.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    bundled = wb.load_network("digits_vgg", weights=None)
    assert ("random" in bundled.source, bundled.random_weights, bundled.sha256) == (True, True, "")


def test_torchvisions_networks_by_their_own_names(tmp_path):
    network = wb.load_network("squeezenet1_1")
    assert network.input_shape == (3, 224, 224)
    path = tmp_path / "file.pth"
    torch.save({"state_dict": {f"module.{k}": v + 1 for k, v in network.model.state_dict().items()}}, path)
    loaded = wb.load_network("squeezenet1_1", weights=path)
    assert loaded.source.startswith("file.pth, sha256 ")
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(torch.equal(v, network.model.state_dict()[k] + 1) for k, v in loaded.model.state_dict().items())


def test_torchvisions_networks_take_what_their_weights_were_trained_for():
    models = torchvision("models")
    for name in models.list_models(models):
        wanted = models.get_model_weights(name).DEFAULT.transforms()
        if name in OWN:
            continue
        network = catalog()[name]
        (size,), (shorter,) = wanted.crop_size, wanted.resize_size
        assert network.input_shape == (3, size, size)
        found = network.preprocessing
        assert (found.size, found.shorter) == (size, shorter)
        pixels = torch.randint(256, (1, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        if size == shorter:  # theirs resizes, which the folder of images does here
            assert torch.allclose(found(pixels), wanted(pixels), atol=1e-6)
    for name in ("resnet18", "vgg16", "vit_b_16"):  # files like resnet18-f37072fd.pth, named by their sha256
        assert CHECKSUM.search(models.get_model_weights(name).DEFAULT.url)
    for name in ("googlenet", "inception_v3"):  # torchvision's weights expect it
        assert outline(name).model.transform_input
    large = outline("vit_h_14")
    assert large.model.encoder.pos_embedding.shape[1] == (518 // 14) ** 2 + 1  # else its weights do not fit
    macs = total([layer.cost for layer in find_layers(outline("efficientnet_b1")).layers]).macs
    assert macs / 1e9 == pytest.approx(0.687, rel=0.01)  # torchvision's own count, at 240 pixels


def test_how_large_images_of_a_folder_should_be():
    names = {"squeezenet1_1": 256, "alexnet_caffe": 256, "inception_v3": 342, "resnet20": 32, "vgg16_cifar": 32}
    assert {name: image_size(outline(name)) for name in names} == names
    own = wb.Network(torch.nn.Conv2d(3, 4, 3), (3, 40, 40))
    assert image_size(own) == 40
    assert image_size(replace(own, preprocessing=lambda images: images)) == 256
    assert image_size(wb.Network(torch.nn.Linear(3, 4), (3,))) == 256
