"""Uploads; what cannot be is in tests/app/test_bad_inputs.py."""

from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.app.widgets.upload import Upload


class Sent:
    """An upload whose answers and received files are noted."""

    def __init__(self):
        self.files, self.answers, self.refuse = [], [], ""
        self.widget = Upload("Upload", "hint", (".pth", ".safetensors"), self.received)
        self.widget.send = self.answers.append

    def received(self, path, name):
        if self.refuse:
            raise ValueError(self.refuse)
        self.files.append((path, name, path.read_bytes()))

    def say(self, *buffers, **content):
        self.widget._receive(None, content, [memoryview(b) for b in buffers])
        return self.answers[-1]["ok"] if self.answers else None


@pytest.fixture
def sent():
    return Sent()


def test_pieces_become_one_file_under_a_name_of_ours(sent):
    assert sent.say(kind="begin", files=[["../../etc/passwd.pth", 6]])
    assert sent.say(b"abc", kind="piece", at=0)
    assert sent.say(b"def", kind="piece", at=3)
    assert sent.say(kind="end")
    ((path, name, content),) = sent.files
    assert content == b"abcdef"
    assert name == "../../etc/passwd.pth"  # for people to read only
    assert path.name == "upload1.pth"
    assert path.parent == Path(sent.widget._folder.name)
    assert sent.widget.problem == ""


def test_stop_and_nonsense_leave_nothing_open(sent):
    sent.say(kind="begin", files=[["a.pth", 4]])
    sent.say(kind="stop")
    assert sent.widget._file is None
    assert not sent.say(kind="end")
    assert not sent.say(kind="nonsense")
    assert not sent.say(b"x", kind="piece", at=0)
    assert sent.files == []


def test_a_new_file_takes_the_place_of_the_old_one(sent):
    for content in (b"one", b"two"):
        sent.say(kind="begin", files=[["a.pth", 3]])
        sent.say(content, kind="piece", at=0)
        sent.say(kind="end")
    assert [f[2] for f in sent.files] == [b"one", b"two"]
    assert len(list(Path(sent.widget._folder.name).iterdir())) == 1


def test_who_receives_it_may_refuse(sent):
    sent.refuse = "other work is going on"
    sent.say(kind="begin", files=[["a.pth", 1]])
    sent.say(b"x", kind="piece", at=0)
    assert not sent.say(kind="end")
    assert sent.widget.problem == "The upload was stopped: other work is going on"


def test_a_file_goes_once_nobody_uses_it(sent):
    for content in (b"x", b"y"):
        sent.say(kind="begin", files=[["a.pth", 1]])
        sent.say(content, kind="piece", at=0)
        sent.say(kind="end")
    path = sent.files[-1][0]
    assert not sent.say(kind="nonsense")  # it may be being read just now
    sent.widget.keep_only(path)
    assert path.exists()
    sent.widget.keep_only(None)
    assert not list(path.parent.iterdir())


def test_the_limit_is_a_setting(sent, monkeypatch):
    monkeypatch.setenv("WORKBENCH_UPLOAD_MIB", "12")
    assert sent.say(kind="begin", files=[["a.pth", 12 * 2**20]])
    assert not sent.say(kind="begin", files=[["a.pth", 12 * 2**20 + 1]])
    assert "at most 12 are taken here" in sent.widget.problem


@pytest.fixture
def pictures():
    found = Sent()
    found.widget = Upload("Bring pictures", "hint", (".png", ".zip"), found.received, several=True)
    found.widget.send = found.answers.append
    found.received = None
    return found


def bring(sent, files):
    """Send files, one behind the other; what comes of them."""
    received = []
    sent.widget._received = lambda path, name: received.append((path, name))
    content = b"".join(files.values())
    ok = sent.say(kind="begin", files=[[name, len(data)] for name, data in files.items()])
    for at in range(0, len(content), 4):
        ok = ok and sent.say(content[at : at + 4], kind="piece", at=at)
    assert ok is not True or sent.say(kind="end")
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
    sent = Sent()
    sent.widget = Upload("Bring pictures", "hint", (".png",), sent.received, several=True)
    sent.widget.send = sent.answers.append
    paths = {
        f"{prefix}{name}.png": name.encode() for prefix, name in zip(cycle(("../", "/a/", "c:\\")), names, strict=False)
    }
    for folder, _ in bring(sent, paths):
        root = Path(sent.widget._folder.name).resolve()
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
    assert not pictures.say(kind="begin", files=files)
    assert said in pictures.widget.problem
    assert not list(Path(pictures.widget._folder.name).iterdir())


def test_one_file_alone_is_taken_by_an_upload_of_one(sent):
    assert not sent.say(kind="begin", files=[["a.pth", 1], ["b.pth", 1]])
    assert "1 to 1 files" in sent.widget.problem
