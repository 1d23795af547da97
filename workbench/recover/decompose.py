"""Decompose a network by a plan: replace the planned layers by sequences of smaller ones."""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from functools import partial

import torch
from safetensors.torch import save
from torch import Tensor, nn

from workbench.kernels.tucker import Tucker1, Tucker2, tucker1, tucker2
from workbench.network.layers import CONVOLUTIONS, LAYER_CLASSES, kernel_of, weight_shape
from workbench.network.network import Network, copy_model, expect_network
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.plan import LayerPlan, Plan, PlanError
from workbench.plan.spectrum import analysis_macs
from workbench.progress import Progress, reporter

GEOMETRY = ("stride", "padding", "dilation", "padding_mode", "groups")
"""Attributes that the core takes over from the layer; the 1x1 factors take over the groups only."""

FactorCache = dict[tuple[str, int | None, int | None], nn.Module]
"""Factors of layers, by (name, rank_in, rank_out)."""


def decompose(
    network: Network, plan: Plan, *, known: FactorCache | None = None, progress: Progress | bool | None = None
) -> CompressedNetwork:
    """Return a copy of a network in which every planned layer is replaced by its factors.

    A Tucker-2 convolution becomes ``factor_in`` (1x1), ``core`` (with the stride, padding and dilation) and
    ``factor_out`` (1x1, with the bias), with nothing between them; a Tucker-1 layer becomes ``core`` and
    ``factor_out``. A linear layer that is decomposed as a convolution takes and gives flat vectors as before.

    Parameters
    ----------
    network : the plan's network, or one of the same architecture.
    known : factors of the same network, to use again; this call adds those of the plan. For plans that differ in few
        layers.
    progress : called before each layer; raising `Cancelled` ends the decomposition.

    Raises
    ------
    PlanError : if the plan does not fit the network (the message names the layer), before anything is computed.

    References: Kim et al., ICLR 2016, sec. 3.2.
    """
    check_fit(network, plan)
    report = reporter(progress)
    model = copy_model(network.model)
    factors = {} if known is None else known
    planned = [part for part in plan if part.decision != "keep"]
    costs = [analysis_macs(part.layer) for part in planned]
    for i, part in enumerate(planned):
        report(sum(costs[:i]) / sum(costs), part.name)
        key = part.name, part.rank_in, part.rank_out
        if key not in factors:
            factors[key] = factorise(model.get_submodule(part.name), part)
        model = replace_module(model, part.name, factors[key])
    report(1.0, "")
    source = f"{network.source}; decomposed ({plan.policy})"
    return CompressedNetwork.of(network, plan, model, source=source)


def rebuild(network: Network, plan: Plan, state: Mapping[str, Tensor]) -> CompressedNetwork:
    """Restore a compressed network from its plan, its weights and the original architecture.

    Parameters
    ----------
    network : a network of the original architecture; its weights do not matter.
    state : the compressed network's ``model.state_dict()``, for instance from a safetensors file.

    Raises
    ------
    PlanError : if the plan does not fit the architecture (the message names the layer), or the weights do not fit the
        plan (it names the first key).
    """
    check_fit(network, plan)
    model = copy_model(network.model)
    for part in plan:
        if part.decision != "keep":
            model = replace_module(model, part.name, empty_factors(model.get_submodule(part.name), part))
    expected_shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    for key in sorted(expected_shapes.keys() | shapes.keys()):
        expected, shape = expected_shapes.get(key), shapes.get(key)
        if shape != expected:
            mismatch = f"of the shape {shape}, not {expected}"
            problem = "missing" if shape is None else "unknown" if expected is None else mismatch
            raise PlanError(f"the weights do not fit the plan: {key} is {problem}")
    model.load_state_dict(dict(state))
    return CompressedNetwork.of(network, plan, model, source=f"rebuilt from weights and a plan ({plan.policy})")


def safetensors_bytes(network: Network) -> bytes:
    """Return a network's weights as the content of a safetensors file, for `rebuild`."""
    return save({key: value.detach().cpu().clone().contiguous() for key, value in network.model.state_dict().items()})


def check_fit(network: Network, plan: Plan) -> None:
    """Raise PlanError, naming the layer and the mismatch, unless the plan fits the network."""
    expect_network(network)
    if not isinstance(plan, Plan):
        raise TypeError(f"this takes a Plan, as wb.evbmf_plan returns it, not a {type(plan).__name__}")
    modules = dict(network.model.named_modules())
    for part in plan:
        module = modules.get(part.name)
        if module is None:
            raise PlanError(f"the plan has a layer {part.name}, which {network.name} has not")
        kind = {"conv": "a convolution", "linear": "a linear layer"}[part.layer.kind]
        if not isinstance(module, LAYER_CLASSES) or (part.layer.kind == "linear") != isinstance(module, nn.Linear):
            actual = f"{network.name} has a {type(module).__name__} there"
            raise PlanError(f"layer {part.name}: the plan expects {kind}, {actual}")
        expected, shape = weight_shape(part.layer), tuple(module.weight.shape)
        if shape != expected:
            mismatch = f"the plan expects weights of shape {expected}, {network.name} has {shape}"
            raise PlanError(f"layer {part.name}: {mismatch}")


def factorise(module: nn.Module, part: LayerPlan) -> nn.Sequential:
    """Return the factors of one layer."""
    assert part.rank_out is not None
    factors = empty_factors(module, part)
    weights: dict[str, list[Tensor]] = defaultdict(list)
    for group in kernel_of(module, part.layer).chunk(part.layer.shape.groups):
        tucker: Tucker1 | Tucker2
        if part.rank_in is None:
            tucker = tucker1(group, rank_out=part.rank_out)
        else:
            tucker = tucker2(group, rank_in=part.rank_in, rank_out=part.rank_out)
            weights["factor_in"].append(tucker.factor_in.mT)
        weights["core"].append(tucker.core.transpose(0, 1) if part.layer.shape.transposed else tucker.core)
        weights["factor_out"].append(tucker.factor_out)
    with torch.no_grad():
        for name, tensors in weights.items():
            weight = factors.get_parameter(f"{name}.weight")
            weight.copy_(torch.cat(tensors).reshape(weight.shape))
        if isinstance(module.bias, Tensor):
            factors.get_parameter("factor_out.bias").copy_(module.bias)
    return factors


def empty_factors(module: nn.Module, part: LayerPlan) -> nn.Sequential:
    """Return the factors of one layer with uninitialised weights."""
    shape, bias = part.layer.shape, module.bias is not None
    weight = module.weight
    assert isinstance(weight, Tensor)
    assert part.rank_out is not None
    rank_in = shape.in_channels if part.rank_in is None else part.rank_in * shape.groups
    rank_out = part.rank_out * shape.groups
    build = partial(nn.utils.skip_init, device=weight.device, dtype=weight.dtype)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    if not shape.kernel_size:
        modules["core"] = build(nn.Linear, rank_in, rank_out, bias=False)
        modules["factor_out"] = build(nn.Linear, rank_out, shape.out_channels, bias=bias)
    else:
        is_linear, convolution = isinstance(module, nn.Linear), CONVOLUTIONS[len(shape.kernel_size) - 1]
        factor = partial(build, convolution, kernel_size=1, groups=shape.groups)
        if is_linear:
            modules["map"] = nn.Unflatten(1, (shape.in_channels, *shape.kernel_size))
        if part.rank_in is not None:
            modules["factor_in"] = factor(shape.in_channels, rank_in, bias=False)
        attributes = () if is_linear else (*GEOMETRY, "output_padding") if shape.transposed else GEOMETRY
        geometry = {name: getattr(module, name) for name in attributes}
        core_class = convolution if is_linear else next(kind for kind in LAYER_CLASSES if isinstance(module, kind))
        core = build(core_class, rank_in, rank_out, bias=False, kernel_size=shape.kernel_size, **geometry)
        if not is_linear and not shape.transposed:  # padding modes other than zeros use this instead of `padding`
            core._reversed_padding_repeated_twice = list(module._reversed_padding_repeated_twice)  # type: ignore[arg-type]
        modules["core"] = core
        modules["factor_out"] = factor(rank_out, shape.out_channels, bias=bias)
        if is_linear:
            modules["flat"] = nn.Flatten(1)
    return nn.Sequential(modules).requires_grad_(weight.requires_grad).eval()


def replace_module(model: nn.Module, name: str, new: nn.Module) -> nn.Module:
    """Return the model with `new` instead of the module called `name`; the empty name is the model itself."""
    if not name:
        return new
    model.set_submodule(name, new)
    return model
