import html
import logging
import re
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from plotly.offline import get_plotlyjs

from workbench.app.server.voila import DashboardServer, is_not_ping_warning, plotly_folder


def test_the_library_is_plotlys_own():
    assert (plotly_folder() / "plotly.min.js").read_text(encoding="utf-8") == get_plotlyjs()


@pytest.mark.parametrize(("text", "kept"), [("The websocket_ping_timeout (%s) is ...", False), ("Fault %s", True)])
def test_only_the_warning_about_pings_is_dropped(text, kept):
    assert is_not_ping_warning(logging.LogRecord("tornado", logging.WARNING, "file", 1, text, (90000,), None)) == kept


def test_the_browser_gets_the_token_in_a_file_of_its_own(monkeypatch):
    opened = Mock()
    monkeypatch.setattr("threading.Thread", opened)
    server = DashboardServer(ip="::1", port=8866)
    server.identity_provider = SimpleNamespace(token="a&b")  # noqa: S106
    server.launch_browser()
    (url,) = opened.call_args.kwargs["args"]
    assert "a%26b" not in url
    path = Path(url.removeprefix("file://"))
    assert path.stat().st_mode & 0o077 == 0
    assert html.unescape(re.search(r'url=([^"]+)"', path.read_text())[1]) == "http://[::1]:8866/?token=a%26b"
    path.unlink()
