"""Press enabled controls of the served dashboard at random in Chromium, then check every run that was stored.

The page begins with the paper's GoogLeNet (58 layers, random weights) on enlarged digits, and may change to the bundled
network and the bundled digits.

- `clicks`: controls that were pressed, changed or moved.
- `faults`: errors in the server's log, tracebacks from kernels, and sentences on the page about a fault.
- `console_errors`: exceptions and error messages of the page's console.
- `runs`, `inconsistent_runs`: stored runs; those whose rebuilt network differs from their plan or their scores.
- `dead`: 1 if the page or its kernel no longer answers at the end, else 0.
"""

import os
import random
import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks._browser import FIGURE, FLAGS, INSTALL_HINT, chromium, collect_errors, dashboard, step_button
from benchmarks._report import parser, report
from workbench.catalog.datasets.load import load_data
from workbench.catalog.datasets.offered import load_offered
from workbench.catalog.networks.load import load_network
from workbench.network.inputs import image_size, in_channels
from workbench.runs.run import Run, source_of
from workbench.runs.scoring import scored_stage
from workbench.runs.store import RunStore

NETWORKS = ("googlenet_bvlc", "digits_vgg")
DATA = "enlarged_digits"
N_IMAGES, IMAGE_PIXELS = 40, 224
WAIT_MS = 180_000
CLICK_MS = 1500
"""Timeout of pressing a control, which may be disabled or hidden meanwhile."""
SELF_CHECK_S = 120
"""Timeout of the page's answer at the end: one kernel computes and answers."""
ENDING_SHARE = 0.2
"""Share of the picked controls that end jobs (another network, Cancel) and are pressed; otherwise no run would end."""
CHOSEN = "data-stress"
"""Attribute that marks the control that is pressed next."""

CONTROLS = """([kinds, chosen]) => {
  const visible = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled && !e.closest('.wb-lost');
  const controls = kinds.map((kind) => [...document.querySelectorAll(kind)].filter(visible));
  window.stress = controls.map((elements) => (number) => {
    document.querySelector(`[${chosen}]`)?.removeAttribute(chosen);
    const element = elements[number];
    element.setAttribute(chosen, '');
    element.scrollIntoView({ block: 'center' });
    return [...(element.options || [])].map((option) => option.text);
  });
  return controls.map((elements) => elements.length);
}"""
ENDS_JOBS = """chosen => {
  const control = document.querySelector(`[${chosen}]`);
  return control.matches('.wb-at-1 select') || ['Cancel', 'Take back'].includes(control.textContent.trim());
}"""
KINDS = {
    "button": ".wb .jupyter-button",
    "step": ".wb .wb-go",
    "save": ".wb .wb-save button",
    "select": ".wb .widget-dropdown select",
    "multiple": ".wb .widget-select-multiple select",
    "check": ".wb input[type=checkbox]",
    "number": ".wb input[type=number]",
    "slider": ".wb .noUi-handle",
    "row": ".wb .wb-table tbody tr",
    "tab": ".wb [role=tab]",
}
WEIGHTS = {"button": 8, "slider": 5, "select": 3, "row": 3}
"""How often a kind of control is pressed, compared with the others."""


def write_digits(folder: Path) -> None:
    """Write enlarged digits as a folder of images with a table of classes, as a user would bring them."""
    split = load_data("digits").test
    images = split.images[torch.arange(N_IMAGES)].float()
    folder.mkdir(parents=True)
    lines = ["file,class_index"]
    for i in range(N_IMAGES):
        pixels = (images[i, 0] / images.max() * 255).byte().numpy()
        name = f"digit{i:02d}.png"
        Image.fromarray(np.asarray(pixels)).resize((IMAGE_PIXELS, IMAGE_PIXELS)).save(folder / name)
        lines.append(f"{name},{int(split.labels[i])}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def press(page: Any, generator: random.Random) -> str:
    """Press one control; return its kind, or "" if it could not be pressed."""
    counts = page.evaluate(CONTROLS, [list(KINDS.values()), CHOSEN])
    available = [(i, kind) for i, kind in enumerate(KINDS) if counts[i]]
    i, kind = generator.choices(available, [WEIGHTS.get(kind, 1) for _, kind in available])[0]
    options = page.evaluate("([i, n]) => stress[i](n)", [i, generator.randrange(counts[i])])
    control = page.locator(f"[{CHOSEN}]").first
    if generator.random() > ENDING_SHARE and page.evaluate(ENDS_JOBS, CHOSEN):
        return ""
    if kind in ("select", "multiple"):
        # no downloads, and no networks that take minutes
        allowed = [text for text in options if text.split()[0] in (*NETWORKS, DATA, "digits")]
        control.select_option(label=generator.choice(allowed or options), timeout=CLICK_MS)
    elif kind == "number":
        control.fill(generator.choice(("1", "2", "3", "0", "999999")), timeout=CLICK_MS)
        control.press("Tab", timeout=CLICK_MS)
    elif kind == "slider":
        control.focus(timeout=CLICK_MS)
        for _ in range(generator.randint(1, 6)):
            page.keyboard.press(generator.choice(("ArrowLeft", "ArrowRight", "PageDown", "PageUp")))
    else:
        control.click(timeout=CLICK_MS, no_wait_after=True)
    return kind


def is_responsive(page: Any) -> bool:
    """Whether picking another layer changes the page's picked layer."""
    name = """() => document.querySelectorAll('.wb-table')[0]?.querySelector(
      'tbody tr:not(.selected)')?.dataset.name"""
    try:
        other = page.evaluate(name)
        step_button(page, "Look").click(timeout=SELF_CHECK_S * 1000)
        row = page.locator(".wb-table").first.locator(f'tbody tr[data-name="{other}"]')
        row.click(timeout=SELF_CHECK_S * 1000)
        is_picked = "name => [...document.querySelectorAll('.wb h2')].some((h) => h.textContent.split(' ')[0] === name)"
        page.wait_for_function(is_picked, arg=other, timeout=SELF_CHECK_S * 1000)
        return not page.locator(".wb-lost").is_visible()
    except Exception as error:
        print(f"the page no longer answers: {error}", flush=True)
        return False


def run_problem(run: Run, store: RunStore) -> str:
    """Rebuild a stored run; return its inconsistency as a sentence, or ""."""
    network = load_network(run.network_name, **({} if run.network_name == NETWORKS[1] else {"weights": None}))
    if source_of(network) != run.settings.get("source"):
        network = load_network(run.network_name, weights=None)
    if source_of(network) != run.settings.get("source"):
        return f"its network is not the one of the catalog: {run.settings.get('source')}"
    compressed = store.load(run, network)
    if not compressed.plan.same_decisions(run.plan):
        return "the plan of its network is another one"
    last = run.last
    if last is None or not last.scores:
        return ""
    data = in_channels(network, load_offered(run.data_name, classes=network.classes, size=image_size(network)))
    scores = scored_stage(compressed, data, last.name).scores
    return "" if scores == last.scores else f"its scores are {last.scores}, its network gives {scores}"


def check_runs(file: Path) -> tuple[int, list[str]]:
    """Return the number of stored runs, and a sentence for each inconsistent one."""
    if not file.exists():
        return 0, []
    store, problems = RunStore(file), []
    for run in store.runs():
        try:
            problem = run_problem(run, store)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        problems += [f"run {run.number}: {problem}"] if problem else []
    return len(store), problems


def stress(folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Serve the dashboard, press controls for some seconds, and check the runs."""
    from playwright.sync_api import sync_playwright

    os.environ |= {"WORKBENCH_DATASETS": str(folder / "datasets"), "WORKBENCH_RUNS": str(folder / "runs.sqlite")}
    write_digits(folder / "datasets" / DATA)
    generator, log, tracebacks = random.Random(seed), folder / "log", list[str]()  # noqa: S311 - no secret
    pressed: Counter[str] = Counter()
    not_pressed = 0

    def listen(frame: Any) -> None:
        text = frame if isinstance(frame, str) else bytes(frame).decode(errors="ignore")
        if "Traceback (most recent call last)" in text or '"msg_type": "error"' in text:
            tracebacks.append(text[-2000:])

    with sync_playwright() as playwright, dashboard(log) as server:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        errors = collect_errors(page)
        page.on("websocket", lambda socket: socket.on("framereceived", listen))
        page.goto(server.address, timeout=WAIT_MS)
        page.wait_for_selector(FIGURE, state="attached", timeout=WAIT_MS)
        for label, name in (("Data", DATA), ("Network", NETWORKS[0])):
            box = page.get_by_role("combobox", name=label, exact=True)
            box.select_option(box.locator("option", has_text=name).first.inner_text())
        rows = "document.querySelectorAll('.wb-table')[0]?.querySelectorAll('tbody tr').length > 50"
        page.wait_for_function(rows, timeout=WAIT_MS)
        page.locator(".wb-expert-switch input").check()
        step_button(page, "Compress").click(timeout=WAIT_MS)
        page.get_by_role("button", name="Compress", exact=True).click(timeout=WAIT_MS)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                kind = press(page, generator)
                if kind:
                    pressed[kind] += 1
            except Exception as error:
                if "Timeout" not in str(error) and "detached" not in str(error):
                    print(str(error).splitlines()[0], flush=True)
                not_pressed += 1
        dead = int(not is_responsive(page))
        page_faults = page.evaluate("document.body.innerText").count("fault in the workbench") if not dead else 0
        browser.close()
        time.sleep(2)
    logged = [line for line in log.read_text(errors="replace").splitlines() if re.search(r"\bERROR\b|CRITICAL", line)]
    n_runs, inconsistent = check_runs(folder / "runs.sqlite")
    for text in [*logged, *tracebacks, *errors, *inconsistent]:
        print(text, flush=True)
    return {
        "clicks": sum(pressed.values()),
        "faults": len(logged) + len(tracebacks) + page_faults,
        "console_errors": len(errors),
        "inconsistent_runs": len(inconsistent),
        "dead": dead,
        "runs": n_runs,
        "pressed": dict(pressed),
        "not_pressed": not_pressed,
        "seconds": seconds,
        "seed": seed,
    }


def main() -> None:
    """Run the benchmark."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=120, help="of pressing")
    arguments.add_argument("--seed", type=int, default=1, help="of the choice of controls")
    options = arguments.parse_args()
    if chromium() is None:
        raise SystemExit(INSTALL_HINT)
    torch.set_num_threads(1)  # as the dashboard scores
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBENCH_CACHE"] = str(Path(folder) / "cache")
        report(stress(Path(folder), options.seconds, options.seed), options.json)


if __name__ == "__main__":
    main()
