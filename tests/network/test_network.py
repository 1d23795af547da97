import pytest
import torch
from torch import nn

import workbench as wb


def test_it_knows_what_it_is(network):
    assert network.input_shape == (1, 8, 8)
    assert network.weights == 560_266
    assert len(network.classes) == 10
    assert "digits_vgg" in str(network)
    assert "1 x 8 x 8" in network._repr_html_()


def test_preprocessing_comes_before_the_model():
    network = wb.Network(nn.Flatten(), (1, 2, 2), preprocessing=lambda images: images * 2)
    assert torch.equal(network.inputs(torch.ones(1, 1, 2, 2)), torch.full((1, 1, 2, 2), 2.0))


@pytest.mark.parametrize("shape", [(), (3, 0, 4), (3, 2.5, 4)])
def test_an_input_shape_that_is_none(shape):
    with pytest.raises(ValueError, match="input_shape is the shape of one input"):
        wb.Network(nn.Flatten(), shape)


def test_a_model_that_is_none():
    with pytest.raises(TypeError, match=r"wraps a torch.nn.Module, not a str"):
        wb.Network("model", (3, 8, 8))
