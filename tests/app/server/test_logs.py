import logging
import os
import sys

import pytest

from workbench.app.jobs import Job
from workbench.app.server.logs import NAME, ServerLog, log_to_server


class Kernels:
    """A kernel's stream: what is written goes to the page, and the file is another."""

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
def logging_to_server():
    log_to_server()
    log_to_server()
    log = logging.getLogger(NAME)
    handlers = [handler for handler in log.handlers if isinstance(handler, ServerLog)]
    yield handlers
    for handler in handlers:
        log.removeHandler(handler)


def divide(job):
    raise ZeroDivisionError("a word of the fault")


def test_a_fault_is_in_the_servers_log_and_not_on_the_page(logging_to_server, monkeypatch, tmp_path):
    assert len(logging_to_server) == 1
    with (tmp_path / "log").open("w") as file:
        stream = Kernels(file.fileno())
        monkeypatch.setattr(sys, "stderr", stream)
        job = Job()
        job.start("Testing", divide)
        job.wait()
    assert stream.page == []
    assert job.error.endswith("the log has the details.")
    found = (tmp_path / "log").read_text()
    assert found.startswith("[Workbench] 2")
    assert "ERROR | Testing failed" in found
    assert found.count("ZeroDivisionError: a word of the fault") == 1


def test_where_there_is_no_file_it_goes_where_it_would_have_gone(logging_to_server, monkeypatch):
    stream = Kernels(None)
    monkeypatch.setattr(sys, "stderr", stream)
    logging.getLogger(f"{NAME}.app").warning("said")
    assert "said" in "".join(stream.page)


def test_what_is_no_warning_is_left_out(logging_to_server, monkeypatch):
    read, write = os.pipe()
    monkeypatch.setattr(sys, "stderr", Kernels(write))
    monkeypatch.setattr(logging.getLogger(NAME), "propagate", False)  # half a character in a report ends pytest-xdist
    logging.getLogger(NAME).info("quiet")
    logging.getLogger(NAME).warning("a \ud800 half")
    assert b"WARNING | a ? half" in os.read(read, 1000)
    os.close(read)
    os.close(write)
