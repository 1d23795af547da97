import logging
import os
import sys

import pytest

from workbench.app.server.logs import NAME, ServerLogHandler, log_to_server


class KernelStream:
    """A kernel's stderr: text goes to the page, the file descriptor is the server's."""

    def __init__(self, file):
        self.file, self.page = file, []

    def write(self, text):
        self.page.append(text)

    def flush(self):
        pass

    def fileno(self):
        if self.file is None:
            raise OSError("fileno")
        return self.file


@pytest.fixture
def log():
    """The package's logger, after two calls."""
    log_to_server()
    log_to_server()
    log = logging.getLogger(NAME)
    (handler,) = (handler for handler in log.handlers if isinstance(handler, ServerLogHandler))
    yield log
    log.removeHandler(handler)


def test_faults_and_warnings_reach_the_servers_log_once_and_not_the_page(log, monkeypatch):
    read, write = os.pipe()
    stream = KernelStream(write)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(log, "propagate", False)  # pytest-xdist cannot send a report with half a character
    log.info("quiet")
    log.warning("a \ud800 half")
    try:
        raise ZeroDivisionError("text of the fault")
    except ZeroDivisionError:
        logging.getLogger(f"{NAME}.app").exception("Testing failed")
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    assert stream.page == []
    assert text.startswith("[Workbench] 2")
    assert "quiet" not in text
    assert "WARNING | a ? half" in text
    assert "ERROR | Testing failed" in text
    assert text.count("ZeroDivisionError: text of the fault") == 1


def test_without_a_file_messages_go_to_the_last_resort(log, monkeypatch):
    stream = KernelStream(None)
    monkeypatch.setattr(sys, "stderr", stream)
    logging.getLogger(f"{NAME}.app").warning("said")
    assert "said" in "".join(stream.page)
