"""Surgery: a network and a Plan -> a new network, in which the planned layers are sequences of smaller ones."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import TypeVar

import torch
from torch import Tensor, nn

from workbench.compression.layers import kernel_of
from workbench.compression.network import Network
from workbench.compression.plan import LayerPlan, Plan, PlanError
from workbench.kernels.tucker import relative_error, tucker1, tucker2

M = TypeVar("M", nn.Conv2d, nn.Linear)


def decompose(network: Network, plan: Plan, *, progress: Callable[[float, str], None] | None = None) -> Network:
    """A new network in which every planned layer is replaced by its factors; the given one is never changed.

    A Tucker-2 convolution becomes ``factor_in`` (1x1), ``core`` (with the stride, padding and dilation) and
    ``factor_out`` (1x1, with the bias), with nothing between them; a Tucker-1 layer becomes ``core`` and
    ``factor_out``. A linear layer seen as a convolution takes and gives flat vectors as before.

    Parameters
    ----------
    network : the one the plan was made for, or one of the same architecture.
    plan : from a policy, or edited, or read from JSON.
    progress : called with (share done, layer name) before each layer.

    Returns
    -------
    Network whose `plan` holds the measured error of each layer's kernel.

    Raises
    ------
    PlanError : naming the layer and the mismatch, before anything is computed.

    References: Kim et al., ICLR 2016, sec. 3.2.
    """
    check_fit(network, plan)
    model = copy.deepcopy(network.model)
    work = [part for part in plan if part.decision != "keep"]
    done: dict[str, LayerPlan] = {}
    for i, part in enumerate(work):
        if progress:
            progress(i / len(work), part.name)
        module = model.get_submodule(part.name)
        factors, error = factorise(module, part)
        factors.train(module.training)
        model = _replace(model, part.name, factors)
        done[part.name] = replace(part, measured_error=error)
    if progress:
        progress(1.0, "")
    made = replace(plan, layers=tuple(done.get(part.name, part) for part in plan))
    return replace(network, model=model, plan=made, source=f"{network.source}; decomposed ({plan.policy})")


def check_fit(network: Network, plan: Plan) -> None:
    """Raise PlanError, naming the layer and the mismatch, unless the plan fits the network."""
    modules = dict(network.model.named_modules())
    for part in plan:
        module = modules.get(part.name)
        wanted = nn.Conv2d if part.layer.kind == "conv" else nn.Linear
        if module is None:
            raise PlanError(f"the plan has a layer {part.name}, which {network.name} has not")
        if not isinstance(module, wanted):
            raise PlanError(
                f"layer {part.name}: the plan expects {wanted.__name__}, "
                f"{network.name} has {type(module).__name__} there"
            )
        s = part.layer.shape
        if isinstance(module, nn.Linear):
            planned: tuple[int, ...] = (s.out_channels, s.in_channels * prod(s.kernel_size))
        else:
            planned = part.layer.kernel_shape
        weight = module.weight
        if tuple(weight.shape) != planned:
            raise PlanError(
                f"layer {part.name}: the plan expects weights of shape {planned}, "
                f"{network.name} has {tuple(weight.shape)}"
            )


def factorise(module: nn.Module, part: LayerPlan) -> tuple[nn.Sequential, float]:
    """The factors that replace one layer, and the relative error of the kernel they stand for."""
    kernel = kernel_of(module, part.layer)
    assert part.rank_out is not None
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    flat = isinstance(module, nn.Linear) and bool(part.layer.shape.kernel_size)
    if flat:
        s = part.layer.shape
        parts["map"] = nn.Unflatten(1, (s.in_channels, *s.kernel_size))
    if part.decision == "tucker2":
        assert part.rank_in is not None
        two = tucker2(kernel, rank_in=part.rank_in, rank_out=part.rank_out)
        core, factor_out, error = two.core, two.factor_out, relative_error(kernel, two)
        parts["factor_in"] = _pointwise(two.factor_in.mT, None)
    else:
        one = tucker1(kernel, rank_out=part.rank_out)
        core, factor_out, error = one.core, one.factor_out, relative_error(kernel, one)
    bias = getattr(module, "bias", None)
    if core.ndim == 2:
        parts["core"] = _linear(core, None)
        parts["factor_out"] = _linear(factor_out, bias)
    else:
        parts["core"] = _core(core, module)
        parts["factor_out"] = _pointwise(factor_out, bias)
    if flat:
        parts["flat"] = nn.Flatten(1)
    factors = nn.Sequential(parts)
    if not module.weight.requires_grad:
        factors.requires_grad_(False)
    return factors, error


def _core(core: Tensor, module: nn.Module) -> nn.Conv2d:
    """The DxD convolution between the ranks; it alone carries stride, padding and dilation."""
    rank_out, rank_in, height, width = core.shape
    like = module if isinstance(module, nn.Conv2d) else None
    conv: nn.Conv2d = nn.utils.skip_init(
        nn.Conv2d,
        rank_in,
        rank_out,
        (height, width),
        stride=like.stride if like else 1,
        padding=like.padding if like else 0,
        dilation=like.dilation if like else 1,
        padding_mode=like.padding_mode if like else "zeros",
        bias=False,
        device=core.device,
        dtype=core.dtype,
    )
    return _filled(conv, core, None)


def _pointwise(matrix: Tensor, bias: Tensor | None) -> nn.Conv2d:
    conv: nn.Conv2d = nn.utils.skip_init(
        nn.Conv2d, matrix.shape[1], matrix.shape[0], 1, bias=bias is not None, device=matrix.device, dtype=matrix.dtype
    )
    return _filled(conv, matrix[:, :, None, None], bias)


def _linear(matrix: Tensor, bias: Tensor | None) -> nn.Linear:
    layer: nn.Linear = nn.utils.skip_init(
        nn.Linear, matrix.shape[1], matrix.shape[0], bias=bias is not None, device=matrix.device, dtype=matrix.dtype
    )
    return _filled(layer, matrix, bias)


def _filled(module: M, weight: Tensor, bias: Tensor | None) -> M:
    with torch.no_grad():
        module.weight.copy_(weight)
        if bias is not None:
            assert module.bias is not None
            module.bias.copy_(bias)
    return module


def _replace(model: nn.Module, name: str, new: nn.Module) -> nn.Module:
    """Put `new` in the place of the module called `name`; the model itself has the empty name."""
    if not name:
        return new
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
    return model
