import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import Computes, decomposed
from workbench.recover.layout import to_layout, training_layout


def views(kind):
    """A network that takes a view of its last map, always or in training mode only, or asks for it to be contiguous."""

    def forward(net, x):
        x = net.norm(net.conv2(net.conv1(x).relu())).relu()
        assert kind != "asks" or x.is_contiguous()
        return net.linear(x.view(len(x), -1) if kind == "always" or net.training else x.flatten(1))

    layers = {"conv1": nn.Conv2d(3, 8, 3), "conv2": nn.Conv2d(8, 6, 3), "norm": nn.BatchNorm2d(6)}
    return wb.Network(Computes(forward, **layers, linear=nn.Linear(6 * 16, 4)), (3, 8, 8))


@pytest.mark.parametrize("kind", ["always", "in training", "asks"])
def test_a_network_that_takes_views_trains_as_before(kind):
    network = views(kind)
    images = torch.rand(32, 3, 8, 8)
    assert training_layout([network], images) == torch.preserve_format
    small = decomposed(network, {"conv2": (4, 3)})
    made = wb.distill(small, images, epochs=2, batch_size=8)
    assert made.history[1].loss < made.history[0].loss
    split = wb.Split(images, torch.arange(32) % 4)
    data = wb.Data(split, split, split)
    assert len(wb.finetune(small, data, epochs=1, teacher=network).history) == 1


def test_images_get_their_channels_last_where_all_networks_compute_on_that():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(1), nn.Linear(8 * 36, 4))
    network, images = wb.Network(model, (3, 8, 8)), torch.rand(4, 3, 8, 8)
    before = {name: value.clone() for name, value in network.model.state_dict().items()}
    chance = torch.get_rng_state()
    layout = training_layout([network], images)
    assert layout == torch.channels_last
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(torch.equal(value, before[name]) for name, value in network.model.state_dict().items())
    made = to_layout(images, layout)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made, images)
    assert training_layout([network, views("always")], images) == torch.preserve_format


def test_what_is_no_batch_of_images_stays_as_it_is():
    network = wb.Network(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), (5,))
    rows = torch.rand(4, 5)
    assert training_layout([network], rows) == torch.preserve_format
    assert to_layout(rows, torch.channels_last) is rows
    pair = (rows, rows)
    assert to_layout(pair, torch.channels_last) is pair
