"""One picture and the answers of both networks, beside the drawing of the network."""

from html import escape
from pathlib import Path

import ipywidgets as w

from workbench.app.controls import button, column, data_url, follow
from workbench.app.session import Session
from workbench.app.widgets.upload import Upload
from workbench.inspect.gallery import Prediction
from workbench.inspect.preview import Preview
from workbench.network.images.decoding import SUFFIXES
from workbench.network.outputs import MAX_SNR_DB

SIDE = 104  # pixels of the picture
MARKS = {True: "<i class='wb-yes' title='right'>✓</i>", False: "<i class='wb-no' title='wrong'>✗</i>", None: ""}
"""Whether an answer is right, None if that is not known -> HTML."""
EMPTY = "The picture appears here once the network is open."


def preview_view(session: Session) -> w.Widget:
    """Return the picture with the answers, and buttons to choose another one."""
    model, choose = session.preview, session.choose
    answers = w.HTML()
    previous = button("‹", lambda: model.step(-1), "The picture before", width="30px")
    following = button("›", lambda: model.step(1), "The next picture", width="30px")
    changed = button(
        "Other answer", model.next_changed, "A picture that the planned network answers otherwise", width="112px"
    )

    def bring(file: Path, name: str) -> None:
        model.bring(file, name)
        own.keep_only(file)

    own = Upload("Own picture", "A picture of yours; it can be dropped here, too.", SUFFIXES, bring, area=".wb-preview")

    def fill() -> None:
        why = EMPTY if choose.network is None else choose.misfit or model.problem or EMPTY
        if choose.random_weights:
            why = "Random weights give no answers: upload weights, or choose a trained network."
        found = model.found
        answers.value = (
            preview_html(found, model.stage, model.words, model.current) or f"<p class='wb-soft'>{escape(why)}</p>"
        )
        for box in (previous, following, own):
            box.disabled = found is None and not model.problem
        changed.disabled = found is None or found.image is None or not found.original

    follow(fill, (model, "found problem stage words current"), (choose, "opened"))
    own.layout.flex = "1 1 0%"
    for box in (previous, following, changed):
        box.layout.flex = "none"
    buttons = w.HBox([previous, following, changed, own], layout={"grid_gap": "4px", "align_items": "center"})
    box = column(answers, buttons, gap=4)
    box.add_class("wb-preview")
    return box


def preview_html(preview: Preview | None, stage: str, words: str = "", current: bool = True) -> str:
    """Return HTML of a picture with the answers of both networks as bars, grey unless `current`; `words` are below."""
    if preview is None:
        return ""
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
        lines += (
            f"<span title='{name}'>{MARKS[answer.right] if i == 0 else ''}<em>{name}</em><small>{percent} %</small>"
        )
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
