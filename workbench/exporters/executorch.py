"""A model as an ExecuTorch program (``.pte``) lowered to XNNPACK, which phones run; and running one here."""

import re
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from workbench.exporters.preparing import ExportError, first_line, is_there, prepared, quiet, traced

METADATA = "metadata"
"""Name of the program's method that returns its metadata, a JSON text."""

DTYPES = {5: torch.float16, 6: torch.float32, 7: torch.float64, 15: torch.bfloat16}
"""By the runtime's numbers."""


def missing() -> str:
    """Why ExecuTorch cannot be used here and how to get it, in one sentence; empty if it can."""
    return "" if is_there("executorch") else "ExecuTorch is not installed here: pip install -e '.[mobile]'"


def executorch_bytes(model: nn.Module, example: Tensor, *, metadata: str = "") -> bytes:
    """The model in eval mode as an ExecuTorch program, lowered to XNNPACK; the given model is not changed.

    What XNNPACK has no kernel for stays with ExecuTorch's portable kernels, which are slow but right.

    Parameters
    ----------
    model : of one input and one output.
    example : (n, ...) a batch of inputs; the program takes exactly this shape and dtype.
    metadata : a text; the program's method "metadata" returns it. Empty for no such method.

    Raises
    ------
    ExportError : if ExecuTorch is not installed or does not start, or the model cannot be lowered.
    """
    if why := missing():
        raise ExportError(why)
    program = traced(prepared(model), example)
    try:
        with quiet():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower

            constants: dict[str, Any] | None = {METADATA: metadata} if metadata else None
            lowered = to_edge_transform_and_lower(
                program, partitioner=[XnnpackPartitioner()], constant_methods=constants
            )
            return bytes(lowered.to_executorch().buffer)
    except ImportError as error:
        raise ExportError(_no_start(error)) from error
    except Exception as error:
        raise ExportError(f"the model cannot be lowered to ExecuTorch: {first_line(error)}") from error


class Loaded:
    """A program that runs: inputs (n, ...) -> outputs, as tensors of their own.

    Parameters
    ----------
    content : of a ``.pte`` file.

    Attributes
    ----------
    shape, dtype : of the inputs that it takes, and no other.
    metadata : the text that it was exported with; empty if there is none.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._program: Any = None
        with _RUNNING:
            loaded = self._load()
            taken = loaded.metadata("forward").input_tensor_meta(0)
            self.shape, self.dtype = tuple(taken.sizes()), DTYPES.get(taken.dtype())
            named = METADATA in loaded.method_names
            self.metadata = str(loaded.load_method(METADATA).execute([])[0]) if named else ""
        _LOADED.add(self)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Run the program.

        Raises
        ------
        ExportError : if the inputs have another shape, or the program fails.
        """
        if tuple(inputs.shape) != self.shape or inputs.dtype != self.dtype:
            given = f"{inputs.dtype} of shape {tuple(inputs.shape)}"
            raise ExportError(f"this program takes {self.dtype} of shape {self.shape}, not {given}")
        with _RUNNING:
            if self._program is None:
                self._load()
            try:
                outputs = self._forward.execute([inputs.contiguous()])
            except Exception as error:
                raise ExportError(f"the ExecuTorch program fails: {first_line(error)}") from error
        found: Tensor = outputs[0]  # a copy: the runtime makes one at every call
        return found

    def _load(self) -> Any:
        with quiet() as said:
            try:
                from executorch.runtime import Runtime

                program = Runtime.get().load_program(self._content)
            except ImportError as error:
                raise ExportError(_no_start(error)) from error
            except Exception as error:
                raise ExportError("this is no ExecuTorch program, or it is damaged") from error
            try:
                self._forward = program.load_method("forward")
            except Exception as error:
                lacking = ", ".join(sorted(set(re.findall(r"Missing operator: \[\d+\] (\S+)", said()))))
                why = f"the runtime has no kernel for {lacking}" if lacking else first_line(error)
                raise ExportError(f"this ExecuTorch program does not run here: {why}") from error
            self._program = program  # it holds what the method works in
            return program

    def _unload(self) -> None:
        self._program = self._forward = None


_RUNNING = RLock()
_LOADED: WeakSet[Loaded] = WeakSet()


def load_executorch(program: str | Path | bytes) -> Loaded:
    """A program from a file, or its content, ready to run here.

    Raises
    ------
    ExportError : if ExecuTorch is not installed, there is no such file, or it is no program that runs here.
    """
    if why := missing():
        raise ExportError(why)
    if isinstance(program, bytes):
        return Loaded(program)
    try:
        return Loaded(Path(program).read_bytes())
    except OSError as error:
        raise ExportError(f"{program} cannot be read: {error.strerror}") from None


def threads() -> int:
    """How many threads ExecuTorch's runtime uses: one pool for the whole process, a thread a core unless it was set."""
    with _RUNNING, quiet():
        return int(_bindings()._threadpool_get_thread_count())


def set_threads(number: int) -> None:
    """Set how many threads all programs of this process use.

    The runtime makes a new pool, and programs that are loaded keep a pointer to the old one; so they are unloaded
    first, and loaded again when they are next called (run each once before you measure).
    """
    if number < 1:
        raise ValueError(f"a program runs on 1 thread or more, not {number}")
    with _RUNNING, quiet():
        if _bindings()._threadpool_get_thread_count() == number:
            return
        for program in list(_LOADED):
            program._unload()
        _bindings()._unsafe_reset_threadpool(number)


def _bindings() -> Any:
    if why := missing():
        raise ExportError(why)
    try:
        return import_module("executorch.extension.pybindings.portable_lib")
    except ImportError as error:
        raise ExportError(_no_start(error)) from error


def _no_start(error: BaseException) -> str:
    return f"ExecuTorch is installed but does not start here: {first_line(error)}"
