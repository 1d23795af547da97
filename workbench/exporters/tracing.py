"""Trace a copy of a model for the exporters, and keep their libraries quiet."""

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_map_only

from workbench.network.network import copy_model, first_line
from workbench.network.outputs import call, takes_keywords

EXPORT_LOCK = threading.RLock()
"""Held by exporters and by ExecuTorch's runtime, whose state belongs to the whole process."""

NOISY_LOGGERS = ("executorch", "onnx_ir", "onnxruntime", "onnxscript", "torch", "torchao")
NOISY_MODULES = re.compile(r"(copyreg|executorch|importlib|onnx_ir|onnxscript|torch|torchao)(\.|$)")
"""Modules whose warnings are ignored during an export; copyreg's are PyTorch's."""


class ExportError(ValueError):
    """A network cannot be exported, or its file computes something else; the message is one sentence."""


def is_installed(*packages: str) -> bool:
    """Return whether all these packages are installed, without importing them."""
    return all(find_spec(name) is not None for name in packages)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hold `EXPORT_LOCK` and silence the loggers and warnings of the exporters' libraries.

    All other loggers and warnings stay as they are, in this thread and in others. C++ code still prints.
    """
    silence = ("ignore", None, Warning, NOISY_MODULES, 0)
    with EXPORT_LOCK, torch.no_grad():
        names = [n for n in list(logging.root.manager.loggerDict) if n.partition(".")[0] in NOISY_LOGGERS]
        loggers = {name: logging.getLogger(name) for name in (*NOISY_LOGGERS, *names)}
        levels = {name: logger.level for name, logger in loggers.items() if logger.level or name in NOISY_LOGGERS}
        warnings.filters.insert(0, silence)  # type: ignore[attr-defined]  # catch_warnings would undo other threads' filters
        try:
            for name in levels:
                loggers[name].setLevel(logging.CRITICAL)
            yield
        finally:
            for name, level in levels.items():
                loggers[name].setLevel(level)
            if silence in warnings.filters:
                warnings.filters.remove(silence)  # type: ignore[attr-defined]


def copy_for_export(model: nn.Module) -> nn.Module:
    """Return a copy of a model in eval mode on the CPU, without gradients."""
    return copy_model(model).eval().cpu().requires_grad_(False)


def trace(model: nn.Module, example: Any, *, dynamic_batch: bool = False) -> ExportedProgram:
    """Return the graph of a copy of the model in eval mode, from one run on `example`.

    ExecuTorch has no kernel for two operations: local response normalisation, which averages in three dimensions, is
    rewritten for two; an average pooling to the size of its input is removed. The graph has the example's batch size,
    or any with `dynamic_batch`. ExportError has PyTorch's first sentence.
    """
    inputs, shapes = tree_map_only(Tensor, lambda x: x.detach().cpu(), example), None
    if dynamic_batch and not isinstance(example, Tensor):
        raise ExportError("a file for any number of inputs needs a network of one batch of images")
    if dynamic_batch:
        inputs = torch.cat([inputs[:1]] * 2)  # a batch of one would be traced as a constant
        shapes = ({0: torch.export.Dim.DYNAMIC},)
    model_copy = copy_for_export(model)
    _flatten_normalisations(model_copy)
    try:
        with quiet_libraries():
            call(model_copy, inputs)  # fills what a model caches in its first pass: a trace may not assign it
            keywords = inputs if isinstance(inputs, dict) and takes_keywords(model_copy, inputs) else None
            args = () if keywords else inputs if isinstance(inputs, tuple) else (inputs,)
            return _without_idle_pools(torch.export.export(model_copy, args, keywords, dynamic_shapes=shapes))
    except Exception as error:
        reason = first_line(error)
        if "data-dependent" in reason:
            reason = "what it computes depends on the values in its input, and a file holds one fixed computation"
        raise ExportError(f"the model cannot be traced, so it is not exported: {reason}") from error


class _FlatNormalisation(nn.LocalResponseNorm):
    """Local response normalisation over flattened maps, for which PyTorch averages in two dimensions."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in PyTorch
        return super().forward(input.flatten(2)).view_as(input)


def _flatten_normalisations(model: nn.Module) -> None:
    for module in model.modules():
        if type(module) is nn.LocalResponseNorm:
            module.__class__ = _FlatNormalisation


def _without_idle_pools(program: ExportedProgram) -> ExportedProgram:
    graph = program.graph
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten.adaptive_avg_pool2d.default):
        maps = node.args[0]
        keeps_size = maps.meta["val"].shape == node.meta["val"].shape
        if keeps_size and all(user.op != "output" for user in node.users):  # an output keeps its name
            node.replace_all_uses_with(maps)
            graph.erase_node(node)
    program.graph_module.recompile()
    return program
