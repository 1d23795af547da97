"""The step *Compare*: accuracy against FLOPs and against rank, images, filters, and tables."""

from html import escape

import ipywidgets as w
import numpy as np

from workbench.app.controls import button, column, data_url, follow, row, slot
from workbench.app.debounce import Debounce
from workbench.app.session import Session
from workbench.app.steps.compare.preview_view import MARKS, SIDE
from workbench.app.steps.plan.view import LAYER_CHOICES
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.glossary import term
from workbench.app.worker import JobKind
from workbench.catalog.paper.published import SOURCE
from workbench.inspect.gallery import Filters, Gallery, Image, Picture, Prediction
from workbench.inspect.layerwise import layerwise
from workbench.plot.interactive.scores import rank_curve, tradeoff

FILTERS_HINT = "The filters of the first layer appear here, original and compressed, once the network is compressed."
PAPER_TEXT = (
    "The paper's four networks: weights and MACs computed here from their definitions, what compression makes of the "
    f"open network if it has real weights, and beside them the published figures ({escape(SOURCE)})."
)


def tradeoff_view(session: Session) -> w.Widget:
    """Return the plot of accuracy against FLOPs; every measured network of the session is a point."""
    recover, choose, plan, worker = session.recover, session.choose, session.plan, session.worker
    figure = FigureView("Accuracy against FLOPs", height=440)
    hint = "Before anything is compressed: look at some images layer by layer, and draw what each saving should cost"
    ask = button("Forecast", plan.forecast, hint, width="120px")

    def enable() -> None:
        ask.layout.display = "none" if plan.curve is not None or choose.random_weights else ""
        ask.disabled = not choose.calibratable or worker.busy(JobKind.IMPORTANCE)

    def draw() -> None:
        numbers = {run.number for run in recover.runs}
        earlier = [run for run in recover.stored if run.number not in numbers]
        dense = choose.spectra.total if choose.spectra else None
        random = choose.random_weights
        figure.show(
            tradeoff(recover.runs, choose.original, earlier, dense=dense, random_weights=random, forecast=plan.curve)
        )

    follow(draw, (recover, "runs stored"), (choose, "opened"), (plan, "curve"))
    follow(enable, (choose, "opened"), (plan, "curve"), (worker, "jobs"))
    return column(ask, figure, gap=2)


def rank_curve_view(session: Session) -> w.Widget:
    """Return a button above the curve of accuracy against the rank of the picked layer."""
    curve, choose, look, worker = session.rank_curve, session.choose, session.look, session.worker
    hint = "Decompose only this layer at several ranks, and score the network each time"
    measure = button("", curve.measure, hint, width="auto", primary=True)
    measure.layout.min_width = "200px"
    words = w.HTML(
        "<p class='wb-soft'>How does accuracy depend on this layer's rank? "
        "No other layer is compressed, and nothing is recovered.</p>"
    )
    figure = FigureView("Accuracy against rank")

    def enable() -> None:
        measure.description = f"Try ranks of {look.picked or 'the picked layer'}"
        measure.disabled = worker.busy(JobKind.RANK_CURVE) or not choose.calibratable or not look.picked

    follow(enable, (look, "picked"), (choose, "opened"), (worker, "jobs"))
    follow(lambda: figure.show(rank_curve(curve.layer, curve.points)), (curve, "points"))
    return column(words, measure, figure)


def layerwise_view(session: Session) -> w.Widget:
    """Return weights and MACs of each factor of each layer, following the plan."""
    plan = session.plan
    shown = w.HTML()

    def fill() -> None:
        html = layerwise(plan.plan)._repr_html_() if plan.plan is not None else ""
        shown.value = f"<div class='wb-scroll'>{html}</div>" if html else "<p class='wb-soft'>No network is open.</p>"

    plan.observe(Debounce(fill), ["plan"])  # a large table, mostly hidden behind another tab
    fill()
    return shown


def paper_view(session: Session) -> w.Widget:
    """Return a choice of layers and a button above the paper's table."""
    paper, worker = session.paper, session.worker
    layers = slot(w.Dropdown, "Compressed layers", 430, 140, options=LAYER_CHOICES)
    linear = w.Checkbox(description="with fully connected layers", indent=False, layout={"width": "auto"})
    compute = button("Compute the table", paper.compute, width="160px", primary=True)
    shown = w.HTML()

    def fill() -> None:
        if paper.table is None:
            words, table = PAPER_TEXT, ""
        else:
            words = f"{escape(paper.note)} Tinted columns, marked (p), are <b>published</b>, not computed here."
            table = f"<div class='wb-scroll wb-paper'>{paper.table._repr_html_()}</div>"
        shown.value = f"<p class='wb-soft'>{words}</p>{table}"

    def enable() -> None:
        for box in (layers, linear, compute):
            box.disabled = worker.busy(JobKind.PAPER)

    w.link((paper, "layers"), (layers, "value"))
    w.link((paper, "fully_connected"), (linear, "value"))
    follow(fill, (paper, "table note"))
    follow(enable, (worker, "jobs"))
    return w.VBox([row(layers, linear, compute, gap=10), shown])


def gallery_view(session: Session) -> w.Widget:
    """Return sample images with both networks' answers, below their settings."""
    gallery, choose, recover = session.gallery, session.choose, session.recover
    other = button("Other images", gallery.other_images, "Another sample of the test images")
    changed = w.Checkbox(description="look for changed answers", indent=False)
    changed.tooltip = "Images on which the two networks disagree, first"
    images = w.HTML()

    def fill() -> None:
        why = choose.misfit or gallery.why_no_gallery
        nothing = f"No images to show: {why}" if why else "The images appear here once it is open."
        images.value = gallery_html(gallery.gallery) or f"<p class='wb-soft'>{escape(nothing)}</p>"
        changed.disabled = recover.run is None

    w.link((gallery, "changed_first"), (changed, "value"))
    follow(fill, (gallery, "gallery why_no_gallery"), (recover, "run"))
    return column(row(other, changed, gap=10), images)


def filters_view(session: Session) -> w.Widget:
    """Return the first layer's filters, original and compressed."""
    gallery, filters = session.gallery, w.HTML()

    def fill() -> None:
        filters.value = filters_html(gallery.filters, gallery.why_no_filters)

    follow(fill, (gallery, "filters why_no_filters"))
    return filters


def gallery_html(gallery: Gallery | None) -> str:
    """Return HTML of one card an image: the picture, its true class, each network's answer, right or wrong."""
    if gallery is None:
        return ""
    right = sum(p.before.right is True for p in gallery.pictures)
    about = f"Of these {len(gallery.pictures)} {gallery.split} images the original names {right} right"
    if any(p.after for p in gallery.pictures):
        after = sum(p.after is not None and p.after.right is True for p in gallery.pictures)
        about += f", the compressed one {after}. Of {gallery.looked_at} looked at, {gallery.changed} got another answer"
    cards = "".join(map(_card, gallery.pictures))
    return f"<p class='wb-soft'>{about}.</p><div class='wb-gallery'>{cards}</div>"


def _card(picture: Picture) -> str:
    lines = _answer("original", picture.before) + _answer("compressed", picture.after)
    name, changed = escape(picture.name), " wb-changed" if picture.changed else ""
    return (
        f"<figure class='wb-picture{changed}'><img alt='{name}' width='{SIDE}' height='{SIDE}' "
        f"src='{data_url(picture.image, SIDE)}'>"
        f"<figcaption><b title='true class: {name}'>{name}</b>{lines}</figcaption></figure>"
    )


def _answer(who: str, answer: Prediction | None) -> str:
    if answer is None:  # its place: nothing is to move when the answer comes
        return f"<span title='{who}: not yet'><small class='wb-who'>{who}</small>&ndash;</span>"
    name = escape(answer.name)
    return (
        f"<span title='{who}: {name}'><small class='wb-who'>{who}</small>{MARKS[answer.right]}<em>{name}</em>"
        f"<small>{100 * answer.probability:.0f} %</small></span>"
    )


def filters_html(filters: Filters | None, why_not: str = "") -> str:
    """Return HTML of the first convolution's filters, the original's above those of its factors."""
    if filters is None:
        return f"<p class='wb-soft wb-filters-place'>{escape(why_not or FILTERS_HINT)}</p>"
    rows = ""
    for who, images in (("original", filters.original), ("compressed", filters.reconstructed)):
        about, url = escape(f"{who} filters of {filters.layer}"), data_url(sheet(images), None)
        save = f"download='{about.replace(' ', '_')}.png' href='{url}' title='Save the {about}'"
        rows += f"<div class='wb-filters'><small>{who}<br><a class='wb-link' {save}>PNG</a></small>"
        rows += f"<img alt='{about}' src='{url}'></div>"
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
    large = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    large = np.pad(large, ((0, -n % columns), (0, 3), (0, 3), (0, 0)), constant_values=255)
    rows = [np.concatenate(list(large[i : i + columns]), axis=1) for i in range(0, len(large), columns)]
    return np.concatenate(rows)
