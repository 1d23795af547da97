import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

from workbench.app.server.jupyter_classes import IdleKernelCuller

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def ago(seconds):
    return datetime.now(UTC) - timedelta(seconds=seconds)


def culled(kind, passes):
    """Ids that some passes of a culler end, of one kernel that was idle for two hours; a further pass; the kernel."""
    manager, ended = kind(cull_idle_timeout=3600, cull_connected=True), []
    kernel = SimpleNamespace(last_activity=ago(7200), execution_state="idle", kernel_name="python3")
    kernel.kernel_spec, manager._kernels["one"] = SimpleNamespace(metadata={}), kernel

    async def shutdown(kernel_id, **_):
        ended.append(kernel_id)

    manager.shutdown_kernel = shutdown

    def look(connections=0):
        manager._kernel_connections["one"] = connections
        asyncio.run(manager.cull_kernel_if_idle("one"))

    for _ in range(passes):
        look()
    return ended, look, kernel


def test_a_kernels_idle_time_begins_when_a_page_takes_it():
    assert culled(AsyncMappingKernelManager, 1)[0] == ["one"]  # Jupyter's own, which ours replaces
    ended, look, kernel = culled(IdleKernelCuller, 3)
    assert ended == []
    kernel.last_activity -= timedelta(seconds=7200)
    look()
    assert ended == ["one"]


@pytest.mark.parametrize(
    ("connections", "state", "silent_s", "ends"),
    [(0, "idle", 130, True), (0, "idle", 110, False), (1, "idle", 130, False), (0, "busy", 130, False)],
)
def test_a_kernel_without_a_page_ends_early(connections, state, silent_s, ends):
    ended, look, kernel = culled(IdleKernelCuller, 1)
    kernel.execution_state, kernel.last_activity = state, ago(silent_s)
    look(connections)
    assert ended == ["one"] * ends
