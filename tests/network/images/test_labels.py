"""Labels by tables as spreadsheets write them, and by folders as people have them."""

import pytest

import workbench as wb
from tests.helpers.pictures import picture
from workbench.network.images.labels import class_index

ROWS = "file,class_index,more\r\na/café.png,3,x\r\nb\\0.png,1,y\r\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_tables_as_spreadsheets_write_them(tmp_path, delimiter, encoding):
    for i, name in enumerate(("a/café.png", "b/0.png", "a/0.png")):
        picture(tmp_path / name, (10 * i, 0, 0))
    content = ROWS.replace(",", delimiter).encode(encoding)
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "labels.csv").write_bytes(mark + content)
    data = wb.load_data("images", root=tmp_path, size=8)
    assert data.test.labels.tolist() == [3, 1]
    assert data.test.images[:, 0, 0, 0].tolist() == [0, 10]


def test_a_table_in_another_encoding_says_so(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_bytes("file,class_index\ncafé.png,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"labels.csv is no table in UTF-8: byte 20 .*save it as CSV in UTF-8"):
        wb.load_data("images", root=tmp_path, size=8)


def test_a_table_is_used_before_folders(tmp_path):
    for name in ("left", "right"):
        picture(tmp_path / name / "a.png")
    (tmp_path / "labels.csv").write_text("file,class_index\nleft/a.png,5\nright/a.png,5\n")
    assert wb.load_data("images", root=tmp_path, size=8).test.labels.tolist() == [5, 5]
    (tmp_path / "labels.csv").write_text("path,kind\nleft/a.png,5\n")  # of something else
    data = wb.load_data("images", root=tmp_path, size=8)
    assert data.classes == ("left", "right")


def test_what_operating_systems_add_is_no_class(tmp_path):
    for name in ("ant/a.png", "bee/b.png", "bee/deep/er/c.png", "__MACOSX/ant/._a.png", ".cache/x.png", "ant/._b.png"):
        picture(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    for name in (".DS_Store", "ant/.DS_Store", "bee/Thumbs.db", "notes/todo.txt", "ant/clip.mp4"):
        (tmp_path / name).write_bytes(b"x")
    picture(tmp_path / "loose.png")
    data = wb.load_data("images", root=tmp_path, size=8)
    assert data.classes == ("ant", "bee")
    assert data.test.labels.tolist() == [0, 1, 1]
    assert data.skipped == (
        "ant/clip.mp4 is no image",
        "loose.png is in no folder of a class",
        "notes/todo.txt is no image",
    )


def test_wordnet_ids_of_all_classes_are_in_the_classes_order():
    ids = ("n00000030", "n00000010", "n00000020")
    assert class_index(ids, ("a", "b", "c")) == {"n00000010": 0, "n00000020": 1, "n00000030": 2}
    with pytest.raises(ValueError, match="the folder n00000030, n00000010 is none of the 3 classes"):
        class_index(ids[:2], ("a", "b", "c"))  # of a part one cannot tell which
