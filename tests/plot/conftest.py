import json

import plotly.graph_objects as go
import pytest

from workbench.measure.profile import NetworkProfile, Part, Profile
from workbench.measure.roofline import Roofline


def part(layer, name, kind, macs, moved, seconds):
    return Part(f"{layer}.{name}", macs, moved, seconds, layer, name, kind, "3x3")


@pytest.fixture
def profile():
    """A convolution and a fully connected layer; the convolution is factorised."""
    linear = part("fc", "dense", "linear", 10**6, 4 * 10**6, 0.1)
    factors = (
        part("a", "factor_in", "1x1", 10**8, 10**7, 0.04),
        part("a", "core", "core", 10**8, 10**6, 0.01),
        part("a", "factor_out", "1x1", 10**8, 10**7, 0.02),
    )
    dense = NetworkProfile("it", (part("a", "dense", "dense", 10**9, 10**7, 0.4), linear), 0.2)
    return Profile(dense, NetworkProfile("it", (*factors, linear), 0.1))


@pytest.fixture
def roof():
    return Roofline(peak=40e9, bandwidth=20e9, threads=1, machine="it")


@pytest.fixture
def valid():
    """Return a figure after plotly.py has validated it, with values as the page gets them."""

    def check(figure):
        go.Figure(figure)
        return json.loads(json.dumps(figure, allow_nan=False))

    return check
