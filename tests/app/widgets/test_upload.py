"""Uploads; what cannot be is in tests/app/test_bad_inputs.py."""

from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.widgets import upload
from workbench.app.widgets.upload import Upload


class Sent(Upload):
    """An upload whose received files are noted."""

    def __init__(self):
        self.files = []
        super().__init__("Upload", "hint", (".pth", ".safetensors"), self.received)

    def received(self, path, name):
        self.files.append((path, name, path.read_bytes()))

    def kept(self):
        return list(Path(self._folder.name).iterdir())


@pytest.fixture
def widget():
    return Sent()


def test_a_file_has_a_name_of_ours_and_goes_with_the_next_or_once_nobody_uses_it(widget):
    for content in (b"one", b"two" * 2**19):
        assert upload(widget, {"../../etc/passwd.pth": content})
    assert [file[2] for file in widget.files] == [b"one", b"two" * 2**19]
    path, name, _ = widget.files[-1]
    assert (path.name, name, widget.kept(), widget.problem) == ("upload2.pth", "../../etc/passwd.pth", [path], "")
    widget._receive(None, {"kind": "nonsense"}, [])  # it may be being read just now
    widget.keep_only(path)
    assert path.exists()
    widget.keep_only(None)
    assert widget.kept() == []


@pytest.fixture
def pictures():
    return Upload("Bring pictures", "hint", (".png", ".zip"), lambda path, name: None, several=True)


def bring(widget, files):
    """Send files, one behind the other; what comes of them."""
    received = []
    widget._received = lambda path, name: received.append((path, name))
    assert upload(widget, files, piece=4) or received == []
    return received


def test_several_files_become_a_folder_like_the_one_they_came_in(pictures):
    given = {"cats/one.png": b"first", "cats/two.png": b"2", "dogs/one.png": b"the third"}
    ((folder, name),) = bring(pictures, given)
    assert name == "3 files"
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}
    assert found == given
    ((archive, name),) = bring(pictures, {"all.zip": b"PK"})  # takes the place of the folder
    assert (archive.read_bytes(), archive.suffix, name) == (b"PK", ".zip", "all.zip")
    assert not folder.exists()


@given(st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=5))
def test_no_name_leads_out_of_the_folder(names):
    widget = Upload("Bring pictures", "hint", (".png",), lambda path, name: None, several=True)
    paths = {
        f"{prefix}{name}.png": name.encode() for prefix, name in zip(cycle(("../", "/a/", "c:\\")), names, strict=False)
    }
    for folder, _ in bring(widget, paths):
        root = Path(widget._folder.name).resolve()
        files = [path for path in root.rglob("*") if path.is_file()]
        assert len(files) == len(paths)
        assert all(path.resolve().is_relative_to(folder.resolve()) for path in files)
        assert sorted(path.read_bytes() for path in files) == sorted(paths.values())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([["a.png", 1], ["b.exe", 1]], "b.exe is none of the kinds"),
        ([["a.png", 1], ["b.png", 0]], "b.png is empty"),
        ([["a.png", 2**40], ["b.png", 1]], "2 files have"),
        ([["a.png"]], "makes no sense"),
        ([], "1 to 20000 files"),
        ([["a.png", 1]] * 20_001, "1 to 20000 files"),
        ("a.png", "1 to 20000 files"),
    ],
)
def test_what_cannot_be_taken_together_is_said(pictures, files, said):
    pictures._receive(None, {"kind": "begin", "files": files}, [])
    assert said in pictures.problem
    assert not list(Path(pictures._folder.name).iterdir())
