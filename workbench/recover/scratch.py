"""Initialise a network with Gaussian weights: the baseline of the paper's comparison."""

from math import prod, sqrt
from typing import TypeVar

import torch
from torch import Tensor, nn

from workbench.network.network import Network, copy_model, expect_network

N = TypeVar("N", bound=Network)

LINEAR_TO_NEXT = ("factor_in", "core")
"""Parts of a factorised layer that another part follows with nothing between them."""


def from_scratch(network: N, *, seed: int = 0) -> N:
    """Return the same architecture with Gaussian weights, to be trained by `finetune`.

    Every convolution and linear layer gets zero-mean Gaussian weights and no bias. Their variance is 2 / (inputs of one
    output), which keeps the size of the signal through a ReLU, and half of that for the parts of a factorised layer
    that no ReLU follows. Normalisations begin as the identity. What the network has learned goes nowhere into it.

    Raises
    ------
    ValueError : naming a module with weights that it does not know how to begin with.

    References: Kim et al., ICLR 2016, sec. 4 (the comparison); He et al., ICCV 2015, sec. 2.2 (the variance).
    """
    expect_network(network)
    model = copy_model(network.model)
    generator = torch.Generator().manual_seed(seed)
    for name, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        weight = own.get("weight")
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, nn.modules.conv._ConvNd | nn.Linear) and isinstance(weight, Tensor):
            linear = name.rpartition(".")[2] in LINEAR_TO_NEXT
            inputs: float = prod(weight.shape[1:])  # that one output sums
            if isinstance(module, nn.modules.conv._ConvTransposeNd):
                # weight (in, out / groups, ...): an output sees each kernel position once in every `stride`
                inputs = max(1.0, len(weight) / module.groups * prod(weight.shape[2:]) / prod(module.stride))
            std = sqrt((1 if linear else 2) / inputs)
            with torch.no_grad():
                weight.copy_(std * torch.randn(weight.shape, generator=generator))
                if isinstance(module.bias, Tensor):
                    module.bias.zero_()
        elif own:
            what = f"{name or 'the model'} is a {type(module).__name__}"
            raise ValueError(f"{what}, which has no Gaussian initialisation here")
    changes = {"sha256": "", "random_weights": True, "history": (), "fitted": False}
    return network.with_model(model, source=f"Gaussian initialisation (seed {seed})", **changes)
