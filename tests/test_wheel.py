"""The package without its checkout: a wheel has all that the command `workbench` needs."""

import os
import shutil
import subprocess
import sys
import urllib.request

import pytest

from benchmarks._browser import PROBE, TOKEN, served
from tests.helpers.serving import wait_until
from workbench.app.server import serve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(short_folder):
    """The folder into which a wheel of this checkout was installed, without its dependencies."""
    source, site = short_folder / "source", short_folder / "site"
    shutil.copytree(serve.ROOT / "workbench", source / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(serve.ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
    command = [*pip, "--target", str(site), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    if done.returncode and "setuptools" in done.stderr:
        pytest.skip("no package index here, from which pip takes setuptools to build a wheel")
    assert not done.returncode, done.stderr
    shutil.rmtree(source)
    return site


def test_the_command_serves_the_page(installed, short_folder, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("WORKBENCH_", "JUPYTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(short_folder)
    port, home = serve.free_port(), short_folder / "home"
    command = [str(installed / "bin" / "workbench"), "--no-browser", "--port", str(port)]
    variables = {"PYTHONPATH": str(installed), "HOME": str(home), "JUPYTER_TOKEN": TOKEN}
    with served(command, serve.page_url(serve.ADDRESS, port, ""), PROBE, short_folder / "log", variables) as server:
        with urllib.request.urlopen(f"{server.address}?token={TOKEN}", timeout=100) as answer:  # noqa: S310
            text = answer.read().decode()
        assert '"kernelId"' in text
        assert "error when executing" not in text
        store = home / "workbench" / "runs.sqlite"
        wait_until(store.exists, 90, short_folder / "log")  # the bundled network and its images are open
        (kernel,) = server.kernel_processes()
        assert kernel.environ()["PYTHONPATH"] == str(installed)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--class", "voila.json cannot be read: No such file or directory."),
        ("--lesson", "is in a checkout only"),
    ],
)
def test_what_only_a_checkout_has(installed, short_folder, option, said):
    command = [str(installed / "bin" / "workbench"), option, "--port", str(serve.free_port())]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        command, env=environment, cwd=short_folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert said in done.stderr
