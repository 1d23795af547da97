"""Programs that run a network: PyTorch, ONNX Runtime, ExecuTorch. Each is prepared, then called."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from workbench.exporters import executorch, onnx
from workbench.exporters.int8 import Int8
from workbench.network.network import Network, copy_model, expect_network
from workbench.network.outputs import size_of

RUNTIMES = {
    "eager": "PyTorch",
    "onnxruntime": "ONNX Runtime",
    "executorch": "ExecuTorch with XNNPACK",
}
"""Name -> what it is called in text."""

FILE_RUNTIMES = {"onnxruntime": onnx, "executorch": executorch}
"""Those that run a file, which may be quantised -> the module that makes it."""


class AbsentRuntimeError(ValueError):
    """A runtime cannot be used here; the sentence says how to get it."""


@dataclass(frozen=True)
class Runner:
    """A network that is ready to run on one batch: `run` returns its outputs when they are computed."""

    run: Callable[[], Any]
    call: Callable[[Tensor], Any] | None = None  # the same for other inputs of the same shape
    bytes: int = 0  # of its file, if the runtime has one

    def clock(self) -> float:
        """Return the seconds of one pass."""
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    """Wait until a device has computed all that it was given."""
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).synchronize()


def missing(runtime: str) -> str:
    """Return why a runtime cannot be used here and how to get it, in one sentence; "" if it can."""
    if runtime not in RUNTIMES:
        raise ValueError(f"there is no runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}")
    return FILE_RUNTIMES[runtime].missing() if runtime in FILE_RUNTIMES else ""


def configuration(runtime: str, batch: int, threads: int, channels_last: bool) -> str:
    """Return runtime, batch, threads and memory format in words."""
    words = [RUNTIMES[runtime], f"batch {batch}", f"{threads} thread{'s' if threads > 1 else ''}"]
    return ", ".join(words + (["channels last"] if channels_last else []))


def check_counts(**values: object) -> None:
    """Raise ValueError unless each value is a whole number of at least 1."""
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is a whole number of at least 1, not {value!r}")


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let PyTorch use `threads` threads inside an operation, and afterwards as many as before."""
    check_counts(threads=threads)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def with_original(network: Network) -> dict[str, Network]:
    """Return "original" and "compressed" of a compressed network, or the network as "original"."""
    expect_network(network)
    return {"original": network} if network.original is None else {"original": network.original, "compressed": network}


def batch_inputs(network: Network, batch: int = 1) -> Any:
    """Return inputs of one run: the first of the network's example, repeated, or seeded noise of its input shape."""
    inputs = network.example_inputs()
    if network.example is not None:
        n = size_of(inputs)
        return tree_map_only(Tensor, lambda x: torch.cat([x[:1]] * batch) if x.ndim and len(x) == n else x, inputs)
    return torch.randn(batch, *network.input_shape, generator=torch.Generator().manual_seed(0)).to(inputs)


def image_batch(network: Network, batch: int = 1) -> Tensor:
    """Return a batch of inputs for a network that takes one tensor; ValueError if it takes other inputs."""
    inputs = batch_inputs(network, batch)
    if not isinstance(inputs, Tensor):
        raise ValueError(f"{network.name} takes other inputs than one batch of images: its speed is not measured")
    return inputs


def prepare(
    model: nn.Module,
    inputs: Tensor,
    runtime: str = "eager",
    *,
    threads: int = 1,
    channels_last: bool = False,
    int8: Int8 | None = None,
) -> Runner:
    """Prepare a copy of a model in evaluation mode to run on inputs; PyTorch's threads are :func:`torch_threads`.

    `int8` quantises the file of a runtime that has one.
    """
    if why := missing(runtime):
        raise AbsentRuntimeError(why)
    ready = copy_model(model).eval()
    inputs = inputs.cpu() if runtime in FILE_RUNTIMES else inputs
    if runtime == "onnxruntime":
        content = onnx.onnx_bytes(ready, inputs, int8=int8)
        program: Callable[[Tensor], Any] = onnx.load_onnx(content, threads=threads)
        return Runner(partial(program, inputs), program, len(content))
    if runtime == "executorch":
        executorch.set_threads(threads)
        content = executorch.executorch_bytes(ready, inputs, int8=int8)
        program = executorch.load_executorch(content)
        return Runner(partial(program, inputs), program, len(content))
    layout = torch.channels_last if channels_last and inputs.ndim == 4 else torch.contiguous_format
    ready.to(memory_format=layout)  # type: ignore[call-overload]  # a keyword that the stubs do not know

    @torch.inference_mode()
    def compute(batch: Tensor) -> Any:
        outputs = ready(batch)
        synchronize(batch.device)
        return outputs

    given = inputs.contiguous(memory_format=layout)
    return Runner(
        partial(compute, given), lambda batch: compute(batch.to(inputs.device).contiguous(memory_format=layout))
    )
