"""Measure the table of layer times for plans made for this machine: every layer and its factors on a grid of ranks.

It is kept in the cache folder under a hash of all it depends on; layers of one geometry share their measurements.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.measure.exclusive import watching
from workbench.measure.latency import timed
from workbench.measure.roofline import load_measured, processor, save_measured
from workbench.measure.runtimes import configuration, image_batch, prepare, torch_threads
from workbench.network.activations import layer_calls
from workbench.network.layers import Layer
from workbench.network.network import Network, copy_model, expect_network
from workbench.plan.cache import folder
from workbench.plan.layer_times import LayerTimes, NetworkTimes
from workbench.plan.plan import LayerPlan
from workbench.plan.spectra import Spectra
from workbench.progress import Progress
from workbench.recover.decompose import empty_factors

VERSION = 5
RANK_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)  # grid of ranks, as shares of the channels
RANK_MULTIPLE = 8
"""Ranks of the grid are multiples of this where there are channels enough: odd ranks would make the table rough."""
LAYER_TIMING_S, NETWORK_TIMING_S = 0.04, 2.0  # for a layer, and for a network


def measure_times(
    network: Network,
    spectra: Spectra,
    *,
    runtime: str = "eager",
    threads: int = 1,
    batch: int = 1,
    channels_last: bool = False,
    progress: Progress | bool | None = None,
) -> NetworkTimes:
    """Measure how long each layer takes, as it is and as factors at a grid of ranks; from the cache if it is there.

    Parameters
    ----------
    runtime, threads, batch, channels_last : as for :func:`~workbench.speed`. A runtime that translates networks takes
        a second for each of the some hundred parts.

    Returns
    -------
    NetworkTimes for :func:`~workbench.plan.budget.budget_plan`. If another process of the workbench computed
    meanwhile, they say so in `disturbed`, and are not kept.
    """
    expect_network(network)
    inputs = image_batch(network, batch)
    model = copy_model(network.model)
    shapes, calls = input_shapes(model, [layer.name for layer in spectra.layers], inputs)
    layers = [layer for layer in spectra.layers if layer.name in shapes]
    geometries = {n.name: _geometry(n, model.get_submodule(n.name), shapes[n.name]) for n in layers}
    how = {"runtime": runtime, "threads": threads, "batch": batch, "channels_last": channels_last}
    gpu = torch.cuda.get_device_name(network.device) if network.device.type == "cuda" else ""
    machine = [processor(), torch.__version__, str(network.device), gpu, str(inputs.dtype)]
    key = json.dumps([VERSION, RANK_SHARES, str(model), list(geometries.items()), how, machine], sort_keys=True)
    path = folder() / f"times-{hashlib.blake2b(key.encode(), digest_size=20).hexdigest()}.json"
    known = load_measured(path, partial(_from_dict, network.name))
    if known is not None:
        return known
    started = time.perf_counter()
    found: dict[str, LayerTimes] = {}
    seen: dict[str, LayerTimes] = {}
    with watching(progress) as watch, torch_threads(threads), torch.inference_mode():
        clock: dict[str, Any] = {"runtime": runtime, "threads": threads, "channels_last": channels_last}
        for i, layer in enumerate(layers):
            watch.report(i / len(layers), layer.name)
            geometry, n = geometries[layer.name], calls[layer.name]
            if layer.name in spectra:
                if geometry not in seen:
                    given = torch.randn(shapes[layer.name], generator=torch.Generator().manual_seed(0)).to(inputs)
                    seconds = partial(program_seconds, inputs=given, **clock)
                    seen[geometry] = _measured(layer, model.get_submodule(layer.name), seconds)
                one = seen[geometry]
                two_sided, one_sided = n * one.two_sided, n * one.one_sided
                found[layer.name] = replace(one, dense=n * one.dense, two_sided=two_sided, one_sided=one_sided)
        # The whole network last: all runs of the first program of a process are some per cent slower.
        whole = program_seconds(model, inputs, seconds=NETWORK_TIMING_S, **clock)
        watch.report(1.0, "")
    other = max(0.0, whole - sum(layer.dense for layer in found.values()))
    where, spent = configuration(runtime, batch, threads, channels_last), time.perf_counter() - started
    if not watch.disturbed:
        tables = {name: layer.to_dict() for name, layer in found.items()}
        save_measured(path, {"where": where, "other": other, "seconds": spent, "layers": tables})
    return NetworkTimes(network.name, where, found, other, spent, watch.disturbed)


def rank_grid(channels: int) -> tuple[int, ...]:
    """Return the ranks to measure, growing, the last one the number of channels."""
    multiple = RANK_MULTIPLE if channels >= 4 * RANK_MULTIPLE else 1
    ranks = {max(multiple, round(share * channels / multiple) * multiple) for share in RANK_SHARES}
    return (*sorted(r for r in ranks if r < channels), channels)


def fill_with_noise(module: nn.Module) -> nn.Module:
    """Fill a module's weights with seeded noise of ordinary size: zeros or denormal numbers could change its time."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            values = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(values / max(1, parameter[0].numel()) ** 0.5)
    return module


def input_shapes(
    model: nn.Module, names: Sequence[str], inputs: Tensor
) -> tuple[dict[str, tuple[int, ...]], Counter[str]]:
    """Return what shape each of these modules is given in one run, and how often it is called."""
    calls = list(layer_calls(model, names, inputs))
    return {one.name: tuple(one.input.shape) for one in reversed(calls)}, Counter(one.name for one in calls)


def program_seconds(
    module: nn.Module, inputs: Tensor, runtime: str = "eager", *, seconds: float = LAYER_TIMING_S, **settings: Any
) -> float:
    """Return the seconds of a layer or network: the lower quartile of some runs, as disturbances only ever add time."""
    runner = prepare(module, inputs, runtime, **settings)
    return float(np.quantile(timed({"program": runner.clock}, seconds)["program"], 0.25))


def _measured(layer: Layer, module: nn.Module, seconds: Callable[[nn.Module], float]) -> LayerTimes:
    """Measure one layer's table; its factors run together, as they will in the network."""
    max_in, max_out = layer.max_ranks
    ins, outs = rank_grid(max_in) if layer.method == "tucker2" else (), rank_grid(max_out)

    def factorised(rank_in: int | None, rank_out: int) -> float:
        plan = LayerPlan(layer, "tucker1" if rank_in is None else "tucker2", rank_in, rank_out)
        return seconds(fill_with_noise(empty_factors(module, plan)))

    two_sided = np.array([[factorised(i, o) for o in outs] for i in ins])
    one_sided = np.array([factorised(None, o) for o in outs])
    return LayerTimes(seconds(module), ins, outs, two_sided, one_sided)


def _geometry(layer: Layer, module: nn.Module, shape: tuple[int, ...]) -> str:
    """Return everything that a layer's times depend on, as JSON."""
    about = asdict(layer.shape) | {"method": layer.method, "input": shape}
    about |= {name: getattr(module, name, None) for name in ("stride", "padding", "dilation", "padding_mode")}
    return json.dumps(about, sort_keys=True)


def _from_dict(network: str, values: dict[str, Any]) -> NetworkTimes:
    layers = {name: LayerTimes.from_dict(table) for name, table in values["layers"].items()}
    return NetworkTimes(network, str(values["where"]), layers, float(values["other"]), float(values["seconds"]))
