"""Compress, then fine-tune: buttons, settings, progress, a live curve, and Cancel."""

from html import escape

import ipywidgets as w

from workbench.app.figures import curve_figure, fill_curve
from workbench.app.glossary import term
from workbench.app.panels.figure_view import FigureView
from workbench.app.state import State


def recover_panel(state: State) -> w.Widget:
    """Buttons and settings above the live curve."""
    compress = w.Button(description="Compress", button_style="primary", layout={"width": "108px"})
    tune = w.Button(description="Fine-tune", button_style="primary", layout={"width": "108px"})
    wide = {"description_width": "92px"}
    epochs = w.BoundedIntText(
        value=10, min=1, max=500, description="epochs", tooltip="1 to 500", style={"description_width": "54px"}
    )
    rate = w.BoundedFloatText(
        value=1e-3, min=1e-7, max=1.0, step=1e-3, description="learning rate", tooltip="above 0, at most 1", style=wide
    )
    epochs.layout.width, rate.layout.width = "118px", "178px"
    advice = w.HTML()
    figure = FigureView(curve_figure(), "Fine-tuning")

    def refresh(_: object = None) -> None:
        busy = state.job.running
        compress.disabled = busy or state.plan is None
        for box in (tune, epochs, rate):
            box.disabled = busy or state.smaller is None or not state.trainable
        advice.value = f"<div class='wb-soft' style='min-height:38px'>{advice_text(state)}</div>"

    def draw(_: object = None) -> None:
        start = state.latest
        before = None
        if state.curve and start is not None:
            earlier = [r for r in state.results if r.number == start.number]
            score = (earlier[-2] if len(earlier) > 1 and not state.job.running else start).score
            before = score.top1 if score else None
        figure.show(fill_curve, state.curve, before)

    compress.on_click(lambda _: state.compress())
    tune.on_click(lambda _: state.finetune(epochs=epochs.value, learning_rate=rate.value))
    state.observe(refresh, ["plan", "smaller", "results", "data", "misfit"])
    state.observe(draw, ["curve"])
    draw()
    state.job.observe(refresh, ["running"])
    refresh()
    row = {"grid_gap": "8px", "flex_flow": "row wrap"}
    settings = w.HBox([compress, tune, epochs, rate], layout=row)
    progress = progress_bar(state, "Compressing", "Fine-tuning")
    return w.VBox([settings, advice, progress, figure], layout={"grid_gap": "4px"})


def advice_text(state: State) -> str:
    """What to do next, in a sentence or two."""
    if state.plan is None:
        return "The network is being opened."
    if state.job.running:
        return "The network is being worked on; you can go on looking and planning."
    if state.latest is None:
        return (
            "<b>Next: Compress.</b> Every planned layer is replaced by its small factors. "
            f"Accuracy falls at first; {term('fine-tune', 'fine-tuning')} brings it back."
        )
    if not state.compressed_as_planned:
        return "<b>The plan has changed</b> since the last compression. <b>Compress</b> again to see what it gives."
    if not state.trainable:
        return f"<b>Fine-tuning needs training images</b> that fit the network: {escape(state.untrainable)}"
    if state.latest.stage == "decomposed":
        return (
            f"<b>Next: Fine-tune</b> for a few {term('epoch', 'epochs')}. "
            f"The paper's {term('learning rate')} is 0.001, divided by 10 every 5 epochs."
        )
    return "Change ranks above and <b>Compress</b> again for another point, or <b>Fine-tune</b> on."


def progress_bar(state: State, *titles: str) -> w.Widget:
    """What is going on in the background, how far it is, and Cancel, for jobs whose title begins like that."""
    bar = w.FloatProgress(min=0, max=1, layout={"flex": "1 1 160px", "height": "14px", "align_self": "center"})
    text = w.HTML(layout={"flex": "0 1 auto", "min_width": "240px"})
    cancel = w.Button(description="Cancel", layout={"width": "90px"}, tooltip="Stop what is going on")
    error = w.HTML()
    job = state.job

    def refresh(_: object = None) -> None:
        if job.title and not job.title.startswith(titles):
            return  # shown elsewhere; what stands here stays, so that nothing jumps
        cancel.disabled = not job.running
        cancel.layout.visibility = "visible" if job.running else "hidden"
        note = f": {escape(job.note)}" if job.note else ""
        text.value = f"<div class='wb-status' role='status'><b>{escape(job.title or 'Ready')}</b>{note}</div>"
        error.value = f"<div class='wb-error' role='alert'>{escape(job.error)}</div>" if job.error else ""
        bar.layout.visibility = "visible" if job.running else "hidden"

    job.observe(refresh, ["running", "note", "error", "title"])

    def advance(_: object = None) -> None:
        if job.title.startswith(titles):
            bar.value = job.progress

    job.observe(advance, ["progress"])
    cancel.on_click(lambda _: job.cancel())
    row = w.HBox([text, bar, cancel], layout={"align_items": "center", "grid_gap": "10px", "width": "100%"})
    refresh()
    return w.VBox([row, error])
