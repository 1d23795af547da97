"""A page on which nothing is drawn says so, loads itself again twice, and then offers a button."""

from nbformat.v4 import new_code_cell

from tests.helpers.serving import serving


def test_a_page_that_stays_empty(page, tmp_path):
    loads = []
    page.on("domcontentloaded", lambda page: loads.append(page))
    with serving(tmp_path, [new_code_cell("None")], settings=()) as server:
        page.goto(server.served.address, wait_until="commit")
        button = page.get_by_role("button", name="Load again")
        button.wait_for()
        assert "stayed empty" in page.locator("#loading_text").inner_text()
        assert len(loads) == 3
        with page.expect_event("domcontentloaded"):
            button.click()


def test_a_page_with_widgets_loads_once(page, tmp_path):
    loads = []
    page.on("domcontentloaded", lambda page: loads.append(page))
    cell = "import time, ipywidgets as w\ntime.sleep(1)\nw.VBox([w.Label('drawn')])"
    with serving(tmp_path, [new_code_cell(cell)], settings=()) as server:
        page.goto(server.served.address, wait_until="commit")
        assert "this takes a few seconds" in page.locator("#loading_text").inner_text()
        page.get_by_text("drawn").wait_for()
        page.locator("#loading").wait_for(state="detached")
        assert len(loads) == 1
        assert page.evaluate("sessionStorage.length") == 0
