import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import decomposed
from workbench.recover.layout import laid_out, training_layout


class Views(nn.Module):
    """A network that takes a view of its last map, always or in training mode only, or asks for it to be contiguous."""

    def __init__(self, kind):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3)
        self.norm, self.linear = nn.BatchNorm2d(6), nn.Linear(6 * 16, 4)
        self.kind = kind

    def forward(self, x):
        x = self.norm(self.conv2(self.conv1(x).relu())).relu()
        assert self.kind != "asks" or x.is_contiguous()
        flat = x.view(len(x), -1) if self.kind == "always" or self.training else x.flatten(1)
        return self.linear(flat)


def plain():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(1), nn.Linear(8 * 36, 4))


@pytest.mark.parametrize("kind", ["always", "in training", "asks"])
def test_a_network_that_takes_views_trains_as_before(kind):
    torch.manual_seed(0)
    network = wb.Network(Views(kind), (3, 8, 8))
    images = torch.rand(32, 3, 8, 8)
    assert training_layout([network], images) == torch.preserve_format
    small = decomposed(network, {"conv2": (4, 3)})
    made = wb.distill(small, images, epochs=2, batch_size=8)
    assert made.history[1].loss < made.history[0].loss
    split = wb.Split(images, torch.arange(32) % 4)
    data = wb.Data(split, split, split)
    assert len(wb.finetune(small, data, epochs=1, teacher=network).history) == 1


def test_images_get_their_channels_last_where_all_networks_compute_on_that():
    torch.manual_seed(0)
    network, images = wb.Network(plain(), (3, 8, 8)), torch.rand(4, 3, 8, 8)
    before = {name: value.clone() for name, value in network.model.state_dict().items()}
    chance = torch.get_rng_state()
    layout = training_layout([network], images)
    assert layout == torch.channels_last
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(torch.equal(value, before[name]) for name, value in network.model.state_dict().items())
    made = laid_out(images, layout)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made, images)
    teacher = wb.Network(Views("always"), (3, 8, 8))
    assert training_layout([network, teacher], images) == torch.preserve_format


def test_what_is_no_batch_of_images_stays_as_it_is():
    network = wb.Network(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), (5,))
    rows = torch.rand(4, 5)
    assert training_layout([network], rows) == torch.preserve_format
    assert laid_out(rows, torch.channels_last) is rows
    pair = (rows, rows)
    assert laid_out(pair, torch.channels_last) is pair
