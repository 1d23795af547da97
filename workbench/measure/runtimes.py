"""The programs that run a network: PyTorch in several ways, ONNX Runtime, ExecuTorch. Each is prepared, then called.

A runtime that is absent says so in one line, with the way to get it.
"""

import copy
import logging
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.network.network import Network

log = logging.getLogger(__name__)

RUNTIMES = {
    "eager": "PyTorch",
    "compile": "PyTorch, compiled",
    "onnxruntime": "ONNX Runtime",
    "executorch": "ExecuTorch with XNNPACK",
    "cuda": "PyTorch on the GPU",
}
"""Name -> what it is called."""


class AbsentRuntimeError(ValueError):
    """A runtime cannot be used here; the sentence says how to get it."""


@dataclass(frozen=True)
class Runner:
    """A network that is ready to run on one batch.

    Attributes
    ----------
    run : one pass; returns the outputs (n, classes), wherever they are computed.
    clock : seconds of one pass.
    """

    run: Callable[[], Tensor]
    clock: Callable[[], float]

    @classmethod
    def of(cls, run: Callable[[], Tensor]) -> "Runner":
        """A runner timed by the wall clock, for runtimes that return when they are done."""

        def clock() -> float:
            start = time.perf_counter()
            run()
            return time.perf_counter() - start

        return cls(run, clock)


def missing(runtime: str) -> str:
    """Why a runtime cannot be used here and how to get it, in one sentence; "" if it can.

    Raises
    ------
    ValueError : if there is no runtime of that name.
    """
    if runtime not in RUNTIMES:
        raise ValueError(f"there is no runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}")
    if runtime == "compile" and not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
        return "torch.compile needs a C++ compiler: install g++ or clang."
    if runtime == "cuda" and not torch.cuda.is_available():
        return "There is no CUDA GPU here, or PyTorch was installed without CUDA."
    if runtime == "onnxruntime":
        from workbench.exporters import onnx

        return onnx.missing()
    if runtime == "executorch":
        from workbench.exporters import executorch

        return executorch.missing()
    return ""


def available() -> tuple[str, ...]:
    """Names of the runtimes that can be used here."""
    return tuple(name for name in RUNTIMES if not missing(name))


def example_inputs(network: Network, batch: int = 1) -> Tensor:
    """(batch, *input_shape) inputs from a seed, like a normalised image's."""
    if network.example is not None:
        raise ValueError(f"{network.name} takes other inputs than one batch of images: its speed is not measured")
    return torch.randn(batch, *network.input_shape, generator=torch.Generator().manual_seed(0))


def prepare(
    model: nn.Module, inputs: Tensor, runtime: str = "eager", *, threads: int = 1, channels_last: bool = False
) -> Runner:
    """Make a model ready to run on these inputs; the model itself is not changed.

    Parameters
    ----------
    model : in any mode; it is run as in evaluation, without gradients.
    inputs : (n, ...) one batch.
    runtime : one of `RUNTIMES`.
    threads : that one run may use. For PyTorch this is the setting of the whole process: see
        :func:`~workbench.measure.roofline.torch_threads`.
    channels_last : keep maps with their channels innermost in memory; in PyTorch only, others choose for themselves.

    Raises
    ------
    AbsentRuntimeError : if it is not here, with the way to get it.
    """
    why = missing(runtime)
    if why:
        raise AbsentRuntimeError(why)
    if runtime == "onnxruntime":
        return _onnxruntime(model, inputs, threads)
    if runtime == "executorch":
        return _executorch(model, inputs, threads)
    device = torch.device("cuda") if runtime == "cuda" else inputs.device
    layout = torch.channels_last if channels_last and inputs.ndim == 4 else torch.contiguous_format
    ready = copy.deepcopy(model).eval().to(device)
    ready.to(memory_format=layout)  # type: ignore[call-overload]  # a keyword that the stubs do not know
    given = inputs.to(device).contiguous(memory_format=layout)
    if runtime == "compile":
        return _compiled(ready, given)

    def run() -> Tensor:
        with torch.inference_mode():
            outputs = ready(given)
        assert isinstance(outputs, Tensor)
        return outputs

    return Runner(run, lambda: _cuda_clock(run)) if runtime == "cuda" else Runner.of(run)


def _cuda_clock(run: Callable[[], Tensor]) -> float:
    """Seconds between two events on the GPU, so that what the CPU does meanwhile does not count."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    end.synchronize()
    return 1e-3 * float(start.elapsed_time(end))


def _compiled(model: nn.Module, inputs: Tensor) -> Runner:
    """Inductor with frozen weights, which it may lay out anew."""
    from torch._inductor.exc import InductorError

    torch.compiler.reset()  # what was compiled for another model is of no use, and its number is limited
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(model, options={"freezing": True})

        def run() -> Tensor:
            with torch.no_grad():
                outputs = compiled(inputs)
            assert isinstance(outputs, Tensor)
            return outputs

        try:
            run()
        except InductorError as error:
            log.warning("torch.compile failed: %s", error)
            raise AbsentRuntimeError(
                "torch.compile could not compile this network here; the log says why. Is the C++ compiler complete?"
            ) from None
    return Runner.of(run)


def _onnxruntime(model: nn.Module, inputs: Tensor, threads: int) -> Runner:
    import onnxruntime

    from workbench.exporters.onnx import onnx_bytes

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    content = onnx_bytes(model, inputs)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: inputs.numpy()}
    return Runner.of(lambda: torch.from_numpy(session.run(None, given)[0]))


def _executorch(model: nn.Module, inputs: Tensor, threads: int) -> Runner:
    from workbench.exporters.executorch import executorch_bytes, load_executorch, set_threads

    set_threads(threads)
    call = load_executorch(executorch_bytes(model, inputs))
    return Runner.of(lambda: call(inputs))
