"""The server for a class where it can write nothing but its run store and temporary files, as in its container."""

import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from workbench.app.server import serve

pytestmark = pytest.mark.slow

TOKEN = "a-token-for-the-tests"  # noqa: S105 - of no other server
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
def folders():
    """With a short path: the kernels' sockets are below it, and those have 107 characters at most."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("nobody but root can make a file system of its own read-only")
    with tempfile.TemporaryDirectory(prefix="wb-") as name:
        for inner in ("runs", "tmp"):
            Path(name, inner).mkdir()
        yield Path(name)


def get(address):
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - our own server
        return answer.read().decode()


def test_it_opens_a_network_and_its_run_store(folders):
    runs, tmp = folders / "runs", folders / "tmp"
    own = {"RUNS": str(runs), "TMPDIR": str(tmp), "HOME": str(tmp), "ELSEWHERE": str(serve.ROOT)}
    own |= {"WORKBENCH_RUNS": str(runs / "runs.sqlite"), "WORKBENCH_CACHE": str(runs / "cache")}
    own |= {"WORKBENCH_DATASETS": str(runs / "datasets"), "JUPYTER_TOKEN": TOKEN}
    foreign = ("JUPYTER", "XDG", "IPYTHON")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    port = serve.free_port()
    command, environment = serve.voila_command(
        port, browser=False, folders=[serve.ONE_USER, serve.CLASS], environment={**inherited, **own}
    )
    with (folders / "log").open("w") as log:
        shell = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh"]
        process = subprocess.Popen([*shell, *command], stdout=log, stderr=subprocess.STDOUT, env=environment)
    try:
        deadline, page = time.time() + 90, ""
        while not page:
            assert process.poll() is None, (folders / "log").read_text()
            assert time.time() < deadline
            try:
                page = get(f"http://{serve.ADDRESS}:{port}/?token={TOKEN}")
            except urllib.error.URLError:
                time.sleep(0.2)
        assert "error when executing" not in page
        while not (runs / "runs.sqlite").exists() or not list((runs / "cache").glob("*.npz")):
            assert time.time() < deadline, (folders / "log").read_text()
            time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(30)
    text = (folders / "log").read_text()
    assert "Read-only" not in text
    assert "Traceback" not in text
    assert not (serve.ROOT / "written").exists()
