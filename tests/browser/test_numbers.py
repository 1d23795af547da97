"""What a person types into a box for a number: taken, or a sentence and the number that was there."""

import pytest

from tests.helpers.pages import alert, fill, move, opened, wait_for_alert

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_numbers_that_cannot_be_are_said_and_the_old_one_is_back(page, voila):
    opened(page, voila)
    for label, typed, said, old in (
        ("epochs", "5000", "Epochs can be 1 to 500, not 5000: it is still 10.", "10"),
        ("learning rate", "-1", "Learning rate can be 1e-07 to 0.5, not -1.0: it is still 0.001.", "0.001"),
    ):
        box = page.get_by_label(label)
        box.fill(typed)
        box.press("Tab")
        wait_for_alert(page, said)
        page.wait_for_function("([box, old]) => box.value === old", arg=[box.element_handle(), old])
        box.fill(typed)  # again: the page must not think that it is there already
        box.press("Tab")
        page.wait_for_function("([box, old]) => box.value === old", arg=[box.element_handle(), old])
    fill(page, "epochs", 12)
    page.wait_for_function("() => !document.body.innerText.includes('Epochs can be')")
    assert "Learning rate can be" in alert(page)
    before = page.get_by_role("row", name="features.3").inner_text()
    move(page, "input rank", ["ArrowLeft"] * 3)
    page.wait_for_function(
        "before => ![...document.querySelectorAll('tr')].some(row => row.innerText === before)", arg=before
    )
    assert "nothing was changed" not in page.inner_text("body")  # what an honest page sends is taken
    assert page.problems == []
