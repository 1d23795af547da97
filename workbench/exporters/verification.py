"""Compare the outputs and answers of an exported file with those of its network."""

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
"""Largest difference that passes in half precision, in units of the outputs' precision."""

MIN_INT8_SNR_DB = 10.0
"""Smallest signal-to-noise ratio of an int8 file that passes: noise of a tenth of the outputs' power."""
MIN_INT8_AGREEMENT = 0.5
"""Smallest share of equal answers of an int8 file that passes."""

MAX_IMAGES = 500
RANDOM_INPUTS = 8


@dataclass(frozen=True)
class Verification:
    """Differences between a file and the PyTorch network, on a split, "images" or "random inputs"."""

    max_error: float  # largest difference of two outputs, divided by the largest output
    agreement: float  # share of the `n` inputs, or of their positions, with the same first answer
    n: int
    inputs: str
    tolerance: float = MAX_RELATIVE_ERROR  # largest error that counts as rounding
    snr_db: float = MAX_SNR_DB  # smallest signal-to-noise ratio of an output
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
        answers = "every answer" if self.agreement == 1.0 else f"{self.agreement:.1%} of the answers"
        error = (
            f"signal-to-noise ratio {self.snr_db:.1f} dB" if self.int8 else f"largest difference {self.max_error:.1e}"
        )
        return f"{answers} on {self.n} images ({self.inputs}) as of the compressed network here, {error}"


@dataclass(frozen=True, eq=False)
class Reference:
    """Inputs of single runs, the network's output tensors for each on the CPU, and the name of the images.

    A run takes one image, or as many as the ONNX file that the network was opened from.
    """

    inputs: list[Any]
    outputs: list[list[Tensor]]
    name: str
    n: int  # images in all runs

    def compare(
        self, run: Callable[[Any], Any], *, int8: bool = False, progress: Progress | bool | None = None
    ) -> Verification:
        """Run the same inputs, and compare the outputs.

        A position of dense classes (n, classes, ...) agrees if its two best classes differ by rounding only.
        """
        report, error, equal_answers, answers = reporter(progress), 0.0, 0.0, 0
        precision = max((torch.finfo(t.dtype).eps for tensors in self.outputs for t in tensors), default=0.0)
        tolerance = max(MAX_RELATIVE_ERROR, MAX_ROUNDINGS * precision)
        powers = [torch.zeros(2, dtype=torch.float64) for _ in self.outputs[0]]
        scales = [max(float(t.abs().max()) for t in ts if t.numel()) or 1.0 for ts in zip(*self.outputs, strict=True)]
        for i, (inputs, expected) in enumerate(zip(self.inputs, self.outputs, strict=True)):
            report(i / len(self.inputs), "checking it")
            with torch.inference_mode():
                actual = tensors_of(run(inputs))
            have_rows = all(t.ndim for t in (*expected, *actual)) and isinstance(inputs, Tensor)
            if have_rows and len(expected) == len(actual):  # leave out the copies that fill the last run
                actual = [t[: len(e)] if len(t) == len(inputs) else t for t, e in zip(actual, expected, strict=True)]
            shapes, expected_shapes = _shapes_text(actual), _shapes_text(expected)
            if shapes != expected_shapes:
                raise ExportError(f"it gives {shapes} where PyTorch gives {expected_shapes}")
            powers = [sums + powers_of(*pair) for sums, *pair in zip(powers, expected, actual, strict=True)]
            for output, target, scale in zip(actual, expected, scales, strict=True):
                difference = float((output - target).abs().max()) / scale if target.numel() else 0.0
                error = max(error, difference) if difference == difference else float("inf")  # NaN
            has_classes = len(expected) == 1 and expected[0].ndim > 1
            share = float(_agreement(expected[0], actual[0], tolerance * scales[0])) if has_classes else 1.0
            count = len(expected[0]) if has_classes else 1
            equal_answers += count * share
            answers += count
        agreement, snr = equal_answers / answers, min(map(snr_db, powers))
        return Verification(error, agreement, self.n, self.name, tolerance, snr, int8)


def reference(network: Network, images: Images | None) -> Reference:
    """Run a copy of the network on the CPU on the first 500 images, for the outputs of a correct file.

    Without images the inputs are the network's example, or random with a fixed seed. ExportError if the network does
    not run, or gives no tensors of finite numbers.
    """
    batches: Iterable[Any] = inputs_of(network, images) if images is not None else _random_inputs(network)
    model = copy_for_export(network.model)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    opened: Any = model
    run_size = (hasattr(opened, "to_proto") and opened.batch) or 1  # an opened ONNX file may fix it
    n = 0
    inputs: list[Any] = []
    outputs: list[list[Tensor]] = []
    with torch.inference_mode():
        for batch in batches:
            cpu_batch = tree_map_only(Tensor, lambda x: x.detach().cpu(), batch)
            if isinstance(cpu_batch, Tensor):
                cpu_batch = cpu_batch[: MAX_IMAGES - n].to(dtype if batch.is_floating_point() else batch.dtype)
                count = len(cpu_batch)
                cpu_batch = torch.cat([cpu_batch, cpu_batch[-1:].expand(-count % run_size, *cpu_batch.shape[1:])])
            else:
                count = 1
            n += count
            try:
                tensors = [t.clone() for t in tensors_of(call(model, cpu_batch))]
            except Exception as error:
                shape = " x ".join(map(str, network.input_shape))
                raise ExportError(f"{network.name} does not run on {shape}: {first_line(error)}") from error
            batched = isinstance(cpu_batch, Tensor) and all(t.ndim and len(t) == len(cpu_batch) for t in tensors)
            inputs += cpu_batch.split(run_size) if batched else [cpu_batch]
            runs = range(0, count, run_size)  # copies that fill the last one are not compared
            outputs += [[t[i : min(i + run_size, count)] for t in tensors] for i in runs] if batched else [tensors]
            if n >= MAX_IMAGES:
                break
    if not all(outputs):
        raise ExportError(f"{network.name} gives no tensors of numbers, so it cannot be compared")
    if not all(bool(t.isfinite().all()) for tensors in outputs for t in tensors):
        raise ExportError(f"{network.name} gives outputs that are NaN or infinite: there is nothing to compare with")
    name = images.name if isinstance(images, Split) else "images" if images is not None else "random inputs"
    return Reference(inputs, outputs, name, n)


def _agreement(expected: Tensor, actual: Tensor, rounding: float) -> Tensor:
    """Return the share of equal first answers of outputs (n, classes, ...); of dense ones up to `rounding`."""
    answers = actual.argmax(1, keepdim=True)
    is_equal = answers == expected.argmax(1, keepdim=True)
    if expected.ndim > 2:
        is_equal |= expected.gather(1, answers) >= expected.amax(1, keepdim=True) - rounding
    return is_equal.double().mean()


def _shapes_text(tensors: Sequence[Tensor]) -> str:
    return ", ".join(str(tuple(t.shape)) for t in tensors) or "nothing"


def _random_inputs(network: Network) -> Iterator[Any]:
    if network.example is not None:
        return iter([network.example])
    inputs = torch.randn(RANDOM_INPUTS, *network.input_shape, generator=torch.Generator().manual_seed(0))
    return iter(inputs.split(fitting_batch(network.input_shape)))
