import pytest

import workbench as wb
from workbench.progress import remaining_seconds


@pytest.mark.parametrize(
    ("share", "elapsed", "expected"),
    [(0.25, 10.0, 30.0), (1.0, 10.0, 0.0), (1.2, 10.0, 0.0), (0.001, 10.0, None), (0.5, 1.0, None), (0.0, 60.0, None)],
)
def test_the_remaining_time_follows_from_the_share(share, elapsed, expected):
    assert remaining_seconds(share, elapsed) == expected


def test_what_is_no_progress():
    with pytest.raises(TypeError, match="progress is a function"):
        wb.analyze(wb.load_network("digits_vgg"), progress="bar")
