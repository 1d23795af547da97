"""Drive the dashboard's page in a real browser."""

import json
import re
import time


def card(page, number):
    return page.locator(".wb-figures").nth(number).inner_text()


def wait_for_card(page, number, text):
    script = "([n, t]) => document.querySelectorAll('.wb-figures')[n].innerText.includes(t)"
    page.wait_for_function(script, arg=[number, text], timeout=180_000)


def plot(page, label):
    """Number of points of each trace of the figure with that label."""
    script = """label => {
      const box = document.querySelector(`.wb-figure[aria-label="${label}"]`);
      const number = trace => trace.filter(point => point.x !== undefined).length;
      return JSON.stringify((box && box.calcdata || []).map(t => [t[0].trace.name, number(t)]));
    }"""
    return dict(json.loads(page.evaluate(script, label)))


def wait_for_points(page, label, name, number, seconds=180):
    deadline = time.time() + seconds
    while plot(page, label).get(name, 0) < number:
        assert time.time() < deadline, f"{label}: {plot(page, label)}"
        page.wait_for_timeout(50)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def press(page, name):
    """Click a button until the page has noticed: what moves under the pointer between down and up is not clicked."""
    found = button(page, name)
    found.evaluate("e => { e.heard = false; e.addEventListener('click', () => { e.heard = true; }, { once: true }); }")
    found.click()
    while not found.evaluate("e => e.heard"):
        found.click()


def wait_for_text(page, text, seconds=180):
    deadline = time.time() + seconds
    while text not in (shown := page.evaluate("document.body.innerText")):
        assert time.time() < deadline, (
            f"{text} is not in {page.locator('.wb-status, .wb-error').all_inner_texts()}, {shown}, "
            f"and in the console: {getattr(page, 'problems', 'not noted')}"
        )
        page.wait_for_timeout(50)


def wait_for_epoch(page, epochs, first=1):
    """Until an epoch is reported that is not before ``first``: what lies between two looks at the page is not seen."""
    script = """([epochs, first]) => {
      const found = document.body.innerText.match(new RegExp(`epoch ([0-9]+) of ${epochs}`));
      return found && Number(found[1]) >= first;
    }"""
    page.wait_for_function(script, arg=[epochs, first], timeout=180_000)


def wait_for_tuned(page):
    """The number of the run is that of a store that other tests write to as well."""
    script = "() => /Fine-tuning run \\d+: done after/.test(document.body.innerText)"
    page.wait_for_function(script, timeout=180_000)


def move(page, label, keys):
    handle = page.locator(".widget-slider", has_text=label).locator(".noUi-handle")
    handle.wait_for()  # what is hidden takes no focus, and focus() does not wait
    handle.focus()
    for key in keys:
        page.keyboard.press(key)


def wait_for_slider(page, number):
    """Until a slider stands there."""
    script = (
        "n => [...document.querySelectorAll('.noUi-handle')].some(h => Number(h.getAttribute('aria-valuenow')) === n)"
    )
    page.wait_for_function(script, arg=number)


def settled(page, script, want):
    """What the page says of itself, once it is as wanted: a busy machine draws late. Otherwise what it said last."""
    deadline = time.time() + 20
    while (said := page.evaluate(script)) != want and time.time() < deadline:
        page.wait_for_timeout(100)
    return said


def move_rank(page, start, steps, ranks):
    """The input rank from where it is for the picked layer, down by so many steps, until the table shows the last."""
    wait_for_slider(page, start)
    move(page, "input rank", ["ArrowLeft"] * steps)
    page.wait_for_function("t => document.querySelector('.wb-table tr.selected').innerText.includes(t)", arg=ranks)
    wait_for_text(page, "chosen by hand")


def kept(page):
    """How many directions of each unfolding the drawn figure shows as kept, and how many bars there are."""
    script = """() => {
      const box = document.querySelector('.wb-figure[aria-label="Singular values"]');
      const drawn = box.querySelectorAll('.shapelayer path').length;
      const shapes = box._fullLayout.shapes.filter(shape => shape.name === 'kept');
      const bars = [...box.querySelectorAll('.trace.bars')].map(t => t.querySelectorAll('.point').length);
      return JSON.stringify([shapes.map(shape => shape.x1 - 0.5), bars.filter(n => n > 1), drawn]);
    }"""
    return json.loads(page.evaluate(script))


def opened(page, server):
    """The page, once the bundled network is open and scored."""
    page.goto(server.address)
    page.wait_for_selector(".wb-table tbody tr", timeout=180_000)
    wait_for_points(page, "Accuracy against FLOPs", "original", 1)


def fill(page, label, value):
    box = page.get_by_label(label)
    box.fill(str(value))
    box.press("Tab")


def cancel(page):
    """Press the first Cancel, which is that of the job that runs."""
    page.locator("button:visible", has_text="Cancel").first.click()


def alert(page):
    return " ".join(page.locator("[role=alert]").all_inner_texts()).strip()


def wait_for_alert(page, text):
    page.wait_for_function(
        "t => [...document.querySelectorAll('[role=alert]')].some(e => e.innerText.includes(t))", arg=text
    )


def run_all(page, lab, notebook):
    """Open a notebook in JupyterLab and run it."""
    # A busy JupyterLab that is asked to run before it has started the kernel asks which: the one it would start.
    asked = page.locator(".jp-Dialog").last
    page.add_locator_handler(asked, lambda: asked.locator(".jp-mod-accept").click(), no_wait_after=True)
    page.goto(f"{lab.address}lab/tree/{notebook}?reset")
    page.wait_for_selector(".jp-CodeCell", timeout=180_000)
    # What JupyterLab is asked while its kernel starts is lost now and then (its prompt is empty again): ask again.
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=180_000)
    page.locator(".jp-KernelName:visible", has_text="Python 3").wait_for(timeout=180_000)
    deadline = time.time() + 120
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").first
    while not re.fullmatch(r"\[\d+\]:", said := prompt.text_content().strip()):
        assert time.time() < deadline, f"the first cell still says {said}"
        if said == "[ ]:":
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_timeout(1000)
