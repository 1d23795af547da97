import html
import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from plotly.offline import get_plotlyjs

from workbench.app.server.logs import ServerLogHandler, log_to_server
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


@pytest.fixture
def log():
    """The package's logger, after two calls."""
    log_to_server()
    log_to_server()
    log = logging.getLogger("workbench")
    (handler,) = (handler for handler in log.handlers if isinstance(handler, ServerLogHandler))
    yield log
    log.removeHandler(handler)


def test_faults_and_warnings_reach_the_servers_log_once_and_not_the_page(log, monkeypatch, tmp_path):
    page = []  # a kernel's stderr writes to the page; its file descriptor is the server's
    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=page.append, fileno=file.fileno))
        monkeypatch.setattr(log, "propagate", False)  # pytest-xdist cannot send a report with half a character
        log.info("quiet")
        log.warning("a \ud800 half")
        logging.getLogger("workbench.app").error("Testing failed", exc_info=ZeroDivisionError("the fault"))
    text = (tmp_path / "log").read_text()
    assert re.fullmatch(r"\[Workbench\] 2.* WARNING \| a \? half\n.* ERROR \| Testing failed\n.*: the fault\n", text)
    assert page == []


def test_without_a_file_messages_go_to_the_last_resort(log, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "fileno", Mock(side_effect=OSError("fileno")), raising=False)
    logging.getLogger("workbench.app").warning("said")
    assert "said" in capsys.readouterr().err
