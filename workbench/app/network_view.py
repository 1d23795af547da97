"""The network, drawn: how large its layers are, and what the plan leaves of them; beside it one picture in both."""

from dataclasses import replace
from html import escape
from pathlib import Path

import ipywidgets as w

from workbench.app.controls import button, column, data_url, follow, row
from workbench.app.session import Session
from workbench.app.widgets.network_graph import NetworkGraph
from workbench.app.widgets.upload import Upload
from workbench.inspect.drawing.fills import AREAS, Measured
from workbench.inspect.drawing.svg import Drawing, graph_of
from workbench.inspect.gallery import Prediction
from workbench.inspect.preview import Preview
from workbench.network.images.decoding import SUFFIXES
from workbench.network.outputs import MAX_SNR_DB

COLORS = {
    "error": "Predicted error of the kernel",
    "importance": "Expected squared change of the answers",
    "noise": "Signal to noise of each layer, on the picture",
}
"""What the colours can mean -> a hint."""
SIDE = 104  # pixels of the picture
MARKS = {True: "<i class='wb-yes' title='right'>✓</i>", False: "<i class='wb-no' title='wrong'>✗</i>", None: ""}
"""Whether an answer is right, None if that is not known -> HTML."""
EMPTY = "The picture appears here once the network is open."


def network_view(session: Session, aspect: float = 6.5) -> w.Widget:
    """Return a drawing of this width / height below the choice of its areas and colours, and the picture beside it."""
    plan, preview = session.plan, session.preview
    graph = NetworkGraph()
    areas = [(text, name) for name, text in AREAS.items()]
    area = w.ToggleButtons(options=areas, style={"button_width": "110px"})
    area.tooltips = ["Area of a block: multiply-adds for one image", "Area of a block: numbers that the network stores"]
    color = w.ToggleButtons(options=["error"], style={"button_width": "84px"})

    def measured() -> dict[str, Measured]:
        found: dict[str, Measured] = {"error": None}
        found |= {"importance": plan.measured} if plan.measured is not None else {}
        if preview.found is not None:
            noise = preview.found.comparison
            found["noise"] = noise if preview.current else replace(noise, layers=())  # not that of another plan
        return found

    def fill() -> None:
        found, shown = measured(), plan.plan
        if list(color.options) != (names := list(found)):
            with color.hold_trait_notifications():
                chosen, color.options = color.value, names
                color.value = chosen if chosen in names else names[0]
                color.tooltips = [COLORS[name] for name in names]
        color.layout.display = "" if len(names) > 1 else "none"
        colored = found.get(color.value)
        graph.show(None if shown is None else Drawing(shown, graph_of(shown), colored, area.value, aspect))

    def recolor() -> None:
        if color.value == "noise" or list(color.options) != list(measured()):
            fill()

    w.link((session.look, "picked"), (graph, "selected"))
    follow(fill, (plan, "plan measured"), (color, "value"), (area, "value"))
    follow(recolor, (preview, "found current"))
    drawing = column(row(area, color, gap=10), graph, gap=4).add_class("wb-drawing")
    drawing.layout.flex, drawing.layout.min_width = "1 1 0%", "min(100%, 460px)"
    return w.HBox([drawing, preview_view(session)], layout={"grid_gap": "12px", "flex_flow": "row wrap"})


def preview_view(session: Session) -> w.Widget:
    """Return a picture with the answers of both networks, and buttons to choose another one."""
    model, choose = session.preview, session.choose
    answers = w.HTML()
    previous = button("‹", lambda: model.step(-1), "The picture before", width="30px")
    following = button("›", lambda: model.step(1), "The next picture", width="30px")
    hint = "A picture that the planned network answers otherwise"
    changed = button("Other answer", model.next_changed, hint, width="112px")

    def bring(file: Path, name: str) -> None:
        model.bring(file, name)
        own.keep_only(file)

    own = Upload("Own picture", "A picture of yours; it can be dropped here, too.", SUFFIXES, bring, area=".wb-preview")

    def fill() -> None:
        found = model.found
        why = EMPTY if choose.network is None else choose.misfit or model.problem or EMPTY
        if choose.random_weights:
            why = "Random weights give no answers: upload weights, or choose a trained network."
        shown = preview_html(found, model.stage, model.words, model.current) if found is not None else ""
        answers.value = shown or f"<p class='wb-soft'>{escape(why)}</p>"
        for box in (previous, following, own):
            box.disabled = found is None and not model.problem
        changed.disabled = found is None or found.image is None or not found.original

    follow(fill, (model, "found problem stage words current"), (choose, "opened"))
    own.layout.flex = "1 1 0%"
    for box in (previous, following, changed):
        box.layout.flex = "none"
    buttons = w.HBox([previous, following, changed, own], layout={"grid_gap": "4px", "align_items": "center"})
    return column(answers, buttons, gap=4).add_class("wb-preview")


def preview_html(preview: Preview, stage: str, words: str = "", current: bool = True) -> str:
    """Return HTML of a picture with the answers of both networks as bars, grey unless `current`; `words` are below."""
    name = escape(preview.name)
    rows = _answers("original", preview.original) + _answers(stage, preview.compressed)
    if not preview.original:
        rows = f"<p>These outputs name no class. Signal to noise: {_decibels(preview.comparison.snr_db)}.</p>"
    image = ""
    if preview.image is not None:
        source = data_url(preview.image, SIDE)
        image = f"<img alt='{name or 'picture'}' width='{SIDE}' height='{SIDE}' src='{source}'>"
    changed = " wb-changed" if preview.changed else ""
    note = f"<small class='wb-soft'>{escape(words)}</small>" if words else ""
    return f"<div class='wb-one{changed}'{_busy(current)}>{image}<div>{rows}{note}</div></div>"


def _busy(current: bool) -> str:
    return "" if current else " aria-busy='true'"


def _decibels(snr_db: float) -> str:
    return "unchanged" if snr_db >= MAX_SNR_DB else f"{snr_db:.0f} dB"


def _answers(who: str, answers: tuple[Prediction, ...]) -> str:
    lines = ""
    for i, answer in enumerate(answers):
        name, percent = escape(answer.name), f"{100 * answer.probability:.0f}"
        mark = MARKS[answer.right] if i == 0 else ""
        lines += f"<span title='{name}'>{mark}<em>{name}</em><small>{percent} %</small>"
        lines += f"<i class='wb-sure' style='width:{percent}%'></i></span>"
    return f"<p><b>{escape(who)}</b>{lines}</p>"


def maps_html(preview: Preview | None, stage: str, current: bool = True) -> str:
    """Return HTML of a layer's feature maps, the original's above those of the compressed network, likewise."""
    if preview is None or not preview.layer:
        return "<p class='wb-soft'>The maps appear here once there is a picture.</p>"
    about, rows = f"{escape(preview.layer)} gives no maps.", ""
    if preview.maps is not None:
        channels = len(preview.maps[0])
        about = f"What {escape(preview.layer)} sees in the picture: its {channels} strongest channels. Grey is zero."
        for who, maps in zip(("original", stage), preview.maps, strict=True):
            pictures = "".join(f"<img alt='' src='{data_url(image, None)}'>" for image in maps)
            rows += f"<div class='wb-maps'><small>{escape(who)}</small>{pictures}</div>"
    noise = "" if preview.snr_db is None else f" Signal to noise: {_decibels(preview.snr_db)}."
    return f"<div{_busy(current)}><p class='wb-soft'>{about}{noise}</p>{rows}</div>"
