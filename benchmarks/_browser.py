"""A dashboard that is really served, and the browser that looks at it: for benchmarks and for tests."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from workbench.app.server.serve import ADDRESS, free_port

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW = "no Chromium here: install one (Debian and Ubuntu: apt install chromium), or set WORKBENCH_BROWSER to its path"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FIGURE = '.wb-figure[aria-label="Singular values"] .bars .point'
"""A bar of the spectrum: once there is one, the figure has been drawn."""


def chromium() -> str | None:
    """Path of the browser; None if there is none, and `HOW` says what to do."""
    return os.environ.get("WORKBENCH_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)


@dataclass
class Served:
    """A server that answers at an address."""

    address: str
    process: psutil.Process

    def kernels(self) -> int:
        """Number of kernels that it runs."""
        return len(self.kernel_processes())

    def kernel_processes(self) -> list[psutil.Process]:
        """The kernels that are alive."""
        found = []
        for process in self.process.children(recursive=True):
            try:
                if process.status() != psutil.STATUS_ZOMBIE and "ipykernel_launcher" in process.cmdline():
                    found.append(process)
            except psutil.NoSuchProcess:  # it has just ended
                continue
        return found


@contextmanager
def served(command: Sequence[str], address: str, probe: str, log: Path, own: Mapping[str, str]) -> Iterator[Served]:
    """A server from its command line, once it answers; it ends with the block.

    Parameters
    ----------
    probe : a path below the address at which it answers.
    log : file for what it says.
    own : environment, over this process's.
    """
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **own})
    try:
        _wait_for(address + probe, server, log)
        yield Served(address, psutil.Process(server.pid))
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def dashboard(log: Path, *more: str, own: Mapping[str, str] | None = None) -> Iterator[Served]:
    """The dashboard as `make dashboard` serves it, at a free port; `more` are further arguments."""
    port = free_port()
    command = [sys.executable, "-m", "workbench.app.server.serve", "--port", str(port), "--no-browser", *more]
    with served(command, f"http://{ADDRESS}:{port}/", "voila/static/voila.js", log, own or {}) as server:
        yield server


def noting(page: Any) -> list[str]:
    """A list that takes every exception and every error in the console of this page."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    return problems


def _wait_for(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(300):
        if server.poll() is not None:
            raise RuntimeError(f"the server ended: {log.read_text()}")
        try:
            urllib.request.urlopen(address, timeout=5)  # noqa: S310 - our own server
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the server did not answer in 30 s: {log.read_text()}")
