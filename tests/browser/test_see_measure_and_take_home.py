"""Images, filters and tables, as one sees them; then speed and energy, and the network taken home."""

import zipfile

import onnx
import pytest

from tests.helpers import pages as ui


@pytest.mark.slow
def test_seen_measured_and_taken_home(page, voila, tmp_path):
    ui.opened(page, voila)
    page.wait_for_function("() => document.querySelectorAll('.wb-picture img').length === 12", timeout=30_000)
    ui.press(page, "Compress")
    page.wait_for_function("() => document.querySelectorAll('.wb-picture em').length === 24", timeout=180_000)
    page.wait_for_selector(".wb-filters img", state="attached")
    ui.open_step(page, "Compare", "Images")
    page.get_by_label("look for changed answers").check()
    page.wait_for_function("() => document.querySelectorAll('.wb-changed').length === 12", timeout=30_000)
    sizes = "() => [...new Set([...document.querySelectorAll('.wb-picture img')].map(i => i.naturalWidth))]"
    ui.wait_for(page, sizes, [8])
    first = page.locator(".wb-picture").first.inner_html()
    ui.press(page, "Other images")
    page.wait_for_function("t => document.querySelector('.wb-picture').innerHTML !== t", arg=first)

    ui.expert(page)
    ui.open_step(page, "Compare", "One layer's ranks")
    ui.press(page, "Try ranks of features.3")
    ui.wait_for_points(page, "accuracy", 7, "Accuracy against rank")

    page.get_by_role("tab", name="Layer by layer").click()
    ui.wait_for_text(page, "of which: 1x1 + core + 1x1")

    page.get_by_role("tab", name="The paper's table").click()
    ui.press(page, "Compute the table")
    ui.wait_for_text(page, "digits_vgg is compressed and scored here on 500 images")
    assert "digits_vgg *" in page.locator(".wb-paper").inner_text()

    # A plan for this machine.
    ui.choose(page, "Ranks by", "a budget of time on this machine")
    ui.press(page, "Time layers")
    ui.wait_for_text(page, "Predicted by the layers", seconds=120)

    ui.press(page, "Compress")
    ui.wait_for_points(page, "decomposed", 2)
    ui.open_step(page, "Speed")
    page.get_by_label("runtimes").select_option(label=["PyTorch", "ONNX Runtime"])
    ui.press(page, "Measure")
    ui.wait_for_text(page, "of what counting promises", seconds=180)
    ui.open_step(page, "Speed", "Runtimes")
    for text in ("faster", "estimate", "ONNX Runtime, batch 1, 1 thread", "multiply-adds"):
        ui.wait_for_text(page, text, seconds=5)

    kinds = (".pte", ".onnx", ".zip", ".html")
    _, model, archive, report = files = [ui.take_home(page, kind, tmp_path) for kind in kinds]
    assert tuple(file.suffix for file in files) == kinds
    assert zipfile.ZipFile(archive).testzip() is None
    assert b"digits_vgg" in report.read_bytes()
    onnx.checker.check_model(onnx.load(model))
    assert page.problems == []
