"""The whole journey, as a user takes it, in Voila."""

import re

import pytest
from playwright.sync_api import expect
from plotly.offline import get_plotlyjs

from benchmarks._browser import FIGURE
from tests.helpers import pages as ui

RUNS = "n => document.querySelectorAll('[aria-label=Runs] tbody tr').length >= n"


def test_the_whole_journey(page, voila):
    # Page to figure.
    ui.opened(page, voila)
    page.wait_for_selector(FIGURE, state="attached", timeout=180_000)
    assert page.locator(".wb-table").first.locator("tbody tr").count() == 8
    ui.wait_for_tile(page, "work", "x5.25 fewer")

    # A rank slider: cost, error and spectrum follow.
    ui.wait_for_selected(page, "features.3")
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

    # The keys lead to both ends, which are those of this layer.
    for key, ranks in (("End", "32 x 16"), ("Home", "1 x 16")):
        ui.move(page, "input rank", [key])
        ui.wait_for_selected(page, ranks)

    # Another layer, by mouse and by keyboard, and back.
    ui.open_step(page, "Look")
    page.locator(".wb-table tbody tr", has_text="features.10").click()
    page.keyboard.press("ArrowDown")
    ui.open_step(page, "Plan")
    page.locator('.wb-figure[aria-label="Singular values"]', has_text="of 128").wait_for()
    ui.press(page, "Reset plan")
    ui.wait_for_text(page, "x5.25 fewer")

    # Compress, and calibrate: seconds, no labels.
    ui.press(page, "Compress")
    ui.wait_for_text(page, "Press Calibrate")
    ui.wait_for_points(page, "decomposed")
    ui.wait_for_tile(page, "score", "decomposed")
    ui.press(page, "Calibrate")
    ui.wait_for_text(page, "no loss seen")
    ui.wait_for_points(page, "calibrated")

    # Fine-tune with visible progress, to the end.
    ui.fill(page, "epochs", 8)
    ui.press(page, "Fine-tune")
    ui.wait_for_epoch(page, 8, first=3)
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


@pytest.mark.slow
def test_a_budget_and_a_baseline_from_scratch(page, voila):
    ui.opened(page, voila)
    ui.choose(page, "Ranks by", "a budget of work")
    ui.wait_for_tile(page, "work", "x2.0")
    ui.move(page, "fewer MACs, times", ["PageUp"] * 3)
    ui.wait_for_tile(page, "work", "x2.7")  # the last of the three
    ui.press(page, "Measure layers")
    ui.wait_for_text(page, "measured in the network's answers on 48 images")
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

    made = runs.count()

    # Closed and opened again: the runs are there, and one can go on with them.
    page.goto("about:blank")
    page.goto(voila.address)
    page.wait_for_function(RUNS, arg=made)
    ui.wait_for_points(page, "earlier runs", made)
    ui.open_step(page, "Compare", "Runs")
    runs.first.click()
    ui.press(page, "Go on with this run")
    ui.wait_for_points(page, "calibrated")
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


def test_the_server_brings_the_library_and_nothing_beside_it(page, voila):
    page.request.get(voila.address)  # its token becomes a cookie
    assert page.request.get(voila.url("voila/plotly/plotly.min.js")).text() == get_plotlyjs()
    for path in ("plotly/datasets/iris.csv.gz", "plotly/%2e%2e/__init__.py", "plotly/"):
        assert page.request.get(voila.url(f"voila/{path}")).status in (403, 404)


@pytest.mark.slow
def test_jupyterlab_shows_the_same(page, lab):
    ui.run_all(page, lab, "dashboard.ipynb")
    ui.wait_for_points(page, "original")
    ui.move_rank(page, 14, 2, "12 x 16")
    ui.press(page, "Undo: the ranks of features.3")
    ui.wait_for_tile(page, "work", "x5.25 fewer")
    ui.press(page, "Compress")
    ui.wait_for_points(page, "decomposed")
    ui.fill(page, "epochs", 3)
    ui.press(page, "Fine-tune")
    ui.wait_for_points(page, "fine-tuned")
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


@pytest.mark.slow
def test_one_convolution_becomes_three_in_a_walkthrough(page, lab):
    ui.run_all(page, lab, "3_one_convolution_becomes_three.ipynb")
    figure = page.locator('.wb-figure[aria-label="One convolution and the three in its place"]')
    figure.locator(".main-svg").first.wait_for(timeout=90_000)
    figure.scroll_into_view_if_needed()
    expect(figure).to_contain_text("rank_in = 14")
    expect(figure).to_contain_text("18.5 k → 3.55 k (x5.21 fewer)")
    page.get_by_role("slider").first.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(figure).to_contain_text("rank_in = 18")
    ui.press(page, "Full ranks")
    expect(figure).to_contain_text("18.5 k → 23.6 k (x1.28 more)")
    assert (
        "It does not pay. With rank_in = 32, rank_out may be at most 49."
        in page.get_by_role("status").all_inner_texts()[-1]
    )
    ui.press(page, "EVBMF ranks")
    expect(figure).to_contain_text("rank_out = 16")
    assert page.problems == []
