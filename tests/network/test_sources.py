"""Images and labels from arrays, data sets, loaders and batches."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

import workbench as wb

X = torch.arange(6 * 3 * 4 * 4).reshape(6, 3, 4, 4).float()
Y = torch.tensor([0, 1, 2, 0, 1, 2])


class Items(Dataset):
    """Pictures with labels, one by one."""

    def __init__(self, item):
        self.item = item

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return self.item(i)


def every(split):
    return torch.cat([images for images, _ in split.batches(4)])


@pytest.mark.parametrize(
    "images",
    [
        X,
        X.numpy().astype(np.float64),
        [X[:4], X[4:]],
        iter([X[:2], X[2:]]),
        DataLoader(X, batch_size=4),
        Items(lambda i: X[i]),
        [{"pixel_values": X, "size": 3}],
    ],
)
def test_images_without_labels(images):
    split = wb.Split.of(images)
    assert not split.labelled
    assert torch.equal(every(split).float(), X)


@pytest.mark.parametrize(
    "images",
    [
        (X, Y),
        (X.numpy(), Y.numpy()),
        TensorDataset(X, Y),
        DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True),
        Items(lambda i: (X[i], int(Y[i]))),
        Items(lambda i: {"image": X[i], "label": int(Y[i])}),
        [(X[:4], Y[:4]), (X[4:], Y[4:])],
        DataLoader(
            Items(lambda i: (X[i], int(Y[i]))),
            batch_size=4,
            collate_fn=lambda b: (torch.stack([x for x, _ in b]), torch.tensor([y for _, y in b])),
        ),
    ],
)
def test_images_with_labels(images):
    split = wb.Split.of(images)
    assert split.labelled
    assert torch.equal(every(split), X)
    assert torch.equal(split.labels, Y)


def test_pictures_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    split = wb.Split.of(Items(lambda i: (Image.fromarray(pixels), i % 3)))
    assert split.images.shape == (6, 3, 5, 4)
    assert torch.equal(every(split)[0], torch.from_numpy(pixels).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("images", "kind", "message"),
    [
        ([], ValueError, "no images"),
        ("no folder", ValueError, "there is no folder, ZIP file or picture no folder"),
        (3, TypeError, "not a int"),
        ([X[:2], torch.zeros(2, 3, 5, 5)], ValueError, "different shapes"),
        ([["x"]], TypeError, "batches of str"),
        ([{"a": 1}], TypeError, "dictionaries of a"),
    ],
)
def test_what_holds_no_images(images, kind, message):
    with pytest.raises(kind, match=message):
        wb.Split.of(images)


def test_data_take_them_too():
    data = wb.Data(train=DataLoader(TensorDataset(X, Y)), validation=(X, Y), test=TensorDataset(X, Y))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [6, 6, 6]
    assert data.train.name == "train"
