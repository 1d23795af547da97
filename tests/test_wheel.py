"""The package without its checkout: a wheel has all that the command `workbench` needs."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from benchmarks._browser import PROBE, TOKEN, served
from workbench.app.server import serve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder():
    """With a short path: names of the kernels' sockets have 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="wb-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def installed(folder):
    """The folder into which a wheel of this checkout was installed, without its dependencies."""
    source, site = folder / "source", folder / "site"
    shutil.copytree(serve.ROOT / "workbench", source / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(serve.ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for command in (["wheel", "--no-deps", "--wheel-dir", str(folder), str(source)], ["install", "--no-deps"]):
        wheels = ["--target", str(site), *map(str, folder.glob("*.whl"))] if command[0] == "install" else []
        done = subprocess.run([*pip, *command, *wheels], capture_output=True, text=True, check=False, timeout=200)
        if done.returncode and "setuptools" in done.stderr:
            pytest.skip("no package index here, from which pip takes setuptools to build a wheel")
        assert not done.returncode, done.stderr
    shutil.rmtree(source)
    return site


def test_the_command_serves_the_page(installed, folder, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("WORKBENCH_", "JUPYTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    port, home = serve.free_port(), folder / "home"
    command = [str(installed / "bin" / "workbench"), "--no-browser", "--port", str(port)]
    variables = {"PYTHONPATH": str(installed), "HOME": str(home), "JUPYTER_TOKEN": TOKEN}
    with served(command, serve.page_url(serve.ADDRESS, port, ""), PROBE, folder / "log", variables) as server:
        with urllib.request.urlopen(f"{server.address}?token={TOKEN}", timeout=100) as answer:  # noqa: S310
            text = answer.read().decode()
        assert '"kernelId"' in text
        assert "error when executing" not in text
        deadline = time.time() + 90
        while not (home / "workbench" / "runs.sqlite").exists():  # the bundled network and its images are open
            assert time.time() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        (kernel,) = server.kernel_processes()
        assert kernel.environ()["PYTHONPATH"] == str(installed)


def test_settings_that_only_a_checkout_has(installed, folder):
    command = [str(installed / "bin" / "workbench"), "--class"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.endswith("voila.json cannot be read: No such file or directory.\n")
