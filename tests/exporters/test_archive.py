"""The folder that needs no workbench: loaded where there is none, the same bit for bit; and what cannot be written."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import workbench as wb
from workbench.catalog.networks import classics
from workbench.exporters import loader
from workbench.exporters.check import Check
from workbench.exporters.preparing import ExportError
from workbench.exporters.weights import NAMES, export_weights

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


def test_loads_bit_for_bit_where_there_is_no_workbench(smaller, data, tmp_path):
    found = export_weights(smaller, tmp_path / "small", data.test)
    assert sorted(path.name for path in found.path.iterdir()) == sorted(NAMES)
    assert found.bytes == sum(path.stat().st_size for path in found.path.iterdir())
    assert (found.check.n, found.check.agreement) == (500, 1.0)
    assert found.check.max_error < 1e-6
    images = data.test.images[:100]
    with torch.inference_mode():
        expected = smaller.model.eval()(images)
    assert torch.equal(elsewhere(found.path, DIGITS, images), expected)


@pytest.mark.slow
def test_googlenet_loads_bit_for_bit_where_there_is_no_workbench(shared, tmp_path):
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    smaller = wb.decompose(network, wb.evbmf_plan(wb.analyze(network), layers="spatial"))
    data = wb.load_data("images", root=shared / "imagenet_sample", labels=shared / "imagenet_sample" / "labels.csv")
    few = wb.Split(data.test.images[torch.arange(20)], data.test.labels[:20], "test")
    found = export_weights(smaller, tmp_path / "small", few)
    source = Path(classics.__file__).read_text()
    inputs = smaller.inputs(few.images[:4])
    with torch.inference_mode():
        expected = smaller.model.eval()(inputs)
    assert torch.equal(elsewhere(found.path, f"{source}\noriginal = googlenet_bvlc()", inputs), expected)


def test_the_loader_is_about_ten_lines():
    source = Path(loader.__file__).read_text()
    body = source[source.index("def load(") :].splitlines()
    assert len(body) <= 10
    assert "workbench" not in source.split('"""', 2)[2]


def test_the_plan_can_still_be_read(smaller, tmp_path):
    found = export_weights(smaller, tmp_path / "small")
    plan = wb.Plan.from_json((found.path / "plan.json").read_text())
    assert plan == replace(smaller.plan, spectra=None)
    again = wb.rebuild(wb.load_network("digits_vgg"), plan, load_file(found.path / "weights.safetensors"))
    assert torch.equal(again.model.features[3].core.weight, smaller.model.features[3].core.weight)


def test_the_files_say_what_they_are(smaller, tmp_path):
    found = export_weights(smaller, tmp_path / "small")
    about = json.loads((found.path / "plan.json").read_text())["about"]
    assert about["name"] == "digits_vgg"
    assert about["classes"] == list("0123456789")
    assert about["compression"]["macs_ratio"] == pytest.approx(smaller.plan.macs_ratio, abs=1e-3)
    assert "arXiv:1511.06530" in about["compression"]["reference"]
    with safe_open(found.path / "weights.safetensors", "pt") as file:
        assert json.loads(file.metadata()["input_shape"]) == [1, 8, 8]
        assert file.metadata()["source"] == smaller.source
    readme = (found.path / "README.txt").read_text()
    assert "model = load(original)" in readme
    assert f"x{smaller.plan.macs_ratio:.2f}" in readme


def test_every_kind_of_layer(mixed, tmp_path):
    spectra = wb.analyze(mixed)
    plan = wb.evbmf_plan(spectra)
    for part in plan:
        if part.layer.method == "tucker2":
            plan = plan.with_ranks(part.name, rank_in=3, rank_out=4)
        elif part.layer.method == "tucker1":
            plan = plan.with_ranks(part.name, rank_out=3)
    smaller = wb.decompose(mixed, plan)
    found = export_weights(smaller, tmp_path / "small")
    assert found.check.max_error < 1e-12
    again = loader.load(mixed.model.__class__(), found.path)
    x = torch.rand(2, 3, 19, 22, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(again(x), smaller.model.eval()(x))


def test_transposed_convolutions_in_groups(tmp_path):
    torch.manual_seed(0)
    layers = (nn.ConvTranspose2d(16, 16, 3, stride=2, padding=1, output_padding=1, groups=2), nn.Flatten())
    network = wb.Network(nn.Sequential(*layers, nn.Linear(16 * 64, 3)), (16, 4, 4))
    plan = (
        wb.evbmf_plan(wb.analyze(network)).with_ranks("0", rank_in=2, rank_out=3).with_ranks("2", rank_in=2, rank_out=2)
    )
    assert export_weights(wb.decompose(network, plan), tmp_path / "small").check.max_error < 1e-6


def test_one_file_for_downloads(smaller, tmp_path):
    found = export_weights(smaller, tmp_path / "small.zip")
    with zipfile.ZipFile(found.path) as archive:
        assert archive.namelist() == [f"small/{name}" for name in NAMES]
        archive.extractall(tmp_path / "out")
    again = loader.load(wb.load_network("digits_vgg").model, tmp_path / "out" / "small")
    assert torch.equal(again.features[3].core.weight, smaller.model.features[3].core.weight)
    assert found.bytes == found.path.stat().st_size


def test_the_given_network_is_not_changed(smaller, tmp_path):
    before = {key: value.clone() for key, value in smaller.model.state_dict().items()}
    export_weights(smaller, tmp_path / "small")
    assert all(torch.equal(value, before[key]) for key, value in smaller.model.state_dict().items())


def test_other_files_in_the_folder_stay(smaller, tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "mine.txt").write_text("mine")
    (tmp_path / "small" / "plan.json").write_text("old")
    export_weights(smaller, tmp_path / "small")
    assert (tmp_path / "small" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "small" / "plan.json").read_text() != "old"


def test_what_cannot_be_written_is_one_sentence(network, smaller, tmp_path):
    with pytest.raises(ExportError, match="digits_vgg has no plan: only decomposed networks"):
        export_weights(network, tmp_path / "small")
    with pytest.raises(ExportError, match=r"there is no folder .*nowhere$"):
        export_weights(smaller, tmp_path / "nowhere" / "small")
    (tmp_path / "taken").write_text("")
    with pytest.raises(ExportError, match=r"taken is a file: name a folder, or a file that ends with \.zip"):
        export_weights(smaller, tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("name", ["small", "small.zip"])
def test_nothing_is_left_if_it_does_not_compute_the_same(monkeypatch, smaller, tmp_path, name):
    wrong = Check(0.5, 0.9, 8, "random inputs")
    monkeypatch.setattr("workbench.exporters.check.Expected.compare", lambda *_: wrong)
    with pytest.raises(ExportError, match=r"small.* was not kept, since it does not compute.*5\.0e-01.*90\.0% of 8"):
        export_weights(smaller, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
