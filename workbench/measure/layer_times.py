"""Measure the layer times of a network on this machine: each layer as it is, and its factors on a grid of ranks.

The table is kept in the cache folder under a hash of its conditions. Layers of one geometry share their measurements.
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
from workbench.measure.latency import time_in_turns
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
"""The grid's ranks are multiples of this if there are enough channels: times do not grow evenly between multiples."""
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
    """Measure the seconds of each layer, as it is and as factors on a grid of ranks, or load them from the cache.

    Parameters
    ----------
    runtime, threads, batch, channels_last : as for :func:`~workbench.speed`. A runtime that translates networks takes
        a second for each of about a hundred parts.

    Returns
    -------
    NetworkTimes for :func:`~workbench.plan.budget.budget_plan`. If another process of the workbench computed
    meanwhile, `disturbed` says so, and the times are not cached.
    """
    expect_network(network)
    inputs = image_batch(network, batch)
    model = copy_model(network.model)
    shapes, calls = input_shapes(model, [layer.name for layer in spectra.layers], inputs)
    layers = [layer for layer in spectra.layers if layer.name in shapes]
    geometries = {layer.name: _geometry(layer, model.get_submodule(layer.name), shapes[layer.name]) for layer in layers}
    settings = {"runtime": runtime, "threads": threads, "batch": batch, "channels_last": channels_last}
    gpu = torch.cuda.get_device_name(network.device) if network.device.type == "cuda" else ""
    machine = [processor(), torch.__version__, str(network.device), gpu, str(inputs.dtype)]
    key = json.dumps([VERSION, RANK_SHARES, str(model), list(geometries.items()), settings, machine], sort_keys=True)
    path = folder() / f"times-{hashlib.blake2b(key.encode(), digest_size=20).hexdigest()}.json"
    cached = load_measured(path, partial(_from_dict, network.name))
    if cached is not None:
        return cached
    start_s = time.perf_counter()
    table: dict[str, LayerTimes] = {}
    times_of_geometry: dict[str, LayerTimes] = {}
    with watching(progress) as watch, torch_threads(threads), torch.inference_mode():
        options: dict[str, Any] = {"runtime": runtime, "threads": threads, "channels_last": channels_last}
        for i, layer in enumerate(layers):
            watch.report(i / len(layers), layer.name)
            geometry, n = geometries[layer.name], calls[layer.name]
            if layer.name in spectra:
                if geometry not in times_of_geometry:
                    noise = torch.randn(shapes[layer.name], generator=torch.Generator().manual_seed(0)).to(inputs)
                    seconds = partial(program_seconds, inputs=noise, **options)
                    times_of_geometry[geometry] = _measure_layer(layer, model.get_submodule(layer.name), seconds)
                times = times_of_geometry[geometry]
                two_sided, one_sided = n * times.two_sided, n * times.one_sided
                table[layer.name] = replace(times, dense=n * times.dense, two_sided=two_sided, one_sided=one_sided)
        # The whole network comes last: the first program that a process runs is some per cent slower.
        total = program_seconds(model, inputs, seconds=NETWORK_TIMING_S, **options)
        watch.report(1.0, "")
    other = max(0.0, total - sum(times.dense for times in table.values()))
    where, seconds_taken = configuration(runtime, batch, threads, channels_last), time.perf_counter() - start_s
    if not watch.disturbed:
        layer_values = {name: times.to_dict() for name, times in table.items()}
        save_measured(path, {"where": where, "other": other, "seconds": seconds_taken, "layers": layer_values})
    return NetworkTimes(network.name, where, table, other, seconds_taken, watch.disturbed)


def rank_grid(channels: int) -> tuple[int, ...]:
    """Return the ranks to measure, in growing order; the last one is the number of channels."""
    multiple = RANK_MULTIPLE if channels >= 4 * RANK_MULTIPLE else 1
    ranks = {max(multiple, round(share * channels / multiple) * multiple) for share in RANK_SHARES}
    return (*sorted(r for r in ranks if r < channels), channels)


def fill_with_noise(module: nn.Module) -> nn.Module:
    """Fill a module's weights with seeded noise of usual scale: zeros or denormal numbers could change its time."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            values = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(values / max(1, parameter[0].numel()) ** 0.5)
    return module


def input_shapes(
    model: nn.Module, names: Sequence[str], inputs: Tensor
) -> tuple[dict[str, tuple[int, ...]], Counter[str]]:
    """Return each module's input shape in its first call of one run, and its number of calls."""
    calls = list(layer_calls(model, names, inputs))
    return {call.name: tuple(call.input.shape) for call in reversed(calls)}, Counter(call.name for call in calls)


def program_seconds(
    module: nn.Module, inputs: Tensor, runtime: str = "eager", *, seconds: float = LAYER_TIMING_S, **settings: Any
) -> float:
    """Return the seconds of a layer or network: the lower quartile of its runs, since disturbances only add time."""
    runner = prepare(module, inputs, runtime, **settings)
    return float(np.quantile(time_in_turns({"program": runner.clock}, seconds)["program"], 0.25))


def _measure_layer(layer: Layer, module: nn.Module, seconds: Callable[[nn.Module], float]) -> LayerTimes:
    """Measure one layer's table; its factors run together, as in the network."""
    max_in, max_out = layer.max_ranks
    ranks_in, ranks_out = rank_grid(max_in) if layer.method == "tucker2" else (), rank_grid(max_out)

    def factorised(rank_in: int | None, rank_out: int) -> float:
        plan = LayerPlan(layer, "tucker1" if rank_in is None else "tucker2", rank_in, rank_out)
        return seconds(fill_with_noise(empty_factors(module, plan)))

    two_sided = np.array([[factorised(i, o) for o in ranks_out] for i in ranks_in])
    one_sided = np.array([factorised(None, o) for o in ranks_out])
    return LayerTimes(seconds(module), ranks_in, ranks_out, two_sided, one_sided)


def _geometry(layer: Layer, module: nn.Module, shape: tuple[int, ...]) -> str:
    """Return all properties that a layer's times depend on, as JSON."""
    geometry = asdict(layer.shape) | {"method": layer.method, "input": shape}
    geometry |= {name: getattr(module, name, None) for name in ("stride", "padding", "dilation", "padding_mode")}
    return json.dumps(geometry, sort_keys=True)


def _from_dict(network: str, values: dict[str, Any]) -> NetworkTimes:
    layers = {name: LayerTimes.from_dict(table) for name, table in values["layers"].items()}
    return NetworkTimes(network, str(values["where"]), layers, float(values["other"]), float(values["seconds"]))
