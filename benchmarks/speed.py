"""Measured speed beside counted MACs: an original and a compressed network in every runtime that is here, in turns.

The compressed network comes from the time-aware planner: layer times are measured in one runtime (`--times`), and of
the plans whose MACs are in the asked range those with the largest predicted realised shares are taken, one for each
multiple of ranks, budget of weights and choice of last layers that are kept. A table adds up layers that were timed one
by one; so these plans are timed as whole networks in the runtime of phones (`--choose`), beside the original, the best
of them once more, and the one that then realises most is taken. All timings are of one thread and one image; in PyTorch
with channels last, which is faster for dense networks too. `realised` is speed-up / MAC ratio; `best_realised` compares
the fastest original with the fastest compressed network of all runtimes, so that a slow original does not count.

`planner`: for several networks a plan by MACs and a plan by time with no larger predicted error, timed in one
interleaved run with the original. Networks without real weights at hand get kernels whose singular values fall like
those of trained ones (see `fading`), from a seed: with pure noise no plan is better than another.
"""

import os
import tempfile
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import workbench as wb
from benchmarks._report import parser, report
from workbench.measure.latency import latency
from workbench.measure.layer_times import NETWORK_TIMING_S, input_shapes, measure_times, program_seconds
from workbench.measure.runtimes import RUNTIMES, image_batch, missing
from workbench.measure.speed import speed
from workbench.measure.time_plan import MIN_GAINS, noise_network, time_plan
from workbench.network.network import copy_model
from workbench.plan.budget import budget_plan
from workbench.plan.plan import PlanError

RANGES = {"vgg16": (4.0, 5.2), "googlenet_bvlc": (2.06, 2.16)}
"""Network -> the MAC ratios that its plan may have."""

COMPARED = {"vgg16": 4.0, "googlenet_bvlc": 2.06, "resnet18": 2.0, "mobilenet_v2": 1.3}
"""Network -> MAC ratio of the plan by MACs, in the comparison of planners."""

WEIGHTS = (None, 5.0, 10.0, 15.0, 20.0)
"""Budgets of weights that are tried too: fully connected layers cost time that MACs do not show."""

KEPT = (0, 2, 3)
"""Numbers of last convolutions with the smallest maps that are kept: such plans realise more as a whole network than
the table promises (VGG-16 in ExecuTorch, budget of weights 15: 1 to 3 % more than others in three runs; the table:
0.6 %)."""

STEPS = (16, 32)
"""Multiples of ranks, in the plans that may be timed in all runtimes."""

FINALISTS = 4
"""Number of plans that are timed once more: among many each has few runs, and the best is in part the luckiest."""

MULTIPLES = (4, 8, 16)
"""Of ranks, in the comparison of planners: the one that promises the most is taken."""


def fading(network: wb.Network) -> wb.Network:
    """Scale a random network's kernels: direction i of either channel mode by 1 / sqrt(1 + i).

    Their singular values then fall about as those of trained networks do.
    """
    model = copy_model(network.model)
    with torch.no_grad():
        for module in model.modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, torch.Tensor) and weight.ndim > 1:
                for mode in (0, 1):
                    scale = torch.arange(1.0, weight.shape[mode] + 1).rsqrt()
                    weight.mul_(scale.reshape([-1 if i == mode else 1 for i in range(weight.ndim)]))
    return network.with_model(model)


def load(name: str, shared: Path) -> wb.Network:
    """Load a network with real weights where they are at hand."""
    weights = shared / f"{name}.safetensors"
    if weights.exists():
        return wb.load_network(name, weights=weights)
    torch.manual_seed(0)
    return fading(wb.load_network(name, weights=None))


def last_layers(spectra: wb.Spectra) -> list[str]:
    """Return the names of the spatial convolutions whose maps are the smallest, in the order of the network."""
    convolutions = [layer for layer in spectra.layers if layer.kind == "conv" and not layer.pointwise]
    size = {layer.name: layer.shape.positions[0][1] for layer in convolutions}
    return [name for name, positions in size.items() if positions == min(size.values())]


def planned(spectra: wb.Spectra, times: Any, least: float, most: float) -> list[wb.Plan]:
    """Return time-aware plans in a range of MAC ratios: for each of the settings the one that promises most."""
    best: list[wb.Plan] = []
    last = last_layers(spectra)
    for multiple, weights_ratio, kept in product(STEPS, WEIGHTS, [n for n in KEPT if n <= len(last)]):
        pinned = dict.fromkeys(last[len(last) - kept :], "keep")
        found = []
        for step in range(80):
            limits = {"weights_ratio": weights_ratio, "time_ratio": 1.0 + 0.1 * step}
            try:
                plan = budget_plan(spectra, least, times=times, rank_multiple=multiple, pinned=pinned, **limits)
            except PlanError:
                break
            if least <= plan.macs_ratio <= most:
                found.append(plan)
        if found:
            plan = max(found, key=lambda plan: times.speedup(plan) / plan.macs_ratio)
            best += [plan] * (plan not in best)
    return best


def chosen(network: wb.Network, plans: list[wb.Plan], runtime: str, seconds: float) -> wb.Plan:
    """Return the plan that realises most as a whole network; the best of a first round are timed once more.

    In each round, of so many seconds, the plans take turns with the original.
    """
    for count in (FINALISTS, 1):
        networks = {str(i): noise_network(network, plan) for i, plan in enumerate(plans)}
        run = latency({"original": network, **networks}, runtime=runtime, channels_last=True, seconds=seconds)
        shares = [run.speedup("original", str(i)) / plan.macs_ratio for i, plan in enumerate(plans)]
        for plan, share in zip(plans, shares, strict=True):
            print(f"MACs x{plan.macs_ratio:.2f}, weights x{plan.weights_ratio:.2f}: realised {share:.3f}", flush=True)
        plans = [plans[i] for i in np.argsort(shares)[::-1][:count]]
    return plans[0]


def runtimes(network: wb.Network, plan: wb.Plan, names: list[str], seconds: float) -> dict[str, Any]:
    """Measure the times in every runtime, and what is realised."""
    measured = speed(noise_network(network, plan), names, channels_last=True, seconds=seconds)
    print(measured, flush=True)
    rows = {
        row["runtime"]: {k: row[k] for k in ("dense_ms", "compressed_ms", "speedup", "realised")}
        for row in measured.records
    }
    return {
        "runtimes": rows,
        "best_realised": measured.best_realised,
        "absent": dict(measured.absent),
        "disturbed": measured.disturbed,
    }


def stages(network: wb.Network, plan: wb.Plan, runtime: str) -> dict[str, Any]:
    """Measure where the time of the original and of the planned network goes: ms and 10^9 MACs a second by kind.

    Each layer and factor is timed by itself. `rest` is what
    the whole network takes beyond their sum: pooling, activations, copies.
    """
    inputs = image_batch(network)
    how: dict[str, Any] = {"runtime": runtime, "channels_last": True}
    connected = tuple(part.name for part in plan if isinstance(network.model.get_submodule(part.name), nn.Linear))
    found: dict[str, Any] = {}
    for which, ready in (("original", network), ("compressed", noise_network(network, plan))):
        leaves = {n: m for n, m in ready.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        shapes, calls = input_shapes(ready.model, list(leaves), inputs)
        seconds: dict[str, float] = defaultdict(float)
        macs: dict[str, float] = defaultdict(float)
        for i, (name, module) in enumerate(leaves.items()):
            spatial = isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
            kind = "first" if not i else "connected" if name.startswith(connected) else "spatial" if spatial else "1x1"
            with FlopCounterMode(display=False) as counter, torch.inference_mode():
                module(torch.zeros(shapes[name]))
            seconds[kind] += calls[name] * program_seconds(module, torch.randn(shapes[name]), **how)
            macs[kind] += calls[name] * counter.get_total_flops() / 2
        whole = program_seconds(ready.model, inputs, seconds=NETWORK_TIMING_S, **how)
        found[which] = {
            kind: {"ms": 1e3 * taken, "macs": macs[kind], "gmacs_per_second": 1e-9 * macs[kind] / taken}
            for kind, taken in seconds.items()
        }
        found[which] |= {"rest": {"ms": 1e3 * (whole - sum(seconds.values()))}, "whole": {"ms": 1e3 * whole}}
        print(which, found[which], flush=True)
    return found


def fastest(spectra: wb.Spectra, times: Any, error: float, multiple: int) -> float:
    """Return the largest budget of time whose plan has no larger predicted error, to a thousandth."""
    low, high = 1.0, 8.0
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        try:
            plan = budget_plan(spectra, time_ratio=middle, times=times, min_gain=MIN_GAINS[0], rank_multiple=multiple)
            fits = (plan.error or 0.0) <= error
        except PlanError:
            fits = False
        low, high = (middle, high) if fits else (low, middle)
    return low


def planners(name: str, shared: Path, runtime: str, seconds: float) -> dict[str, Any]:
    """Time a plan by MACs and a plan by time of no larger predicted error against the original, in one run."""
    network = load(name, shared)
    spectra = wb.analyze(network)
    times = measure_times(network, spectra, runtime=runtime, channels_last=True)
    by_macs = budget_plan(spectra, COMPARED[name], rank_multiple=1)
    found_ratio, multiple = max(
        (fastest(spectra, times, by_macs.error or 0.0, multiple), multiple) for multiple in MULTIPLES
    )
    how: dict[str, Any] = {"runtime": runtime, "channels_last": True, "seconds": seconds}
    checked = time_plan(network, spectra, found_ratio, times=times, rank_multiple=multiple, rounds=1, **how)
    networks = {
        "original": network,
        "by_macs": noise_network(network, by_macs),
        "by_time": noise_network(network, checked),
    }
    run = latency(networks, **how)
    print(name, run, sep="\n", flush=True)
    plans = {"by_macs": by_macs, "by_time": checked}
    found: dict[str, Any] = {"original": {"ms": run.ms("original")}, "table_seconds": times.seconds}
    for key, plan in plans.items():
        figures = {"ms": run.ms(key), "speedup": run.speedup("original", key)}
        found[key] = figures | {"macs_ratio": plan.macs_ratio, "error": plan.error, "predicted": times.speedup(plan)}
    return found


def main() -> None:
    """Run the benchmark."""
    arguments = parser(__doc__, shared="real weights")
    arguments.add_argument("--network", choices=sorted(RANGES), default="vgg16")
    arguments.add_argument("--runtimes", nargs="*", choices=list(RUNTIMES), default=list(RUNTIMES))
    arguments.add_argument("--times", choices=list(RUNTIMES), default="eager", help="runtime that is planned for")
    arguments.add_argument(
        "--choose", choices=list(RUNTIMES), default="executorch", help="runtime in which a plan is chosen"
    )
    arguments.add_argument("--planner", nargs="*", choices=sorted(COMPARED), default=list(COMPARED))
    arguments.add_argument("--seconds", type=float, default=20.0, help="of timing, for each runtime")
    arguments.add_argument("--stages", action="store_true", help="also say where the time goes, by kind of layer")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("WORKBENCH_CACHE", cache)
        network = load(options.network, options.shared)
        spectra = wb.analyze(network)
        times = measure_times(network, spectra, runtime=options.times, channels_last=True)
        print(times, flush=True)
        plans = planned(spectra, times, *RANGES[options.network])
        runtime = options.choose if not missing(options.choose) else options.times
        plan = chosen(network, plans, runtime, options.seconds)
        results: dict[str, Any] = {
            "network": options.network,
            "macs_ratio": plan.macs_ratio,
            "weights_ratio": plan.weights_ratio,
            "planned_for": times.where,
            "chosen_in": runtime,
            "table_seconds": times.seconds,
            **runtimes(network, plan, options.runtimes, options.seconds),
        }
        if options.stages:
            results["stages"] = stages(network, plan, runtime)
        results["planner"] = {n: planners(n, options.shared, "eager", options.seconds) for n in options.planner}
    results["available"] = [name for name in RUNTIMES if not missing(name)]
    results["absent"] |= {name: missing(name) for name in RUNTIMES if missing(name)}
    results["threads"] = 1
    report(results, options.json)


if __name__ == "__main__":
    main()
