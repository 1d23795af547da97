"""Serve a notebook with the dashboard's server, and talk to it as a browser does."""

import os
import re
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import nbformat
from nbformat.v4 import new_notebook
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from benchmarks._browser import PROBE, TOKEN, served
from workbench.app.server import serve


@dataclass
class Answer:
    status: int
    location: str
    headers: dict
    text: str


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Client:
    """A browser's part of the talk with a server."""

    def __init__(self, server, log):
        self.served, self.log, self.address = server, log, server.url("")
        self.host = urlsplit(self.address).netloc

    def ask(self, path, *, cookies="", data=None, method=None, **headers):
        request = urllib.request.Request(self.address + path, data=data, method=method)  # noqa: S310 - our own server
        for name, value in {"Cookie": cookies, **headers}.items():
            request.add_header(name, value)
        try:
            with urllib.request.build_opener(NoRedirect).open(request, timeout=60) as answer:
                return Answer(answer.status, "", dict(answer.headers), answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers.get("Location", ""), dict(error.headers), error.read().decode())

    def enter(self):
        """The cookie that the token gives, and the page."""
        page = self.ask(f"/?token={TOKEN}")
        assert page.status == 200
        return page.headers["Set-Cookie"].split(";")[0], page

    async def connect(self, kernel, **headers):
        """A websocket to a kernel; the status as an integer if the server refuses it."""
        url = f"{self.address.replace('http', 'ws')}/api/kernels/{kernel}/channels"
        try:
            return await websocket_connect(HTTPRequest(url, headers=headers))
        except HTTPClientError as error:
            return error.code


async def close(socket):
    socket.close()
    while await socket.read_message() is not None:
        pass


def kernel_of(page):
    return re.search(r'"kernelId": "([\w-]+)"', page.text)[1]


@contextmanager
def serving(folder, cells, *, settings=(serve.CLASS,), variables=()):
    """Serve a notebook with these cells; `settings` are folders whose voila.json replaces options for one user."""
    spec = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    notebook = folder / "lesson.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=spec), notebook)
    port = serve.free_port()
    command, environment = serve.voila_command(
        port,
        browser=False,
        folders=[serve.ONE_USER, *settings],
        environment={**os.environ, "JUPYTER_TOKEN": TOKEN, **dict(variables)},
        notebook=notebook,
    )
    log = folder / "log"
    with served(command, serve.page_url(serve.ADDRESS, port, ""), PROBE, log, environment) as server:
        yield Client(server, log)
