"""The parts of a report: each takes what is known and gives a piece of HTML, empty if there is nothing to say."""

import base64
from html import escape
from io import BytesIO

from PIL import Image

from workbench.exporters import drawings
from workbench.exporters.measured import energy_of, latencies
from workbench.inspect.gallery import Gallery, Picture
from workbench.inspect.layerwise import layerwise
from workbench.plan.plan import DECISIONS, Plan
from workbench.plan.spectra import Spectra
from workbench.runs.run import Run
from workbench.tables import html_table, quantity, times

STEPS = {
    "original": "the network as it was given",
    "decomposed": "its layers replaced by their factors, nothing trained yet",
    "calibrated": "each layer refitted to the original's outputs on images without labels",
    "distilled": "trained on the original's answers, without labels",
    "fine-tuned": "trained on labelled images",
    "from scratch": "the same small layers trained from random weights, for comparison",
}


def what_was_done(run: Run) -> str:
    """In plain words: which layers, how small, and the stages that were scored."""
    plan = run.plan
    two = sum(part.decision == "tucker2" for part in plan)
    one = sum(part.decision == "tucker1" for part in plan)
    said = [
        f"{one + two} of the {len(plan)} convolutions and fully connected layers of {plan.network} were replaced by "
        "several smaller layers in a row that together do nearly the same: "
        f"{two} by three (Tucker-2: fewer channels, a small layer, all channels again) and {one} by two (Tucker-1). "
        f"{len(plan) - one - two} were kept as they are.",
        f"How small was chosen layer by layer, as ranks: {plan.describe()}. The tables have all of them, with reasons.",
    ]
    names = list(dict.fromkeys(stage.name for stage in run.stages))
    if names:
        steps = "; ".join(f"{name} ({STEPS[name]})" if name in STEPS else name for name in names)
        said.append(f"The stages that were scored: {steps}.")
    said.append("A multiply-add (MAC) is one multiplication and one addition; the paper calls them FLOPs.")
    return section("What was done", *map(paragraph, said))


def accuracy(run: Run) -> str:
    """Every stage with its interval, drawn and as a table."""
    if not run.stages:
        return section("Accuracy", paragraph("This run was not scored."))
    rows = []
    for stage in run.stages:
        found = stage.accuracy
        first, fifth = (f"{low:.1f} to {high:.1f}" for low, high in (found.interval, found.top5_interval))
        rows.append([stage.name, stage.split, f"{found.top1:.2f}", first, f"{found.top5:.2f}", fifth, str(found.n)])
    headers = ("stage", "images", "top-1 %", "95 % interval", "top-5 %", "95 % interval", "n")
    text = (
        "Per cent of the images whose true class is the network's first answer, or among its first five. The interval "
        "says where it would lie on as many other images of the kind: differences within it may be chance. Runs are "
        "chosen by validation images; test images are for the final score."
    )
    return section(
        "Accuracy",
        paragraph(text),
        drawn(drawings.accuracies(run.stages)),
        wide(html_table(headers, rows, left=(0, 1))),
    )


def images(pictures: Gallery | None) -> str:
    """Images with both networks' answers."""
    if pictures is None or not pictures.pictures:
        return ""
    text = (
        f"Of {pictures.looked_at} images of the {pictures.split} split that were looked at, {pictures.changed} have "
        "another first answer than before."
    )
    shown = "".join(_picture(picture) for picture in pictures.pictures)
    return section("Images", paragraph(text), f'<div class="gallery">{shown}</div>')


def speed(run: Run) -> str:
    """Measured times, and how much of the promise they keep."""
    rows = latencies(run)
    if not rows:
        return section("Speed", paragraph("Speed was not measured in this run."))
    promised = run.plan.macs_ratio
    text = (
        "Fewer multiply-adds are not as many fewer milliseconds: memory has to be read as well. Realised is the "
        f"speed-up divided by {times(promised)}, which the multiply-adds promise; 1 means that all of it arrived."
    )
    machine = run.measured.get("machine")
    if isinstance(machine, str) and machine:
        text += f" Machine: {machine}."
    headers = ("runtime", "original ms", "compressed ms", "times faster", "realised")
    cells = [
        [
            r.how or r.runtime,
            f"{r.dense_ms:.4g}",
            f"{r.compressed_ms:.4g}",
            times(r.speedup),
            f"{r.speedup / promised:.2f}",
        ]
        for r in rows
    ]
    return section(
        "Speed, measured", paragraph(text), drawn(drawings.latencies(rows)), wide(html_table(headers, cells))
    )


def energy(run: Run) -> str:
    """Joules an image, each with the word "measured" or "estimate"."""
    found = energy_of(run)
    if found is None:
        return ""
    text = "This is an estimate, not a measurement: nothing on the machine counted joules."
    if found.measured:
        text = "Measured by the machine's own counters."
    rows = [
        ["original", f"{quantity(found.dense_mj / 1e3, 'J')} ({found.kind})"],
        ["compressed", f"{quantity(found.compressed_mj / 1e3, 'J')} ({found.kind})"],
    ]
    source = f" Source: {found.source.rstrip('.')}." if found.source else ""
    table = html_table(("network", "energy of one image"), rows)
    return section(f"Energy ({found.kind})", paragraph(text + source), wide(table))


def layers(plan: Plan) -> str:
    """Costs layer by layer, drawn and as a table with every factor, and why each is as it is."""
    rows = []
    for part in plan:
        ranks = ["-" if rank is None else str(rank) for rank in (part.rank_in, part.rank_out)]
        errors = ["-" if error is None else f"{error:.1%}" for error in (part.error, part.measured_error)]
        rows.append([part.name, DECISIONS[part.decision], *ranks, *errors, part.reason])
    headers = ("layer", "decision", "rank in", "rank out", "error, at most", "after Tucker-2", "reason")
    caption = "Why each layer is as it is; the errors are those of its kernel, relative"
    text = f"The {drawings.MOST_LAYERS} layers that cost most are drawn; all are in the tables."
    return section(
        "Layer by layer",
        paragraph(text) if len(plan) > drawings.MOST_LAYERS else "",
        drawn(drawings.layers(plan)),
        wide(layerwise(plan)._repr_html_()),
        wide(html_table(headers, rows, caption=caption, left=(0, 1, 6))),
    )


def redundancy(plan: Plan, spectra: Spectra | None) -> str:
    """Singular values, and which of them were kept."""
    if spectra is None or not any(part.name in spectra for part in plan):
        return ""
    text = (
        "The singular values of a layer's kernel, largest first: how strong each independent direction of its output "
        "channels is. Blue ones are kept, grey ones are dropped. Shown are the layers that cost most."
    )
    return section("What was redundant", paragraph(text), drawn(drawings.spectra(spectra, plan)))


def _picture(picture: Picture) -> str:
    content = BytesIO()
    Image.fromarray(picture.image).save(content, format="PNG")
    lines = [picture.name]
    for who, answer in (("original", picture.before), ("compressed", picture.after)):
        if answer is not None:
            mark = "✓" if answer.label == picture.label else "✗"
            lines.append(f"{mark} {who}: {answer.name}, {100 * answer.probability:.0f} %")
    data = base64.b64encode(content.getvalue()).decode()
    caption = "<br>".join(map(escape, lines))
    return (
        f'<figure><img alt="{escape(picture.name)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def section(title: str, *parts: str) -> str:
    """A heading (a text) and pieces of HTML below it."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def paragraph(text: str) -> str:
    """A text as HTML."""
    return f"<p>{escape(text)}</p>"


def drawn(svg: str) -> str:
    """An SVG as a figure of the page."""
    return f"<figure>{svg}</figure>"


def wide(table: str) -> str:
    """A table that scrolls by itself where the page is narrow."""
    return f'<div class="wide">{table}</div>'
