"""Sample images with what the networks say of them, and the first layer's filters before and after."""

from base64 import b64encode
from html import escape
from io import BytesIO

import ipywidgets as w
import numpy as np
from PIL import Image as Pillow

from workbench.app.state import State
from workbench.app.steps.compare.gallery import Pictures
from workbench.app.widgets.glossary import term
from workbench.inspect.gallery import Filters, Gallery, Image, Picture, Prediction

SIDE = 104
"""Pixels of a picture on the page."""
FILTERS = "The filters of the first layer appear here, original and compressed, once the network is compressed."


def pictures_panel(state: State, pictures: Pictures | None = None) -> w.Widget:
    """The gallery with its settings above the filters."""
    model = pictures or Pictures(state)
    other = w.Button(description="Other images", tooltip="Another sample of the test images")
    changed = w.Checkbox(
        description="look for changed answers", indent=False, tooltip="Images on which the two networks disagree, first"
    )
    bar = w.FloatProgress(min=0, max=1, layout={"width": "200px", "height": "14px", "align_self": "center"})
    cancel = w.Button(description="Cancel", layout={"width": "90px"}, tooltip="Stop looking")
    shown, filters = w.HTML(), w.HTML()

    def fill(_: object = None) -> None:
        shown.value = gallery_html(model.gallery) or f"<p class='wb-soft'>{escape(_nothing(state))}</p>"
        filters.value = filters_html(model.filters, model.no_filters)

    def busy(_: object = None) -> None:
        visible = "visible" if model.job.running else "hidden"
        bar.layout.visibility = cancel.layout.visibility = visible
        changed.disabled = state.smaller is None

    def next_sample(_: object) -> None:
        model.seed += 1

    other.on_click(next_sample)
    cancel.on_click(lambda _: model.job.cancel())
    w.link((model, "changed_first"), (changed, "value"))
    model.observe(fill, ["gallery", "filters", "no_filters"])
    model.job.observe(busy, ["running"])
    model.job.observe(lambda change: setattr(bar, "value", change["new"]), ["progress"])
    state.observe(busy, ["smaller"])
    fill()
    busy()
    row = w.HBox([other, changed, bar, cancel], layout={"grid_gap": "10px", "align_items": "center"})
    return w.VBox([row, shown, filters], layout={"grid_gap": "6px"})


def gallery_html(gallery: Gallery | None) -> str:
    """One card an image: the picture, its true class, and each network's answer with a tick or a cross."""
    if gallery is None:
        return ""
    right = [sum(p.before.label == p.label for p in gallery.pictures)]
    about = f"Of these {len(gallery.pictures)} {gallery.split} images the original names {right[0]} right"
    if any(p.after for p in gallery.pictures):
        after = sum(p.after is not None and p.after.label == p.label for p in gallery.pictures)
        about += f", the compressed one {after}. Of {gallery.looked_at} looked at, {gallery.changed} got another answer"
    cards = "".join(map(_card, gallery.pictures))
    return f"<p class='wb-soft'>{about}.</p><div class='wb-gallery'>{cards}</div>"


def _card(picture: Picture) -> str:
    answers = [("original", picture.before), ("compressed", picture.after)]
    lines = "".join(_answer(who, answer, picture.label) for who, answer in answers)
    name = escape(picture.name)
    changed = " wb-changed" if picture.changed else ""
    return (
        f"<figure class='wb-picture{changed}'><img alt='{escape(picture.name, quote=True)}' width='{SIDE}' "
        f"height='{SIDE}' src='{data_url(picture.image, SIDE)}'>"
        f"<figcaption><b title='true class: {escape(picture.name, quote=True)}'>{name}</b>{lines}</figcaption></figure>"
    )


def _answer(who: str, answer: Prediction | None, label: int) -> str:
    if answer is None:  # its place: nothing is to move when the answer comes
        return f"<span title='{who}: not yet'><small class='wb-who'>{who}</small>&ndash;</span>"
    right = answer.label == label
    mark = "<i class='wb-yes' title='right'>✓</i>" if right else "<i class='wb-no' title='wrong'>✗</i>"
    name = escape(answer.name, quote=True)
    return (
        f"<span title='{who}: {name}'><small class='wb-who'>{who}</small>{mark}<em>{name}</em>"
        f"<small>{100 * answer.probability:.0f} %</small></span>"
    )


def filters_html(filters: Filters | None, why_not: str = "") -> str:
    """The filters of the first convolution, the original's above those that its factors stand for."""
    if filters is None:
        return f"<p class='wb-soft wb-filters-place'>{escape(why_not or FILTERS)}</p>"
    rows = "".join(
        _filters(who, filters.layer, data_url(sheet(images), None))
        for who, images in (("original", filters.original), ("compressed", filters.reconstructed))
    )
    return (
        f"<h3>What the first layer looks for: {len(filters.errors)} filters of {escape(filters.layer)}</h3>"
        f"<p class='wb-soft'>Grey is zero, brighter is positive, darker negative, all on one scale. The compressed "
        f"filters are {100 * filters.error:.1f} % off ({term('kernel error')}); the worst single one "
        f"{100 * float(filters.errors.max()):.0f} %. Calibration and fine-tuning move them for the sake of the "
        f"answers, so that they can be further off than the plan says.</p>{rows}"
    )


def _filters(who: str, layer: str, url: str) -> str:
    about = escape(f"{who} filters of {layer}", quote=True)
    link = f"<a class='wb-link' download='{about.replace(' ', '_')}.png' href='{url}' title='Save the {about}'>PNG</a>"
    return f"<div class='wb-filters'><small>{who}<br>{link}</small><img alt='{about}' src='{url}'></div>"


def sheet(images: Image, columns: int = 32, gap: int = 1, zoom: int = 0) -> Image:
    """(n, height, width, 3) -> one picture with all of them in rows, on white, enlarged to about 28 pixels each."""
    n, height, width, _ = images.shape
    zoom = zoom or max(1, round(28 / max(height, width)))
    large = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    step_y, step_x = height * zoom + 3 * gap, width * zoom + 3 * gap
    columns = min(columns, n)
    found = np.full((-(-n // columns) * step_y, columns * step_x, 3), 255, np.uint8)
    for i, image in enumerate(large):
        y, x = i // columns * step_y, i % columns * step_x
        found[y : y + height * zoom, x : x + width * zoom] = image
    return found


def data_url(image: Image, side: int | None) -> str:
    """A picture inside of the page; small ones are enlarged without blurring, large ones reduced to `side` pixels."""
    picture = Pillow.fromarray(image)
    if side is not None and max(picture.size) > 2 * side:
        picture.thumbnail((2 * side, 2 * side))
    content = BytesIO()
    small = side is None or max(picture.size) <= side
    picture.save(content, **({"format": "PNG"} if small else {"format": "JPEG", "quality": 85}))
    return f"data:image/{'png' if small else 'jpeg'};base64,{b64encode(content.getvalue()).decode()}"


def _nothing(state: State) -> str:
    if state.misfit:
        return f"No images to show: {state.misfit}"
    return "The images appear here once the network is open."
