"""What is going on in the background, how far it is, and Cancel."""

from html import escape

import ipywidgets as w

from workbench.app.state import State


def progress_bar(state: State, *titles: str, but: str = "nothing", idle: str = "Ready") -> w.Widget:
    """What is going on in the background, how far it is, and Cancel, for jobs whose title begins like that.

    Parameters
    ----------
    but : how titles begin that are shown elsewhere all the same.
    idle : what stands there before the first of them.
    """
    bar = w.FloatProgress(min=0, max=1, layout={"flex": "1 1 160px", "height": "14px", "align_self": "center"})
    text = w.HTML(layout={"flex": "0 1 auto", "min_width": "240px"})
    cancel = w.Button(description="Cancel", layout={"width": "90px"}, tooltip="Stop what is going on")
    error = w.HTML()
    job = state.job

    def ours() -> bool:
        return job.title.startswith(titles) and not job.title.startswith(but)

    def refresh(_: object = None) -> None:
        if not ours():
            another = state.opening and not job.title.startswith("Opening run")
            if another or not text.value:  # what was said is about the network before
                error.value = ""
                text.value = f"<div class='wb-status'><b>{escape(idle)}</b></div>"
            bar.layout.visibility = cancel.layout.visibility = "hidden"
            return  # shown elsewhere; what stands here stays, so that nothing jumps
        cancel.disabled = not job.running
        cancel.layout.visibility = "visible" if job.running else "hidden"
        note = f": {escape(job.note)}" if job.note else ""
        text.value = f"<div class='wb-status' role='status'><b>{escape(job.title)}</b>{note}</div>"
        error.value = f"<div class='wb-error' role='alert'>{escape(job.error)}</div>" if job.error else ""
        bar.layout.visibility = "visible" if job.running else "hidden"

    job.observe(refresh, ["running", "note", "error", "title"])

    def advance(_: object = None) -> None:
        if ours():
            bar.value = job.progress

    job.observe(advance, ["progress"])
    cancel.on_click(lambda _: job.cancel())
    row = w.HBox([text, bar, cancel], layout={"align_items": "center", "grid_gap": "10px", "width": "100%"})
    refresh()
    return w.VBox([row, error])
