"""The speed of a compressed network, and of its int8 files, against its original in several runtimes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from workbench.exporters.int8 import Int8, calibration
from workbench.exporters.tracing import ExportError
from workbench.measure import runtimes as rt
from workbench.measure.latency import INT8, Latency, latency
from workbench.network.inputs import Images, inputs_of, split_of
from workbench.plan.compressed import CompressedNetwork, expect_compressed
from workbench.progress import Progress, part, reporter
from workbench.tables import Table, times

MAX_COMPARED_IMAGES = 100
"""Largest number of images on which answers are compared."""


@dataclass(frozen=True, repr=False)
class Speed(Table):
    """Times of an original and its compressed network by runtime.

    If it was measured with `int8`, also the times of the int8 files, the sizes of all files, and the share of images
    that each network answers as the original does.
    """

    macs_ratio: float
    latencies: Mapping[str, Latency]
    absent: Mapping[str, str]  # runtime -> why it could not be used
    compared: int = 0  # images on which answers were compared

    left = (0, 1)

    @property
    def headers(self) -> tuple[str, ...]:  # type: ignore[override]
        """Titles of the columns; the last two only with int8."""
        columns = ("runtime", "network", "ms", "faster", "faster, middle half", "realised")
        return (*columns, "file, MB", "same answers") if self.compared else columns

    @property
    def records(self) -> list[dict[str, Any]]:
        """JSON values of each runtime.

        Milliseconds, speed-up, its quartiles and its share of the MAC ratio; time and speed-up of an int8 file; bytes
        of the files and shares of equal answers by network.
        """
        return [
            {
                "runtime": runtime,
                "dense_ms": run.ms("original"),
                "compressed_ms": run.ms("compressed"),
                "speedup": run.speedup(),
                "spread": run.speedup_spread(),
                "realised": run.speedup() / self.macs_ratio,
                "how": run.how,
                **({"int8_ms": run.ms(INT8), "int8_speedup": run.speedup(after=INT8)} if INT8 in run.samples else {}),
                **({"bytes": dict(run.bytes), "agreement": dict(run.agreement)} if self.compared else {}),
            }
            for runtime, run in self.latencies.items()
        ]

    @property
    def fastest(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Records of the fastest runtime of the original, and of that of the compressed network."""
        dense, small = (min(self.records, key=lambda row: float(row[key])) for key in ("dense_ms", "compressed_ms"))
        return dense, small

    @property
    def best_speedup(self) -> float:
        """Smallest time of the original / smallest time of the compressed network, over all runtimes."""
        dense, small = self.fastest
        return float(dense["dense_ms"] / small["compressed_ms"])

    @property
    def best_realised(self) -> float:
        """The best speed-up as a share of the MAC ratio."""
        return self.best_speedup / self.macs_ratio

    @property
    def disturbed(self) -> str:
        """A sentence if another process of the workbench computed meanwhile, else ""."""
        return max((run.disturbed for run in self.latencies.values()), default="")

    @property
    def caption(self) -> str:
        """Meaning of the columns, absent runtimes, runtimes in which int8 is slower, and whether it was disturbed."""
        notes = [f"realised: share of {times(self.macs_ratio)} fewer MACs"]
        if self.compared:
            notes.append(f"same answers: as the original's, on {self.compared} images that no range was measured on")
        runs = {rt.RUNTIMES[name]: run for name, run in self.latencies.items() if INT8 in run.samples}
        if slow := [name for name, run in runs.items() if run.ms(INT8) > run.ms("compressed")]:
            notes.append(f"int8 is slower than float on this processor in {' and '.join(slow)}")
        return "; ".join(filter(None, (*notes, *dict.fromkeys(self.absent.values()), self.disturbed)))

    @property
    def rows(self) -> list[list[str]]:
        """One row for each runtime and network."""
        return [self._row(run, name) for run in self.latencies.values() for name in run.samples]

    def _row(self, run: Latency, name: str) -> list[str]:
        cells = [run.how, "compressed, int8" if name == INT8 else name, f"{run.ms(name):.3g}", "", "", ""]
        if name != "original":
            cells[3] = times(run.speedup(after=name))
            cells[4] = " to ".join(map(times, run.speedup_spread(after=name)))
        if name == "compressed":
            cells[5] = f"{100 * run.speedup() / self.macs_ratio:.0f} %"
        if not self.compared:
            return cells
        size, agreement = run.bytes.get(name), run.agreement.get(name)
        return [*cells, f"{size / 1e6:.2f}" if size else "", "" if agreement is None else f"{agreement:.1%}"]


def speed(
    small: CompressedNetwork,
    runtimes: Sequence[str] = ("eager", "onnxruntime", "executorch"),
    *,
    int8: Images | None = None,
    keep_float: Sequence[str] = (),
    progress: Progress | bool | None = None,
    **settings: Any,
) -> Speed:
    """Time a compressed network against its original in several runtimes; some may be absent or fail on it.

    Parameters
    ----------
    int8 : images without labels, to time int8 files of the compressed network too, in ONNX Runtime and ExecuTorch: half
        of them, up to 100, measure the ranges; on the others, up to 100, answers are compared with the original's.
    keep_float : names of layers that stay in float in the int8 files.
    settings : `seconds` for each runtime (there are at least 7 rounds), `batch` (images in one run), `threads` that it
        may use, and `channels_last` for PyTorch's memory format.

    Raises
    ------
    ValueError : if no runtime can be used, or a setting makes no sense.
    """
    expect_compressed(small)
    compared: list[Tensor] = []
    if int8 is not None:
        settings["int8"], compared = _split_images(small, int8, keep_float, runtimes, settings.get("batch", 1))
        settings["compared"] = compared
    networks, report, n = rt.with_original(small), reporter(progress), max(1, len(runtimes))
    latencies: dict[str, Latency] = {}
    absent: dict[str, str] = {}
    for i, runtime in enumerate(runtimes):
        try:
            latencies[runtime] = latency(networks, runtime, **settings, progress=part(report, i / n, (i + 1) / n))
        except (rt.AbsentRuntimeError, ExportError) as error:
            absent[runtime] = str(error)
    if not latencies:
        raise ValueError(" ".join(absent.values()) or "there are no runtimes to time in")
    return Speed(small.plan.macs_ratio, latencies, absent, sum(map(len, compared)))


def _split_images(
    small: CompressedNetwork, images: Images, keep_float: Sequence[str], runtimes: Sequence[str], batch: int
) -> tuple[Int8, list[Tensor]]:
    """Return the quantisation settings from one half of the images, and batches of the other half."""
    rt.check_counts(batch=batch)
    if not set(runtimes) & set(rt.FILE_RUNTIMES):
        raise ValueError(f"int8 files run in {' and '.join(rt.FILE_RUNTIMES)}: choose one of these runtimes")
    rt.image_batch(small)
    split = split_of(small, images, labelled=False)
    if len(split) < 2 * batch:
        raise ValueError(f"int8 takes at least {2 * batch} images: half to measure ranges on, half to compare answers")
    range_images, others = split.parted(len(split) // 2)
    batches = inputs_of(small, others.sample(MAX_COMPARED_IMAGES), batch_size=batch)
    return calibration(small, range_images, keep_float, batch=batch), [b.cpu() for b in batches if len(b) == batch]
