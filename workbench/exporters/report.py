"""A run as one page to read, keep or print: nothing is fetched from anywhere, and no program runs in it."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from workbench.exporters import sections
from workbench.exporters.about import PAPER, about
from workbench.exporters.files import Exported
from workbench.exporters.measured import energy_of, latencies
from workbench.exporters.sections import section, wide
from workbench.inspect.gallery import Gallery
from workbench.network.network import Network
from workbench.plan.spectra import Spectra
from workbench.runs.run import Run
from workbench.tables import count, html_table, quantity, times

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def report_html(
    run: Run,
    *,
    network: Network | None = None,
    smaller: Network | None = None,
    spectra: Spectra | None = None,
    pictures: Gallery | None = None,
    exports: Sequence[Exported] = (),
) -> str:
    """The report of a run: what was done, what it cost and saved, layer by layer, and what it was made with.

    Parameters
    ----------
    run : its plan, stages, settings and versions; ``run.measured`` may have "latency" (a list of {"runtime",
        "dense_ms", "compressed_ms", "speedup", "realised"}) and "energy" ({"dense_mj", "compressed_mj", "measured",
        "source"}). Energy that was not measured is called an estimate wherever it stands.
    network, smaller : the original and the compressed network, for where they came from.
    spectra : of the original, for its singular values; None for those of the plan, if it has them.
    pictures : images with both networks' answers.
    exports : files that were written, each with its check.

    Returns
    -------
    One HTML page, light or dark as the reader's system is, which also prints.
    """
    plan = run.plan
    parts = [
        _head(run, network),
        _cards(run),
        sections.what_was_done(run),
        sections.accuracy(run),
        sections.images(pictures),
        sections.speed(run),
        sections.energy(run),
        sections.layers(plan),
        sections.redundancy(plan, spectra if spectra is not None else plan.spectra),
        _exports(exports),
        _made(run, network, smaller),
    ]
    css = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    title = escape(f"{run.network}, compressed")
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{css}</style>'
    )
    body = "\n".join(part for part in parts if part)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _head(run: Run, network: Network | None) -> str:
    when = f"{run.created[:16].replace('T', ' ')} UTC" if run.created else ""
    line = ", ".join(filter(None, [f"run {run.number}" if run.number else "", f"on {run.data}", when, run.note]))
    warning = ""
    if network is not None and network.random_weights:
        warning = '<p class="warn">This network has random weights: its ranks and accuracies mean nothing.</p>'
    return f'<h1>{escape(run.network)}, compressed</h1><p class="quiet">{escape(line)}</p>{warning}'


def _cards(run: Run) -> str:
    """The few numbers that matter most: a large one each, with words."""
    plan, dense = run.plan, run.plan.dense
    cards = [
        (times(plan.macs_ratio), f"fewer multiply-adds: {count(plan.macs)} instead of {count(dense.macs)}"),
        (times(plan.weights_ratio), f"fewer weights: {count(plan.weights)} instead of {count(dense.weights)}"),
    ]
    for split in ("test", "validation"):
        scored = [stage for stage in run.stages if stage.split == split]
        if scored:
            first, last = scored[0], scored[-1].accuracy
            before = f"; {first.name}: {first.accuracy.top1:.2f} %" if len(scored) > 1 else ""
            cards.append((f"{last.top1:.2f} %", f"of {last.n} {split} images right{before}"))
            break
    if timed := latencies(run):
        dense_ms, small_ms = min(row.dense_ms for row in timed), min(row.compressed_ms for row in timed)
        share = dense_ms / small_ms / plan.macs_ratio
        words = f"as fast in the fastest runtime: {small_ms:.3g} ms instead of {dense_ms:.3g}"
        cards.append((times(dense_ms / small_ms), f"{words}, {share:.0%} of what the multiply-adds promise"))
    if energy := energy_of(run):
        before, after = (quantity(mj / 1e3, "J") for mj in (energy.dense_mj, energy.compressed_mj))
        saved = f"{after} instead of {before} an image"
        cards.append((times(energy.dense_mj / energy.compressed_mj), f"less energy ({energy.kind}): {saved}"))
    items = "".join(f"<li><b>{escape(value)}</b><span>{escape(words)}</span></li>" for value, words in cards)
    return f'<ul class="cards">{items}</ul>'


def _exports(exports: Sequence[Exported]) -> str:
    if not exports:
        return ""
    rows = [[e.path.name, e.format, f"{e.bytes / 1e6:.2f} MB", str(e.check)] for e in exports]
    table = wide(html_table(("file", "format", "size", "checked after writing"), rows, left=(0, 1, 3)))
    return section("Files", table)


def _made(run: Run, network: Network | None, smaller: Network | None) -> str:
    rows = [["data", run.data], ["seed", str(run.seed)], ["input", " x ".join(map(str, run.plan.input_shape))]]
    if network is not None:
        rows += [["weights of the original", network.source]]
        rows += [["sha256", network.sha256]] if network.sha256 else []
        rows += [["classes", str(len(network.classes) or "not named")]]
        rows += [["preprocessing", about(network)["preprocessing"]["words"]]]
    if smaller is not None:
        rows += [["compressed", smaller.source], ["its weights, counted", f"{smaller.weights:,}"]]
    rows += [["plan", run.plan.describe()]]
    rows += [[key, value if isinstance(value, str) else json.dumps(value)] for key, value in run.settings.items()]
    rows += [[f"version of {name}", value] for name, value in run.versions.items()]
    rows += [["sha256 of the compressed weights", run.weights_hash]] if run.weights_hash else []
    table = wide(html_table(("what", "value"), [[str(cell) for cell in row] for row in rows], left=(0, 1)))
    return section("How it was made", table, f'<p class="quiet">Method: {escape(PAPER)}.</p>')
