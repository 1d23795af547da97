"""What somebody put into the folder for data sets is found, and nothing else."""

import pytest
from PIL import Image

from workbench.catalog.local import datasets_folder, load_local, local_names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATASETS", str(tmp_path))
    for name in ("pets/dog/a.png", "pets/cat/a.png", "table/a.png", "flat/ILSVRC2012_val_00000001.JPEG", "no/a.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300, 300)).save(path)
    (tmp_path / "table" / "labels.csv").write_text("file,class_index\na.png,1\n")
    (tmp_path / "flat" / "val.txt").write_text("ILSVRC2012_val_00000001.JPEG 2\n")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def test_folders_of_images_are_found(folder):
    assert datasets_folder() == folder
    mine = [name for name, origin in local_names().items() if origin == "your images"]
    assert mine == ["flat", "pets", "table"]


def test_each_is_read_in_its_own_way(folder):
    classes = ("ant", "dog", "cat")
    assert load_local("pets").test.labels.tolist() == [0, 1]
    assert load_local("pets", classes=classes).test.labels.tolist() == [2, 1]
    assert load_local("table").test.labels.tolist() == [1]
    said = []
    assert load_local("flat", classes=classes, progress=lambda *s: said.append(s)).test.labels.tolist() == [2]
    assert said == [(1.0, "ILSVRC2012_val_00000001.JPEG")]
    with pytest.raises(KeyError, match="there are no data called 'no'"):
        load_local("no")
