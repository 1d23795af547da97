import pytest

from workbench.progress import Cancelled
from workbench.runs import search
from workbench.runs.search import Clock, OutOfTimeError, Try, best_of, lines, next_ratio, until


def tries(*found):
    return [Try(abs(ratio), ratio > 0, "lost") for ratio in found]


@pytest.mark.parametrize(
    ("found", "larger", "expected"),
    [
        ((-3.0,), False, 2.0),  # the saving is halved
        ((-3.0, -2.0), True, 1.5),
        ((-1.08,), True, None),  # too little is left
        ((2.0,), False, None),
        ((2.0,), True, 3.0),
        ((-3.0, 2.0), True, 2.5),
        ((-3.0, 2.0, -2.5), True, 2.25),
        ((2.0, -2.1), True, None),  # too close
        ((-1.5, 2.0), True, 3.0),  # that a smaller ratio failed does not matter any more
        ((1.001,), True, None),  # a plan that saves weights alone
    ],
)
def test_next_ratio(found, larger, expected):
    assert next_ratio(tries(*found), larger=larger) == expected


@pytest.mark.parametrize("limit", [1.2, 1.73, 2.9, 9.0])
def test_the_search_ends_near_the_largest_good_ratio(limit):
    found = [Try(2.33, limit >= 2.33)]
    while (ratio := next_ratio(found, larger=True)) is not None:
        found.append(Try(ratio, ratio <= limit))
    assert limit / 1.06 < found[best_of(found)].macs_ratio <= limit
    assert len(found) <= 9


def test_the_good_try_that_saves_most_is_kept_and_all_else_is_said():
    found = [Try(3.0, False, "6.0 points lost", "fine-tuning did not help"), *tries(1.5, 2.0)]
    assert best_of(found) == 2
    assert lines(found, "MACs x2.5 fewer, stopped") == (
        "try 1: MACs x3.00 fewer, 6.0 points lost, fine-tuning did not help, taken back",
        "try 2: MACs x1.50 fewer, lost, saves less than try 3",
        "try 3: MACs x2.00 fewer, lost, kept",
        "try 4: MACs x2.5 fewer, stopped",
    )
    assert lines(tries(2.0)) == ()
    assert lines(tries(-3.0, -2.0))[1] == "try 2: MACs x2.00 fewer, lost, kept, although more is lost than is tolerated"


@pytest.fixture
def now(monkeypatch):
    seconds = [1000.0]
    monkeypatch.setattr(search.time, "perf_counter", lambda: seconds[0])
    return seconds


def test_with_minutes_the_share_is_that_of_the_time(now):
    said = []
    clock = Clock(lambda share, note: said.append((share, note)), 2.0)
    now[0] += 30
    clock.of_try(1, False)(0.9, "layer")
    assert (said, clock.left) == ([(0.25, "try 1: layer")], 90.0)
    now[0] += 100
    clock.part(0.0, 1.0)(0.5, "late")
    assert said[-1] == (1.0, "late")
    clock.stops = True
    with pytest.raises(OutOfTimeError):
        clock.part(0.0, 1.0)(0.5, "late")
    assert issubclass(OutOfTimeError, Cancelled)


def test_without_minutes_each_try_takes_most_of_what_is_left(now):
    said = []
    clock = Clock(lambda share, note: said.append(share), None)
    now[0] += 1e6
    for number, last in ((1, False), (2, False), (3, True)):
        for share in (0.0, 1.0):
            clock.of_try(number, last)(share, "")
    assert said == pytest.approx([0.1, 0.775, 0.775, 0.94375, 0.94375, 1.0])
    assert clock.left == float("inf")


def test_a_step_with_a_time_of_its_own(now):
    said = []
    report = until(lambda share, note: said.append(share), 10.0)
    report(0.1, "")
    now[0] += 11
    with pytest.raises(Cancelled):
        report(0.2, "")
    assert said == [0.1]
