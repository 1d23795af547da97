"""Drive the dashboard's page in a real browser."""

import re
import time

from playwright.sync_api import expect

from benchmarks._browser import REACH, step_button

CHART = "Accuracy against FLOPs"
TILES = ("work", "size", "time", "energy", "score")
SEEN = "() => [document.body, ...document.querySelectorAll('.wb-panel')].map(e => e.innerText).join('\\n')"


def open_step(page, name, tab=None):
    """Show a step, through the rail, and a tab of it."""
    step_button(page, name).click()
    expect(page.locator(".wb-panel:visible")).to_have_count(1)
    if tab is not None:
        page.get_by_role("tab", name=tab, exact=True).click()


def expert(page, on=True):
    page.locator(".wb-expert-switch input").set_checked(on)


def reach(found):
    """A control, once the step that holds it is shown."""
    found.evaluate(REACH)
    return found


def until(page, met, words, seconds=180):
    """Ask the page until something is met; what is said otherwise is a function too."""
    deadline = time.time() + seconds
    while not met():
        assert time.time() < deadline, words()
        page.wait_for_timeout(50)


def tile(page, name):
    return page.locator(".wb-tile").nth(TILES.index(name)).inner_text()


def wait_for_tile(page, name, text):
    expect(page.locator(".wb-tile").nth(TILES.index(name))).to_contain_text(text, use_inner_text=True, timeout=180_000)


def plot(page, label=CHART):
    """Number of points of each trace of the figure with that label."""
    script = """label => {
      const box = document.querySelector(`.wb-figure[aria-label="${label}"]`);
      const number = trace => trace.filter(point => point.x !== undefined).length;
      return (box && box.calcdata || []).map(t => [t[0].trace.name, number(t)]);
    }"""
    return dict(page.evaluate(script, label))


def wait_for_points(page, name, number=1, label=CHART, seconds=180):
    until(page, lambda: plot(page, label).get(name, 0) >= number, lambda: f"{label}: {plot(page, label)}", seconds)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True, include_hidden=True)


def press(page, name):
    """Click a button until the page has noticed: what moves under the pointer between down and up is not clicked."""
    found = reach(button(page, name))
    listen = "e => e.addEventListener('click', () => { window.heard = true; }, { once: true })"
    page.evaluate("window.heard = false")
    found.evaluate(listen)
    found.click()
    while not page.evaluate("window.heard"):  # asked of the page: the click may have renamed the button
        found.click()


def wait_for_text(page, text, seconds=180):
    def seen():
        return page.evaluate(SEEN)

    until(page, lambda: text in seen(), lambda: f"{text} is not in {seen()}, console: {page.problems}", seconds)


def wait_for_epoch(page, epochs, first=1):
    """Until an epoch is reported that is not before ``first``: what lies between two looks at the page is not seen."""
    script = """([epochs, first]) => {
      const found = document.body.innerText.match(new RegExp(`epoch ([0-9]+) of ${epochs}`));
      return found && Number(found[1]) >= first;
    }"""
    page.wait_for_function(script, arg=[epochs, first], timeout=180_000)


def wait_for_tuned(page):
    """The number of the run is that of a store that other tests write to as well."""
    page.get_by_text(re.compile(r"Fine-tuning run \d+: done after")).first.wait_for(timeout=180_000)


def wait_for_selected(page, text):
    """Until the picked row of the layers says that."""
    expect(page.locator(".wb-table tr.selected").first).to_contain_text(text)


def move(page, label, keys):
    handle = page.locator(".widget-slider", has_text=label).locator(".noUi-handle")
    reach(handle).wait_for()  # what is hidden takes no focus, and focus() does not wait
    handle.focus()
    for key in keys:
        page.keyboard.press(key)


def wait_for(page, script, want):
    """Until a script gives what is wanted."""
    until(page, lambda: page.evaluate(script) == want, lambda: page.evaluate(script), seconds=20)


def move_rank(page, start, steps, ranks):
    """The input rank from where it is for the picked layer, down by so many steps, until the table shows the last."""
    script = "n => [...document.querySelectorAll('.noUi-handle')].some(h => Number(h.ariaValueNow) === n)"
    page.wait_for_function(script, arg=start)
    move(page, "input rank", ["ArrowLeft"] * steps)
    wait_for_selected(page, ranks)
    wait_for_text(page, "chosen by hand")


def kept(page):
    """How many directions of each unfolding the drawn figure shows as kept, and how many bars there are."""
    script = """() => {
      const box = document.querySelector('.wb-figure[aria-label="Singular values"]');
      const drawn = box.querySelectorAll('.shapelayer path').length;
      const shapes = box._fullLayout.shapes.filter(shape => shape.name === 'kept');
      const bars = [...box.querySelectorAll('.trace.bars')].map(t => t.querySelectorAll('.point').length);
      return [shapes.map(shape => shape.x1 - 0.5), bars.filter(n => n > 1), drawn];
    }"""
    return page.evaluate(script)


def opened(page, server):
    """The page, once the bundled network is open and scored."""
    page.goto(server.address, timeout=120_000)
    page.wait_for_selector(".wb-table tbody tr", state="attached", timeout=180_000)
    wait_for_points(page, "original")


def choose(page, label, value):
    reach(page.get_by_role("combobox", name=label, exact=True, include_hidden=True)).select_option(value)


def fill(page, label, value):
    box = reach(page.get_by_label(label))
    box.fill(str(value))
    box.press("Tab")


def wait_for_alert(page, text):
    page.locator("[role=alert]:visible", has_text=text).first.wait_for()


def take_home(page, kind, folder):
    """Make a file of a kind, and save it; its path."""
    press(page, f"Make {kind}")
    save = page.locator(".wb-line", has_text=f"Make {kind}").get_by_role("button", name="Download")
    save.and_(page.locator(":enabled")).wait_for()
    with page.expect_download() as waiting:
        save.click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


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
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").first

    def has_run():
        if (said := prompt.text_content().strip()) == "[ ]:":
            for item in ("Run", "Run All Cells"):
                page.get_by_role("menuitem", name=item, exact=True).click()
            page.wait_for_timeout(1000)
        return re.fullmatch(r"\[\d+\]:", said)

    until(page, has_run, lambda: f"the first cell still says {prompt.text_content()}", 120)
