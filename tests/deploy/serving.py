"""The server for a class, really served, and a browser's part of the talk with it."""

import os
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass

import nbformat
import psutil
from nbformat.v4 import new_notebook

from workbench.app.server import serve

TOKEN = "a token for the tests"  # noqa: S105 - of no other server


@dataclass
class Answer:
    """Of the server: its status, where it sends one, its headers and its text."""

    status: int
    to: str
    headers: dict
    text: str


class Server:
    """The server, and a browser's part of the talk with it."""

    def __init__(self, port, log, process):
        self.address, self.log, self.process = f"http://{serve.ADDRESS}:{port}", log, psutil.Process(process.pid)

    def ask(self, path, *, cookies="", data=None, method=None):
        request = urllib.request.Request(self.address + path, data=data, method=method)  # noqa: S310 - our own server
        request.add_header("Cookie", cookies)
        opener = urllib.request.build_opener(Stay)
        try:
            with opener.open(request, timeout=60) as answer:
                return Answer(answer.status, "", dict(answer.headers), answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers.get("Location", ""), dict(error.headers), error.read().decode())

    def enter(self):
        """Cookies of somebody with the token, and the page."""
        page = self.ask(f"/?token={urllib.parse.quote(TOKEN)}")
        assert page.status == 200
        return page.headers["Set-Cookie"].split(";")[0], page

    def kernels(self):
        alive = [p for p in self.process.children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
        return sum("ipykernel_launcher" in p.cmdline() for p in alive)


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing."""

    def redirect_request(self, *_):
        return None


def kernel_of(page):
    return re.search(r'"kernelId": "([\w-]+)"', page.text)[1]


@contextmanager
def serving(folder, cells, *, settings=()):
    """A server of a notebook with these cells; `settings` are folders whose voila.json goes over ours."""
    spec = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=cells, metadata=spec), folder / "lesson.ipynb")
    port = serve.free_port()
    command, environment = serve.voila_command(
        port,
        browser=False,
        folders=[serve.ALONE, serve.CLASS, *settings],
        environment={**os.environ, "JUPYTER_TOKEN": TOKEN},
        notebook=folder / "lesson.ipynb",
    )
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        found = Server(port, log, process)
        deadline = time.time() + 60
        while time.time() < deadline:
            assert process.poll() is None, log.read_text()
            try:
                found.ask("/login")
                break
            except OSError:
                time.sleep(0.1)
        yield found
    finally:
        process.terminate()
        process.wait(30)
