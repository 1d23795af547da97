"""Serve a notebook with the dashboard's server, and talk to it as a browser does."""

import os
import re
import time
from contextlib import closing, contextmanager
from functools import cached_property
from http.client import HTTPConnection
from urllib.parse import urlsplit

import nbformat
from nbformat.v4 import new_notebook
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from benchmarks._browser import PROBE, TOKEN, served
from workbench.app.server import serve


class Client:
    """A browser's part of the talk with a server."""

    def __init__(self, server, log):
        self.served, self.log, self.address = server, log, server.url("")
        self.host = urlsplit(self.address).netloc

    def ask(self, path, *, cookies="", data=None, method="GET", **headers):
        """The server's answer, with its text and where it leads to; data is that of a form."""
        method = method if data is None else "POST"
        form = {"Content-Type": "application/x-www-form-urlencoded"} if data else {}
        with closing(HTTPConnection(self.host, timeout=60)) as connection:
            connection.request(method, path, data, {"Cookie": cookies, **form, **headers})
            answer = connection.getresponse()
            answer.text, answer.location = answer.read().decode(), answer.headers.get("Location", "")
        return answer

    def enter(self):
        """The cookie that the token gives, and a new page."""
        page = self.ask(f"/?token={TOKEN}")
        assert page.status == 200
        return page.headers["Set-Cookie"].split(";")[0], page

    @cached_property
    def entered(self):
        """The same once, for tests that can share a page."""
        return self.enter()

    async def connect(self, kernel, **headers):
        """A websocket to a kernel; the status as an integer if the server refuses it."""
        return await connect(f"{self.address}/api/kernels/{kernel}/channels", headers)


async def connect(url, headers):
    try:
        return await websocket_connect(HTTPRequest(url.replace("http", "ws"), headers=headers))
    except HTTPClientError as error:
        return error.code


async def close(socket):
    socket.close()
    while await socket.read_message() is not None:
        pass


def wait_until(met, seconds, log=None):
    """Wait until a function gives true; else fail with what the log says."""
    deadline = time.time() + seconds
    while not met():
        assert time.time() < deadline, log and log.read_text()
        time.sleep(0.2)


def kernel_of(page):
    return re.search(r'"kernelId": "([\w-]+)"', page.text)[1]


@contextmanager
def serving(folder, cells=(), *, settings=(serve.CLASS,), variables=(), shell=()):
    """Serve a notebook with these cells, or the dashboard, its log in a folder.

    `settings` are folders whose voila.json replaces options for one user; `shell` is a command that runs the server's.
    """
    notebook = serve.NOTEBOOK
    if cells:
        spec = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
        nbformat.write(new_notebook(cells=cells, metadata=spec), notebook := folder / "lesson.ipynb")
    port = serve.free_port()
    how = {"folders": [serve.ONE_USER, *settings], "notebook": notebook, "browser": False}
    environment = {**os.environ, "JUPYTER_TOKEN": TOKEN, **dict(variables)}
    command, environment = serve.voila_command(port, environment=environment, **how)
    log, address = folder / "log", serve.page_url(serve.ADDRESS, port, "")
    with served([*shell, *command], address, PROBE, log, environment) as server:
        yield Client(server, log)
