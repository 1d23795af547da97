"""Uploads; what cannot be is in tests/app/test_bad_inputs.py."""

from pathlib import Path

import pytest

from tests.helpers.widgets import upload
from workbench.app.widgets.upload import Upload


class Sent(Upload):
    """An upload whose received files are noted."""

    def __init__(self):
        self.files, self.refuse = [], ""
        super().__init__("Upload", "hint", (".pth", ".safetensors"), self.received)

    def received(self, path, name):
        if self.refuse:
            raise ValueError(self.refuse)
        self.files.append((path, name, path.read_bytes()))

    def kept(self):
        return list(Path(self._folder.name).iterdir())


@pytest.fixture
def widget():
    return Sent()


def test_a_file_has_a_name_of_ours_and_goes_with_the_next_or_once_nobody_uses_it(widget):
    for content in (b"one", b"two" * 2**19):
        assert upload(widget, "../../etc/passwd.pth", content) == {"ok": True}
    assert [file[2] for file in widget.files] == [b"one", b"two" * 2**19]
    path, name, _ = widget.files[-1]
    assert (path.name, name, widget.kept(), widget.problem) == ("upload2.pth", "../../etc/passwd.pth", [path], "")
    widget._receive(None, {"kind": "nonsense"}, [])  # it may be being read just now
    widget.keep_only(path)
    assert path.exists()
    widget.keep_only(None)
    assert widget.kept() == []


def test_who_receives_it_may_refuse(widget):
    widget.refuse = "other work is going on"
    assert upload(widget, "a.pth", b"x") == {"ok": False}
    assert widget.problem == "The upload was stopped: other work is going on"


def test_what_is_stopped_leaves_nothing(widget):
    answers = []
    widget.send = answers.append
    for kind in ("begin", "stop", "end"):
        widget._receive(None, {"kind": kind, "name": "a.pth", "size": 4}, [])
    assert (answers, widget.files, widget.kept()) == ([{"ok": True}, {"ok": False}], [], [])
