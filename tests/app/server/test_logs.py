import logging
import re
import sys
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from workbench.app.server.logs import ServerLogHandler, log_to_server


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
