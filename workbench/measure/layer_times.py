"""The table of layer times for plans made for this machine: every layer and its factors on a grid of ranks, measured.

A full table of VGG-16 is some hundred short measurements. It is kept in the cache folder under a hash of everything
that it depends on, and layers of the same geometry share their measurements.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.files import write_atomically
from workbench.measure.layer_timer import Alone, cold
from workbench.measure.roofline import processor, torch_threads
from workbench.measure.runtimes import RUNTIMES, example_inputs
from workbench.network.data import evaluating
from workbench.network.layers import Layer
from workbench.network.network import Network, expect_network
from workbench.plan.cache import folder
from workbench.plan.layer_times import LayerTimes, Times
from workbench.plan.plan import LayerPlan
from workbench.plan.spectra import Spectra
from workbench.recover.decompose import factors_for

log = logging.getLogger(__name__)

VERSION = 3
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)
"""Of the channels: the grid of ranks."""

MULTIPLE = 8
"""Grid points are multiples of this where there are channels enough: odd ranks would make the table rough."""

Seconds = Callable[[nn.Module, tuple[int, ...]], float]


def measure_times(
    network: Network,
    spectra: Spectra,
    *,
    runtime: str = "eager",
    threads: int = 1,
    batch: int = 1,
    channels_last: bool = False,
    refresh: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> Times:
    """Measure how long each layer takes, as it is and as factors at a grid of ranks; from the cache if it is there.

    Parameters
    ----------
    network, spectra : the original, and which of its layers can be factorised.
    runtime : one of :data:`~workbench.measure.runtimes.RUNTIMES`. Those that translate a network first take a second
        for each of the some hundred parts.
    threads, batch, channels_last : as the network will be run.
    refresh : measure again, whatever the cache has.
    progress : called with (share done, layer name); what it raises ends the measuring.

    Returns
    -------
    Times for :func:`~workbench.plan.budget.budget_plan`.

    Raises
    ------
    AbsentRuntimeError : if the runtime is not here, with the way to get it.
    """
    expect_network(network)
    inputs = example_inputs(network, batch).to(network.device)
    shapes, calls = input_shapes(network, [layer.name for layer in spectra.layers], inputs)
    how = {"runtime": runtime, "threads": threads, "batch": batch, "channels_last": channels_last}
    path = folder() / f"times-{_key(network, spectra, shapes, how)}.json"
    known = None if refresh else _load(path, network.name)
    if known is not None:
        return known
    started = time.perf_counter()
    layers: dict[str, LayerTimes] = {}
    seen: dict[str, LayerTimes] = {}
    work = [layer for layer in spectra.layers if layer.name in spectra and layer.name in shapes]
    with torch_threads(threads), torch.inference_mode():
        alone = Alone(runtime, threads, channels_last, network.device, cold=cold(network.model))
        for i, layer in enumerate(work):
            if progress:
                progress(i / len(work), layer.name)
            module = network.model.get_submodule(layer.name)
            geometry = _geometry(layer, module, shapes[layer.name])
            if geometry not in seen:
                seen[geometry] = _measured(layer, module, shapes[layer.name], alone.seconds)
            layers[layer.name] = _times(seen[geometry], calls[layer.name])
        # At last: the first program of a process is some per cent slower, all of its runs.
        whole = alone.whole(network.model, tuple(inputs.shape))
    if progress:
        progress(1.0, "")
    rest = max(0.0, whole - sum(layer.dense for layer in layers.values()))
    where = f"{RUNTIMES[runtime]}, batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
    where += ", channels last" if channels_last else ""
    found = Times(network.name, where, layers, rest, time.perf_counter() - started)
    _save(path, found)
    return found


def grid(channels: int) -> tuple[int, ...]:
    """Ranks to measure, growing, the last one the number of channels."""
    multiple = MULTIPLE if channels >= 4 * MULTIPLE else 1
    ranks = {max(multiple, round(share * channels / multiple) * multiple) for share in SHARES}
    return (*sorted(r for r in ranks if r < channels), channels)


def filled(module: nn.Module) -> nn.Module:
    """The module with ordinary numbers for weights, from a seed: zeros or what memory held could change its time."""
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            values = torch.randn(parameter.shape, generator=chance)
            parameter.copy_(values / max(1, parameter[0].numel()) ** 0.5)
    return module


def _measured(layer: Layer, module: nn.Module, shape: tuple[int, ...], seconds: Seconds) -> LayerTimes:
    """One layer's table; its factors run together, as they will in the network."""
    most_in, most_out = layer.max_ranks
    ins, outs = grid(most_in) if layer.method == "tucker2" else (), grid(most_out)

    def factorised(rank_in: int | None, rank_out: int) -> float:
        plan = LayerPlan(layer, "tucker1" if rank_in is None else "tucker2", rank_in, rank_out)
        return seconds(filled(factors_for(module, plan)), shape)

    two_sided = np.array([[factorised(i, o) for o in outs] for i in ins])
    one_sided = np.array([factorised(None, o) for o in outs])
    return LayerTimes(seconds(module, shape), ins, outs, two_sided, one_sided)


def _times(times: LayerTimes, calls: int) -> LayerTimes:
    """Of a layer that is called several times in one run."""
    if calls == 1:
        return times
    return replace(
        times, dense=calls * times.dense, two_sided=calls * times.two_sided, one_sided=calls * times.one_sided
    )


def input_shapes(
    network: Network, names: Sequence[str], inputs: Tensor
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """What each of these modules is given in one run, and how often it is called."""
    shapes: dict[str, tuple[int, ...]] = {}
    calls: dict[str, int] = dict.fromkeys(names, 0)
    hooks = []
    for name in names:

        def see(_: nn.Module, given: tuple[Tensor, ...], name: str = name) -> None:
            shapes.setdefault(name, tuple(given[0].shape))
            calls[name] += 1

        hooks.append(network.model.get_submodule(name).register_forward_pre_hook(see))
    try:
        with evaluating(network.model), torch.inference_mode():
            network.model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return shapes, calls


def _geometry(layer: Layer, module: nn.Module, shape: tuple[int, ...]) -> str:
    """Everything that a layer's times depend on."""
    about = asdict(layer.shape) | {"method": layer.method, "input": shape}
    for name in ("stride", "padding", "dilation", "padding_mode"):
        about[name] = getattr(module, name, None)
    return json.dumps(about, sort_keys=True)


def _key(network: Network, spectra: Spectra, shapes: dict[str, tuple[int, ...]], how: dict[str, Any]) -> str:
    geometries = [
        (layer.name, _geometry(layer, network.model.get_submodule(layer.name), shapes[layer.name]))
        for layer in spectra.layers
        if layer.name in shapes
    ]
    machine = [processor(), torch.__version__, str(network.device)]
    text = json.dumps([VERSION, SHARES, geometries, how, machine], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def _load(path: Any, network: str) -> Times | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        layers = {name: LayerTimes.from_dict(table) for name, table in values["layers"].items()}
        return Times(network, str(values["where"]), layers, float(values["rest"]), float(values["seconds"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("the cached times in %s are measured anew: %s", path, error)
        return None


def _save(path: Any, times: Times) -> None:
    values = {
        "where": times.where,
        "rest": times.rest,
        "seconds": times.seconds,
        "layers": {name: layer.to_dict() for name, layer in times.layers.items()},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(values).encode())
    except OSError as error:
        log.warning("the times are not cached: %s", error)
