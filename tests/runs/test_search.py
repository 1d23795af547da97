import pytest

from workbench.runs.search import Try, best_of, next_ratio


@pytest.mark.parametrize("limit", [1.2, 1.73, 2.9, 9.0])
def test_the_search_ends_near_the_largest_good_ratio(limit):
    found = [Try(2.33, limit >= 2.33)]
    while (ratio := next_ratio(found, larger=True)) is not None:
        found.append(Try(ratio, ratio <= limit))
    assert limit / 1.06 < found[best_of(found)].macs_ratio <= limit
    assert len(found) <= 9
