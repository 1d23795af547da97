"""Balance the factors of a compressed network: gradient steps need factors of like size."""

import torch
from torch import Tensor, nn

from workbench.network.network import copy_model
from workbench.plan.compressed import CompressedNetwork, expect_compressed


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
    children = dict(factors.named_children())
    core = children["core"].get_parameter("weight")
    cubes = [cube.transpose(0, 1) if transposed else cube for cube in core.double().chunk(groups)]
    outer = children["factor_out"].get_parameter("weight")
    outers, cubes = _absorb_out(list(outer.double().chunk(groups)), cubes)
    pieces = [(outer, torch.cat(outers))]
    if "factor_in" in children:
        inner = children["factor_in"].get_parameter("weight")
        inners, cubes = _absorb_in(list(inner.double().chunk(groups)), cubes)
        pieces.append((inner, torch.cat(inners)))
    pieces.append((core, torch.cat([c.transpose(0, 1) for c in cubes] if transposed else cubes)))
    norms = [float(torch.linalg.vector_norm(value)) for _, value in pieces]
    same = torch.tensor(norms, dtype=torch.float64).log().mean().exp() if all(norms) else None
    for (parameter, value), norm in zip(pieces, norms, strict=True):
        scaled = value if same is None else value * (same / norm).to(value.device)
        parameter.copy_(scaled.reshape(parameter.shape))


def _absorb_out(outers: list[Tensor], cubes: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return orthogonal output factors (out, rank), and cores (rank, ...) that absorb the triangular factor."""
    turned = [torch.linalg.qr(outer.flatten(1)) for outer in outers]
    cores = [torch.einsum("ab,b...->a...", r, cube) for (_, r), cube in zip(turned, cubes, strict=True)]
    return [q for q, _ in turned], cores


def _absorb_in(inners: list[Tensor], cubes: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return orthogonal input factors (rank, in), and cores (rank_out, rank, ...) that absorb the triangular factor."""
    turned = [torch.linalg.qr(inner.flatten(1).mT) for inner in inners]
    cores = [torch.einsum("ab,cb...->ca...", r, cube) for (_, r), cube in zip(turned, cubes, strict=True)]
    return [q.mT for q, _ in turned], cores
