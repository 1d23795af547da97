"""Kernels of a compressed network: what the factors multiply to."""

import torch
from torch import Tensor, nn

from workbench.network.layers import Layer, kernel_of
from workbench.plan.compressed import CompressedNetwork


def kernels_of(compressed: CompressedNetwork, layer: Layer) -> tuple[Tensor, Tensor]:
    """Return a layer's kernel (out_channels, in_channels per group, ...) in the original and the compressed network."""
    module = compressed.original.model.get_submodule(layer.name)
    before = kernel_of(module, layer).detach().cpu().double()
    return before, reconstruct(compressed.model.get_submodule(layer.name), layer).cpu()


def reconstruct(module: nn.Module, layer: Layer) -> Tensor:
    """Return the kernel of a layer, or the one its factors multiply to.

    Parameters
    ----------
    module : what the compressed network has in the layer's place.
    layer : the layer as it was.
    """
    groups, parts = layer.shape.groups, dict(module.named_children())
    if not parts:
        return kernel_of(module, layer).detach().double()
    names = [name for name in ("factor_in", "core", "factor_out") if name in parts]
    weights = [parts[name].get_parameter("weight").detach().double().chunk(groups) for name in names]
    kernels = []
    for *first, core, last in zip(*weights, strict=True):
        kernel = torch.einsum(
            "ab...,ta->tb...", core.transpose(0, 1) if layer.shape.transposed else core, last.flatten(1)
        )
        kernels.append(torch.einsum("tb...,bs->ts...", kernel, first[0].flatten(1)) if first else kernel)
    return torch.cat(kernels).reshape(layer.kernel_shape)
