"""Programs that run a network: PyTorch in several ways, ONNX Runtime, ExecuTorch. Each is prepared, then called."""

import logging
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from workbench.exporters import executorch, onnx
from workbench.network.network import Network, copy_model, expect_network

log = logging.getLogger(__name__)

RUNTIMES = {
    "eager": "PyTorch",
    "compile": "PyTorch, compiled",
    "onnxruntime": "ONNX Runtime",
    "executorch": "ExecuTorch with XNNPACK",
    "cuda": "PyTorch on the GPU",
}
"""Name -> what it is called in text."""


class AbsentRuntimeError(ValueError):
    """A runtime cannot be used here; the sentence says how to get it."""


@dataclass(frozen=True)
class Runner:
    """A network that is ready to run on one batch: `run` returns its outputs, wherever they are computed."""

    run: Callable[[], Any]

    def clock(self) -> float:
        """Return the seconds of one pass."""
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start


class CudaRunner(Runner):
    """A network on a GPU, timed between two events there: what the CPU does meanwhile does not count."""

    def clock(self) -> float:
        """Return the seconds of one pass."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        self.run()
        end.record()
        end.synchronize()
        return 1e-3 * float(start.elapsed_time(end))


def missing(runtime: str) -> str:
    """Return why a runtime cannot be used here and how to get it, in one sentence; "" if it can."""
    if runtime not in RUNTIMES:
        raise ValueError(f"there is no runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}")
    if runtime == "compile" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        return "torch.compile needs a C++ compiler: install g++ or clang."
    if runtime == "cuda" and not torch.cuda.is_available():
        return "There is no CUDA GPU here, or PyTorch was installed without CUDA."
    module = {"onnxruntime": onnx, "executorch": executorch}.get(runtime)
    return module.missing() if module else ""


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
    """Let PyTorch use so many threads inside an operation, and afterwards as many as before."""
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


def batch_inputs(network: Network, batch: int = 1) -> tuple[Any, ...]:
    """Return positional inputs of one run: the network's example, repeated, or seeded noise of its input shape."""
    if network.example is not None:
        inputs = network.example_inputs()
        return tuple(pytree.tree_map_only(Tensor, lambda x: torch.cat([x] * batch) if x.ndim else x, inputs))
    like = next((p for p in network.model.parameters() if p.is_floating_point()), torch.zeros(()))
    return (torch.randn(batch, *network.input_shape, generator=torch.Generator().manual_seed(0)).to(like),)


def image_batch(network: Network, batch: int = 1) -> Tensor:
    """Return a batch of inputs for a network that takes one tensor; ValueError if it takes other inputs."""
    inputs = batch_inputs(network, batch)
    if len(inputs) != 1 or not isinstance(inputs[0], Tensor):
        raise ValueError(f"{network.name} takes other inputs than one batch of images: its speed is not measured")
    return inputs[0]


def prepare(
    model: nn.Module, inputs: Tensor, runtime: str = "eager", *, threads: int = 1, channels_last: bool = False
) -> Runner:
    """Prepare a copy of a model in evaluation mode to run on these inputs.

    Parameters
    ----------
    inputs : (n, ...) one batch.
    threads : that one run may use. For PyTorch this is the setting of the whole process: see :func:`torch_threads`.
    channels_last : lay out maps with their channels innermost; in PyTorch only, others choose for themselves.

    Raises
    ------
    AbsentRuntimeError : if the runtime is not here, with the way to get it.
    """
    if why := missing(runtime):
        raise AbsentRuntimeError(why)
    ready = copy_model(model).eval()
    if runtime == "onnxruntime":
        return Runner(partial(onnx.load_onnx(onnx.onnx_bytes(ready, inputs), threads=threads), inputs))
    if runtime == "executorch":
        executorch.set_threads(threads)
        return Runner(partial(executorch.load_executorch(executorch.executorch_bytes(ready, inputs)), inputs))
    device = torch.device("cuda") if runtime == "cuda" else inputs.device
    layout = torch.channels_last if channels_last and inputs.ndim == 4 else torch.contiguous_format
    ready.to(device).to(memory_format=layout)  # type: ignore[call-overload]  # a keyword that the stubs do not know
    given = inputs.to(device).contiguous(memory_format=layout)
    if runtime == "compile":
        return _compiled(ready, given)

    def run() -> Any:
        with torch.inference_mode():
            return ready(given)

    return CudaRunner(run) if runtime == "cuda" else Runner(run)


def _compiled(model: nn.Module, inputs: Tensor) -> Runner:
    """Compile with frozen weights, which the compiler may lay out anew."""
    from torch._inductor.exc import InductorError  # takes seconds

    torch.compiler.reset()  # code compiled for another model is of no use, and its number is limited
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(model, options={"freezing": True})

        def run() -> Any:
            with torch.no_grad():
                return compiled(inputs)

        try:
            run()
        except InductorError as error:
            log.warning("torch.compile failed: %s", error)
            raise AbsentRuntimeError(
                "torch.compile could not compile this network here; the log says why. Is the C++ compiler complete?"
            ) from None
    return Runner(run)
