"""The network as a drawing: picked by mouse and keys, filled as a rank moves, zoomed, saved."""

from pathlib import Path

from playwright.sync_api import expect

from tests.helpers import pages as ui

HEIGHTS = """() => Object.fromEntries([...document.querySelectorAll('.wb-graph')[0].querySelectorAll('.layer')].map(
  group => [group.dataset.layer, Number(group.querySelector('.planned').getAttribute('height'))]))"""


def test_pick_move_zoom_and_save(page, voila):
    ui.opened(page, voila)
    ui.open_step(page, "Plan")
    graph = page.locator(".wb-graph:visible")
    graph.locator('[data-layer="features.7"]').click()
    ui.wait_for_selected(page, "features.7")
    assert graph.locator(".selected").get_attribute("data-layer") == "features.7"
    drawing = graph.get_by_role("listbox", name="The network, drawn")
    drawing.focus()
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    ui.wait_for_selected(page, "features.3")
    assert graph.get_by_role("option", selected=True).get_attribute("data-layer") == "features.3"

    answers, layer = page.locator(".wb-one:visible"), page.locator(".wb-layer:visible")
    expect(answers).to_contain_text("planned")
    layer.get_by_role("button", name="Its factors").click()
    expect(layer.locator('.wb-figure[aria-label="Its factors"]')).to_contain_text("R3 = 14")
    layer.get_by_role("button", name="On the picture").click()
    expect(layer.locator("img")).to_have_count(16)

    before, said = page.evaluate(HEIGHTS), answers.inner_text()
    ui.move_rank(page, 14, 4, "10 x 16")
    ui.until(page, lambda: page.evaluate(HEIGHTS) != before, lambda: page.evaluate(HEIGHTS), seconds=10)
    after = page.evaluate(HEIGHTS)
    assert [name for name in before if after[name] != before[name]] == ["features.3"]
    assert after["features.3"] < before["features.3"]
    assert "10 x 16" in graph.locator('[data-layer="features.3"]').get_attribute("aria-label")

    ui.until(page, lambda: answers.inner_text() != said, lambda: said, seconds=30)
    graph_colors = page.locator(".wb-drawing:visible")
    graph_colors.get_by_role("button", name="noise").click()
    expect(graph).to_contain_text("signal to noise")

    width = drawing.bounding_box()["width"]
    drawing.focus()
    page.keyboard.press("+")
    assert drawing.bounding_box()["width"] > 1.2 * width
    page.keyboard.press("0")
    assert abs(drawing.bounding_box()["width"] - width) < 2

    graph.hover()
    with page.expect_download() as download:
        graph.get_by_role("button", name="Save the drawing as SVG").click()
    assert download.value.suggested_filename == "digits_vgg.svg"
    assert 'data-layer="features.3"' in Path(download.value.path()).read_text(encoding="utf-8")
    assert page.problems == []
