"""Images, filters and tables, as one sees them; then speed and energy, and the network taken home."""

import zipfile

import onnx
import pytest
import torch
from safetensors.torch import load_file

from tests.helpers import pages as ui
from workbench.catalog.networks.load import BUNDLED


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

    for kind in (".pte", ".onnx", ".zip", ".html"):
        ui.press(page, f"Make {kind}")
        line = page.locator(".wb-line", has_text=f"Make {kind}")
        line.get_by_role("button", name="Download").and_(page.locator(":enabled")).wait_for(timeout=120_000)
        with page.expect_download() as waiting:
            line.get_by_role("button", name="Download").click()
        waiting.value.save_as(tmp_path / waiting.value.suggested_filename)
    files = {path.suffix: path for path in tmp_path.iterdir()}
    assert set(files) == {".pte", ".onnx", ".zip", ".html"}
    assert zipfile.ZipFile(files[".zip"]).testzip() is None
    assert b"digits_vgg" in files[".html"].read_bytes()
    onnx.checker.check_model(onnx.load(files[".onnx"]))
    assert page.problems == []


@pytest.mark.slow
def test_from_uploaded_weights_to_a_point_on_the_plot(page, voila, tmp_path):
    ui.opened(page, voila)
    before, file, weights = (
        ui.tile(page, "score"),
        page.locator("input[type=file]").first,
        BUNDLED / "digits_vgg.safetensors",
    )
    for name, content, said in (
        ("half.safetensors", weights.read_bytes()[:100_000], "half.safetensors"),
        ("picture.png", b"no picture", "picture.png is none of the kinds"),
    ):
        (tmp_path / name).write_bytes(content)
        file.set_input_files(tmp_path / name)
        ui.wait_for_alert(page, said)
        assert ui.tile(page, "score") == before

    noise = torch.Generator().manual_seed(0)
    worse = {
        f"module.{k}": v + 0.5 * v.std() * torch.randn(v.shape, generator=noise) if v.ndim > 1 else v
        for k, v in load_file(weights).items()
    }
    torch.save({"state_dict": worse}, tmp_path / "mine.pth")
    file.set_input_files(tmp_path / "mine.pth")
    ui.wait_for_text(page, "mine.pth, sha256")
    ui.wait_for_points(page, "original")
    assert ui.tile(page, "score") != before
    box = page.get_by_label("Weights", exact=True).element_handle()
    page.wait_for_function("box => box.value === 'mine.pth'", arg=box)
    ui.press(page, "Compress")
    ui.wait_for_points(page, "decomposed")
    assert page.problems == []
