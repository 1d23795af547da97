"""A plan for this machine: a budget of milliseconds, from measured layer times, and checked on the whole network."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from workbench.compression.budget import Pin, budget_plan
from workbench.compression.decompose import factors_for, replace_module
from workbench.compression.network import Network, expect_network
from workbench.compression.plan import Plan, PlanError
from workbench.compression.sensitivities import Sensitivities
from workbench.compression.spectra import Spectra
from workbench.compression.times import Times
from workbench.measure.latency import latency
from workbench.measure.lookup import filled, measure_times

GAINS = (0.05, 0.15, 0.3)
"""Share of its time that a layer must save to be reduced: what is tried in turn until the network is not slower."""

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
    progress: Callable[[float, str], None] | None = None,
) -> Plan:
    """The plan with the smallest predicted error that is so many times faster here, and never slower.

    Layer times are measured first (from the cache if they are there). The plan is then built with ordinary numbers in
    its factors and timed against the original in one run; if it were slower, layers that save too little are kept, at
    last all of them.

    Parameters
    ----------
    network, spectra : the original.
    time_ratio : at least so many times faster, as predicted from the layers' times.
    times : from :func:`~workbench.measure.lookup.measure_times`, with the same settings.
    runtime, threads, batch, channels_last : how the network will be run.
    seconds : for timing the whole network. Other parameters as of
        :func:`~workbench.compression.budget.budget_plan`.

    Returns
    -------
    Plan whose `policy` ends with the speed-up that was measured.

    Raises
    ------
    PlanError : if the budget cannot be met here, naming the best that can be reached.
    """
    expect_network(network)
    tell = progress or (lambda _share, _note: None)
    how: dict[str, Any] = {"runtime": runtime, "threads": threads, "batch": batch, "channels_last": channels_last}
    if times is None:
        times = measure_times(network, spectra, **how, progress=lambda s, note: tell(0.6 * s, f"timing {note}"))
    plan: Plan | None = None
    for i, gain in enumerate(GAINS):
        try:
            plan = budget_plan(
                spectra,
                macs_ratio,
                time_ratio=time_ratio,
                times=times,
                min_gain=gain,
                images=images,
                pinned=pinned,
                rank_multiple=rank_multiple,
                layers=layers,
            )
        except PlanError:
            if plan is None:
                raise
            break  # with fewer layers the budget is out of reach
        if all(part.decision == "keep" for part in plan):
            return plan
        tell(0.6 + 0.4 * i / len(GAINS), "timing the whole network")
        both = {"original": network, "planned": hollow(network, plan)}
        measured = latency(both, **how, seconds=seconds).speedup("original", "planned")
        if measured > 1:
            return replace(plan, policy=f"{plan.policy}; measured x{measured:.2f} faster")
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
