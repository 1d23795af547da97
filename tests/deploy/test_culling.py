"""A real server: a kernel that no page is connected to ends soon, one with a silent page does not."""

import asyncio
import json
import os
import subprocess
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.deploy.test_class import TOKEN, Server, kernel_of
from workbench.app import serve

pytestmark = pytest.mark.slow
SOON = {
    "VoilaConfiguration": {"preheat_kernel": False},
    "MappingKernelManager": {"cull_interval": 1},
    "Kernels": {"unconnected_timeout": 4},
}


@pytest.fixture
def server(tmp_path):
    (tmp_path / "voila.json").write_text(json.dumps(SOON))
    spec = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=[new_code_cell("6 * 7")], metadata=spec), tmp_path / "lesson.ipynb")
    port = serve.free_port()
    command, environment = serve.voila_command(
        port,
        browser=False,
        folders=[serve.ALONE, serve.CLASS, tmp_path],
        environment={**os.environ, "JUPYTER_TOKEN": TOKEN},
        notebook=tmp_path / "lesson.ipynb",
    )
    log = tmp_path / "log"
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


async def _until(server, number, seconds=40):
    deadline = time.time() + seconds
    while server.kernels() != number:
        assert time.time() < deadline, f"{server.kernels()} kernels"
        await asyncio.sleep(0.2)


def test_kernels_without_a_page(server):
    async def go():
        cookies, page = await asyncio.to_thread(server.enter)
        await asyncio.to_thread(server.enter)  # as a program that only looks whether the server is there
        url = f"{server.address.replace('http', 'ws')}/api/kernels/{kernel_of(page)}/channels"
        socket = await websocket_connect(HTTPRequest(url, headers={"Cookie": cookies, "Origin": server.address}))
        assert server.kernels() == 2
        await _until(server, 1)
        await asyncio.sleep(8)  # twice as long as a kernel without a page has
        assert server.kernels() == 1
        socket.close()
        await _until(server, 0)

    asyncio.run(go())
