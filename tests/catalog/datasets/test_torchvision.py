"""torchvision's classes are stood in for by small ones with the same arrays: the real files are too large to ship."""

from urllib.error import URLError

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.catalog.datasets import torchvision as torch_datasets
from workbench.catalog.datasets.torchvision import Entry
from workbench.catalog.networks.torchvision import torchvision


def stand_in(shape, error=None):
    class Dataset:
        classes = ("a", "b", "c")

        def __init__(self, root, train, download):
            if error is not None and not (download and error == "missing"):
                raise error if isinstance(error, Exception) else RuntimeError("Dataset not found or corrupted.")
            n = 50 if train else 20
            self.data = np.arange(n, dtype=np.uint8).reshape(n, *[1] * len(shape)) * np.ones(shape, np.uint8)
            self.targets = [i % 3 for i in range(n)]

    return Dataset


@pytest.fixture
def torch_dataset(monkeypatch):
    def install(name, kind, shape, error=None):
        monkeypatch.setattr(torchvision("datasets"), kind, stand_in(shape, error))
        monkeypatch.setitem(torch_datasets.TORCH_DATASETS, name, Entry(kind, 10))

    return install


@pytest.mark.parametrize(
    ("name", "kind", "shape", "image"),
    [("cifar10", "CIFAR10", (4, 5, 3), (3, 4, 5)), ("mnist", "MNIST", (4, 5), (1, 4, 5))],
)
def test_splits(torch_dataset, tmp_path, name, kind, shape, image):
    torch_dataset(name, kind, shape)
    data, again = (wb.load_data(name, root=tmp_path) for _ in range(2))
    assert [len(s) for s in (data.train, data.validation, data.test)] == [40, 10, 20]
    assert data.train.images.shape[1:] == image
    assert data.classes == ("a", "b", "c")
    numbers = [s.images[:, 0, 0, 0] for s in (data.train, data.validation)]
    assert sorted(torch.cat(numbers).tolist()) == list(range(50))  # nothing twice, nothing lost
    assert torch.equal(numbers[1], again.validation.images[:, 0, 0, 0])
    assert all(int(label) == int(number) % 3 for number, label in zip(numbers[0], data.train.labels, strict=True))


def test_not_there(torch_dataset, tmp_path):
    torch_dataset("cifar10", "CIFAR10", (4, 5, 3), error="missing")
    with pytest.raises(
        ValueError, match=r"cifar10 is not in .*: put torchvision's files there, or load_data\('cifar10'"
    ):
        wb.load_data("cifar10", root=tmp_path)
    assert len(wb.load_data("cifar10", root=tmp_path, download=True).test) == 20


def test_no_network(torch_dataset, tmp_path):
    torch_dataset("cifar10", "CIFAR10", (4, 5, 3), error=URLError("no network"))
    with pytest.raises(
        ValueError,
        match=r"cifar10 cannot be downloaded or unpacked \(.*no network.*\): on a machine with a network get it",
    ):
        wb.load_data("cifar10", root=tmp_path, download=True)


def test_a_folder_is_needed():
    with pytest.raises(ValueError, match=r"load_data\('mnist', root='folder'\)"):
        wb.load_data("mnist")
