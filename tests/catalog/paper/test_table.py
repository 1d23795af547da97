"""The paper's table from our own definitions; what is ours and what was published stays apart."""

import pytest

import workbench as wb
from tests.helpers.progress import Told
from workbench.catalog.networks.entries import outline
from workbench.catalog.paper.published import PUBLISHED
from workbench.catalog.paper.table import paper_table
from workbench.inspect.layerwise import factors_of
from workbench.network.tracing import find_layers


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
    assert find_layers(outline(name)).total == find_layers(wb.load_network(name)).total
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


def test_random_weights_are_refused(network):
    with pytest.raises(ValueError, match=r"resnet20 has random weights, so its ranks would mean nothing: load_network"):
        paper_table([wb.load_network("resnet20")])
    with pytest.raises(ValueError, match="two of the networks are called digits_vgg"):
        paper_table([network, network])


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
