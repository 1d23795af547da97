"""The paper's table: computed figures beside the published ones; compression and accuracy of given networks only."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workbench.catalog.networks.entries import outline
from workbench.catalog.paper.published import PUBLISHED, SOURCE, Figures, Published
from workbench.kernels.complexity import Cost
from workbench.network.data import Split
from workbench.network.layers import Layer
from workbench.network.network import Network, expect_network
from workbench.network.scores import Score, accuracy
from workbench.network.tracing import find_layers
from workbench.plan.evbmf import evbmf_plan
from workbench.plan.layer_choice import CHOICES, choose_layers
from workbench.plan.plan import LayerPlan, Plan
from workbench.plan.spectra import Spectra, analyze
from workbench.progress import Progress, part, reporter
from workbench.recover.decompose import decompose
from workbench.tables import Table, count, html_table, times

DIFFERENCES_TEXT = (
    "Weights count every parameter, biases too, and MACs the multiply-adds of convolutions and fully connected layers "
    "for one image; the paper calls them FLOPs and rounds or counts slightly differently. GoogLeNet is counted without "
    "its auxiliary heads. The paper left VGG-16's fully connected layers as they were (127 M weights remain); here the "
    "layers are a choice, named with the plan. Ranks are those of the exact global EVBMF solution and may differ from "
    "the paper's; a layer that would not get smaller is kept. Accuracies here are those right after decomposition, "
    "without any fine-tuning, and of whatever images were given (which ImageNet split sample images come from may be "
    "unknown, so only the difference means anything); the published ones are after fine-tuning, on ImageNet's "
    "validation images. Times and energy are published ones only."
)
"""Differences between the computed and the published columns."""


@dataclass(frozen=True)
class PaperRow:
    """One network of the table; without weights it has no plan, without images no scores."""

    network: str
    published: Published | None
    original: Cost
    layers: tuple[Layer, ...]
    plan: Plan | None = None
    before: Score | None = None  # before and after decomposition
    after: Score | None = None

    @property
    def title(self) -> str:
        """Name of the network in the paper."""
        return self.published.title if self.published else self.network

    def example(self, share: float = 1 / 3) -> Plan:
        """Return a plan at ranks that are a share (above 0, at most 1) of each layer's channels, without weights."""
        if not 0 < share <= 1:
            raise ValueError(f"share is above 0 and at most 1, not {share}")
        network = outline(self.network)
        traced = find_layers(network)
        parts = []
        for layer in traced.layers:
            rank_in, rank_out = (max(1, round(share * channels)) for channels in layer.max_ranks)
            ranks = {"rank_out": rank_out} | ({"rank_in": rank_in} if layer.method == "tucker2" else {})
            parts.append(LayerPlan(layer, layer.method, **ranks, reason="example ranks"))
        policy = f"example ranks, {share:.0%} of the channels of every layer, not found in any weights"
        return Plan(network.name, network.input_shape, tuple(parts), traced.other, policy)


@dataclass(frozen=True, repr=False)
class PaperTable(Table):
    """Two lines per network, original and (marked ``*``) compressed; computed columns left of the published ones."""

    networks: tuple[PaperRow, ...]

    headers = (
        *("network", "weights", "MACs", "top-5"),
        *("top-5 (published)", "weights (p)", "MACs (p)", "S6 time (p)", "S6 energy (p)", "Titan X (p)"),
    )

    def __getitem__(self, name: str) -> PaperRow:
        return {row.network: row for row in self.networks}[name]

    @property
    def rows(self) -> list[list[str]]:
        """The cells as text, two lists per network."""
        cells = []
        for row in self.networks:
            p = row.published
            original = [count(row.original.weights), count(row.original.macs), _top5_text(row.before)]
            cells.append([row.title, *original, *_figure_texts(p.original if p else None)])
            compressed = ["-", "-", "-"]
            if row.plan is not None:
                costs = (row.plan.weights, row.plan.weights_ratio), (row.plan.macs, row.plan.macs_ratio)
                compressed = [*(f"{count(n)} ({times(r)})" for n, r in costs), _top5_text(row.after)]
            published = _figure_texts(p.compressed, p.ratios) if p else _figure_texts(None)
            cells.append([f"{row.title} *", *compressed, *published])
        return cells

    @property
    def caption(self) -> str:
        """The plans, and the source of the published columns."""
        plans = [f"{row.title} *: {row.plan.describe()}" for row in self.networks if row.plan is not None]
        plans_text = "; ".join(plans) if plans else "no weights were given, so none is compressed here"
        return f"At the left computed here ({plans_text}); at the right (p) {SOURCE}."

    def __str__(self) -> str:
        return f"{super().__str__()}\n{DIFFERENCES_TEXT}"

    def _repr_html_(self) -> str:
        return f"{html_table(self.headers, self.rows, caption=self.caption)}<p>{DIFFERENCES_TEXT}</p>"


def paper_table(
    networks: Sequence[Network] = (),
    split: Split | None = None,
    *,
    layers: str | Sequence[str] = "spatial",
    fully_connected: bool | None = None,
    progress: Progress | bool | None = None,
) -> PaperTable:
    """Return the paper's four networks, and the given ones compressed at EVBMF ranks, right after decomposition.

    Parameters
    ----------
    networks : with trained weights. A network called like one of the paper fills its row; others get rows of their own.
    split : labelled images to score the given networks on; None for costs only. They do not change the plans.
    layers : "all"; "default", without 1x1 convolutions; "spatial", only convolutions larger than 1x1; or names.
    fully_connected : whether to include fully connected layers; None for the choice's own rule.
    progress : called before each layer and batch; raising `Cancelled` ends the function.

    Raises
    ------
    ValueError : if a network has random weights, whose ranks would mean nothing, or two have the same name.
    """
    for network in networks:
        expect_network(network)
        if network.random_weights:
            raise ValueError(
                f"{network.name} has random weights, so its ranks would mean nothing: "
                f"load_network({network.name!r}, weights='file.safetensors')"
            )
    names = [network.name for network in networks]
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two of the networks are called {duplicate}; give each a name of its own")
    rows = {}
    for name, published in PUBLISHED.items():
        traced = find_layers(outline(name))
        rows[name] = PaperRow(name, published, traced.total, traced.layers)
    report = reporter(progress)
    for i, network in enumerate(networks):
        report_network = part(report, i / len(networks), (i + 1) / len(networks), network.name)
        rows[network.name] = _compressed_row(network, split, layers, fully_connected, report_network)
    report(1.0, "")
    return PaperTable(tuple(rows.values()))


def paper_plan(spectra: Spectra, layers: str | Sequence[str], fully_connected: bool | None = None) -> Plan:
    """Return the EVBMF plan of a choice of layers; its policy names the choice."""
    if isinstance(layers, str) and fully_connected is not None:
        linear = {layer.name for layer in spectra.layers if layer.kind == "linear"}
        names = choose_layers(spectra, layers)
        plan = evbmf_plan(spectra, [*(names | linear if fully_connected else names - linear)])
        preposition = "with" if fully_connected else "without"
        return replace(plan, policy=f"EVBMF, {CHOICES[layers][0]}, {preposition} fully connected layers")
    return evbmf_plan(spectra, layers)


def _compressed_row(
    network: Network, split: Split | None, layers: str | Sequence[str], fully_connected: bool | None, report: Progress
) -> PaperRow:
    spectra = analyze(network, progress=part(report, 0.0, 0.4, "analysing"))
    plan = paper_plan(spectra, layers, fully_connected)
    row = PaperRow(network.name, PUBLISHED.get(network.name), spectra.total, spectra.layers, plan)
    if split is None:
        return row
    before = accuracy(network, split, progress=part(report, 0.4, 0.7, "the original"))
    compressed = decompose(network, plan, progress=part(report, 0.7, 0.8, "decomposing"))
    after = accuracy(compressed, split, progress=part(report, 0.8, 1.0, "decomposed"))
    return replace(row, plan=compressed.plan, before=before, after=after)


def _top5_text(score: Score | None) -> str:
    if score is None:
        return "-"
    low, high = score.top5_interval
    return f"{100 * score.top5:.1f} % ({100 * low:.1f} to {100 * high:.1f}) of {score.n}"


def _figure_texts(figures: Figures | None, ratios: Sequence[float] = ()) -> list[str]:
    if figures is None:
        return ["-"] * 6
    top5, weights, macs, s6_ms, s6_mj, titan_x_ms = figures
    texts = [f"{weights / 1e6:g} M", f"{macs / 1e6:g} M", f"{s6_ms:.0f} ms", f"{s6_mj:.0f} mJ", f"{titan_x_ms:.2f} ms"]
    if ratios:
        texts = [f"{text} ({times(ratio)})" for text, ratio in zip(texts, ratios, strict=True)]
    return [f"{top5:.2f} %", *texts]
