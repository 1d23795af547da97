"""torchvision's classes are stood in for by small ones with the same arrays: the real files are too large to ship."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.catalog.datasets import torchvision as torch_datasets
from workbench.catalog.networks.torchvision import torchvision


def stand_in(shape):
    class Dataset:
        classes = ("a", "b", "c")

        def __init__(self, root, train, download):
            n = 50 if train else 20
            self.data = np.arange(n, dtype=np.uint8).reshape(n, *[1] * len(shape)) * np.ones(shape, np.uint8)
            self.targets = [i % 3 for i in range(n)]

    return Dataset


@pytest.mark.parametrize(
    ("name", "kind", "shape", "image"),
    [("cifar10", "CIFAR10", (4, 5, 3), (3, 4, 5)), ("mnist", "MNIST", (4, 5), (1, 4, 5))],
)
def test_splits(monkeypatch, tmp_path, name, kind, shape, image):
    monkeypatch.setattr(torchvision("datasets"), kind, stand_in(shape))
    monkeypatch.setattr(torch_datasets, "VALIDATION_IMAGES", 10)
    data, again = (wb.load_data(name, root=tmp_path) for _ in range(2))
    assert [len(s) for s in (data.train, data.validation, data.test)] == [40, 10, 20]
    assert data.train.images.shape[1:] == image
    assert data.classes == ("a", "b", "c")
    numbers = [s.images[:, 0, 0, 0] for s in (data.train, data.validation)]
    assert sorted(torch.cat(numbers).tolist()) == list(range(50))  # nothing twice, nothing lost
    assert torch.equal(numbers[1], again.validation.images[:, 0, 0, 0])
    assert all(int(label) == int(number) % 3 for number, label in zip(numbers[0], data.train.labels, strict=True))
