"""Time from *Compress for me* to a verdict, and count the long texts of the page."""

import time
from pathlib import Path
from typing import Any

from benchmarks._browser import STEPS, open_page, step_button
from benchmarks._dashboard_slider import open_googlenet

UNLABELLED_IMAGES = 200
MAX_CHARACTERS = 90
"""Longer texts of the page are counted."""
END_MS = 900_000
VERDICT = """() => {
  const tile = [...document.querySelectorAll('.wb-tile')].pop()?.innerText || '';
  return /calibrated|distilled|fine-tuned/.test(tile);
}"""
ENDED = "() => /Compressing \\S+ for you: done/.test(document.body.innerText)"
TEXTS = """limit => {
  const skipped = 'script, style, .wb-hidden, svg, td, option';
  const walker = document.createTreeWalker(document.querySelector('.wb'), NodeFilter.SHOW_ELEMENT);
  const long = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const hasText = [...node.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.textContent.trim());
    const inside = node.parentElement.closest('[data-long]');
    if (!hasText || inside || node.matches(skipped) || node.closest(skipped) || !node.checkVisibility()) continue;
    const text = node.innerText.trim();
    if (text.length > limit) { node.dataset.long = '1'; long.push(text); }
  }
  document.querySelectorAll('[data-long]').forEach(node => delete node.dataset.long);
  return long;
}"""


async def compress_times(page: Any) -> tuple[float, float]:
    """Press *Compress for me*; return the seconds to the score of a recovered network, and to the end."""
    started = time.perf_counter()
    await page.get_by_role("button", name="Compress for me", exact=True).click()
    await page.wait_for_function(VERDICT, timeout=END_MS)
    verdict_s = time.perf_counter() - started
    await page.wait_for_function(ENDED, timeout=END_MS)
    return verdict_s, time.perf_counter() - started


async def long_texts(page: Any) -> list[str]:
    """Texts of more than 90 characters that the steps show, without hints."""
    texts: list[str] = []
    for name in STEPS:
        await step_button(page, name).click()
        await page.wait_for_timeout(1000)
        texts += await page.evaluate(TEXTS, MAX_CHARACTERS)
    return list(dict.fromkeys(texts))


async def verdicts(browser: Any, address: str, shared: Path, wait_ms: int, minutes: float | None) -> dict[str, Any]:
    """Seconds to a verdict and to the end, by network, and the long texts; GoogLeNet if its weights exist.

    *Compress for me* may take `minutes`; None for the page's default.
    """
    page, _ = await open_page(browser, address, wait_ms)
    if minutes is not None:
        await page.get_by_label("minutes", exact=True).fill(str(minutes))
        await page.keyboard.press("Tab")
    texts = await long_texts(page)
    times = {"digits": await compress_times(page)}
    texts += [text for text in await long_texts(page) if text not in texts]
    pictures = sorted((shared / "imagenet_sample").glob("*.jp*g"))[:UNLABELLED_IMAGES]
    if pictures and (weights := shared / "googlenet_bvlc.safetensors").exists():
        await step_button(page, STEPS[0]).click()
        await open_googlenet(page, weights)
        await page.locator("input[type=file]").nth(1).set_input_files(pictures)
        await page.wait_for_function(
            "t => document.body.innerText.includes(t)", arg=f"{len(pictures)} files", timeout=END_MS
        )
        await page.wait_for_function("() => /on \\d+ validation images/.test(document.body.innerText)", timeout=END_MS)
        times["googlenet"] = await compress_times(page)
    await page.context.close()
    return {
        "time_to_verdict_s": {name: verdict_s for name, (verdict_s, _) in times.items()},
        "time_to_end_s": {name: end_s for name, (_, end_s) in times.items()},
        "strings_over_90_characters": len(texts),
        "long_strings": texts,
    }
