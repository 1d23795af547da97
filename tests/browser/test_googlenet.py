"""The paper's GoogLeNet in the dashboard: 58 rows, and a bar wherever one waits."""

import pytest

from tests.helpers.pages import card, opened, press, wait_for_points, wait_for_text

WATCH = """() => {
  window.waits = [];
  let since = performance.now();
  window.watch = setInterval(() => {
    const bar = [...document.querySelectorAll('.progress')].some(b => b.checkVisibility({ visibilityProperty: true }));
    const now = performance.now();
    if (bar) since = now;
    window.waits.push([bar, now - since]);
  }, 50);
}"""


def choose(page, label, value):
    page.get_by_role("combobox", name=label, exact=True).select_option(value)


@pytest.mark.slow
def test_googlenet_opens_with_a_bar_while_one_waits(page, voila):
    opened(page, voila)
    page.evaluate(WATCH)
    choose(page, "Network", "googlenet_bvlc (the paper's)")
    page.wait_for_function("() => document.querySelectorAll('.wb-table tbody tr').length === 58", timeout=120_000)
    waits = page.evaluate("() => { clearInterval(window.watch); return window.waits; }")
    assert any(bar for bar, _ in waits)
    assert max(without for _, without in waits) < 1000  # milliseconds
    wait_for_text(page, "Random weights")
    wait_for_text(page, "No accuracy")
    assert page.problems == []


@pytest.mark.slow
def test_googlenet_with_real_weights_and_images(page, voila_with_images, shared):
    opened(page, voila_with_images)
    choose(page, "Network", "googlenet_bvlc (the paper's)")
    page.wait_for_function("() => document.querySelectorAll('.wb-table tbody tr').length === 58", timeout=120_000)
    page.locator("input[type=file]").set_input_files(shared / "googlenet_bvlc.safetensors")
    wait_for_text(page, "googlenet_bvlc.safetensors, sha256")
    choose(page, "Data", "sample (your images)")
    wait_for_text(page, "scoring")
    wait_for_points(page, "Accuracy against FLOPs", "original", 1)
    page.wait_for_function("() => Number(document.body.innerText.match(/Accuracy on (\\d+) test images/)?.[1]) < 100")
    assert "top-5" in card(page, 2)
    choose(page, "Layers", "spatial convolutions only")
    wait_for_text(page, "x2.33 fewer")
    press(page, "Compress")
    wait_for_points(page, "Accuracy against FLOPs", "decomposed", 1)
    wait_for_text(page, "Next: Calibrate")
    assert page.problems == []
