"""One convolution and the three in its place, interactive and printed."""

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.inspect.factors import Factors
from workbench.plot.interactive.factors import factors


@pytest.mark.parametrize("ranks", [(14, 16), (5, 60), (32, 64)])
def test_values(spectra, ranks, valid):
    shown = Factors.of(spectra["features.3"], *ranks)
    figure = valid(factors(shown))
    bars = [trace for trace in figure["data"] if trace["type"] == "bar"]
    assert [bar["x"][1] for bar in bars] == pytest.approx([100 * share for share in shown.shares("macs")])
    found, here = ((trace["x"], trace["y"]) for trace in figure["data"][-2:])
    assert (found, here) == (([14], [16]), ([ranks[0]], [ranks[1]]))
    assert figure["layout"]["xaxis2"]["range"][1] > max(100, 100 * sum(shown.shares("weights")))


def test_both_pictures_show_the_same(spectra):
    shown = Factors.of(spectra["features.3"], 9, 30)
    notes = factors(shown)["layout"]["annotations"]
    printed = wb.plot.factors(spectra["features.3"], 9, 30)
    texts = {text.get_text() for axes in printed.axes for text in axes.texts} - {""}
    assert texts == {note["text"].replace("<b>", "").replace("</b>", "") for note in notes} - {""}
    assert printed.get_suptitle() == f"features.3: 32 -> 64, 3x3. {shown.verdict}"


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
def test_all_kinds_of_convolutions(module, size, valid):
    torch.manual_seed(0)
    layer = wb.analyze(wb.Network(module, input_shape=size), cached=False).layers[0]
    for ranks in ((1, 1), layer.max_ranks):
        valid(factors(Factors.of(layer, *ranks)))
        wb.plot.factors(layer, *ranks)


def test_what_is_no_convolution(spectra):
    with pytest.raises(ValueError, match=r"layer classifier.2 is a matrix"):
        wb.plot.factors(spectra["classifier.2"])
    with pytest.raises(TypeError, match="one layer, like"):
        wb.plot.factors(spectra)
