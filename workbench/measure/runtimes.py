"""Prepare networks to run in PyTorch, ONNX Runtime or ExecuTorch."""

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
"""Name of a runtime -> its title."""

FILE_RUNTIMES = {"onnxruntime": onnx, "executorch": executorch}
"""Name of a runtime that runs a file, which may be quantised -> the module that exports it."""


class AbsentRuntimeError(ValueError):
    """Raised if a runtime cannot be used here; says how to install it."""


@dataclass(frozen=True)
class Runner:
    """A network that is ready to run on one batch."""

    run: Callable[[], Any]  # returns the outputs when they are computed
    call: Callable[[Tensor], Any] | None = None  # runs other inputs of the same shape
    bytes: int = 0  # size of its file, if the runtime has one

    def clock(self) -> float:
        """Return the seconds of one pass."""
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    """Wait until a device has finished all its work."""
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).synchronize()


def missing(runtime: str) -> str:
    """Return why a runtime cannot be used here and how to install it, in one sentence; "" if it can be used."""
    if runtime not in RUNTIMES:
        raise ValueError(f"there is no runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}")
    return FILE_RUNTIMES[runtime].missing() if runtime in FILE_RUNTIMES else ""


def configuration(runtime: str, batch: int, threads: int, channels_last: bool) -> str:
    """Return runtime, batch, threads and memory format in words."""
    parts = [RUNTIMES[runtime], f"batch {batch}", f"{threads} thread{'s' if threads > 1 else ''}"]
    return ", ".join(parts + (["channels last"] if channels_last else []))


def check_counts(**values: object) -> None:
    """Raise ValueError unless each value is a whole number of at least 1."""
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is a whole number of at least 1, not {value!r}")


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Set the number of threads of PyTorch's operations, and restore it afterwards."""
    check_counts(threads=threads)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def with_original(network: Network) -> dict[str, Network]:
    """Return the "original" and the "compressed" network; other networks as "original" only."""
    expect_network(network)
    return {"original": network} if network.original is None else {"original": network.original, "compressed": network}


def batch_inputs(network: Network, batch: int = 1) -> Any:
    """Return inputs of one run: the network's first example, repeated, or seeded noise of its input shape."""
    inputs = network.example_inputs()
    if network.example is not None:
        n = size_of(inputs)
        return tree_map_only(Tensor, lambda x: torch.cat([x[:1]] * batch) if x.ndim and len(x) == n else x, inputs)
    return torch.randn(batch, *network.input_shape, generator=torch.Generator().manual_seed(0)).to(inputs)


def image_batch(network: Network, batch: int = 1) -> Tensor:
    """Return a batch of inputs for a network that takes one tensor; raise ValueError if it takes other inputs."""
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
    """Prepare a copy of a model in evaluation mode to run on inputs.

    `threads` is for runtimes of files, whose file `int8` quantises; PyTorch takes those of :func:`torch_threads`.
    """
    if reason := missing(runtime):
        raise AbsentRuntimeError(reason)
    prepared = copy_model(model).eval()
    inputs = inputs.cpu() if runtime in FILE_RUNTIMES else inputs
    if runtime == "onnxruntime":
        content = onnx.onnx_bytes(prepared, inputs, int8=int8)
        program: Callable[[Tensor], Any] = onnx.load_onnx(content, threads=threads)
        return Runner(partial(program, inputs), program, len(content))
    if runtime == "executorch":
        executorch.set_threads(threads)
        content = executorch.executorch_bytes(prepared, inputs, int8=int8)
        program = executorch.load_executorch(content)
        return Runner(partial(program, inputs), program, len(content))
    layout = torch.channels_last if channels_last and inputs.ndim == 4 else torch.contiguous_format
    prepared.to(memory_format=layout)  # type: ignore[call-overload]  # a keyword that the stubs do not know

    @torch.inference_mode()
    def compute(batch: Tensor) -> Any:
        outputs = prepared(batch)
        synchronize(batch.device)
        return outputs

    batch = inputs.contiguous(memory_format=layout)
    return Runner(partial(compute, batch), lambda x: compute(x.to(inputs.device).contiguous(memory_format=layout)))
