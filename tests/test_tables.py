from workbench.tables import compared, count, html_table, quantity, times


def test_numbers_have_three_digits_and_a_unit():
    counts = {0: "0", 999.6: "1.00 k", 61_000_000: "61.0 M", 999_600: "1.00 M", 15_470_000_000: "15.5 G"}
    assert {number: count(number) for number in counts} == counts
    seconds = {0: "0.00 s", 0.0009996: "1.00 ms", 4.56e-5: "45.6 µs", 1.625e-10: "162 ps", 2.64e10: "26.4 Gs"}
    assert {number: quantity(number, "s") for number in seconds} == seconds
    assert [times(r) for r in (1, 5.248, 17.61, 175.54)] == ["x1.00", "x5.25", "x17.6", "x176"]


def test_a_ratio_of_measured_values_is_said_in_its_direction():
    found = [compared(gain, "faster", "slower", "as fast") for gain in (0.5, 0.98, 1.02, 1.42)]
    assert found == ["x2.00 slower", "as fast", "as fast", "x1.42 faster"]
    assert [compared(gain, "less", "more") for gain in (0.98, 1)] == ["x1.02 more", "x1.00 less"]


def test_html_is_escaped():
    html = html_table(["<b>"], [["a & b"]], caption="x < y")
    assert "&lt;b&gt;" in html
    assert "a &amp; b" in html
    assert "x &lt; y" in html
