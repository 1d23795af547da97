"""Analyse a network once: singular values, EVBMF ranks and errors of every layer, from which plans are computed."""

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
    """The spectra of a network's layers, in the order in which they are called; ``spectra["features.3"]`` is one.

    Attributes
    ----------
    layers : every convolution and linear layer.
    other : cost of all other parts.
    graph : how the layers follow each other, see :class:`~workbench.network.tracing.Node`.
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

    headers = ("layer", "shape", "weights", "MACs", "share", "EVBMF in", "EVBMF out")
    left = (0, 1)

    @property
    def caption(self) -> str:
        """Name of the network."""
        return f"Spectra of {self.network}"

    @property
    def rows(self) -> list[list[str]]:
        """One line a layer."""
        macs, rows = max(1, self.total.macs), []
        for layer in self.layers:
            spectrum, (max_in, max_out) = self.by_name.get(layer.name), layer.max_ranks
            in_ = f"{spectrum.in_.rank} of {max_in}" if spectrum and spectrum.in_ else "-"
            out = f"{spectrum.out.rank} of {max_out}" if spectrum else layer.reason
            costs = [count(layer.cost.weights), count(layer.cost.macs), f"{layer.cost.macs / macs:.1%}"]
            rows.append([layer.name, layer.describe(), *costs, in_, out])
        return rows


def analyze(network: Network, *, cached: bool = True, progress: Progress | bool | None = None) -> Spectra:
    """Compute singular values, EVBMF ranks and the error at any ranks, for every layer that can be factorised.

    Runs on the GPU if there is one. The result is cached on disk by a hash of the weights, see
    :mod:`workbench.plan.cache`.

    Parameters
    ----------
    cached : False neither reads nor writes the cache.
    progress : called before each layer; raising `Cancelled` ends the analysis.

    Raises
    ------
    ValueError : naming the layer whose weights contain NaN or infinity.
    """
    expect_network(network)
    report = reporter(progress)
    traced = find_layers(network)
    layers = {layer.name: layer for layer in traced.layers if layer.method != "keep"}
    kernels = {name: kernel_of(network.model.get_submodule(name), layer) for name, layer in layers.items()}
    name = cache.key(kernels, layers) if cached else ""
    found = cache.load(name, layers) if cached else None
    if found is None:
        found = {}
        amounts = {layer: analysis_macs(layers[layer]) for layer in kernels}
        done, whole = 0.0, sum(amounts.values())
        for layer, kernel in kernels.items():
            report(done / whole, layer)
            if not all(bool(torch.isfinite(end)) for end in torch.aminmax(kernel)):
                raise ValueError(f"layer {layer} of {network.name} has weights that are NaN or infinite")
            found[layer] = spectrum(layers[layer], kernel.cuda() if torch.cuda.is_available() else kernel)
            done += amounts[layer]
        if cached:
            cache.save(name, found)
    report(1.0, "")
    return Spectra(network.name, network.input_shape, traced.layers, traced.other, found, traced.graph)
