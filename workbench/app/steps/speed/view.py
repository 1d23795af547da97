"""Speed and energy: what was counted beside what was measured, and why they differ."""

from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.state import State
from workbench.app.steps.speed.model import Findings, Speeds
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.glossary import term
from workbench.app.widgets.numbers import WholeBox
from workbench.app.widgets.picking import pick_layers
from workbench.measure.energy import sources
from workbench.measure.runtimes import RUNTIMES
from workbench.plot.interactive.energy import energy_figure, fill_energy, fill_power, power_figure
from workbench.plot.interactive.roofline import fill_roofline, fill_times, roofline_figure, times_figure
from workbench.tables import times

OFFERED = ("eager", "onnxruntime", "executorch", "compile", "cuda")


def speed_panel(state: State, speeds: Speeds | None = None) -> w.Widget:
    """Settings and a button above headline figures, a table, the roofline and the layers' times."""
    model = speeds or Speeds(state)
    runtimes = w.SelectMultiple(
        options=[(RUNTIMES[name], name) for name in OFFERED],
        value=model.runtimes,
        rows=len(OFFERED),
        description="runtimes",
        tooltip="The programs that run the network; Ctrl or Shift for several",
        layout={"width": "330px"},
        style={"description_width": "66px"},
    )
    threads = WholeBox("threads", model.threads, 1, 64, "Processor threads that a run may use", width=190, label=102)
    batch = WholeBox("images at once", model.batch, 1, 256, "1 is what a phone's camera gives", width=190, label=102)
    last = w.Checkbox(value=False, indent=False, description="channels last", layout={"width": "130px"})
    last.tooltip = "Another order of a map's numbers in memory, for PyTorch: sometimes faster"
    measure = w.Button(description="Measure", button_style="primary", layout={"width": "118px"})
    measure.tooltip = "Time both networks in turns, in every chosen runtime"
    bar = w.FloatProgress(min=0, max=1, layout={"width": "200px", "height": "14px", "align_self": "center"})
    cancel = w.Button(description="Cancel", layout={"width": "90px"}, tooltip="Stop measuring")
    status, found = w.HTML(), w.HTML()
    times = FigureView(times_figure(), "Time of each layer")
    roof = FigureView(roofline_figure(), "Roofline of this machine")
    joules, power = FigureView(energy_figure(), "Energy for one image"), FigureView(power_figure(), "Power over time")

    def busy(_: object = None) -> None:
        job = model.job
        bar.layout.visibility = cancel.layout.visibility = "visible" if job.running else "hidden"
        measure.disabled = job.running or state.smaller is None or state.job.running
        for box in (runtimes, threads, batch, last):
            box.disabled = job.running
        if job.error:
            status.value = f"<div class='wb-error' role='alert'>{escape(job.error)}</div>"
        else:
            note = job.note if job.running or not model.note else model.note
            status.value = f"<div class='wb-status' role='status'>{escape(note)}</div>"

    def mark(_: object = None) -> None:
        findings = model.findings
        before, after = findings.profiles if findings else (None, None)
        times.show(fill_times, before, after, state.selected)
        roof.show(fill_roofline, before, after, findings.roofline if findings else None, state.selected)

    def draw(_: object = None) -> None:
        findings = model.findings
        found.value = findings_html(findings)
        mark()
        spent = dict(zip(("original", "compressed"), findings.energies, strict=True)) if findings else {}
        joules.show(fill_energy, spent)
        power.show(fill_power, {name: one.trace for name, one in spent.items() if one.trace is not None})

    w.link((model, "runtimes"), (runtimes, "value"))
    for name, box in (("threads", threads), ("batch", batch), ("channels_last", last)):
        w.link((model, name), (box, "value"))
    measure.on_click(lambda _: model.measure())
    cancel.on_click(lambda _: model.job.cancel())
    model.observe(draw, ["findings"])
    model.observe(busy, ["note"])
    model.job.observe(busy, ["running", "note", "error"])
    model.job.observe(lambda change: setattr(bar, "value", change["new"]), ["progress"])
    state.job.observe(busy, ["running"])
    state.observe(lambda _: mark() if model.findings else None, ["selected"])
    pick_layers(state, times, roof)
    draw()
    busy()
    row = {"grid_gap": "10px", "align_items": "center", "flex_flow": "row wrap"}
    settings = w.VBox([threads, threads.words, batch, batch.words, last], layout={"grid_gap": "2px"})
    side = w.VBox([w.HBox([measure, cancel, bar], layout=row), status], layout={"flex": "1 1 300px"})
    figures = [
        w.HBox([_half(one) for one in pair], layout={"flex_flow": "row wrap"})
        for pair in ((times, roof), (joules, power))
    ]
    for pair in figures:
        pair.layout.flex_flow, pair.layout.grid_gap = "row wrap", "12px"
    return w.VBox([w.HBox([runtimes, settings, side], layout=row), found, *figures], layout={"grid_gap": "8px"})


def _name(row: dict[str, Any]) -> str:
    """Of a runtime, as the table says it, as short as it can be."""
    return escape(str(row["how"]).partition(", batch")[0].removesuffix(" with XNNPACK"))


def findings_html(findings: Findings | None) -> str:
    """Headline figures, the sentences and the table of runtimes."""
    if findings is None:
        return (
            f"<p class='wb-soft'>Fewer {term('MACs')} are not as much less time: small 1x1 factors load many numbers "
            "and use each only a few times. Here both networks are timed in turns on this machine, and what is "
            f"{term('realised')} of the promise is shown beside it.</p>"
        )
    speed = findings.speed
    best = speed.best_realised
    dense, small = (min(speed.rows(), key=lambda row: float(row[key])) for key in ("dense_ms", "compressed_ms"))
    gain = best * speed.macs_ratio
    cards = (
        ("multiply-adds", f"{times(speed.macs_ratio)} fewer", "counted"),
        (
            "time, fastest runtime of each",
            f"{times(gain)} faster" if gain >= 1 else f"{times(1 / gain)} slower",
            f"{dense['dense_ms']:.3g} ms ({_name(dense)}) → {small['compressed_ms']:.3g} ms ({_name(small)})",
        ),
        (term("realised"), f"{100 * best:.0f} %", "of what counting promises"),
    )
    loss = " class='wb-loss'"
    figures = "".join(
        f"<div><small>{name}</small><b>{value}</b><span{loss if value.endswith('slower') else ''}>{note}</span></div>"
        for name, value, note in cards
    )
    energy = escape(findings.saved_energy)
    rows = speed._repr_html_()
    return (
        f"<div class='wb-figures wb-wraps'>{figures}</div>"
        f"<p class='wb-reason'>Layer by layer in PyTorch, each one timed: {escape(findings.explained)}</p>"
        f"<div class='wb-scroll'>{rows}</div>"
        f"<p class='wb-soft'><b>{term('energy')}:</b> {energy}. {escape(sources(*findings.energies))}</p>"
    )


def _half(figure: FigureView) -> FigureView:
    figure.layout.flex, figure.layout.min_width = "1 1 0%", "520px"
    return figure
