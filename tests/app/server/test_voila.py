import html
import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

from workbench.app.server.logs import ServerLogHandler, log_to_server
from workbench.app.server.voila import DashboardServer


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


def test_faults_and_warnings_reach_the_servers_log_once_and_not_the_page(monkeypatch, tmp_path):
    log, page = logging.getLogger("workbench"), []  # a kernel's stderr writes to the page, its descriptor to the log
    for _ in range(2):
        log_to_server()
    (handler,) = (handler for handler in log.handlers if isinstance(handler, ServerLogHandler))
    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=page.append, fileno=file.fileno))
        monkeypatch.setattr(log, "propagate", False)  # pytest-xdist cannot send a report with half a character
        log.info("quiet")
        log.warning("a \ud800 half")
        logging.getLogger("workbench.app").error("Testing failed", exc_info=ZeroDivisionError("the fault"))
    log.removeHandler(handler)
    text = (tmp_path / "log").read_text()
    assert re.fullmatch(r"\[Workbench\] 2.* WARNING \| a \? half\n.* ERROR \| Testing failed\n.*: the fault\n", text)
    assert page == []
