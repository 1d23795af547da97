"""Compare an exported file with the network it came from: the same numbers, the same answers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from workbench.exporters.tracing import ExportError, copy_for_export
from workbench.network.data import Split, fitting_batch
from workbench.network.inputs import Images, inputs_of
from workbench.network.network import Network, first_line
from workbench.network.outputs import MAX_SNR_DB, call, powers_of, snr_db, tensors_of
from workbench.progress import Progress, reporter

MAX_RELATIVE_ERROR = 1e-4
"""Largest difference that passes, as a share of the largest output; rounding gives a hundredth of it."""
MAX_ROUNDINGS = 10
"""The same in units of the outputs' precision, which is coarser than float32 in a network of half precision."""

MIN_INT8_SNR_DB = 10.0
"""Smallest signal-to-noise ratio of an int8 file that passes: noise of a tenth of the outputs' power."""
MIN_INT8_AGREEMENT = 0.5
"""Smallest share of equal answers of an int8 file that passes."""

MAX_IMAGES = 500
RANDOM_INPUTS = 8


@dataclass(frozen=True)
class Verification:
    """How a file compares with the PyTorch network, on a split, "images" or "random inputs"."""

    max_error: float  # largest difference of two outputs, divided by the largest output
    agreement: float  # share of the `n` inputs, or of their places, with the same first answer
    n: int
    inputs: str
    tolerance: float = MAX_RELATIVE_ERROR  # the largest error that is rounding
    snr_db: float = MAX_SNR_DB  # signal-to-noise ratio of the outputs; of several, the smallest
    int8: bool = False  # whether the file is quantised

    @property
    def passed(self) -> bool:
        """Whether the outputs are the same but for rounding, and every answer is the same.

        The file of a quantised network passes with at least half of the answers, and 10 dB.
        """
        if self.int8:
            return self.agreement >= MIN_INT8_AGREEMENT and self.snr_db >= MIN_INT8_SNR_DB
        return self.max_error <= self.tolerance and self.agreement == 1.0

    def __str__(self) -> str:
        same = "every answer" if self.agreement == 1.0 else f"{self.agreement:.1%} of the answers"
        error = (
            f"signal-to-noise ratio {self.snr_db:.1f} dB" if self.int8 else f"largest difference {self.max_error:.1e}"
        )
        return f"{same} on {self.n} images ({self.inputs}) as of the compressed network here, {error}"


@dataclass(frozen=True, eq=False)
class Reference:
    """Inputs of single runs, the network's output tensors for each on the CPU, and a name.

    A run is of one image, or of as many as the ONNX file that the network was opened from takes at a time.
    """

    inputs: list[Any]
    outputs: list[list[Tensor]]
    name: str
    n: int  # images in all runs

    def compare(
        self, run: Callable[[Any], Any], *, int8: bool = False, progress: Progress | bool | None = None
    ) -> Verification:
        """Run the same inputs, and compare the outputs.

        A place of dense classes (n, classes, ...) counts as the same if its two best classes differ by rounding only.
        """
        report, same, compared = reporter(progress), 0.0, 0
        precision = max((torch.finfo(t.dtype).eps for tensors in self.outputs for t in tensors), default=0.0)
        tolerance = max(MAX_RELATIVE_ERROR, MAX_ROUNDINGS * precision)
        powers = [torch.zeros(2, dtype=torch.float64) for _ in self.outputs[0]]
        largest = [max(float(t.abs().max()) for t in ts if t.numel()) or 1.0 for ts in zip(*self.outputs, strict=True)]
        error = 0.0
        for i, (one, wanted) in enumerate(zip(self.inputs, self.outputs, strict=True)):
            report(i / len(self.inputs), "checking it")
            with torch.inference_mode():
                found = tensors_of(run(one))
            if len(wanted) == len(found) and all(t.ndim for t in (*wanted, *found)) and isinstance(one, Tensor):
                found = [t[: len(w)] if len(t) == len(one) else t for t, w in zip(found, wanted, strict=True)]
            shapes = [[tuple(t.shape) for t in tensors] for tensors in (found, wanted)]
            if shapes[0] != shapes[1]:
                raise ExportError(f"it gives {_words(shapes[0])} where PyTorch gives {_words(shapes[1])}")
            powers = [sums + powers_of(*pair) for sums, *pair in zip(powers, wanted, found, strict=True)]
            for mine, theirs, scale in zip(found, wanted, largest, strict=True):
                difference = float((mine - theirs).abs().max()) / scale if theirs.numel() else 0.0
                error = max(error, difference) if difference == difference else float("inf")
            classes = len(wanted) == 1 and wanted[0].ndim > 1
            count = len(wanted[0]) if classes else 1
            same += count * float(_agreement(wanted[0], found[0], tolerance * largest[0])) if classes else 1.0
            compared += count
        agreement, snr = same / compared, min(map(snr_db, powers))
        return Verification(error, agreement, self.n, self.name, tolerance, snr, int8)


def reference(network: Network, images: Images | None) -> Reference:
    """Run a copy of the network on the CPU, for what a correct file will give on the first 500 images.

    Without images the inputs are random ones from a fixed seed, or the network's example. ExportError if the network
    does not run, or gives no tensors of finite numbers.
    """
    batches: Iterable[Any] = inputs_of(network, images) if images is not None else _random_inputs(network)
    model = copy_for_export(network.model)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    opened: Any = model
    size = (hasattr(opened, "to_proto") and opened.batch) or 1  # of an ONNX file that fixes it
    n = 0
    inputs: list[Any] = []
    outputs: list[list[Tensor]] = []
    with torch.inference_mode():
        for batch in batches:
            ready = tree_map_only(Tensor, lambda x: x.detach().cpu(), batch)
            if isinstance(ready, Tensor):
                ready = ready[: MAX_IMAGES - n].to(dtype if batch.is_floating_point() else batch.dtype)
                real = len(ready)
                ready = torch.cat([ready, ready[-1:].expand(-real % size, *ready.shape[1:])])
            else:
                real = 1
            n += real
            try:
                found = [t.clone() for t in tensors_of(call(model, ready))]
            except Exception as error:
                shape = " x ".join(map(str, network.input_shape))
                raise ExportError(f"{network.name} does not run on {shape}: {first_line(error)}") from error
            single = isinstance(ready, Tensor) and all(t.ndim and len(t) == len(ready) for t in found)
            inputs += ready.split(size) if single else [ready]
            runs = range(0, real, size)  # copies that fill the last one are not compared
            outputs += [[t[i : min(i + size, real)] for t in found] for i in runs] if single else [found]
            if n >= MAX_IMAGES:
                break
    if not all(outputs):
        raise ExportError(f"{network.name} gives no tensors of numbers, so it cannot be compared")
    if not all(bool(t.isfinite().all()) for tensors in outputs for t in tensors):
        raise ExportError(f"{network.name} gives outputs that are NaN or infinite: there is nothing to compare with")
    name = images.name if isinstance(images, Split) else "images" if images is not None else "random inputs"
    return Reference(inputs, outputs, name, n)


def _agreement(wanted: Tensor, made: Tensor, rounding: float) -> Tensor:
    """Return the share of first answers (n, classes, ...) that are the same, of dense ones but for `rounding`."""
    answers = made.argmax(1, keepdim=True)
    same = answers == wanted.argmax(1, keepdim=True)
    if wanted.ndim > 2:
        same |= wanted.gather(1, answers) >= wanted.amax(1, keepdim=True) - rounding
    return same.double().mean()


def _words(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes)) or "nothing"


def _random_inputs(network: Network) -> Iterator[Any]:
    if network.example is not None:
        return iter([network.example])
    inputs = torch.randn(RANDOM_INPUTS, *network.input_shape, generator=torch.Generator().manual_seed(0))
    return iter(inputs.split(fitting_batch(network.input_shape)))
