"""Write a run as one HTML page to read or print: it fetches nothing and runs no program."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from workbench.exporters.export import Exported
from workbench.exporters.metadata import PAPER, metadata
from workbench.files import write_atomically
from workbench.inspect.drawing.svg import Drawing, graph_of
from workbench.inspect.gallery import Gallery, Picture
from workbench.inspect.layerwise import layerwise
from workbench.runs.run import Run, StageName
from workbench.runs.scoring import summary
from workbench.tables import compared, count, html_table, quantity, times

BLUE, GREY = "#0072b2", "#9aa5b1"
MAX_SPECTRA = 9
WIDTH, PANEL_WIDTH, PANEL_HEIGHT = 760, 245, 110
"""Units of the drawing of the singular values, which scales to the page."""

CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def report(
    run: Run,
    path: str | Path,
    *,
    pictures: Gallery | None = None,
    exports: Sequence[Exported] = (),
    latency: Sequence[Mapping[str, Any]] = (),
    text: str = "",
) -> Path:
    """Write the report of a run: steps, costs, scores, speed, energy, a table of the layers, and versions.

    Parameters
    ----------
    run : a run, with or without its network, which describes the original. ``run.measured`` may have "latency" (a list
        of {"runtime", "how", "dense_ms", "compressed_ms"}), "machine" and "energy" ({"dense_mj", "compressed_mj",
        "measured", "source"}); energy that was not measured is called an estimate.
    pictures : images with both networks' answers.
    exports : files that were written.
    text : the author's paragraphs, separated by empty lines.
    latency : ``records`` of :func:`~workbench.measure.speed.speed`, in place of those in ``run.measured``.
    """
    if latency:
        run = replace(run, measured={**run.measured, "latency": latency})
    graph = graph_of(run.plan, run.network.original if run.network is not None else None)
    drawing = f"<figure>{Drawing(run.plan, graph).svg()}</figure>"  # the tables say the same in words
    layers = (_scroll_box(table._repr_html_()) for table in (layerwise(run.plan), run.plan))
    parts = [_heading(run), _cards(run), drawing, *map(_paragraph, text.split("\n\n"))]
    parts += [_compression(run), _scores(run), _pictures(pictures), _speed(run), _energy(run)]
    parts += [_section("Layer by layer", *layers), _redundancy(run), _files(exports), _provenance(run)]
    css = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    body = "\n".join(filter(None, parts))
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(run.network_name)}, compressed</title>'
        f"<style>{css}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
    write_atomically(path, page.encode())
    return Path(path)


def _energy_kind(energy: Mapping[str, Any]) -> str:
    return "measured" if energy.get("measured") is True else "estimate"


def _heading(run: Run) -> str:
    created = f"{run.created[:16].replace('T', ' ')} UTC" if run.created else ""
    subtitle = ", ".join(filter(None, [run.label if run.number else "", f"on {run.data_name}", created]))
    warnings = [run.error] if run.error else []
    if run.network is not None and run.network.original.random_weights:
        warnings.append("This network has random weights: its ranks and scores mean nothing.")
    verdict = f"<p><b>{escape(summary(run))}.</b></p>" if run.last is not None else ""
    notes = "".join(f'<p class="warn">{escape(text)}</p>' for text in warnings)
    return f'<h1>{escape(run.network_name)}, compressed</h1><p class="quiet">{escape(subtitle)}</p>{verdict}{notes}'


def _cards(run: Run) -> str:
    """Return HTML of the main numbers, each with its meaning in words."""
    plan, dense = run.plan, run.plan.dense
    cards = [
        (times(plan.macs_ratio), f"fewer multiply-adds: {count(plan.macs)} instead of {count(dense.macs)}"),
        (times(plan.weights_ratio), f"fewer weights: {count(plan.weights)} instead of {count(dense.weights)}"),
    ]
    split = "test" if run.score("test") else "validation"
    if score := run.score(split):
        original = run.stage(StageName.ORIGINAL)
        original_score = original.scores.get(split) if original else None
        meaning = {"accuracy": "right", "agreement": "answered as by the original"}.get(score.kind, f": {score.kind}")
        details = f"; original: {original_score.value}" if original_score else ""
        verdict = run.verdict(split)
        details += f"; {verdict}" if verdict is not None else ""
        cards.append((score.value, f"of {score.n} {split} images {meaning}{details}"))
    if latencies := run.measurements("latency", "ms"):
        dense_ms, small_ms = min(row[1] for row in latencies), min(row[2] for row in latencies)
        meaning = f"in the fastest runtime of each: {small_ms:.3g} ms instead of {dense_ms:.3g}"
        gain, share = dense_ms / small_ms, dense_ms / small_ms / plan.macs_ratio
        change = compared(gain, "faster", "slower", "as fast")
        cards.append((change, f"{meaning}, {share:.0%} of what the multiply-adds promise"))
    for entry, dense_mj, small_mj in run.measurements("energy", "mj"):
        meaning = f"{quantity(small_mj / 1e3, 'J')} instead of {quantity(dense_mj / 1e3, 'J')} an image"
        change = compared(dense_mj / small_mj, "less", "more", "as much")
        cards.append((f"{change} energy", f"{_energy_kind(entry)}: {meaning}"))
    items = "".join(f"<li><b>{escape(value)}</b><span>{escape(meaning)}</span></li>" for value, meaning in cards)
    return f'<ul class="cards">{items}</ul>'


def _compression(run: Run) -> str:
    plan = run.plan
    n_tucker2, n_tucker1 = (sum(part.decision == decision for part in plan) for decision in ("tucker2", "tucker1"))
    paragraphs = [
        f"{n_tucker1 + n_tucker2} of the {len(plan)} convolutions and fully connected layers of {plan.network} were "
        "replaced by several smaller layers in a row that together do nearly the same: "
        f"{n_tucker2} by three (Tucker-2: fewer channels, a small layer, all channels again) and {n_tucker1} by two "
        f"(Tucker-1). {len(plan) - n_tucker1 - n_tucker2} were kept as they are.",
        f"How small was chosen layer by layer, as ranks: {plan.describe()}. The tables have all of them, with reasons.",
        "A multiply-add (MAC) is one multiplication and one addition; the paper calls them FLOPs.",
        f"Steps: {run.note}." if run.note else "",
        *(f"{line[0].upper()}{line[1:]}." for line in run.tries),
    ]
    return _section("What was done", *map(_paragraph, paragraphs))


def _scores(run: Run) -> str:
    rows = []
    for stage in run.stages:
        for split, score in stage.scores.items():
            numbers = (score.value, "", "", "", str(score.n))
            if score.is_share:
                top1, top5 = (f"{100 * a:.1f} to {100 * b:.1f}" for a, b in (score.interval, score.top5_interval))
                numbers = (f"{score.shown:.2f}", top1, f"{100 * score.top5:.2f}", top5, str(score.n))
            rows.append([stage.name, split, score.kind, *numbers, stage.note])
    if not rows:
        return _section("Scores", _paragraph("This run was not scored."))
    intervals = ("top-1 %", "95 % interval", "top-5 %", "95 % interval")
    headers = ("stage", "images", "score", *intervals, "n", "how it was made")
    text = (
        "Accuracy: per cent of the images whose true class is the network's first answer, or among its first five. "
        "Agreement: the same with the original's answer for the true class. The interval says where it would lie on as "
        "many other images of the kind: differences within it may be chance. Runs are chosen by validation images; "
        "test images are for the final score."
    )
    return _section("Scores", _paragraph(text), _table(headers, rows, (0, 1, 2, 8)))


def _pictures(pictures: Gallery | None) -> str:
    if pictures is None or not pictures.pictures:
        return ""
    text = (
        f"Of {pictures.looked_at} images of the {pictures.split} split that were looked at, {pictures.changed} have "
        "another first answer than before."
    )
    figures = "".join(map(_picture, pictures.pictures))
    return _section("Images", _paragraph(text), f'<div class="gallery">{figures}</div>')


def _picture(picture: Picture) -> str:
    png = BytesIO()
    Image.fromarray(picture.image).save(png, format="PNG")
    data = base64.b64encode(png.getvalue()).decode()
    caption = "<br>".join(map(escape, picture.lines))
    image = f'<img alt="{escape(picture.name)}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _speed(run: Run) -> str:
    latencies, macs_ratio = run.measurements("latency", "ms"), run.plan.macs_ratio
    if not latencies:
        return _section("Speed", _paragraph("Speed was not measured in this run."))
    text = (
        "Fewer multiply-adds are not as many fewer milliseconds: memory has to be read as well. Realised is the "
        f"speed-up divided by {times(macs_ratio)}, which the multiply-adds promise."
    )
    machine = run.measured.get("machine")
    text += f" Machine: {machine}." if isinstance(machine, str) and machine else ""
    rows = []
    for entry, before, after in latencies:
        name = str(entry.get("how") or entry.get("runtime") or "a runtime")
        ratio = before / after
        rows.append([name, f"{before:.4g}", f"{after:.4g}", times(ratio), f"{ratio / macs_ratio:.2f}"])
    headers = ("runtime", "original ms", "compressed ms", "times faster", "realised")
    return _section("Speed, measured", _paragraph(text), _table(headers, rows))


def _energy(run: Run) -> str:
    measurements = run.measurements("energy", "mj")
    if not measurements:
        return ""
    entry, *values = measurements[0]
    kind, source = _energy_kind(entry), str(entry.get("source") or "").rstrip(".")
    estimate = "This is an estimate, not a measurement."
    text = "Measured by the machine's own counters." if kind == "measured" else estimate
    pairs = zip(("original", "compressed"), values, strict=True)
    rows = [[name, f"{quantity(millijoules / 1e3, 'J')} ({kind})"] for name, millijoules in pairs]
    table = html_table(("network", "energy of one image"), rows)
    return _section(f"Energy ({kind})", _paragraph(f"{text} Source: {source}." if source else text), table)


def _redundancy(run: Run) -> str:
    """Draw the singular values of the most expensive layers; those that the plan keeps are blue."""
    spectra = run.plan.spectra
    analysed = [part for part in run.plan if spectra is not None and part.name in spectra]
    if spectra is None or not analysed:
        return ""
    largest = sorted(analysed, key=lambda part: -part.layer.cost.macs)[:MAX_SPECTRA]
    parts = [part for part in analysed if part in largest]
    panels = []
    for i, part in enumerate(parts):
        values = [float(value) for value in spectra[part.name].singular_out]
        scaled = [value / max(values[0], 1e-30) for value in values]
        kept = f"{part.rank_out} of {len(values)}" if part.rank_out is not None else "kept whole"
        panels.append(
            f'<g transform="translate({i % 3 * (PANEL_WIDTH + 10)} {i // 3 * PANEL_HEIGHT})">'
            f'<text x="0" y="14">{escape(f"{part.name}: {kept}")}</text>'
            f"{_area(scaled, len(values), GREY)}{_area(scaled[: part.rank_out], len(values), BLUE)}</g>"
        )
    text = (
        "The singular values of a layer's kernel, largest first: how strong each independent direction of its output "
        "channels is. Blue ones are kept, grey ones are dropped. Shown are the layers that cost most."
    )
    title = "Singular values of the layers that cost most: kept ones in blue"
    drawing = (
        f'<figure><svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}" '
        f'viewBox="0 0 {WIDTH} {-(-len(parts) // 3) * PANEL_HEIGHT}" font-size="12" fill="currentColor">'
        f"{''.join(panels)}</svg><figcaption>{title}</figcaption></figure>"
    )
    return _section("What was redundant", _paragraph(text), drawing)


def _area(values: Sequence[float], count: int, color: str) -> str:
    """Return the area under steps of equal width, `count` of which fill the panel."""
    bottom, step = PANEL_HEIGHT - 12, PANEL_WIDTH / count
    path = "".join(f"V{bottom - value * (bottom - 22):.1f}H{(i + 1) * step:.1f}" for i, value in enumerate(values))
    return f'<path d="M0 {bottom}{path}V{bottom}Z" fill="{color}"/>'


def _files(exports: Sequence[Exported]) -> str:
    rows = [row for export in exports for row in export.rows]
    return _section("Files", _table(Exported.headers, rows, Exported.left)) if rows else ""


def _provenance(run: Run) -> str:
    facts: list[tuple[str, object]] = [("data", run.data_name), ("seed", run.seed)]
    facts.append(("input", " x ".join(map(str, run.plan.input_shape))))
    if run.network is not None:
        original = run.network.original
        facts += [("weights of the original", original.source), ("sha256", original.sha256)]
        facts += [("classes", len(original.classes) or "not named"), ("compressed", run.network.source)]
        facts.append(("preprocessing", metadata(original)["preprocessing"]["words"]))
    facts += [("plan", run.plan.describe()), *run.settings.items()]
    facts += [(f"version of {name}", value) for name, value in run.versions.items()]
    facts.append(("sha256 of the compressed weights", run.weights_hash))
    rows = [[key, value if isinstance(value, str) else json.dumps(value)] for key, value in facts if value != ""]
    table = _table(("what", "value"), rows, (0, 1))
    return _section("How it was made", table, f'<p class="quiet">Method: {escape(PAPER)}.</p>')


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    return _scroll_box(html_table(headers, rows, left=left))


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""


def _scroll_box(table: str) -> str:
    """Return a table that scrolls where the page is narrow."""
    return f'<div class="wide">{table}</div>'
