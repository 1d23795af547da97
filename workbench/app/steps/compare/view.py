"""View of the step *Compare*: accuracy against FLOPs and against rank, runs, images, filters, and tables."""

from base64 import b64encode
from html import escape
from typing import Any

import ipywidgets as w
import numpy as np

from workbench.app.controls import Alert, button, column, data_url, follow, limited, row, slot, updated_html
from workbench.app.debounce import Debounce
from workbench.app.network_view import MARKS, PICTURE_PX
from workbench.app.session import Session
from workbench.app.steps.plan.view import LAYER_CHOICES
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.glossary import term
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.worker import JobKind
from workbench.catalog.paper.published import SOURCE
from workbench.inspect.gallery import Filters, Gallery, Image, Picture, Prediction
from workbench.inspect.layerwise import layerwise
from workbench.network.scores import Score
from workbench.plot.interactive.scores import rank_curve, tradeoff
from workbench.runs.run import Run, Runs
from workbench.tables import times

SCORE_HINT = "Top-1 accuracy on validation images, or agreement with the original; its 95 % interval; number of images."
STAGES = ("decomposed", "calibrated", "distilled", "fine-tuned", "from scratch")
RUN_COLUMNS = [
    {"key": "number", "title": "run", "kind": "number"},
    {"key": "created", "title": "made", "kind": "text", "expert": True},
    {"key": "plan", "title": "plan", "kind": "reason"},
    {"key": "macs", "title": "fewer MACs", "kind": "number"},
    {"key": "weights", "title": "fewer weights", "kind": "number", "expert": True},
    *({"key": stage, "title": stage, "kind": "score", "hint": SCORE_HINT} for stage in STAGES),
]
RECOVERIES = (("calibrate each", "calibrate"), ("calibrate and fine-tune each", "fine-tune"), ("no recovery", "none"))
FILTERS_HINT = "The filters of the first layer appear here, original and compressed, once the network is compressed."
PAPER_TEXT = (
    "The paper's four networks: weights and MACs computed here from their definitions, what compression makes of the "
    f"open network if it has real weights, and beside them the published figures ({escape(SOURCE)})."
)


def compare_view(session: Session) -> w.Widget:
    """Return the views of this step as tabs."""
    tabs = {
        "Trade-off": tradeoff_view(session),
        "Runs": runs_view(session),
        "Images": gallery_view(session),
        "Filters": filters_view(session),
        "One layer's ranks": rank_curve_view(session),  # this tab and the next two are for experts
        "Layer by layer": layerwise_view(session),
        "The paper's table": paper_view(session),
    }
    return w.Tab([*tabs.values()], titles=[*tabs]).add_class("wb-4-simple")


def tradeoff_view(session: Session) -> w.Widget:
    """Return the plot of accuracy against FLOPs, with a point for each stage of each run."""
    recover, choose, plan, worker = session.recover, session.choose, session.plan, session.worker
    figure = FigureView("Accuracy against FLOPs", height=440)
    hint = "Before anything is compressed: measure the layers on some images, and draw what each saving should cost"
    forecast = button("Forecast", plan.forecast, hint, width="120px")

    def enable() -> None:
        forecast.layout.display = "none" if plan.curve is not None or choose.random_weights else ""
        forecast.disabled = not choose.calibratable or worker.busy(JobKind.IMPORTANCE)

    def draw() -> None:
        numbers = {run.number for run in recover.runs}
        earlier = [run for run in recover.stored if run.number not in numbers]
        dense = choose.spectra.total if choose.spectra else None
        options: dict[str, Any] = {"random_weights": choose.random_weights, "forecast": plan.curve}
        figure.show(tradeoff(recover.runs, choose.original, earlier, dense=dense, **options))

    follow(draw, (recover, "runs stored"), (choose, "opened"), (plan, "curve"))
    follow(enable, (choose, "opened"), (plan, "curve"), (worker, "jobs"))
    return column(forecast, figure, gap=2)


def runs_view(session: Session) -> w.Widget:
    """Return a sweep above the table of runs, with buttons to resume or delete the picked run."""
    recover, worker = session.recover, session.worker
    table, csv, note, problem = LayerTable(label="Runs", columns=RUN_COLUMNS), w.HTML(), w.HTML(), Alert()
    unconfirmed = 0  # number of the run that the button asks whether to delete

    def picked_number() -> int:
        return next((line["number"] for line in table.rows if line["name"] == table.selected), 0)

    def fill() -> None:
        table.set_items([run_row(run) for run in reversed(recover.stored)])
        if not picked_number():
            table.selected = ""
        csv.value = csv_link(recover.stored)
        empty_text = "Every compression becomes a row here, and is still there after reopening."
        text = "Pick a row to go on with that run, or to delete it." if recover.stored else empty_text
        note.value = f"<div class='wb-soft'>{text}</div>"
        problem.say(recover.store_problem)

    def confirm(number: int = 0) -> None:
        nonlocal unconfirmed
        unconfirmed = number
        delete.description = f"Really delete run {number}?" if number else "Delete"
        delete.button_style = "danger" if number else ""

    def press_delete() -> None:
        number = picked_number()
        confirmed = unconfirmed == number
        confirm(0 if confirmed else number)
        if confirmed:
            recover.delete(number)

    def enable() -> None:
        resume.disabled = delete.disabled = not picked_number() or recover.busy
        confirm()

    hint = "Make it the compressed network again, from the store"
    resume = button("Go on with this run", lambda: recover.resume(picked_number()), hint)
    delete = button("Delete", press_delete, "Take the picked run out of the store, for good", width="auto")
    delete.layout.min_width = "148px"
    follow(fill, (recover, "stored store_problem"))
    follow(enable, (worker, "jobs"), (table, "selected"))
    return column(sweep_box(session), table, note, problem, row(resume, delete, csv))


def sweep_box(session: Session) -> w.Widget:
    """Return the controls of a sweep over several budgets."""
    recover, plan, worker = session.recover, session.plan, session.worker
    limits = {"min": 1.1, "max": 10.0, "step": 0.1, "value": (1.5, 6.0), "readout_format": ".1f"}
    ratios = slot(w.FloatRangeSlider, "fewer MACs, from - to", 430, 142, **limits)
    number = limited(w.IntText, "budgets", (2, 12), 122, 62, value=4)
    recovery = slot(w.Dropdown, "then", 256, 32, options=RECOVERIES)

    def sweep() -> None:
        low, high = ratios.value
        recover.sweep(np.geomspace(low, high, number.value).round(2).tolist(), recovery.value)

    def enable() -> None:
        start.disabled = recover.busy or plan.plan is None
        for box in (ratios, number, recovery):
            box.disabled = recover.busy

    hint = "Compress to every budget and recover each; each point appears as soon as it is ready"
    start = button("Sweep", sweep, hint, width="100px", primary=True)
    follow(enable, (worker, "jobs"), (plan, "plan"))
    return row(ratios, number, recovery, start)


def rank_curve_view(session: Session) -> w.Widget:
    """Return a button above the curve of accuracy against the rank of the picked layer."""
    curve, choose, look, worker = session.rank_curve, session.choose, session.look, session.worker
    hint = "Decompose only this layer at several ranks, and score the network each time"
    measure = button("", curve.measure, hint, width="auto", primary=True)
    measure.layout.min_width = "200px"
    text = w.HTML(
        "<p class='wb-soft'>How does accuracy depend on this layer's rank? "
        "No other layer is compressed, and nothing is recovered.</p>"
    )
    figure = FigureView("Accuracy against rank")

    def enable() -> None:
        measure.description = f"Try ranks of {look.picked or 'the picked layer'}"
        measure.disabled = worker.busy(JobKind.RANK_CURVE) or not choose.calibratable or not look.picked

    follow(enable, (look, "picked"), (choose, "opened"), (worker, "jobs"))
    follow(lambda: figure.show(rank_curve(*curve.measured)), (curve, "measured"))
    return column(text, measure, figure)


def layerwise_view(session: Session) -> w.Widget:
    """Return the table of weights and MACs of each factor of each planned layer."""
    plan = session.plan
    table = w.HTML()

    def fill() -> None:
        html = layerwise(plan.plan)._repr_html_() if plan.plan is not None else ""
        table.value = f"<div class='wb-scroll'>{html}</div>" if html else "<p class='wb-soft'>No network is open.</p>"

    plan.observe(Debounce(fill), ["plan"])  # a large table, mostly hidden behind another tab
    fill()
    return table


def paper_view(session: Session) -> w.Widget:
    """Return a choice of layers and a button above the paper's table."""
    paper, worker = session.paper, session.worker
    layers = slot(w.Dropdown, "Compressed layers", 430, 140, options=LAYER_CHOICES)
    linear = w.Checkbox(description="with fully connected layers", indent=False, layout={"width": "auto"})
    compute = button("Compute the table", paper.compute, width="160px", primary=True)

    def table_html() -> str:
        if paper.table is None:
            return f"<p class='wb-soft'>{PAPER_TEXT}</p>"
        note = f"{escape(paper.note)} Tinted columns, marked (p), are <b>published</b>, not computed here."
        table = f"<div class='wb-scroll wb-paper'>{paper.table._repr_html_()}</div>"
        return f"<p class='wb-soft'>{note}</p>{table}"

    def enable() -> None:
        for box in (layers, linear, compute):
            box.disabled = worker.busy(JobKind.PAPER)

    w.link((paper, "layers"), (layers, "value"))
    w.link((paper, "fully_connected"), (linear, "value"))
    follow(enable, (worker, "jobs"))
    return w.VBox([row(layers, linear, compute, gap=10), updated_html(table_html, (paper, "table note"))])


def gallery_view(session: Session) -> w.Widget:
    """Return sample images with both networks' answers, below the controls of the sample."""
    gallery, choose, recover = session.gallery, session.choose, session.recover
    other = button("Other images", gallery.other_images, "Another sample of the test images")
    changed = w.Checkbox(description="look for changed answers", indent=False)
    changed.tooltip = "Images on which the two networks disagree, first"
    images = w.HTML()

    def fill() -> None:
        reason = choose.misfit or gallery.why_no_gallery
        empty_text = f"No images to show: {reason}" if reason else "The images appear here once the network is open."
        images.value = gallery_html(gallery.gallery) or f"<p class='wb-soft'>{escape(empty_text)}</p>"
        changed.disabled = recover.run is None

    w.link((gallery, "changed_first"), (changed, "value"))
    follow(fill, (gallery, "gallery why_no_gallery"), (recover, "run"))
    return column(row(other, changed, gap=10), images)


def filters_view(session: Session) -> w.Widget:
    """Return the first layer's filters, original and compressed."""
    gallery = session.gallery
    source = (gallery, "filters why_no_filters")
    return updated_html(lambda: filters_html(gallery.filters, gallery.why_no_filters), source)


def run_row(run: Run) -> dict[str, Any]:
    """Return the row of a run in the table; a score is two lines, the second in small print."""
    scores = {str(stage.name): _score_text(stage.score) for stage in run.stages if stage.score}
    return {
        "name": str(run.number),
        "number": run.number,
        "created": run.created[:16].replace("T", " "),
        "plan": run.plan.describe(),
        "macs": times(run.plan.macs_ratio),
        "weights": times(run.plan.weights_ratio),
        **{stage: scores.get(stage, "-") for stage in STAGES},
    }


def _score_text(score: Score) -> str:
    if not score.is_share:
        return f"{score.value}\n{score.kind} ({score.n})"
    low, high = score.interval
    kind = "same, " if score.kind == "agreement" else ""
    return f"{score.shown:.1f} %\n{kind}{100 * low:.1f} to {100 * high:.1f} % ({score.n})"


def csv_link(runs: tuple[Run, ...]) -> str:
    """Return an HTML link that downloads the runs as CSV, or "" if there are none."""
    content = b64encode(Runs(runs).to_csv().encode()).decode()
    link = f"<a class='wb-link' download='runs.csv' href='data:text/csv;base64,{content}'>Download as CSV</a>"
    return link if runs else ""


def gallery_html(gallery: Gallery | None) -> str:
    """Return HTML with a card for each image: the picture, its true class, and each network's answer."""
    if gallery is None:
        return ""
    right = sum(picture.before.right is True for picture in gallery.pictures)
    summary = f"Of these {len(gallery.pictures)} {gallery.split} images the original names {right} right"
    answers = [picture.after for picture in gallery.pictures if picture.after is not None]
    if answers:
        summary += f", the compressed one {sum(answer.right is True for answer in answers)}. "
        summary += f"Of {gallery.looked_at} looked at, {gallery.changed} got another answer"
    cards = "".join(map(_card_html, gallery.pictures))
    return f"<p class='wb-soft'>{summary}.</p><div class='wb-gallery'>{cards}</div>"


def _card_html(picture: Picture) -> str:
    answers = _answer_html("original", picture.before) + _answer_html("compressed", picture.after)
    name, changed = escape(picture.name), " wb-changed" if picture.changed else ""
    return (
        f"<figure class='wb-picture{changed}'><img alt='{name}' width='{PICTURE_PX}' height='{PICTURE_PX}' "
        f"src='{data_url(picture.image, PICTURE_PX)}'>"
        f"<figcaption><b title='true class: {name}'>{name}</b>{answers}</figcaption></figure>"
    )


def _answer_html(network: str, answer: Prediction | None) -> str:
    if answer is None:  # a placeholder, so that the card keeps its height when the answer comes
        return f"<span title='{network}: not yet'><small class='wb-who'>{network}</small>&ndash;</span>"
    name = escape(answer.name)
    return (
        f"<span title='{network}: {name}'><small class='wb-who'>{network}</small>{MARKS[answer.right]}<em>{name}</em>"
        f"<small>{100 * answer.probability:.0f} %</small></span>"
    )


def filters_html(filters: Filters | None, why_not: str = "") -> str:
    """Return HTML of the first convolution's filters, the original's above those that its factors multiply to."""
    if filters is None:
        return f"<p class='wb-soft wb-filters-place'>{escape(why_not or FILTERS_HINT)}</p>"
    rows = ""
    for network, images in (("original", filters.original), ("compressed", filters.reconstructed)):
        title, url = escape(f"{network} filters of {filters.layer}"), data_url(sheet(images), None)
        link = f"download='{title.replace(' ', '_')}.png' href='{url}' title='Save the {title}'"
        rows += f"<div class='wb-filters'><small>{network}<br><a class='wb-link' {link}>PNG</a></small>"
        rows += f"<img alt='{title}' src='{url}'></div>"
    return (
        f"<h3>{len(filters.errors)} filters of the first layer, {escape(filters.layer)}</h3>"
        f"<p class='wb-soft'>Grey is zero, brighter is positive, darker negative, all on one scale. The compressed "
        f"filters are {100 * filters.error:.1f} % off ({term('kernel error')}); the worst single one "
        f"{100 * float(filters.errors.max()):.0f} %. Recovery can move them further off than the plan says.</p>{rows}"
    )


def sheet(images: Image) -> Image:
    """Arrange images (n, height, width, 3) in rows of 32 on white, about 28 pixels each."""
    n, height, width, _ = images.shape
    zoom, columns = max(1, round(28 / max(height, width))), min(32, n)
    tiles = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    tiles = np.pad(tiles, ((0, -n % columns), (0, 3), (0, 3), (0, 0)), constant_values=255)
    rows = [np.concatenate(list(tiles[i : i + columns]), axis=1) for i in range(0, len(tiles), columns)]
    return np.concatenate(rows)
