"""The paper's table from our own definitions; what is ours and what was published stays apart."""

from dataclasses import replace

import pytest

import workbench as wb
from tests.helpers.networks import measured_cost
from tests.helpers.progress import Told
from workbench.catalog.networks.entries import outline
from workbench.catalog.paper.published import PUBLISHED, SOURCE
from workbench.catalog.paper.table import DIFFERENCES, paper_table, plan_choice
from workbench.inspect.layerwise import factors_of


@pytest.fixture(scope="module")
def table():
    return paper_table()


def test_original_columns(table):
    """The arithmetic of the paper's definitions; the published ones round or count slightly differently."""
    weights = {"alexnet_caffe": 60_965_224, "vgg_s": 102_908_520, "googlenet_bvlc": 6_998_552, "vgg16": 138_357_544}
    assert {row.network: row.original.weights for row in table.networks} == weights
    for row in table.networks:
        assert row.original.macs == sum(layer.cost.macs for layer in row.layers)
        assert row.original.weights == sum(layer.cost.weights for layer in row.layers)
        assert row.original.macs / PUBLISHED[row.network].original.macs == pytest.approx(1, abs=0.011)
        assert row.plan is row.before is row.after is None
    assert [len(row.layers) for row in table.networks] == [8, 8, 58, 16]


@pytest.mark.parametrize("name", ["digits_vgg", "googlenet_bvlc", "resnet20"])
def test_an_outline_costs_what_the_network_costs(name):
    assert measured_cost(outline(name)) == measured_cost(wb.load_network(name))
    assert all(p.is_meta for p in outline(name).model.parameters())


def test_a_given_network_is_compressed_and_scored(network, data):
    told = Told()
    table = paper_table([network], data.test, layers="default", progress=told)
    row = table["digits_vgg"]
    plan = wb.evbmf_plan(wb.analyze(network))
    smaller = wb.decompose(network, plan)
    assert (row.plan.weights, row.plan.macs) == (smaller.weights, plan.macs)
    assert row.before == wb.score(network, data.test)
    assert row.after == wb.score(smaller, data.test)
    assert row.published is None
    assert len(table.networks) == 5
    assert told[-1] == (1.0, "")
    assert told[0][1].startswith("digits_vgg: analysing")


def test_a_network_called_like_the_papers_fills_its_row(network):
    table = paper_table([replace(network, name="vgg_s")])
    assert [row.network for row in table.networks] == list(PUBLISHED)
    assert table["vgg_s"].published is PUBLISHED["vgg_s"]
    assert table["vgg_s"].original.weights == network.weights  # what is given is counted
    line = next(line for line in str(table).splitlines() if line.startswith("VGG-S *"))
    assert f"(x{table['vgg_s'].plan.macs_ratio:.2f})" in line
    assert "VGG-S *: EVBMF, spatial convolutions only" in str(table)


def test_random_weights_are_refused(network):
    with pytest.raises(ValueError, match=r"resnet20 has random weights, so its ranks would mean nothing: load_network"):
        paper_table([wb.load_network("resnet20")])
    with pytest.raises(ValueError, match="two of the networks are called digits_vgg"):
        paper_table([network, network])


CONVOLUTIONS = ["first", "dilated", "twice", "same", "grouped", "depthwise"]


@pytest.mark.parametrize(
    ("layers", "linear", "more"),
    [
        ("spatial", None, []),
        ("spatial", False, []),
        ("spatial", True, ["hidden", "last"]),
        ("default", None, ["hidden", "last"]),
        ("default", False, []),
        ("all", None, ["pointwise", "hidden", "last"]),
        ("all", False, ["pointwise"]),
    ],
)
def test_choices_of_layers(mixed, layers, linear, more):
    spectra = wb.analyze(mixed, cached=False)
    plan = plan_choice(spectra, layers, linear)
    assert plan.layers == wb.evbmf_plan(spectra, [*CONVOLUTIONS, *more]).layers
    if linear is None:
        assert plan == wb.evbmf_plan(spectra, layers)
    else:
        words = "with fully connected" if linear else "without fully connected"
        assert words in plan.policy


def test_ours_and_theirs_are_told_apart(table):
    text, html = str(table), table._repr_html_()
    for shown in (text, html):
        assert SOURCE.split(";")[0] in shown
        assert DIFFERENCES in shown
        assert "no weights were given, so none is compressed here" in shown
    header = text.splitlines()[1]
    assert header.index("top-5 ") < header.index("top-5 (published)") < header.index("weights (p)")
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert lines["VGG-16 *"].split()[2:5] == ["-", "-", "-"]
    assert lines["VGG-16 *"].endswith("127 M (x1.09)  3139 M (x4.93)  576 ms (x3.34)  1346 mJ (x3.53)  4.58 ms (x2.33)")
    assert html.count("<tr>") == 9
    assert repr(table) == text


def test_alexnet_layer_by_layer_at_example_ranks(table):
    """Each factor's weights and MACs by hand, from the paper's formulas."""
    plan = table["alexnet_caffe"].example(1 / 4)
    assert "not found in any weights" in plan.policy
    assert plan.dense == table["alexnet_caffe"].original
    assert [part.decision for part in plan] == ["tucker1", *["tucker2"] * 5, "tucker1", "tucker1"]
    conv2 = factors_of(plan["conv2.conv"])  # two groups of 48 -> 128, 5x5, on 27 x 27
    assert [cost.macs for cost in conv2.values()] == [
        *(2 * 48 * 12 * 27**2, 2 * 25 * 12 * 32 * 27**2, 2 * 32 * 128 * 27**2)
    ]
    conv1, fc6, fc7 = (factors_of(plan[name]) for name in ("conv1.conv", "classifier.0", "classifier.3"))
    assert [cost.weights for cost in conv1.values()] == [3 * 11**2 * 24, 24 * 96 + 96]
    assert [cost.weights for cost in fc6.values()] == [256 * 64, 36 * 64 * 1024, 1024 * 4096 + 4096]
    assert [cost.weights for cost in fc7.values()] == [4096 * 1024, 1024 * 4096 + 4096]
    assert plan.weights < plan.dense.weights / 2
    with pytest.raises(ValueError, match="share is above 0 and at most 1, not 2"):
        table["vgg_s"].example(2)


@pytest.mark.parametrize("name", PUBLISHED)
def test_ratios_belong_to_their_lines(name):
    """Printed ratios were taken before rounding: within a tenth, but for the one that the docstring names."""
    p = PUBLISHED[name]
    for before, after, ratio in zip(p.original[1:], p.compressed[1:], p.ratios, strict=True):
        if (name, ratio) != ("googlenet_bvlc", 1.28):
            assert before / after == pytest.approx(ratio, rel=0.035)
    assert 0 < p.original.top5 - p.compressed.top5 < 2
