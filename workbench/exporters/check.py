"""A file that was written against the network it came from: the same numbers, the same answers?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.exporters.preparing import ExportError, first_line, prepared
from workbench.network.data import Split, expect_split, fitting_batch
from workbench.network.inputs import inputs_of
from workbench.network.network import Network

TOLERANCE = 1e-4
"""Largest difference that is let through, as a share of the largest output: rounding is a hundred times smaller."""

MOST = 500
"""Images that are checked at most: the first ones."""

NOISE = 8
"""Random inputs that are checked where there are no images."""


@dataclass(frozen=True)
class Check:
    """How a file compares with the PyTorch network.

    Attributes
    ----------
    max_error : largest difference of two outputs, divided by the largest output.
    agreement : share of the images with the same first answer, 0 to 1.
    n : how many images.
    on : what they were: the name of the split, or "random inputs".
    """

    max_error: float
    agreement: float
    n: int
    on: str

    @property
    def passed(self) -> bool:
        """Whether the numbers are the same but for rounding, and every answer is the same."""
        return self.max_error <= TOLERANCE and self.agreement == 1.0

    def __str__(self) -> str:
        same = "every answer" if self.agreement == 1.0 else f"{self.agreement:.1%} of the answers"
        return f"{same} on {self.n} images ({self.on}) as in PyTorch, largest difference {self.max_error:.1e}"


@dataclass(frozen=True, eq=False)
class Expected:
    """Inputs and what the network makes of them on the CPU; `example` is one input, as files are traced with.

    Attributes
    ----------
    inputs : batches of one or more.
    outputs : (n, classes, ...).
    on : what the inputs are.
    """

    inputs: list[Tensor]
    outputs: Tensor
    on: str

    @property
    def example(self) -> Tensor:
        """The first input, a batch of one."""
        return self.inputs[0][:1]

    def compare(self, run: Callable[[Tensor], Tensor], progress: Callable[[float], None] = lambda _: None) -> Check:
        """Run the same inputs one at a time, and compare.

        Parameters
        ----------
        run : a batch of one input -> its outputs.
        progress : called with the share done before each input; what it raises ends the check.
        """
        outputs: list[Tensor] = []
        for one in (one for batch in self.inputs for one in batch.split(1)):
            progress(len(outputs) / len(self.outputs))
            with torch.inference_mode():
                outputs.append(run(one))
        found = torch.cat(outputs)
        if found.shape != self.outputs.shape:
            raise ExportError(f"it gives {tuple(found.shape)} where PyTorch gives {tuple(self.outputs.shape)}")
        largest = float(self.outputs.abs().max())
        off = float((found - self.outputs).abs().max())
        error = off if largest == 0 else off / largest
        same = (found.argmax(1) == self.outputs.argmax(1)).reshape(len(found), -1).all(1)
        agreement = float(same.float().mean())
        return Check(float("inf") if error != error else error, agreement, len(found), self.on)


def expected(network: Network, images: Split | None, *, most: int = MOST) -> Expected:
    """What a file that is right will give.

    Parameters
    ----------
    images : a split, of which the first `most` are used; None for random inputs from a fixed seed, which show that
        the arithmetic is right, but not on what it will be used for.

    Raises
    ------
    ExportError : if the network is not a classifier of one batch of inputs, or its outputs are not finite.
    """
    if network.example is not None:
        raise ExportError(f"{network.name} takes inputs of its own kind; only networks of one batch can be exported")
    if images is not None:
        expect_split(images, "images")
    twin = prepared(network.model)
    kind = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
    inputs = [batch.detach().cpu().to(kind) for batch in _inputs(network, images, most)]
    try:
        with torch.inference_mode():
            outputs = [twin(batch) for batch in inputs]
    except Exception as error:
        raise ExportError(f"{network.name} does not run on {_shape(inputs[0])}: {first_line(error)}") from error
    if not all(isinstance(output, Tensor) and output.ndim >= 2 for output in outputs):
        raise ExportError(f"{network.name} does not return one tensor (n, classes), so it cannot be compared")
    found = torch.cat(outputs).clone()
    if not bool(found.isfinite().all()):
        raise ExportError(f"{network.name} gives outputs that are NaN or infinite: there is nothing to compare with")
    return Expected(inputs, found, images.name if images is not None else "random inputs")


def _inputs(network: Network, images: Split | None, most: int) -> Iterator[Tensor]:
    if images is None:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(NOISE, *network.input_shape, generator=generator)
        yield from noise.split(fitting_batch(network.input_shape))
        return
    left = most
    for batch in inputs_of(network, images):
        yield batch[:left]
        left -= len(batch[:left])
        if left <= 0:
            return


def _shape(inputs: Tensor) -> str:
    return " x ".join(map(str, inputs.shape[1:]))
