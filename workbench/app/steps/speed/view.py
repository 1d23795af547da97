"""View of the step *Speed*: the counted saving beside the measured one, and why they differ."""

from html import escape

import ipywidgets as w

from workbench.app.controls import beside, button, column, expert, follow, limited, row, slot
from workbench.app.session import Session
from workbench.app.steps.speed.model import Findings
from workbench.app.widgets.figure_view import FigureView, pick_layers
from workbench.app.widgets.glossary import term
from workbench.app.worker import JobKind
from workbench.measure.runtimes import RUNTIMES
from workbench.measure.speed import Speed
from workbench.plot.interactive.measured import energy, layer_times, roofline, speeds
from workbench.tables import compared, html_table, times

TABLE_HEIGHT_BELOW_FIGURE = "115px"
MISSING_TEXT = "<p class='wb-soft'>The time in each runtime appears here once it has been measured.</p>"


def speed_view(session: Session) -> w.Widget:
    """Return settings and a button above the findings, with their figures beside them."""
    speed, recover, look, worker = session.speed, session.recover, session.look, session.worker
    options = [(title, name) for name, title in RUNTIMES.items()]
    runtimes = slot(w.SelectMultiple, "runtimes", 330, 66, options=options, value=speed.runtimes, rows=len(RUNTIMES))
    runtimes.tooltip = "The programs that run the network; Ctrl or Shift for several"
    threads = limited(w.IntText, "threads", (1, 64), 190, 102, tooltip="Processor threads that a run may use")
    batch = limited(w.IntText, "images at once", (1, 256), 190, 102, tooltip="1 is what a phone's camera gives")
    channels_last = w.Checkbox(indent=False, description="channels last", layout={"width": "130px"})
    channels_last.tooltip = "Another order of a map's numbers in memory, for PyTorch: sometimes faster"
    int8 = w.Checkbox(indent=False, description="int8 files too", layout={"width": "130px"})
    int8.tooltip = "Also time files that compute with 8-bit integers, in ONNX Runtime and ExecuTorch"
    hint = "Time both networks in turns, in every chosen runtime"
    measure = button("Measure", speed.measure, hint, width="118px", primary=True)
    summary, table = w.HTML(), w.HTML()
    labels = ("Time of each layer", "Roofline of this machine", "Energy for one image")
    views = [FigureView(label, height=340) for label in labels]
    answers = FigureView("Time and answers", height=230)

    def enable() -> None:
        measuring = worker.busy(JobKind.SPEED)
        measure.disabled = measuring or recover.run is None
        for box in boxes.values():
            box.disabled = measuring

    def draw() -> None:
        findings, picked = speed.findings, look.picked
        profile, machine = (findings.profile, findings.roofline) if findings else (None, None)
        summary.value = findings_html(findings)
        table.value = table_html(findings.speed) if findings else MISSING_TEXT
        energy_figure = energy(findings.energy if findings else None)
        figures = (layer_times(profile, picked), roofline(profile, machine, picked), energy_figure)
        for view, figure in zip(views, figures, strict=True):
            view.show(figure)
        answers.layout.display = "" if findings and findings.speed.compared else "none"
        answers.show(speeds(findings.speed if findings else None))

    boxes = {"runtimes": runtimes, "threads": threads, "batch": batch, "channels_last": channels_last, "int8": int8}
    for name, box in boxes.items():
        w.link((speed, name), (box, "value"))
    follow(draw, (speed, "findings"), (look, "picked"))
    follow(enable, (recover, "run"), (worker, "jobs"))
    pick_layers(look, *views[:2])
    settings = expert(row(runtimes, column(threads, batch, gap=2), column(channels_last, int8, gap=2)))
    contents = [views[0], views[2], views[1], column(answers, table, gap=4)]  # the last two tabs are for experts
    tabs = w.Tab(contents, titles=["Layers", "Energy", "Roofline", "Runtimes"])
    tabs.add_class("wb-2-simple")
    return column(row(measure, settings, gap=10), beside((summary, 1), (tabs, 1)), gap=8)


def table_html(speed: Speed) -> str:
    """Return the table of the runtimes as HTML, less high if a figure is above it."""
    style = f" style='max-height:{TABLE_HEIGHT_BELOW_FIGURE}'" if speed.compared else ""
    table = html_table(speed.headers, speed.rows, left=speed.left)
    return f"<p class='wb-soft'>{escape(speed.caption)}</p><div class='wb-scroll'{style}>{table}</div>"


def figure_html(label: str, value: str, note: str, *, loss: bool = False) -> str:
    """Return the HTML of a number below its label and above a note, which has the colour of a loss if `loss`."""
    return f'<div><small>{label}</small><b>{value}</b><span class="{"wb-loss" if loss else ""}">{note}</span></div>'


def findings_html(findings: Findings | None) -> str:
    """Return the main numbers and their explanation as HTML; without findings, what they will show."""
    if findings is None:
        return (
            f"<p class='wb-soft'>Fewer {term('MACs')} are not as much less time: small 1x1 factors load many numbers "
            "and use each only a few times. Here both networks are timed in turns on this machine, and what is "
            f"{term('realised')} of the promise is shown beside it.</p>"
        )
    speed = findings.speed
    gain, (dense, small) = speed.best_speedup, speed.fastest
    before, after = (str(row["how"]).partition(", batch")[0].removesuffix(" with XNNPACK") for row in (dense, small))
    change = f"{dense['dense_ms']:.3g} ms ({escape(before)}) → {small['compressed_ms']:.3g} ms ({escape(after)})"
    speedup = compared(gain, "faster", "slower", "as fast as before")
    cards = (
        figure_html("multiply-adds", f"{times(speed.macs_ratio)} fewer", "counted"),
        figure_html("time, fastest runtime of each", speedup, change, loss=gain < 1),
        figure_html(term("realised"), f"{100 * speed.best_realised:.0f} %", "of what counting promises", loss=gain < 1),
    )
    disturbed = f"<p class='wb-warn'>{escape(findings.disturbed)}: not stored.</p>" if findings.disturbed else ""
    return (
        f"{disturbed}<div class='wb-figures'>{''.join(cards)}</div>"
        f"<p class='wb-reason'>Layer by layer in PyTorch, each one timed: {escape(findings.explained)}</p>"
        f"<p class='wb-soft wb-expert'><b>{term('energy')}:</b> {escape(findings.energy.saving)}. "
        f"{escape(findings.energy.source)}</p>"
    )
