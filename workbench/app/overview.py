"""Tiles with work, size, time, energy and score of a network, before and now; and a verdict in one sentence."""

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.controls import follow
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
RANDOM_WORDS = "These weights are random: upload weights, or choose a trained network, before you plan."


def overview(session: Session) -> w.HTML:
    """Return the five tiles."""
    box = w.HTML(layout={"width": "auto"})

    def fill() -> None:
        box.value = f'<div class="wb-tiles">{"".join(tile_texts(session).values())}</div>'

    sources = ((session.choose, "opened"), (session.recover, "run"), (session.speed, "findings"))
    follow(fill, (session.plan, "plan measured settings"), *sources)
    return box


def tile_texts(session: Session) -> dict[str, str]:
    """Return the HTML of each tile, by "work", "size", "time", "energy" and "score"."""
    plan, run = session.plan.plan, _current(session)
    stage = str(run.last.name) if run and run.last else "planned"
    if plan is None:
        names = ("work", "size", "time", "energy", "score")
        return {name: tile(name.capitalize(), missing="Known once a network is open.") for name in names}
    dense = plan.dense
    found = {
        "work": tile(
            term("MACs", "Work"),
            (count(dense.macs), count(plan.macs)),
            plan.macs / dense.macs,
            _fewer(dense.macs, plan.macs),
            f"multiply-adds, {stage}",
        ),
        "size": tile(
            term("weights", "Size"),
            tuple(quantity(BYTES_PER_WEIGHT * n, "B") for n in (dense.weights, plan.weights)),
            plan.weights / dense.weights,
            _fewer(dense.weights, plan.weights, "smaller"),
            f"{count(dense.weights)} → {count(plan.weights)} weights",
        ),
    }
    return {**found, **_measured(session, run), "score": _score_tile(session, run)}


def _current(session: Session) -> Run | None:
    """Return the run that is worked on, unless the plan is another one by now."""
    return session.recover.run if session.recover.as_planned else None


def _measured(session: Session, run: Run | None) -> dict[str, str]:
    """Return the tiles of time and energy."""
    titles = {"time": "Time", "energy": term("energy", "Energy")}
    first = "compress first, then " if run is None else ""
    missing = f"Not measured yet: {first}press <b>Measure</b> in <b>Speed</b>."
    tiles = {name: tile(title, missing=missing) for name, title in titles.items()}

    def show(name: str, before: float, after: float, unit: str, words: tuple[str, str, str], note: str) -> None:
        pair, gain = (quantity(before, unit), quantity(after, unit)), compared(before / after, *words)
        tiles[name] = tile(titles[name], pair, after / before, gain, note, mark="wb-loss" if after > before else "")

    found = session.speed.findings
    if run is not None and found is not None:
        dense, small = found.speed.fastest
        where = " → ".join(dict.fromkeys(escape(_runtime(record)) for record in (dense, small)))
        seconds = (dense["dense_ms"] / 1e3, small["compressed_ms"] / 1e3)
        show("time", *seconds, "s", ("faster", "slower", "as fast"), where)
        spent, needed = found.energy.original, found.energy.compressed
        if needed is not None:
            words = ("less", "more", "as much")
            show("energy", spent.joules, needed.joules, "J", words, f"an image ({spent.label})")
    return tiles


def _runtime(record: Mapping[str, Any]) -> str:
    """Return what the runtime of a speed's record is called."""
    return RUNTIMES[record["runtime"]].removesuffix(" with XNNPACK")


def _score_tile(session: Session, run: Run | None) -> str:
    choose = session.choose
    original = choose.original
    scores = original.scores if original else {}
    split = "test" if "test" in scores else next(iter(scores), "")
    before = scores.get(split)
    if before is None:
        return tile("Score", missing=escape(choose.misfit) or "There are no images to score it on: bring pictures.")
    title = term(before.kind, before.kind.capitalize()) if before.kind in TERMS else escape(before.kind)
    title += RANDOM if choose.random_weights else ""
    after = run.score(split) if run else None
    share = (after or before).top1 if before.is_share else None
    images = f"on {before.n} {escape(split)} images"
    if run is None or after is None:
        return tile(title, (_text(before),), share, "", f"original, {images}{_forecast(session)}")
    verdict, stage = run.verdict(split), str(run.last.name) if run.last else ""
    lost = verdict is not None and verdict.finding is Finding.LOSS
    unsure = verdict is not None and verdict.finding is Finding.TOO_FEW
    words = "too few to tell" if unsure else str(verdict.finding) if verdict else ""
    change = f"{-100 * verdict.lost:+.1f} points" if verdict is not None and lost else words
    change = f'<span title="{escape(str(verdict or ""), quote=True)}">{change}</span>'
    note = f"{stage}, {images}{_interval(after)}"
    return tile(
        title, (_text(before), _text(after)), share, change, note, mark="wb-loss" if lost else "wb-unsure" * unsure
    )


def _text(score: Score) -> str:
    return f"{score.shown:.1f} %" if score.is_share else str(score.value)


def _interval(score: Score) -> str:
    if not score.is_share:
        return ""
    low, high = score.interval
    top5 = f"; top-5 {100 * score.top5:.1f} %" if score.top5 < 1 else ""
    return f": <span title='95 % confidence interval'>{100 * low:.1f} to {100 * high:.1f} %</span>{top5}"


def _forecast(session: Session) -> str:
    """Return in words what is expected of the planned network's answers, if the layers were measured."""
    choose, plan = session.choose, session.plan
    if plan.plan is None or plan.measured is None or choose.network is None:
        return ""
    found = plan.plan.forecast(choose.network, None, importance=plan.measured)
    if found.agreement is None or found.low is None or found.high is None:
        return f"; {found.lost:.1%} of the outputs' power lost, expected"
    same = term("forecast", "same answers")
    return f"; {same} {100 * found.agreement:.1f} %, expected {100 * found.low:.0f} to {100 * found.high:.0f} %"


def _fewer(original: int, new: int, word: str = "fewer") -> str:
    return f"{times(original / new)} {word}" if new < original else "the same" if new == original else "more"


def tile(
    title: str,
    values: tuple[str, ...] = (),
    share: float | None = None,
    change: str = "",
    note: str = "",
    *,
    missing: str = "",
    mark: str = "",
) -> str:
    """Return the HTML of a tile: `values` before and now, a bar of `share` of the whole; or how to get them."""
    if not values:
        return f'<div class="wb-tile wb-none"><h2>{title}</h2><p>{missing}</p></div>'
    *before, now = values
    numbers = "".join(f"<span>{value} &rarr;</span> " for value in before) + f"<b>{now}</b>"
    width = 100 * min(1.0, max(0.0, share)) if share is not None else 0
    bar = f'<div class="wb-scale"><i style="width:{width:.1f}%"></i></div>' if share is not None else ""
    noted = f'<em class="{mark}">{change}</em>' if change else ""
    return (
        f'<div class="wb-tile"><h2>{title}{noted}</h2><p class="wb-hero">{numbers}</p>{bar}<small>{note}</small></div>'
    )


def verdict_text(session: Session) -> str:
    """Return what has come of the session, in a sentence or two."""
    choose, plan, run = session.choose, session.plan.plan, _current(session)
    if choose.network is None or plan is None:
        return (choose.job.error if choose.job else "") or "The network is being opened."
    if choose.random_weights:
        return RANDOM_WORDS
    if run is None:
        if plan.saves_nothing:
            return SAVES_NOTHING
        return f"The plan: {saving_text(plan)}. Compress to see what that costs."
    text = f"{summary(run)}."
    if session.worker.busy(JobKind.AUTOMATIC):
        return f"So far: {text}"
    found = session.speed.findings
    if found is not None:
        gain, (_, small) = found.speed.best_speedup, found.speed.fastest
        words = compared(gain, "faster", "slower", "as fast as before")
        text += f" In {_runtime(small)} it is {words}."
    return text
