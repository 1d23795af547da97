"""Compare an exported file with the network it came from: the same numbers, the same answers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.exporters.tracing import ExportError, copy_for_export, first_line
from workbench.network.data import Split, fitting_batch
from workbench.network.inputs import Images, inputs_of
from workbench.network.network import Network
from workbench.progress import Progress, reporter

MAX_RELATIVE_ERROR = 1e-4
"""Largest difference that passes, as a share of the largest output; rounding gives a hundredth of it."""

MAX_IMAGES = 500
RANDOM_INPUTS = 8


@dataclass(frozen=True)
class Verification:
    """How a file compares with the PyTorch network, on a split, "images" or "random inputs"."""

    max_error: float  # largest difference of two outputs, divided by the largest output
    agreement: float  # share of the `n` inputs with the same first answer
    n: int
    inputs: str

    @property
    def passed(self) -> bool:
        """Whether the outputs are the same but for rounding, and every answer is the same."""
        return self.max_error <= MAX_RELATIVE_ERROR and self.agreement == 1.0

    def __str__(self) -> str:
        same = "every answer" if self.agreement == 1.0 else f"{self.agreement:.1%} of the answers"
        return f"{same} on {self.n} images ({self.inputs}) as in PyTorch, largest difference {self.max_error:.1e}"


@dataclass(frozen=True, eq=False)
class Reference:
    """Batches of inputs, the network's outputs (n, classes, ...) for them on the CPU, and what the inputs are."""

    inputs: list[Tensor]
    outputs: Tensor
    name: str

    @property
    def example(self) -> Tensor:
        """The first input, as a batch of one."""
        return self.inputs[0][:1]

    def compare(self, run: Callable[[Tensor], Tensor], *, progress: Progress | bool | None = None) -> Verification:
        """Run the same inputs in batches of one, and compare the outputs."""
        report, outputs = reporter(progress), []
        for i, one in enumerate(one for batch in self.inputs for one in batch.split(1)):
            report(i / len(self.outputs), "checking it")
            with torch.inference_mode():
                outputs.append(run(one))
        found = torch.cat(outputs)
        if found.shape != self.outputs.shape:
            raise ExportError(f"it gives {tuple(found.shape)} where PyTorch gives {tuple(self.outputs.shape)}")
        difference, largest = float((found - self.outputs).abs().max()), float(self.outputs.abs().max())
        error = difference / (largest or 1.0)
        same = (found.argmax(1) == self.outputs.argmax(1)).reshape(len(found), -1).all(1)
        agreement = float(same.float().mean())
        return Verification(float("inf") if error != error else error, agreement, len(found), self.name)


def reference(network: Network, images: Images | None, *, max_images: int = MAX_IMAGES) -> Reference:
    """Run a copy of the network on the CPU, for what a correct file will give on the first `max_images` images.

    Without images the inputs are random ones from a fixed seed. ExportError if the network does not turn one batch
    into one tensor (n, classes, ...) of finite numbers.
    """
    if network.example is not None:
        raise ExportError(f"{network.name} takes inputs of its own kind; only networks of one batch can be exported")
    batches = inputs_of(network, images) if images is not None else _random_inputs(network)
    model = copy_for_export(network.model)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    inputs = [batch.detach().cpu().to(dtype) for batch in _first(batches, max_images)]
    try:
        with torch.inference_mode():
            outputs = [model(batch) for batch in inputs]
    except Exception as error:
        shape = " x ".join(map(str, inputs[0].shape[1:]))
        raise ExportError(f"{network.name} does not run on {shape}: {first_line(error)}") from error
    if not all(isinstance(output, Tensor) and output.ndim >= 2 for output in outputs):
        raise ExportError(f"{network.name} does not return one tensor (n, classes), so it cannot be compared")
    found = torch.cat(outputs).clone()
    if not bool(found.isfinite().all()):
        raise ExportError(f"{network.name} gives outputs that are NaN or infinite: there is nothing to compare with")
    name = images.name if isinstance(images, Split) else "images" if images is not None else "random inputs"
    return Reference(inputs, found, name)


def _random_inputs(network: Network) -> Iterator[Tensor]:
    inputs = torch.randn(RANDOM_INPUTS, *network.input_shape, generator=torch.Generator().manual_seed(0))
    yield from inputs.split(fitting_batch(network.input_shape))


def _first(batches: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    for batch in batches:
        yield batch[:count]
        count -= len(batch[:count])
        if count <= 0:
            return
