"""Tiles with a network's work, size, time, energy and score before and after compression; a verdict in words."""

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.controls import updated_html
from workbench.app.session import Session
from workbench.app.steps.recover.view import SAVES_NOTHING
from workbench.app.widgets.glossary import RANDOM, TERMS, term
from workbench.app.worker import JobKind
from workbench.measure.runtimes import RUNTIMES
from workbench.network.scores import Score
from workbench.network.verdict import Finding
from workbench.runs.run import Run
from workbench.runs.scoring import saving_text, summary
from workbench.tables import compared, count, quantity, times

BYTES_PER_WEIGHT = 4
RANDOM_WEIGHTS_TEXT = "These weights are random: upload weights, or choose a trained network, before you plan."


def overview(session: Session) -> w.HTML:
    """Return the five tiles as one widget."""

    def tiles() -> str:
        return f'<div class="wb-tiles">{"".join(tile_texts(session).values())}</div>'

    sources = ((session.choose, "opened"), (session.recover, "run"), (session.speed, "findings"))
    return updated_html(tiles, (session.plan, "plan measured settings"), *sources, width="auto")


def tile_texts(session: Session) -> dict[str, str]:
    """Return the HTML of each tile, by "work", "size", "time", "energy" and "score"."""
    plan, run = session.plan.plan, _current_run(session)
    stage = str(run.last.name) if run and run.last else "planned"
    if plan is None:
        names = ("work", "size", "time", "energy", "score")
        return {name: missing_tile(name.capitalize(), "Known once a network is open.") for name in names}
    macs, weights = (plan.dense.macs, plan.macs), (plan.dense.weights, plan.weights)
    sizes = (BYTES_PER_WEIGHT * weights[0], BYTES_PER_WEIGHT * weights[1])
    numbers = " → ".join(map(count, weights))
    return {
        "work": pair_tile(term("MACs", "Work"), macs, "", _decrease(*macs), f"multiply-adds, {stage}"),
        "size": pair_tile(term("weights", "Size"), sizes, "B", _decrease(*weights, "smaller"), f"{numbers} weights"),
        **_measured_tiles(session, run),
        "score": _score_tile(session, run),
    }


def _current_run(session: Session) -> Run | None:
    """Return the run, or None if the plan has changed since."""
    return session.recover.run if session.recover.as_planned else None


def _measured_tiles(session: Session, run: Run | None) -> dict[str, str]:
    """Return the tiles of time and energy."""
    title, findings = term("energy", "Energy"), session.speed.findings
    first = "compress first, then " if run is None else ""
    message = f"Not measured yet: {first}press <b>Measure</b> in <b>Speed</b>."
    tiles = {"time": missing_tile("Time", message), "energy": missing_tile(title, message)}
    if run is None or findings is None:
        return tiles
    dense, small = findings.speed.fastest
    runtimes = " → ".join(dict.fromkeys(escape(_runtime_name(record)) for record in (dense, small)))
    seconds = (dense["dense_ms"] / 1e3, small["compressed_ms"] / 1e3)
    tiles["time"] = _gain_tile("Time", seconds, "s", ("faster", "slower", "as fast"), runtimes)
    original, compressed = findings.energy.original, findings.energy.compressed
    if compressed is not None:
        joules, note = (original.joules, compressed.joules), f"an image ({original.label})"
        tiles["energy"] = _gain_tile(title, joules, "J", ("less", "more", "as much"), note)
    return tiles


def _gain_tile(title: str, pair: tuple[float, float], unit: str, words: tuple[str, str, str], note: str) -> str:
    before, after = pair
    mark = "wb-loss" if after > before else ""
    return pair_tile(title, pair, unit, compared(before / after, *words), note, mark)


def _runtime_name(record: Mapping[str, Any]) -> str:
    return RUNTIMES[record["runtime"]].removesuffix(" with XNNPACK")


def _score_tile(session: Session, run: Run | None) -> str:
    choose = session.choose
    scores = choose.original.scores if choose.original else {}
    split = "test" if "test" in scores else next(iter(scores), "")
    before = scores.get(split)
    if before is None:
        return missing_tile("Score", escape(choose.misfit) or "There are no images to score it on: bring pictures.")
    title = term(before.kind, before.kind.capitalize()) if before.kind in TERMS else escape(before.kind)
    title += RANDOM if choose.random_weights else ""
    after = run.score(split) if run else None
    share = (after or before).top1 if before.is_share else None
    images = f"on {before.n} {escape(split)} images"
    if run is None or after is None:
        return tile(title, (_score_text(before),), share, "", f"original, {images}{_forecast_text(session)}")
    verdict, change, mark = run.verdict(split), "", ""
    if verdict is not None:
        change = str(verdict.finding)
        if verdict.finding is Finding.LOSS:
            change, mark = f"{-100 * verdict.lost:+.1f} points", "wb-loss"
        elif verdict.finding is Finding.TOO_FEW:
            change, mark = "too few to tell", "wb-unsure"
    change = f'<span title="{escape(str(verdict or ""), quote=True)}">{change}</span>'
    note = f"{run.last.name if run.last else ''}, {images}{_interval_text(after)}"
    return tile(title, (_score_text(before), _score_text(after)), share, change, note, mark)


def _score_text(score: Score) -> str:
    return f"{score.shown:.1f} %" if score.is_share else str(score.value)


def _interval_text(score: Score) -> str:
    if not score.is_share:
        return ""
    low, high = score.interval
    top5 = f"; top-5 {100 * score.top5:.1f} %" if score.top5 < 1 else ""
    return f": <span title='95 % confidence interval'>{100 * low:.1f} to {100 * high:.1f} %</span>{top5}"


def _forecast_text(session: Session) -> str:
    """Return the predicted agreement of the planned network in words, or "" before the importance is measured."""
    choose, plan = session.choose, session.plan
    if plan.plan is None or plan.measured is None or choose.network is None:
        return ""
    forecast = plan.plan.forecast(choose.network, None, importance=plan.measured)
    if forecast.agreement is None or forecast.low is None or forecast.high is None:
        return f"; {forecast.lost:.1%} of the outputs' power lost, expected"
    agreement = f"{term('forecast', 'same answers')} {100 * forecast.agreement:.1f} %"
    return f"; {agreement}, expected {100 * forecast.low:.0f} to {100 * forecast.high:.0f} %"


def _decrease(original: int, new: int, word: str = "fewer") -> str:
    return f"{times(original / new)} {word}" if new < original else "the same" if new == original else "more"


def missing_tile(title: str, message: str) -> str:
    """Return the HTML of a tile that says how to get its values."""
    return f'<div class="wb-tile wb-none"><h2>{title}</h2><p>{message}</p></div>'


def pair_tile(title: str, pair: tuple[float, float], unit: str, change: str, note: str, mark: str = "") -> str:
    """Return the HTML of a tile with a number before and after; without a unit it is a count."""
    before, after = (quantity(number, unit) if unit else count(number) for number in pair)
    return tile(title, (before, after), pair[1] / pair[0], change, note, mark)


def tile(title: str, values: tuple[str, ...], share: float | None, change: str, note: str, mark: str = "") -> str:
    """Return the HTML of a tile: the old and the new value, or one; a bar of length `share`; and the change."""
    *before, current = values
    numbers = "".join(f"<span>{value} &rarr;</span> " for value in before) + f"<b>{current}</b>"
    width = 100 * min(1.0, max(0.0, share or 0.0))
    bar = f'<div class="wb-scale"><i style="width:{width:.1f}%"></i></div>' if share is not None else ""
    badge = f'<em class="{mark}">{change}</em>' if change else ""
    return (
        f'<div class="wb-tile"><h2>{title}{badge}</h2><p class="wb-hero">{numbers}</p>{bar}<small>{note}</small></div>'
    )


def verdict_text(session: Session) -> str:
    """Return the result of the session so far, in one or two sentences."""
    choose, plan, run = session.choose, session.plan.plan, _current_run(session)
    if choose.network is None or plan is None:
        return (choose.job.error if choose.job else "") or "The network is being opened."
    if choose.random_weights:
        return RANDOM_WEIGHTS_TEXT
    if run is None:
        if plan.saves_nothing:
            return SAVES_NOTHING
        return f"The plan: {saving_text(plan)}. Compress to see what that costs."
    text = f"{summary(run)}."
    if session.worker.busy(JobKind.AUTOMATIC):
        return f"So far: {text}"
    findings = session.speed.findings
    if findings is not None:
        gain, (_, small) = findings.speed.best_speedup, findings.speed.fastest
        words = compared(gain, "faster", "slower", "as fast as before")
        text += f" In {_runtime_name(small)} it is {words}."
    return text
