"""Draw the network with its plan, and beside it one picture with the answers of both networks."""

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
"""Quantity that the colours show -> hint."""
PICTURE_PX = 104
MARKS = {True: "<i class='wb-yes' title='right'>✓</i>", False: "<i class='wb-no' title='wrong'>✗</i>", None: ""}
"""Whether an answer is right, or None if unknown -> HTML."""
NO_PICTURE = "The picture appears here once the network is open."


def network_view(session: Session, aspect: float = 6.5) -> w.Widget:
    """Return a drawing of this width / height, choices of its areas and colours, and the picture."""
    plan, preview = session.plan, session.preview
    graph = NetworkGraph()
    area = w.ToggleButtons(options=[(text, name) for name, text in AREAS.items()], style={"button_width": "110px"})
    area.tooltips = ["Area of a block: multiply-adds for one image", "Area of a block: numbers that the network stores"]
    color = w.ToggleButtons(options=["error"], style={"button_width": "84px"})

    def quantities() -> dict[str, Measured]:
        values: dict[str, Measured] = {"error": None}
        values |= {"importance": plan.measured} if plan.measured is not None else {}
        if preview.found is not None:
            noise = preview.found.comparison
            values["noise"] = noise if preview.current else replace(noise, layers=())  # measured with another plan
        return values

    def fill() -> None:
        values, drawn = quantities(), plan.plan
        if list(color.options) != (names := list(values)):
            with color.hold_trait_notifications():
                previous, color.options = color.value, names
                color.value = previous if previous in names else names[0]
                color.tooltips = [COLORS[name] for name in names]
        color.layout.display = "" if len(names) > 1 else "none"
        measured = values.get(color.value)
        graph.show(None if drawn is None else Drawing(drawn, graph_of(drawn), measured, area.value, aspect))

    def recolor() -> None:
        if color.value == "noise" or list(color.options) != list(quantities()):
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
    next_ = button("›", lambda: model.step(1), "The next picture", width="30px")
    hint = "A picture that the planned network answers otherwise"
    other_answer = button("Other answer", model.next_changed, hint, width="112px")

    def receive(file: Path, name: str) -> None:
        model.bring(file, name)
        upload.keep_only(file)

    hint = "A picture of yours; it can be dropped here, too."
    upload = Upload("Own picture", hint, SUFFIXES, receive, area=".wb-preview")

    def fill() -> None:
        preview = model.found
        message = NO_PICTURE if choose.network is None else choose.misfit or model.problem or NO_PICTURE
        if choose.random_weights:
            message = "Random weights give no answers: upload weights, or choose a trained network."
        html = preview_html(preview, model.stage, model.words, model.current) if preview is not None else ""
        answers.value = html or f"<p class='wb-soft'>{escape(message)}</p>"
        for box in (previous, next_, upload):
            box.disabled = preview is None and not model.problem
        other_answer.disabled = preview is None or preview.image is None or not preview.original

    follow(fill, (model, "found problem stage words current"), (choose, "opened"))
    upload.layout.flex = "1 1 0%"
    for box in (previous, next_, other_answer):
        box.layout.flex = "none"
    buttons = w.HBox([previous, next_, other_answer, upload], layout={"grid_gap": "4px", "align_items": "center"})
    return column(answers, buttons, gap=4).add_class("wb-preview")


def preview_html(preview: Preview, stage: str, words: str = "", current: bool = True) -> str:
    """Return HTML of a picture with the answers of both networks as bars, grey unless `current`, above `words`."""
    name = escape(preview.name)
    rows = _answers_html("original", preview.original) + _answers_html(stage, preview.compressed)
    if not preview.original:
        rows = f"<p>These outputs name no class. Signal to noise: {_decibel_text(preview.comparison.snr_db)}.</p>"
    image = ""
    if preview.image is not None:
        source = data_url(preview.image, PICTURE_PX)
        image = f"<img alt='{name or 'picture'}' width='{PICTURE_PX}' height='{PICTURE_PX}' src='{source}'>"
    changed = " wb-changed" if preview.changed else ""
    note = f"<small class='wb-soft'>{escape(words)}</small>" if words else ""
    return f"<div class='wb-one{changed}'{_busy_attribute(current)}>{image}<div>{rows}{note}</div></div>"


def _busy_attribute(current: bool) -> str:
    return "" if current else " aria-busy='true'"


def _decibel_text(snr_db: float) -> str:
    return "unchanged" if snr_db >= MAX_SNR_DB else f"{snr_db:.0f} dB"


def _answers_html(title: str, answers: tuple[Prediction, ...]) -> str:
    lines = ""
    for i, answer in enumerate(answers):
        name, percent = escape(answer.name), f"{100 * answer.probability:.0f}"
        mark = MARKS[answer.right] if i == 0 else ""
        lines += f"<span title='{name}'>{mark}<em>{name}</em><small>{percent} %</small>"
        lines += f"<i class='wb-sure' style='width:{percent}%'></i></span>"
    return f"<p><b>{escape(title)}</b>{lines}</p>"


def maps_html(preview: Preview | None, stage: str, current: bool = True) -> str:
    """Return HTML of a layer's feature maps: the original's, and below them the compressed network's."""
    if preview is None or not preview.layer:
        return "<p class='wb-soft'>The maps appear here once there is a picture.</p>"
    caption, rows = f"{escape(preview.layer)} gives no maps.", ""
    if preview.maps is not None:
        channels = len(preview.maps[0])
        caption = f"What {escape(preview.layer)} sees in the picture: its {channels} strongest channels. Grey is zero."
        for title, maps in zip(("original", stage), preview.maps, strict=True):
            pictures = "".join(f"<img alt='' src='{data_url(image, None)}'>" for image in maps)
            rows += f"<div class='wb-maps'><small>{escape(title)}</small>{pictures}</div>"
    noise = "" if preview.snr_db is None else f" Signal to noise: {_decibel_text(preview.snr_db)}."
    return f"<div{_busy_attribute(current)}><p class='wb-soft'>{caption}{noise}</p>{rows}</div>"
