"""How long networks take on this machine: interleaved in one run, so that what else goes on meets all of them alike."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.measure.roofline import torch_threads
from workbench.measure.runtimes import RUNTIMES, AbsentRuntimeError, Runner, example_inputs, prepare
from workbench.network.network import Network, expect_network
from workbench.tables import html_table, text_table, times

Vector = NDArray[np.float64]

WARM_UP = 2
LEAST, MOST = 7, 500
"""Rounds that are timed, at least and at most."""


class Stopped(Exception):  # noqa: N818 - not an error
    """Raised when the caller asked to stop."""


@dataclass(frozen=True, repr=False)
class Latency:
    """Times of several networks, measured in turns.

    Attributes
    ----------
    runtime, batch, threads, channels_last : how they were run.
    samples : name -> (rounds,) seconds of one run of a batch; sample i of all networks is from the same round.
    """

    runtime: str
    batch: int
    threads: int
    channels_last: bool
    samples: Mapping[str, Vector] = field(repr=False)

    def ms(self, name: str) -> float:
        """Median milliseconds of one run."""
        return 1e3 * float(np.median(self.samples[name]))

    def spread(self, name: str) -> tuple[float, float]:
        """Lower and upper quartile in milliseconds."""
        low, high = np.quantile(self.samples[name], (0.25, 0.75))
        return 1e3 * float(low), 1e3 * float(high)

    def speedup(self, before: str, after: str) -> float:
        """How many times faster: the ratio of the medians."""
        return self.ms(before) / self.ms(after)

    def speedup_spread(self, before: str, after: str) -> tuple[float, float]:
        """Lower and upper quartile of how many times faster it was in one round: what another measuring may give."""
        low, high = np.quantile(self.samples[before] / self.samples[after], (0.25, 0.75))
        return float(low), float(high)

    @property
    def _rows(self) -> list[list[str]]:
        rows = []
        for name in self.samples:
            low, high = self.spread(name)
            rows.append([name, f"{self.ms(name):.3g}", f"{low:.3g} to {high:.3g}", str(len(self.samples[name]))])
        return rows

    @property
    def _headers(self) -> list[str]:
        return [self.how, "ms (median)", "ms (middle half)", "runs"]

    @property
    def how(self) -> str:
        """Runtime, batch, threads and memory format, in words."""
        words = [RUNTIMES[self.runtime], f"batch {self.batch}"]
        words.append(f"{self.threads} thread{'s' if self.threads > 1 else ''}")
        return ", ".join(words + (["channels last"] if self.channels_last else []))

    def __str__(self) -> str:
        return text_table(self._headers, self._rows, left=(0,))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._headers, self._rows, left=(0,))


def latency(
    networks: Mapping[str, Network] | Sequence[Network],
    runtime: str = "eager",
    *,
    batch: int = 1,
    threads: int = 1,
    channels_last: bool = False,
    seconds: float = 4.0,
    progress: Callable[[float, str], None] | None = None,
) -> Latency:
    """Time networks against each other: warmed up, then one run of each in every round, the order turning.

    Parameters
    ----------
    networks : by name, or several, which go by their names in that order.
    runtime : one of :data:`~workbench.measure.runtimes.RUNTIMES`.
    batch : images in one run.
    threads : that a run may use.
    channels_last : memory format, for PyTorch.
    seconds : about how long to time all of them together; there are at least 7 rounds.
    progress : called with (share done, what is going on); what it raises ends the measuring.

    Returns
    -------
    Latency.

    Raises
    ------
    AbsentRuntimeError : if the runtime is not here, with the way to get it.
    ValueError : on a batch or a number of threads below 1, or no networks.
    """
    named = _named(networks)
    for what, value in (("batch", batch), ("threads", threads)):
        if int(value) != value or value < 1:
            raise ValueError(f"{what} must be a whole number of at least 1, not {value}")
    tell = progress or (lambda _share, _note: None)
    with torch_threads(threads):
        runners: dict[str, Runner] = {}
        for i, (name, network) in enumerate(named.items()):
            tell(0.5 * i / len(named), f"preparing {name} for {RUNTIMES[runtime]}" if runtime in RUNTIMES else name)
            inputs = example_inputs(network, batch).to(network.device)
            runners[name] = prepare(network.model, inputs, runtime, threads=threads, channels_last=channels_last)
        samples = timed(runners, seconds, lambda share: tell(0.5 + 0.5 * share, f"timing {RUNTIMES[runtime]}"))
    return Latency(runtime, batch, threads, channels_last, samples)


def timed(
    runners: Mapping[str, Runner], seconds: float, progress: Callable[[float], None] | None = None
) -> dict[str, Vector]:
    """(rounds,) seconds of each; all are warmed up first, and the garbage collector rests meanwhile."""
    for runner in runners.values():
        for _ in range(WARM_UP):
            once = runner.clock()
            if once > seconds:
                break
    names = list(runners)
    one_round = sum(runner.clock() for runner in runners.values())
    rounds = int(np.clip(seconds / max(one_round, 1e-9), LEAST, MOST))
    found: dict[str, list[float]] = {name: [] for name in names}
    with _no_collector():
        for i in range(rounds):
            if progress:
                progress(i / rounds)
            for name in islice(cycle(names), i % len(names), i % len(names) + len(names)):
                found[name].append(runners[name].clock())
    return {name: np.array(values) for name, values in found.items()}


@contextmanager
def _no_collector() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _named(networks: Mapping[str, Network] | Sequence[Network]) -> dict[str, Network]:
    if isinstance(networks, Mapping):
        named = dict(networks)
    else:
        named = {}
        for network in networks:
            expect_network(network)
            name = network.name if network.plan is None else f"{network.name}, compressed"
            named[name if name not in named else f"{name} {len(named) + 1}"] = network
    if not named:
        raise ValueError("there are no networks to time")
    for network in named.values():
        expect_network(network)
    return named


@dataclass(frozen=True, repr=False)
class Speed:
    """An original and its compressed network, side by side in several runtimes.

    Attributes
    ----------
    macs_ratio : original / compressed MACs, what counting promises.
    latencies : runtime -> their times, called "original" and "compressed".
    absent : runtime -> why it could not be used.
    """

    macs_ratio: float
    latencies: Mapping[str, Latency]
    absent: Mapping[str, str]

    def rows(self) -> list[dict[str, Any]]:
        """JSON values of each runtime: milliseconds, speed-up, its quartiles, and the share of the MAC ratio."""
        found = []
        for runtime, clock in self.latencies.items():
            speedup = clock.speedup("original", "compressed")
            dense, compressed = clock.ms("original"), clock.ms("compressed")
            row = {"runtime": runtime, "dense_ms": dense, "compressed_ms": compressed, "speedup": speedup}
            row["spread"] = clock.speedup_spread("original", "compressed")
            found.append(row | {"realised": speedup / self.macs_ratio, "how": clock.how})
        return found

    @property
    def best_realised(self) -> float:
        """(Fastest original / fastest compressed of all runtimes) / MAC ratio: a slow original flatters nobody."""
        rows = self.rows()
        dense, compressed = (min(float(row[key]) for row in rows) for key in ("dense_ms", "compressed_ms"))
        return dense / compressed / self.macs_ratio

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            [
                r["how"],
                f"{r['dense_ms']:.3g}",
                f"{r['compressed_ms']:.3g}",
                times(r["speedup"]),
                " to ".join(times(one) for one in r["spread"]),
                f"{100 * r['realised']:.0f} %",
            ]
            for r in self.rows()
        ]
        realised = f"realised of MACs {times(self.macs_ratio)}"
        return ["runtime", "original, ms", "compressed, ms", "faster", "faster, middle half", realised], rows

    def __str__(self) -> str:
        return "\n".join([text_table(*self._table(), left=(0,)), *self.absent.values()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        absent = "".join(f"<p>{why}</p>" for why in self.absent.values())
        return html_table(*self._table(), left=(0,)) + absent


def speed(
    network: Network,
    smaller: Network,
    runtimes: Sequence[str] = ("eager", "onnxruntime", "executorch"),
    *,
    batch: int = 1,
    threads: int = 1,
    channels_last: bool = False,
    seconds: float = 4.0,
    progress: Callable[[float, str], None] | None = None,
) -> Speed:
    """Time an original and its compressed network in several runtimes; one that is absent is named, not fatal.

    Parameters
    ----------
    seconds : for each runtime. Other parameters as of :func:`latency`.

    Raises
    ------
    ValueError : if the compressed network has no plan, so that nobody knows its MAC ratio; or no runtime is here.
    """
    expect_network(network)
    expect_network(smaller)
    if smaller.plan is None:
        raise ValueError(f"{smaller.name} has no plan: compare a network with what wb.decompose made of it")
    latencies: dict[str, Latency] = {}
    absent: dict[str, str] = {}
    both = {"original": network, "compressed": smaller}
    for i, runtime in enumerate(runtimes):

        def tell(share: float, note: str, i: int = i) -> None:
            if progress:
                progress((i + share) / len(runtimes), note)

        try:
            latencies[runtime] = latency(
                both,
                runtime,
                batch=batch,
                threads=threads,
                channels_last=channels_last,
                seconds=seconds,
                progress=tell,
            )
        except AbsentRuntimeError as error:
            absent[runtime] = str(error)
    if not latencies:
        raise ValueError(" ".join(absent.values()) or "there are no runtimes to time in")
    return Speed(smaller.plan.macs_ratio, latencies, absent)
