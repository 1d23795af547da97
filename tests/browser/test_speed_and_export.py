"""Measure speed and energy, then take the network home, in the browser."""

import zipfile

import pytest

from tests.helpers.pages import opened, picture, press, wait_for_points, wait_for_text

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
]  # in their order: they share a server and its runs


@pytest.mark.slow
def test_measured_and_taken_home(page, voila, tmp_path):
    opened(page, voila)

    # A plan for this machine.
    page.get_by_label("Ranks by").select_option(label="a budget of time on this machine")
    press(page, "Time layers")
    wait_for_text(page, "Predicted by the layers", seconds=120)
    picture(page, "time-budget")

    press(page, "Compress")
    wait_for_points(page, "Accuracy against FLOPs", "decomposed", 1)
    page.get_by_label("runtimes").select_option(label=["PyTorch", "ONNX Runtime"])
    press(page, "Measure")
    wait_for_text(page, "of what counting promises", seconds=180)
    for text in ("faster", "estimate", "ONNX Runtime, batch 1, 1 thread", "multiply-adds"):
        wait_for_text(page, text, seconds=5)
    page.locator("select[multiple]").scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    picture(page, "speed")
    page.mouse.wheel(0, 700)
    page.wait_for_timeout(500)
    picture(page, "roofline")

    for kind in (".pte", ".onnx", ".zip", ".html"):
        press(page, f"Make {kind}")
        line = page.locator(".wb-line", has_text=f"Make {kind}")
        line.get_by_role("button", name="Download").and_(page.locator(":enabled")).wait_for(timeout=120_000)
        with page.expect_download() as waiting:
            line.get_by_role("button", name="Download").click()
        waiting.value.save_as(tmp_path / waiting.value.suggested_filename)
    picture(page, "export")
    files = {path.suffix: path for path in tmp_path.iterdir()}
    assert set(files) == {".pte", ".onnx", ".zip", ".html"}
    assert zipfile.ZipFile(files[".zip"]).testzip() is None
    assert b"digits_vgg" in files[".html"].read_bytes()
    import onnx

    onnx.checker.check_model(onnx.load(files[".onnx"]))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.problems == []
    assert page.elsewhere == []
