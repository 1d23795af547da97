"""A model made ready for exporters, which talk too much, change what they are given and say why only on stderr."""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from io import StringIO
from threading import RLock

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from workbench.catalog.networks.classics import LocalResponseNorm

ALONE = RLock()
"""Exporters keep their state, and what silences them is the whole process's: one at a time."""


class ExportError(ValueError):
    """Something cannot be exported, or is not the same afterwards; one sentence says what and why."""


def is_there(*packages: str) -> bool:
    """Whether all these packages are installed; none is imported."""
    return all(find_spec(name) is not None for name in packages)


def prepared(model: nn.Module) -> nn.Module:
    """A copy in eval mode on the CPU, without gradients; tensors that are there already are shared, not copied.

    Raises
    ------
    ExportError : if the model cannot be copied.
    """
    own: dict[int, Tensor] = {}
    for parameter in model.parameters():
        own[id(parameter)] = nn.Parameter(parameter.detach().cpu(), requires_grad=False)
    for buffer in model.buffers():
        own[id(buffer)] = buffer.detach().cpu()
    try:
        twin = copy.deepcopy(model, own)  # what is in it already is not copied
    except Exception as error:
        raise ExportError(f"the model cannot be copied, so it is not exported: {first_line(error)}") from error
    return twin.eval()


def _rewritten(model: nn.Module) -> nn.Module:
    new = {
        name: LocalResponseNorm(module.size, module.alpha, module.beta, module.k)
        for name, module in model.named_modules(remove_duplicate=False)
        if type(module) is nn.LocalResponseNorm
    }
    for name, norm in new.items():
        if not name:
            return norm
        model.set_submodule(name, norm)
    return model


def _without_idle_pools(program: ExportedProgram) -> ExportedProgram:
    graph = program.graph
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten.adaptive_avg_pool2d.default):
        maps = node.args[0]
        same = maps.meta["val"].shape == node.meta["val"].shape
        if same and all(user.op != "output" for user in node.users):  # what the program returns has its name
            node.replace_all_uses_with(maps)
            graph.erase_node(node)
    program.graph_module.recompile()
    return program


@contextmanager
def quiet() -> Iterator[Callable[[], str]]:
    """Nothing is logged, warned of or written to stderr; the function yielded gives what would have been written there.

    It holds for the whole process and all its threads, so only one thread at a time is in it.
    """
    with ALONE, redirect_stderr(StringIO()) as said, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        logged = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield said.getvalue
        finally:
            logging.disable(logged)


def traced(model: nn.Module, example: Tensor, *, dynamic_batch: bool = False) -> ExportedProgram:
    """The graph of a model that was :func:`prepared`, from one run on `example`.

    Local response normalisation is rewritten as the catalog's, which runs everywhere and several times faster, and an
    average over maps that have the asked size already is left out: ExecuTorch's XNNPACK has no kernel for it, so that
    one step of nothing would split the program in two.

    Raises
    ------
    ExportError : if there is no such graph, with PyTorch's first sentence.
    """
    inputs, shapes = example.detach().cpu(), None
    if dynamic_batch:
        inputs = torch.cat([inputs[:1]] * 2)  # a batch of one would be taken for a constant
        shapes = ({0: torch.export.Dim.DYNAMIC},)
    try:
        with quiet():
            return _without_idle_pools(torch.export.export(_rewritten(model), (inputs,), dynamic_shapes=shapes))
    except Exception as error:
        why = first_line(error)
        if "data-dependent" in why:
            why = "what it computes depends on the values in its input, and a file holds one fixed computation"
        raise ExportError(f"the model cannot be traced, so it is not exported: {why}") from error


def first_line(error: BaseException) -> str:
    """The first line of what an exception, or the one that caused it, says; its kind if it says nothing."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__
