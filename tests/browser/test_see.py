"""Images, filters, the layer-wise table and the paper's table, as one sees them."""

import pytest

from tests.helpers.pages import opened, picture, press, settled, wait_for_points, wait_for_text

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
]  # in their order: they share a server and its runs


def tab(page, name):
    page.get_by_role("tab", name=name).click()


@pytest.mark.slow
def test_images_factors_and_the_paper(page, voila):
    opened(page, voila)
    page.wait_for_function("() => document.querySelectorAll('.wb-picture img').length === 12", timeout=30_000)
    press(page, "Compress")
    page.wait_for_function("() => document.querySelectorAll('.wb-picture em').length === 24", timeout=180_000)
    page.wait_for_selector(".wb-filters img")
    page.get_by_label("look for changed answers").check()
    page.wait_for_function("() => document.querySelectorAll('.wb-changed').length === 12", timeout=30_000)
    sizes = "() => [...new Set([...document.querySelectorAll('.wb-picture img')].map(i => i.naturalWidth))]"
    assert settled(page, sizes, [8]) == [8]
    page.locator(".wb-gallery").scroll_into_view_if_needed()
    page.mouse.wheel(0, 3000)
    page.wait_for_timeout(300)
    picture(page, "see-images")
    first = page.locator(".wb-picture").first.inner_html()
    press(page, "Other images")
    page.wait_for_function("t => document.querySelector('.wb-picture').innerHTML !== t", arg=first)

    tab(page, "One layer's ranks")
    press(page, "Try ranks of features.3")
    wait_for_points(page, "Accuracy against rank", "accuracy", 7)
    picture(page, "see-ranks")

    tab(page, "Layer by layer")
    wait_for_text(page, "of which: 1x1 + core + 1x1")
    picture(page, "see-layers")

    tab(page, "The paper's table")
    press(page, "Compute the table")
    wait_for_text(page, "digits_vgg is compressed and scored here on 500 images")
    text = page.locator(".wb-paper").inner_text()
    totals = ("61.0 M", "724 M", "103 M", "2.64 G", "7.00 M", "1.58 G", "138 M", "15.5 G")
    for part in (*totals, "digits_vgg *", "published"):
        assert part in text
    picture(page, "see-paper")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.problems == []
    assert page.elsewhere == []
