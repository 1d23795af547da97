"""Export a model to ExecuTorch (``.pte``, lowered to XNNPACK), which phones run; run such programs here."""

from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from workbench.exporters.int8 import Int8, quantised_program
from workbench.exporters.tracing import EXPORT_LOCK, ExportError, is_installed, quiet_libraries, trace
from workbench.network.network import first_line

METADATA = "metadata"
"""Name of the program's method that returns its metadata, a JSON text."""

DTYPES = {5: torch.float16, 6: torch.float32, 7: torch.float64, 15: torch.bfloat16}
"""ExecuTorch's number of a dtype -> dtype."""


def missing() -> str:
    """Return why ExecuTorch cannot be used here and how to install it, in one sentence; "" if it can."""
    return "" if is_installed("executorch") else "ExecuTorch is not installed here: pip install -e '.[mobile]'"


def executorch_bytes(model: nn.Module, example: Tensor, *, metadata: str = "", int8: Int8 | None = None) -> bytes:
    """Return a copy of the model in eval mode as an ExecuTorch program, lowered to XNNPACK.

    The model has one input and one output; the program takes the example's shape (n, ...) and dtype only, and its
    method "metadata" returns `metadata`, unless that is "". With `int8` its layers are quantised. Raises ExportError if
    the model cannot be lowered, or the runtime has no kernel for one of its operators.
    """
    program = trace(model, example)
    if int8:
        program = quantised_program(program, int8, model)
    try:
        with quiet_libraries():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower
            from executorch.runtime import Runtime

            constants: dict[str, Any] | None = {METADATA: metadata} if metadata else None
            lowered = to_edge_transform_and_lower(
                program, partitioner=[XnnpackPartitioner()], constant_methods=constants
            ).to_executorch()
            content = bytes(lowered.buffer)
            kernels = set(Runtime.get().operator_registry.operator_names)
    except Exception as error:
        raise ExportError(f"the model cannot be lowered to ExecuTorch: {first_line(error)}") from error
    plans = lowered.executorch_program.execution_plan
    operators = {f"{op.name}.{op.overload}".rstrip(".") for plan in plans for op in plan.operators}
    if unsupported := ", ".join(sorted(operators - kernels)):
        raise ExportError(f"the ExecuTorch program does not run: the runtime has no kernel for {unsupported}")
    return content


class ExecutorchProgram:
    """A runnable program from the content of a ``.pte`` file; its inputs have its `shape` and `dtype`."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._program: Any = None
        with EXPORT_LOCK:
            program = self._load()
            tensor = program.metadata("forward").input_tensor_meta(0)
            self.shape, self.dtype = tuple(tensor.sizes()), DTYPES.get(tensor.dtype())
            has_metadata = METADATA in program.method_names
            self.metadata = str(program.load_method(METADATA).execute([])[0]) if has_metadata else ""
        _LOADED.add(self)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Run the program; ExportError if the inputs have another shape or dtype, or it fails."""
        if tuple(inputs.shape) != self.shape or inputs.dtype != self.dtype:
            actual = f"{inputs.dtype} of shape {tuple(inputs.shape)}"
            raise ExportError(f"this program takes {self.dtype} of shape {self.shape}, not {actual}")
        with EXPORT_LOCK:
            if self._program is None:
                self._load()
            try:
                outputs: list[Tensor] = self._forward.execute([inputs.contiguous()])
            except Exception as error:
                raise ExportError(f"the ExecuTorch program fails: {first_line(error)}") from error
        return outputs[0]  # the runtime copies it at every call

    def _load(self) -> Any:
        with quiet_libraries():
            try:
                from executorch.runtime import Runtime

                program = Runtime.get().load_program(self._content)
            except Exception as error:
                raise ExportError("this is no ExecuTorch program, or it is damaged") from error
            try:
                self._forward = program.load_method("forward")
            except Exception as error:
                raise ExportError(f"this ExecuTorch program does not run here: {first_line(error)}") from error
            self._program = program  # it owns the memory that the method uses
            return program

    def _unload(self) -> None:
        self._program = self._forward = None


_LOADED: WeakSet[ExecutorchProgram] = WeakSet()


def load_executorch(program: str | Path | bytes) -> ExecutorchProgram:
    """Return a program from a file, or from its content; ExportError if it does not run here."""
    if reason := missing():
        raise ExportError(reason)
    if isinstance(program, bytes):
        return ExecutorchProgram(program)
    try:
        return ExecutorchProgram(Path(program).read_bytes())
    except OSError as error:
        raise ExportError(f"{program} cannot be read: {error.strerror}") from None


def set_threads(number: int) -> None:
    """Set the number of threads that all programs of this process use.

    The runtime replaces its thread pool, to which loaded programs point; they are unloaded first, and loaded again by
    their next call (run each once before you measure).
    """
    with quiet_libraries():
        library = import_module("executorch.extension.pybindings.portable_lib")
        if library._threadpool_get_thread_count() != number:
            for program in list(_LOADED):
                program._unload()
            library._unsafe_reset_threadpool(number)
