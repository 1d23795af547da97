"""The roofline of this machine's processor: its largest rates of multiply-adds and of bytes.

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
from workbench.measure.latency import time_in_turns
from workbench.measure.runtimes import Runner, torch_threads
from workbench.plan import cache
from workbench.progress import Progress
from workbench.tables import Table, count, quantity

log = logging.getLogger(__name__)
T = TypeVar("T")

VERSION = 3  # increased whenever the measurement, or the layout of the file, changes
TIMING_S = 0.4  # for each operation
MIN_ARRAY_BYTES, MAX_ARRAY_BYTES, CHUNKS = 128 * 2**20, 2**30, 16
"""Bounds on the size of an array that is read or written, which is four times the last cache, and its number of chunks.
Each chunk is timed apart, since a short measurement is less often disturbed."""
MATRIX_SIZES = (384, 1024)
"""Sides of the multiplied matrices: the smaller is less often disturbed, the larger suits many threads."""
DEFAULT_CACHE_BYTES = 32 * 2**20


@dataclass(frozen=True, repr=False)
class Roofline(Table):
    """Largest rates of a processor in float32."""

    peak: float  # multiply-adds a second
    bandwidth: float  # bytes a second to and from memory
    threads: int
    machine: str

    headers = ("roofline", "at most")

    @property
    def ridge(self) -> float:
        """Intensity (multiply-adds a byte) above which the memory does not limit the rate."""
        return self.peak / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """Return the largest rate (multiply-adds a second) at an intensity; with data in a cache it can be exceeded."""
        return min(self.peak, self.bandwidth * intensity)

    def line(self, intensities: Sequence[float]) -> list[tuple[float, float]]:
        """Return (multiply-adds a byte, billion a second) of three points of the roof: its ends and the ridge."""
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

    The peak is that of matrix products, the bandwidth that of copying or adding arrays that are far larger than the
    last cache; each is the best of many measurements. They are kept in the cache folder.
    """
    with torch_threads(threads), torch.inference_mode():
        machine = f"{processor()}, {threads} thread{'' if threads == 1 else 's'}, torch {torch.__version__}"
        digest = hashlib.blake2b(f"{VERSION} {machine}".encode(), digest_size=12).hexdigest()
        path = cache.folder() / f"roofline-{digest}.json"
        limits = load_measured(path, lambda values: {name: float(values[name]) for name in ("peak", "bandwidth")})
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
    """Return earlier measurements from a JSON file; None if there is no file or it is damaged."""
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s is measured again: %s", path, error)
        return None


def save_measured(path: Path, values: dict[str, Any]) -> None:
    """Write measurements to a JSON file; log a warning if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(values).encode())
    except OSError as error:
        log.warning("the measurements are not kept: %s", error)


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


def last_cache_bytes() -> int:
    """Return the size of the largest cache; 32 MiB if the system does not tell."""
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
    """Measure bytes a second, both read and written."""
    size = min(max(4 * last_cache_bytes(), MIN_ARRAY_BYTES), MAX_ARRAY_BYTES)
    sources, targets = (torch.ones(size // 4).chunk(CHUNKS) for _ in range(2))
    chunk_bytes = size / CHUNKS
    copy_s = _fastest(*(partial(target.copy_, source) for source, target in zip(sources, targets, strict=True)))
    add_s = _fastest(*(partial(target.add_, source) for source, target in zip(sources, targets, strict=True)))
    return max(2 * chunk_bytes / copy_s, 3 * chunk_bytes / add_s)


def _fastest(*operations: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several operations, which are run in turns."""
    clocks = {str(i): Runner(operation).clock for i, operation in enumerate(operations)}
    return min(float(samples.min()) for samples in time_in_turns(clocks, TIMING_S).values())
