import csv
from pathlib import Path

import pytest
import torch
from PIL import Image

import workbench as wb
from tests.helpers.progress import Told, cancel
from workbench.catalog.datasets import images
from workbench.catalog.datasets.labels import class_index, wordnet_ids
from workbench.catalog.datasets.load import datasets_folder, load_local, local_names
from workbench.catalog.networks.load import outline


def picture(path, width=40, height=30, color=(200, 100, 50)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), color).save(path)


@pytest.fixture
def table(tmp_path):
    for i in range(4):
        picture(tmp_path / f"{i}.png", color=(10 * i, 0, 0))
    (tmp_path / "labels.csv").write_text("file,class_index\n" + "".join(f"{i}.png,{7 - i}\n" for i in range(4)))
    return tmp_path


def test_one_folder_a_class(tmp_path):
    for name in ("dog", "ant", "cat"):
        picture(tmp_path / name / "1.jpg")
    picture(tmp_path / "ant" / "2.png")
    (tmp_path / "ant" / "notes.txt").write_text("not an image")
    data = wb.load_data("images", root=tmp_path, size=8)
    assert data.classes == ("ant", "cat", "dog")
    assert data.test.labels.tolist() == [0, 0, 1, 2]


def test_images_that_are_not_sound_are_left_out_and_named(table, caplog):
    (table / "1.png").write_bytes((table / "1.png").read_bytes()[:60])
    (table / "2.png").write_text("no image")
    with (table / "labels.csv").open("a") as file:
        file.write("none.png,2\n0.png,7\n")  # a file that is not there, and a row twice
    data = wb.load_data("images", root=table, labels="labels.csv", size=16)
    assert data.test.labels.tolist() == [7, 4]
    assert [text.split(" ")[0] for text in data.skipped] == ["1.png", "2.png", "none.png"]
    assert str(data).endswith("test 2 images of shape (3, 16, 16); 3 left out")
    assert "3 images were left out: 1.png" in caplog.text


@pytest.mark.parametrize(
    "name", ["../0.png", "/etc/passwd", "sub/../../0.png", "..\\0.png", "C:\\0.png", "C:0.png", "\\\\host\\0.png", ""]
)
def test_no_row_of_a_table_leads_out(table, name):
    (table / "sub").mkdir()
    picture(table / "sub" / "in.png")
    with (table / "sub" / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "class_index"], [name, 1], ["in.png", 2]])
    data = wb.load_data("images", root=table / "sub", size=8)
    assert data.test.labels.tolist() == [2]
    assert len(data.skipped) == 1
    assert data.skipped[0].endswith("leads out of the folder")


def test_a_table_may_lead_further_in(table):
    picture(table / "a" / "0.png", color=(90, 0, 0))  # another image than the 0.png above
    picture(table / "b" / "0.png", color=(80, 0, 0))
    (table / "labels.csv").write_text("\ufefffile,class_index,more\na/0.png,3,x\nb\\0.png,4,y\n", encoding="utf-8")
    data = wb.load_data("images", root=table, labels="labels.csv", size=8)
    assert data.test.labels.tolist() == [3, 4]
    assert data.test.images[:, 0, 0, 0].tolist() == [90, 80]


HEAD = "file,class_index\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no table of labels"),
        ("", "needs the columns file and class_index, not nothing"),
        ("name,label\na,1\n", "needs the columns file and class_index, not name, label"),
        (HEAD, "no labelled images"),
        (f"{HEAD}none.png,1", "none of the 1 images"),
        (f"{HEAD}0.png,-1", "a whole number from 0: line 2 has '-1'"),
        (f"{HEAD}0.png,1\n1.png,nan", "line 3 has 'nan'"),
        (f"{HEAD}0.png,", "line 2 has nothing"),
        (f"{HEAD}0.png,99999999999999999999", "line 2 has '9999"),
        (f"{HEAD}0.png,1\n./0.png,2", "labels.csv gives 0.png the classes 1 and 2"),
        (f"{HEAD}0.png,3", "labels.csv has class 3, but the classes are 0 to 2"),
        (f"{HEAD}0.png,1\n\udcff", "labels.csv is no table in UTF-8"),
    ],
)
def test_tables_that_cannot_be_used(table, text, message):
    path = table / "labels.csv"
    path.unlink() if text is None else path.write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=message) as caught:
        wb.load_data("images", root=table, labels="labels.csv", classes=("a", "b", "c"), size=8)
    assert "\n" not in str(caught.value)


CLASSES = ("zebra", "Cardigan", "cardigan", "great white shark", "7", "ant")


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (("ant", "zebra"), [5, 0]),
        (("Cardigan", "cardigan"), [1, 2]),
        (("great_white_shark", "ANT"), [5, 3]),
        (("0", "5"), [0, 5]),
        (("7",), [4]),  # a name before a number
        (("n00000003", "n00000006"), [2, 5]),
    ],
)
def test_folders_are_mapped_to_the_networks_classes(tmp_path, folders, labels):
    (tmp_path / "synset_words.txt").write_text("".join(f"n0000000{i} x\n" for i in (4, 2, 6, 1, 3, 5)))
    for name in folders:
        picture(tmp_path / name / "a.png")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "without images").mkdir()
    data = wb.load_data("images", root=tmp_path, size=8, classes=CLASSES)
    assert data.test.labels.tolist() == labels
    assert data.classes == CLASSES


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("ant", "bee", "wasp"), "the folder bee, wasp is none of the network's 6 classes"),
        (("6",), "the folder 6 is none of"),
        (("CARDIGAN",), "the folder CARDIGAN is none of"),  # which of the two?
        (("n00000001",), "WordNet id; put LOC_synset_mapping.txt or synset_words.txt beside them"),
        (("ant", "5"), "the folders (5 and ant|ant and 5) are both class 5"),
        ((), "there are no labelled images"),
    ],
)
def test_folders_that_are_no_class(tmp_path, folders, message):
    for name in folders:
        picture(tmp_path / name / "a.png")
    with pytest.raises(ValueError, match=message):
        wb.load_data("images", root=tmp_path, size=8, classes=CLASSES)


def test_numbered_folders_are_counted_by_number(tmp_path):
    for i in range(12):
        picture(tmp_path / str(i) / "a.png", color=(10 * i, 0, 0))
    data = wb.load_data("images", root=tmp_path, size=8)
    assert data.classes == tuple(map(str, range(12)))
    assert data.test.images[:, 0, 0, 0].tolist() == [10 * i for i in range(12)]


@pytest.fixture
def many(tmp_path):
    for label, count in enumerate((20, 10, 1, 1, 1, 1)):
        for i in range(count):
            picture(tmp_path / f"class{label}" / f"{i:02}.png", 8, 8, (label * 40, i, 0))
    return tmp_path


@pytest.mark.parametrize("memory", [2**30, 0])
def test_shares_to_train_and_to_choose_by(many, monkeypatch, memory):
    monkeypatch.setattr(images, "MAX_MEMORY_BYTES", memory)
    options = {"root": many, "size": 8, "train": 0.5, "validation": 0.25}
    data, again = wb.load_data("images", **options), wb.load_data("images", **options)
    splits = [data.train, data.validation, data.test]
    assert [s.name for s in splits] == ["train", "validation", "test"]
    assert sum(map(len, splits)) == 34
    seen = []
    for split, other in zip(splits, (again.train, again.validation, again.test), strict=True):
        pixels = next(split.batches(100))[0][:, :2, 0, 0]
        assert torch.equal(pixels, next(other.batches(100))[0][:, :2, 0, 0])
        assert (pixels[:, 0] / 40 == split.labels).all()  # images and labels belong together
        seen += [tuple(p) for p in pixels.tolist()]
    assert len(set(seen)) == 34  # nothing twice, nothing lost
    for label, count in enumerate((20, 10)):
        for split, share in zip(splits, (0.5, 0.25, 0.25), strict=True):
            assert abs(int((split.labels == label).sum()) - share * count) <= 1
    assert isinstance(data.train.images, torch.Tensor) == bool(memory)


def test_shares_that_leave_nothing(many):
    for train, validation in ((1.0, 0.0), (0.7, 0.3), (-0.1, 0.5), (float("nan"), 0.1)):
        with pytest.raises(ValueError, match="must leave something to test on"):
            wb.load_data("images", root=many, size=8, train=train, validation=validation)


def test_progress_and_cancelling(many):
    told = Told()
    wb.load_data("images", root=many, size=8, progress=told)
    assert told[-1] == (1.0, "class5/00.png")
    assert len(told) == 34
    with pytest.raises(wb.Cancelled):
        wb.load_data("images", root=many, size=8, progress=cancel)


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
    assert load_local("table").test.labels.tolist() == [3]
    assert datasets_folder() == folder


@pytest.mark.parametrize("name", ["../pets", "/etc", "nothing", ""])
def test_no_name_leads_out_of_the_folder(folder, name):
    picture(folder.parent / "pets" / "cat" / "a.png")
    with pytest.raises(KeyError, match="there are no data called"):
        load_local(name)


def labels(data):
    return sorted(label for split in (data.train, data.validation, data.test) for label in split.labels.tolist())


def test_each_is_read_in_its_own_way(folder):
    for name in ("pets/dog/a.png", "pets/cat/a.png", "flat/ILSVRC2012_val_00000001.JPEG", "no/a.png"):
        picture(folder / name)
    (folder / "flat" / "val.txt").write_text("ILSVRC2012_val_00000001.JPEG 2\n")
    classes = ("ant", "dog", "cat")
    assert labels(load_local("pets")) == [0, 1]
    assert labels(load_local("pets", classes=classes)) == [1, 2]
    told = Told()
    assert load_local("flat", classes=classes, progress=told).test.labels.tolist() == [2]
    assert told == [(1.0, "ILSVRC2012_val_00000001.JPEG")]
    with pytest.raises(KeyError, match="there are no data called 'no'"):
        load_local("no")


def test_two_in_five_images_are_to_recover_with(folder):
    for i in range(20):
        picture(folder / "pets" / "cat" / f"{i}.png")
    data = load_local("pets")
    assert [len(s) for s in (data.train, data.validation, data.test)] == [8, 2, 10]


WNIDS = ("n00000030", "n00000010", "n00000020")  # classes 2, 0, 1 in the order of the ids


def test_ids_from_a_mapping(tmp_path):
    assert wordnet_ids(tmp_path, 3) == {}
    (tmp_path / "synset_words.txt").write_text("".join(f"{w} some, words\n" for w in WNIDS))
    assert wordnet_ids(tmp_path, 3) == {"n00000010": 0, "n00000020": 1, "n00000030": 2}
    assert wordnet_ids(tmp_path, 1000) == {}  # of another length
    (tmp_path / "synset_words.txt").write_text("no ids\nat all\nin here\n")
    assert wordnet_ids(tmp_path, 3) == {}
    assert wordnet_ids(tmp_path, 3, [*WNIDS, "other"])["n00000030"] == 2  # folders of all classes
    assert wordnet_ids(tmp_path, 3, WNIDS[:2]) == {}  # of a part one cannot tell which


FILES = [f"ILSVRC2012_val_0000000{i}.JPEG" for i in (1, 2, 3)]


def test_validation_labels(tmp_path):
    (tmp_path / "val.txt").write_text("".join(f"{f} {label}\n" for f, label in zip(FILES, (2, 0, 1), strict=True)))
    for i, file in enumerate(FILES):
        picture(tmp_path / file, color=(i * 10, 0, 0))
    picture(tmp_path / "another.png")
    data = wb.load_data("images", root=tmp_path, size=8, classes=("a", "b", "c"))
    assert data.test.labels.tolist() == [2, 0, 1]
    assert data.test.images[:, 0, 0, 0].tolist() == [0, 10, 20]
    assert data.skipped == ("another.png has no label in val.txt",)
    (tmp_path / "val.txt").write_text("a.JPEG one\n")
    with pytest.raises(ValueError, match=r"val\.txt is no table of validation labels"):
        wb.load_data("images", root=tmp_path, size=8, classes=("a", "b", "c"))


def test_names_in_the_order_of_the_outputs():
    names = outline("googlenet_bvlc").classes
    assert len(names) == len(set(names)) == 1000
    known = {0: "tench", 1: "goldfish", 207: "golden retriever", 281: "tabby", 999: "toilet tissue"}  # as in tutorials
    assert {i: names[i] for i in known} == known
    folders = [name.replace(" ", "_") for name in names]
    assert class_index(folders, names, Path("nowhere")) == {name: i for i, name in enumerate(folders)}
