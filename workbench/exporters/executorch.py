"""Export a model to ExecuTorch (``.pte``, lowered to XNNPACK), which phones run; run such programs here."""

from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import WeakSet

from torch import Tensor, nn

from workbench.exporters.tracing import EXPORTING, ExportError, first_line, is_installed, quiet_libraries, trace

METADATA = "metadata"  # name of the program's method that returns its metadata, a JSON text


def missing() -> str:
    """Return why ExecuTorch cannot be used here and how to install it, in one sentence; "" if it can."""
    return "" if is_installed("executorch") else "ExecuTorch is not installed here: pip install -e '.[mobile]'"


def executorch_bytes(model: nn.Module, example: Tensor, *, metadata: str = "") -> bytes:
    """Return a copy of the model in eval mode as an ExecuTorch program, lowered to XNNPACK.

    It takes inputs of the example's shape (n, ...) and dtype only, and its method "metadata" returns that text.
    """
    program = trace(model, example)
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
    called = {f"{op.name}.{op.overload}".rstrip(".") for plan in plans for op in plan.operators}
    if lacking := ", ".join(sorted(called - kernels)):
        raise ExportError(f"the ExecuTorch program does not run: the runtime has no kernel for {lacking}")
    return content


class ExecutorchProgram:
    """A program, from the content of a ``.pte`` file, that runs here; `metadata` is its text, or ""."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._program: Any = None
        with EXPORTING:
            loaded = self._load()
            named = METADATA in loaded.method_names
            self.metadata = str(loaded.load_method(METADATA).execute([])[0]) if named else ""
        _LOADED.add(self)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Run the program on inputs of the shape and dtype that it was made for."""
        with EXPORTING:
            if self._program is None:
                self._load()
            try:
                outputs = self._forward.execute([inputs.contiguous()])
            except Exception as error:
                given = f"{inputs.dtype} of shape {tuple(inputs.shape)}"
                raise ExportError(f"the ExecuTorch program fails on {given}: {first_line(error)}") from error
        found: Tensor = outputs[0]  # the runtime copies it at every call
        return found

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


_LOADED: WeakSet[ExecutorchProgram] = WeakSet()


def load_executorch(program: str | Path | bytes) -> ExecutorchProgram:
    """Return a program from a file, or from its content; ExportError if it is none that runs here."""
    return ExecutorchProgram(program if isinstance(program, bytes) else Path(program).read_bytes())


def set_threads(number: int) -> None:
    """Set the number of threads that all programs of this process use.

    Loaded programs point to the old pool of threads: they are unloaded, and loaded again by their next call.
    """
    with quiet_libraries():
        library = import_module("executorch.extension.pybindings.portable_lib")
        if library._threadpool_get_thread_count() != number:
            for program in list(_LOADED):
                program._program = program._forward = None
            library._unsafe_reset_threadpool(number)
