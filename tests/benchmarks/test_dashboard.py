import json
import os
import subprocess
import sys

import pytest

from benchmarks import _dashboard_slider
from benchmarks._browser import INSTALL_HINT, chromium


@pytest.mark.slow
@pytest.mark.browser
def test_a_small_run(tmp_path):
    """In a process of its own: the browser of the other tests keeps an event loop in this one."""
    if chromium() is None:
        (pytest.fail if os.environ.get("WORKBENCH_REQUIRE_BROWSER") else pytest.skip)(INSTALL_HINT)
    path = tmp_path / "dashboard.json"
    command = [sys.executable, "-m", "benchmarks.dashboard", "--json", str(path), "--shared", str(tmp_path)]
    small = ["--layers", "1", "--users", "1", "--repeats", "1", "--loads", "1", "--minutes", "0.1"]
    subprocess.run([*command, *small], check=True, timeout=1500)
    found = json.loads(path.read_text())
    assert found["problems"] == []
    assert (found["failures"], found["users"], found["real_weights"]) == (0, 1, False)
    assert found["slider_moves"] == _dashboard_slider.KEYS_PER_LAYER + _dashboard_slider.DRAGS_PER_LAYER
    assert 0 < found["slider_p50_ms"] <= found["slider_p95_ms"]
    assert 0 < found["drawing_p50_ms_150_layers"] <= found["drawing_ms_150_layers"]
    assert 0 < found["time_to_verdict_s"]["digits"] <= found["time_to_end_s"]["digits"]
    assert found["strings_over_90_characters"] == len(found["long_strings"]) < 100
    assert set(found["page_to_figure_s"]) == {"cold", "preheated"}
    assert found["bytes_first_page"] > 1e6
    assert 50 < found["memory_mb_per_user"] < 2000
    assert (found["loads"]["drawn"], found["loads"]["failed"], len(found["loads"]["seconds"])) == (1, 0, 1)
