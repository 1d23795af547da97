"""What a run's measurements say, as far as they are numbers: a run store keeps any JSON under these names."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from workbench.measure.runtimes import RUNTIMES
from workbench.runs.run import Run


@dataclass(frozen=True)
class Latency:
    """Milliseconds in one runtime, by its readable name, of the original and of the compressed network.

    `how` is the runtime with threads and images at once, where the run says so.
    """

    runtime: str
    dense_ms: float
    compressed_ms: float
    how: str = ""

    @property
    def speedup(self) -> float:
        """How many times faster the compressed one is."""
        return self.dense_ms / self.compressed_ms


@dataclass(frozen=True)
class Energy:
    """Millijoules an image, of the original and of the compressed network; `source` says from where they are known."""

    dense_mj: float
    compressed_mj: float
    measured: bool
    source: str

    @property
    def kind(self) -> str:
        """The word that stands beside every such number: measured, or estimate."""
        return "measured" if self.measured else "estimate"


def latencies(run: Run) -> list[Latency]:
    """Of each runtime with two positive times under "latency"; what is not understood is left out."""
    given = run.measured.get("latency")
    found = []
    for row in given if isinstance(given, list | tuple) else ():
        if isinstance(row, Mapping):
            dense, compressed = _positive(row.get("dense_ms")), _positive(row.get("compressed_ms"))
            if dense and compressed:
                name = str(row.get("runtime", "a runtime"))
                found.append(Latency(RUNTIMES.get(name, name), dense, compressed, str(row.get("how") or "")))
    return found


def energy_of(run: Run) -> Energy | None:
    """Of "energy", if both are positive numbers. Whatever does not say that it was measured is an estimate."""
    given = run.measured.get("energy")
    if not isinstance(given, Mapping):
        return None
    dense, compressed = _positive(given.get("dense_mj")), _positive(given.get("compressed_mj"))
    if not dense or not compressed:
        return None
    return Energy(dense, compressed, given.get("measured") is True, str(given.get("source") or ""))


def _positive(value: object) -> float:
    """The value if it is a finite number above 0, else 0."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value > 0
    return float(value) if good else 0.0  # type: ignore[arg-type]
