"""Serve the dashboard and drive a browser, for benchmarks and tests."""

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
from urllib.parse import quote, urlsplit, urlunsplit

import psutil

from workbench.app.server.serve import ADDRESS, ROOT, free_port, page_url

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL_HINT = "no Chromium here: install one (Debian and Ubuntu: apt install chromium), or set WORKBENCH_BROWSER"
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
"""Selector of a bar of the spectrum; it exists once the figure is drawn, even in a hidden step."""
OPENED = "() => /Opening \\S+: done/.test(document.body.innerText)"
"""Script that returns whether a network is open and scored."""
STEPS = ("Choose", "Look", "Plan", "Compress", "Compare", "Speed", "Take home")
"""Names of the steps in the rail."""
REACH = """e => {
  const panel = e.closest('.wb-panel'), root = e.closest('.wb');
  const hidden = e.closest('.wb-expert') && !root.classList.contains('wb-is-expert');
  if (hidden) root.querySelector('.wb-expert-switch input').click();
  if (!panel || panel.checkVisibility()) return;
  root.querySelectorAll('.wb-go')[Number(panel.className.match(/wb-at-([0-9])/)[1]) - 1].click();
}"""
"""Script that shows the step of a control, and turns on the switch for experts if the control needs it."""
BOTTOM = "() => Math.ceil(document.querySelector('.wb').getBoundingClientRect().bottom + scrollY)"
"""Script that returns the filled height of the page in pixels."""
TOKEN = "token-of-tests-and-benchmarks"  # noqa: S105 - of servers that `served` starts and stops
PROBE = "voila/static/voila.js"
START_TIMEOUT_S = 60


def chromium() -> str | None:
    """Path of the browser, or None; `INSTALL_HINT` says how to install one."""
    return os.environ.get("WORKBENCH_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)


@dataclass
class Served:
    """A running server; `address` is the page's URL, with the token if the server is the dashboard."""

    address: str
    process: psutil.Process

    def url(self, path: str) -> str:
        """URL of another path of the server, without the token."""
        scheme, host, *_ = urlsplit(self.address)
        return urlunsplit((scheme, host, path, "", ""))

    def kernels(self) -> int:
        """Number of running kernels."""
        return len(self.kernel_processes())

    def kernel_processes(self) -> list[psutil.Process]:
        """Processes of the running kernels."""
        kernels = []
        for process in self.process.children(recursive=True):
            try:
                if process.status() != psutil.STATUS_ZOMBIE and "ipykernel_launcher" in process.cmdline():
                    kernels.append(process)
            except psutil.NoSuchProcess:
                continue
        return kernels


@contextmanager
def served(
    command: Sequence[str], address: str, probe: str, log: Path, variables: Mapping[str, str]
) -> Iterator[Served]:
    """Start a server, wait until it answers, and stop it at the end of the block.

    Parameters
    ----------
    address : URL of its first page.
    probe : path below the address at which it answers.
    log : file for its output.
    variables : override this process's environment. A dashboard also gets `TOKEN`, and its kernels this package.
    """
    is_dashboard = "workbench.app.server" in " ".join(command)
    defaults = {"JUPYTER_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)} if is_dashboard else {}
    environment = {**os.environ, **defaults, **variables}
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        _wait_for(address + probe, server, log)
        query = f"?token={quote(environment['JUPYTER_TOKEN'])}" if is_dashboard else ""
        yield Served(address + query, psutil.Process(server.pid))
    finally:
        server.terminate()
        server.wait(120)


@contextmanager
def dashboard(log: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Serve the dashboard as `make dashboard` does, at a free port, with further arguments of `serve`."""
    port = free_port()
    command = [sys.executable, "-m", "workbench.app.server.serve", "--port", str(port), "--no-browser", *arguments]
    with served(command, page_url(ADDRESS, port, ""), PROBE, log, variables or {}) as server:
        yield server


def step_button(page: Any, name: str) -> Any:
    """Locator of the button in the rail that shows a step."""
    return page.locator(".wb-go", has_text=name)


def collect_errors(page: Any) -> list[str]:
    """A list that receives the exceptions and the console errors of the page."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors


async def open_page(
    browser: Any, address: str, wait_ms: int, *, height: int = 900, script: str = ""
) -> tuple[Any, list[str]]:
    """A page with the bundled network open, and its errors; the script runs in it before it loads."""
    context = await browser.new_context(viewport={"width": 1440, "height": height})
    page = await context.new_page()
    errors = collect_errors(page)
    await page.add_init_script(script)
    await page.goto(address, timeout=wait_ms)
    await page.wait_for_selector(FIGURE, state="attached", timeout=wait_ms)
    await page.wait_for_function(OPENED, timeout=wait_ms)
    return page, errors


def _wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended: {log.read_text()}")
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own server
        except urllib.error.HTTPError as answer:  # it holds the connection until closed
            answer.close()
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the server did not answer in {START_TIMEOUT_S} s: {log.read_text()}")
