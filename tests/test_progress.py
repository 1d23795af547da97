import re

import pytest

import workbench as wb
from workbench import progress
from workbench.progress import part, remaining_seconds, remaining_text, reporter


@pytest.mark.parametrize(
    ("share", "elapsed", "expected"),
    [(0.25, 10.0, 30.0), (1.0, 10.0, 0.0), (1.2, 10.0, 0.0), (0.001, 10.0, None), (0.5, 1.0, None), (0.0, 60.0, None)],
)
def test_the_remaining_time_follows_from_the_share(share, elapsed, expected):
    assert remaining_seconds(share, elapsed) == expected


@pytest.mark.parametrize(("seconds", "text"), [(8.4, "8 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s")])
def test_in_words(seconds, text):
    assert remaining_text(seconds) == f"about {text} left"


def test_a_bar_says_how_long(monkeypatch, capsys):
    clock = iter([100.0, 101.0, 110.0, 140.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    report = part(reporter(True), 0.0, 0.5)
    report(0.02, "first")
    report(0.4, "a note that is cut off where it is longer than the line has room for it")
    report(2.0, "")
    first, second, end = capsys.readouterr().err.split("\r")[1:]
    assert "first" in first
    assert "left" not in first
    assert re.search(r" 20% a note .* about 40 s left *$", second)
    assert len(second) < 110
    assert end.endswith("\n")
    assert "left" not in end


def test_what_is_no_progress():
    with pytest.raises(TypeError, match="progress is a function"):
        wb.analyze(wb.load_network("digits_vgg"), progress="bar")
