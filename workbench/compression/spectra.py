"""The one analysis of a network: everything that planning needs, so that all that follows is arithmetic."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.compression.layers import Layer, find_layers, kernel_of
from workbench.compression.network import Network, expect_network
from workbench.compression.table import count, html_table, text_table
from workbench.kernels.complexity import Cost, total
from workbench.kernels.evbmf import Evbmf
from workbench.kernels.hosvd import Mode, analyze_mode, as_share, captured, captured_out
from workbench.kernels.unfolding import IN_MODE, OUT_MODE

Vector = NDArray[np.float64]


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
    expect_network(network)
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
        by_name[layer.name] = spectrum(layer, kernel.cuda() if torch.cuda.is_available() else kernel)
    if progress:
        progress(1.0, "")
    return Spectra(network.name, network.input_shape, traced.layers, traced.other, by_name)


def spectrum(layer: Layer, kernel: Tensor) -> Spectrum:
    """Analyse one kernel (out_channels, in_channels per group, ...) of a layer whose method is tucker1 or tucker2.

    A grouped convolution is analysed group by group: its ranks are the largest that any group asks for, its singular
    values the root mean squares over the groups, its errors those of all groups together.
    """
    groups = kernel.chunk(layer.shape.groups)
    outs = [analyze_mode(group, OUT_MODE) for group in groups]
    out, singular_out = _most([mode.evbmf() for mode in outs]), _mean_square(outs)
    if layer.method == "tucker1":
        return Spectrum(layer, out, None, singular_out, None, captured_out(singular_out))
    ins = [analyze_mode(group, IN_MODE) for group in groups]
    in_, singular_in = _most([mode.evbmf() for mode in ins]), _mean_square(ins)
    tables = [captured(group, o.basis, i.basis) for group, o, i in zip(groups, outs, ins, strict=True)]
    return Spectrum(layer, out, in_, singular_out, singular_in, as_share(np.sum(tables, axis=0)))


def _most(found: Sequence[Evbmf]) -> Evbmf:
    return max(found, key=lambda evbmf: evbmf.rank)


def _mean_square(modes: Sequence[Mode]) -> Vector:
    return np.asarray(np.sqrt(np.mean([mode.singular_values**2 for mode in modes], axis=0)))
