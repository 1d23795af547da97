import pytest

from tests.helpers.pictures import picture
from tests.helpers.progress import Told
from workbench.catalog.datasets.offered import datasets_folder, load_folder, load_offered, offered_names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATASETS", str(tmp_path))
    return tmp_path


def test_only_folders_of_images_are_offered(folder):
    picture(folder / "pets" / "cat" / "a.png")
    picture(folder / "table" / "a.png")
    (folder / "table" / "labels.csv").write_text("file,class_index\na.png,3\n")
    picture(folder / ".hidden" / "cat" / "a.png")
    for torchvisions in ("flowers-102/jpg", "food-101/images/pizza", "imagenette2-320/train/n01440764"):
        picture(folder / torchvisions / "a.png")
    (folder / "notes" / "empty").mkdir(parents=True)
    (folder / "file.txt").write_text("")
    names = offered_names()
    assert {name for name, where in names.items() if where == "your images"} == {"pets", "table"}
    assert names["digits"] == "bundled"
    assert datasets_folder() == folder


@pytest.mark.parametrize("name", ["../pets", "/etc", "nothing", ""])
def test_no_name_leads_out_of_the_folder(folder, name):
    picture(folder.parent / "pets" / "cat" / "a.png")
    with pytest.raises(KeyError, match="there are no data called"):
        load_offered(name)


def labels(data):
    return sorted(label for split in (data.train, data.validation, data.test) for label in split.labels.tolist())


def test_each_is_read_in_its_own_way(folder):
    for name in ("pets/dog/a.png", "pets/cat/a.png", "flat/a.png", "no/a.png"):
        picture(folder / name)
    (folder / "flat" / "labels.csv").write_text("file,class_index\na.png,2\n")
    classes = ("ant", "dog", "cat")
    assert labels(load_offered("pets")) == [0, 1]
    assert labels(load_offered("pets", classes=classes)) == [1, 2]
    told = Told()
    assert load_offered("flat", classes=classes, progress=told).test.labels.tolist() == [2]
    assert told == [(1.0, "a.png")]
    with pytest.raises(KeyError, match="there are no data called 'no'"):
        load_offered("no")


@pytest.mark.parametrize(("folders", "sizes"), [(("cat", "dog"), [8, 2, 10]), (("",), [10, 10, 0])])
def test_two_in_five_images_are_to_recover_with_and_half_of_those_without_labels(folder, folders, sizes):
    for i in range(20):
        picture(folder / "pets" / folders[i % len(folders)] / f"{i}.png")
    data = load_folder(folder / "pets")
    assert [len(s) for s in (data.train, data.validation, data.test)] == sizes
    assert data.validation.labelled == (len(folders) > 1)
