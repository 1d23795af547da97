"""Sample images with what the networks say of them, and the first layer's filters before and after."""

from base64 import b64encode
from html import escape
from io import BytesIO

import ipywidgets as w
import numpy as np
from PIL import Image as Pillow

from workbench.app.controls import button, column, follow, row
from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.compare.model import GalleryModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.widgets.glossary import term
from workbench.app.widgets.job_row import JobRow
from workbench.app.worker import JobKind, Worker
from workbench.inspect.gallery import Filters, Gallery, Image, Picture, Prediction

SIDE = 104
"""Pixels of a picture on the page."""
FILTERS = "The filters of the first layer appear here, original and compressed, once the network is compressed."


def view(gallery: GalleryModel, choose: ChooseModel, recover: RecoverModel, worker: Worker) -> w.Widget:
    """Return the gallery with its settings above the filters."""
    other = button("Other images", gallery.other_images, "Another sample of the test images")
    changed = w.Checkbox(
        description="look for changed answers", indent=False, tooltip="Images on which the two networks disagree, first"
    )
    images, filters = w.HTML(), w.HTML()

    def fill() -> None:
        nothing = "The images appear here once the network is open."
        if choose.misfit:
            nothing = f"No images to show: {choose.misfit}"
        images.value = gallery_html(gallery.gallery) or f"<p class='wb-soft'>{escape(nothing)}</p>"
        filters.value = filters_html(gallery.filters, gallery.why_no_filters)

    def enable() -> None:
        changed.disabled = recover.run is None

    w.link((gallery, "changed_first"), (changed, "value"))
    follow(fill, (gallery, "gallery filters why_no_filters"))
    follow(enable, (recover, "run"))
    return column(row(other, changed, JobRow(worker, JobKind.GALLERY), gap=10), images, filters)


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
    marks = {True: "<i class='wb-yes' title='right'>✓</i>", False: "<i class='wb-no' title='wrong'>✗</i>"}
    mark = "" if answer.right is None else marks[answer.right]
    name = escape(answer.name)
    return (
        f"<span title='{who}: {name}'><small class='wb-who'>{who}</small>{mark}<em>{name}</em>"
        f"<small>{100 * answer.probability:.0f} %</small></span>"
    )


def filters_html(filters: Filters | None, why_not: str = "") -> str:
    """Return HTML of the first convolution's filters, the original's above those of its factors."""
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
    about = escape(f"{who} filters of {layer}")
    link = f"<a class='wb-link' download='{about.replace(' ', '_')}.png' href='{url}' title='Save the {about}'>PNG</a>"
    return f"<div class='wb-filters'><small>{who}<br>{link}</small><img alt='{about}' src='{url}'></div>"


def sheet(images: Image) -> Image:
    """Arrange images (n, height, width, 3) in rows of 32 on white, about 28 pixels each."""
    n, height, width, _ = images.shape
    zoom, columns = max(1, round(28 / max(height, width))), min(32, n)
    large = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    large = np.pad(large, ((0, -n % columns), (0, 3), (0, 3), (0, 0)), constant_values=255)
    rows = [np.concatenate(list(large[i : i + columns]), axis=1) for i in range(0, len(large), columns)]
    return np.concatenate(rows)


def data_url(image: Image, side: int | None) -> str:
    """Return a picture as a data URL; small ones are enlarged without blurring, large ones reduced to `side` pixels."""
    picture = Pillow.fromarray(image)
    if side is not None and max(picture.size) > 2 * side:
        picture.thumbnail((2 * side, 2 * side))
    content = BytesIO()
    small = side is None or max(picture.size) <= side
    picture.save(content, **({"format": "PNG"} if small else {"format": "JPEG", "quality": 85}))
    return f"data:image/{'png' if small else 'jpeg'};base64,{b64encode(content.getvalue()).decode()}"
