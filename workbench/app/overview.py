"""Cards with the weights, MACs and accuracy of a network: original, planned and compressed."""

from html import escape

import ipywidgets as w

from workbench.app.controls import follow
from workbench.app.session import Session
from workbench.app.steps.plan.settings import PLANNERS
from workbench.app.widgets.glossary import RANDOM, TERMS, term
from workbench.network.scores import Score
from workbench.network.verdict import Finding
from workbench.tables import count, times


def overview(session: Session) -> w.Widget:
    """Return three cards: weights, MACs and accuracy."""
    choose, plan, recover = session.choose, session.plan, session.recover
    boxes = [w.HTML(layout={"width": "auto", "flex": "1 1 0%", "min_width": "300px"}) for _ in range(3)]
    for box in boxes:
        box.add_class("wb-card")

    def fill() -> None:
        for box, html in zip(boxes, card_texts(session), strict=True):
            box.value = html

    follow(fill, (plan, "plan importance settings"), (choose, "opened"), (recover, "run"))
    return w.HBox(boxes, layout={"flex_flow": "row wrap", "grid_gap": "12px"})


def card_texts(session: Session) -> list[str]:
    """Return the HTML of each card, in the order of :func:`overview`."""
    choose, recover = session.choose, session.recover
    plan, original, run = session.plan.plan, choose.original, recover.run
    stage = str(run.last.name) if run and run.last else "measured"
    texts = []
    for what in ("weights", "macs"):
        dense, planned = (getattr(plan.dense, what), getattr(plan, what)) if plan else (None, None)
        measured = getattr(run.plan, what) if run else None
        title = term("weights", "Weights") if what == "weights" else f"{term('MACs')} per image"
        figures = [figure_html("original", count(dense) if dense else "")]
        for label, value in (("planned", planned), (stage, measured)):
            figures.append(figure_html(label, count(value) if value else "", _fewer(dense, value), soft=value == dense))
        texts.append(_card(title, *figures))
    split = next(iter([*(s for s in original.scores if s == "test"), *original.scores]), "") if original else ""
    before = original.scores.get(split) if original else None
    after = run.score(split) if run else None
    title = term("accuracy", "Accuracy")
    if before:
        title = f"{_term(before.kind, before.kind.capitalize())} on {before.n} {_term(split, f'{split} images')}"
    if choose.network is not None and choose.network.random_weights:
        title += RANDOM
    verdict = run.verdict(split) if run and after and before else None
    lost = verdict is not None and verdict.finding is Finding.LOSS
    note = "" if verdict is None else f"{-100 * verdict.lost:+.1f} points" if lost else str(verdict.finding)
    if verdict is not None:
        note = f'<span title="{escape(str(verdict), quote=True)}">{note}</span>'
    figures = [
        figure_html("original", score=before),
        _forecast(session) if before else figure_html("planned"),
        figure_html(stage, "", note, loss=lost, score=after),
    ]
    return [*texts, _card(title, *figures)]


def _forecast(session: Session) -> str:
    """Return the HTML of what is expected of the planned network's answers."""
    choose, plan = session.choose, session.plan
    if plan.plan is None or plan.importance is None or choose.network is None:
        measurable = PLANNERS[plan.settings.planner].uses_importance
        hint = "after Measure layers" if measurable else "after Compress"
        hint = "not predicted" if session.recover.as_planned else hint
        return figure_html("planned", "", hint, soft=True)
    found = plan.plan.forecast(choose.network, None, importance=plan.importance)
    if found.agreement is None or found.low is None or found.high is None:
        return figure_html("planned", "", f"{found.lost:.1%} of the outputs' power lost, expected", soft=True)
    note = term("forecast", "same answers") + f",<br>expected<br>{100 * found.low:.0f} to {100 * found.high:.0f} %"
    return figure_html("planned", f"{100 * found.agreement:.1f} %", note, soft=True)


def _term(name: str, text: str) -> str:
    return term(name, text) if name in TERMS else escape(text)


def _fewer(original: int | None, new: int | None) -> str:
    if not original or not new:
        return ""
    return f"{times(original / new)} fewer" if new < original else "the same" if new == original else "more"


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"<small title='95 % confidence interval'>{100 * low:.1f} to {100 * high:.1f} %</small>"


def figure_html(
    label: str, value: str = "", note: str = "", *, loss: bool = False, soft: bool = False, score: Score | None = None
) -> str:
    """Return the HTML of one number: a value, or a score with its interval and its top-5 accuracy.

    `note` is a text below it, in the colour of a loss if `loss`, in grey if `soft`.
    """
    style, spread, top5 = ' style="color:var(--wb-soft);font-weight:400"' if soft else "", "", ""
    if score:
        value = f"{score.shown:.1f} %" if score.is_share else score.value
    if score and score.is_share:
        spread = _interval(score.interval)
        top5 = f"<small>top-5 {100 * score.top5:.1f} %</small>{_interval(score.top5_interval)}"
    return (
        f'<div class="{"" if value else "wb-none"}"><small>{label}</small><b>{value or "&ndash;"}</b>'
        f'{spread}<span class="{"wb-loss" if loss else ""}"{style}>{note}</span>{top5}</div>'
    )


def _card(title: str, *figures: str) -> str:
    return f'<h2>{title}</h2><div class="wb-figures">{"".join(figures)}</div>'
