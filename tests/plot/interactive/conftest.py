import json

import plotly.graph_objects as go
import pytest


@pytest.fixture
def valid():
    """Return a figure after plotly.py has validated it, with values as the page gets them."""

    def check(figure):
        go.Figure(figure)
        return json.loads(json.dumps(figure, allow_nan=False))

    return check
