"""`make` installs what a target needs, and says in one sentence what is wrong. Nothing is installed here."""

import os
import re
import shutil
import socket
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


@pytest.fixture
def installed(checkout):
    """A checkout whose environment is this one."""
    (checkout / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (checkout / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    for package in ("workbench", "notebooks"):
        (checkout / package).symlink_to(ROOT / package)
    (checkout / ".venv" / ".installed").touch()
    return checkout


def program(path, text):
    """Write a program of the shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return path


def refused(*given, **environment):
    """The sentence with which `make` fails."""
    status, _, (line,) = make(*given, **environment)
    assert status
    return line


def make(folder, *arguments, **environment):
    command = ["make", "-s", *arguments]
    env = {**os.environ, **environment}
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    return result.returncode, result.stdout, lines


def test_no_python_and_one_that_is_too_old(checkout):
    old = program(checkout / "old", 'case "$2" in *exit*) exit 1;; *) echo 3.9;; esac')
    for python, said in (("no-such-python", "no-such-python"), (old, "3.9")):
        assert said in refused(checkout, "venv", f"PYTHON={python}")


@pytest.mark.slow
def test_no_network_at_install(checkout):
    """The real pip, asked to install from an address where nothing listens."""
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull}
    assert "package index" in refused(checkout, "venv", f"PYTHON={sys.executable}", PIP_RETRIES="0", **offline)
    assert not (checkout / ".venv" / ".installed").exists()
    assert (checkout / ".venv" / "install.log").exists()


@pytest.mark.parametrize(
    ("target", "extras"), [("dashboard", "onnx"), ("lab", "onnx,lab"), ("lint", "dev"), ("docs", "onnx,lab,docs")]
)
def test_a_target_installs_only_what_it_needs(checkout, target, extras):
    commands = make(checkout, "-n", target)[1].splitlines()
    assert [line.split()[-1] for line in commands if "venv.sh" in line] == [extras]


def test_make_alone_lists_every_target(checkout):
    targets = (checkout / "Makefile").read_text().split(".PHONY: ")[1].split("\n")[0].split()
    listed = [line.split()[0] for line in make(checkout)[1].splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(targets)


def test_a_port_that_cannot_be_had(installed):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert port in refused(installed, "dashboard", f"PORT={port}", "BROWSER=none")


def test_it_says_what_it_installs_and_how_far(checkout):
    """With a pip that only prints."""
    lines = [f"Collecting package{number}>=1 (from workbench)" for number in range(12)]
    lines += ["  Downloading torch-2.13.0-cp311.whl (190.2 MB)", "  Downloading six-1.17-py3.whl (1.2 MB)"]
    lines += ["Installing collected packages: six, torch"]
    program(checkout / ".venv" / "bin" / "python", "\n".join(["cat <<END", *lines, "END\n"]))
    status, said, problems = make(checkout, "venv", f"PYTHON={sys.executable}")
    assert (status, problems) == (0, [])
    first, *steps = said.splitlines()[:4]
    assert " GB" in first
    assert [step.strip() for step in steps][1:] == ["downloading torch, 190.2 MB", "unpacking 2 packages"]
    assert re.fullmatch(r"  package 10 of about \d{3}: package9", steps[0])
    assert said.endswith("Ready.\n")


def test_a_dashboard_that_does_not_start(checkout):
    """With a pip that does nothing."""
    no_dashboard = 'case "$2" in *dashboard*) echo "ImportError: no libGL" >&2; exit 1;; esac'
    program(checkout / ".venv" / "bin" / "python", no_dashboard)
    status, said, (problem,) = make(checkout, "venv", f"PYTHON={sys.executable}")
    assert status
    assert "ImportError: no libGL" in problem
    assert "Ready" not in said
    assert (checkout / ".venv" / "install.log").read_text() == "ImportError: no libGL\n"
    assert not (checkout / ".venv" / ".installed").exists()
