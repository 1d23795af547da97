"""Time networks in turns on this machine, so that other load slows all of them alike."""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workbench.exporters.int8 import Int8
from workbench.measure import runtimes as rt
from workbench.measure.exclusive import watching
from workbench.network.network import Network
from workbench.network.outputs import are_classes, same_answers, tensors_of
from workbench.progress import Progress
from workbench.tables import Table

Vector = NDArray[np.float64]

WARM_UP_RUNS = 2
MIN_ROUNDS, MAX_ROUNDS = 7, 500

INT8 = "int8"
"""Name of the quantised network among the timed ones."""


@dataclass(frozen=True, repr=False)
class Latency(Table):
    """Times of several networks that were measured in turns."""

    how: str  # runtime, batch, threads and memory format, in words
    samples: Mapping[str, Vector]  # name -> (rounds,) seconds of one run of a batch
    disturbed: str = ""  # a sentence if another process of the workbench computed meanwhile
    bytes: Mapping[str, int] = field(default_factory=dict)  # size of the networks' files, if the runtime has files
    agreement: Mapping[str, float] = field(default_factory=dict)  # share of answers like the first network's

    headers = ("network", "ms (median)", "ms (middle half)", "runs")

    def ms(self, name: str) -> float:
        """Return the median milliseconds of one run."""
        return 1e3 * float(np.median(self.samples[name]))

    def speedup(self, before: str = "original", after: str = "compressed") -> float:
        """Return the ratio of the medians, `before` / `after`."""
        return self.ms(before) / self.ms(after)

    def speedup_spread(self, before: str = "original", after: str = "compressed") -> tuple[float, float]:
        """Return the lower and upper quartile of the ratio `before` / `after` over the rounds."""
        low, high = np.quantile(self.samples[before] / self.samples[after], (0.25, 0.75))
        return float(low), float(high)

    @property
    def caption(self) -> str:
        """The conditions of the measurement, and whether it was disturbed."""
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
    int8: Int8 | None = None,
    compared: Sequence[Tensor] = (),
    progress: Progress | bool | None = None,
) -> Latency:
    """Time networks in turns for about `seconds`: each round runs each of them once, in a rotated order.

    With `int8`, in a runtime of files, the last network is also timed quantised, as "int8". The answers to `compared`,
    each the inputs of one run, are compared with those of the first network.
    """
    rt.check_counts(batch=batch, threads=threads)
    title = rt.RUNTIMES.get(runtime, runtime)
    with watching(progress) as watch, rt.torch_threads(threads):
        runners: dict[str, rt.Runner] = {}
        entries: list[tuple[str, Network, Int8 | None]] = [(name, network, None) for name, network in networks.items()]
        if int8 and runtime in rt.FILE_RUNTIMES:
            entries.append((INT8, entries[-1][1], int8))
        for i, (name, network, quantised) in enumerate(entries):
            watch.report(0.5 * i / len(entries), f"preparing {name} for {title}")
            options: dict[str, Any] = {"threads": threads, "channels_last": channels_last, "int8": quantised}
            runners[name] = rt.prepare(network.model, rt.image_batch(network, batch), runtime, **options)
        clocks = {name: runner.clock for name, runner in runners.items()}
        samples = time_in_turns(clocks, seconds, lambda share: watch.report(0.5 + 0.4 * share, f"timing {title}"))
        agreement = _agreement(runners, compared, lambda share: watch.report(0.9 + 0.1 * share, "comparing answers"))
    sizes = {name: runner.bytes for name, runner in runners.items() if runner.bytes}
    configuration = rt.configuration(runtime, batch, threads, channels_last)
    return Latency(configuration, samples, watch.disturbed, sizes, agreement)


def _agreement(
    runners: Mapping[str, rt.Runner], compared: Sequence[Tensor], progress: Callable[[float], None]
) -> dict[str, float]:
    """Return the share of each runner's answers that equal the first runner's; {} if the outputs are no classes."""
    sums = dict.fromkeys(runners, 0.0)
    for i, inputs in enumerate(compared):
        progress(i / len(compared))
        outputs = {name: tensors_of(runner.call(inputs)) for name, runner in runners.items() if runner.call}
        expected, *others = next(iter(outputs.values()))
        if others or not are_classes(expected):
            return {}
        for name, (output,) in outputs.items():
            sums[name] += float(same_answers(expected, output)[:, 0].double().mean())
    return {name: total / len(compared) for name, total in sums.items()} if compared else {}


def time_in_turns(
    clocks: Mapping[str, Callable[[], float]], seconds: float, progress: Callable[[float], None] = lambda _: None
) -> dict[str, Vector]:
    """Call clocks in turns after a warm-up; return (rounds,) seconds of each. Garbage collection is off meanwhile."""
    for clock in clocks.values():
        for _ in range(WARM_UP_RUNS):
            if clock() > seconds:
                break
    rounds = int(np.clip(seconds / max(sum(clock() for clock in clocks.values()), 1e-9), MIN_ROUNDS, MAX_ROUNDS))
    samples: dict[str, list[float]] = {name: [] for name in clocks}
    order = list(clocks)
    gc_was_enabled = gc.isenabled()
    gc.disable()
    try:
        for i in range(rounds):
            progress(i / rounds)
            for name in order:
                samples[name].append(clocks[name]())
            order.append(order.pop(0))
    finally:
        if gc_was_enabled:
            gc.enable()
    return {name: np.array(values) for name, values in samples.items()}
