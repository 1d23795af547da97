import copy

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import decomposed, same


class Every(nn.Module):
    """Tucker-2, Tucker-1, groups, transposed, and a linear layer behind a map."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 12, 3, padding=1)
        self.grouped = nn.Conv2d(12, 16, 3, groups=2, padding=1)
        self.up = nn.ConvTranspose2d(16, 12, 2, stride=2, groups=2, bias=False)
        self.up1 = nn.ConvTranspose2d(12, 10, 2, stride=2)
        self.hidden, self.last = nn.Linear(10 * 16, 20), nn.Linear(20, 5)

    def forward(self, x):
        x = self.up1(self.up(torch.relu(self.grouped(self.first(x)))))
        return self.last(self.hidden(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)))


@pytest.fixture
def smaller():
    torch.manual_seed(0)
    network = wb.Network(Every().double().eval(), (3, 8, 8), name="every")
    ranks = {"first": (None, 5), "grouped": (3, 4), "up": (4, 3), "up1": (6, 5), "hidden": (4, 7), "last": (None, 3)}
    made = decomposed(network, ranks)
    with torch.no_grad():
        for p in made.model.parameters():  # as data-aware factors are: far from orthogonal
            p.mul_(torch.logspace(-2, 2, len(p), dtype=torch.float64).reshape(-1, *[1] * (p.ndim - 1)))
    return made


def test_factors_are_orthogonal_and_of_like_size_and_every_answer_stays(smaller, generator):
    before = copy.deepcopy(smaller.model.state_dict())
    balanced = wb.balance(smaller)
    assert same(smaller.model.state_dict(), before)
    for name in ("first", "grouped", "up", "hidden", "last"):
        factors = balanced.model.get_submodule(name)
        norms = [float(w.detach().norm()) for n, w in factors.named_parameters() if n.endswith("weight")]
        assert norms == pytest.approx([norms[0]] * len(norms))
    outer = balanced.model.first.factor_out.weight.flatten(1)
    gram = outer.mT @ outer
    assert torch.allclose(gram, gram[0, 0] * torch.eye(5, dtype=torch.float64), atol=1e-10)
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        assert torch.allclose(smaller.model(x), balanced.model(x), rtol=1e-9)


def test_only_decomposed_networks_have_factors(network):
    with pytest.raises(TypeError, match="digits_vgg is an original"):
        wb.balance(network)
