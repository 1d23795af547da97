"""What `make` says when something is wrong: one clear sentence each. No network, nothing is installed."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path):
    """The files that `make venv` reads, in a folder of their own."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    return tmp_path


def make(folder, *arguments, **environment):
    result = subprocess.run(
        ["make", "-s", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    return result.returncode, result.stdout, lines


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_no_python(checkout):
    status, _, lines = make(checkout, "venv", "PYTHON=no-such-python")
    assert status
    assert lines == [
        "There is no no-such-python here: install Python 3.11 or newer, or name yours: "
        "make venv PYTHON=/path/to/python3."
    ]


def test_a_python_that_is_too_old(checkout):
    old = script(checkout / "old", 'case "$2" in *exit*) exit 1;; *) echo 3.9;; esac')
    status, _, lines = make(checkout, "venv", f"PYTHON={old}")
    assert status
    assert lines == [
        "Python 3.9 is too old, the workbench needs 3.11 or newer: make venv PYTHON=/path/to/a/newer/python3."
    ]


def test_no_network_at_install(checkout):
    """The real pip, asked to install from an address where nobody listens."""
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull}
    status, _, lines = make(checkout, "venv", f"PYTHON={sys.executable}", PIP_RETRIES="0", **nowhere)
    assert status
    assert len(lines) == 1
    assert lines[0].startswith("The package index cannot be reached: check the network or the proxy")
    assert not (checkout / ".venv" / ".installed").exists()
    assert (checkout / ".venv" / "install.log").exists()


@pytest.fixture
def installed(checkout):
    """A checkout whose environment is this one."""
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    for package in ("workbench", "notebooks"):
        (checkout / package).symlink_to(ROOT / package)
    (checkout / ".venv" / ".installed").touch()
    return checkout


def test_venv_does_nothing_when_nothing_changed(installed):
    assert make(installed, "venv") == (0, "", [])


def test_a_port_that_is_taken(installed):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, _, lines = make(installed, "dashboard", f"PORT={port}", "BROWSER=none")
    assert status
    assert len(lines) == 1
    assert lines[0].startswith(f"Port {port} is taken")


def test_a_port_that_is_none(installed):
    status, _, lines = make(installed, "dashboard", "PORT=best", "BROWSER=none")
    assert status
    assert lines == ["PORT=best is not a port: take a number from 1 to 65535, like make dashboard PORT=8866."]
