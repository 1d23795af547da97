import hashlib
import json
import shutil

import pytest
import torch

import workbench as wb
from tests.helpers.onnx_files import relu
from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.entries import OWN, bundled_names, catalog, network_names, outline, usual_preprocessing
from workbench.catalog.networks.load import BUNDLED, data_folder
from workbench.catalog.networks.search import search
from workbench.catalog.networks.torchvision import torchvision
from workbench.network.inputs import image_size
from workbench.network.tracing import find_layers


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
def test_a_damaged_file_says_so(tmp_path, monkeypatch, damaged):
    for name in ("digits_vgg.safetensors", "digits_vgg.json"):
        shutil.copy(BUNDLED / name, tmp_path)
    monkeypatch.setattr("workbench.catalog.networks.load.BUNDLED", tmp_path)
    path = tmp_path / "digits_vgg.safetensors"
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(WeightsError, match=r"digits_vgg.safetensors is damaged, its sha256 is not that of its card: i"):
        wb.load_network("digits_vgg")
    path.unlink()
    with pytest.raises(WeightsError, match=r"there is no file .*digits_vgg.safetensors: install the package anew"):
        wb.load_network("digits_vgg")


def test_an_unknown_name():
    with pytest.raises(KeyError, match="no network is called 'resnet19'; there are: resnet101"):
        wb.load_network("resnet19")
    assert {"digits_vgg", "alexnet_caffe", "resnet20", "squeezenet1_1", "vgg16"} <= set(network_names())
    assert bundled_names() == ["digits_vgg"]


def test_searched_names_that_are_equal_come_first_then_beginnings_then_short_ones():
    names = ["resnet18", "wide_resnet50_2", "resnet20", "vgg16", "timm/resnet18", "timm/resnet18d"]
    assert search("resnet18", names) == ["resnet18", "timm/resnet18", "timm/resnet18d"]
    assert search("50 RES", names) == ["wide_resnet50_2"]
    assert search("resnet", names, limit=2) == ["resnet18", "resnet20"]
    assert search(" ", names) == search("lenet", names) == []


def test_an_onnx_file_takes_mean_and_deviation(tmp_path, caplog):
    path = relu(tmp_path / "a.onnx", 1, 3, 8, 8)
    images = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    made = wb.load_network(path, mean=mean, std=std)
    assert not caplog.records
    wanted = (images / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(made.inputs(images), wanted)
    assert "give mean and std" in (wb.load_network(path) and caplog.text)
    flat = relu(tmp_path / "b.onnx", 1, 4)
    with pytest.raises(ValueError, match=r"for images, but b\.onnx takes none"):
        wb.load_network(flat, std=std)
    for given in ({"mean": mean}, {"input_shape": (3, 32, 32)}):
        with pytest.raises(ValueError, match="mean, std and input_shape are for ONNX files"):
            wb.load_network("resnet20", **given)
    with pytest.raises(ValueError, match=r"b\.onnx has its own weights"):
        wb.load_network(flat, weights=None)


def test_large_inputs_are_cropped_and_small_ones_taken_whole():
    assert [usual_preprocessing((3, n, n)).shorter for n in (8, 32, 224, 299)] == [8, 32, 256, 342]


@pytest.mark.parametrize("given", [{}, {"mean": (0.5,)}])
def test_an_oblong_input_takes_the_middle_of_a_square(tmp_path, given):
    path = relu(tmp_path / "oblong.onnx", 1, 3, 8, 12)
    network = wb.load_network(path, **given)
    assert image_size(network) == 12
    square = torch.arange(144, dtype=torch.uint8).reshape(1, 1, 12, 12).expand(-1, 3, -1, -1)
    wanted = square[:, :, 2:10] / 255 - sum(given.get("mean", ()))
    torch.testing.assert_close(network.inputs(square), wanted)


@pytest.mark.parametrize("shape", [(8, 12, 3), (4, 8, 12)])
def test_what_is_no_picture_is_not_cropped(tmp_path, shape):
    assert wb.load_network(relu(tmp_path / "other.onnx", 1, *shape)).preprocessing is None


def test_random_weights_say_so_and_are_always_the_same():
    one, two = wb.load_network("resnet20"), wb.load_network("resnet20", weights=None)
    assert one.source == two.source == "random weights (seed 0): accuracies mean nothing"
    pairs = zip(one.model.parameters(), two.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    bundled = wb.load_network("digits_vgg", weights=None)
    assert "random" in bundled.source


def test_torchvisions_networks_take_what_their_weights_were_trained_for(generator):
    models = torchvision("models")
    for name in models.list_models(models):
        if name not in OWN:
            wanted, found = models.get_model_weights(name).DEFAULT.transforms(), catalog()[name].preprocessing
            (size,), (shorter,) = wanted.crop_size, wanted.resize_size
            assert catalog()[name].input_shape == (3, size, size)
            assert (found.size, found.shorter) == (size, shorter)
            if size == shorter:  # else theirs resizes, which the folder of images does here
                pixels = torch.randint(256, (1, 3, size, size), dtype=torch.uint8, generator=generator)
                assert torch.allclose(found(pixels), wanted(pixels), atol=1e-6)
    for name in ("googlenet", "inception_v3"):  # torchvision's weights expect it
        assert outline(name).model.transform_input
    large = outline("vit_h_14")
    assert large.model.encoder.pos_embedding.shape[1] == (518 // 14) ** 2 + 1  # else its weights do not fit
    macs = find_layers(outline("efficientnet_b1")).total.macs
    assert macs / 1e9 == pytest.approx(0.687, rel=0.01)  # torchvision's own count, at 240 pixels


@pytest.mark.parametrize(
    ("name", "place", "head"),
    [
        ("resnet18", "fc", torch.nn.Linear(512, 5)),
        ("mobilenet_v3_small", "classifier.3", torch.nn.Linear(1024, 5)),
        ("mobilenet_v3_small", "classifier", torch.nn.Linear(576, 5)),
        ("squeezenet1_1", "classifier.1", torch.nn.Conv2d(512, 5, 1)),
    ],
)
def test_another_number_of_classes(tmp_path, name, place, head):
    """A new head, or only a new last layer."""
    model = wb.load_network(name, weights=None).model
    model.set_submodule(place, head.eval())
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    network = wb.load_network(name, weights=tmp_path / "mine.pth")
    x = torch.rand(1, *network.input_shape)
    torch.testing.assert_close(network.model(x), model(x))
    assert network.classes == ()
    assert not network.random_weights


def test_a_first_layer_that_does_not_fit_is_said(tmp_path):
    model = wb.load_network("resnet18", weights=None).model
    model.conv1 = torch.nn.Conv2d(1, 64, 7)
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    with pytest.raises(ValueError, match=r"conv1\.weight in the shape \(64, 1, 7, 7\)"):
        wb.load_network("resnet18", weights=tmp_path / "mine.pth")
