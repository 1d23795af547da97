"""Measure the served dashboard in Chromium: latency of the sliders, time to the first figure, memory, failed loads.

- `slider_*`: milliseconds from a key press or drag on a rank slider to the frame that shows the new spectrum and costs,
  by the page's own clock, with the paper's GoogLeNet open (57 layers; with its real weights where they are at hand).
- `page_to_figure_s`: seconds from the address to the spectrum of the bundled network, with an empty browser cache;
  `cold` starts a kernel, `preheated` takes a standby kernel of a class server. The median of several.
- `bytes_first_page`: all bytes that come over HTTP and the websocket until then.
- `users`, `failures`, `journey_s`: users who take the whole journey on the digits at once; exceptions, console errors
  and wrong final states count as failures. `memory_mb_per_user` is the memory that each kernel has to itself (USS).
- `loads`: many page loads, six at a time, without standby kernels: how many were drawn, how many stayed empty, how many
  the page had to try again.
"""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._browser import FIGURE, FLAGS, HOW, Served, chromium, collect_errors, dashboard
from benchmarks._dashboard_slider import SCRIPT, latencies, open_googlenet, summary
from benchmarks._dashboard_users import users
from benchmarks._report import parser, report

WAIT_MS = 300_000
LOADS_AT_ONCE = 6
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(true), 0)))"


async def first_page(browser: Any, address: str) -> dict[str, float]:
    """Seconds until the figure is painted, and bytes that came, with an empty cache."""
    context = await browser.new_context(viewport={"width": 1440, "height": 1000})
    page = await context.new_page()
    devtools = await context.new_cdp_session(page)
    found = {"seconds": 0.0, "http": 0.0, "websocket": 0.0}

    def add(kind: str, length: float) -> None:
        found[kind] += length

    devtools.on("Network.loadingFinished", lambda event: add("http", event["encodedDataLength"]))
    devtools.on("Network.webSocketFrameReceived", lambda event: add("websocket", frame_bytes(event["response"])))
    await devtools.send("Network.enable")
    began = time.perf_counter()
    await page.goto(address, timeout=WAIT_MS, wait_until="commit")
    await page.wait_for_selector(FIGURE, timeout=WAIT_MS)
    await page.evaluate(PAINTED)
    found["seconds"] = time.perf_counter() - began
    result = dict(found)
    await context.close()
    return result


def frame_bytes(frame: dict[str, Any]) -> float:
    """Length of a websocket's message; the browser tells binary ones in base64."""
    text = frame["payloadData"]
    return len(text) * 3 / 4 - text.count("=") if frame["opcode"] == 2 else len(text.encode())


async def standby(server: Served, number: int) -> None:
    """Until so many kernels stand by and have nothing to do."""
    before: dict[int, float] = {}
    for _ in range(300):
        await asyncio.sleep(1)
        spent = {p.pid: sum(p.cpu_times()[:2]) for p in server.kernel_processes()}
        steady = len(spent) >= number and spent.keys() == before.keys()
        if steady and all(spent[pid] - before[pid] < 0.05 for pid in spent):
            return
        before = spent
    raise RuntimeError("the standby kernels are not ready after five minutes")


async def slider(browser: Any, server: Served, weights: Path, layers: int) -> dict[str, Any]:
    """Latency of the rank sliders with GoogLeNet open."""
    context = await browser.new_context(viewport={"width": 1440, "height": 1000})
    page = await context.new_page()
    problems = collect_errors(page)
    await page.add_init_script(SCRIPT)
    await page.goto(server.address, timeout=WAIT_MS)
    await page.wait_for_selector(FIGURE, timeout=WAIT_MS)
    await page.wait_for_function("() => /Opening \\S+: done/.test(document.body.innerText)", timeout=WAIT_MS)
    await open_googlenet(page, weights)
    found = summary(await latencies(page, layers))
    await context.close()
    return {**found, "slider_problems": problems}


async def measure(folder: Path, weights: Path, *, layers: int, number: int, repeats: int) -> dict[str, Any]:
    """All of it; see the module."""
    from playwright.async_api import async_playwright

    own = {"WORKBENCH_RUNS": str(folder / "runs.sqlite")}
    results: dict[str, Any] = {}

    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        with dashboard(folder / "one_user.log", variables=own) as server:
            cold = [await first_page(browser, server.address) for _ in range(repeats)]
            say(f"cold: {cold}")
            results |= await slider(browser, server, weights, layers)
            say(f"slider: {results}")
        with dashboard(folder / "class.log", "--class", variables=own) as server:
            ready = []
            for _ in range(repeats):
                await standby(server, 2)
                ready.append(await first_page(browser, server.address))
            say(f"preheated: {ready}")
            await standby(server, 2)
            results |= await users(browser, server, number)
        await browser.close()
    seconds = {"cold": cold, "preheated": ready}
    results["page_to_figure_s"] = {k: statistics.median(one["seconds"] for one in v) for k, v in seconds.items()}
    results["page_to_figure_each_s"] = {k: [one["seconds"] for one in v] for k, v in seconds.items()}
    results["bytes_first_page"] = round(max(one["http"] + one["websocket"] for one in cold))
    results["bytes"] = {
        k: {w: round(max(one[w] for one in v)) for w in ("http", "websocket")} for k, v in seconds.items()
    }
    results["failures"] += len(results["slider_problems"])
    return results


def main() -> None:
    """Run it."""
    arguments = parser(__doc__)
    default = Path(os.environ.get("WORKBENCH_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    arguments.add_argument("--shared", type=Path, default=default, help="folder with real weights")
    arguments.add_argument("--layers", type=int, default=6, help="in which ranks are moved, 14 times each")
    arguments.add_argument("--users", type=int, default=6, help="at once")
    arguments.add_argument("--repeats", type=int, default=3, help="of opening the page")
    options = arguments.parse_args()
    if chromium() is None:
        raise SystemExit(HOW)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBENCH_CACHE"] = str(Path(folder) / "cache")
        weights = options.shared / "googlenet_bvlc.safetensors"
        sizes = {"layers": options.layers, "number": options.users, "repeats": options.repeats}
        results = asyncio.run(measure(Path(folder), weights, **sizes))
    report({**results, "real_weights": weights.exists(), "cores": os.cpu_count()}, options.json)


if __name__ == "__main__":
    main()
