"""The archive that needs no workbench: loaded where there is none, the same bit for bit; and what cannot be written."""

import subprocess
import sys
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import workbench as wb
from workbench.catalog.datasets.digits import digits_vgg
from workbench.exporters import standalone_loader
from workbench.exporters.export import export
from workbench.exporters.tracing import ExportError

WITHOUT_WORKBENCH = """
import sys
sys.modules["workbench"] = None  # importing it fails
import torch
from safetensors.torch import load_file, save_file
from load import load
torch.set_num_threads(1)
model = load(torch.load("original.pt", weights_only=False))
assert not model.training
with torch.inference_mode():
    save_file({"outputs": model(load_file("in.safetensors")["inputs"])}, "out.safetensors")
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
    files = {path.name for path in folder.iterdir()}
    assert files == {"README.txt", "load.py", "plan.json", "weights.safetensors"}
    assert archived.bytes == archived.path.stat().st_size
    assert (archived.verification.n, archived.verification.agreement) == (500, 1.0)
    images = data.test.images[:100]
    torch.save(digits_vgg(), folder / "original.pt")
    save_file({"inputs": images}, folder / "in.safetensors")
    subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT_WORKBENCH], cwd=folder, check=True)
    with torch.inference_mode():
        assert torch.equal(load_file(folder / "out.safetensors")["outputs"], small.model(images))


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


def test_networks_that_cannot_be_archived(network, tmp_path):
    with pytest.raises(ExportError, match="digits_vgg has no plan: only decomposed networks"):
        export(network, tmp_path / "small.zip")
    torch.manual_seed(0)
    one = wb.Network(nn.Conv2d(8, 8, 3), (8, 5, 5))
    plan = wb.evbmf_plan(wb.analyze(one)).with_ranks("", rank_in=2, rank_out=2)
    with pytest.raises(ExportError, match="one single layer has no place"):
        export(wb.decompose(one, plan), tmp_path / "one.zip")
    assert list(tmp_path.iterdir()) == []
