"""What this machine's processor can do at best: multiply-adds and bytes a second, the two lines of a roofline.

References: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for multicore
architectures", CACM 52(4), 2009.
"""

import hashlib
import json
import logging
import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from workbench.files import write_atomically
from workbench.measure.exclusive import watching
from workbench.measure.latency import timed
from workbench.measure.runtimes import Runner, torch_threads
from workbench.plan import cache
from workbench.progress import Progress
from workbench.tables import Table, count, quantity

log = logging.getLogger(__name__)
T = TypeVar("T")

VERSION = 3  # increased whenever the measurement, or the layout of the file, changes
TIMING_S = 0.4  # for each operation
MIN_ARRAY_BYTES, MAX_ARRAY_BYTES, CHUNKS = 128 * 2**20, 2**30, 16
"""Size of each array that is read or written (in between, four times the last cache), and the number of pieces that are
timed one by one: a short one is less often disturbed on a busy machine."""
MATRIX_SIZES = (384, 1024)
"""Sides of the matrices that are multiplied: the smaller is less often disturbed, the larger suits many threads."""
DEFAULT_CACHE_BYTES = 32 * 2**20


@dataclass(frozen=True, repr=False)
class Roofline(Table):
    """The best that the processor does in float32: multiply-adds a second, and bytes a second to and from memory."""

    peak: float
    bandwidth: float
    threads: int
    machine: str

    headers = ("roofline", "at most")

    @property
    def ridge(self) -> float:
        """Multiply-adds a byte from which on the memory does not limit."""
        return self.peak / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """Return the limit of multiply-adds a second, at `intensity` of them a byte; data in a cache can exceed it."""
        return min(self.peak, self.bandwidth * intensity)

    def line(self, intensities: Sequence[float]) -> list[tuple[float, float]]:
        """Return (multiply-adds a byte, billion a second) of the roof's corners, as wide as these and the ridge."""
        ends = [*intensities, self.ridge]
        return [(x, self.attainable(x) / 1e9) for x in (min(ends) / 2, self.ridge, 2 * max(ends))]

    @property
    def caption(self) -> str:
        """The machine."""
        return self.machine

    @property
    def rows(self) -> list[list[str]]:
        """The two limits, and where they meet."""
        limits = [["processor", f"{count(self.peak)} MAC/s"], ["memory", quantity(self.bandwidth, "B/s")]]
        return [*limits, ["the memory limits", f"below {self.ridge:.3g} MACs a byte"]]


def roofline(threads: int = 1, *, progress: Progress | bool | None = None) -> Roofline:
    """Return peak and bandwidth of this machine's processor, measured once for each number of threads of PyTorch.

    Peak is of a product of large matrices, bandwidth the faster of copying and adding arrays that are far larger than
    the last cache; each the best of many. They are kept in the cache folder.
    """
    with torch_threads(threads), torch.inference_mode():
        machine = f"{processor()}, {threads} thread{'' if threads == 1 else 's'}, torch {torch.__version__}"
        digest = hashlib.blake2b(f"{VERSION} {machine}".encode(), digest_size=12).hexdigest()
        path = cache.folder() / f"roofline-{digest}.json"
        limits = load_measured(path, lambda known: {name: float(known[name]) for name in ("peak", "bandwidth")})
        if limits is None:
            with watching(progress) as watch:
                watch.report(0.0, "timing the processor")
                limits = {"peak": _peak()}
                watch.report(0.5, "timing the memory")
                limits["bandwidth"] = _bandwidth()
            if not watch.disturbed:
                save_measured(path, limits)
    return Roofline(**limits, threads=threads, machine=machine)


def load_measured(path: Path, parse: Callable[[dict[str, Any]], T]) -> T | None:
    """Return what was measured before, from a JSON file; None if it is not there or not sound."""
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s is measured again: %s", path, error)
        return None


def save_measured(path: Path, values: dict[str, Any]) -> None:
    """Write what was measured as a JSON file; that a folder cannot be written to is only logged."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(values).encode())
    except OSError as error:
        log.warning("what was measured is not kept: %s", error)


def processor() -> str:
    """Return the processor's name."""
    with suppress(OSError):
        if platform.system() == "Darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine() or "unknown processor"


def last_cache() -> int:
    """Return the bytes of the largest cache; 32 MiB where the system does not tell."""
    with suppress(OSError, ValueError):
        files = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")  # like 32768K
        return max(int(file.read_text(encoding="ascii").strip().removesuffix("K")) * 2**10 for file in files)
    return DEFAULT_CACHE_BYTES


def _peak() -> float:
    """Measure multiply-adds a second."""
    generator = torch.Generator().manual_seed(0)
    rates = []
    for size in MATRIX_SIZES:
        a, b = (torch.randn(size, size, generator=generator) for _ in range(2))
        rates.append(size**3 / _fastest(partial(torch.mm, a, b, out=torch.empty(size, size))))
    return max(rates)


def _bandwidth() -> float:
    """Measure bytes a second: all that is read and all that is written."""
    size = min(max(4 * last_cache(), MIN_ARRAY_BYTES), MAX_ARRAY_BYTES)
    one, other = (torch.ones(size // 4).chunk(CHUNKS) for _ in range(2))
    piece = size / CHUNKS
    copying = _fastest(*(partial(b.copy_, a) for a, b in zip(one, other, strict=True)))
    adding = _fastest(*(partial(b.add_, a) for a, b in zip(one, other, strict=True)))
    return max(2 * piece / copying, 3 * piece / adding)


def _fastest(*operations: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several operations, done in turns."""
    clocks = {str(i): Runner(operation).clock for i, operation in enumerate(operations)}
    return min(float(found.min()) for found in timed(clocks, TIMING_S).values())
