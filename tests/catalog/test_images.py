import numpy as np
import pytest
import torch
from PIL import Image

import workbench as wb
from workbench.catalog import images
from workbench.catalog.decoding import decode
from workbench.catalog.images import load_images


def picture(path, width=40, height=30, color=(200, 100, 50)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), color).save(path)
    return path


@pytest.fixture
def table(tmp_path):
    for i in range(4):
        picture(tmp_path / f"{i}.png", color=(10 * i, 0, 0))
    (tmp_path / "labels.csv").write_text("file,class_index\n" + "".join(f"{i}.png,{7 - i}\n" for i in range(4)))
    return tmp_path


def test_a_folder_with_a_table(table):
    data = wb.load_data("images", root=table, labels="labels.csv", size=16)
    assert data.test.images.shape == (4, 3, 16, 16)
    assert data.test.images.dtype == torch.uint8
    assert data.test.labels.tolist() == [7, 6, 5, 4]
    assert data.test.images[2, 0].unique().tolist() == [20]
    assert len(data.train) == len(data.validation) == 0


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
    data = load_images(table, "labels.csv", size=16)
    assert data.test.labels.tolist() == [7, 4]
    assert [text.split(" ")[0] for text in data.skipped] == ["1.png", "2.png"]
    assert str(data).endswith("test 2 images of shape (3, 16, 16); 2 left out")
    assert len(wb.load_data("images", root=table, labels="labels.csv", size=16).test) == 2
    assert "2 images were left out: 1.png" in caplog.text


def test_large_sets_are_decoded_batch_by_batch(table, monkeypatch):
    eager = wb.load_data("images", root=table, labels="labels.csv", size=16).test
    monkeypatch.setattr(images, "IN_MEMORY", 100)
    lazy = wb.load_data("images", root=table, labels="labels.csv", size=16).test
    assert not isinstance(lazy.images, torch.Tensor)
    for (a, la), (b, lb) in zip(eager.batches(3), lazy.batches(3), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(la, lb)


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (16, 16), (500, 20), (17, 300)])
def test_every_shape_becomes_a_square(tmp_path, size):
    assert decode(picture(tmp_path / "a.png", *size), 16).shape == (3, 16, 16)


def test_the_centre_is_taken(tmp_path):
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 2:6] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", 4).min() == 255


@pytest.mark.parametrize(
    ("make", "labels", "message"),
    [
        (lambda p: None, "labels.csv", "there is no table of labels"),
        (
            lambda p: (p / "labels.csv").write_text("name,label\na,1\n"),
            "labels.csv",
            "needs the columns file and class",
        ),
        (lambda p: (p / "labels.csv").write_text("file,class_index\na.png,x\n"), "labels.csv", "needs the columns"),
        (lambda p: (p / "labels.csv").write_text("file,class_index\n"), "labels.csv", "no labelled images"),
        (lambda p: (p / "labels.csv").write_text("file,class_index\na.png,1\n"), "labels.csv", "none of the 1 images"),
        (lambda p: None, None, "no labelled images"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, make, labels, message):
    make(tmp_path)
    with pytest.raises(ValueError, match=message):
        wb.load_data("images", root=tmp_path, labels=labels)


def test_no_folder(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        wb.load_data("images", root=tmp_path / "none")
    with pytest.raises(ValueError, match="say in which folder"):
        wb.load_data("images")


def test_a_table_does_not_lead_out_of_its_folder(table):
    (table / "sub").mkdir()
    (table / "sub" / "labels.csv").write_text("file,class_index\n../0.png,1\n")
    with pytest.raises(ValueError, match="none of the 1 images"):
        wb.load_data("images", root=table / "sub", labels="labels.csv")
