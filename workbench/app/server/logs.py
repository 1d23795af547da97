"""Write a kernel's warnings and errors to the server's log, which is the file descriptor of ``sys.stderr``."""

import logging
import os
import sys


class ServerLogHandler(logging.Handler):
    """Write to the file descriptor of ``sys.stderr``, or to Python's last resort where it has none."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message, with its traceback if it has one."""
        try:
            os.write(sys.stderr.fileno(), f"{self.format(record)}\n".encode(errors="replace"))
        except (OSError, ValueError):
            if logging.lastResort is not None:
                logging.lastResort.handle(record)


def log_to_server() -> None:
    """Send the package's warnings and errors to the server's log; a second call changes nothing."""
    log = logging.getLogger("workbench")
    if not any(isinstance(handler, ServerLogHandler) for handler in log.handlers):
        handler = ServerLogHandler(logging.WARNING)
        handler.setFormatter(logging.Formatter("[Workbench] %(asctime)s %(levelname)s | %(message)s"))
        log.addHandler(handler)
