"""Lesson 0 as `make lesson` serves it: a shock, and what one drags."""

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from benchmarks._browser import dashboard
from tests.helpers import pages as ui


def test_a_digit_and_a_network_by_buttons_and_a_slider(page, tmp_path):
    with dashboard(tmp_path / "log", "--lesson") as server:
        page.goto(server.address)
        tiles = page.locator(".wb-three").first.locator(".wb-tile")
        expect(tiles.first).to_contain_text("digits right", timeout=90_000)
        for number, name in enumerate(("Make it smaller", "Fit it again"), start=1):
            page.get_by_role("button", name=name).first.click()
            expect(tiles.nth(number)).to_contain_text("digits right", timeout=90_000)
        right = [float(re.search(r"([\d.]+) %", text)[1]) for text in tiles.all_inner_texts()]
        assert right[1] < right[0] - 20
        assert right[2] > right[1] + 20

        answers, blocks = page.locator(".wb-one"), page.locator(".wb-graph .planned")
        expect(answers).to_contain_text("calibrated", timeout=90_000)
        heights = [block.get_attribute("height") for block in blocks.all()]
        slider = page.get_by_role("slider").first
        slider.focus()
        page.keyboard.press("PageUp")
        expect(answers).to_contain_text("planned", timeout=90_000)
        assert heights != [block.get_attribute("height") for block in blocks.all()]
        page.get_by_role("button", name="Other answer").click()
        ui.until(page, lambda: answers.get_attribute("class") != "wb-one", lambda: answers.inner_text(), 60)
        found = Axe().run(page)
        assert [v["id"] for v in found.response["violations"] if v["impact"] in ("serious", "critical")] == []

        # The lessons after it are pages of the same server, in which every figure is drawn.
        for name in ("1_a_convolution_as_a_tensor", "2_ranks_with_evbmf"):
            page.goto(server.url(f"voila/lessons/{name}.html"))
            drawn = page.locator(".wb-figure svg.main-svg").first
            expect(drawn).to_be_visible(timeout=90_000)
            assert drawn.bounding_box()["height"] > 200
        page.goto("about:blank")
    assert [text for text in page.problems if "WebSocket" not in text] == []
