"""Measure the served dashboard in Chromium: latency of the sliders, time to the first figure, memory, failed loads.

- `slider_*`: milliseconds from a key press or drag on a rank slider to the frame that shows the new spectrum and costs,
  by the page's own clock, with the paper's GoogLeNet open (57 layers; with its real weights if they exist).
- `page_to_figure_s`: seconds from the address to the spectrum of the bundled network, with an empty browser cache;
  `cold` starts a kernel, `preheated` takes a standby kernel of a class server. The median of several.
- `bytes_first_page`: all bytes received over HTTP and the websocket until then.
- `users`, `failures`, `journey_s`: users who take the whole journey on the digits at once; exceptions, console errors
  and wrong final states count as failures. `memory_mb_per_user` is the memory that each kernel has to itself (USS).
- `drawing_ms_150_layers`: 95th percentile of the milliseconds from a key press on a rank slider to the frame that shows
  the new drawing, with a network of 150 layers open.
- `time_to_verdict_s`: seconds from *Compress for me* until the score of a recovered network is on the page, for the
  bundled network, and for GoogLeNet with 200 images without labels; `time_to_end_s`: until the search for more ends.
- `strings_over_90_characters`: number of longer texts in the steps, without hints, before and after compression.
- `step_heights`: pixels that each step fills at 1440 x 900, for the bundled network and GoogLeNet.
- `loads`: many page loads, six at a time, without standby kernels: how many were drawn, stayed empty, or were
  retried by the page.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._browser import (
    BOTTOM,
    FIGURE,
    FLAGS,
    INSTALL_HINT,
    STEPS,
    Served,
    chromium,
    dashboard,
    open_page,
    step_button,
)
from benchmarks._dashboard_drawing import deep_dashboard, drawing
from benchmarks._dashboard_slider import SCRIPT, latencies, open_googlenet, summary
from benchmarks._dashboard_users import users
from benchmarks._dashboard_verdict import verdicts
from benchmarks._report import parser, report

WAIT_MS = 300_000
LOADS_AT_ONCE = 6
PARTS = ("pages", "slider", "heights", "verdicts", "drawing", "loads", "users")
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(true), 0)))"


async def first_page(browser: Any, address: str) -> dict[str, float]:
    """Seconds until the figure is painted, bytes received, and reloads by the page itself, with an empty cache."""
    context = await browser.new_context(viewport={"width": 1440, "height": 1000})
    page = await context.new_page()
    devtools = await context.new_cdp_session(page)
    totals = {"seconds": 0.0, "http": 0.0, "websocket": 0.0, "reloads": -1.0}

    def add(kind: str, length: float) -> None:
        totals[kind] += length

    page.on("domcontentloaded", lambda _: add("reloads", 1))
    devtools.on("Network.loadingFinished", lambda event: add("http", event["encodedDataLength"]))
    devtools.on("Network.webSocketFrameReceived", lambda event: add("websocket", frame_bytes(event["response"])))
    await devtools.send("Network.enable")
    started = time.perf_counter()
    await page.goto(address, timeout=WAIT_MS, wait_until="commit")
    await page.wait_for_selector(FIGURE, state="attached", timeout=WAIT_MS)
    await page.evaluate(PAINTED)
    totals["seconds"] = time.perf_counter() - started
    result = dict(totals)
    await page.goto("about:blank")  # the page ends its kernel
    await context.close()
    return result


async def loads(browser: Any, server: Served, number: int) -> dict[str, Any]:
    """Load the page many times, `LOADS_AT_ONCE` at a time; return seconds and counts of the loads."""
    pages: list[dict[str, float] | BaseException] = []
    while len(pages) < number:
        at_once = min(LOADS_AT_ONCE, number - len(pages))
        pages += await asyncio.gather(
            *(first_page(browser, server.address) for _ in range(at_once)), return_exceptions=True
        )
        print_status(f"loads: {len(pages)}, {sum(isinstance(page, BaseException) for page in pages)} failed")
    drawn = [page for page in pages if not isinstance(page, BaseException)]
    return {
        "number": number,
        "at_once": LOADS_AT_ONCE,
        "drawn": len(drawn),
        "failed": number - len(drawn),
        "reloads": sum(page["reloads"] for page in drawn),
        "seconds": sorted(page["seconds"] for page in drawn),
    }


def frame_bytes(frame: dict[str, Any]) -> float:
    """Length of a websocket's message; DevTools gives binary ones in base64."""
    text = frame["payloadData"]
    return len(text) * 3 / 4 - text.count("=") if frame["opcode"] == 2 else len(text.encode())


async def wait_for_standby(server: Served, number: int) -> None:
    """Wait until `number` standby kernels are idle."""
    previous: dict[int, float] = {}
    for _ in range(300):
        await asyncio.sleep(1)
        cpu_s = {p.pid: sum(p.cpu_times()[:2]) for p in server.kernel_processes()}
        is_complete = len(cpu_s) >= number and cpu_s.keys() == previous.keys()
        if is_complete and all(cpu_s[pid] - previous[pid] < 0.05 for pid in cpu_s):
            return
        previous = cpu_s
    raise RuntimeError("the standby kernels are not ready after 5 min")


async def step_heights(browser: Any, server: Served, weights: Path) -> dict[str, dict[str, int]]:
    """Pixels that each step fills, by network and step."""
    page, _ = await open_page(browser, server.address, WAIT_MS)
    results = {}
    for network in ("digits_vgg", "googlenet_bvlc"):
        if network != "digits_vgg":
            await open_googlenet(page, weights)
        heights = {}
        for name in STEPS:
            await step_button(page, name).click()
            await page.wait_for_timeout(1000)  # figures take their size
            heights[name] = await page.evaluate(BOTTOM)
        results[network] = heights
        await step_button(page, STEPS[0]).click()
    await page.context.close()
    return results


async def slider(browser: Any, server: Served, weights: Path, layers: int) -> dict[str, Any]:
    """Latency of the rank sliders with GoogLeNet open."""
    page, errors = await open_page(browser, server.address, WAIT_MS, height=1000, script=SCRIPT)
    await open_googlenet(page, weights)
    result = summary(await latencies(page, layers))
    await page.context.close()
    return {**result, "slider_problems": errors}


def print_status(text: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


async def measure(folder: Path, weights: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the parts that the options name."""
    from playwright.async_api import async_playwright

    variables = {"WORKBENCH_RUNS": str(folder / "runs.sqlite")}
    results: dict[str, Any] = {}
    pages: dict[str, list[dict[str, float]]] = {"cold": [], "preheated": []}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        with dashboard(folder / "one_user.log", variables=variables) as server:
            if "pages" in options.parts:
                pages["cold"] = [await first_page(browser, server.address) for _ in range(options.repeats)]
                print_status(f"cold: {pages['cold']}")
            if "slider" in options.parts:
                results |= await slider(browser, server, weights, options.layers)
                print_status(f"slider: {results}")
            if "heights" in options.parts:
                results["step_heights"] = await step_heights(browser, server, weights)
                print_status(f"heights: {results['step_heights']}")
            if "verdicts" in options.parts:
                results |= await verdicts(browser, server.address, options.shared, WAIT_MS, options.minutes)
                print_status(f"verdicts: {results['time_to_verdict_s']}")
            if "loads" in options.parts:
                results["loads"] = await loads(browser, server, options.loads)
        if "drawing" in options.parts:
            with deep_dashboard(folder, variables) as server:
                results |= await drawing(browser, server, WAIT_MS)
                print_status(f"drawing: {results}")
        if {"pages", "users"} & set(options.parts):
            with dashboard(folder / "class.log", "--class", variables=variables) as server:
                for _ in range(options.repeats if "pages" in options.parts else 0):
                    await wait_for_standby(server, 2)
                    pages["preheated"].append(await first_page(browser, server.address))
                print_status(f"preheated: {pages['preheated']}")
                if "users" in options.parts:
                    await wait_for_standby(server, 2)
                    results |= await users(browser, server, options.users)
        await browser.close()
    if "pages" in options.parts:
        results |= page_summary(pages)
    if "users" in options.parts:
        results["failures"] += len(results.get("slider_problems", []))
    return results


def page_summary(pages: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Median seconds and largest bytes of the first pages, of each kind of server."""
    return {
        "page_to_figure_s": {k: statistics.median(page["seconds"] for page in v) for k, v in pages.items()},
        "page_to_figure_each_s": {k: [page["seconds"] for page in v] for k, v in pages.items()},
        "bytes_first_page": round(max(page["http"] + page["websocket"] for page in pages["cold"])),
        "bytes": {k: {w: round(max(page[w] for page in v)) for w in ("http", "websocket")} for k, v in pages.items()},
    }


def main() -> None:
    """Read the options, measure, report."""
    arguments = parser(__doc__, shared="real weights")
    arguments.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (default: all)")
    arguments.add_argument("--layers", type=int, default=6, help="layers whose ranks are moved, 14 times each")
    arguments.add_argument("--minutes", type=float, help="of Compress for me (default: what the page proposes)")
    arguments.add_argument("--users", type=int, default=6, help="journeys at once")
    arguments.add_argument("--repeats", type=int, default=3, help="first pages of each kind of server")
    arguments.add_argument("--loads", type=int, default=60, help=f"page loads, {LOADS_AT_ONCE} at a time")
    options = arguments.parse_args()
    if chromium() is None:
        raise SystemExit(INSTALL_HINT)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBENCH_CACHE"] = str(Path(folder) / "cache")
        weights = options.shared / "googlenet_bvlc.safetensors"
        results = asyncio.run(measure(Path(folder), weights, options))
    report({**results, "real_weights": weights.exists(), "cores": os.cpu_count()}, options.json)


if __name__ == "__main__":
    main()
