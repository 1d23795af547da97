"""Uploads; what cannot be is in tests/app/test_bad_inputs.py."""

import shutil
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.widgets import upload
from workbench.app.widgets.upload import Upload, safe_path


def upload_of(**more):
    """An upload, and what it has received: the path and the name of each file."""
    received = []
    return Upload("Upload", "hint", (".png", ".zip"), lambda *file: received.append(file), **more), received


def kept(widget):
    return list(Path(widget._folder.name).iterdir())


def test_a_file_has_a_name_of_ours_and_stays_until_another_one_is_used():
    widget, received = upload_of()
    assert upload(widget, {"../../etc/passwd.png": b"one"})
    ((first, name),) = received
    assert (first.name, name, first.read_bytes(), widget.problem) == ("upload1.png", "../../etc/passwd.png", b"one", "")
    begin = {"kind": "begin", "files": [["a.png", 3]]}
    for message in ({"kind": "stop"}, {"kind": "end"}, {"kind": "nonsense"}, begin, {"kind": "begin", "files": []}):
        widget._receive(None, begin, [])
        widget.keep_only(first)
        assert len(kept(widget)) == 2  # that which is being written
        widget._receive(None, message, [])
    widget._receive(None, {"kind": "stop"}, [])
    assert kept(widget) == [first]
    assert upload(widget, {"b.png": b"two" * 2**19})
    widget.keep_only(received[-1][0])
    assert [path.read_bytes() for path in kept(widget)] == [b"two" * 2**19]
    widget.keep_only(None)
    assert kept(widget) == []


def test_several_files_become_a_folder_like_the_one_they_came_in():
    given = {"cats/one.png": b"first", "cats/two.png": b"2", "dogs/one.png": b"the third"}
    widget, received = upload_of(several=True)
    assert upload(widget, given, piece=4)
    ((folder, name),) = received
    assert name == "3 files"
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}
    assert found == given
    assert upload(widget, {"all.zip": b"PK"})
    archive, name = received[-1]
    assert (archive.read_bytes(), archive.suffix, name) == (b"PK", ".zip", "all.zip")
    widget.keep_only(archive)
    assert not folder.exists()


def test_a_folder_that_was_removed_stops_nothing():
    widget, _ = upload_of()
    shutil.rmtree(widget._folder.name)
    widget.keep_only()


def test_files_that_cannot_be_written_leave_nothing():
    widget, received = upload_of(several=True)
    assert not upload(widget, {"a.png": b"1", "a.png/b.png": b"2"})
    assert (received, kept(widget)) == ([], [])


@pytest.mark.parametrize(
    ("path", "made"), [(".git/a.png", ".git/a.png"), ("../ b. /c.png", "b/c.png"), (". ./..", "file"), ("a<b", "a_b")]
)
def test_parts_of_a_path(path, made):
    assert safe_path(path) == made


@given(st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=5))
def test_no_name_leads_out_of_the_folder(names):
    widget, received = upload_of(several=True)
    prefixes = cycle(("../", "/a/", "c:\\"))
    paths = {f"{prefix}{name}.png": name.encode() for prefix, name in zip(prefixes, names, strict=False)}
    assert upload(widget, paths, piece=4) == bool(received)
    for folder, _ in received:
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
def test_what_cannot_be_taken_together_is_said(files, said):
    widget, _ = upload_of(several=True)
    widget._receive(None, {"kind": "begin", "files": files}, [])
    assert said in widget.problem
    assert kept(widget) == []
