"""What goes wrong in a kernel, in the log of the server that has started it.

A kernel sends whatever is written to ``sys.stderr`` to the page, where Voila drops it and nobody may see a traceback.
But a kernel's stream still knows the file that the server gave it.
"""

import logging
import os
import sys

NAME = "workbench"


class ServerLog(logging.Handler):
    """Writes to the file behind ``sys.stderr``; where there is none, to where Python would have written."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message, with its traceback if it has one."""
        try:
            os.write(sys.stderr.fileno(), f"{self.format(record)}\n".encode(errors="replace"))
        except (OSError, ValueError):
            if logging.lastResort is not None:
                logging.lastResort.handle(record)


def log_to_server() -> None:
    """Have our messages in the server's log from now on, each once."""
    log = logging.getLogger(NAME)
    if not any(isinstance(handler, ServerLog) for handler in log.handlers):
        handler = ServerLog(logging.WARNING)
        handler.setFormatter(logging.Formatter("[Workbench] %(asctime)s %(levelname)s | %(message)s"))
        log.addHandler(handler)
