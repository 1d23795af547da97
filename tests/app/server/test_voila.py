import html
import logging
import re
import webbrowser
from pathlib import Path

from plotly.offline import get_plotlyjs

from workbench.app.server.voila import DashboardServer, is_not_ping_warning, plotly_folder


def test_the_library_is_plotlys_own():
    assert (plotly_folder() / "plotly.min.js").read_text(encoding="utf-8") == get_plotlyjs()


def test_only_the_warning_about_pings_is_dropped():
    def record(text, *values):
        return logging.LogRecord("tornado.general", logging.WARNING, "file", 1, text, values, None)

    assert not is_not_ping_warning(record("The websocket_ping_timeout (%s) cannot be longer than ...", 90000))
    assert is_not_ping_warning(record("Uncaught exception %s", "in a handler"))


def test_the_browser_gets_the_token_in_a_file_of_its_own(monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(
        "threading.Thread", lambda target, args, daemon: type("Now", (), {"start": lambda _: target(*args)})()
    )
    server = DashboardServer(ip="::1", port=8866)
    server.identity_provider = type("Identity", (), {"token": "a&b"})
    server.launch_browser()
    (url,) = opened
    assert "a%26b" not in url
    path = Path(url.removeprefix("file://"))
    assert path.stat().st_mode & 0o077 == 0
    assert html.unescape(re.search(r'url=([^"]+)"', path.read_text())[1]) == "http://[::1]:8866/?token=a%26b"
    path.unlink()
