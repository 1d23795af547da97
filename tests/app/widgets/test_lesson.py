"""Lesson 0: buttons and a slider on the bundled network."""

import re

import ipywidgets as w

import workbench as wb
from tests.helpers.widgets import find, html
from workbench.app.widgets.lesson import MAX_RATIO, Lesson


def test_the_shock_and_what_comes_after():
    lesson = Lesson()
    first, second, part = (part.widget for part in (lesson.numbers(), lesson.numbers(), lesson.slider()))
    session = lesson.session
    smaller, fit = (find(first, w.Button, text) for text in ("Make it smaller", "Fit it again"))
    assert fit.disabled
    smaller.click()
    fit.click()
    assert smaller.button_style == "primary"
    plan, test = session.plan.plan, session.choose.data.test
    made = wb.decompose(session.choose.network, plan)
    expected = [wb.score(net, test).top1 for net in (session.choose.network, made, session.recover.compressed)]
    for view in (first, second):
        shown = [float(number) for number in re.findall(r"<b>([\d.]+) %</b>", html(view))]
        assert shown == [round(100 * share, 1) for share in expected]
    assert min(expected[0], expected[2]) > expected[1] + 0.2  # a shock, and it is over

    ratio = find(part, w.FloatSlider, "times less work")
    before = session.preview.found
    ratio.value = round(ratio.value + 0.04, 2)  # what the page rounds is no move
    assert session.plan.plan is plan
    ratio.value = round(plan.macs_ratio + ratio.step, 1)
    assert plan.macs_ratio + ratio.step / 2 < session.plan.plan.macs_ratio < plan.macs_ratio + 3 * ratio.step
    ratio.value = 12.0
    assert 12.0 <= session.plan.plan.macs_ratio < 13
    assert session.preview.found is not before
    ratio.value = MAX_RATIO
    assert session.plan.notice == ""
