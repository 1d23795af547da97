"""torchvision's data sets of photographs: its own classes, on small archives in the form that it downloads."""

import pytest
import torch

import workbench as wb
from tests.helpers.networks import Computes
from tests.helpers.pictures import md5, png, tar
from tests.helpers.progress import Told
from workbench.catalog.datasets import torchvision as torch_datasets
from workbench.catalog.datasets.table import TORCH_DATASETS
from workbench.catalog.networks.download import DownloadError
from workbench.catalog.networks.torchvision import class_names, torchvision

INDICES = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)
"""Indices in ImageNet of Imagenette's classes, in the order of their WordNet ids."""


def picture(shade):
    return png((shade, 0, 0))  # lossless, whatever its name


def imagenette():
    wnids = sorted(torchvision("datasets").Imagenette._WNID_TO_CLASS)
    files = {
        f"imagenette2-320/{split}/{wnid}/{i}.JPEG": picture(10 * c + i)
        for split, count in (("train", 10), ("val", 3))
        for c, wnid in enumerate(wnids)
        for i in range(count)
    }
    return {"imagenette2-320.tgz": tar(files)}


def pets():
    names = [f"{kind}_{i}" for kind in ("Bengal", "great_dane") for i in range(20)]
    rows = {name: f"{name} {1 + (i >= 20)} {1 + (i >= 20)} 1\n" for i, name in enumerate(names)}
    lists = {part: "".join(rows[n] for n in names[start::2]) for part, start in (("trainval", 0), ("test", 1))}
    return {
        "images.tar.gz": tar({f"images/{name}.jpg": picture(i) for i, name in enumerate(names)}),
        "annotations.tar.gz": tar({f"annotations/{part}.txt": text.encode() for part, text in lists.items()}),
    }


MADE = {"imagenette": (imagenette, (90, 10, 30)), "oxford_iiit_pet": (pets, (18, 2, 20))}


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """Put the archives of a data set where they are downloaded to, with their own checksums."""

    def put(name):
        known, files = TORCH_DATASETS[name], MADE[name][0]()
        sums = {file: md5(data) for file, data in files.items()}
        folder = tmp_path / known.folder
        folder.mkdir(exist_ok=True)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        kind = getattr(torchvision("datasets"), known.class_name)
        if name == "imagenette":
            url = kind._ARCHIVES["320px"][0]
            monkeypatch.setattr(kind, "_ARCHIVES", {"320px": (url, sums["imagenette2-320.tgz"])})
        else:
            monkeypatch.setattr(kind, "_RESOURCES", [(u, sums[u.rpartition("/")[2]]) for u, _ in kind._RESOURCES])
        return tmp_path

    return put


@pytest.mark.parametrize("name", MADE)
def test_splits_of_photographs_and_their_labels(archives, name):
    root, told = archives(name), Told()
    data = wb.load_data(name, root=root, size=8, download=True, progress=told)
    splits = (data.train, data.validation, data.test)
    assert tuple(map(len, splits)) == MADE[name][1]
    assert data.test.images.shape[1:] == (3, 8, 8)
    assert next(data.test.batches(4))[0].dtype == torch.uint8
    assert all(split.labelled for split in splits)
    assert f"{TORCH_DATASETS[name].download_bytes:,} bytes to download; licence: " in told[0][1]
    assert told[-1][0] == 1
    again = wb.load_data(name, root=root, size=8)  # unpacked: nothing is downloaded
    for one, two in zip(splits, (again.train, again.validation, again.test), strict=True):
        assert torch.equal(one.labels, two.labels)
    inner = root / TORCH_DATASETS[name].folder
    assert len(wb.load_data(name, root=inner, size=8).test) == MADE[name][1][2]
    assert not [entry for entry in inner.iterdir() if entry.name.startswith(".")]
    for split in splits:  # images and labels belong together
        shades = next(split.batches(100))[0][:, 0, 0, 0]
        if name == "imagenette":
            assert split.labels.tolist() == [INDICES[shade // 10] for shade in shades.tolist()]
        else:
            assert split.labels.tolist() == [int(shade >= 20) for shade in shades.tolist()]
            assert data.classes == ("Bengal", "Great Dane")
    if name == "imagenette":  # each class has its share of the images to choose by
        assert torch.bincount(data.validation.labels).unique().tolist() == [0, 1]


def test_imagenette_scores_a_network_for_imagenet(archives):
    data = wb.load_data("imagenette", root=archives("imagenette"), size=8, download=True)
    assert data.classes == class_names()
    church = torch.nn.functional.one_hot(torch.tensor([497]), 1000).float()
    network = wb.Network(Computes(lambda _, x: church.expand(len(x), -1)), (3, 8, 8), classes=class_names())
    assert wb.score(network, data).top1 == pytest.approx(0.1)


def test_absent_data_say_size_and_licence(tmp_path):
    with pytest.raises(ValueError, match=r"food101 is not in .*4,996,278,331 bytes to download; licence: none stated"):
        wb.load_data("food101", root=tmp_path)


def test_a_damaged_archive_is_downloaded_anew_or_said(archives, monkeypatch):
    root = archives("imagenette")
    (root / "imagenette2-320.tgz").write_bytes(b"cut")

    def offline(url, *_, **__):
        raise DownloadError(f"no network for {url}")

    monkeypatch.setattr(torch_datasets, "fetch", offline)
    with pytest.raises(ValueError, match=r"imagenette cannot be downloaded now .*on a machine with a network get"):
        wb.load_data("imagenette", root=root, download=True)
