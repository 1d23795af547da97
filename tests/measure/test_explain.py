"""Profiles made by hand, so that every number in the sentences can be checked."""

import pytest

from workbench.measure.explain import explain
from workbench.measure.profile import NetworkProfile, Part, Profile
from workbench.measure.roofline import Roofline

ROOF = Roofline(peak=100e9, bandwidth=20e9, threads=1, machine="it")  # 5 multiply-adds a byte, 20 a number


def part(layer, name, kind, gigamacs, megabytes, ms, kernel="3x3"):
    return Part(f"{layer}.{name}", int(gigamacs * 1e9), int(megabytes * 1e6), ms / 1e3, layer, name, kind, kernel)


def profiled(*parts, other=0.0):
    return NetworkProfile("it", parts, other / 1e3)


DENSE = profiled(part("a", "dense", "dense", 10, 100, 90), other=10)  # 100 ms: 100 billion a second


def factorised(thin_ms, core_ms, thin_mb=100, other=10):
    return profiled(
        part("a", "factor_in", "1x1", 0.5, thin_mb / 2, thin_ms / 2, "1x1"),
        part("a", "core", "core", 1.0, 10, core_ms),
        part("a", "factor_out", "1x1", 0.5, thin_mb / 2, thin_ms / 2, "1x1"),
        other=other,
    )


STARVED = factorised(40, 15, thin_mb=400)
CONNECTED = profiled(part("fc", "dense", "linear", 0.1, 400, 100))
SMALLER = profiled(part("fc", "core", "linear", 0.05, 100, 20), part("a", "core", "core", 0, 1, 0, "5x5"))
CASES = [
    (DENSE, STARVED, ROOF, "2.5 a byte that they move, and this machine's memory keeps up from 5 on", "won"),
    (DENSE, factorised(10, 10, other=50), ROOF, "most is lost in everything else (50.0 ms", "cores ("),
    (DENSE, factorised(100, 40), None, "x5.00 fewer multiply-adds the compressed network is x1.50 slower", "faster"),
    (CONNECTED, SMALLER, ROOF, "is x5.00 faster (20.0 ms instead of 100 ms), 250 % of what they promise", "lost"),
]


@pytest.mark.parametrize(("before", "after", "roof", "said", "not_said"), CASES)
def test_causes(before, after, roof, said, not_said):
    text = explain(Profile(before, after), roof)
    assert said in text
    assert not_said not in text


def test_what_cannot_be_compared():
    for profile in (Profile(DENSE), Profile(profiled(), DENSE)):
        with pytest.raises(ValueError, match="nothing to compare"):
            explain(profile)
    for settings in ({"threads": 2}, {"device": "cuda"}):
        with pytest.raises(ValueError, match="the roofline is of the processor with 1 threads"):
            explain(Profile(DENSE, DENSE, **settings), ROOF)
