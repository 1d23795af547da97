"""The whole journey, as a user takes it, in Voila."""

import re

import pytest
from playwright.sync_api import expect
from plotly.offline import get_plotlyjs

from benchmarks._browser import FIGURE
from tests.helpers import pages as ui

HEIGHTS = """() => Object.fromEntries([...document.querySelectorAll('.wb-graph')[0].querySelectorAll('.layer')].map(
  group => [group.dataset.layer, Number(group.querySelector('.planned').getAttribute('height'))]))"""
RUNS = "n => document.querySelectorAll('[aria-label=Runs] tbody tr').length >= n"


def test_the_whole_journey(page, voila):
    # Page to figure.
    loads = []
    page.on("domcontentloaded", lambda page: loads.append(page))
    ui.opened(page, voila)
    page.wait_for_selector(FIGURE, state="attached", timeout=180_000)
    assert (len(loads), page.evaluate("sessionStorage.length")) == (1, 0)  # a page that is drawn loads once
    assert page.locator(".wb-table").first.locator("tbody tr").count() == 8
    ui.wait_for_tile(page, "work", "x5.25 fewer")

    # A rank slider: cost, error, spectrum and drawing follow.
    ui.wait_for_selected(page, "features.3")
    filled = page.evaluate(HEIGHTS)
    page.wait_for_function("() => document.querySelector('.wb-read').innerText.includes('kernel error')")
    before = (ui.tile(page, "work"), page.locator(".wb-read").inner_text())
    assert ui.kept(page) == [[14, 16], [32, 64], 10]
    ui.move_rank(page, 14, 4, "10 x 16")
    page.wait_for_function("t => document.querySelector('.wb-tile').innerText !== t", arg=before[0])
    page.wait_for_function("t => document.querySelector('.wb-read').innerText !== t", arg=before[1])
    ui.until(page, lambda: ui.kept(page)[0] == [10, 16], lambda: ui.kept(page), seconds=10)
    ui.wait_for_selected(page, "chosen by hand")
    read = (before[1], page.locator(".wb-read").inner_text())
    error = [float(re.search(r"([\d.]+) %", text.split("kernel error")[1])[1]) for text in read]
    assert error[1] > error[0]
    ui.until(page, lambda: page.evaluate(HEIGHTS) != filled, lambda: page.evaluate(HEIGHTS), seconds=10)
    after = page.evaluate(HEIGHTS)
    assert [name for name in filled if after[name] != filled[name]] == ["features.3"]
    assert after["features.3"] < filled["features.3"]

    # The keys lead to both ends, which are those of this layer.
    for key, ranks in (("End", "32 x 16"), ("Home", "1 x 16")):
        ui.move(page, "input rank", [key])
        ui.wait_for_selected(page, ranks)

    # Another layer, by mouse and by keyboard, and back.
    ui.open_step(page, "Look")
    page.locator(".wb-table tbody tr", has_text="features.10").click()
    for key, layer in (("ArrowUp", "features.7"), ("ArrowDown", "features.10"), ("ArrowDown", "features.14")):
        page.keyboard.press(key)
        ui.wait_for_selected(page, layer)
    ui.open_step(page, "Plan")
    page.locator('.wb-figure[aria-label="Singular values"]', has_text="of 128").wait_for()
    ui.press(page, "Reset plan")
    ui.wait_for_text(page, "x5.25 fewer")
    use_the_drawing(page)

    # Compress, and calibrate: seconds, no labels.
    ui.press(page, "Compress")
    ui.wait_for_text(page, "Press Calibrate")
    ui.wait_for_points(page, "decomposed")
    ui.wait_for_tile(page, "score", "decomposed")
    ui.press(page, "Calibrate")
    ui.wait_for_text(page, "no loss seen")
    ui.wait_for_points(page, "calibrated")

    # Fine-tune with visible progress, to the end.
    ui.fill(page, "epochs", 5)
    ui.press(page, "Fine-tune")
    ui.wait_for_epoch(page, 5, first=2)
    widths = "bars => Math.max(...bars.map(bar => bar.getBoundingClientRect().width))"
    assert page.locator(".progress-bar").evaluate_all(widths) > 20
    ui.wait_for_points(page, "validation accuracy", 2, "Fine-tuning")
    ui.wait_for_points(page, "fine-tuned")
    ui.wait_for_tuned(page)

    # Cancel stops far before the 400 epochs, which would take minutes.
    ui.fill(page, "epochs", 400)
    ui.press(page, "Fine-tune")
    ui.wait_for_epoch(page, 400, first=2)
    page.locator("button:visible", has_text="Cancel").first.click()  # that of the job that runs
    ui.wait_for_text(page, "cancelled after", seconds=30)
    points = ui.plot(page)
    assert {points[stage] for stage in ("original", "decomposed", "calibrated", "fine-tuned")} == {1}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.problems == []

    # The server brings the library of the figures, and nothing beside it.
    assert page.request.get(voila.url("voila/plotly/plotly.min.js")).text() == get_plotlyjs()
    for path in ("plotly/datasets/iris.csv.gz", "plotly/%2e%2e/__init__.py", "plotly/"):
        assert page.request.get(voila.url(f"voila/{path}")).status in (403, 404)


def use_the_drawing(page):
    """The network as a drawing: picked by mouse and keys, zoomed, saved."""
    graph = page.locator(".wb-graph:visible")
    drawing = graph.get_by_role("listbox", name="The network, drawn")
    graph.locator('[data-layer="features.7"]').click()
    ui.wait_for_selected(page, "features.7")
    drawing.focus()
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    ui.wait_for_selected(page, "features.3")
    assert graph.get_by_role("option", selected=True).get_attribute("data-layer") == "features.3"
    assert "14 x 16" in graph.locator('[data-layer="features.3"]').get_attribute("aria-label")
    layer = page.locator(".wb-layer:visible")
    layer.get_by_role("button", name="Its factors").click()
    expect(layer.locator('.wb-figure[aria-label="Its factors"]')).to_contain_text("rank_in = 14")
    layer.get_by_role("button", name="On the picture").click()
    expect(layer.locator("img")).to_have_count(16)
    page.locator(".wb-drawing:visible").get_by_role("button", name="noise").click()
    expect(graph).to_contain_text("signal to noise")
    layer.get_by_role("button", name="Singular values").click()
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
    assert 'data-layer="features.3"' in download.value.path().read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_budget_and_a_baseline_from_scratch(page, voila):
    ui.opened(page, voila)
    ui.choose(page, "Ranks by", "a budget of work")
    ui.wait_for_tile(page, "work", "x2.0")
    ui.move(page, "fewer MACs, times", ["PageUp"] * 3)
    ui.wait_for_tile(page, "work", "x2.7")  # the last of the three
    ui.press(page, "Measure layers")
    ui.wait_for_text(page, "on 48 images")
    ui.open_step(page, "Compress")
    ui.choose(page, "learn from", "labels and the original's answers")
    ui.fill(page, "epochs", 2)
    stages = {"Compress": "decomposed", "Calibrate": "calibrated", "From scratch": "from scratch"}
    for text, stage in {**stages, "Fine-tune": "fine-tuned"}.items():
        ui.press(page, text)
        ui.wait_for_points(page, stage)
    ui.wait_for_points(page, "trace 0", 5, "Stages")

    # A sweep: points appear as they are ready.
    ui.open_step(page, "Compare", "Runs")
    ui.fill(page, "budgets", 3)
    ui.press(page, "Sweep")
    ui.wait_for_text(page, "plan 2 of 3")
    ui.wait_for_points(page, "calibrated", 2)
    ui.wait_for_points(page, "calibrated", 4)
    ui.wait_for_points(page, "Pareto front")
    runs = page.get_by_role("region", name="Runs", include_hidden=True).locator("tbody tr")
    page.wait_for_function(RUNS, arg=4)

    # One goes on with the first of them.
    runs.last.click()
    ui.press(page, "Go on with this run")
    ui.wait_for_points(page, "from scratch")
    assert page.problems == []


@pytest.mark.slow
def test_a_slow_page_loses_no_widget_and_takes_its_kernel_with_it(page, voila):
    """anywidget gives up on a widget that takes more than two seconds to load; the template gives it two minutes."""
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 6})
    ui.opened(page, voila)
    ui.press(page, "Compress")
    ui.wait_for_points(page, "decomposed")
    page.wait_for_function(RUNS, arg=1)
    assert page.problems == []
    before = voila.kernels()
    assert before >= 1
    page.goto("about:blank")
    ui.until(page, lambda: voila.kernels() < before, lambda: f"{voila.kernels()} kernels are still there", seconds=30)


@pytest.mark.slow
def test_jupyterlab_shows_the_same(page, lab):
    ui.run_all(page, lab, "dashboard.ipynb")
    ui.wait_for_points(page, "original")
    ui.move_rank(page, 14, 2, "12 x 16")
    undo = page.get_by_role("button", name="Undo: the ranks of features.3")
    for place in (".jp-Notebook", ".wb [contenteditable=true]:visible"):  # they have an undo of their own
        page.locator(place).first.focus()
        page.keyboard.press("Control+z")
        page.wait_for_timeout(500)
        expect(undo).to_be_visible()
    undo.focus()
    page.keyboard.press("Control+z")
    ui.wait_for_tile(page, "work", "x5.25 fewer")
    assert page.locator(".wb > .wb-lost").count() == 1
    ui.press(page, "Compress")
    ui.wait_for_points(page, "decomposed")
    assert [problem for problem in page.problems if "widget" in problem.lower()] == []

    # It is as dark as JupyterLab is.
    for name, card_color, ink in (
        ("JupyterLab Dark", "rgb(27, 35, 44)", "rgb(230, 235, 240)"),
        ("JupyterLab Light", "rgb(255, 255, 255)", "rgb(31, 41, 51)"),
    ):
        page.get_by_role("menuitem", name="Settings", exact=True).click()
        page.locator(".lm-Menu-item", has_text="Theme").first.hover()
        page.locator(".lm-Menu-item", has_text=re.compile(f"^{name}$")).click()
        style = "([selector, name, color]) => getComputedStyle(document.querySelector(selector))[name] === color"
        page.wait_for_function(style, arg=[".wb-panel", "backgroundColor", card_color])
        page.wait_for_function(style, arg=[".wb-figure .xtick text", "fill", ink])
