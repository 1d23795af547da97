"""Explain in two sentences why fewer multiply-adds are not as much less time, with all numbers from a profile.

At the original's rate (its multiply-adds a second) the compressed network would take as much less time as it does fewer
multiply-adds. What each kind of part takes beyond that adds up to what is missing. The kinds with the most are named,
and their memory traffic or their rate says why.
"""

from workbench.measure.profile import Group, NetworkProfile, Profile
from workbench.measure.roofline import Roofline
from workbench.tables import quantity, times

SAME_RATIO = 0.02
"""Ratios that differ from one by less are called the same."""
MIN_NAMED_SHARE = 0.2
"""Share of all that is lost (or won) from which on a second kind of part is named."""
NAMES = {"1x1": "the 1x1 factors", "linear": "the fully connected layers"}


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


def realised(before: NetworkProfile, after: NetworkProfile) -> float:
    """Return speed-up / ratio of multiply-adds: the share of what the multiply-adds promise; 1 is all of it."""
    return (before.seconds / after.seconds) / (before.total.macs / after.total.macs)


def _where(before: NetworkProfile, after: NetworkProfile) -> str:
    """Say how fast it is, and how much of the time each kind of part takes."""
    macs, speed = before.total.macs / after.total.macs, before.seconds / after.seconds
    amount = "as many" if abs(macs - 1) < SAME_RATIO else _ratio(macs, "fewer", "more")
    change = "as fast as before" if abs(speed - 1) < SAME_RATIO else _ratio(speed, "faster", "slower")
    took = f"({quantity(after.seconds, 's')} instead of {quantity(before.seconds, 's')})"
    promise = f", {_percent(realised(before, after))} of what they promise" if macs > 1 + SAME_RATIO else ""
    spent: list[str] = []
    for group in sorted(after.sums("kind").values(), key=lambda g: -g.seconds):
        shares = _percent(group.seconds / after.seconds), _percent(group.macs / after.total.macs)
        if not spent:
            spent.append("{} take {} of its time for {} of the multiply-adds".format(_name(after, group), *shares))
        elif shares != ("0 %", "0 %"):
            spent.append("{} {} for {}".format(_name(after, group), *shares))
    spent.append(f"and everything else, like activations and pooling, {_percent(after.other / after.seconds)}")
    return f"With {amount} multiply-adds the compressed network is {change} {took}{promise}: {', '.join(spent)}."


def _why(before: NetworkProfile, after: NetworkProfile, roofline: Roofline | None) -> str:
    """Say what it would take at the original's rate, and which kinds of parts make the difference."""
    rate, share = before.total.rate, realised(before, after)
    would = quantity(after.total.macs / rate, "s")
    expected = f"At the original's rate of {_billions(rate)} multiply-adds a second it would take {would}"
    if abs(share - 1) < SAME_RATIO:
        return f"{expected}, and so it does."
    sign = 1 if share < 1 else -1
    groups = [*after.sums("kind").values(), Group("other", 0, 0, after.other)]
    extra = {group.name: sign * (group.seconds - group.macs / rate) for group in groups}
    ranked = sorted((group for group in groups if extra[group.name] > 0), key=lambda group: -extra[group.name])
    total = sum(extra[group.name] for group in ranked)
    causes: list[str] = []
    for group in ranked[:2]:
        if causes and extra[group.name] < MIN_NAMED_SHARE * total:
            break
        name, amount = _name(after, group), quantity(extra[group.name], "s")
        if group.name == "other":
            reason = f"no multiply-adds to save there, {quantity(before.other, 's')} before"
        elif share < 1:
            reason = _slow(after, group, rate, roofline)
        else:
            reason = _rates(group, rate)
        causes.append(f"{name} ({amount}: {reason})")
    return f"{expected}; most is {'lost' if share < 1 else 'won'} in {' and in '.join(causes)}."


def _slow(after: NetworkProfile, group: Group, rate: float, roofline: Roofline | None) -> str:
    """Say that they do few multiply-adds for each number that they move, if that can be the cause; else their rate."""

    def uses(intensity: float) -> str:
        number = intensity * after.number_bytes
        return f"{number:.2g}" if number < 9.95 else f"{number:.0f}"

    starved = roofline is not None and group.intensity < roofline.ridge
    needs = f", and this machine's memory keeps up from {uses(roofline.ridge)} on" if roofline and starved else ""
    plural = "" if uses(group.intensity) == "1" else "s"
    serves = f"each number they load or store serves {uses(group.intensity)} multiply-add{plural}"
    core = after.sums("kind").get("core")
    if group.name == "1x1" and core is not None and core.intensity > group.intensity and core.rate > group.rate:
        done = f"they get {_billions(group.rate)} of those done in a second, the cores {_billions(core.rate)}"
        return f"{serves}, in {_name(after, core)} {uses(core.intensity)}; {done}{needs}"
    if starved:
        return serves + needs
    return _rates(group, rate) + (", though the memory could keep up" if roofline is not None else "")


def _rates(group: Group, rate: float) -> str:
    return f"they get {_billions(group.rate)} of those done in a second, the original {_billions(rate)}"


def _name(profile: NetworkProfile, group: Group) -> str:
    """Return a kind in words, like "the 1x1 factors", "the 3x3 cores" or "the fully connected layers"."""
    if group.name == "core":
        sizes = {part.kernel for part in profile.parts if part.kind == "core"}
        return f"the {sizes.pop()} cores" if len(sizes) == 1 else "the cores"
    if group.name == "dense":
        whole = all(part.part == "dense" for part in profile.parts)
        return "the convolutions" if whole else "the convolutions left whole"
    return NAMES.get(group.name, "everything else")


def _billions(rate: float) -> str:
    unit, size = ("billion", 1e9) if rate >= 1e9 else ("million", 1e6)
    return f"{rate / size:.3g} {unit}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _ratio(ratio: float, above: str, below: str) -> str:
    return f"{times(ratio)} {above}" if ratio >= 1 else f"{times(1 / ratio)} {below}"
