"""The server for a class where it can write only its run store and temporary files, as in its container."""

import shutil
import subprocess

import pytest

from tests.helpers.serving import serving, wait_until
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


def test_it_opens_a_network_and_its_run_store(short_folder):
    if not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("only root can make a file system of its own read-only")
    runs, tmp = (short_folder / name for name in ("runs", "tmp"))
    runs.mkdir()
    tmp.mkdir()
    own = {"RUNS": str(runs), "TMPDIR": str(tmp), "HOME": str(tmp), "ELSEWHERE": str(serve.ROOT)}
    own |= {"WORKBENCH_RUNS": str(runs / "runs.sqlite"), "WORKBENCH_CACHE": str(runs / "cache")}
    own |= {"WORKBENCH_DATASETS": str(runs / "datasets"), "JUPYTER_RUNTIME_DIR": "", "XDG_CACHE_HOME": ""}
    own |= {"JUPYTER_CONFIG_DIR": str(tmp), "IPYTHONDIR": str(tmp)}
    shell = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh"]
    (short_folder / "voila.json").write_text('{"VoilaConfiguration": {"preheat_kernel": false}}')
    with serving(short_folder, settings=(serve.CLASS, short_folder), variables=own, shell=shell) as server:
        assert "error when executing" not in server.entered[1].text
        wait_until(lambda: (runs / "runs.sqlite").exists() and list((runs / "cache").glob("*.npz")), 90, server.log)
    log = server.log.read_text()
    assert "Read-only" not in log
    assert "Traceback" not in log
    assert not (serve.ROOT / "written").exists()
