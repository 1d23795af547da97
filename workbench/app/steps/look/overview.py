"""What the network weighs, costs and gets right: original, planned, measured."""

import ipywidgets as w

from workbench.app.results import Result
from workbench.app.state import State
from workbench.app.widgets.glossary import term
from workbench.app.widgets.heading import RANDOM
from workbench.network.data import Accuracy
from workbench.tables import count, times

SPREAD = "95 % confidence interval for this many images"


def cards(state: State) -> w.Widget:
    """Three cards: weights, MACs and accuracy, each original -> planned -> measured."""
    boxes = [w.HTML(layout={"width": "auto", "flex": "1 1 0%", "min_width": "300px"}) for _ in range(3)]
    for box in boxes:
        box.add_class("wb-card")

    def fill(_: object = None) -> None:
        for box, html in zip(boxes, card_texts(state), strict=True):
            if box.value != html:
                box.value = html

    state.observe(fill, ["plan", "results", "network", "smaller"])
    fill()
    return w.HBox(boxes, layout={"flex_flow": "row wrap", "grid_gap": "12px"})


def card_texts(state: State) -> list[str]:
    """HTML of the three cards."""
    plan, original, latest = state.plan, state.original, state.latest
    texts = []
    for what in ("weights", "macs"):
        dense = getattr(plan.dense, what) if plan else None
        planned = getattr(plan, what) if plan else None
        measured = getattr(latest.cost, what) if latest else None
        texts.append(
            _card(
                term("weights", "Weights") if what == "weights" else f"{term('MACs')} per image",
                _figure("original", count(dense) if dense else None),
                _figure("planned", count(planned) if planned else None, _fewer(dense, planned), soft=planned == dense),
                _figure(
                    _measured(latest),
                    count(measured) if measured else None,
                    _fewer(dense, measured),
                    soft=measured == dense,
                ),
            )
        )
    before, after = (result.test if result else None for result in (original, latest))
    title = term("accuracy", "Accuracy")
    if before:
        title += f" on {before.n} {term('test', 'test images')}"
    if original and original.random_weights:
        title += RANDOM
    change = after.top1 - before.top1 if after and before else None
    note = "" if change is None else f"{change:+.1f} points" if abs(change) >= 0.05 else "no change"
    texts.append(
        _card(
            title,
            _figure("original", _percent(before), aside=_interval(before), more=_top5(before)),
            _figure("planned", None, _foreseen(state) if before else "", soft=True),
            _figure(
                _measured(latest),
                _percent(after),
                note,
                loss=(change or 0) < -1,
                aside=_interval(after),
                more=_top5(after),
            ),
        )
    )
    return texts


def _percent(score: Accuracy | None) -> str | None:
    return f"{score.top1:.1f} %" if score else None


def _top5(score: Accuracy | None) -> str:
    if score is None:
        return ""
    low, high = score.top5_interval
    return f"<small>top-5 {score.top5:.1f} %</small><small title='{SPREAD}'>{low:.1f} to {high:.1f} %</small>"


def _foreseen(state: State) -> str:
    return "not predicted" if state.compressed_as_planned else "after Compress"


def _measured(latest: Result | None) -> str:
    return latest.stage if latest else "measured"


def _fewer(original: int | None, new: int | None) -> str:
    if not original or not new:
        return ""
    return f"{times(original / new)} fewer" if new < original else "the same" if new == original else "more"


def _interval(score: Accuracy | None) -> str:
    if score is None:
        return ""
    low, high = score.interval
    return f"{low:.1f} to {high:.1f} %"


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
    spread = f'<small title="{SPREAD}">{aside}</small>' if aside else ""
    return (
        f'<div class="{"" if value else "wb-none"}"><small>{label}</small><b>{value or "&ndash;"}</b>'
        f'{spread}<span class="{"wb-loss" if loss else ""}"{style}>{note}</span>{more}</div>'
    )


def _card(title: str, *figures: str) -> str:
    return f'<h2>{title}</h2><div class="wb-figures">{"".join(figures)}</div>'
