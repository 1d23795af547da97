"""Kernels of a compressed network: what the factors multiply to, and how far that is from the original kernel."""

import torch
from torch import Tensor, nn

from workbench.inspect.layerwise import FACTORS
from workbench.kernels.tucker import relative_error
from workbench.network.layers import Layer, kernel_of
from workbench.plan.compressed import CompressedNetwork, expect_compressed


def kernel_errors(compressed: CompressedNetwork) -> dict[str, float]:
    """Return the relative error ||K - K'|| / ||K|| of the kernel of each factorised layer, by name.

    After calibration or training it is no measure of quality: the outputs matter then, not the kernels.
    """
    expect_compressed(compressed)
    errors = {}
    for part in compressed.plan:
        if part.decision != "keep":
            before = kernel_of(compressed.original.model.get_submodule(part.name), part.layer).detach().cpu().double()
            after = reconstruct(compressed.model.get_submodule(part.name), part.layer).cpu()
            errors[part.name] = relative_error(before, after)
    return errors


def reconstruct(module: nn.Module, layer: Layer) -> Tensor:
    """Return the kernel (out_channels, in_channels per group, ...) of a layer, or the one its factors multiply to.

    Parameters
    ----------
    module : what the compressed network has in the layer's place.
    layer : the layer as it was.
    """
    parts = dict(module.named_children())
    if not parts:
        return kernel_of(module, layer).detach().double()
    kernels = []
    for group in range(layer.shape.groups):
        weights = {
            name: parts[name].get_parameter("weight").detach().double().chunk(layer.shape.groups)[group]
            for name in FACTORS
            if name in parts
        }
        core = weights["core"].transpose(0, 1) if layer.shape.transposed else weights["core"]
        kernel = torch.einsum("ab...,ta->tb...", core, weights["factor_out"].flatten(1))
        if "factor_in" in weights:
            kernel = torch.einsum("tb...,bs->ts...", kernel, weights["factor_in"].flatten(1))
        kernels.append(kernel)
    return torch.cat(kernels).reshape(layer.kernel_shape)
