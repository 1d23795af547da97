"""One convolution and the three in its place: the numbers, both pictures of them, and the sliders."""

import json

import ipywidgets as w
import pytest
import torch
from torch import nn

import workbench as wb
from tests.app.test_panels import find, html
from workbench.inspect.factors import Factors, evbmf_ranks
from workbench.kernels.complexity import tucker2_cost
from workbench.plot.interactive.factors import factors_figure, fill_factors


def layer_of(module, *size):
    return wb.analyze(wb.Network(module, input_shape=size), cached=False).layers[0]


@pytest.fixture
def strided():
    return layer_of(nn.Conv2d(8, 12, 3, stride=2, padding=1), 8, 16, 16)


def test_the_numbers_are_the_plans(spectra, plan):
    part = plan["features.3"]
    shown = Factors.of(spectra["features.3"])
    assert (shown.rank_in, shown.rank_out) == (part.rank_in, part.rank_out) == (14, 16)
    assert shown.cost == part.cost
    assert shown.dense == part.layer.cost
    assert shown.error == part.error
    assert sum(shown.shares("macs")) == pytest.approx(100 / part.macs_ratio)
    assert shown.compared("weights") == "18.5 k -> 3.55 k (x5.21 fewer)"
    assert shown.verdict == "It pays. With R3 = 14, any R4 pays."


def test_a_layer_alone(strided):
    shown = Factors.of(strided)
    assert (shown.rank_in, shown.rank_out) == (4, 6)
    assert shown.error is None
    full = Factors.of(strided, 8, 12)
    assert not full.pays
    assert full.verdict == f"It does not pay. With R3 = 8, R4 may be at most {full.break_even}."
    assert full.compared("macs").endswith(" more)")
    for rank_out in range(1, 13):
        assert Factors.of(strided, 8, rank_out).pays == (rank_out <= full.break_even)


def test_no_rank_pays_where_the_other_is_full():
    pointwise = layer_of(nn.Conv2d(8, 8, 1), 8, 4, 4)
    assert Factors.of(pointwise, 8, 1).verdict == "It does not pay. With R3 = 8, no R4 pays."


def test_points_on_a_line_cost_that_much_less(strided):
    for ratio in (1, 2, 4):
        for rank_in, rank_out in Factors.of(strided).line(ratio):
            cost = tucker2_cost(strided.shape, rank_in=int(rank_in), rank_out=int(rank_out))
            assert cost.weights <= strided.cost.weights / ratio
            assert cost.macs <= strided.cost.macs / ratio


def test_blocks_are_as_long_as_there_are_channels_and_as_tall_as_the_map(strided):
    s, t, s_again, r3, r4, t_again = Factors.of(strided, 2, 6).blocks
    assert [block.name for block in (s, t, r3, r4)] == ["S = 8", "T = 12", "R3 = 2", "R4 = 6"]
    assert (s.width, s.height) == (s_again.width, s_again.height)
    assert r3.width / s.width == pytest.approx(2 / 8)
    assert r4.width / t.width == pytest.approx(6 / 12)
    assert s.height == r3.height == 2 * r4.height == 2 * t_again.height


@pytest.mark.parametrize(
    ("ranks", "sentence"),
    [((0, 3), "rank_in=0 does not fit, it can be 1 to 8"), ((3, 13), "rank_out=13"), ((2.5, 3), "rank_in=2.5")],
)
def test_ranks_that_do_not_fit(strided, ranks, sentence):
    with pytest.raises(ValueError, match=sentence):
        wb.explore_ranks(strided, *ranks)


def test_layers_that_three_cannot_replace(spectra):
    with pytest.raises(ValueError, match=r"layer classifier.2 is a matrix"):
        wb.explore_ranks(spectra["classifier.2"])
    with pytest.raises(ValueError, match="the layer has groups"):
        wb.plot_factors(layer_of(nn.Conv2d(8, 8, 3, groups=2), 8, 6, 6))
    with pytest.raises(TypeError, match="one layer, like"):
        wb.explore_ranks(spectra)


def test_evbmfs_ranks(spectra, strided):
    assert evbmf_ranks(spectra["features.3"]) == (14, 16)
    assert evbmf_ranks(spectra["features.0"]) is None  # one-sided
    noise = wb.analyze(wb.Network(nn.Conv2d(32, 64, 3), input_shape=(32, 8, 8)), cached=False)[""]
    assert evbmf_ranks(noise) is None
    assert evbmf_ranks(None) is None


def test_the_figure_follows(spectra):
    figure = factors_figure()
    for ranks in ((14, 16), (5, 60), (32, 64)):
        shown = Factors.of(spectra["features.3"], *ranks)
        fill_factors(figure, shown)
        bars = [trace for trace in figure.data if trace.type == "bar"]
        assert [bar.x[1] for bar in bars] == pytest.approx(list(shown.shares("macs")))
        here, found = figure.data[-1], figure.data[-2]
        assert (here.x, here.y) == ((ranks[0],), (ranks[1],))
        assert (found.x, found.y) == ((14,), (16,))
        words = {note.text for note in figure.layout.annotations}
        assert {f"<b>R3 = {ranks[0]}</b>", f"<b>R4 = {ranks[1]}</b>", "<b>3x3 core</b>", "break-even"} <= words
        assert figure.layout.xaxis2.range[1] > max(100, sum(shown.shares("weights")))


def test_both_pictures_show_the_same(spectra):
    shown = Factors.of(spectra["features.3"], 9, 30)
    figure = factors_figure()
    fill_factors(figure, shown)
    touched = {note.text.replace("<b>", "").replace("</b>", "") for note in figure.layout.annotations} - {""}
    print_ = wb.plot_factors(spectra["features.3"], 9, 30)
    printed = {text.get_text() for axes in print_.axes for text in axes.texts} - {""}
    assert printed == touched
    assert print_.get_suptitle() == f"features.3: 32 -> 64, 3x3. {shown.verdict}"


def test_sliders_move_the_figure(spectra):
    view = wb.explore_ranks(spectra["features.3"])
    figure = view.widget.children[-1]
    assert "It pays" in html(view.widget)
    assert "at most 62.4 %" in html(view.widget)
    view.sliders["rank_in"].value = 32
    view.sliders["rank_out"].value = 64
    assert (view.shown.rank_in, view.shown.rank_out) == (32, 64)
    assert "It does not pay. With R3 = 32, R4 may be at most 49." in html(view.widget)
    assert json.loads(figure.traces)[-1]["x"] == [32]
    find(view.widget, w.Button, "EVBMF ranks").click()
    assert (view.sliders["rank_in"].value, view.sliders["rank_out"].value) == (14, 16)
    find(view.widget, w.Button, "Full ranks").click()
    assert (view.shown.rank_in, view.shown.rank_out) == (32, 64)
    with pytest.raises(ValueError, match="rank_in=33 does not fit"):
        view.set_ranks(33, 1)


def test_where_nothing_runs_it_is_a_picture(strided):
    view = wb.explore_ranks(strided)
    assert [button.description for button in find(view.widget, w.Button)] == ["Full ranks"]
    data, metadata = view._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["image/png"].startswith(b"\x89PNG")
    assert "8 -> 12, 3x3. It pays" in metadata["image/png"]["alt"]


@pytest.mark.parametrize(
    ("module", "size"),
    [
        (nn.Conv1d(4, 6, 5), (4, 20)),
        (nn.Conv3d(6, 4, 3), (6, 5, 5, 5)),
        (nn.ConvTranspose2d(5, 7, 4, stride=2), (5, 6, 6)),
        (nn.Conv2d(1, 1, 3), (1, 8, 8)),
        (nn.Conv2d(3, 300, 7), (3, 20, 20)),
    ],
)
def test_all_kinds_of_convolutions(module, size):
    torch.manual_seed(0)
    layer = layer_of(module, *size)
    for ranks in ((1, 1), layer.max_ranks):
        wb.explore_ranks(layer, *ranks)
        wb.plot_factors(layer, *ranks)
