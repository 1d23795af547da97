import csv

import pytest
import torch

import workbench as wb
from tests.helpers.pictures import picture
from tests.helpers.progress import Told, cancel
from workbench.network.images import folders
from workbench.network.images.labels import stays_inside


@pytest.fixture
def table(tmp_path):
    for i in range(4):
        picture(tmp_path / f"{i}.png", color=(10 * i, 0, 0))
    (tmp_path / "labels.csv").write_text("file,class_index\n" + "".join(f"{i}.png,{7 - i}\n" for i in range(4)))
    return tmp_path


def test_images_that_are_not_sound_are_left_out_and_named(table, caplog):
    (table / "1.png").write_bytes((table / "1.png").read_bytes()[:60])
    (table / "2.png").write_text("no image")
    with (table / "labels.csv").open("a") as file:
        file.write("none.png,2\n0.png,7\n")  # the first a second time
    data = wb.load_data("images", root=table, labels="labels.csv", size=16)
    assert data.test.labels.tolist() == [7, 4]
    assert [text.split(" ")[0] for text in data.skipped] == ["1.png", "2.png", "none.png"]
    assert data.skipped[-1] == "none.png is not a valid image: there is no such file"
    assert str(data).endswith("test 2 images of shape (3, 16, 16); 3 left out")
    assert "3 images were left out: 1.png" in caplog.text


@pytest.mark.parametrize(
    "name", ["../0.png", "/etc/passwd", "sub/../../0.png", "..\\0.png", "C:\\0.png", "C:0.png", "\\\\host\\0.png", ""]
)
def test_no_row_of_a_table_leads_out(table, name):
    assert not stays_inside(name)
    (table / "sub").mkdir()
    picture(table / "sub" / "in.png")
    with (table / "sub" / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "class_index"], [name, 1], ["in.png", 2]])
    data = wb.load_data("images", root=table / "sub", size=8)
    assert data.test.labels.tolist() == [2]
    assert len(data.skipped) == 1
    assert data.skipped[0].endswith("leads out of the folder")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,label\n0.png,1\n", "needs the columns file and class_index, not name, label"),
        ("file,class_index\n", "there are no images"),
        ("file,class_index\nnone.png,1\n", "none of the 1 images"),
        ("file,class_index\n0.png,-1\n", r"a whole number from 0: line 2 has '-1'"),
        ("file,class_index\n0.png,1\n1.png,nan\n", "line 3 has 'nan'"),
        ("file,class_index\n0.png,\n", "line 2 has nothing"),
        ("file,class_index\n0.png,99999999999999999999\n", "line 2 has '9999"),
        ("file,class_index\n0.png,1\n./0.png,2\n", "labels.csv gives 0.png the classes 1 and 2"),
        ("file,class_index\n0.png,3\n", "labels.csv has class 3, but the classes are 0 to 2"),
        (None, "there is no table of labels"),
    ],
)
def test_tables_that_are_wrong(table, content, message):
    (table / "labels.csv").unlink()
    if content:
        (table / "labels.csv").write_text(content)
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
    ],
)
def test_folders_are_mapped_to_the_networks_classes(tmp_path, folders, labels):
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
        (("ant", "bee", "wasp"), "the folder bee, wasp is none of the 6 classes"),
        (("6",), "the folder 6 is none of"),
        (("CARDIGAN",), "the folder CARDIGAN is none of"),  # which of the two?
        (("n00000001",), "the folder n00000001 is none of the 6 classes, by name or number"),
        (("ant", "5"), "the folders (5 and ant|ant and 5) are both class 5"),
        ((), "there are no images"),
    ],
)
def test_folders_that_are_no_class(tmp_path, folders, message):
    for name in folders:
        picture(tmp_path / name / "a.png")
    with pytest.raises(ValueError, match=message):
        wb.load_data("images", root=tmp_path, size=8, classes=CLASSES)


@pytest.fixture
def many(tmp_path):
    for label, count in enumerate((20, 10, 1, 1, 1, 1)):
        for i in range(count):
            picture(tmp_path / f"class{label}" / f"{i:02}.png", (label * 40, i, 0), (8, 8))
    return tmp_path


@pytest.mark.parametrize("memory", [2**30, 0])
def test_shares_to_train_and_to_choose_by(many, monkeypatch, memory):
    monkeypatch.setattr(folders, "MAX_MEMORY_BYTES", memory)
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


@pytest.mark.parametrize(("train", "validation"), [(1.0, 0.0), (0.7, 0.3), (-0.1, 0.5), (float("nan"), 0.1)])
def test_shares_that_leave_nothing(many, train, validation):
    with pytest.raises(ValueError, match="must leave something to test on"):
        wb.load_data("images", root=many, size=8, train=train, validation=validation)


def test_progress_and_cancelling(many):
    told = Told()
    wb.load_data("images", root=many, size=8, progress=told)
    assert told[-1] == (1.0, "class5/00.png")
    assert len(told) == 34
    with pytest.raises(wb.Cancelled):
        wb.load_data("images", root=many, size=8, progress=cancel)


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Train", "Valid", "Test"), ("training", "validation")])
def test_folders_of_splits(tmp_path, names):
    for count, split in zip((3, 2, 1), names, strict=False):
        for label, name in enumerate(("ant", "bee")[: 2 if count > 1 else 1]):  # the test split lacks a class
            for i in range(count):
                picture(tmp_path / split / name / f"{i}.png", color=(100 * label, 0, 0))
    (tmp_path / "extra").mkdir()
    data = wb.load_data("images", root=tmp_path, size=8)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [6, 4, len(names) - 2]
    assert data.classes == ("ant", "bee")
    for split in (data.train, data.validation):
        assert torch.equal(split.labels, (split.images[:, 0, 0, 0] > 50).long())
    assert data.skipped == ("extra is in none of the splits",)


def test_too_few_images_are_said(tmp_path, caplog):
    for split, counts in (("train", (12, 3)), ("test", (4, 0))):
        for name, count in zip(("ant", "bee"), counts, strict=True):
            for i in range(count):
                picture(tmp_path / split / name / f"{i}.png")
    data = wb.load_data("images", root=tmp_path, size=8)
    assert data.cautions == (
        "fewer than 10 training images of bee: they are hardly learned",
        "no test images of bee: the score says nothing of them",
        "only 4 test images: one is 25.0 points of accuracy, so smaller differences mean nothing",
    )
    assert all(caution in caplog.text for caution in data.cautions)
    assert wb.load_data("digits").cautions == ()
