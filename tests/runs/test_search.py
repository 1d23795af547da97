import pytest

from workbench.runs.search import Try, best_of, lines, next_ratio


@pytest.mark.parametrize("limit", [1.2, 1.73, 2.9, 9.0])
def test_the_search_ends_near_the_largest_good_ratio(limit):
    found = [Try(2.33, limit >= 2.33)]
    while (ratio := next_ratio(found, larger=True)) is not None:
        found.append(Try(ratio, ratio <= limit))
    assert limit / 1.06 < found[best_of(found)].macs_ratio <= limit
    assert len(found) <= 9


def test_what_images_show_comes_before_what_saves_more():
    tries = [Try(9.6, True, shown=True), Try(14.1, True), Try(28.6, False)]
    assert best_of(tries) == 0
    assert best_of([Try(9.6, True), Try(14.1, True)]) == 1
    assert best_of([*tries, Try(11.0, True, shown=True)]) == 3
    assert "less sure" in lines(tries)[1]
