"""Explain in two sentences, with numbers from a profile, why fewer multiply-adds are not as much less time.

What each kind of part takes beyond the original's rate adds up to what is missing; the kinds with the most are named.
"""

from workbench.measure.profile import OTHER, PART_KINDS, Group, NetworkProfile, Profile
from workbench.measure.roofline import Roofline
from workbench.tables import compared, quantity

SAME_RATIO = 0.02  # ratios that differ from one by less are called the same
MIN_NAMED_SHARE = 0.2  # share of all that is lost (or won) from which on a second kind of part is named


def explain(profile: Profile, roofline: Roofline | None = None) -> str:
    """Explain where a compressed network's time goes, and why it is not what its multiply-adds promise.

    Parameters
    ----------
    roofline : of this machine, with as many threads; without it nothing is said about the memory.

    Raises
    ------
    ValueError : if the profile is of one network only, or the roofline was measured otherwise.
    """
    before, after = profile.original, profile.compressed
    if after is None or not all(each.total.macs and each.seconds > 0 for each in (before, after)):
        raise ValueError("there is nothing to compare: this takes the profile of a compressed network")
    if roofline is not None and (profile.device, profile.threads) != ("cpu", roofline.threads):
        where = profile.device if profile.device != "cpu" else f"the processor with {profile.threads} threads"
        raise ValueError(f"the roofline is of the processor with {roofline.threads} threads, the profile of {where}")
    return f"{_where(before, after)} {_why(before, after, roofline)}"


def _where(before: NetworkProfile, after: NetworkProfile) -> str:
    """Say how fast it is, and how much of the time each kind of part takes."""
    macs, speed = before.total.macs / after.total.macs, before.seconds / after.seconds
    amount = "as many" if abs(macs - 1) < SAME_RATIO else compared(macs, "fewer", "more")
    change = "as fast as before" if abs(speed - 1) < SAME_RATIO else compared(speed, "faster", "slower")
    took = f"({quantity(after.seconds, 's')} instead of {quantity(before.seconds, 's')})"
    promise = f", {_percent(speed / macs)} of what they promise" if macs > 1 + SAME_RATIO else ""
    spent: list[str] = []
    for group in sorted(after.sums("kind").values(), key=lambda g: -g.seconds):
        time, work = _percent(group.seconds / after.seconds), _percent(group.macs / after.total.macs)
        if not spent:
            spent.append(f"{_name(after, group)} take {time} of its time for {work} of the multiply-adds")
        elif (time, work) != ("0 %", "0 %"):
            spent.append(f"{_name(after, group)} {time} for {work}")
    spent.append(f"and everything else, like activations and pooling, {_percent(after.other / after.seconds)}")
    return f"With {amount} multiply-adds the compressed network is {change} {took}{promise}: {', '.join(spent)}."


def _why(before: NetworkProfile, after: NetworkProfile, roofline: Roofline | None) -> str:
    """Say what it would take at the original's rate, and which kinds of parts make the difference."""
    rate = before.total.rate
    lost = after.seconds - after.total.macs / rate
    expected = f"At the original's rate of {_billions(rate)} multiply-adds a second it would take "
    expected += quantity(after.total.macs / rate, "s")
    if abs(lost) < SAME_RATIO * after.seconds:
        return f"{expected}, and so it does."
    groups = [*after.sums("kind").values(), Group("other", 0, 0, after.other)]
    extra = {group: (group.seconds - group.macs / rate) * (1 if lost > 0 else -1) for group in groups}
    ranked = sorted((group for group in groups if extra[group] > 0), key=lambda group: -extra[group])
    threshold = MIN_NAMED_SHARE * sum(extra[group] for group in ranked)
    causes: list[str] = []
    for group in ranked[: 2 if len(ranked) > 1 and extra[ranked[1]] >= threshold else 1]:
        reason = (
            f"they get {_billions(group.rate)} of those done in a second, {group.intensity:.3g} a byte that they move"
        )
        if group.name == "other":
            reason = f"no multiply-adds to save there, {quantity(before.other, 's')} before"
        elif lost > 0 and roofline is not None and group.intensity < roofline.ridge:
            reason += f", and this machine's memory keeps up from {roofline.ridge:.3g} on"
        causes.append(f"{_name(after, group)} ({quantity(extra[group], 's')}: {reason})")
    return f"{expected}; most is {'lost' if lost > 0 else 'won'} in {' and in '.join(causes)}."


def _name(profile: NetworkProfile, group: Group) -> str:
    """Return a kind in words, like "the 1x1 factors", "the 3x3 cores" or "the fully connected layers"."""
    sizes = {part.kernel for part in profile.parts if part.kind == group.name}
    size = f"{sizes.pop()} " if len(sizes) == 1 and group.name == "core" else ""
    return f"the {size}{PART_KINDS[group.name]}" if group.name in PART_KINDS else OTHER


def _billions(rate: float) -> str:
    unit, size = ("billion", 1e9) if rate >= 1e9 else ("million", 1e6)
    return f"{rate / size:.3g} {unit}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
