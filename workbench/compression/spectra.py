"""The one analysis of a network: everything that planning needs, so that all that follows is arithmetic."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.compression.layers import Layer, find_layers, kernel_of
from workbench.compression.network import Network
from workbench.compression.table import count, html_table, text_table
from workbench.kernels.complexity import Cost, total
from workbench.kernels.evbmf import Evbmf, evbmf
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold

Vector = NDArray[np.float64]

DEAD = float(torch.finfo(torch.float32).eps)
"""A channel whose norm is below this share of the largest is dead: beside it, float32 cannot tell it from zero."""


@dataclass(frozen=True)
class Spectrum:
    """Singular values, EVBMF and predicted errors of one layer.

    Attributes
    ----------
    layer : which.
    out, in_ : EVBMF of the output and input unfolding (`in_` is None where only the output mode is reduced).
    singular_out, singular_in : all singular values, dead channels included, descending.
    captured : (out + 1, in + 1), share of the squared norm that truncated HOSVD keeps at (rank_out, rank_in).
        With Tucker-1 its last column is what counts.
    """

    layer: Layer
    out: Evbmf
    in_: Evbmf | None
    singular_out: Vector = field(repr=False)
    singular_in: Vector | None = field(repr=False)
    captured: Vector = field(repr=False)

    def error(self, *, rank_out: int, rank_in: int | None = None) -> float:
        """Relative error ||K - K'|| / ||K|| of truncated HOSVD; HOOI, which `decompose` uses, is never worse.

        Exact for Tucker-1 (`rank_in` None).
        """
        column = -1 if rank_in is None else rank_in
        row = min(rank_out, self.captured.shape[0] - 1)  # more than the unfolding's columns add nothing
        return float(np.sqrt(max(0.0, 1.0 - self.captured[row, column])))


@dataclass(frozen=True)
class Spectra:
    """The spectra of a network's layers, in the order in which they are called; ``spectra["features.3"]`` is one.

    Attributes
    ----------
    network : its name.
    input_shape : shape of one input.
    layers : every convolution and linear layer.
    other : cost of all other parts.
    """

    network: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    other: Cost
    by_name: dict[str, Spectrum] = field(repr=False)

    @property
    def total(self) -> Cost:
        """Cost of the whole dense network."""
        return total([layer.cost for layer in self.layers]) + self.other

    def __getitem__(self, name: str) -> Spectrum:
        if name not in self.by_name:
            known = next((layer for layer in self.layers if layer.name == name), None)
            why = f"has no spectrum: {known.reason}" if known else f"is no layer of {self.network}"
            raise KeyError(f"{name!r} {why}")
        return self.by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def __iter__(self) -> Iterator[Spectrum]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)

    _headers = ("layer", "shape", "weights", "MACs", "share", "EVBMF in", "EVBMF out")

    def _rows(self) -> list[list[str]]:
        macs = max(1, self.total.macs)
        rows = []
        for layer in self.layers:
            spectrum = self.by_name.get(layer.name)
            in_ = f"{spectrum.in_.rank} of {layer.shape.in_channels}" if spectrum and spectrum.in_ else "-"
            out = f"{spectrum.out.rank} of {layer.shape.out_channels}" if spectrum else layer.reason
            costs = [count(layer.cost.weights), count(layer.cost.macs), f"{layer.cost.macs / macs:.1%}"]
            rows.append([layer.name, layer.describe(), *costs, in_, out])
        return rows

    def __str__(self) -> str:
        return text_table(self._headers, self._rows(), left=(0, 1))

    def _repr_html_(self) -> str:
        return html_table(self._headers, self._rows(), caption=f"Spectra of {self.network}", left=(0, 1))


def analyze(network: Network, *, progress: Callable[[float, str], None] | None = None) -> Spectra:
    """Singular values, EVBMF ranks and the error at any ranks, for every layer that can be factorised.

    Parameters
    ----------
    network : is not changed.
    progress : called with (share done, layer name) before each layer.

    Raises
    ------
    ValueError : naming the layer whose weights contain NaN or infinity.
    """
    traced = find_layers(network)
    work = [layer for layer in traced.layers if layer.method != "keep"]
    sizes = np.cumsum([0.0] + [float(layer.cost.weights) * max(layer.kernel_shape[:2]) for layer in work])
    by_name = {}
    for i, layer in enumerate(work):
        if progress:
            progress(float(sizes[i] / sizes[-1]), layer.name)
        kernel = kernel_of(network.model.get_submodule(layer.name), layer)
        if not bool(torch.isfinite(kernel).all()):
            raise ValueError(f"layer {layer.name} of {network.name} has weights that are NaN or infinite")
        by_name[layer.name] = spectrum(layer, kernel)
    if progress:
        progress(1.0, "")
    return Spectra(network.name, network.input_shape, traced.layers, traced.other, by_name)


def spectrum(layer: Layer, kernel: Tensor) -> Spectrum:
    """Analyse one kernel (out_channels, in_channels, ...) of a layer whose method is tucker1 or tucker2."""
    k = kernel.detach().double()
    out, singular_out, basis_out = _mode(k, OUT_MODE)
    if layer.method == "tucker1":
        squares = singular_out**2
        captured = np.concatenate([[0.0], np.cumsum(squares)])[:, None]
        return Spectrum(layer, out, None, singular_out, None, _share(captured))
    in_, singular_in, basis_in = _mode(k, IN_MODE)
    rotated = torch.tensordot(basis_out, k, dims=([0], [0]))
    rotated = torch.tensordot(rotated, basis_in, dims=([1], [0]))  # (out, height, width, in)
    energy = (rotated * rotated).flatten(1, -2).sum(dim=1).numpy(force=True)
    captured = np.zeros((energy.shape[0] + 1, energy.shape[1] + 1))
    captured[1:, 1:] = energy.cumsum(axis=0).cumsum(axis=1)
    return Spectrum(layer, out, in_, singular_out, singular_in, _share(captured))


def _share(captured: Vector) -> Vector:
    whole = captured[-1, -1]
    return captured / whole if whole > 0 else np.ones_like(captured)


def _mode(kernel: Tensor, mode: int) -> tuple[Evbmf, Vector, Tensor]:
    """EVBMF of an unfolding without its dead channels, all its singular values, and its left singular vectors."""
    matrix = unfold(kernel, mode)
    squares, vectors = torch.linalg.eigh(matrix @ matrix.mT)
    singular = np.sqrt(np.maximum(squares.flip(0).numpy(force=True), 0.0))
    singular = singular[: min(matrix.shape)] if len(singular) > min(matrix.shape) else singular
    rows = torch.linalg.vector_norm(matrix, dim=1)
    columns = torch.linalg.vector_norm(matrix, dim=0)
    live = tuple(int((norms > DEAD * norms.max()).sum()) if float(norms.max()) > 0 else 0 for norms in (rows, columns))
    found = evbmf(singular[: min(live)], (live[0], live[1]))
    dead = {"dead_rows": matrix.shape[0] - live[0], "dead_columns": matrix.shape[1] - live[1]}
    return Evbmf(**{**vars(found), **dead}), singular, vectors.flip(1)
