"""A served kernel that no page is connected to ends early; one with a silent page does not."""

import asyncio
import json
import time

import pytest
from nbformat.v4 import new_code_cell

from tests.helpers.serving import close, kernel_of, serving
from workbench.app.server import serve

pytestmark = pytest.mark.slow
SETTINGS = {
    "VoilaConfiguration": {"preheat_kernel": False},
    "MappingKernelManager": {"cull_interval": 1},
    "IdleKernelCuller": {"unconnected_timeout": 4},
}


@pytest.fixture
def server(tmp_path):
    (tmp_path / "voila.json").write_text(json.dumps(SETTINGS))
    with serving(tmp_path, [new_code_cell("6 * 7")], settings=[serve.CLASS, tmp_path]) as found:
        yield found


def test_kernels_without_a_page(server):
    async def become(number):
        deadline = time.time() + 40
        while server.served.kernels() != number:
            assert time.time() < deadline, f"{server.served.kernels()} kernels"
            await asyncio.sleep(0.2)

    async def run():
        cookies, page = await asyncio.to_thread(server.enter)
        await asyncio.to_thread(server.enter)  # as a program that only checks whether the server answers
        socket = await server.connect(kernel_of(page), Cookie=cookies, Origin=server.address)
        assert server.served.kernels() == 2
        await become(1)
        await asyncio.sleep(6)  # longer than the timeout of a kernel without a page
        assert server.served.kernels() == 1
        await close(socket)
        await become(0)

    asyncio.run(run())
