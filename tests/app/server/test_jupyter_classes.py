import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

from workbench.app.server.jupyter_classes import IdleKernelCuller, KernelWithoutTracebacks, NoDelayConnection

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Kernel:
    """The attributes of a kernel that the culler reads."""

    def __init__(self, idle_s):
        self.last_activity = datetime.now(UTC) - timedelta(seconds=idle_s)
        self.execution_state, self.kernel_name = "idle", "python3"
        self.kernel_spec = type("Spec", (), {"metadata": {}})


def culled(kind, passes):
    """Ids that some passes of a culler end, of one kernel that was idle for two hours, and the culler."""
    manager = kind(cull_idle_timeout=3600, cull_connected=True)
    manager._kernels["one"] = Kernel(idle_s=7200)
    ended = []

    async def shutdown(kernel_id, **_):
        ended.append(kernel_id)
        del manager._kernels[kernel_id]

    manager.shutdown_kernel = shutdown

    async def run():
        for _ in range(passes):
            for kernel_id in list(manager._kernels):
                await manager.cull_kernel_if_idle(kernel_id)

    asyncio.run(run())
    return ended, manager


def test_a_kernels_idle_time_begins_when_a_page_takes_it():
    assert culled(AsyncMappingKernelManager, 1)[0] == ["one"]  # Jupyter's own, which ours replaces
    ended, manager = culled(IdleKernelCuller, 3)
    assert ended == []
    manager._kernels["one"].last_activity -= timedelta(seconds=7200)
    asyncio.run(manager.cull_kernel_if_idle("one"))
    assert ended == ["one"]


@pytest.mark.parametrize(
    ("connections", "state", "silent_s", "ends"),
    [(0, "idle", 130, True), (0, "idle", 110, False), (1, "idle", 130, False), (0, "busy", 130, False)],
)
def test_a_kernel_without_a_page_ends_early(connections, state, silent_s, ends):
    ended, manager = culled(IdleKernelCuller, 1)
    kernel = manager._kernels["one"]
    manager._kernel_connections["one"], kernel.execution_state = connections, state
    kernel.last_activity = datetime.now(UTC) - timedelta(seconds=silent_s)
    asyncio.run(manager.cull_kernel_if_idle("one"))
    assert ended == ["one"] * ends


def test_jupyter_still_lacks_the_text_for_tracebacks():
    assert "Traceback" not in KernelWithoutTracebacks.traceback_replacement_message
    assert not hasattr(KernelWithoutTracebacks.__mro__[1], "traceback_replacement_message")  # else remove the class


def test_nodelay_is_set_before_anything_is_sent(monkeypatch):
    calls = []
    handler = type("Handler", (), {"set_nodelay": lambda _, on: calls.append(on)})()
    monkeypatch.setattr(NoDelayConnection, "websocket_handler", handler)
    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", lambda _: calls.append("connected"))
    NoDelayConnection.connect(object.__new__(NoDelayConnection))
    assert calls == [True, "connected"]
