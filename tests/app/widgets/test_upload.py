"""Uploads; what cannot be is in tests/app/test_bad_inputs.py."""

from pathlib import Path

import pytest

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
    assert sent.say(kind="begin", name="../../etc/passwd.pth", size=6)
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
    sent.say(kind="begin", name="a.pth", size=4)
    sent.say(kind="stop")
    assert sent.widget._file is None
    assert not sent.say(kind="end")
    assert not sent.say(kind="nonsense")
    assert not sent.say(b"x", kind="piece", at=0)
    assert sent.files == []


def test_a_new_file_takes_the_place_of_the_old_one(sent):
    for content in (b"one", b"two"):
        sent.say(kind="begin", name="a.pth", size=3)
        sent.say(content, kind="piece", at=0)
        sent.say(kind="end")
    assert [f[2] for f in sent.files] == [b"one", b"two"]
    assert len(list(Path(sent.widget._folder.name).iterdir())) == 1


def test_who_receives_it_may_refuse(sent):
    sent.refuse = "other work is going on"
    sent.say(kind="begin", name="a.pth", size=1)
    sent.say(b"x", kind="piece", at=0)
    assert not sent.say(kind="end")
    assert sent.widget.problem == "The upload was stopped: other work is going on"


def test_a_file_goes_once_nobody_uses_it(sent):
    for content in (b"x", b"y"):
        sent.say(kind="begin", name="a.pth", size=1)
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
    assert sent.say(kind="begin", name="a.pth", size=12 * 2**20)
    assert not sent.say(kind="begin", name="a.pth", size=12 * 2**20 + 1)
    assert "at most 12 are taken here" in sent.widget.problem
