"""Profiles made by hand, so that every number in the sentences can be checked."""

import re

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


def sentences(before, after, roof=None):
    return re.split(r"(?<=\.) (?=[A-Z])", explain(Profile(before, after), roof))


def test_slow_1x1_factors_are_the_cause():
    first, second = sentences(DENSE, factorised(thin_ms=40, core_ms=15), ROOF)
    assert first == (
        "With x5.00 fewer multiply-adds the compressed network is x1.54 faster (65.0 ms instead of 100 ms), "
        "31 % of what they promise: the 1x1 factors take 62 % of its time for 50 % of the multiply-adds, "
        "the 3x3 cores 23 % for 50 %, and everything else, like activations and pooling, 15 %."
    )
    assert second == (
        "At the original's rate of 100 billion multiply-adds a second it would take 20.0 ms; most is lost in "
        "the 1x1 factors (30.0 ms: they get 25 billion of those done in a second, 10 a byte that they move) and in "
        "everything else (10.0 ms: no multiply-adds to save there, 10.0 ms before)."
    )


STARVED = factorised(40, 15, thin_mb=400)
CONNECTED = profiled(part("fc", "dense", "linear", 0.1, 400, 100))
SMALLER = profiled(part("fc", "core", "linear", 0.05, 100, 20), part("a", "core", "core", 0, 1, 0, "5x5"))
CASES = [
    (DENSE, STARVED, ROOF, "2.5 a byte that they move, and this machine's memory keeps up from 5 on", "won"),
    (DENSE, STARVED, None, "the 1x1 factors (30.0 ms", "memory"),
    (DENSE, factorised(8, 40), ROOF, "the 3x3 cores (30.0 ms: they get 25 billion", "1x1 factors ("),
    (DENSE, factorised(10, 10, other=50), ROOF, "most is lost in everything else (50.0 ms", "cores ("),
    (DENSE, DENSE, ROOF, "With as many multiply-adds the compressed network is as fast as before", "promise"),
    (DENSE, factorised(100, 40), None, "x5.00 fewer multiply-adds the compressed network is x1.50 slower", "faster"),
    (factorised(10, 10), DENSE, None, "x5.00 more multiply-adds the compressed network is x3.33 slower", "promise"),
    (CONNECTED, SMALLER, ROOF, "is x5.00 faster (20.0 ms instead of 100 ms), 250 % of what they promise", "lost"),
    (CONNECTED, SMALLER, ROOF, "most is won in the fully connected layers (30.0 ms: they get 2.5 billion", "5x5"),
]


@pytest.mark.parametrize(("before", "after", "roof", "said", "not_said"), CASES)
def test_causes(before, after, roof, said, not_said):
    text = " ".join(sentences(before, after, roof))
    assert said in text
    assert not_said not in text


def test_what_cannot_be_compared():
    for profile in (Profile(DENSE), Profile(profiled(), DENSE)):
        with pytest.raises(ValueError, match="nothing to compare"):
            explain(profile)
    for settings in ({"threads": 2}, {"device": "cuda"}):
        with pytest.raises(ValueError, match="the roofline is of the processor with 1 threads"):
            explain(Profile(DENSE, DENSE, **settings), ROOF)
