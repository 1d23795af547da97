"""A page that is loaded again, a kernel that is killed, two tabs: what happens, and what is said."""

import re

import pytest
from playwright.sync_api import expect

from tests.helpers import pages as ui

EPOCHS = 16


@pytest.mark.slow
def test_training_that_is_cut_off_goes_on(page, voila):
    """The page is loaded again, then its kernel is killed; training ends with the epochs from before."""
    ui.opened(page, voila)
    ui.open_step(page, "Look")
    page.locator(".wb-table tbody tr", has_text="features.10").click()
    ui.move_rank(page, 27, 3, "24 x 33")
    ui.press(page, "Compress")
    ui.wait_for_text(page, "Press Calibrate")
    ui.fill(page, "epochs", EPOCHS)
    ui.press(page, "Fine-tune")
    ui.wait_for_epoch(page, EPOCHS, first=3)
    runs = page.locator(".wb-table").nth(1).locator("tbody tr")
    stored = runs.count()
    page.reload()
    go_on(page)
    assert page.problems == []
    ui.wait_for_epoch(page, EPOCHS, first=5)
    for process in voila.kernel_processes():
        process.kill()
    ui.wait_for_text(page, "does not answer")
    ui.wait_for_text(page, "your plan is kept")
    ui.button(page, "Load again").click()
    row = go_on(page)
    ui.wait_for_points(page, "training loss (right axis)", EPOCHS, "Fine-tuning", seconds=180)
    ui.wait_for_points(page, "fine-tuned")
    assert runs.count() == stored >= 1  # every stored run is there
    assert page.locator(".wb-offer").is_hidden()
    assert "features.10" in row.inner_text()
    assert "chosen by hand" in row.inner_text()


def go_on(page):
    """Take what the page offers once it has loaded again; the picked row of the layers."""
    page.wait_for_selector(".wb-table tbody tr", state="attached", timeout=180_000)
    ui.wait_for_text(page, "You were here before")
    ui.wait_for_text(page, "was cut off and can go on")
    row = page.locator(".wb-table tr.selected")
    assert "features.10" not in row.inner_text()
    ui.button(page, "Go on").click()
    ui.wait_for_text(page, "Fine-tuning run")
    return row


@pytest.mark.slow
def test_two_tabs_and_all_in_one_press(page, voila):
    ui.opened(page, voila)
    if page.locator(".wb-offer").is_visible():
        ui.button(page, "Begin anew").click()
    ui.fill(page, "minutes", 0.1)  # little more than the first try
    ui.press(page, "Compress for me")
    ui.wait_for_text(page, "for you: done after")
    ui.wait_for_text(page, "Next: Speed")
    assert "You changed the plan" not in page.evaluate(ui.SEEN)
    ui.wait_for_tile(page, "score", "calibrated")
    assert re.search(r"x\d+\.\d\d? fewer", ui.tile(page, "work"))
    ui.press(page, "Next: Speed")
    expect(page.locator(".wb-at-6")).to_be_visible()
    assert page.locator(".wb-go", has_text="Speed").get_attribute("aria-current") == "step"
    other = page.context.new_page()
    ui.opened(other, voila)
    ui.wait_for_text(other, "another session open")
    assert other.locator(".wb-offer").is_hidden()
    other.close()
    assert page.problems == []
