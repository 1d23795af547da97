"""URLs of the lessons: pages of ``make notebooks``, notebooks that Voila runs, or files in JupyterLab."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from jupyter_core.paths import jupyter_runtime_dir

from workbench.app.server.serve import ROOT

NOTEBOOKS, PAGES = ROOT / "notebooks", ROOT / "build" / "notebooks"
LESSONS = {
    2: ("1_a_convolution_as_a_tensor", 5),
    3: ("2_ranks_with_evbmf", 5),
    4: ("4_compress_and_recover", 5),
    6: ("6_why_macs_are_not_milliseconds", 3),
}
"""Step of the dashboard -> lesson that explains it, and its minutes."""
LONG_LESSONS = ("4_", "6_")
"""Prefixes of lessons that run for minutes: the dashboard links only to their pages, from ``make notebooks``."""


def lesson_link(step: int) -> str:
    """Return the HTML of a link to a step's lesson, which opens in another tab; "" if there is none."""
    name, minutes = LESSONS.get(step, ("", 0))
    url, text = lesson_url(name), f"Why? Lesson {name[:1]}, {minutes} minutes"
    return f'<a class="wb-why" href="{url}" target="_blank" rel="noopener">{text}</a>' if url else ""


def lesson_url(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the URL of a lesson on the server that started this kernel; "" if that server does not have it."""
    path = NOTEBOOKS / f"{name}.ipynb"
    if not path.is_file():
        return ""
    if environment.get("VOILA_BASE_URL"):
        has_page = not name.startswith(LONG_LESSONS) or (PAGES / f"{name}.html").is_file()
        return f"voila/lessons/{name}.html" if has_page else ""
    try:  # JupyterLab's server describes itself in a file
        file = Path(jupyter_runtime_dir(), f"jpserver-{environment.get('JPY_PARENT_PID', '')}.json")
        info = json.loads(file.read_text(encoding="utf-8"))
        return f"{info['base_url']}lab/tree/{quote(path.relative_to(info['root_dir']).as_posix())}"
    except (OSError, ValueError, KeyError):
        return ""
