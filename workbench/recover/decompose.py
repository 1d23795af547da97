"""Surgery: a network and a Plan -> a new network, in which the planned layers are sequences of smaller ones."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from workbench.kernels.tucker import Tucker1, Tucker2, relative_error, tucker1, tucker2
from workbench.network.layers import CONVOLUTIONS, KINDS, kernel_of, weight_shape
from workbench.network.network import Network, expect_network
from workbench.plan.plan import LayerPlan, Plan, PlanError

GEOMETRY = ("stride", "padding", "dilation", "padding_mode", "groups")
"""What the core takes over from the layer; the 1x1 factors around it have none of it but the groups."""


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
    expect_network(network)
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
        model = replace_module(model, part.name, factors)
        done[part.name] = replace(part, measured_error=error)
    if progress:
        progress(1.0, "")
    made = replace(plan, layers=tuple(done.get(part.name, part) for part in plan))
    source = f"{network.source}; decomposed ({plan.policy})"
    return replace(network, model=model, plan=made, source=source, sha256="")


def rebuild(network: Network, plan: Plan, state: Mapping[str, Tensor]) -> Network:
    """The decomposed network again, from its plan, its weights and the original architecture; nothing is unpickled.

    Parameters
    ----------
    network : of the original architecture; its own weights do not matter and are not changed.
    plan : the decomposed network's plan, for instance from JSON.
    state : the decomposed network's ``model.state_dict()``, for instance from a safetensors file.

    Raises
    ------
    PlanError : if the plan does not fit the architecture, naming the layer, or the weights do not fit the plan,
        naming the first key.
    """
    check_fit(network, plan)
    model = copy.deepcopy(network.model)
    for part in plan:
        if part.decision != "keep":
            module = model.get_submodule(part.name)
            model = replace_module(model, part.name, factors_for(module, part).train(module.training))
    expected = model.state_dict()
    for key in sorted(expected.keys() | state.keys()):
        if key not in state or key not in expected:
            raise PlanError(f"the weights do not fit the plan: {key} is {'missing' if key in expected else 'unknown'}")
        if state[key].shape != expected[key].shape:
            have, want = tuple(state[key].shape), tuple(expected[key].shape)
            raise PlanError(f"the weights do not fit the plan: {key} has the shape {have}, not {want}")
    model.load_state_dict(dict(state))
    source = f"rebuilt from weights and a plan ({plan.policy})"
    return replace(network, model=model, plan=plan, sha256="", source=source)


def check_fit(network: Network, plan: Plan) -> None:
    """Raise PlanError, naming the layer and the mismatch, unless the plan fits the network."""
    modules = dict(network.model.named_modules())
    for part in plan:
        module = modules.get(part.name)
        if module is None:
            raise PlanError(f"the plan has a layer {part.name}, which {network.name} has not")
        if not isinstance(module, KINDS) or part.layer.kind != ("linear" if isinstance(module, nn.Linear) else "conv"):
            kind = {"conv": "a convolution", "linear": "a linear layer"}.get(part.layer.kind, part.layer.kind)
            raise PlanError(
                f"layer {part.name}: the plan expects {kind}, {network.name} has a {type(module).__name__} there"
            )
        wanted, found = weight_shape(part.layer), tuple(module.weight.shape)
        if found != wanted:
            raise PlanError(
                f"layer {part.name}: the plan expects weights of shape {wanted}, {network.name} has {found}"
            )


def factorise(module: nn.Module, part: LayerPlan) -> tuple[nn.Sequential, float]:
    """The factors that replace one layer, and the relative error of the kernel they stand for."""
    kernel = kernel_of(module, part.layer)
    factors = factors_for(module, part)
    pieces: dict[str, list[Tensor]] = {"factor_in": [], "core": [], "factor_out": []}
    missed = 0.0
    for group in kernel.chunk(part.layer.shape.groups):
        assert part.rank_out is not None
        if part.rank_in is None:
            found: Tucker1 | Tucker2 = tucker1(group, rank_out=part.rank_out)
        else:
            found = tucker2(group, rank_in=part.rank_in, rank_out=part.rank_out)
        if isinstance(found, Tucker2):
            pieces["factor_in"].append(found.factor_in.mT)
        pieces["core"].append(found.core.transpose(0, 1) if part.layer.shape.transposed else found.core)
        pieces["factor_out"].append(found.factor_out)
        missed += (relative_error(group, found) * float(torch.linalg.vector_norm(group.double()))) ** 2
    with torch.no_grad():
        for name, tensors in pieces.items():
            if tensors:
                weight = factors.get_parameter(f"{name}.weight")
                weight.copy_(torch.cat(tensors).reshape(weight.shape))
        if isinstance(module.bias, Tensor):
            factors.get_parameter("factor_out.bias").copy_(module.bias)
    norm = float(torch.linalg.vector_norm(kernel.double()))
    return factors, missed**0.5 / norm if norm else 0.0


def factors_for(module: nn.Module, part: LayerPlan) -> nn.Sequential:
    """The modules that replace one layer, with the right shapes and weights still to come."""
    shape, bias = part.layer.shape, module.bias is not None
    weight = module.weight
    assert isinstance(weight, Tensor)
    assert part.rank_out is not None
    like = {"device": weight.device, "dtype": weight.dtype}
    rank_in = shape.in_channels if part.rank_in is None else part.rank_in * shape.groups
    rank_out = part.rank_out * shape.groups

    def make(kind: type[nn.Module], *sizes: int, **options: object) -> nn.Module:
        made: nn.Module = nn.utils.skip_init(kind, *sizes, **options, **like)
        return made

    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if not shape.kernel_size:
        parts["core"] = make(nn.Linear, rank_in, rank_out, bias=False)
        parts["factor_out"] = make(nn.Linear, rank_out, shape.out_channels, bias=bias)
    else:
        flat = isinstance(module, nn.Linear)
        pointwise = CONVOLUTIONS[len(shape.kernel_size) - 1]
        options: dict[str, object] = {"kernel_size": shape.kernel_size}
        if not flat:
            names = (*GEOMETRY, "output_padding") if shape.transposed else GEOMETRY
            options |= {name: getattr(module, name) for name in names}
        if flat:
            parts["map"] = nn.Unflatten(1, (shape.in_channels, *shape.kernel_size))
        if part.rank_in is not None:
            parts["factor_in"] = make(
                pointwise, shape.in_channels, rank_in, kernel_size=1, groups=shape.groups, bias=False
            )
        parts["core"] = make(pointwise if flat else _kind(module), rank_in, rank_out, bias=False, **options)
        parts["factor_out"] = make(
            pointwise, rank_out, shape.out_channels, kernel_size=1, groups=shape.groups, bias=bias
        )
        if flat:
            parts["flat"] = nn.Flatten(1)
    return nn.Sequential(parts).requires_grad_(weight.requires_grad)


def _kind(module: nn.Module) -> type[nn.Module]:
    return next(kind for kind in KINDS if isinstance(module, kind))


def replace_module(model: nn.Module, name: str, new: nn.Module) -> nn.Module:
    """Put `new` in the place of the module called `name`; the model itself has the empty name."""
    if not name:
        return new
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
    return model
