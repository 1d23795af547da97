import shutil

import pytest

from tests.helpers.pictures import picture
from workbench.catalog.datasets.local import datasets_folder, load_folder, load_local, local_names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATASETS", str(tmp_path))
    return tmp_path


def test_only_folders_of_images_are_offered(folder):
    picture(folder / "pets" / "cat" / "a.png")
    picture(folder / "table" / "a.png")
    (folder / "table" / "labels.csv").write_text("file,class_index\na.png,3\n")
    picture(folder / ".hidden" / "cat" / "a.png")
    (folder / "notes" / "empty").mkdir(parents=True)
    (folder / "file.txt").write_text("")
    names = local_names()
    assert {name for name, where in names.items() if where == "your images"} == {"pets", "table"}
    assert names["digits"] == "bundled"
    assert datasets_folder() == folder


@pytest.mark.parametrize("name", ["../pets", "/etc", "nothing", ""])
def test_no_name_leads_out_of_the_folder(folder, name):
    picture(folder.parent / "pets" / "cat" / "a.png")
    with pytest.raises(KeyError, match="there are no data called"):
        load_local(name)


def labels(data):
    return sorted(label for split in (data.train, data.validation, data.test) for label in split.labels.tolist())


def test_each_is_read_in_its_own_way(folder):
    for name in ("pets/dog/a.png", "pets/cat/a.png", "flat/a.png", "no/a.png"):
        picture(folder / name)
    (folder / "flat" / "labels.csv").write_text("file,class_index\na.png,2\n")
    classes = ("ant", "dog", "cat")
    assert labels(load_local("pets")) == [0, 1]
    assert labels(load_local("pets", classes=classes)) == [1, 2]
    said = []
    assert load_local("flat", classes=classes, progress=lambda *s: said.append(s)).test.labels.tolist() == [2]
    assert said == [(1.0, "a.png")]
    with pytest.raises(KeyError, match="there are no data called 'no'"):
        load_local("no")


@pytest.mark.parametrize(("folders", "sizes"), [(("cat", "dog"), [8, 2, 10]), (("",), [10, 10, 0])])
def test_two_in_five_images_are_to_recover_with_and_half_of_those_without_labels(folder, folders, sizes):
    for i in range(20):
        picture(folder / "pets" / folders[i % len(folders)] / f"{i}.png")
    data = load_folder(folder / "pets")
    assert [len(s) for s in (data.train, data.validation, data.test)] == sizes
    assert data.validation.labelled == (len(folders) > 1)


def test_zip_files_and_folders_of_splits(folder):
    for name in ("train/cat/a.png", "train/dog/a.png", "val/cat/a.png"):
        picture(folder / "split" / name)
    shutil.make_archive(str(folder / "packed"), "zip", folder / "split")
    (folder / "text.zip").write_text("no archive")
    assert {name for name, where in local_names().items() if where == "your images"} == {"split", "packed.zip"}
    for name in ("split", "packed.zip"):
        data = load_local(name)
        assert [len(s) for s in (data.train, data.validation, data.test)] == [2, 1, 0]
