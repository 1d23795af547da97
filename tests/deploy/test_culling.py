"""A real server: a kernel that no page is connected to ends soon, one with a silent page does not."""

import asyncio
import json
import time

import pytest
from nbformat.v4 import new_code_cell
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.deploy.serving import kernel_of, serving

pytestmark = pytest.mark.slow
SOON = {
    "VoilaConfiguration": {"preheat_kernel": False},
    "MappingKernelManager": {"cull_interval": 1},
    "Kernels": {"unconnected_timeout": 4},
}


@pytest.fixture
def server(tmp_path):
    (tmp_path / "voila.json").write_text(json.dumps(SOON))
    with serving(tmp_path, [new_code_cell("6 * 7")], settings=[tmp_path]) as found:
        yield found


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
