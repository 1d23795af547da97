"""Profiles made by hand, so that every number in the sentences can be checked."""

import re

import pytest

import workbench as wb
from workbench.measure.explain import explain, realised
from workbench.measure.profile_table import Profile, Row
from workbench.measure.roofline import Roofline

ROOF = Roofline(peak=100e9, bandwidth=20e9, threads=1, machine="it")  # 5 multiply-adds a byte, 20 a number


def row(layer, part, kind, gigamacs, megabytes, ms, kernel="3x3"):
    return Row(f"{layer}.{part}", int(gigamacs * 1e9), int(megabytes * 1e6), ms / 1e3, layer, part, kind, kernel)


def profiled(*rows, other=0.0, **options):
    return Profile("it", rows, other / 1e3, **options)


DENSE = profiled(row("a", "dense", "dense", 10, 100, 90), other=10)  # 100 ms: 100 billion a second


def factorised(thin_ms, core_ms, thin_mb=100, other=10):
    return profiled(
        row("a", "factor_in", "1x1", 0.5, thin_mb / 2, thin_ms / 2, "1x1"),
        row("a", "core", "core", 1.0, 10, core_ms),
        row("a", "factor_out", "1x1", 0.5, thin_mb / 2, thin_ms / 2, "1x1"),
        other=other,
    )


def sentences(text):
    return re.split(r"(?<=\.) (?=[A-Z])", text)


def test_slow_1x1_factors_are_to_blame():
    text = explain(DENSE, factorised(thin_ms=40, core_ms=15), ROOF)
    first, second = sentences(text)
    assert first == (
        "With x5.00 fewer multiply-adds the compressed network is x1.54 faster (65.0 ms instead of 100 ms), "
        "31 % of what they promise: the 1x1 factors take 62 % of its time for 50 % of the multiply-adds, "
        "the 3x3 cores 23 % for 50 %, and everything else, like activations and pooling, 15 %."
    )
    assert second == (
        "At the original's pace of 100 billion multiply-adds a second it would take 20.0 ms; most is lost in "
        "the 1x1 factors (30.0 ms: each number they load or store serves 40 multiply-adds, in the 3x3 cores 400; they "
        "get 25 billion of those done in a second, the cores 66.7 billion) and in "
        "everything else (10.0 ms: no multiply-adds to save there, 10.0 ms before)."
    )


def test_what_is_lost_adds_up():
    """By kind, time beyond the original's pace sums to what is missing: the arithmetic behind the second sentence."""
    after = factorised(thin_ms=40, core_ms=15)
    pace = DENSE.macs / DENSE.seconds
    lost = sum(g.seconds - g.macs / pace for g in after.by_kind()) + after.other
    promised = DENSE.seconds / (DENSE.macs / after.macs)
    assert lost == pytest.approx(after.seconds - promised)
    assert realised(DENSE, after) == pytest.approx(promised / after.seconds)


def test_memory_is_blamed_only_below_the_ridge():
    starved = explain(DENSE, factorised(thin_ms=40, core_ms=15, thin_mb=400), ROOF)
    assert "serves 10 multiply-adds" in starved
    assert "this machine's memory keeps up from 20 on" in starved
    assert "keeps up" not in explain(DENSE, factorised(thin_ms=40, core_ms=15), ROOF)
    assert "memory" not in explain(DENSE, factorised(thin_ms=40, core_ms=15, thin_mb=400))


def test_1x1_factors_that_are_not_slower_are_not_blamed():
    text = explain(DENSE, factorised(thin_ms=8, core_ms=40), ROOF)
    second = sentences(text)[1]
    assert "1x1" not in second
    assert (
        "the 3x3 cores (30.0 ms: they get 25 billion of those done in a second, the original 100 billion, "
        "though the memory could keep up)" in second
    )


def test_slow_1x1_factors_that_reuse_as_much_as_the_cores():
    """They are slow, but not for want of reuse: nothing is said of it."""
    text = explain(DENSE, factorised(thin_ms=60, core_ms=15, thin_mb=1), ROOF)
    assert "the 1x1 factors (50.0 ms: they get 16.7 billion of those done" in text
    assert "serves" not in text


def test_everything_else():
    second = sentences(explain(DENSE, factorised(thin_ms=10, core_ms=10, other=50), ROOF))[1]
    assert second.endswith("most is lost in everything else (50.0 ms: no multiply-adds to save there, 10.0 ms before).")


def test_fully_connected_layers_that_gain_more_than_promised():
    before = profiled(row("fc", "dense", "linear", 0.1, 400, 100), other=0)
    after = profiled(
        row("fc", "core", "linear", 0.025, 50, 10), row("fc", "factor_out", "linear", 0.025, 50, 10), other=0
    )
    first, second = sentences(explain(before, after, ROOF))
    assert "x2.00 fewer multiply-adds the compressed network is x5.00 faster" in first
    assert "250 % of what they promise" in first
    assert second == (
        "At the original's pace of 1 billion multiply-adds a second it would take 50.0 ms; most is won in the fully "
        "connected layers (30.0 ms: they get 2.5 billion of those done in a second, the original 1 billion, and they "
        "move 100 MB instead of 400 MB)."
    )


def test_layers_left_whole_win_nothing_by_themselves():
    """They were faster than the average before, too; with the slow ones gone that shows."""
    kept = row("a", "dense", "dense", 5, 50, 25)  # 200 billion a second
    before = profiled(kept, row("b", "dense", "dense", 5, 50, 75))
    after = profiled(kept, row("b", "core", "core", 0.5, 10, 10))
    second = sentences(explain(before, after))[1]
    assert second.endswith(
        "most is won in the convolutions left whole (25.0 ms: they get 200 billion of those done in a second, the "
        "original 100 billion; they got 200 billion before, too: what was reduced was slower)."
    )


def test_starved_fully_connected_layers():
    before = profiled(row("a", "dense", "dense", 10, 100, 90), row("fc", "dense", "linear", 0.1, 400, 10))
    after = profiled(
        row("a", "core", "core", 1, 10, 9),
        row("fc", "dense", "linear", 0.1, 400, 10),
        row("b", "dense", "dense", 0, 1, 0),
    )
    second = sentences(explain(before, after, ROOF))[1]
    assert "the fully connected layers (9.01 ms: each number they load or store serves 1 multiply-add, and" in second


def test_as_promised_and_slower_and_more():
    same = explain(DENSE, DENSE, ROOF)
    assert same.startswith("With as many multiply-adds the compressed network is as fast as before (100 ms instead")
    assert same.endswith("it would take 100 ms, and so it does.")
    slower = explain(DENSE, factorised(thin_ms=100, core_ms=40))
    assert "x5.00 fewer multiply-adds the compressed network is x1.50 slower" in slower
    more = explain(factorised(thin_ms=10, core_ms=10), DENSE)
    assert more.startswith("With x5.00 more multiply-adds the compressed network is x3.33 slower")
    assert "promise" not in more


def test_cores_of_several_sizes_and_convolutions_left_whole():
    after = profiled(
        row("a", "core", "core", 1, 10, 10, "5x5"),
        row("b", "core", "core", 1, 10, 10, "3x3"),
        row("c", "dense", "dense", 1, 10, 10),
    )
    text = explain(DENSE, after)
    assert "the cores take" in text
    assert "the convolutions left whole" in text


def test_what_is_next_to_nothing_is_not_named():
    tiny = row("fc", "dense", "linear", 0.0001, 0.1, 0.01)
    assert "fully" not in explain(DENSE, profiled(row("a", "core", "core", 1, 10, 10), tiny, other=10))
    assert "fully connected layers take 0 %" in explain(DENSE, profiled(tiny, other=10))


@pytest.mark.parametrize("options", [{"threads": 2}, {"batch": 2}, {"channels_last": True}, {"device": "cuda"}])
def test_profiles_that_were_not_measured_alike(options):
    other = profiled(*DENSE.rows, other=10, **options)
    with pytest.raises(ValueError, match=f"not measured alike: {next(iter(options))} is"):
        explain(DENSE, other)
    if "threads" in options or "device" in options:
        with pytest.raises(ValueError, match="the roofline is of the processor with 1 threads"):
            explain(other, other, ROOF)


def test_nothing_to_compare():
    with pytest.raises(ValueError, match="cannot be compared"):
        explain(profiled(), DENSE)


def test_two_sentences_of_a_real_network(network, smaller):
    before, after = wb.profiles([network, smaller], repeats=3)
    text = wb.explain(before, after, ROOF)
    assert len(sentences(text)) == 2
    assert f"x{before.macs / after.macs:.2f} fewer multiply-adds" in text
