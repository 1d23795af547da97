"""Layouts of any graph: nothing overlaps, connections go forwards, chains stay straight."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.inspect.drawing.layout import layout


@st.composite
def graphs(draw):
    """Sizes, and inputs of which each comes before what it goes into."""
    n = draw(st.integers(1, 14))
    side = st.floats(1, 80)
    sizes = draw(st.lists(st.tuples(side, side), min_size=n, max_size=n))
    inputs = [draw(st.lists(st.integers(0, i - 1), max_size=3, unique=True)) if i else [] for i in range(n)]
    return sizes, inputs


@settings(max_examples=60, deadline=None)
@given(graphs(), st.floats(0.3, 6))
def test_blocks_and_lanes_do_not_overlap_and_all_goes_forwards(graph, aspect):
    found = layout(*graph, aspect)
    assert [(b.width, b.height) for b in found.blocks] == graph[0]
    for one, other in combinations([*found.blocks, *found.lanes], 2):
        apart_x = abs(one.x - other.x) - (one.width + other.width) / 2
        apart_y = abs(one.y - other.y) - (one.height + other.height) / 2
        assert max(apart_x, apart_y) > 1, (one, other)
    for item in (*found.blocks, *found.lanes):
        assert item.x - item.width / 2 >= 0
        assert item.lane or item.x + item.width / 2 <= found.width
        assert item.y - item.height / 2 >= -0.2
        assert item.y + item.height / 2 <= found.bottoms[item.row] + 0.2
        assert all((item.row, item.x) < (after.row, after.x) for after in item.after)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_every_connection_is_a_path_of_its_own_lanes(graph):
    found = layout(*graph)
    for block, sources in zip(found.blocks, graph[1], strict=True):
        assert {start_of(item) for item in block.before} == set(sources)


def start_of(item):
    """The block that an item's lanes come from, by their links."""
    return start_of(*item.before) if item.lane else item.block
