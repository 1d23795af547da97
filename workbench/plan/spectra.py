"""The one analysis of a network: everything that planning needs, so that all that follows is arithmetic."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from workbench.kernels.complexity import Cost, total
from workbench.network.layers import Layer, find_layers, kernel_of
from workbench.network.network import Network, expect_network
from workbench.plan import cache
from workbench.plan.spectrum import Spectrum, spectrum
from workbench.tables import count, html_table, text_table


@dataclass(frozen=True)
class Spectra:
    """The spectra of a network's layers, in the order in which they are called; ``spectra["features.3"]`` is one.

    Attributes
    ----------
    network : its name.
    input_shape : shape of one input.
    layers : every convolution and linear layer.
    other : cost of all other parts.
    analyzed : the network itself, for plans that look at its outputs; None if it is not known.
    """

    network: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    other: Cost
    by_name: dict[str, Spectrum] = field(repr=False)
    analyzed: Network | None = field(default=None, repr=False, compare=False)

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


def analyze(network: Network, *, progress: Callable[[float, str], None] | None = None, cached: bool = True) -> Spectra:
    """Singular values, EVBMF ranks and the error at any ranks, for every layer that can be factorised.

    On the GPU if there is one. The result is kept on disk by a hash of the weights
    (:mod:`workbench.plan.cache`), so that the same network opens at once the next time.

    Parameters
    ----------
    network : is not changed.
    progress : called with (share done, layer name) before each layer.
    cached : False neither reads nor writes the cache.

    Raises
    ------
    ValueError : naming the layer whose weights contain NaN or infinity.
    """
    expect_network(network)
    traced = find_layers(network)
    work = {layer.name: layer for layer in traced.layers if layer.method != "keep"}
    kernels = {name: kernel_of(network.model.get_submodule(name), layer) for name, layer in work.items()}
    name = cache.key(kernels, work) if cached else ""
    found = cache.load(name, work) if cached else None
    if found is None:
        found = _analyze(network.name, work, kernels, progress)
        if cached:
            cache.save(name, found)
    if progress:
        progress(1.0, "")
    return Spectra(network.name, network.input_shape, traced.layers, traced.other, found, network)


def _analyze(
    network: str,
    layers: Mapping[str, Layer],
    kernels: Mapping[str, Tensor],
    progress: Callable[[float, str], None] | None,
) -> dict[str, Spectrum]:
    gpu = torch.cuda.is_available()
    sizes = np.cumsum([0.0] + [float(k.numel()) * max(k.shape[:2]) for k in kernels.values()])
    found = {}
    for size, (name, kernel) in zip(sizes, kernels.items(), strict=False):
        if progress:
            progress(float(size / sizes[-1]), name)
        if not bool(torch.isfinite(kernel).all()):
            raise ValueError(f"layer {name} of {network} has weights that are NaN or infinite")
        found[name] = spectrum(layers[name], kernel.cuda() if gpu else kernel)
    return found
