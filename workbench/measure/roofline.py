"""What this machine can do at best: multiply-adds and bytes a second, the two lines of a roofline.

Measured in a few seconds and kept in the user's cache folder: the memory's pace and the processor's do not change from
day to day. A file that is damaged or of another machine counts as absent.

References: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for multicore
architectures", CACM 52(4), 2009.
"""

import hashlib
import json
import logging
import math
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from workbench.files import write_atomically
from workbench.plan import cache
from workbench.tables import count, quantity

log = logging.getLogger(__name__)

VERSION = 1
"""Goes up whenever the measurement, or the layout of the file, changes."""
REPEATS, SECONDS = 5, 0.4
"""Each piece of work is timed that often at least, and for that long."""
SMALLEST_ARRAY, LARGEST_ARRAY, CHUNKS = 128 * 2**20, 2**30, 16
"""Bytes of each array that is gone through, at least and at most (in between, four times the last cache), and pieces
that are timed one by one: a short one gets through undisturbed even where the machine is busy."""
SIZES = (384, 1024)
"""Rows and columns of the matrices that are multiplied: undisturbed, and enough for many threads."""


@dataclass(frozen=True)
class Roofline:
    """The best that the processor does in float32.

    Attributes
    ----------
    peak : multiply-adds a second, with everything at hand.
    bandwidth : bytes a second to and from memory.
    threads : of PyTorch, that both were measured with.
    machine : processor and version, in words.
    """

    peak: float
    bandwidth: float
    threads: int
    machine: str

    @property
    def ridge(self) -> float:
        """Multiply-adds a byte from which on the memory no longer is what limits."""
        return self.peak / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """Multiply-adds a second, at most, of work that does `intensity` multiply-adds for each byte moved.

        A layer can lie above it: what is in a cache already does not wait for the memory.
        """
        return min(self.peak, self.bandwidth * intensity)

    def __str__(self) -> str:
        return (
            f"{self.machine}: at most {count(self.peak)} MAC/s and {quantity(self.bandwidth, 'B/s')}, "
            f"so {self.ridge:.3g} multiply-adds for each byte keep it busy"
        )


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """PyTorch with that many threads inside an operation, and afterwards with as many as before.

    Raises
    ------
    ValueError : if it is no whole number of at least 1.
    """
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ValueError(f"threads is a whole number of at least 1, not {threads!r}")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def roofline(threads: int = 1, *, refresh: bool = False) -> Roofline:
    """Peak and bandwidth of this machine's processor, measured once for each number of threads.

    Peak is the faster of a product of large matrices and a large convolution; bandwidth the fastest of copying, adding
    and reading arrays that are far larger than the last cache; each the best of many.

    Parameters
    ----------
    threads : of PyTorch.
    refresh : measure again, whatever was kept.

    Raises
    ------
    ValueError : if there is no such number of threads.
    """
    with torch_threads(threads), torch.inference_mode():
        about = {"version": VERSION, "processor": processor(), "threads": threads, "torch": torch.__version__}
        name = hashlib.blake2b(json.dumps(about).encode(), digest_size=12).hexdigest()
        path = cache.folder() / f"roofline-{name}.json"
        found = None if refresh else _read(path, about)
        if found is None:
            found = {"peak": _peak(), "bandwidth": _bandwidth()}
            _write(path, {**about, **found})
    plural = "" if threads == 1 else "s"
    machine = f"{about['processor']}, {threads} thread{plural}, torch {torch.__version__}"
    return Roofline(found["peak"], found["bandwidth"], threads, machine)


def processor() -> str:
    """The processor's name."""
    if platform.system() == "Linux":
        try:
            match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
        except OSError:
            match = None
        if match:
            return match[1].strip()
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine() or "unknown processor"


def last_cache() -> int:
    """Bytes of the largest cache; 32 MiB where nobody says."""
    sizes = [0]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        try:
            sizes.append(_bytes(file.read_text(encoding="ascii").strip()))
        except (OSError, ValueError):
            continue
    if not max(sizes):
        sizes += [int(_sysctl(name) or 0) for name in ("hw.l2cachesize", "hw.l3cachesize", "hw.perflevel0.l2cachesize")]
    return max(sizes) or 32 * 2**20


def _bytes(text: str) -> int:
    """32768K, 32M or plain bytes."""
    unit = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:].upper(), 1)
    return int(text.rstrip("kKmMgG")) * unit


def _sysctl(name: str) -> str:
    if platform.system() != "Darwin":
        return ""
    try:
        command = ["/usr/sbin/sysctl", "-n", name]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""


def _peak() -> float:
    """Multiply-adds a second."""
    generator = torch.Generator().manual_seed(0)
    rates = []
    for size in SIZES:
        a, b = (torch.randn(size, size, generator=generator) for _ in range(2))
        rates.append(size**3 / _best(partial(torch.mm, a, b, out=torch.empty(size, size))))
    image = torch.randn(1, 128, 56, 56, generator=generator)
    kernel = torch.randn(128, 128, 3, 3, generator=generator)
    rates.append(9 * 128 * 128 * 56 * 56 / _best(partial(torch.conv2d, image, kernel, padding=1)))
    return max(rates)


def _bandwidth() -> float:
    """Bytes a second: everything that is read and everything that is written."""
    size = min(max(4 * last_cache(), SMALLEST_ARRAY), LARGEST_ARRAY)
    one, other = (torch.ones(size // 4).chunk(CHUNKS) for _ in range(2))
    piece = size / CHUNKS
    copying = _best(*(partial(b.copy_, a) for a, b in zip(one, other, strict=True)))
    adding = _best(*(partial(b.add_, a) for a, b in zip(one, other, strict=True)))
    reading = _best(*(a.sum for a in one))
    return max(2 * piece / copying, 3 * piece / adding, piece / reading)


def _best(*works: Callable[[], object]) -> float:
    """Seconds of the fastest of several pieces of work, done in turns, after one round that does not count."""
    times: list[float] = []
    for work in works:
        work()
    while len(times) < REPEATS * len(works) or sum(times) < SECONDS:
        for work in works:
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    return min(times)


def _read(path: Path, about: dict[str, object]) -> dict[str, float] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if any(values[key] != value for key, value in about.items()):
            raise ValueError("it is of another machine or version")
        found = {key: float(values[key]) for key in ("peak", "bandwidth")}
        if not all(math.isfinite(value) and value > 0 for value in found.values()):
            raise ValueError("its numbers make no sense")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("the roofline in %s is measured anew: %s", path, error)
        return None
    return found


def _write(path: Path, values: dict[str, object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(values, indent=1).encode())
    except OSError as error:
        log.warning("the roofline is not kept: %s", error)
