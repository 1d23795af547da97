"""Cards with what the network weighs, costs and scores: original, planned, measured."""

import ipywidgets as w

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.widgets.glossary import RANDOM, term
from workbench.network.scores import Score
from workbench.tables import count, times

INTERVAL_HINT = "95 % confidence interval for this many images"


def overview(choose: ChooseModel, plan: PlanModel, recover: RecoverModel) -> w.Widget:
    """Return three cards: weights, MACs and accuracy."""
    boxes = [w.HTML(layout={"width": "auto", "flex": "1 1 0%", "min_width": "300px"}) for _ in range(3)]
    for box in boxes:
        box.add_class("wb-card")

    def fill(_: object = None) -> None:
        for box, html in zip(boxes, card_texts(choose, plan, recover), strict=True):
            if box.value != html:
                box.value = html

    plan.observe(fill, ["plan"])
    choose.observe(fill, ["opened"])
    recover.observe(fill, ["run"])
    fill()
    return w.HBox(boxes, layout={"flex_flow": "row wrap", "grid_gap": "12px"})


def card_texts(choose: ChooseModel, planning: PlanModel, recover: RecoverModel) -> list[str]:
    """Return HTML of the three cards."""
    plan, original, run = planning.plan, choose.original, recover.run
    stage = str(run.last.name) if run and run.last else "measured"
    texts = []
    for what in ("weights", "macs"):
        dense, planned = (getattr(plan.dense, what), getattr(plan, what)) if plan else (None, None)
        measured = getattr(run.plan, what) if run else None
        title = term("weights", "Weights") if what == "weights" else f"{term('MACs')} per image"
        figures = [_figure("original", count(dense) if dense else None)]
        for label, value in (("planned", planned), (stage, measured)):
            words = count(value) if value else None
            figures.append(_figure(label, words, _fewer(dense, value), soft=value == dense))
        texts.append(_card(title, *figures))
    before = original.scores.get("test") if original else None
    after = run.score("test") if run else None
    title = term("accuracy", "Accuracy")
    if before:
        title += f" on {before.n} {term('test', 'test images')}"
    if choose.network is not None and choose.network.random_weights:
        title += RANDOM
    change = 100 * (after.top1 - before.top1) if after and before else None
    note = "" if change is None else f"{change:+.1f} points" if abs(change) >= 0.05 else "no change"
    foreseen = "not predicted" if recover.as_planned else "after Compress"
    texts.append(
        _card(
            title,
            _figure("original", _percent(before), aside=_interval(before), more=_top5(before)),
            _figure("planned", None, foreseen if before else "", soft=True),
            _figure(stage, _percent(after), note, loss=(change or 0) < -1, aside=_interval(after), more=_top5(after)),
        )
    )
    return texts


def _percent(score: Score | None) -> str | None:
    return f"{100 * score.top1:.1f} %" if score else None


def _top5(score: Score | None) -> str:
    if score is None:
        return ""
    low, high = score.top5_interval
    interval = f"<small title='{INTERVAL_HINT}'>{100 * low:.1f} to {100 * high:.1f} %</small>"
    return f"<small>top-5 {100 * score.top5:.1f} %</small>{interval}"


def _fewer(original: int | None, new: int | None) -> str:
    if not original or not new:
        return ""
    return f"{times(original / new)} fewer" if new < original else "the same" if new == original else "more"


def _interval(score: Score | None) -> str:
    if score is None:
        return ""
    low, high = score.interval
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def _figure(
    label: str,
    value: str | None,
    note: str = "",
    *,
    loss: bool = False,
    soft: bool = False,
    aside: str = "",
    more: str = "",
) -> str:
    style = ' style="color:var(--wb-soft);font-weight:400"' if soft else ""
    spread = f'<small title="{INTERVAL_HINT}">{aside}</small>' if aside else ""
    return (
        f'<div class="{"" if value else "wb-none"}"><small>{label}</small><b>{value or "&ndash;"}</b>'
        f'{spread}<span class="{"wb-loss" if loss else ""}"{style}>{note}</span>{more}</div>'
    )


def _card(title: str, *figures: str) -> str:
    return f'<h2>{title}</h2><div class="wb-figures">{"".join(figures)}</div>'
