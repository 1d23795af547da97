import asyncio

import pytest

import workbench as wb
from tests.helpers.sessions import batch_normed, idle, tiny_data
from workbench.app.session import Session
from workbench.measure.roofline import Roofline


def small_session(model=None, data=None, *, opened=False):
    """A session with a small network and three classes of images."""
    network = wb.Network(model or batch_normed(), input_shape=(1, 8, 8), name="small")
    session = Session(network, data or tiny_data())
    if opened:
        session.choose.open()
    return session


async def opened():
    session = small_session(opened=True)
    await idle(session)
    return session


def on_a_loop(test, begin=opened):
    """Run a test on an event loop; it gets a session in which the small network is open."""

    async def whole():
        await asyncio.wait_for(test(await begin()), 120)

    def run():
        asyncio.run(whole())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@pytest.fixture(autouse=True)
def _no_torchvision(monkeypatch):
    """Importing it takes a second."""
    monkeypatch.setattr("workbench.app.steps.choose.model.network_names", list)


@pytest.fixture
def quick_speed(monkeypatch):
    """No seconds of timing, which nothing disturbs."""
    monkeypatch.setattr("workbench.measure.exclusive.others_computing", lambda: False)
    monkeypatch.setattr("workbench.app.steps.speed.model.TIMING_S", 0.01)
    monkeypatch.setattr("workbench.app.steps.speed.model.roofline", lambda n: Roofline(1e9, 1e9, n, "test"))


@pytest.fixture
def session():
    """A session without an event loop, with the small network open: each verb has ended when it returns."""
    session = small_session(opened=True)
    assert session.choose.job.error == ""
    return session


@pytest.fixture
def digits():
    """The same with the bundled network and its data."""
    session = Session()
    session.choose.open()
    return session


@pytest.fixture
def unstored(monkeypatch, tmp_path):
    """The same as `session`, with a store that cannot be used: it is a folder."""
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path))
    return small_session(opened=True)
