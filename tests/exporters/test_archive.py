"""The archive that needs no workbench: loaded where there is none, the same bit for bit; and what cannot be written."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import workbench as wb
from workbench.catalog.networks import classics
from workbench.exporters import standalone_loader
from workbench.exporters.archive import NAMES
from workbench.exporters.export import export
from workbench.exporters.tracing import ExportError

HIDDEN = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "workbench":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Nothing())
"""


def elsewhere(folder, architecture, inputs):
    """Outputs of the loader in a process that cannot import the workbench."""
    save_file({"inputs": inputs}, folder / "in.safetensors")
    code = f"""
{HIDDEN}
import torch
from safetensors.torch import load_file, save_file
from load import load
{architecture}
torch.set_num_threads(1)
model = load(original)
with torch.inference_mode():
    outputs = model(load_file("in.safetensors")["inputs"])
assert "workbench" not in sys.modules
assert not model.training
save_file({{"outputs": outputs}}, "out.safetensors")
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=folder, check=True, env=environment)
    return load_file(folder / "out.safetensors")["outputs"]


DIGITS = """
from torch import nn
features, channels = [], 1
def stage(*sizes):
    global channels
    for width, size in sizes:
        features.extend([nn.Conv2d(channels, width, size, padding=size // 2), nn.BatchNorm2d(width), nn.ReLU()])
        channels = width
stage((32, 5), (64, 3)); features.append(nn.MaxPool2d(2))
stage((64, 3), (128, 3)); features.append(nn.MaxPool2d(2))
stage((128, 3), (128, 3))
original = nn.Sequential()
original.add_module("features", nn.Sequential(*features))
original.add_module("flatten", nn.Flatten(1))
original.add_module("classifier", nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)))
"""


@pytest.fixture(scope="module")
def archived(small, data, tmp_path_factory):
    return export(small, tmp_path_factory.mktemp("archive") / "small.zip", data.test)


@pytest.fixture(scope="module")
def folder(archived):
    return unpacked(archived)


def unpacked(exported):
    with zipfile.ZipFile(exported.path) as archive:
        archive.extractall(exported.path.parent)
    return exported.path.with_suffix("")


def test_loads_bit_for_bit_where_there_is_no_workbench(archived, folder, small, data):
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    assert archived.bytes == archived.path.stat().st_size
    assert (archived.verification.n, archived.verification.agreement) == (500, 1.0)
    images = data.test.images[:100]
    with torch.inference_mode():
        assert torch.equal(elsewhere(folder, DIGITS, images), small.model(images))


@pytest.mark.slow
def test_googlenet_loads_bit_for_bit_where_there_is_no_workbench(shared, tmp_path):
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    small = wb.decompose(network, wb.evbmf_plan(wb.analyze(network), layers="spatial"))
    data = wb.load_data("images", root=shared / "imagenet_sample", labels=shared / "imagenet_sample" / "labels.csv")
    images = data.test.images[torch.arange(20)]
    folder = unpacked(export(small, tmp_path / "small.zip", images))
    source, inputs = Path(classics.__file__).read_text(), small.inputs(images[:4])
    with torch.inference_mode():
        expected = small.model(inputs)
    assert torch.equal(elsewhere(folder, f"{source}\noriginal = googlenet_bvlc()", inputs), expected)


def test_the_loader_is_about_ten_lines():
    source = Path(standalone_loader.__file__).read_text()
    assert len(source[source.index("def load(") :].splitlines()) <= 10
    assert "workbench" not in source.split('"""', 2)[2]


def test_the_plan_can_still_be_read(folder, network, small):
    plan = wb.Plan.from_json((folder / "plan.json").read_text())
    again = wb.rebuild(network, plan, load_file(folder / "weights.safetensors"))
    assert torch.equal(again.model.features[3].core.weight, small.model.features[3].core.weight)


def test_the_files_say_what_they_are(folder, small):
    about = json.loads((folder / "plan.json").read_text())["about"]
    assert about["name"] == "digits_vgg"
    assert about["compression"]["macs_ratio"] == pytest.approx(small.plan.macs_ratio, abs=1e-3)
    with safe_open(folder / "weights.safetensors", "pt") as file:
        assert json.loads(file.metadata()["input_shape"]) == [1, 8, 8]
        assert file.metadata()["source"] == small.source
    readme = (folder / "README.txt").read_text()
    assert "model = load(original)" in readme
    assert f"x{small.plan.macs_ratio:.2f}" in readme
    assert "arXiv:1511.06530" in readme


def test_every_kind_of_layer(mixed, tmp_path):
    plan = wb.evbmf_plan(wb.analyze(mixed))
    for part in plan:
        if part.layer.method == "tucker2":
            plan = plan.with_ranks(part.name, rank_in=3, rank_out=4)
        elif part.layer.method == "tucker1":
            plan = plan.with_ranks(part.name, rank_out=3)
    small = wb.decompose(mixed, plan)
    found = export(small, tmp_path / "small.zip")
    assert found.verification.max_error < 1e-12
    again = standalone_loader.load(mixed.model.__class__(), unpacked(found))
    x = torch.rand(2, 3, 19, 22, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(again(x), small.model(x))


def test_transposed_convolutions_in_groups(tmp_path):
    torch.manual_seed(0)
    layers = (nn.ConvTranspose2d(16, 16, 3, stride=2, padding=1, output_padding=1, groups=2), nn.Flatten())
    network = wb.Network(nn.Sequential(*layers, nn.Linear(16 * 64, 3)), (16, 4, 4))
    plan = wb.evbmf_plan(wb.analyze(network))
    plan = plan.with_ranks("0", rank_in=2, rank_out=3).with_ranks("2", rank_in=2, rank_out=2)
    assert export(wb.decompose(network, plan), tmp_path / "small.zip").verification.max_error < 1e-6


def test_networks_that_cannot_be_archived(network, tmp_path):
    with pytest.raises(ExportError, match="digits_vgg has no plan: only decomposed networks"):
        export(network, tmp_path / "small.zip")
    torch.manual_seed(0)
    one = wb.Network(nn.Conv2d(8, 8, 3), (8, 5, 5))
    plan = wb.evbmf_plan(wb.analyze(one)).with_ranks("", rank_in=2, rank_out=2)
    with pytest.raises(ExportError, match="one single layer has no place"):
        export(wb.decompose(one, plan), tmp_path / "one.zip")
    assert list(tmp_path.iterdir()) == []
