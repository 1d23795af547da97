import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from traitlets import import_item

from workbench.app.server import serve
from workbench.app.server.jupyter_classes import Connection, Kernel, Kernels


class Fake:
    """As much of a kernel as the culler looks at."""

    def __init__(self, idle):
        self.last_activity = datetime.now(UTC) - timedelta(seconds=idle)
        self.execution_state, self.kernel_name = "idle", "python3"
        self.kernel_spec = type("Spec", (), {"metadata": {}})


def culled(kind, passes):
    """Ids that are shut down in so many passes of the culler over a kernel that did nothing for two hours."""
    manager = kind(cull_idle_timeout=3600, cull_connected=True)
    manager._kernels["one"] = Fake(idle=7200)
    gone = []

    async def shutdown(kernel_id, **_):
        gone.append(kernel_id)
        del manager._kernels[kernel_id]

    manager.shutdown_kernel = shutdown

    async def go():
        for _ in range(passes):
            for kernel_id in list(manager._kernels):
                await manager.cull_kernel_if_idle(kernel_id)

    asyncio.run(go())
    return gone, manager


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_time_of_a_kernel_begins_when_a_page_takes_it():
    assert culled(AsyncMappingKernelManager, 1)[0] == ["one"]  # what is mended
    gone, manager = culled(Kernels, 3)
    assert gone == []
    manager._kernels["one"].last_activity -= timedelta(seconds=7200)
    asyncio.run(manager.cull_kernel_if_idle("one"))
    assert gone == ["one"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("connections", "state", "silent", "ends"),
    [(0, "idle", 130, True), (0, "idle", 110, False), (1, "idle", 130, False), (0, "busy", 130, False)],
)
def test_a_kernel_without_a_page_ends_soon(connections, state, silent, ends):
    gone, manager = culled(Kernels, 1)
    kernel = manager._kernels["one"]
    manager._kernel_connections["one"], kernel.execution_state = connections, state
    kernel.last_activity = datetime.now(UTC) - timedelta(seconds=silent)
    asyncio.run(manager.cull_kernel_if_idle("one"))
    assert gone == ["one"] * ends


def test_a_traceback_has_something_in_its_place():
    assert "Traceback" not in Kernel.traceback_replacement_message
    assert not hasattr(Kernel.__mro__[1], "traceback_replacement_message")  # if it has: this class can go


def test_what_a_kernel_says_leaves_at_once(monkeypatch):
    """Before anything is sent; both servers use this connection."""
    done = []
    handler = type("Handler", (), {"set_nodelay": lambda _, on: done.append(on)})()
    monkeypatch.setattr(Connection, "websocket_handler", handler)
    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", lambda _: done.append("connected"))
    Connection.connect(object.__new__(Connection))
    assert done == [True, "connected"]
    for folders in ([serve.ALONE], [serve.ALONE, serve.CLASS]):
        name = serve.settings(folders)["Voila"]["kernel_websocket_connection_class"]
        assert import_item(name) is Connection
