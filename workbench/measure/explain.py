"""Why fewer multiply-adds are not as much less time: two sentences, with all numbers from two profiles.

At the original's pace (its multiply-adds a second) the compressed network would take as much less time as it does fewer
multiply-adds. What each kind of part takes beyond that adds up, exactly, to what is missing; those with the most are to
blame, and their memory traffic or their pace says why.
"""

from workbench.measure.profile_table import Group, Profile
from workbench.measure.roofline import Roofline
from workbench.tables import quantity, times

SAME = 0.02
"""Ratios that differ from one by less are called the same."""
WORTH_SAYING = 0.2
"""Share of all that is lost (or won) from which on a second kind of part is named."""


def realised(before: Profile, after: Profile) -> float:
    """Speed-up / ratio of multiply-adds: how much of what the multiply-adds promise has come true; 1 is all of it.

    Raises
    ------
    ValueError : if the two were not measured alike, or one of them does or takes nothing.
    """
    for name in ("batch", "threads", "channels_last", "device"):
        one, other = getattr(before, name), getattr(after, name)
        if one != other:
            raise ValueError(f"the two profiles were not measured alike: {name} is {one} in one, {other} in the other")
    if not all(p.macs and p.seconds > 0 for p in (before, after)):
        raise ValueError("a profile without multiply-adds or without time cannot be compared")
    return (before.seconds / after.seconds) / (before.macs / after.macs)


def explain(before: Profile, after: Profile, roofline: Roofline | None = None) -> str:
    """Where the compressed network's time goes, and why it is more (or less) than its multiply-adds promise.

    Parameters
    ----------
    before, after : profiles of the original and of the compressed network, measured alike, best with
        :func:`~workbench.measure.profile.profiles`.
    roofline : of this machine, with as many threads; without it nothing is said about the memory.

    Returns
    -------
    Two sentences.

    Raises
    ------
    ValueError : if the profiles or the roofline were not measured alike.
    """
    share = realised(before, after)
    if roofline is not None and (after.device, after.threads) != ("cpu", roofline.threads):
        where = after.device if after.device != "cpu" else f"the processor with {after.threads} threads"
        raise ValueError(f"the roofline is of the processor with {roofline.threads} threads, the profiles of {where}")
    return f"{_where(before, after, share)} {_why(before, after, share, roofline)}"


def _where(before: Profile, after: Profile, share: float) -> str:
    macs, speed = before.macs / after.macs, before.seconds / after.seconds
    work = "as many" if abs(macs - 1) < SAME else _ratio(macs, "fewer", "more")
    pace = "as fast as before" if abs(speed - 1) < SAME else _ratio(speed, "faster", "slower")
    took = f"({quantity(after.seconds, 's')} instead of {quantity(before.seconds, 's')})"
    promise = f", {_percent(share)} of what they promise" if macs > 1 + SAME else ""
    spent: list[str] = []
    for group in sorted(after.by_kind(), key=lambda g: -g.seconds):
        time_, work_ = _percent(group.seconds / after.seconds), _percent(group.macs / after.macs)
        if not spent:
            spent.append(f"{_name(after, group)} take {time_} of its time for {work_} of the multiply-adds")
        elif (time_, work_) != ("0 %", "0 %"):
            spent.append(f"{_name(after, group)} {time_} for {work_}")
    rest = f"and everything else, like activations and pooling, {_percent(after.other / after.seconds)}"
    return f"With {work} multiply-adds the compressed network is {pace} {took}{promise}: {', '.join(spent)}, {rest}."


def _why(before: Profile, after: Profile, share: float, roofline: Roofline | None) -> str:
    pace = before.macs / before.seconds
    would = quantity(after.macs / pace, "s")
    expected = f"At the original's pace of {_billions(pace)} multiply-adds a second it would take {would}"
    if abs(share - 1) < SAME:
        return f"{expected}, and so it does."
    groups = [*after.by_kind(), Group("other", 0, 0, after.other)]
    sign = 1 if share < 1 else -1
    extra = {g.name: sign * (g.seconds - g.macs / pace) for g in groups}
    ranked = sorted((g for g in groups if extra[g.name] > 0), key=lambda g: -extra[g.name])
    total = sum(extra[g.name] for g in ranked)
    causes: list[str] = []
    for group in ranked[:2]:
        if causes and extra[group.name] < WORTH_SAYING * total:
            break
        amount = quantity(extra[group.name], "s")
        if group.name == "other":
            causes.append(
                f"everything else ({amount}: no multiply-adds to save there, {quantity(before.other, 's')} before)"
            )
        else:
            reason = _slow(after, group, pace, roofline) if share < 1 else _fast(before, after, group, pace)
            causes.append(f"{_name(after, group)} ({amount}: {reason})")
    return f"{expected}; most is {'lost' if share < 1 else 'won'} in {' and in '.join(causes)}."


def _slow(after: Profile, group: Group, pace: float, roofline: Roofline | None) -> str:
    """Few multiply-adds for each number that they move, if that can be the cause; else only how slow they are."""
    starved = roofline is not None and group.intensity < roofline.ridge
    needs = f", and this machine's memory keeps up from {_few(roofline.ridge * after.item)} on" if roofline else ""
    serves = f"each number they load or store serves {_uses(after, group)}"
    core = next((g for g in after.by_kind() if g.name == "core"), None)
    if group.name == "1x1" and core is not None and core.intensity > group.intensity and core.rate > group.rate:
        done = f"they get {_billions(group.rate)} of those done in a second, the cores {_billions(core.rate)}"
        return (
            f"{serves}, in {_name(after, core)} {_few(core.intensity * after.item)}; {done}{needs if starved else ''}"
        )
    if starved:
        return f"{serves}{needs}"
    spare = ", though the memory could keep up" if roofline is not None else ""
    return f"they get {_billions(group.rate)} of those done in a second, the original {_billions(pace)}{spare}"


def _fast(before: Profile, after: Profile, group: Group, pace: float) -> str:
    done = f"they get {_billions(group.rate)} of those done in a second, the original {_billions(pace)}"
    if group.name == "dense" and any(row.part != "dense" for row in after.rows):
        whole = {row.layer for row in after.rows if row.kind == "dense"}
        then = [row for row in before.rows if row.layer in whole]
        seconds = sum(row.seconds for row in then)
        rate = sum(row.macs for row in then) / seconds if seconds else 0.0
        return f"{done}; they got {_billions(rate)} before, too: what was reduced was slower" if rate > pace else done
    old = next((g for g in before.by_kind() if g.name == group.name), None)
    if old is None or group.moved >= old.moved:
        return done
    return f"{done}, and they move {quantity(group.moved, 'B')} instead of {quantity(old.moved, 'B')}"


def _name(profile: Profile, group: Group) -> str:
    """Like "the 1x1 factors", "the 3x3 cores" or "the fully connected layers"."""
    if group.name == "core":
        sizes = {row.kernel for row in profile.rows if row.kind == "core"}
        return f"the {sizes.pop()} cores" if len(sizes) == 1 else "the cores"
    if group.name == "dense":
        whole = all(row.part == "dense" for row in profile.rows)
        return "the convolutions" if whole else "the convolutions left whole"
    return {"1x1": "the 1x1 factors", "linear": "the fully connected layers"}[group.name]


def _uses(profile: Profile, group: Group) -> str:
    text = _few(group.intensity * profile.item)
    return f"{text} multiply-add" if text == "1" else f"{text} multiply-adds"


def _few(number: float) -> str:
    return f"{number:.2g}" if number < 9.95 else f"{number:.0f}"


def _billions(rate: float) -> str:
    unit, size = ("billion", 1e9) if rate >= 1e9 else ("million", 1e6)
    return f"{rate / size:.3g} {unit}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _ratio(ratio: float, above: str, below: str) -> str:
    return f"{times(ratio)} {above}" if ratio >= 1 else f"{times(1 / ratio)} {below}"
