"""Balance the factors of a compressed network: gradient steps need factors of like size."""

import torch
from torch import Tensor, nn

from workbench.network.network import copy_model
from workbench.plan.compressed import CompressedNetwork, expect_compressed

FACTORS = ("factor_in", "core", "factor_out")


def balance(network: CompressedNetwork) -> CompressedNetwork:
    """Return the network with balanced factors; every layer's output stays the same, up to rounding.

    The outer factors become orthogonal (a QR decomposition, whose other part goes into the core), then all factors of
    a layer are scaled to the same Frobenius norm. Factors that were fitted to data differ a lot in the size of their
    columns, and the first gradient steps on such factors destroy a network.

    Raises
    ------
    TypeError : if the network was not compressed.
    """
    expect_compressed(network)
    model = copy_model(network.model)
    with torch.no_grad():
        for part in network.plan:
            if part.decision != "keep":
                layer = part.layer.shape
                balance_factors(model.get_submodule(part.name), groups=layer.groups, transposed=layer.transposed)
    return network.with_model(model)


def balance_factors(factors: nn.Module, *, groups: int = 1, transposed: bool = False) -> None:
    """Balance one layer's ``factor_in`` (if any), ``core`` and ``factor_out`` in place, group by group."""
    weights = {n: m.get_parameter("weight") for n, m in factors.named_children() if n in FACTORS}
    found: dict[str, list[Tensor]] = {name: [] for name in weights}
    for pieces in zip(*(weight.double().chunk(groups) for weight in weights.values()), strict=True):
        old = dict(zip(weights, pieces, strict=True))
        core = old["core"].transpose(0, 1) if transposed else old["core"]  # (rank_out, rank_in, ...)
        outer, triangle = torch.linalg.qr(old["factor_out"].flatten(1))
        core = torch.einsum("ab,b...->a...", triangle, core)
        if "factor_in" in old:
            inner, triangle = torch.linalg.qr(old["factor_in"].flatten(1).mT)
            core = torch.einsum("ab,cb...->ca...", triangle, core)
            found["factor_in"].append(inner.mT)
        found["core"].append(core.transpose(0, 1) if transposed else core)
        found["factor_out"].append(outer)
    values = {name: torch.cat(tensors) for name, tensors in found.items()}
    norms = torch.stack([torch.linalg.vector_norm(value) for value in values.values()])
    same = norms.log().mean().exp()  # 0 for a layer of zeros, which stays as it is
    for (name, value), norm in zip(values.items(), norms, strict=True):
        weights[name].copy_((value * (same / norm) if same else value).reshape(weights[name].shape))
