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
from workbench.inspect.drawing.svg import Picture as NetworkPicture
from workbench.inspect.drawing.svg import graph_of
from workbench.inspect.gallery import Gallery, Picture
from workbench.inspect.layerwise import layerwise
from workbench.runs.run import Run, StageName
from workbench.runs.scoring import summary
from workbench.tables import compared, count, html_table, quantity, times

BLUE, GREY = "#0072b2", "#9aa5b1"
MAX_SPECTRA = 9
WIDTH, PANEL_WIDTH, PANEL_HEIGHT = 760, 245, 110
"""Units of the picture of the singular values, which scales to the page."""

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
    """Write the report of a run: what was done, what it cost and saved, layer by layer, and what it was made with.

    Parameters
    ----------
    run : with its network, for what is known of the original, or without. ``run.measured`` may have "latency" (a list
        of {"runtime", "how", "dense_ms", "compressed_ms"}), "machine" and "energy" ({"dense_mj", "compressed_mj",
        "measured", "source"}); energy that was not measured is called an estimate.
    pictures : images with both networks' answers.
    exports : files that were written.
    text : paragraphs of the author, with an empty line between them.
    latency : ``records`` of :func:`~workbench.measure.speed.speed`, in place of those in ``run.measured``.
    """
    if latency:
        run = replace(run, measured={**run.measured, "latency": latency})
    graph = graph_of(run.plan, run.network.original if run.network is not None else None)
    drawing = f"<figure>{NetworkPicture(run.plan, graph).svg()}</figure>"  # the tables say the same in words
    layers = (_scrolling(table._repr_html_()) for table in (layerwise(run.plan), run.plan))
    parts = [_head(run), _cards(run), drawing, *map(_paragraph, text.split("\n\n"))]
    parts += [_done(run), _scores(run), _pictures(pictures), _speed(run), _energy(run)]
    parts += [_section("Layer by layer", *layers), _redundancy(run), _files(exports), _made(run)]
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


def _kind(energy: Mapping[str, Any]) -> str:
    return "measured" if energy.get("measured") is True else "estimate"


def _head(run: Run) -> str:
    when = f"{run.created[:16].replace('T', ' ')} UTC" if run.created else ""
    line = ", ".join(filter(None, [run.label if run.number else "", f"on {run.data_name}", when]))
    warnings = [run.error] if run.error else []
    if run.network is not None and run.network.original.random_weights:
        warnings.append("This network has random weights: its ranks and scores mean nothing.")
    verdict = f"<p><b>{escape(summary(run))}.</b></p>" if run.last is not None else ""
    warned = "".join(f'<p class="warn">{escape(text)}</p>' for text in warnings)
    return f'<h1>{escape(run.network_name)}, compressed</h1><p class="quiet">{escape(line)}</p>{verdict}{warned}'


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
        before = original.scores.get(split) if original else None
        words = {"accuracy": "right", "agreement": "answered as by the original"}.get(score.kind, f": {score.kind}")
        more = f"; original: {before.value}" if before else ""
        verdict = run.verdict(split)
        more += f"; {verdict}" if verdict is not None else ""
        cards.append((score.value, f"of {score.n} {split} images {words}{more}"))
    if timed := run.measurements("latency", "ms"):
        dense_ms, small_ms = min(row[1] for row in timed), min(row[2] for row in timed)
        words = f"in the fastest runtime of each: {small_ms:.3g} ms instead of {dense_ms:.3g}"
        gain, share = dense_ms / small_ms, dense_ms / small_ms / plan.macs_ratio
        shown = compared(gain, "faster", "slower", "as fast")
        cards.append((shown, f"{words}, {share:.0%} of what the multiply-adds promise"))
    for entry, dense_mj, small_mj in run.measurements("energy", "mj"):
        words = f"{quantity(small_mj / 1e3, 'J')} instead of {quantity(dense_mj / 1e3, 'J')} an image"
        shown = compared(dense_mj / small_mj, "less", "more", "as much")
        cards.append((f"{shown} energy", f"{_kind(entry)}: {words}"))
    items = "".join(f"<li><b>{escape(value)}</b><span>{escape(words)}</span></li>" for value, words in cards)
    return f'<ul class="cards">{items}</ul>'


def _done(run: Run) -> str:
    plan = run.plan
    two, one = (sum(part.decision == decision for part in plan) for decision in ("tucker2", "tucker1"))
    texts = [
        f"{one + two} of the {len(plan)} convolutions and fully connected layers of {plan.network} were replaced by "
        "several smaller layers in a row that together do nearly the same: "
        f"{two} by three (Tucker-2: fewer channels, a small layer, all channels again) and {one} by two (Tucker-1). "
        f"{len(plan) - one - two} were kept as they are.",
        f"How small was chosen layer by layer, as ranks: {plan.describe()}. The tables have all of them, with reasons.",
        "A multiply-add (MAC) is one multiplication and one addition; the paper calls them FLOPs.",
        f"Steps: {run.note}." if run.note else "",
        *(f"{line[0].upper()}{line[1:]}." for line in run.tries),
    ]
    return _section("What was done", *map(_paragraph, texts))


def _scores(run: Run) -> str:
    rows = []
    for stage in run.stages:
        for split, score in stage.scores.items():
            numbers = (score.value, "", "", "", str(score.n))
            if score.is_share:
                first, fifth = (f"{100 * a:.1f} to {100 * b:.1f}" for a, b in (score.interval, score.top5_interval))
                numbers = (f"{score.shown:.2f}", first, f"{100 * score.top5:.2f}", fifth, str(score.n))
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
    shown = "".join(map(_picture, pictures.pictures))
    return _section("Images", _paragraph(text), f'<div class="gallery">{shown}</div>')


def _picture(picture: Picture) -> str:
    content = BytesIO()
    Image.fromarray(picture.image).save(content, format="PNG")
    data = base64.b64encode(content.getvalue()).decode()
    caption = "<br>".join(map(escape, picture.lines))
    image = f'<img alt="{escape(picture.name)}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _speed(run: Run) -> str:
    timed, promised = run.measurements("latency", "ms"), run.plan.macs_ratio
    if not timed:
        return _section("Speed", _paragraph("Speed was not measured in this run."))
    text = (
        "Fewer multiply-adds are not as many fewer milliseconds: memory has to be read as well. Realised is the "
        f"speed-up divided by {times(promised)}, which the multiply-adds promise."
    )
    machine = run.measured.get("machine")
    text += f" Machine: {machine}." if isinstance(machine, str) and machine else ""
    rows = []
    for entry, before, after in timed:
        name = str(entry.get("how") or entry.get("runtime") or "a runtime")
        ratio = before / after
        rows.append([name, f"{before:.4g}", f"{after:.4g}", times(ratio), f"{ratio / promised:.2f}"])
    headers = ("runtime", "original ms", "compressed ms", "times faster", "realised")
    return _section("Speed, measured", _paragraph(text), _table(headers, rows))


def _energy(run: Run) -> str:
    found = run.measurements("energy", "mj")
    if not found:
        return ""
    entry, *joules = found[0]
    kind, source = _kind(entry), str(entry.get("source") or "").rstrip(".")
    counted = "Measured by the machine's own counters."
    text = counted if kind == "measured" else "This is an estimate, not a measurement."
    pairs = zip(("original", "compressed"), joules, strict=True)
    rows = [[name, f"{quantity(millijoules / 1e3, 'J')} ({kind})"] for name, millijoules in pairs]
    table = html_table(("network", "energy of one image"), rows)
    return _section(f"Energy ({kind})", _paragraph(f"{text} Source: {source}." if source else text), table)


def _redundancy(run: Run) -> str:
    """Draw the singular values of the layers that cost most, those that the plan keeps in blue."""
    spectra = run.plan.spectra
    known = [part for part in run.plan if spectra is not None and part.name in spectra]
    if spectra is None or not known:
        return ""
    largest = sorted(known, key=lambda part: -part.layer.cost.macs)[:MAX_SPECTRA]
    parts = [part for part in known if part in largest]
    panels = []
    for i, part in enumerate(parts):
        values = [float(value) for value in spectra[part.name].singular_out]
        scaled = [value / max(values[0], 1e-30) for value in values]
        words = f"{part.rank_out} of {len(values)}" if part.rank_out is not None else "kept whole"
        panels.append(
            f'<g transform="translate({i % 3 * (PANEL_WIDTH + 10)} {i // 3 * PANEL_HEIGHT})">'
            f'<text x="0" y="14">{escape(f"{part.name}: {words}")}</text>'
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


def _area(values: Sequence[float], number: int, color: str) -> str:
    """Return the area under steps of equal width, `number` of which fill the panel."""
    bottom, step = PANEL_HEIGHT - 12, PANEL_WIDTH / number
    path = "".join(f"V{bottom - value * (bottom - 22):.1f}H{(i + 1) * step:.1f}" for i, value in enumerate(values))
    return f'<path d="M0 {bottom}{path}V{bottom}Z" fill="{color}"/>'


def _files(exports: Sequence[Exported]) -> str:
    rows = [row for export in exports for row in export.rows]
    return _section("Files", _table(Exported.headers, rows, Exported.left)) if rows else ""


def _made(run: Run) -> str:
    known: list[tuple[str, object]] = [("data", run.data_name), ("seed", run.seed)]
    known.append(("input", " x ".join(map(str, run.plan.input_shape))))
    if run.network is not None:
        original = run.network.original
        known += [("weights of the original", original.source), ("sha256", original.sha256)]
        known += [("classes", len(original.classes) or "not named"), ("compressed", run.network.source)]
        known.append(("preprocessing", metadata(original)["preprocessing"]["words"]))
    known += [("plan", run.plan.describe()), *run.settings.items()]
    known += [(f"version of {name}", value) for name, value in run.versions.items()]
    known.append(("sha256 of the compressed weights", run.weights_hash))
    rows = [[key, value if isinstance(value, str) else json.dumps(value)] for key, value in known if value != ""]
    table = _table(("what", "value"), rows, (0, 1))
    return _section("How it was made", table, f'<p class="quiet">Method: {escape(PAPER)}.</p>')


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    return _scrolling(html_table(headers, rows, left=left))


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""


def _scrolling(table: str) -> str:
    """Return a table that scrolls by itself where the page is narrow."""
    return f'<div class="wide">{table}</div>'
