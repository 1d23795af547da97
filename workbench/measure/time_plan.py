"""Plan to a budget of time on this machine, from measured layer times, and check the plan on the whole network."""

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
"""Share of its time that a layer must save to be reduced: tried in turn until the network is not slower."""
TOLERANCE = 0.01  # share by which a budget may be missed: the same networks differ by as much between two runs
TABLE_SHARE = 0.6  # share of the progress that measuring the layers takes
SLOWER = "kept: the whole network was not faster here"


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
    """Return the plan with the smallest predicted error that is `time_ratio` times as fast here, and never slower.

    Layer times are measured first (or come from the cache). The plan is then built with noise in its factors and timed
    against the original. A network is seldom as fast as its layers' times promise: if this one is not, the next plan
    has to promise as much more. If it is slower than the original, layers that save too little are kept, at last all.

    Parameters
    ----------
    time_ratio : original / compressed time of the whole network, reached to 1 %.
    times : from :func:`~workbench.measure.layer_times.measure_times`, with the same settings.
    runtime, threads, batch, channels_last, seconds : how whole networks are timed, as in :func:`~workbench.speed`.
    rounds : plans at most that are timed for the budget; 1 takes the first that is faster than the original.
    budget : `macs_ratio`, `importance`, `pinned` and others of :func:`~workbench.plan.budget.budget_plan`.

    Returns
    -------
    Plan whose `policy` ends with the measured speed-up, and with the budget if that was missed; then it is the fastest.

    Raises
    ------
    PlanError : if not even the layers' times promise `time_ratio`, naming the best that can be reached.
    """
    expect_network(network)
    if rounds < 1:
        raise ValueError(f"rounds is at least 1, not {rounds!r}")
    report = reporter(progress)
    how: dict[str, Any] = {"runtime": runtime, "threads": threads, "batch": batch, "channels_last": channels_last}
    if times is None:
        times = measure_times(network, spectra, **how, progress=part(report, 0.0, TABLE_SHARE, "timing"))
    budget |= {"times": times, "rank_multiple": rank_multiple}
    plan: Plan | None = None
    begin, wanted = TABLE_SHARE, (1 - TOLERANCE) * time_ratio
    for gain in MIN_GAINS:
        promised, best, fastest, disturbed = time_ratio, 1.0, None, times.disturbed
        for _ in range(rounds):
            try:
                plan = budget_plan(spectra, time_ratio=promised, min_gain=gain, **budget)
            except PlanError:
                if plan is None:
                    raise
                break  # more is out of reach
            if all(layer.decision == "keep" for layer in plan):
                return plan
            end = begin + 0.3 * (1.0 - begin)  # how many plans will be timed is not known
            both = {"original": network, "planned": noise_network(network, plan)}
            run = latency(both, **how, seconds=seconds, progress=part(report, begin, end, "timing the whole network"))
            begin, measured, disturbed = end, run.speedup("original", "planned"), disturbed or run.disturbed
            if measured > best:
                best, fastest = measured, plan
            if not 1 < measured < wanted:
                break
            promised = ceil(1000 * times.speedup(plan) * time_ratio / measured) / 1000  # the policy says it
        if fastest is not None:
            missed = "" if best >= wanted else f", where x{time_ratio:.2f} was asked for"
            said = "; ".join(filter(None, (f"{fastest.policy}; measured x{best:.2f} faster{missed}", disturbed)))
            return replace(fastest, policy=said)
    assert plan is not None
    return plan.keep(*(layer.name for layer in plan if layer.decision != "keep"), reason=SLOWER)


def noise_network(network: Network, plan: Plan) -> CompressedNetwork:
    """Return a network of the planned shapes with noise in its factors: as fast as the real one, and made at once."""
    model = copy_model(network.model)
    for layer in plan:
        if layer.decision != "keep":
            module = model.get_submodule(layer.name)
            model = replace_module(model, layer.name, fill_with_noise(empty_factors(module, layer)))
    return CompressedNetwork.of(network, plan, model, source="noise in the factors, for timing")
