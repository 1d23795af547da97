"""What all users can see, reach and keep: light and dark, contrast, keys, small screens, files of the figures."""

import csv
import io
from contextlib import closing
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from benchmarks._browser import BOTTOM, STEPS, collect_errors
from tests.helpers import pages as ui
from workbench.plot.colors import BLUE, DARK

pytestmark = pytest.mark.slow

TABS = ("Trade-off", "Runs", "Images", "Filters", "One layer's ranks", "Layer by layer", "The paper's table")
SPEED = ("Layers", "Energy", "Roofline", "Runtimes")
FIGURES = {
    "Singular values": ("Plan", None),
    "Stages": ("Compress", None),
    "Fine-tuning": ("Compress", None),
    "Accuracy against FLOPs": ("Compare", "Trade-off"),
    "Time of each layer": ("Speed", "Layers"),
    "Energy for one image": ("Speed", "Energy"),
    "Roofline of this machine": ("Speed", "Roofline"),
}
SCREENS = [(step, tab) for step in STEPS for tab in {"Compare": TABS, "Speed": SPEED}.get(step, (None,))]
FOCUSABLE = """() => {
  const found = '.wb button, .wb select, .wb input, .wb a[href], .wb [tabindex="0"], .wb summary, .wb .widget-readout';
  const seen = e => e.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) && !e.disabled;
  window.stops = [...document.querySelectorAll(found)].filter(e => seen(e) && (e.tabIndex >= 0 || e.isContentEditable));
  return stops.length;
}"""
BUSY = """() => [...document.querySelectorAll('.wb-jobs button')].some(
  button => button.checkVisibility({ visibilityProperty: true }))"""
FOCUSED = """() => {
  const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
  const label = [...(e.labels || [])].map(label => label.textContent).join('');
  const shown = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const ring = style.outlineStyle === 'solid' ? parseFloat(style.outlineWidth) : 0;
  return { stop: stops.indexOf(e), name: e.ariaLabel || label || e.textContent.trim(), ring, shown };
}"""
BEYOND = """() => {
  const root = document.querySelector('.wb'), edge = root.getBoundingClientRect().right, found = [];
  const own = '.wb-table, .wb-scroll, .wb-figure, .noUi-target'; // these scroll by themselves, or draw by themselves
  for (let e = root; e; e = e.parentElement) if (e.scrollWidth > e.clientWidth) found.push(e.className + ' scrolls');
  for (const e of root.querySelectorAll('*')) {
    if (!e.checkVisibility({ visibilityProperty: true }) || e.closest(own)) continue;
    const box = e.getBoundingClientRect(), cut = e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0;
    const dots = getComputedStyle(e).textOverflow === 'ellipsis' && e.closest('.wb-picture, .jupyter-button');
    if (box.right > edge + 1) found.push(`${e.tagName} ${e.className} is beyond the page`);
    if (cut && getComputedStyle(e).overflowX !== 'visible' && !dots) {
      found.push(`${e.tagName} ${e.className} is cut off: ${e.textContent.trim().slice(0, 40)}`);
    }
  }
  return found;
}"""
OVERLAP = """() => [...document.querySelectorAll('.wb-figure')].filter(box => {
  const [legend, title] = ['.legend', '.xtitle'].map(part => box.querySelector(part)?.getBoundingClientRect());
  return legend && title && legend.height && legend.top < title.bottom && legend.bottom > title.top;
}).map(box => box.getAttribute('aria-label'))"""
POINTS = """label => {
  const box = document.querySelector(`.wb-figure[aria-label="${label}"]`);
  const real = (trace, own) => trace.visible === true && trace.mode !== 'text' && (own.name || own.hovertemplate);
  const text = value => String(value).replaceAll('<br>', '; ').replace(/<.?b>/g, '');
  return box._fullData.filter((trace, i) => real(trace, box.data[i])).flatMap(trace =>
    [...trace.x].map((x, i) => [x, trace.y[i]]).filter(([x, y]) => x != null && y != null).map(p => p.map(text)));
}"""
SMALL = """() => [...document.querySelectorAll('.wb button, .wb select, .wb input, .wb a, .wb tbody tr, .wb [role=tab],'
    + '.wb .noUi-handle, .wb .widget-readout')]
  .filter(e => e.checkVisibility({ visibilityProperty: true }))
  .map(e => [e.textContent.trim().slice(0, 30) || e.className, e.getBoundingClientRect()])
  .filter(([, box]) => Math.min(box.width, box.height) < 24)
  .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""


@pytest.fixture(scope="module")
def journey(browser, voila):
    """A page on which every figure has something to show."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.problems = collect_errors(page)
    ui.opened(page, voila)
    ui.press(page, "Compress")
    ui.wait_for_text(page, "Press Calibrate")
    ui.fill(page, "epochs", 2)
    ui.press(page, "Fine-tune")
    ui.wait_for_tuned(page)
    ui.expert(page)
    ui.open_step(page, "Speed")
    page.get_by_label("runtimes").select_option(label=["PyTorch"])
    ui.press(page, "Measure")
    ui.wait_for_text(page, "of what counting promises", seconds=120)
    ui.wait_for_points(page, "compressed: cores", 1, "Roofline of this machine")
    yield page
    assert page.problems == []
    context.close()


def scheme(page, name):
    page.emulate_media(color_scheme=name)
    script = """([dark, color]) => {
      const ticks = [...document.querySelectorAll('.wb-figure .xtick text')].filter(t => t.checkVisibility());
      const drawn = document.querySelector('.wb-figure[aria-label="Singular values"]').data[0].marker.color === color;
      const inks = ticks.every(t => (Number(getComputedStyle(t).fill.match(/[0-9.]+/)[0]) > 128) === dark);
      return document.body.dataset.jpThemeLight === String(!dark) && drawn && inks;
    }"""
    page.wait_for_function(script, arg=[name == "dark", DARK[BLUE] if name == "dark" else BLUE])


@pytest.mark.parametrize(("name", "rules"), [("light", {}), ("dark", {"runOnly": ["color-contrast"]})])
def test_axe_finds_nothing_serious(journey, name, rules):
    scheme(journey, name)
    for step, tab in SCREENS:
        ui.open_step(journey, step, tab)
        journey.wait_for_timeout(300)
        for _ in range(5):  # a busy machine paints late, and half a page in the other colours has little contrast
            violations = Axe().run(journey, options=rules).response["violations"]
            found = [v for v in violations if v["impact"] in ("serious", "critical")]
            serious = {v["id"]: [n["html"] for n in v["nodes"]] for v in found}
            if not serious:
                break
            journey.wait_for_timeout(1000)
        assert serious == {}, (step, tab)


def test_the_page_follows_the_system_and_says_what_it_is(journey):
    script = "s => getComputedStyle(document.querySelector(s)).backgroundColor.match(/[0-9.]+/g).map(Number)"
    places = (".wb", ".wb-panel", ".wb-table", ".wb select", ".wb input[type=text], .wb input[type=number]")
    for name in ("light", "dark"):
        scheme(journey, name)
        paper = [np.mean(journey.evaluate(script, place)[:3]) for place in places]
        assert max(paper) < 50 if name == "dark" else min(paper) > 235
    assert journey.title() == "Workbench"
    assert journey.evaluate("document.documentElement.lang") == "en"
    levels = journey.evaluate("[...document.querySelectorAll('.wb :is(h1, h2, h3)')].map(h => Number(h.tagName[1]))")
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_keyboard_reaches_everything_in_order(journey):
    journey.set_viewport_size({"width": 1280, "height": 800})
    scheme(journey, "light")
    found = set()
    for step, tab in SCREENS:
        if tab not in (None, "Trade-off", "Runs", SPEED[0]):
            continue
        ui.open_step(journey, step, tab)
        journey.wait_for_timeout(600)  # then a picture is being looked at, which changes what can be focused
        ui.wait_for(journey, BUSY, False)
        journey.locator(".wb-go").first.focus()
        stops = journey.evaluate(FOCUSABLE)
        assert stops > 12
        walk = [journey.evaluate(FOCUSED)]
        for _ in range(stops - 1):
            journey.keyboard.press("Tab")
            walk.append(journey.evaluate(FOCUSED))
        assert [(at["stop"], at["name"]) for at in walk] == [(i, at["name"]) for i, at in enumerate(walk)]
        assert [at for at in walk if not at["name"] or not at["shown"]] == []
        assert [at["name"] for at in walk[1:] if at["ring"] < 2] == []  # the first had its focus from a script
        found |= {at["name"] for at in walk}
    names = ("Network", "Compress", "input rank", "epochs", "Sweep", "Measure", "Make .pte", "Save Stages as PNG")
    assert set(names) <= found

    # What a mouse does, the keys do; the rail shows one step.
    ui.open_step(journey, "Look")
    for key, step in (("ArrowDown", "Plan"), ("ArrowUp", "Look"), ("ArrowUp", "Choose"), ("ArrowUp", "Choose")):
        journey.keyboard.press(key)
        current = journey.locator(".wb-go[aria-current]")
        assert (current.count(), journey.locator(".wb-panel:visible").count()) == (1, 1)
        assert step in current.inner_text()
    ui.open_step(journey, "Compare", TABS[0])
    journey.get_by_role("tab", name=TABS[0]).focus()
    for key, name in (("ArrowRight", TABS[1]), ("ArrowLeft", TABS[0])):
        journey.keyboard.press(key)
        journey.keyboard.press("Enter")
        assert journey.get_by_role("tab", name=name).get_attribute("aria-selected") == "true"


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1180, 820), (820, 1180)])
def test_nothing_is_cut_off(journey, width, height):
    journey.set_viewport_size({"width": width, "height": height})
    for step, tab in SCREENS:
        ui.open_step(journey, step, tab)
        journey.wait_for_timeout(300)
        ui.wait_for(journey, BEYOND, [])
        ui.wait_for(journey, OVERLAP, [])


def test_a_step_fits_on_a_screen(journey):
    journey.set_viewport_size({"width": 1440, "height": 900})
    scheme(journey, "light")
    for expert in (True, False):
        ui.expert(journey, expert)
        for step in STEPS:
            ui.open_step(journey, step, "Trade-off" if step == "Compare" else None)
            journey.wait_for_timeout(600)
            assert journey.evaluate(BOTTOM) <= 900, (step, expert)
    ui.expert(journey)


def check_places_without_content(page):
    """Each is a line that says what is missing."""
    empty = """() => [...document.querySelectorAll('.wb-figure-box')].filter(
      box => !box.querySelector('[aria-label="Its factors"]')  // drawn once this view of the layer is picked
    ).map(box => {
      const words = box.querySelector('p'), figure = box.querySelector('.wb-figure');
      return [figure.classList.contains('wb-nothing'), words.hidden, words.textContent.length > 10];
    })"""
    ui.until(page, lambda: sum(row[0] for row in page.evaluate(empty)) == 6, lambda: page.evaluate(empty), 60)
    found = page.evaluate(empty)
    assert len(found) == 9
    assert {tuple(row) for row in found} == {(True, False, True), (False, True, False)}


def test_a_fresh_page_and_a_finger_that_hits_what_it_points_at(browser, voila):
    size = {"width": 1180, "height": 820}
    with closing(browser.new_context(viewport=size, has_touch=True, is_mobile=True)) as context:
        page = context.new_page()
        ui.opened(page, voila)
        check_places_without_content(page)
        assert page.evaluate("matchMedia('(pointer: coarse)').matches")
        for step in STEPS:
            ui.open_step(page, step)
            ui.wait_for(page, SMALL, [])
            ui.wait_for(page, BEYOND, [])
        dragged = "() => [...new Set([...document.querySelectorAll('.wb-figure')].map(b => b._fullLayout?.dragmode))]"
        ui.wait_for(page, dragged, [False])  # a finger on a figure scrolls the page
        ui.open_step(page, "Look")
        page.locator(".wb-table tbody tr", has_text="features.7").tap()
        ui.wait_for_selected(page, "features.7")


def downloaded(page, control, name):
    """What a control saves under that name; pressed by key."""
    page.wait_for_timeout(200)  # Chromium drops the eleventh download in a second
    with page.expect_download() as waiting:
        control.press("Enter")
    assert waiting.value.suggested_filename == name
    return waiting.value.path().read_bytes()


def saved(page, figure, kind):
    ui.open_step(page, *FIGURES[figure])
    control = page.get_by_role("group", name=f"Save {figure}", exact=True).get_by_text(kind, exact=True)
    return downloaded(page, control, f"{figure.lower().replace(' ', '_')}.{kind.lower()}")


def table(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_can_be_kept(journey, figure):
    journey.set_viewport_size({"width": 1280, "height": 800})
    scheme(journey, "dark")
    png = saved(journey, figure, "PNG")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    assert (pixels == 255).mean() > 0.5
    assert (pixels < 128).any()
    svg = ElementTree.fromstring(saved(journey, figure, "SVG"))  # noqa: S314 - our own
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    ground = svg.find("{http://www.w3.org/2000/svg}rect")
    assert (ground.get("width"), ground.get("height")) == (svg.get("width"), svg.get("height"))
    assert "fill: rgb(255, 255, 255); fill-opacity: 1" in ground.get("style")
    rows = table(saved(journey, figure, "CSV"))
    assert list(rows[0]) == ["series", "x", "y", "low", "high", "about"]
    points = journey.evaluate(POINTS, figure)
    assert [[row["x"], row["y"]] for row in rows] == points != []


def test_the_numbers_are_those_of_the_network(journey, spectra):
    rows = table(saved(journey, "Singular values", "CSV"))
    shown = [float(row["y"]) for row in rows if row["about"] in ("kept", "left out")]
    found = spectra["features.3"]
    np.testing.assert_allclose(shown, [*found.singular_in, *found.singular_out], rtol=1e-6)
    ui.open_step(journey, "Look")
    layers = table(downloaded(journey, journey.get_by_role("button", name="Save Layers as CSV"), "layers.csv"))
    assert [line["layer"] for line in layers] == [spectrum.layer.name for spectrum in spectra]
    macs = [spectrum.layer.cost.macs for spectrum in spectra]
    np.testing.assert_allclose([float(line["share of MACs"]) for line in layers], np.divide(macs, spectra.total.macs))
    assert [line["EVBMF ranks"] for line in layers][1] == "14 x 16"
    ui.open_step(journey, "Compare", "Runs")
    link = journey.locator("a[download='runs.csv']")
    assert downloaded(journey, link, "runs.csv").startswith(b"run,created,network")


def test_numbers_that_are_taken_and_numbers_that_cannot_be(journey):
    """A box shows the whole number that was taken; what cannot be is said, and the old one is back."""
    for typed, taken in (("2.5", "2"), ("1e1", "1"), ("3", "3")):
        ui.fill(journey, "epochs", typed)
        assert journey.get_by_label("epochs").input_value() == taken
    for label, typed, said, old in (
        ("epochs", "5000", '"epochs" takes a whole number from 1 to 500, not 5000: nothing was changed.', "3"),
        ("learning rate", "-1", '"learning rate" takes a number from 1e-07 to 0.5, not -1', "0.001"),
    ):
        for _ in range(2):  # again: the page must not think that it is there already
            ui.fill(journey, label, typed)
            ui.wait_for_alert(journey, said)
            box = journey.get_by_label(label).element_handle()
            journey.wait_for_function("([box, old]) => box.value === old", arg=[box, old])
    ui.fill(journey, "epochs", 12)
    journey.wait_for_function("() => !document.body.innerText.includes('nothing was changed')")
