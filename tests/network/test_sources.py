"""Images and labels from arrays, data sets, loaders and batches."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
)

import workbench as wb

X = torch.arange(6 * 3 * 4 * 4).reshape(6, 3, 4, 4).float()
Y = torch.tensor([0, 1, 2, 0, 1, 2])


class Items(Dataset):
    """Pictures with labels, one by one."""

    def __init__(self, item, targets=None):
        self.item, self.targets = item, targets

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
        Items(lambda i: X[i]),
        [{"pixel_values": X, "size": 3}],
        X.numpy().astype(">f4"),
        TensorDataset(X, X.clone()),
        TensorDataset(X, torch.zeros(6, 5)),
        Items(lambda i: (X[i], X[i]), ["mask.png"] * 6),
        Items(lambda i: (X[i], 0.5), [0.5] * 6),
        Items(lambda i: (X[i], "cat"), np.array(["cat"] * 6)),
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
        (X, Y.tolist()),
        [{"image": x, "label": int(y)} for x, y in zip(X, Y, strict=True)],
        {"image": X, "label": Y},
        DataLoader(Items(lambda i: {"image": X[i], "label": int(Y[i])}), batch_size=4, collate_fn=list),
        Subset(TensorDataset(X, Y), range(6)),
        Items(lambda i: X[i], Y.tolist()),
    ],
)
def test_images_with_labels(images):
    split = wb.Split.of(images)
    assert split.labelled
    assert torch.equal(every(split), X)
    assert torch.equal(split.labels, Y)


@pytest.mark.parametrize(
    ("images", "kind", "message"),
    [
        ([], ValueError, "no images"),
        ("no folder", ValueError, "there is no folder, ZIP file or picture no folder"),
        (3, TypeError, "not a int"),
        ([X[:2], torch.zeros(2, 3, 5, 5)], ValueError, "different shapes"),
        ([X[0], "a.png"], ValueError, "only paths of pictures"),
        ([["x"]], TypeError, "batches of str"),
        ([{"a": 1}], TypeError, "dictionaries of a"),
        ({"train": TensorDataset(X, Y)}, TypeError, r"not a dictionary: say which, like data\['train'\]"),
    ],
)
def test_what_holds_no_images(images, kind, message):
    with pytest.raises(kind, match=message):
        wb.Split.of(images)


def test_a_loader_of_a_part_gives_that_part():
    one, other = SubsetRandomSampler([1, 3]), [3, 1]
    for options in ({"sampler": one}, {"sampler": other}, {"batch_sampler": BatchSampler(one, 2, drop_last=False)}):
        split = wb.Split.of(DataLoader(TensorDataset(X, Y), **options))
        assert sorted(split.labels.tolist()) == [0, 1]  # of items 3 and 1
        assert torch.equal(every(split).sort(0).values, X[[1, 3]])


def test_data_sets_that_can_only_be_iterated():
    class Stream(IterableDataset):
        def __iter__(self):
            return ((x, int(y)) for x, y in zip(X, Y, strict=True))

        def __len__(self):
            return len(X)

    for given in (Stream(), DataLoader(Stream(), batch_size=4)):
        split = wb.Split.of(given)
        assert torch.equal(every(split), X)
        assert torch.equal(split.labels, Y)


def test_arrays_of_every_kind():
    values = np.random.default_rng(0).integers(0, 256, (5, 9, 8, 3), np.uint8)
    wanted = torch.from_numpy(values).permute(0, 3, 1, 2)
    assert torch.equal(every(wb.Split.of(values)), wanted)  # channels last
    assert torch.equal(every(wb.Split.of(list(values))), wanted)
    assert torch.equal(every(wb.Split.of(values[:, :, ::-1])), wanted.flip(3))
    assert every(wb.Split.of(values / 255.0)).dtype == torch.float64  # a network's inputs have its weights' type
    for labels in (np.arange(5, dtype=np.uint8), [0, 1, 2, 3, 4]):
        split = wb.Split(values, labels)
        assert torch.equal(split.images, wanted)
        assert torch.equal(split.labels, torch.arange(5))
    deep = np.array([0, 65535], np.uint16).reshape(2, 1, 1, 1)
    assert every(wb.Split.of(deep)).flatten().tolist() == [0, 1]
    values.flags.writeable = False
    every(wb.Split.of(values))[:] = 0
    assert values.any()  # nothing that is given is changed


class Rows:
    """A data set of Hugging Face by what is used of it: rows by number, columns by name."""

    column_names = ("image", "label")

    def __init__(self, pictures):
        self.pictures = pictures

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, key):
        if key == "label":
            return [i % 2 for i in range(len(self))]
        if key == "image":
            return self.pictures
        return {"image": self.pictures[key], "label": key % 2}

    def __iter__(self):
        return (self[i] for i in range(len(self)))


def shades(sizes, mode="RGB"):
    return [Image.new("RGB", size, (40 * i,) * 3).convert(mode) for i, size in enumerate(sizes)]


@pytest.mark.parametrize(
    "given",
    [
        lambda rows: rows,
        lambda rows: {"image": rows["image"], "label": rows["label"]},  # rows[:]
        lambda rows: (rows["image"], rows["label"]),
        lambda rows: iter(rows),  # streamed
        lambda rows: DataLoader(rows, batch_size=3, collate_fn=lambda batch: batch),
        lambda rows: DataLoader(rows, batch_size=3),
    ],
)
@pytest.mark.parametrize(("sizes", "shape"), [([(6, 5)] * 4, (5, 6)), ([(6, 5), (30, 20), (4, 9), (8, 8)], (8, 8))])
def test_rows_and_columns_of_hugging_face(given, sizes, shape):
    split = wb.Split.of(given(Rows(shades(sizes))), size=8)
    assert split.images.shape == (4, 3, *shape)
    assert every(split)[:, 0, 0, 0].tolist() == [0, 40, 80, 120]
    assert split.labels.tolist() == [0, 1, 0, 1]


def test_paths(tmp_path):
    for i in range(3):
        Image.new("RGB", (20, 10), (i, 0, 0)).save(tmp_path / f"{i}.png")
    folder, glob = wb.Split.of(tmp_path, size=8), wb.Split.of(sorted(tmp_path.glob("*.png")), size=8)
    assert every(folder)[:, 0, 0, 0].tolist() == every(glob)[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert wb.Split.of(iter([str(tmp_path / "1.png")]), size=8).images.shape == (1, 3, 8, 8)
    assert every(wb.Split.of(str(tmp_path / "2.png"), size=8))[0, 0, 0, 0] == 2
    (tmp_path / "test").mkdir()
    (tmp_path / "train").mkdir()
    (tmp_path / "0.png").rename(tmp_path / "train" / "0.png")
    (tmp_path / "1.png").rename(tmp_path / "test" / "1.png")
    with pytest.raises(ValueError, match=r'has the folders train and test: say which, like ".*/train"'):
        wb.Split.of(tmp_path)
