"""A plan for this machine: a budget of milliseconds, from measured layer times, and checked on the whole network."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

from workbench.measure.latency import latency
from workbench.measure.layer_times import filled, measure_times
from workbench.network.network import Network, expect_network
from workbench.plan.budget import Pin, budget_plan
from workbench.plan.importance import Sensitivities
from workbench.plan.layer_times import Times
from workbench.plan.plan import Plan, PlanError
from workbench.plan.spectra import Spectra
from workbench.recover.decompose import factors_for, replace_module

GAINS = (0.05, 0.15, 0.3)
"""Share of its time that a layer must save to be reduced: what is tried in turn until the network is not slower."""

NEAR = 0.99
"""A budget is met from this share of it on: the same networks differ by as much between two runs."""

SLOWER = "kept: the whole network was not faster here"


def time_plan(
    network: Network,
    spectra: Spectra,
    time_ratio: float = 2.0,
    *,
    times: Times | None = None,
    runtime: str = "eager",
    threads: int = 1,
    batch: int = 1,
    channels_last: bool = False,
    macs_ratio: float | None = None,
    images: Sensitivities | None = None,
    pinned: Mapping[str, Pin] | None = None,
    rank_multiple: int = 8,
    layers: str = "all",
    seconds: float = 3.0,
    rounds: int = 3,
    progress: Callable[[float, str], None] | None = None,
) -> Plan:
    """The plan with the smallest predicted error that is so many times faster here, and never slower.

    Layer times are measured first (from the cache if they are there). The plan is then built with ordinary numbers in
    its factors and timed against the original in one run. A network is seldom as fast as its layers' times promise: if
    this one is not, the next plan has to promise so much more. If it were slower than the original, layers that save
    too little are kept, at last all of them.

    Parameters
    ----------
    network, spectra : the original.
    time_ratio : so many times faster, in the measurement (to 1 %).
    times : from :func:`~workbench.measure.layer_times.measure_times`, with the same settings.
    runtime, threads, batch, channels_last : how the network will be run.
    seconds : for timing the whole network, each time.
    rounds : plans at most that are timed for the budget; 1 takes the first that is faster than the original. Other
        parameters as of :func:`~workbench.plan.budget.budget_plan`.

    Returns
    -------
    Plan whose `policy` ends with the speed-up that was measured. If none of them was fast enough, the fastest, and
    what was asked for is said beside it.

    Raises
    ------
    PlanError : if not even the layers' times promise so much, naming the best that can be reached.
    ValueError : if a setting makes no sense.
    """
    expect_network(network)
    if rounds < 1:
        raise ValueError(f"rounds is at least 1, not {rounds!r}")
    tell = progress or (lambda _share, _note: None)
    how: dict[str, Any] = {"runtime": runtime, "threads": threads, "batch": batch, "channels_last": channels_last}
    if times is None:
        times = measure_times(network, spectra, **how, progress=lambda s, note: tell(0.6 * s, f"timing {note}"))
    budget: dict[str, Any] = {"times": times, "images": images, "pinned": pinned, "layers": layers}
    plan: Plan | None = None
    timed = 0
    for gain in GAINS:
        promised, best, fastest = time_ratio, 1.0, None
        for _ in range(rounds):
            try:
                plan = budget_plan(
                    spectra, macs_ratio, time_ratio=promised, min_gain=gain, rank_multiple=rank_multiple, **budget
                )
            except PlanError:
                if plan is None:
                    raise
                break  # more is out of reach
            if all(part.decision == "keep" for part in plan):
                return plan
            tell(1.0 - 0.4 * 0.7**timed, "timing the whole network")
            timed += 1
            both = {"original": network, "planned": hollow(network, plan)}
            measured = latency(both, **how, seconds=seconds).speedup("original", "planned")
            if measured > best:
                best, fastest = measured, plan
            if not 1 < measured < NEAR * time_ratio:
                break
            promised = ceil(1000 * times.speedup(plan) * time_ratio / measured) / 1000  # the policy says it
        if fastest is not None:
            missed = "" if best >= NEAR * time_ratio else f", where x{time_ratio:.2f} was asked for"
            return replace(fastest, policy=f"{fastest.policy}; measured x{best:.2f} faster{missed}")
    assert plan is not None
    return plan.keep(*(part.name for part in plan if part.decision != "keep"), reason=SLOWER)


def hollow(network: Network, plan: Plan) -> Network:
    """A network of the planned shapes with ordinary numbers in its factors: as fast as the real one, made at once."""
    model = copy.deepcopy(network.model)
    for part in plan:
        if part.decision != "keep":
            module = model.get_submodule(part.name)
            model = replace_module(model, part.name, filled(factors_for(module, part)).train(module.training))
    return replace(network, model=model, plan=plan, source="ordinary numbers, for timing", random_weights=True)
