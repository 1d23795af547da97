"""Measure the latency from a rank slider to the repainted drawing, with a network of 150 layers open."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import workbench as wb
from benchmarks._browser import OPENED, PROBE, Served, served, step_button
from benchmarks._dashboard_slider import percentiles
from workbench.app.server.serve import ADDRESS, free_port, page_url, voila_command

BLOCKS, CHANNELS = 74, 16
"""Number of residual blocks of two convolutions, and channels of each convolution."""
MOVES = 40
QUIET_MS = 200
"""A move is complete once nothing has been drawn for this time."""
CELL = f"""from {__name__} import deep_network
import workbench as wb
wb.build_dashboard(deep_network())"""
SCRIPT = """
window.drawing = { since: 0, painted: 0 };
document.addEventListener("keydown", (event) => {
  if (event.target.closest?.(".noUi-target")) Object.assign(drawing, { since: event.timeStamp, painted: 0 });
}, true);
drawing.watch = () => {
  const note = () => requestAnimationFrame(() => {  // a task queued in a frame runs after that frame has been painted
    const channel = new MessageChannel();
    channel.port1.onmessage = () => { drawing.painted = performance.now(); };
    channel.port2.postMessage(0);
  });
  const options = { subtree: true, attributes: true, attributeFilter: ["height"] };
  for (const box of document.querySelectorAll(".wb-graph-view")) new MutationObserver(note).observe(box, options);
};
drawing.settled = (quiet) => {
  const { since, painted } = drawing;
  return since && painted > since && performance.now() - painted > quiet ? painted - since : null;
};
"""
"""Runs in the page before it loads."""


class Residual(nn.Module):
    """Two convolutions and a path around them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(2))
        for layer in (self.conv1, self.conv2):  # fading singular values, so that EVBMF reduces both layers
            layer.weight.data *= torch.logspace(1, -2, CHANNELS)[:, None, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """Return the input plus the scaled output of the convolutions."""
        change: Tensor = self.conv2(torch.relu(self.conv1(torch.relu(x))))
        return x + change / BLOCKS


def deep_network() -> wb.Network:
    """A residual network of 150 layers for the bundled digits, with weights from a seed."""
    torch.manual_seed(0)
    blocks = [Residual() for _ in range(BLOCKS)]
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 10)
    return wb.Network(nn.Sequential(nn.Conv2d(1, CHANNELS, 3, padding=1), *blocks, *head), (1, 8, 8), name="deep")


@contextmanager
def deep_dashboard(folder: Path, variables: Mapping[str, str]) -> Iterator[Served]:
    """Serve the dashboard with `deep_network`."""
    cell = {"cell_type": "code", "id": "0", "metadata": {}, "outputs": [], "execution_count": None, "source": CELL}
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    content = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    notebook, port = folder / "deep.ipynb", free_port()
    notebook.write_text(json.dumps(content), encoding="utf-8")
    command, environment = voila_command(port, browser=False, notebook=notebook)
    with served(
        [sys.executable, *command[1:]],
        page_url(ADDRESS, port, ""),
        PROBE,
        folder / "deep.log",
        {**environment, **variables},
    ) as server:
        yield server


async def drawing(browser: Any, server: Served, wait_ms: int) -> dict[str, Any]:
    """Milliseconds from a key press on a rank's slider to the frame that shows the new drawing."""
    context = await browser.new_context(viewport={"width": 1440, "height": 1000})
    page = await context.new_page()
    await page.add_init_script(SCRIPT)
    await page.goto(server.address, timeout=wait_ms)
    blocks = f"() => document.querySelector('.wb-graph-view')?.querySelectorAll('.layer').length === {2 + 2 * BLOCKS}"
    await page.wait_for_function(blocks, timeout=wait_ms)
    await page.wait_for_function(OPENED, timeout=wait_ms)
    await step_button(page, "Plan").click()
    handle = page.locator(".widget-slider:visible", has_text="output rank").first.locator(".noUi-handle")
    await handle.focus()
    await page.evaluate("drawing.watch()")
    times = []
    for move in range(MOVES):
        await page.keyboard.press("ArrowLeft" if move % 8 < 4 else "ArrowRight")
        latency = await page.wait_for_function(
            "(quiet) => drawing.settled(quiet)", arg=QUIET_MS, timeout=30_000, polling=25
        )
        times.append(float(await latency.json_value()))
    await context.close()
    ms = percentiles(times)
    return {"drawing_ms_150_layers": ms["p95"], "drawing_p50_ms_150_layers": ms["p50"], "drawing_moves": MOVES}
