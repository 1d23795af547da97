"""Files are written whole, with the right permissions, and survive a crash."""

import os
import stat

import pytest

from workbench.files import write_atomically


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, function):
    path = tmp_path / "a.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"three")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_file_is_flushed_before_the_rename_and_its_folder_after(tmp_path, monkeypatch):
    calls, replace = [], os.replace
    monkeypatch.setattr(os, "fsync", lambda number: calls.append(stat.S_ISDIR(os.fstat(number).st_mode)))
    monkeypatch.setattr(os, "replace", lambda *given: calls.append("rename") or replace(*given))
    write_atomically(tmp_path / "a.json", b"one")
    assert calls == [False, "rename", True]


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask_and_those_of_a_replaced_file_stay(tmp_path, umask, expected):
    path, before = tmp_path / "a.json", os.umask(umask)
    try:
        write_atomically(path, b"one")
        assert stat.S_IMODE(path.stat().st_mode) == expected
        path.chmod(0o400)
        write_atomically(path, b"two")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
