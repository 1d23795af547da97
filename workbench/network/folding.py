"""Remove wrappers from a model, and turn computed weights into parameters."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm
from torch.overrides import TorchFunctionMode

from workbench.network.layers import CONVOLUTIONS

CONVOLUTION_FUNCTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside ``DataParallel``, ``DistributedDataParallel`` and ``torch.compile``.

    Raises
    ------
    TypeError : for TorchScript, which cannot be changed.
    ValueError : if weights are absent (meta device, lazy modules) or quantised.
    """
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            break
        model = inner
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("a TorchScript module cannot be changed: give the Python module that it was made from")
    kind = f"this {type(model).__name__}"
    for name, module in model.named_modules():
        location = f"its layer {name}" if name else "it"
        if ".quantized" in type(module).__module__:
            raise ValueError(f"{kind} is quantised already ({location}): give it before quantisation")
        for tensor in module._parameters.values():
            if isinstance(tensor, UninitializedParameter):
                raise ValueError(f"{kind} has lazy layers ({location}): run it once on an input first")
            if tensor is not None and tensor.is_meta:
                raise ValueError(f"{kind} has no weights ({location} is on the meta device): load some")
    return model


def fold_weights(model: nn.Module) -> None:
    """Replace weights that are computed in each run by parameters, in place.

    The parameter is the weight in evaluation mode. This removes parametrizations (``weight_norm``, ``spectral_norm``),
    their older forms as hooks, pruning masks, and convolutions that standardise their weight.
    """
    for name, module in list(model.named_modules()):
        _fold_parametrizations(module)
        _fold_hooks(module)
        convolution = _plain_convolution(module)
        if convolution is not None and name:
            model.set_submodule(name, convolution)


def _fold_parametrizations(module: nn.Module) -> None:
    if not parametrize.is_parametrized(module):
        return
    # PyTorch's own removal deletes a property of the class, which the copy shares with the user's model.
    names = [name for name, _ in module.get_submodule("parametrizations").named_children()]
    values = {name: getattr(module, name).detach().clone() for name in names}
    original_type = parametrize.type_before_parametrizations(module)
    del module._modules["parametrizations"]
    module.__class__ = original_type
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


def _fold_hooks(module: nn.Module) -> None:
    for hook in list(module._forward_pre_hooks.values()):
        kind: Any = hook
        if isinstance(hook, WeightNorm):
            remove_weight_norm(module, kind.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(module, kind.name)
        elif isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, kind._tensor_name)


class _ConvolutionRecorder(TorchFunctionMode):
    """Records (input, weight, output) of every convolution that is called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        if function in CONVOLUTION_FUNCTIONS:
            self.calls.append((args[0], args[1], output))
        return output


def _plain_convolution(module: nn.Module) -> nn.Module | None:
    """Return the plain convolution that equals one with its own forward method; None if there is none."""
    kind = next((k for k in CONVOLUTIONS if isinstance(module, k)), None)
    if kind is None or type(module).forward is kind.forward or not isinstance(module, CONVOLUTIONS):
        return None
    sizes = [d * (k - 1) + 3 for k, d in zip(module.kernel_size, module.dilation, strict=True)]
    x = torch.rand(1, module.in_channels, *sizes, generator=torch.Generator().manual_seed(0)).to(module.weight)
    try:
        with torch.no_grad(), _ConvolutionRecorder() as recorder:
            output = module(x)
    except Exception:  # the user's forward method may raise anything
        return None
    if len(recorder.calls) != 1 or recorder.calls[0][0] is not x or recorder.calls[0][2] is not output:
        return None
    weight: Tensor = recorder.calls[0][1]
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    plain = kind(**{name: getattr(module, name) for name in names}, bias=module.bias is not None).to(weight)
    with torch.no_grad():
        plain.weight.copy_(weight)
        if module.bias is not None and plain.bias is not None:
            plain.bias.copy_(module.bias)
        equal = torch.allclose(plain(x), output, rtol=1e-5, atol=1e-6)
    return plain.eval().requires_grad_(module.weight.requires_grad) if equal else None
