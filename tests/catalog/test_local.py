import pytest
from PIL import Image

from workbench.catalog.local import datasets_folder, load_local, local_names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATASETS", str(tmp_path))
    return tmp_path


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (30, 30)).save(path)


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


def test_they_load_by_name(folder):
    picture(folder / "table" / "a.png")
    (folder / "table" / "labels.csv").write_text("file,class_index\na.png,3\n")
    assert load_local("table").test.labels.tolist() == [3]
    picture(folder / "pets" / "cat" / "a.png")
    assert load_local("pets").classes == ("cat",)
    assert len(load_local("digits").test) == 500


@pytest.mark.parametrize("name", ["../pets", "/etc", "nothing", ""])
def test_no_name_leads_out_of_the_folder(folder, name):
    picture(folder.parent / "pets" / "cat" / "a.png")
    with pytest.raises(KeyError, match="there are no data called"):
        load_local(name)


def test_without_the_folder_there_are_still_the_bundled(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_DATASETS", str(tmp_path / "none"))
    assert local_names()["digits"] == "bundled"
