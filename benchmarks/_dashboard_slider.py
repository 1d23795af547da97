"""Measure the latency from a rank slider to the repainted figure and costs, with the paper's GoogLeNet open."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._browser import OPENED, step_button

SCRIPT = (Path(__file__).parent / "_dashboard.js").read_text(encoding="utf-8")
"""Runs in the page before it loads; defines `window.probe`."""

NETWORK = "googlenet_bvlc"
LABELS = ("input rank", "output rank")
KEYS_PER_LAYER, DRAGS_PER_LAYER = 10, 4
QUIET_MS = 200
"""A move is complete once nothing has been painted for this time."""
DRAG_STEPS = 12
"""Positions of the mouse in a drag, one per frame."""


async def open_googlenet(page: Any, weights: Path) -> None:
    """Choose the network, and upload its real weights if they exist."""
    chooser = page.get_by_role("combobox", name="Network", exact=True)
    label = await chooser.locator("option", has_text=NETWORK).first.inner_text()
    await chooser.select_option(label)
    rows = "() => document.querySelectorAll('.wb-table')[0]?.querySelectorAll('tbody tr').length === 58"
    await page.wait_for_function(rows, timeout=300_000)
    if weights.exists():
        await page.locator("input[type=file]").first.set_input_files(weights)
        name = re.escape(weights.name)
        await page.wait_for_function(
            "t => new RegExp(t).test(document.body.innerText)", arg=f"{name}, sha256", timeout=300_000
        )
    await page.wait_for_function(OPENED, timeout=300_000)


async def latencies(page: Any, layers: int) -> dict[str, list[float]]:
    """Milliseconds of each move of a rank slider, by "key" and "drag", in layers spread evenly over the network."""
    await step_button(page, "Look").click()
    rows = page.locator(".wb-table").first.locator("tbody tr")
    await page.get_by_label("Expert").check()  # shows the column of EVBMF's ranks
    await rows.first.wait_for()  # the text of hidden rows has no tabs between columns
    texts = await rows.all_inner_texts()
    tucker2 = [i for i, text in enumerate(texts) if re.search(r"\d+ x \d+\t", text)]
    times: dict[str, list[float]] = {"key": [], "drag": []}
    for k, i in enumerate(np.linspace(0, len(tucker2) - 1, layers).round().astype(int)):
        await step_button(page, "Look").click()
        await rows.nth(tucker2[i]).click()
        await step_button(page, "Plan").click()
        await page.wait_for_timeout(1000)  # the figure takes its size
        await page.evaluate("window.probe.watch()")
        side = k % 2
        handle = page.locator(".widget-slider:visible", has_text=LABELS[side]).first.locator(".noUi-handle")
        await handle.scroll_into_view_if_needed()
        await _center(page, handle)
        for _ in range(KEYS_PER_LAYER):
            times["key"].append(await _press_key(page, handle, side, "ArrowLeft"))
        for n in range(DRAGS_PER_LAYER):
            times["drag"].append(await _drag(page, handle, side, -1 if n % 2 else 1))
    return times


async def _center(page: Any, handle: Any) -> None:
    """Move the handle to the middle of its slider."""
    box = await handle.locator("xpath=ancestor::*[contains(@class, 'noUi-base')]").bounding_box()
    await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await page.wait_for_timeout(600)


async def _rank(handle: Any) -> int:
    return round(float(await handle.get_attribute("aria-valuenow")))


async def _press_key(page: Any, handle: Any, side: int, key: str) -> float:
    await handle.focus()
    await page.evaluate("window.probe.reset()")
    await page.keyboard.press(key)
    return await _wait_until_painted(page, handle, side)


async def _drag(page: Any, handle: Any, side: int, direction: int) -> float:
    """Drag by 60 pixels, frame by frame; return the milliseconds since the last position of the mouse."""
    await page.evaluate("window.probe.reset()")
    box = await handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(x, y)
    await page.mouse.down()
    for step in range(DRAG_STEPS):
        await page.mouse.move(x + direction * 5 * (step + 1), y)
        await page.wait_for_timeout(16)
    time = await _wait_until_painted(page, handle, side)
    await page.mouse.up()
    return time


async def _wait_until_painted(page: Any, handle: Any, side: int) -> float:
    rank = await _rank(handle)
    script = "([which, rank, quiet]) => window.probe.settled(which, rank, quiet)"
    milliseconds = await page.wait_for_function(script, arg=[side, rank, QUIET_MS], timeout=30_000, polling=25)
    return float(await milliseconds.json_value())


def summary(moves: dict[str, list[float]]) -> dict[str, Any]:
    """Percentiles of all moves, and of keys and drags alone."""
    every_ms = [time for times in moves.values() for time in times]
    kinds = {kind: {"moves": len(times), **percentiles(times)} for kind, times in moves.items()}
    over = percentiles(every_ms)
    return {"slider_p50_ms": over["p50"], "slider_p95_ms": over["p95"], "slider_moves": len(every_ms), "slider": kinds}


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """The median and the 95th percentile."""
    return {f"p{q}": float(np.percentile(times, q)) for q in (50, 95)}
