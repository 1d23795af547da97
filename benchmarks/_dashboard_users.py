"""Let several users take the whole journey on the bundled digits at once, each in a browser context."""

import asyncio
import re
import time
from typing import Any

from benchmarks._browser import FIGURE, Served, collect_errors, step_button

EPOCHS = 3
STEP_TIMEOUT_MS = 600_000
"""Timeout of each step; many users on few cores wait long, which is no failure."""
POINTS = """() => Object.fromEntries(
  (document.querySelector('.wb-figure[aria-label="Accuracy against FLOPs"]')?.calcdata || [])
    .map((points) => [points[0].trace.name, points.filter((point) => point.x !== undefined).length]))"""
STAGES = ("original", "decomposed", "calibrated", "fine-tuned")


async def users(browser: Any, server: Served, number: int) -> dict[str, Any]:
    """Run all journeys at once.

    Returns
    -------
    number of users, a sentence for each failure, seconds of each journey, and MiB of each kernel after it.
    """
    contexts = [await browser.new_context(viewport={"width": 1440, "height": 1000}) for _ in range(number)]
    journeys = await asyncio.gather(*(run_user(context, server.address, i + 1) for i, context in enumerate(contexts)))
    memory_mb = sorted((p.memory_full_info().uss / 2**20 for p in server.kernel_processes()), reverse=True)[:number]
    for context in contexts:
        await context.close()
    problems = [text for _, texts in journeys for text in texts]
    return {
        "users": number,
        "failures": len(problems),
        "problems": problems,
        "memory_mb_per_user": sum(memory_mb) / len(memory_mb) if memory_mb else None,
        "memory_mb_each": memory_mb,
        "journey_s": sorted(seconds for seconds, _ in journeys),
    }


async def run_user(context: Any, address: str, number: int) -> tuple[float, list[str]]:
    """Seconds of one user's journey, and a sentence for each failure."""
    page = await context.new_page()
    problems = collect_errors(page)
    started = time.perf_counter()
    try:
        problems += await journey(page, address)
    except Exception as error:  # any exception is a failed journey
        problems.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    return time.perf_counter() - started, [f"user {number}: {text}" for text in problems]


async def journey(page: Any, address: str) -> list[str]:
    """Open, move a rank, compress, calibrate, fine-tune; return what is wrong with the final state."""
    page.set_default_timeout(STEP_TIMEOUT_MS)
    await page.goto(address)
    await page.wait_for_selector(FIGURE, state="attached")
    await _wait_for_point(page, "original")
    row = page.locator(".wb-table tbody tr.selected").first
    before = await row.inner_text()
    await step_button(page, "Plan").click()
    handle = page.locator(".widget-slider:visible", has_text="input rank").first.locator(".noUi-handle")
    await handle.focus()
    for _ in range(4):
        await page.keyboard.press("ArrowLeft")
    await page.wait_for_function(
        "() => document.querySelector('.wb-table tr.selected').innerText.includes('chosen by hand')"
    )
    after = await row.inner_text()
    await step_button(page, "Compress").click()
    await _press(page, "Compress")
    await _wait_for_point(page, "decomposed")
    await _press(page, "Calibrate")
    await _wait_for_point(page, "calibrated")
    await page.get_by_label("epochs").fill(str(EPOCHS))
    await page.get_by_label("epochs").press("Tab")
    await _press(page, "Fine-tune")
    await _wait_for_point(page, "fine-tuned")
    await page.wait_for_function("() => /Fine-tuning run \\d+: done after/.test(document.body.innerText)")
    return await _problems(page, before, after)


async def _problems(page: Any, before: str, after: str) -> list[str]:
    problems = []
    if before == after:
        problems.append("the table did not follow the rank")
    points = await page.evaluate(POINTS)
    problems += [f"{points.get(stage, 0)} points {stage}, not 1" for stage in STAGES if points.get(stage) != 1]
    accuracy = await page.locator(".wb-tile").nth(4).inner_text()
    scores = [float(text) for text in re.findall(r"([\d.]+) %", accuracy)][:2]
    if len(scores) < 2 or scores[-1] < 90 or "fine-tuned" not in accuracy:
        problems.append(f"the tile of accuracy says {accuracy!r}")
    if not await page.locator("[aria-label=Runs] tbody tr").count():
        problems.append("no run is in the list")
    return problems


async def _press(page: Any, name: str) -> None:
    await page.locator("button:not([disabled])", has_text=re.compile(f"^{name}$")).first.click()


async def _wait_for_point(page: Any, stage: str) -> None:
    """Wait until the plot has a point of this stage."""
    await page.wait_for_function(f"(stage) => ({POINTS})()[stage] >= 1", arg=stage, polling=250)
