"""The server for a class where it can write only its run store and temporary files, as in its container."""

import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from benchmarks._browser import PROBE, served
from workbench.app.server import serve

pytestmark = pytest.mark.slow

READ_ONLY = """
set -e
mount --make-rprivate /
for own in "$RUNS" "$TMPDIR"; do mount --bind "$own" "$own"; done
cut -d' ' -f2 /proc/self/mounts | while read -r place; do
    case "$place" in
        "$RUNS" | "$TMPDIR" | /proc* | /sys* | /dev*) ;;
        *) mount -o remount,bind,ro "$place" || true ;;
    esac
done 2>/dev/null
if touch "$ELSEWHERE/written" 2>/dev/null; then exit 3; fi
exec "$@"
"""


@pytest.fixture
def folder():
    """With a short path: names of the kernels' sockets have 107 characters at most."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("only root can make a file system of its own read-only")
    with tempfile.TemporaryDirectory(prefix="wb-") as name:
        for inner in ("runs", "tmp"):
            Path(name, inner).mkdir()
        yield Path(name)


def test_it_opens_a_network_and_its_run_store(folder):
    runs, tmp = folder / "runs", folder / "tmp"
    own = {"RUNS": str(runs), "TMPDIR": str(tmp), "HOME": str(tmp), "ELSEWHERE": str(serve.ROOT)}
    own |= {"WORKBENCH_RUNS": str(runs / "runs.sqlite"), "WORKBENCH_CACHE": str(runs / "cache")}
    own |= {"WORKBENCH_DATASETS": str(runs / "datasets"), "JUPYTER_RUNTIME_DIR": "", "XDG_CACHE_HOME": ""}
    own |= {"JUPYTER_CONFIG_DIR": str(tmp), "IPYTHONDIR": str(tmp)}
    port = serve.free_port()
    command, environment = serve.voila_command(
        port, browser=False, folders=[serve.ONE_USER, serve.CLASS], environment=own
    )
    shell = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", *command]
    log = folder / "log"
    with served(shell, serve.page_url(serve.ADDRESS, port, ""), PROBE, log, environment) as server:
        with urllib.request.urlopen(server.address, timeout=60) as answer:  # noqa: S310 - our own server
            assert "error when executing" not in answer.read().decode()
        deadline = time.time() + 90
        while not (runs / "runs.sqlite").exists() or not list((runs / "cache").glob("*.npz")):
            assert time.time() < deadline, log.read_text()
            time.sleep(0.2)
    assert "Read-only" not in log.read_text()
    assert "Traceback" not in log.read_text()
    assert not (serve.ROOT / "written").exists()
