"""Choose a network and data; what it weighs, costs and gets right: original, planned, measured."""

import ipywidgets as w

from workbench.app.glossary import term
from workbench.app.state import Result, State
from workbench.catalog.datasets import data_names
from workbench.catalog.networks import bundled_names
from workbench.compression.data import Accuracy
from workbench.compression.ranks import CHOICES
from workbench.compression.table import count, times

POLICIES = tuple((text, choice) for choice, text in CHOICES.items())


def chooser(state: State) -> w.Widget:
    """Network, data set and policy."""
    networks = sorted({*bundled_names(), state.network_name})
    data_sets = sorted({*data_names(), state.data_name})
    network = w.Dropdown(options=networks, value=state.network_name, description="Network", layout={"width": "230px"})
    data = w.Dropdown(options=data_sets, value=state.data_name, description="Data", layout={"width": "200px"})
    policy = w.Dropdown(options=POLICIES, value=state.policy, description="Plan", layout={"width": "330px"})
    reset = w.Button(description="Back to EVBMF", tooltip="Undo all edits by hand: every layer as EVBMF says")
    for box in (network, data, policy):
        box.style.description_width = "60px"
    w.link((state, "network_name"), (network, "value"))
    w.link((state, "data_name"), (data, "value"))
    w.link((state, "policy"), (policy, "value"))
    reset.on_click(lambda _: state.reset_plan())

    def reopen(_: object) -> None:
        state.open()

    state.observe(reopen, ["network_name", "data_name"])

    def enable(_: object = None) -> None:
        for box in (network, data, policy, reset):
            box.disabled = state.job.running

    state.job.observe(enable, ["running"])
    enable()
    return w.HBox([network, data, policy, reset], layout={"flex_flow": "row wrap", "grid_gap": "6px"})


def cards(state: State) -> w.Widget:
    """Three cards: weights, MACs and accuracy, each original -> planned -> measured."""
    boxes = [w.HTML(layout={"width": "auto", "flex": "1 1 0%", "min_width": "300px"}) for _ in range(3)]
    for box in boxes:
        box.add_class("wb-card")

    def fill(_: object = None) -> None:
        for box, html in zip(boxes, card_texts(state), strict=True):
            if box.value != html:
                box.value = html

    state.observe(fill, ["plan", "results", "network"])
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
                _figure("planned", count(planned) if planned else None, _fewer(dense, planned)),
                _figure(_measured(latest), count(measured) if measured else None, _fewer(dense, measured)),
            )
        )
    score = original.test if original else None
    title = (
        f"{term('accuracy', 'Accuracy')} on {score.n} {term('test', 'test images')}"
        if score
        else term("accuracy", "Accuracy")
    )
    change = latest.test.top1 - original.test.top1 if latest and original else None
    note = "" if change is None else f"{change:+.1f} points" if abs(change) >= 0.05 else "no change"
    measured = latest.test if latest else None
    texts.append(
        _card(
            title,
            _figure("original", f"{score.top1:.1f} %" if score else None, aside=_interval(score)),
            _figure("planned", None, _foreseen(state) if score else "", soft=True),
            _figure(
                _measured(latest),
                f"{measured.top1:.1f} %" if measured else None,
                note,
                loss=(change or 0) < -1,
                aside=_interval(measured),
            ),
        )
    )
    return texts


def _foreseen(state: State) -> str:
    return "" if state.compressed_as_planned else "after Compress"


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
    label: str, value: str | None, note: str = "", *, loss: bool = False, soft: bool = False, aside: str = ""
) -> str:
    style = ' style="color:#52606d;font-weight:400"' if soft else ""
    spread = f'<small title="95 % confidence interval for this many images">{aside}</small>' if aside else ""
    return (
        f'<div class="{"" if value else "wb-none"}"><small>{label}</small><b>{value or "&ndash;"}</b>'
        f'{spread}<span class="{"wb-loss" if loss else ""}"{style}>{note}</span></div>'
    )


def _card(title: str, *figures: str) -> str:
    return f'<h2>{title}</h2><div class="wb-figures">{"".join(figures)}</div>'
