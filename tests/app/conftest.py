import pytest

from workbench.app.state import State


@pytest.fixture
def state():
    """A session with the bundled network open."""
    state = State()
    assert state.open()
    state.job.wait(60)
    assert state.job.error == ""
    return state
