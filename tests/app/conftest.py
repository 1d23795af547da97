import pytest

from tests.helpers.sessions import batch_normed, tiny_data
from workbench.app.session import Session
from workbench.network.network import Network


@pytest.fixture
def session(monkeypatch):
    """A session without an event loop, with a small network open: each verb has ended when it returns."""
    monkeypatch.setattr("workbench.app.steps.choose.model.network_names", list)
    session = Session(Network(batch_normed(), input_shape=(1, 8, 8), name="small"), tiny_data())
    session.open()
    assert session.choose.job.error == ""
    return session


@pytest.fixture
def digits(monkeypatch):
    """The same with the bundled network and its data."""
    monkeypatch.setattr("workbench.app.steps.choose.model.network_names", list)
    session = Session()
    session.open()
    return session
