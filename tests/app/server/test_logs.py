import logging
import os
import sys
from types import SimpleNamespace

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


def test_faults_and_warnings_reach_the_servers_log_once_and_not_the_page(log, monkeypatch):
    read, write = os.pipe()
    page = []  # a kernel's stderr writes to the page; its file descriptor is the server's
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=page.append, fileno=lambda: write))
    monkeypatch.setattr(log, "propagate", False)  # pytest-xdist cannot send a report with half a character
    log.info("quiet")
    log.warning("a \ud800 half")
    try:
        raise ZeroDivisionError("text of the fault")
    except ZeroDivisionError:
        logging.getLogger("workbench.app").exception("Testing failed")
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    assert page == []
    assert text.startswith("[Workbench] 2")
    assert "quiet" not in text
    assert "WARNING | a ? half" in text
    assert "ERROR | Testing failed" in text
    assert text.count("ZeroDivisionError: text of the fault") == 1


def test_without_a_file_messages_go_to_the_last_resort(log, monkeypatch, capsys):
    def fileno():
        raise OSError("fileno")

    monkeypatch.setattr(sys.stderr, "fileno", fileno, raising=False)
    logging.getLogger("workbench.app").warning("said")
    assert "said" in capsys.readouterr().err
