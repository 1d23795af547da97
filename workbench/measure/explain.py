"""Explain a profile in two sentences: why the time does not fall as much as the multiply-adds.

The lost time of a kind of part is its time beyond that at the original's rate; the kinds that lose most are named.
"""

from workbench.measure.profile import OTHER, PART_KINDS, Group, NetworkProfile, Profile
from workbench.measure.roofline import Roofline
from workbench.tables import compared, quantity

SAME_RATIO = 0.02  # ratios that differ from one by less are called the same
MIN_NAMED_SHARE = 0.2  # smallest share of the lost (or won) time at which a second kind of part is named


def explain(profile: Profile, roofline: Roofline | None = None) -> str:
    """Explain where a compressed network's time goes, and why it is not what its multiply-adds promise.

    Parameters
    ----------
    roofline : of this machine, with as many threads; without it the text does not mention the memory.

    Raises
    ------
    ValueError : if the profile is of one network only, or the roofline has another device or number of threads.
    """
    before, after = profile.original, profile.compressed
    if after is None or not all(network.total.macs and network.seconds > 0 for network in (before, after)):
        raise ValueError("there is nothing to compare: this takes the profile of a compressed network")
    if roofline is not None and (profile.device, profile.threads) != ("cpu", roofline.threads):
        device = profile.device if profile.device != "cpu" else f"the processor with {profile.threads} threads"
        raise ValueError(f"the roofline is of the processor with {roofline.threads} threads, the profile of {device}")
    return f"{_time_sentence(before, after)} {_cause_sentence(before, after, roofline)}"


def _time_sentence(before: NetworkProfile, after: NetworkProfile) -> str:
    """Return the speed-up, and the share of the time that each kind of part takes, in words."""
    macs, speed = before.total.macs / after.total.macs, before.seconds / after.seconds
    amount = "as many" if abs(macs - 1) < SAME_RATIO else compared(macs, "fewer", "more")
    change = "as fast as before" if abs(speed - 1) < SAME_RATIO else compared(speed, "faster", "slower")
    seconds = f"({quantity(after.seconds, 's')} instead of {quantity(before.seconds, 's')})"
    promise = f", {_percent(speed / macs)} of what they promise" if macs > 1 + SAME_RATIO else ""
    shares: list[str] = []
    for group in sorted(after.sums("kind").values(), key=lambda g: -g.seconds):
        time, work = _percent(group.seconds / after.seconds), _percent(group.macs / after.total.macs)
        if not shares:
            shares.append(f"{_kind_text(after, group)} take {time} of its time for {work} of the multiply-adds")
        elif (time, work) != ("0 %", "0 %"):
            shares.append(f"{_kind_text(after, group)} {time} for {work}")
    shares.append(f"and everything else, like activations and pooling, {_percent(after.other / after.seconds)}")
    return f"With {amount} multiply-adds the compressed network is {change} {seconds}{promise}: {', '.join(shares)}."


def _cause_sentence(before: NetworkProfile, after: NetworkProfile, roofline: Roofline | None) -> str:
    """Return the time at the original's rate, and the kinds of parts that make the difference, in words."""
    rate = before.total.rate
    lost = after.seconds - after.total.macs / rate
    expected = f"At the original's rate of {_billions(rate)} multiply-adds a second it would take "
    expected += quantity(after.total.macs / rate, "s")
    if abs(lost) < SAME_RATIO * after.seconds:
        return f"{expected}, and so it does."
    groups = [*after.sums("kind").values(), Group("other", 0, 0, after.other)]
    excess = {group: (group.seconds - group.macs / rate) * (1 if lost > 0 else -1) for group in groups}
    ranked = sorted((group for group in groups if excess[group] > 0), key=lambda group: -excess[group])
    threshold = MIN_NAMED_SHARE * sum(excess[group] for group in ranked)
    causes: list[str] = []
    for group in ranked[: 2 if len(ranked) > 1 and excess[ranked[1]] >= threshold else 1]:
        reason = f"they do {_billions(group.rate)} of those a second, {group.intensity:.3g} a byte that they move"
        if group.name == "other":
            reason = f"no multiply-adds to save there, {quantity(before.other, 's')} before"
        elif lost > 0 and roofline is not None and group.intensity < roofline.ridge:
            reason += f", and this machine's memory keeps up from {roofline.ridge:.3g} on"
        causes.append(f"{_kind_text(after, group)} ({quantity(excess[group], 's')}: {reason})")
    return f"{expected}; most is {'lost' if lost > 0 else 'won'} in {' and in '.join(causes)}."


def _kind_text(profile: NetworkProfile, group: Group) -> str:
    """Return text like "the 1x1 factors", "the 3x3 cores" or "the fully connected layers"."""
    sizes = {part.kernel for part in profile.parts if part.kind == group.name}
    size = f"{sizes.pop()} " if len(sizes) == 1 and group.name == "core" else ""
    return f"the {size}{PART_KINDS[group.name]}" if group.name in PART_KINDS else OTHER


def _billions(rate: float) -> str:
    unit, size = ("billion", 1e9) if rate >= 1e9 else ("million", 1e6)
    return f"{rate / size:.3g} {unit}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
