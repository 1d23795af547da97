import pytest

from workbench.runs.search import Try, best_of, lines, next_ratio


def tries(*found):
    return [Try(abs(ratio), ratio > 0, "lost") for ratio in found]


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
