"""The interactive figure of a walkthrough, in JupyterLab, with a hand on the keys."""

import pytest

from tests.helpers import pages as ui

FIGURE = '.wb-figure[aria-label="One convolution and the three in its place"]'


def wait_for_words(page, words):
    page.wait_for_function(
        "([figure, words]) => document.querySelector(figure).textContent.includes(words)", arg=[FIGURE, words]
    )


@pytest.mark.slow
def test_one_convolution_becomes_three(page, lab):
    ui.run_all(page, lab, "3_one_convolution_becomes_three.ipynb")
    page.wait_for_selector(f"{FIGURE} .main-svg", timeout=90_000)
    page.locator(FIGURE).scroll_into_view_if_needed()
    wait_for_words(page, "R3 = 14")
    wait_for_words(page, "18.5 k → 3.55 k (x5.21 fewer)")
    page.get_by_role("slider").first.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    wait_for_words(page, "R3 = 18")
    ui.press(page, "Full ranks")
    wait_for_words(page, "18.5 k → 23.6 k (x1.28 more)")
    assert "It does not pay. With R3 = 32, R4 may be at most 49." in page.get_by_role("status").all_inner_texts()[-1]
    ui.press(page, "EVBMF ranks")
    wait_for_words(page, "R4 = 16")
    assert page.problems == []
