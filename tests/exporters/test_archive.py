"""The archive that needs no workbench: loaded where there is none, the same bit for bit; and what cannot be written."""

import subprocess
import sys
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import workbench as wb
from tests.helpers.networks import at_full_rank, decomposed
from workbench.catalog.networks.classics import digits_vgg
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


def unpacked(exported):
    with zipfile.ZipFile(exported.path) as archive:
        archive.extractall(exported.path.parent)
    return exported.path.with_suffix("")


def test_loads_bit_for_bit_where_there_is_no_workbench(small, data, tmp_path):
    archived = export(small, tmp_path / "small.zip", data.test)
    folder = unpacked(archived)
    files = {path.name for path in folder.iterdir()}
    assert files == {"README.txt", "load.py", "plan.json", "weights.safetensors"}
    assert archived.bytes == archived.path.stat().st_size
    assert (archived.verification.n, archived.verification.agreement) == (500, 1.0)
    images = data.test.images[:100]
    torch.save(digits_vgg(), folder / "original.pt")
    save_file({"inputs": images}, folder / "in.safetensors")
    subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT_WORKBENCH], cwd=folder, check=True)
    assert torch.equal(load_file(folder / "out.safetensors")["outputs"], small.model(images))


def test_every_kind_of_layer(mixed, tmp_path):
    small = wb.decompose(mixed, at_full_rank(mixed))
    found = export(small, tmp_path / "small.zip")
    assert found.verification.max_error < 1e-12
    again = standalone_loader.load(mixed.model.__class__(), unpacked(found))
    x = torch.rand(2, 3, 19, 22, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(x), small.model(x))


def test_networks_that_cannot_be_archived(network, tmp_path):
    with pytest.raises(ExportError, match="digits_vgg has no plan: only decomposed networks"):
        export(network, tmp_path / "small.zip")
    one = wb.Network(nn.Conv2d(8, 8, 3), (8, 5, 5))
    with pytest.raises(ExportError, match="one single layer has no place"):
        export(decomposed(one, {"": (2, 2)}), tmp_path / "one.zip")
    assert list(tmp_path.iterdir()) == []
