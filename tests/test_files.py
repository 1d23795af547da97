import os
import stat
from pathlib import Path

import pytest

from workbench.files import write_atomically

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no umask and does not flush folders")


def test_it_writes_and_replaces(tmp_path):
    path = tmp_path / "a.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, function):
    path = tmp_path / "a.json"
    write_atomically(path, b"one")

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"two")
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@POSIX
def test_the_file_is_flushed_before_the_rename_and_its_folder_after(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def flushed(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(source, target):
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    write_atomically(tmp_path / "a.json", b"one")
    assert calls == ["file", "rename", "folder"]


@POSIX
@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask_and_those_of_a_replaced_file_stay(tmp_path, umask, expected):
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    path, before = tmp_path / "a.json", os.umask(umask)
    try:
        write_atomically(path, b"one")
        assert mode(path) == expected
        path.chmod(0o400)
        write_atomically(path, b"two")
    finally:
        os.umask(before)
    assert mode(path) == 0o400


def test_windows_renames_without_opening_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.files.os.name", "nt")
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened a folder"))
    from workbench.files import move_durably

    (tmp_path / "a").write_bytes(b"one")
    move_durably(tmp_path / "a", tmp_path / "b")
    assert os.listdir(tmp_path) == ["b"]
