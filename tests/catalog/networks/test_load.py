import hashlib
import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import workbench as wb
from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.entries import OWN, bundled_names, catalog, network_names, outline
from workbench.catalog.networks.load import BUNDLED, data_folder
from workbench.catalog.networks.torchvision import torchvision
from workbench.kernels.complexity import total
from workbench.network.inputs import image_size
from workbench.network.tracing import find_layers


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The bundled network, copied to where it may be damaged."""
    for name in ("digits_vgg.safetensors", "digits_vgg.json"):
        shutil.copy(BUNDLED / name, tmp_path)
    monkeypatch.setattr("workbench.catalog.networks.load.BUNDLED", tmp_path)
    return tmp_path


def test_the_bundled_network_is_what_its_card_says(network, data):
    card = json.loads((BUNDLED / "digits_vgg.json").read_text())
    weights = BUNDLED / "digits_vgg.safetensors"
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert weights.stat().st_size < 4e6
    assert card["weights"] == network.weights
    for split in (data.test, data.validation):
        assert 100 * wb.score(network, split).top1 == pytest.approx(card["top1_percent"][split.name], abs=0.01)
    assert card["top1_percent"]["test"] >= 98
    assert (data_folder().parent / card["script"]).is_file()
    assert not network.model.training


@pytest.mark.parametrize("damaged", [lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b[:1000]])
def test_a_damaged_file_says_so(copied, damaged):
    path = copied / "digits_vgg.safetensors"
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(WeightsError, match=r"digits_vgg.safetensors is damaged, its sha256 is not that of its card: i"):
        wb.load_network("digits_vgg")


def test_the_wrong_weights_say_so(copied):
    path = copied / "digits_vgg.safetensors"
    save_file({"other": torch.zeros(3)}, path)
    card = json.loads((copied / "digits_vgg.json").read_text())
    card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (copied / "digits_vgg.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match=r"digits_vgg\.safetensors does not fit this network"):
        wb.load_network("digits_vgg")


def test_a_missing_file_says_so(copied):
    (copied / "digits_vgg.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"there is no file .*digits_vgg.safetensors: install the package anew"):
        wb.load_network("digits_vgg")


def test_an_unknown_name():
    with pytest.raises(KeyError, match="no network is called 'resnet19'; there are: resnet101"):
        wb.load_network("resnet19")
    assert {"digits_vgg", "alexnet_caffe", "resnet20", "squeezenet1_1", "vgg16"} <= set(network_names())
    assert bundled_names() == ["digits_vgg"]


def test_random_weights_say_so_and_are_always_the_same():
    one, two = wb.load_network("resnet20"), wb.load_network("resnet20", weights=None)
    assert one.source == two.source == "random weights (seed 0): accuracies mean nothing"
    pairs = zip(one.model.parameters(), two.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    bundled = wb.load_network("digits_vgg", weights=None)
    assert "random" in bundled.source


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
        expected = wanted(pixels) if size == shorter else None  # theirs resizes, which the folder of images does here
        if expected is not None:
            assert torch.allclose(found(pixels), expected, atol=1e-6)
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


def test_a_network_knows_the_checksum_of_its_weights(network, plan, tmp_path):
    card = json.loads((BUNDLED / "digits_vgg.json").read_text())
    assert network.sha256 == card["sha256"]
    assert card["sha256"] in str(network)
    path = tmp_path / "mine.pth"
    torch.save(network.model.state_dict(), path)
    mine = wb.load_network("digits_vgg", weights=path)
    assert mine.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert mine.source == f"mine.pth, sha256 {mine.sha256[:12]}"
    assert wb.load_network("digits_vgg", weights=None).sha256 == ""
    assert wb.decompose(network, plan).sha256 == ""
    assert wb.from_scratch(network).sha256 == ""


def test_networks_without_weights_to_download():
    with pytest.raises(WeightsError, match="googlenet_bvlc has no weights to download"):
        wb.load_network("googlenet_bvlc", weights="pretrained")
