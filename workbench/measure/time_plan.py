"""Plan for a budget of time on this machine from measured layer times, and time the whole planned network."""

from dataclasses import replace
from math import ceil
from typing import Any

from workbench.measure.latency import latency
from workbench.measure.layer_times import fill_with_noise, measure_times
from workbench.network.network import Network, copy_model, expect_network
from workbench.plan.budget import budget_plan
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.layer_times import NetworkTimes
from workbench.plan.plan import Plan, PlanError
from workbench.plan.spectra import Spectra
from workbench.progress import Progress, part, reporter
from workbench.recover.decompose import empty_factors, replace_module

MIN_GAINS = (0.05, 0.15, 0.3)
"""Shares of its time that a layer must save to be reduced, tried in turn until the network is faster."""
TOLERANCE = 0.01  # share by which a budget may be missed: times of one network vary as much
TABLE_SHARE = 0.6  # share of the progress that measuring the layers takes
SLOWER_REASON = "kept: the whole network was not faster here"


def time_plan(
    network: Network,
    spectra: Spectra,
    time_ratio: float = 2.0,
    *,
    times: NetworkTimes | None = None,
    runtime: str = "eager",
    threads: int = 1,
    batch: int = 1,
    channels_last: bool = False,
    seconds: float = 3.0,
    rounds: int = 3,
    rank_multiple: int = 8,
    progress: Progress | bool | None = None,
    **budget: Any,
) -> Plan:
    """Return the plan with the smallest predicted error whose network is `time_ratio` times as fast here.

    Layer times are measured or come from the cache. The planned network is then built with noise in its factors and
    timed against the original. If it is slower than its layers' times predict, the next plan's predicted speed-up is
    raised as much. If it is slower than the original, layers that save too little are kept, in the end all of them.

    Parameters
    ----------
    time_ratio : original / compressed time of the whole network, reached to 1 %.
    times : from :func:`~workbench.measure.layer_times.measure_times`, with the same settings.
    runtime, threads, batch, channels_last, seconds : for timing whole networks, as in :func:`~workbench.speed`.
    rounds : largest number of plans that are timed; 1 takes the first that is faster than the original.
    budget : `macs_ratio`, `importance`, `pinned` and others of :func:`~workbench.plan.budget.budget_plan`.

    Returns
    -------
    Plan whose `policy` ends with the measured speed-up. If all plans miss the budget, it is the fastest and says so.

    Raises
    ------
    PlanError : if the layers' times do not allow `time_ratio`; names the best that can be reached.
    """
    expect_network(network)
    if rounds < 1:
        raise ValueError(f"rounds is at least 1, not {rounds!r}")
    report = reporter(progress)
    settings: dict[str, Any] = {"runtime": runtime, "threads": threads, "batch": batch, "channels_last": channels_last}
    if times is None:
        times = measure_times(network, spectra, **settings, progress=part(report, 0.0, TABLE_SHARE, "timing"))
    budget |= {"times": times, "rank_multiple": rank_multiple}
    settings["seconds"] = seconds
    plan: Plan | None = None
    start, min_speedup = TABLE_SHARE, (1 - TOLERANCE) * time_ratio
    for min_gain in MIN_GAINS:
        predicted_speedup, best_speedup, fastest, disturbed = time_ratio, 1.0, None, times.disturbed
        for _ in range(rounds):
            try:
                plan = budget_plan(spectra, time_ratio=predicted_speedup, min_gain=min_gain, **budget)
            except PlanError:
                if plan is None:
                    raise
                break  # the layers' times do not allow it
            if all(layer.decision == "keep" for layer in plan):
                return plan
            end = start + 0.3 * (1.0 - start)  # the number of plans to time is unknown
            networks = {"original": network, "planned": noise_network(network, plan)}
            result = latency(networks, **settings, progress=part(report, start, end, "timing the whole network"))
            start, speedup, disturbed = end, result.speedup("original", "planned"), disturbed or result.disturbed
            if speedup > best_speedup:
                best_speedup, fastest = speedup, plan
            if not 1 < speedup < min_speedup:
                break
            predicted_speedup = ceil(1000 * times.speedup(plan) * time_ratio / speedup) / 1000  # the policy shows it
        if fastest is not None:
            missed = "" if best_speedup >= min_speedup else f", where x{time_ratio:.2f} was asked for"
            policy = f"{fastest.policy}; measured x{best_speedup:.2f} faster{missed}"
            return replace(fastest, policy="; ".join(filter(None, (policy, disturbed))))
    assert plan is not None
    return plan.keep(*(layer.name for layer in plan if layer.decision != "keep"), reason=SLOWER_REASON)


def noise_network(network: Network, plan: Plan) -> CompressedNetwork:
    """Return a network of the planned shapes with noise in its factors, which is as fast and needs no decomposition."""
    model = copy_model(network.model)
    for layer in plan:
        if layer.decision != "keep":
            module = model.get_submodule(layer.name)
            model = replace_module(model, layer.name, fill_with_noise(empty_factors(module, layer)))
    return CompressedNetwork.of(network, plan, model, source="noise in the factors, for timing")
