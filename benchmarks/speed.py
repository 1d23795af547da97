"""Measured speed beside counted MACs: an original and a compressed network in every installed runtime, in turns.

The compressed network comes from the time-aware planner: layer times are measured in one runtime (`--times`). For each
multiple of ranks, budget of weights and number of kept last layers, the plan within the range of MACs with the largest
predicted realised share is a candidate. The predictions add up times of single layers; therefore the candidates are
timed as whole networks in the runtime of phones (`--choose`), in turns with the original, and the best of them once
more. The plan with the largest measured realised share is taken. All timings are of one thread and one image, in
PyTorch with channels last, which is faster for dense networks too. `realised` is speed-up / MAC ratio; `best_realised`
compares the fastest original with the fastest compressed network of all runtimes, to ignore a slow original.

`planner`: for several networks a plan by MACs and a plan by time with no larger predicted error, timed in turns with
the original. Networks without real weights get kernels whose singular values fall like those of trained ones (see
`with_fading_kernels`), from a seed: with pure noise no plan is better than another.
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

MACS_RATIO_RANGES = {"vgg16": (4.0, 5.2), "googlenet_bvlc": (2.06, 2.16)}
"""Network -> smallest and largest MAC ratio of its plan."""

PLANNER_RATIOS = {"vgg16": 4.0, "googlenet_bvlc": 2.06, "resnet18": 2.0, "mobilenet_v2": 1.3}
"""Network -> MAC ratio of its plan by MACs in the comparison of planners."""

WEIGHTS_RATIOS = (None, 5.0, 10.0, 15.0, 20.0)
"""Budgets of weights of the candidates: fully connected layers cost time that MACs do not show."""

KEPT_COUNTS = (0, 2, 3)
"""Numbers of last convolutions with the smallest maps that candidates keep: these plans realise more as a whole network
than the layer times predict (VGG-16 in ExecuTorch, budget of weights 15: 1 to 3 % more than others in three runs;
predicted: 0.6 %)."""

RANK_MULTIPLES = (16, 32)
"""Multiples of ranks of the candidates."""

FINALISTS = 4
"""Number of plans that are timed once more: among many plans each has few runs, and the best is partly lucky."""

PLANNER_MULTIPLES = (4, 8, 16)
"""Multiples of ranks in the comparison of planners; the one with the largest predicted speed-up is taken."""


def with_fading_kernels(network: wb.Network) -> wb.Network:
    """Scale a random network's kernels: direction i of either channel mode by 1 / sqrt(1 + i).

    Their singular values then fall about like those of trained networks.
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
    """Load a network with its real weights, or with fading kernels if they do not exist."""
    weights = shared / f"{name}.safetensors"
    if weights.exists():
        return wb.load_network(name, weights=weights)
    torch.manual_seed(0)
    return with_fading_kernels(wb.load_network(name, weights=None))


def last_layers(spectra: wb.Spectra) -> list[str]:
    """Return the names of the spatial convolutions whose maps are the smallest, in the order of the network."""
    convolutions = [layer for layer in spectra.layers if layer.kind == "conv" and not layer.pointwise]
    size = {layer.name: layer.shape.positions[0][1] for layer in convolutions}
    return [name for name, positions in size.items() if positions == min(size.values())]


def candidate_plans(spectra: wb.Spectra, times: Any, min_ratio: float, max_ratio: float) -> list[wb.Plan]:
    """Return time-aware plans in a range of MAC ratios: for each setting the one with the largest predicted share."""
    best: list[wb.Plan] = []
    names = last_layers(spectra)
    counts = [n for n in KEPT_COUNTS if n <= len(names)]
    for multiple, weights_ratio, count in product(RANK_MULTIPLES, WEIGHTS_RATIOS, counts):
        pinned = dict.fromkeys(names[len(names) - count :], "keep")
        plans = []
        for step in range(80):
            limits = {"weights_ratio": weights_ratio, "time_ratio": 1.0 + 0.1 * step}
            try:
                plan = budget_plan(spectra, min_ratio, times=times, rank_multiple=multiple, pinned=pinned, **limits)
            except PlanError:
                break
            if min_ratio <= plan.macs_ratio <= max_ratio:
                plans.append(plan)
        if plans:
            plan = max(plans, key=lambda plan: times.speedup(plan) / plan.macs_ratio)
            best += [plan] * (plan not in best)
    return best


def choose_plan(network: wb.Network, plans: list[wb.Plan], runtime: str, seconds: float) -> wb.Plan:
    """Return the plan with the largest realised share as a whole network; the best of a first round are timed again.

    In each round, of `seconds`, the plans take turns with the original.
    """
    for count in (FINALISTS, 1):
        networks = {str(i): noise_network(network, plan) for i, plan in enumerate(plans)}
        run = latency({"original": network, **networks}, runtime=runtime, channels_last=True, seconds=seconds)
        shares = [run.speedup("original", str(i)) / plan.macs_ratio for i, plan in enumerate(plans)]
        for plan, share in zip(plans, shares, strict=True):
            print(f"MACs x{plan.macs_ratio:.2f}, weights x{plan.weights_ratio:.2f}: realised {share:.3f}", flush=True)
        plans = [plans[i] for i in np.argsort(shares)[::-1][:count]]
    return plans[0]


def measure_runtimes(network: wb.Network, plan: wb.Plan, names: list[str], seconds: float) -> dict[str, Any]:
    """Measure the times and the realised share in every runtime."""
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


def time_by_kind(network: wb.Network, plan: wb.Plan, runtime: str) -> dict[str, Any]:
    """Measure ms and 10^9 MACs a second of the original's and the planned network's layers, by kind.

    Each layer and factor is timed alone. `rest` is the time of the whole network beyond their sum, such as pooling.
    """
    inputs = image_batch(network)
    options: dict[str, Any] = {"runtime": runtime, "channels_last": True}
    linears = tuple(part.name for part in plan if isinstance(network.model.get_submodule(part.name), nn.Linear))
    result: dict[str, Any] = {}
    for role, timed_network in (("original", network), ("compressed", noise_network(network, plan))):
        leaves = {n: m for n, m in timed_network.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        shapes, calls = input_shapes(timed_network.model, list(leaves), inputs)
        seconds: dict[str, float] = defaultdict(float)
        macs: dict[str, float] = defaultdict(float)
        for i, (name, module) in enumerate(leaves.items()):
            spatial = isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
            kind = "first" if not i else "connected" if name.startswith(linears) else "spatial" if spatial else "1x1"
            with FlopCounterMode(display=False) as counter, torch.inference_mode():
                module(torch.zeros(shapes[name]))
            seconds[kind] += calls[name] * program_seconds(module, torch.randn(shapes[name]), **options)
            macs[kind] += calls[name] * counter.get_total_flops() / 2
        network_s = program_seconds(timed_network.model, inputs, seconds=NETWORK_TIMING_S, **options)
        result[role] = {
            kind: {"ms": 1e3 * kind_s, "macs": macs[kind], "gmacs_per_second": 1e-9 * macs[kind] / kind_s}
            for kind, kind_s in seconds.items()
        }
        result[role] |= {"rest": {"ms": 1e3 * (network_s - sum(seconds.values()))}, "whole": {"ms": 1e3 * network_s}}
        print(role, result[role], flush=True)
    return result


def max_time_ratio(spectra: wb.Spectra, times: Any, error: float, multiple: int) -> float:
    """Return the largest time ratio, to a thousandth, whose plan has at most this predicted error."""
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


def compare_planners(name: str, shared: Path, runtime: str, seconds: float) -> dict[str, Any]:
    """Time a plan by MACs and a plan by time of no larger predicted error against the original, in one run."""
    network = load(name, shared)
    spectra = wb.analyze(network)
    times = measure_times(network, spectra, runtime=runtime, channels_last=True)
    by_macs = budget_plan(spectra, PLANNER_RATIOS[name], rank_multiple=1)
    time_ratio, multiple = max(
        (max_time_ratio(spectra, times, by_macs.error or 0.0, multiple), multiple) for multiple in PLANNER_MULTIPLES
    )
    options: dict[str, Any] = {"runtime": runtime, "channels_last": True, "seconds": seconds}
    by_time = time_plan(network, spectra, time_ratio, times=times, rank_multiple=multiple, rounds=1, **options)
    networks = {
        "original": network,
        "by_macs": noise_network(network, by_macs),
        "by_time": noise_network(network, by_time),
    }
    run = latency(networks, **options)
    print(name, run, sep="\n", flush=True)
    plans = {"by_macs": by_macs, "by_time": by_time}
    result: dict[str, Any] = {"original": {"ms": run.ms("original")}, "table_seconds": times.seconds}
    for key, plan in plans.items():
        record = {"ms": run.ms(key), "speedup": run.speedup("original", key)}
        result[key] = record | {"macs_ratio": plan.macs_ratio, "error": plan.error, "predicted": times.speedup(plan)}
    return result


def main() -> None:
    """Run the benchmark."""
    arguments = parser(__doc__, shared="real weights")
    arguments.add_argument("--network", choices=sorted(MACS_RATIO_RANGES), default="vgg16")
    arguments.add_argument("--runtimes", nargs="*", choices=list(RUNTIMES), default=list(RUNTIMES))
    arguments.add_argument("--times", choices=list(RUNTIMES), default="eager", help="runtime that is planned for")
    arguments.add_argument(
        "--choose", choices=list(RUNTIMES), default="executorch", help="runtime in which a plan is chosen"
    )
    arguments.add_argument("--planner", nargs="*", choices=sorted(PLANNER_RATIOS), default=list(PLANNER_RATIOS))
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
        plans = candidate_plans(spectra, times, *MACS_RATIO_RANGES[options.network])
        runtime = options.choose if not missing(options.choose) else options.times
        plan = choose_plan(network, plans, runtime, options.seconds)
        results: dict[str, Any] = {
            "network": options.network,
            "macs_ratio": plan.macs_ratio,
            "weights_ratio": plan.weights_ratio,
            "planned_for": times.where,
            "chosen_in": runtime,
            "table_seconds": times.seconds,
            **measure_runtimes(network, plan, options.runtimes, options.seconds),
        }
        if options.stages:
            results["stages"] = time_by_kind(network, plan, runtime)
        results["planner"] = {n: compare_planners(n, options.shared, "eager", options.seconds) for n in options.planner}
    results["available"] = [name for name in RUNTIMES if not missing(name)]
    results["absent"] |= {name: missing(name) for name in RUNTIMES if missing(name)}
    results["threads"] = 1
    report(results, options.json)


if __name__ == "__main__":
    main()
