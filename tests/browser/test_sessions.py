"""A page that is loaded again, a kernel that is killed, two tabs: what happens, and what is said."""

import pytest

from tests.helpers.pages import (
    button,
    card,
    fill,
    move_rank,
    opened,
    picture,
    press,
    wait_for_card,
    wait_for_points,
    wait_for_text,
)

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def training(page, epochs):
    """A compressed network that is being fine-tuned, two epochs on."""
    press(page, "Compress")
    wait_for_text(page, "Next: Calibrate")
    fill(page, "epochs", epochs)
    press(page, "Fine-tune")
    page.wait_for_function(
        "n => { const m = document.body.innerText.match(new RegExp(`epoch ([0-9]+) of ${n}`)); return m && m[1] > 2; }",
        arg=epochs,
        timeout=180_000,
    )


def goes_on(page, epochs):
    """The offer is taken; the training comes to its end, with the epochs from before."""
    wait_for_text(page, "You were here before")
    wait_for_text(page, "was cut off and can go on")
    assert "features.10" not in page.locator(".wb-table tr.selected").inner_text()
    picture(page, f"offer-{epochs}")
    button(page, "Go on").click()
    wait_for_text(page, "Fine-tuning run")
    wait_for_points(page, "Fine-tuning", "training loss (right axis)", epochs, seconds=180)
    wait_for_points(page, "Accuracy against FLOPs", "fine-tuned", 1)
    assert page.locator(".wb-offer").is_hidden()
    assert "features.10" in page.locator(".wb-table tr.selected").inner_text()
    assert "chosen by hand" in page.locator(".wb-table tr.selected").inner_text()


@pytest.mark.slow
def test_loaded_again_in_the_middle_of_training(page, voila):
    opened(page, voila)
    page.locator(".wb-table tbody tr", has_text="features.10").click()
    move_rank(page, 27, 3, "24 x 33")
    training(page, 16)
    page.reload()
    page.wait_for_selector(".wb-table tbody tr", timeout=180_000)
    goes_on(page, 16)
    assert page.problems == []
    assert page.elsewhere == []


@pytest.mark.slow
def test_a_kernel_that_is_killed_in_the_middle_of_training(page, voila):
    opened(page, voila)
    page.locator(".wb-table tbody tr", has_text="features.10").click()
    move_rank(page, 27, 2, "25 x 33")
    before = {p.pid for p in voila.kernel_processes()}
    training(page, 14)
    stored = page.locator(".wb-table").nth(1).locator("tbody tr").count()
    assert stored >= 1
    for process in voila.kernel_processes():
        if process.pid in before:
            process.kill()
    wait_for_text(page, "does not answer")
    wait_for_text(page, "your plan is kept")
    picture(page, "killed")
    button(page, "Load again").click()
    page.wait_for_selector(".wb-table tbody tr", timeout=180_000)
    goes_on(page, 14)
    assert page.locator(".wb-table").nth(1).locator("tbody tr").count() == stored  # every stored run is there
    assert page.elsewhere == []


@pytest.mark.slow
def test_two_tabs_and_all_in_one_press(page, voila):
    opened(page, voila)
    if page.locator(".wb-offer").is_visible():
        button(page, "Begin anew").click()
    press(page, "Compress for me")
    wait_for_text(page, "Next: Speed and energy")
    wait_for_card(page, 2, "calibrated")
    assert "x5.25 fewer" in card(page, 1)
    picture(page, "for-me")
    page.locator(".wb-go", has_text="Plan").click()  # leads to its card, and stays in sight itself
    page.wait_for_function("() => Math.abs(document.querySelector('.wb-at-3').getBoundingClientRect().top - 150) < 50")
    assert page.locator(".wb-go", has_text="Plan").bounding_box()["y"] < 100
    picture(page, "led")
    other = page.context.new_page()
    opened(other, voila)
    wait_for_text(other, "another session open")
    assert other.locator(".wb-offer").is_hidden()
    picture(other, "two-tabs")
    other.close()
    assert page.problems == []
