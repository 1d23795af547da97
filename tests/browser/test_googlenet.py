"""The paper's GoogLeNet in the dashboard: 58 rows, and a bar wherever one waits."""

import pytest

from tests.helpers import pages as ui

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


@pytest.mark.slow
def test_googlenet_with_random_and_with_real_weights(page, voila_with_images, shared):
    ui.opened(page, voila_with_images)
    page.evaluate(WATCH)
    ui.choose(page, "Network", "googlenet_bvlc (the paper's)")
    page.wait_for_function("() => document.querySelectorAll('.wb-table tbody tr').length === 58", timeout=120_000)
    waits = page.evaluate("() => { clearInterval(window.watch); return window.waits; }")
    assert any(bar for bar, _ in waits)
    assert max(without for _, without in waits) < 1000  # milliseconds
    ui.wait_for_text(page, "Random weights")
    ui.wait_for_text(page, "No accuracy")
    page.locator("input[type=file]").first.set_input_files(shared / "googlenet_bvlc.safetensors")
    ui.wait_for_text(page, "googlenet_bvlc.safetensors, sha256")
    ui.choose(page, "Data", "sample (your images)")
    ui.wait_for_text(page, "scoring")
    ui.wait_for_points(page, "original")
    page.wait_for_function("() => Number(document.body.innerText.match(/original, on (\\d+) test images/)?.[1]) < 100")
    ui.choose(page, "Layers", "spatial convolutions only")
    ui.wait_for_text(page, "x2.33 fewer")
    ui.press(page, "Compress")
    ui.wait_for_points(page, "decomposed")
    assert "top-5" in ui.tile(page, "score")
    ui.wait_for_text(page, "Press Calibrate")
    assert page.problems == []
