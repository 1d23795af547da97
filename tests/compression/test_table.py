import pytest

from workbench.compression.table import count, html_table, text_table, times


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.6, "1.00 k"),
        (1234, "1.23 k"),
        (61_000_000, "61.0 M"),
        (999_600, "1.00 M"),
        (15_470_000_000, "15.5 G"),
        (138_400_000, "138 M"),
    ],
)
def test_three_digits_and_a_unit(number, text):
    assert count(number) == text


def test_ratios():
    assert [times(r) for r in (1, 5.248, 17.61, 175.54)] == ["x1.00", "x5.25", "x17.6", "x176"]


def test_columns_are_aligned():
    lines = text_table(["name", "n"], [["a", "1"], ["long", "1000"]]).splitlines()
    assert lines == ["name     n", "----  ----", "a        1", "long  1000"]


def test_html_is_escaped():
    html = html_table(["<b>"], [["a & b"]], caption="x < y")
    assert "&lt;b&gt;" in html
    assert "a &amp; b" in html
    assert "x &lt; y" in html
