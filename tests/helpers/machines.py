"""Tables of layer times whose closed form is known."""

import numpy as np

from workbench.plan.layer_times import LayerTimes, NetworkTimes


def table(layer, *, per_mac=1e-9, overhead=0.0):
    """A machine whose factors take so long a MAC, and so long for each call."""
    most_in, most_out = layer.max_ranks
    ins = tuple(sorted({1, (most_in + 1) // 2, most_in})) if layer.method == "tucker2" else ()
    outs = tuple(sorted({1, (most_out + 1) // 2, most_out}))
    s, taps = layer.shape, int(np.prod(layer.shape.kernel_size or (1,)))
    before, behind = (sum(p[i] for p in s.positions) for i in (0, 1))
    first = [per_mac * s.in_channels * r * before + overhead for r in ins]
    core = [[per_mac * taps * i * o * behind + overhead for o in outs] for i in ins]
    last = np.array([per_mac * o * s.out_channels * behind + overhead for o in outs])
    two_sided = np.array(first)[:, None] + np.array(core) + last if ins else np.zeros(0)
    one_sided = [per_mac * taps * s.in_channels * o * behind + overhead for o in outs] + last
    return LayerTimes(per_mac * layer.cost.macs + overhead, ins, outs, two_sided, one_sided)


def machine(spectra, other=0.0, **kwargs):
    layers = {layer.name: table(layer, **kwargs) for layer in spectra.layers if layer.name in spectra}
    return NetworkTimes(spectra.network, "a model of a machine", layers, other, 1.0)
