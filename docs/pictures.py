"""``python docs/pictures.py``: the README's pictures, and the short walk, taken of the dashboard as it is served.

``python docs/pictures.py images.json`` draws what ``benchmarks.recovery --case images`` found instead.
"""

import io
import json
import os
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import workbench as wb
from benchmarks._browser import FIGURE, FLAGS, chromium, dashboard

HERE = Path(__file__).resolve().parent / "images"
SIZE = {"width": 1440, "height": 900}
SHOWN = 1800
"""Milliseconds for each picture of the walk."""


def main() -> None:
    """Take the journey on the bundled network, with a picture at every step."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        own = {"WORKBENCH_RUNS": f"{folder}/runs.sqlite", "WORKBENCH_CACHE": f"{folder}/cache"}
        with dashboard(Path(folder) / "log", variables=own) as server:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()
            page.goto(server.address, timeout=120_000)
            page.wait_for_selector(FIGURE, state="attached", timeout=120_000)
            page.wait_for_selector("text=The plan: ", timeout=120_000)
            page.wait_for_timeout(1500)
            walk = [shot(page)]
            for number in (2, 3):
                walk.append(lead(page, number))
            slider = page.locator(".widget-slider", has_text="input rank").locator(".noUi-handle")
            slider.focus()
            for _ in range(4):
                page.keyboard.press("ArrowLeft")
            page.wait_for_timeout(1200)
            walk.append(shot(page))
            save(walk[-1], "dashboard.png")
            page.keyboard.press("Control+z")
            press(page, "Compress for me")
            page.wait_for_selector("text=Next: Speed", timeout=600_000)
            page.wait_for_timeout(1000)
            walk.append(shot(page))
            save(walk[-1], "recovered.png")
            walk.append(lead(page, 5))
            press(page, "Next: Speed")
            press(page, "Measure")
            page.wait_for_selector("text=Next: Take home", timeout=180_000)
            page.wait_for_timeout(1500)
            walk += [lead(page, 6), lead(page, 7)]
            dark = page.context.browser.new_context(viewport=SIZE, color_scheme="dark").new_page()
            dark.goto(server.address, timeout=120_000)
            dark.wait_for_selector(FIGURE, state="attached", timeout=120_000)
            lead(dark, 2)
            dark.wait_for_timeout(3000)
            save(shot(dark), "dark.png")
            browser.close()
    frames = [picture.resize((1080, 675), Image.Resampling.LANCZOS).quantize(96) for picture in walk]
    frames[0].save(HERE / "walk.gif", save_all=True, append_images=frames[1:], duration=SHOWN, loop=0, optimize=True)


def drawing() -> None:
    """The paper's GoogLeNet with its real weights, which are not part of the project, at EVBMF ranks."""
    shared = Path(os.environ.get("WORKBENCH_SHARED_DATA", HERE.parents[2] / "shared" / "data"))
    network = wb.load_network("googlenet_bvlc", weights=str(shared / "googlenet_bvlc.safetensors"))
    wb.plot.network(wb.evbmf_plan(wb.analyze(network))).save(HERE / "network.svg")


def images_needed(results: Path) -> None:
    """Draw the points lost by the number of images, calibrated and distilled, with their intervals."""
    from workbench.plot.static.base import NotebookFigure

    found = json.loads(results.read_text(encoding="utf-8"))
    figure = NotebookFigure(figsize=(8.4, 3.4), layout="constrained")
    names = {"googlenet": "GoogLeNet, top-5", "resnet20": "ResNet-20, top-1"}
    for axes, (name, title) in zip(figure.subplots(1, 2), names.items(), strict=True):
        points = found[name]["points"]
        x = [point["images"] for point in points]
        for stage, color, shift in (("calibrated", "#0072B2", 0.96), ("distilled", "#E69F00", 1.04)):
            y = [point[stage]["lost"] for point in points]
            ends = [[v - p[stage]["low"], p[stage]["high"] - v] for v, p in zip(y, points, strict=True)]
            at = [shift * n for n in x]
            axes.errorbar(at, y, yerr=list(zip(*ends, strict=True)), fmt="o-", color=color, capsize=3, label=stage)
        axes.axhline(0, color="#7B8794", linewidth=1)
        axes.set(xscale="log", xticks=x, xlabel="images without labels", ylabel="points lost")
        axes.set_xticks(x, [str(n) for n in x])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(f"{title}, MACs x{found[name]['macs_ratio']:.2f} fewer", fontsize=10)
        axes.legend(frameon=False)
    figure.savefig(HERE / "images_needed.png", dpi=110)


def shot(page: Page) -> Image.Image:
    """What the page shows now."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def lead(page: Page, number: int) -> Image.Image:
    """A step, by the rail."""
    page.locator(".wb-go").nth(number - 1).click()
    page.wait_for_timeout(1500)
    return shot(page)


def press(page: Page, name: str) -> None:
    """A button, by its words."""
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_timeout(500)


def save(picture: Image.Image, name: str) -> None:
    """As a PNG of all colours: of a few, those of the legend would not be told apart."""
    picture.save(HERE / name, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        images_needed(Path(sys.argv[1]))
    else:
        drawing()
        main()
