"""How long networks take on this machine, timed in turns, so that whatever else it does meets all of them alike."""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.measure import runtimes as rt
from workbench.measure.exclusive import watching
from workbench.network.network import Network
from workbench.plan.compressed import CompressedNetwork, expect_compressed
from workbench.progress import Progress, part, reporter
from workbench.tables import Table, times

Vector = NDArray[np.float64]

WARM_UP_RUNS = 2
MIN_ROUNDS, MAX_ROUNDS = 7, 500


@dataclass(frozen=True, repr=False)
class Latency(Table):
    """Times of several networks, measured in turns: name -> (rounds,) seconds of one run of a batch in each round."""

    how: str  # runtime, batch, threads and memory format, in words
    samples: Mapping[str, Vector]
    disturbed: str = ""  # a sentence if another process of the workbench computed meanwhile

    headers = ("network", "ms (median)", "ms (middle half)", "runs")

    def ms(self, name: str) -> float:
        """Return the median milliseconds of one run."""
        return 1e3 * float(np.median(self.samples[name]))

    def speedup(self, before: str = "original", after: str = "compressed") -> float:
        """Return how many times faster it is: the ratio of the medians."""
        return self.ms(before) / self.ms(after)

    def speedup_spread(self, before: str = "original", after: str = "compressed") -> tuple[float, float]:
        """Return the lower and upper quartile, over the rounds, of how many times faster it is."""
        low, high = np.quantile(self.samples[before] / self.samples[after], (0.25, 0.75))
        return float(low), float(high)

    @property
    def caption(self) -> str:
        """How it was measured, and whether that was disturbed."""
        return "; ".join(filter(None, (self.how, self.disturbed)))

    @property
    def rows(self) -> list[list[str]]:
        """One row for each network."""
        rows = []
        for name, samples in self.samples.items():
            low, high = 1e3 * np.quantile(samples, (0.25, 0.75))
            rows.append([name, f"{self.ms(name):.3g}", f"{low:.3g} to {high:.3g}", str(len(samples))])
        return rows


def latency(
    networks: Mapping[str, Network],
    runtime: str = "eager",
    *,
    batch: int = 1,
    threads: int = 1,
    channels_last: bool = False,
    seconds: float = 4.0,
    progress: Progress | bool | None = None,
) -> Latency:
    """Time networks by name in turns for about so many seconds: one run of each in every round, the order turning."""
    rt.check_counts(batch=batch, threads=threads)
    title = rt.RUNTIMES.get(runtime, runtime)
    with watching(progress) as watch, rt.torch_threads(threads):
        runners: dict[str, rt.Runner] = {}
        for i, (name, network) in enumerate(networks.items()):
            watch.report(0.5 * i / len(networks), f"preparing {name} for {title}")
            inputs = rt.image_batch(network, batch)
            runners[name] = rt.prepare(network.model, inputs, runtime, threads=threads, channels_last=channels_last)
        clocks = {name: runner.clock for name, runner in runners.items()}
        samples = timed(clocks, seconds, lambda share: watch.report(0.5 + 0.5 * share, f"timing {title}"))
    return Latency(rt.configuration(runtime, batch, threads, channels_last), samples, watch.disturbed)


def timed(
    clocks: Mapping[str, Callable[[], float]], seconds: float, progress: Callable[[float], None] = lambda _: None
) -> dict[str, Vector]:
    """Return (rounds,) seconds of each clock, which are read in turns after a warm-up; no garbage is collected."""
    for clock in clocks.values():
        for _ in range(WARM_UP_RUNS):
            if clock() > seconds:
                break
    rounds = int(np.clip(seconds / max(sum(clock() for clock in clocks.values()), 1e-9), MIN_ROUNDS, MAX_ROUNDS))
    found: dict[str, list[float]] = {name: [] for name in clocks}
    order = list(clocks)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for i in range(rounds):
            progress(i / rounds)
            for name in order:
                found[name].append(clocks[name]())
            order.append(order.pop(0))
    finally:
        if collecting:
            gc.enable()
    return {name: np.array(values) for name, values in found.items()}


@dataclass(frozen=True, repr=False)
class Speed(Table):
    """Times of an original and its compressed network by runtime, and why other runtimes could not be used."""

    macs_ratio: float
    latencies: Mapping[str, Latency]
    absent: Mapping[str, str]

    headers = ("runtime", "original, ms", "compressed, ms", "faster", "faster, middle half", "realised")

    @property
    def records(self) -> list[dict[str, Any]]:
        """JSON values of each runtime: milliseconds, speed-up, its quartiles, and the share of the MAC ratio."""
        return [
            {
                "runtime": runtime,
                "dense_ms": run.ms("original"),
                "compressed_ms": run.ms("compressed"),
                "speedup": run.speedup(),
                "spread": run.speedup_spread(),
                "realised": run.speedup() / self.macs_ratio,
                "how": run.how,
            }
            for runtime, run in self.latencies.items()
        ]

    @property
    def best_realised(self) -> float:
        """(Fastest original / fastest compressed of all runtimes) / MAC ratio: a slow original does not count."""
        runs = self.latencies.values()
        return min(run.ms("original") for run in runs) / min(run.ms("compressed") for run in runs) / self.macs_ratio

    @property
    def disturbed(self) -> str:
        """A sentence if another process of the workbench computed meanwhile, else ""."""
        return max((run.disturbed for run in self.latencies.values()), default="")

    @property
    def caption(self) -> str:
        """What is shown, which runtimes are absent, and whether the timing was disturbed."""
        shown = f"realised: share of {times(self.macs_ratio)} fewer MACs"
        return "; ".join(filter(None, (shown, *self.absent.values(), self.disturbed)))

    @property
    def rows(self) -> list[list[str]]:
        """One row for each runtime."""
        found = []
        for r in self.records:
            cells = [r["how"], f"{r['dense_ms']:.3g}", f"{r['compressed_ms']:.3g}", times(r["speedup"])]
            found.append([*cells, " to ".join(map(times, r["spread"])), f"{100 * r['realised']:.0f} %"])
        return found


def speed(
    small: CompressedNetwork,
    runtimes: Sequence[str] = ("eager", "onnxruntime", "executorch"),
    *,
    progress: Progress | bool | None = None,
    **settings: Any,
) -> Speed:
    """Time a compressed network against its original in several runtimes, of which some may be absent.

    Parameters
    ----------
    settings : `seconds` for each runtime (there are at least 7 rounds), `batch` (images in one run), `threads` that it
        may use, and `channels_last` for PyTorch's memory format.

    Raises
    ------
    ValueError : if none of the runtimes is here, or a setting makes no sense.
    """
    expect_compressed(small)
    networks, report, n = rt.with_original(small), reporter(progress), max(1, len(runtimes))
    latencies: dict[str, Latency] = {}
    absent: dict[str, str] = {}
    for i, runtime in enumerate(runtimes):
        try:
            latencies[runtime] = latency(networks, runtime, **settings, progress=part(report, i / n, (i + 1) / n))
        except rt.AbsentRuntimeError as error:
            absent[runtime] = str(error)
    if not latencies:
        raise ValueError(" ".join(absent.values()) or "there are no runtimes to time in")
    return Speed(small.plan.macs_ratio, latencies, absent)
