"""The whole journey, as a user takes it, in Voila."""

import re
import time

import pytest
from plotly.offline import get_plotlyjs

from tests.helpers.pages import (
    cancel,
    card,
    fill,
    kept,
    move,
    move_rank,
    opened,
    plot,
    press,
    run_all,
    wait_for_card,
    wait_for_epoch,
    wait_for_points,
    wait_for_slider,
    wait_for_text,
    wait_for_tuned,
)


def test_the_whole_journey(page, voila):
    # Page to figure.
    page.goto(voila.address)
    page.wait_for_selector(".wb-table tbody tr", timeout=180_000)
    page.wait_for_selector('.wb-figure[aria-label="Singular values"] .bars .point', timeout=180_000)
    wait_for_points(page, "Accuracy against FLOPs", "original", 1)
    assert page.locator(".wb-table").first.locator("tbody tr").count() == 8
    wait_for_card(page, 1, "x5.25 fewer")

    # A rank slider: cost, error and spectrum follow.
    row = page.locator(".wb-table tbody tr.selected")
    assert "features.3" in row.inner_text()
    wait_for_slider(page, 14)
    page.wait_for_function("() => document.querySelector('.wb-read').innerText.includes('kernel error')")
    before = (row.inner_text(), card(page, 1), page.locator(".wb-read").inner_text(), kept(page))
    assert before[3] == [[14, 16], [32, 64], 10]
    move(page, "input rank", ["ArrowLeft"] * 4)
    page.wait_for_function("() => document.querySelector('.wb-table tr.selected').innerText.includes('10 x 16')")
    page.wait_for_function("t => document.querySelectorAll('.wb-figures')[1].innerText !== t", arg=before[1])
    page.wait_for_function("t => document.querySelector('.wb-read').innerText !== t", arg=before[2])
    deadline = time.time() + 10
    while kept(page)[0] != [10, 16]:
        assert time.time() < deadline, kept(page)
        page.wait_for_timeout(50)
    wait_for_text(page, "chosen by hand")
    assert "chosen by hand" in row.inner_text()
    error = [
        float(re.search(r"([\d.]+) %", text.split("kernel error")[1])[1])
        for text in (before[2], page.locator(".wb-read").inner_text())
    ]
    assert error[1] > error[0]

    # The keys lead to both ends, which are those of this layer.
    for key, ranks in (("End", "32 x 16"), ("Home", "1 x 16")):
        move(page, "input rank", [key])
        page.wait_for_function("t => document.querySelector('.wb-table tr.selected').innerText.includes(t)", arg=ranks)

    # Another layer, by mouse and by keyboard, and back.
    page.locator(".wb-table tbody tr", has_text="features.10").click()
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "() => document.querySelector('.wb-figure[aria-label=\"Singular values\"]').innerText.includes('of 128')"
    )
    press(page, "Reset plan")
    wait_for_text(page, "x5.25 fewer")

    # Compress.
    press(page, "Compress")
    wait_for_text(page, "Next: Calibrate")
    wait_for_points(page, "Accuracy against FLOPs", "decomposed", 1)
    wait_for_card(page, 2, "decomposed")

    # Calibrate: seconds, no labels.
    press(page, "Calibrate")
    wait_for_text(page, "No loss seen")
    wait_for_points(page, "Accuracy against FLOPs", "calibrated", 1)

    # Fine-tune with visible progress, to the end.
    fill(page, "epochs", 20)
    press(page, "Fine-tune")
    wait_for_epoch(page, 20, first=3)
    widths = "bars => Math.max(...bars.map(bar => bar.getBoundingClientRect().width))"
    assert page.locator(".progress-bar").evaluate_all(widths) > 20
    wait_for_points(page, "Fine-tuning", "validation accuracy", 2)
    wait_for_points(page, "Accuracy against FLOPs", "fine-tuned", 1)
    wait_for_tuned(page)

    # Cancel stops far before the 400 epochs, which would take minutes.
    fill(page, "epochs", 400)
    press(page, "Fine-tune")
    wait_for_epoch(page, 400, first=2)
    cancel(page)
    wait_for_text(page, "cancelled after", seconds=30)
    points = plot(page, "Accuracy against FLOPs")
    assert {points[stage] for stage in ("original", "decomposed", "calibrated", "fine-tuned")} == {1}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.problems == []


def choose(page, label, value):
    page.get_by_label(label, exact=True).select_option(value)


@pytest.mark.slow
def test_a_budget_and_a_baseline_from_scratch(page, voila):
    opened(page, voila)
    choose(page, "Ranks by", "a budget of work")
    wait_for_card(page, 1, "x2.0")
    move(page, "fewer MACs, times", ["PageUp"] * 3)
    wait_for_card(page, 1, "x2.7")  # the last of the three
    press(page, "Measure layers")
    wait_for_text(page, "measured in the network's answers on 48 images")
    press(page, "Compress")
    wait_for_points(page, "Accuracy against FLOPs", "decomposed", 1)
    press(page, "Calibrate")
    wait_for_points(page, "Accuracy against FLOPs", "calibrated", 1)
    fill(page, "epochs", 2)
    press(page, "From scratch")
    wait_for_points(page, "Accuracy against FLOPs", "from scratch", 1)
    choose(page, "learn from", "labels and the original's answers")
    press(page, "Fine-tune")
    wait_for_points(page, "Accuracy against FLOPs", "fine-tuned", 1)
    wait_for_points(page, "Stages", "trace 0", 5)

    # A sweep: points appear as they are ready.
    fill(page, "budgets", 3)
    press(page, "Sweep")
    wait_for_text(page, "plan 2 of 3")
    wait_for_points(page, "Accuracy against FLOPs", "calibrated", 2)
    wait_for_points(page, "Accuracy against FLOPs", "calibrated", 4)
    wait_for_points(page, "Accuracy against FLOPs", "Pareto front", 1)
    runs = page.get_by_role("region", name="Runs").locator("tbody tr")
    page.wait_for_function("() => document.querySelectorAll('[aria-label=Runs] tbody tr').length >= 4")

    # Another one, cancelled.
    fill(page, "budgets", 12)
    press(page, "Sweep")
    wait_for_text(page, "plan 2 of 12")
    cancel(page)
    wait_for_text(page, "cancelled after")
    page.wait_for_timeout(500)
    made = runs.count()

    # Closed and opened again: the runs are there, and one can go on with them.
    page.goto("about:blank")
    page.goto(voila.address)
    page.wait_for_function("n => document.querySelectorAll('[aria-label=Runs] tbody tr').length >= n", arg=made)
    wait_for_points(page, "Accuracy against FLOPs", "earlier runs", made)
    runs.first.click()
    press(page, "Go on with this run")
    wait_for_points(page, "Accuracy against FLOPs", "calibrated", 1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.problems == []


@pytest.mark.slow
def test_a_slow_page_loses_no_widget_and_takes_its_kernel_with_it(page, voila):
    """anywidget gives up on a widget that takes more than two seconds to load; the template gives it two minutes."""
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 6})
    page.goto(voila.address, timeout=120_000)
    page.wait_for_selector(".wb-table tbody tr", timeout=120_000)
    wait_for_points(page, "Accuracy against FLOPs", "original", 1)
    press(page, "Compress")
    wait_for_points(page, "Accuracy against FLOPs", "decomposed", 1)
    page.wait_for_function("() => document.querySelectorAll('[aria-label=Runs] tbody tr').length >= 1")
    assert page.problems == []
    before = voila.kernels()
    assert before >= 1
    page.goto("about:blank")
    deadline = time.time() + 30
    while voila.kernels() >= before:
        assert time.time() < deadline, f"{voila.kernels()} kernels are still there"
        page.wait_for_timeout(100)


def test_the_server_brings_the_library_and_nothing_beside_it(page, voila):
    page.request.get(voila.address)  # its token becomes a cookie
    assert page.request.get(voila.url("voila/plotly/plotly.min.js")).text() == get_plotlyjs()
    for path in ("plotly/datasets/iris.csv.gz", "plotly/%2e%2e/__init__.py", "plotly/"):
        assert page.request.get(voila.url(f"voila/{path}")).status in (403, 404)


def test_jupyterlab_shows_the_same(page, lab):
    run_all(page, lab, "dashboard.ipynb")
    page.wait_for_selector(".wb-table tbody tr", timeout=180_000)
    wait_for_points(page, "Accuracy against FLOPs", "original", 1)
    wait_for_card(page, 1, "x5.25 fewer")
    move_rank(page, 14, 2, "12 x 16")
    press(page, "Undo")
    wait_for_card(page, 1, "x5.25 fewer")
    press(page, "Compress")
    wait_for_points(page, "Accuracy against FLOPs", "decomposed", 1)
    press(page, "Calibrate")
    wait_for_points(page, "Accuracy against FLOPs", "calibrated", 1)
    fill(page, "epochs", 3)
    press(page, "Fine-tune")
    wait_for_points(page, "Accuracy against FLOPs", "fine-tuned", 1)
    wait_for_text(page, "Next: Speed and energy")
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
        page.wait_for_function(style, arg=[".wb-card", "backgroundColor", card_color])
        page.wait_for_function(style, arg=[".wb-figure .xtick text", "fill", ink])
