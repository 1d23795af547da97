"""A page on which nothing is drawn says so, loads itself again twice, and then offers a button."""

import pytest
from nbformat.v4 import new_code_cell

from tests.helpers import pages as ui
from tests.helpers.serving import serving


@pytest.mark.slow
def test_a_page_that_stays_empty(page, tmp_path):
    loads = []
    page.on("domcontentloaded", lambda page: loads.append(page))
    with serving(tmp_path, [new_code_cell("None")], settings=()) as server:
        page.goto(server.served.address, wait_until="commit")
        said = page.locator("#loading_text").inner_text()
        assert "this takes a few seconds" in said or "Loading the page again" in said  # the first load may be over
        button = page.get_by_role("button", name="Load again")
        button.wait_for()
        assert "stayed empty" in page.locator("#loading_text").inner_text()
        ui.until(page, lambda: len(loads) == 3, lambda: f"{len(loads)} loads", seconds=20)
        with page.expect_event("domcontentloaded"):
            button.click()
