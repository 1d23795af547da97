"""Analyse a network: compute the singular values, EVBMF ranks and errors of every layer, from which plans are made."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from workbench.kernels.complexity import Cost, total
from workbench.network.layers import Layer, kernel_of
from workbench.network.network import Network, expect_network
from workbench.network.tracing import Node, find_layers
from workbench.plan import cache
from workbench.plan.spectrum import Spectrum, analysis_macs, spectrum
from workbench.progress import Progress, reporter
from workbench.tables import Table, count


@dataclass(frozen=True, repr=False)
class Spectra(Table):
    """The spectra of a network's layers, in the order of their calls; ``spectra["features.3"]`` is one of them.

    Attributes
    ----------
    layers : every convolution and linear layer.
    other : cost of everything else in the network.
    graph : the connections of the layers, see :class:`~workbench.network.tracing.Node`.
    """

    network: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    other: Cost
    by_name: dict[str, Spectrum] = field(repr=False)
    graph: tuple[Node, ...] = field(default=(), repr=False)

    @property
    def total(self) -> Cost:
        """Cost of the whole dense network."""
        return total(layer.cost for layer in self.layers) + self.other

    def __getitem__(self, name: str) -> Spectrum:
        if name not in self.by_name:
            layer = next((layer for layer in self.layers if layer.name == name), None)
            problem = f"has no spectrum: {layer.reason}" if layer else f"is no layer of {self.network}"
            raise KeyError(f"{name!r} {problem}")
        return self.by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def __iter__(self) -> Iterator[Spectrum]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)

    headers = ("layer", "shape", "weights", "MACs", "share", "EVBMF in", "EVBMF out")
    left = (0, 1)

    @property
    def caption(self) -> str:
        """Title of the table."""
        return f"Spectra of {self.network}"

    @property
    def rows(self) -> list[list[str]]:
        """One line per layer."""
        macs, rows = max(1, self.total.macs), []
        for layer in self.layers:
            spectrum, (max_in, max_out) = self.by_name.get(layer.name), layer.max_ranks
            in_ = f"{spectrum.in_.rank} of {max_in}" if spectrum and spectrum.in_ else "-"
            out = f"{spectrum.out.rank} of {max_out}" if spectrum else layer.reason
            costs = [count(layer.cost.weights), count(layer.cost.macs), f"{layer.cost.macs / macs:.1%}"]
            rows.append([layer.name, layer.describe(), *costs, in_, out])
        return rows


def analyze(network: Network, *, cached: bool = True, progress: Progress | bool | None = None) -> Spectra:
    """Compute singular values, EVBMF ranks and the error at any ranks of every layer that can be factorised.

    The analysis runs on the GPU if there is one. Its result is cached on disk by a hash of the weights, see
    :mod:`workbench.plan.cache`.

    Parameters
    ----------
    cached : whether to read and write the cache.
    progress : called before each layer; raising `Cancelled` ends the analysis.

    Raises
    ------
    ValueError : if a layer's weights contain NaN or infinity.
    """
    expect_network(network)
    report = reporter(progress)
    traced = find_layers(network)
    layers = {layer.name: layer for layer in traced.layers if layer.method != "keep"}
    kernels = {name: kernel_of(network.model.get_submodule(name), layer) for name, layer in layers.items()}
    key = cache.key(kernels, layers) if cached else ""
    spectra = cache.load(key, layers) if cached else None
    if spectra is None:
        spectra = {}
        costs = {name: analysis_macs(layers[name]) for name in kernels}
        done_macs, total_macs = 0.0, sum(costs.values())
        for name, kernel in kernels.items():
            report(done_macs / total_macs, name)
            if not all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(kernel)):
                raise ValueError(f"layer {name} of {network.name} has weights that are NaN or infinite")
            spectra[name] = spectrum(layers[name], kernel.cuda() if torch.cuda.is_available() else kernel)
            done_macs += costs[name]
        if cached:
            cache.save(key, spectra)
    report(1.0, "")
    return Spectra(network.name, network.input_shape, traced.layers, traced.other, spectra, traced.graph)
