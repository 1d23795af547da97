import pytest
import torch
from torch import nn

import workbench as wb
from workbench.recover.balance import balance


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
    plan = wb.evbmf_plan(wb.analyze(network, cached=False)).with_ranks("first", rank_out=5)
    for name, ranks in {"grouped": (3, 4), "up": (4, 3), "up1": (6, 5), "hidden": (4, 7)}.items():
        plan = plan.with_ranks(name, rank_in=ranks[0], rank_out=ranks[1])
    plan = plan.with_ranks("last", rank_out=3)
    made = wb.decompose(network, plan)
    with torch.no_grad():
        for parameter in made.model.parameters():  # as data-aware factors are: far from orthogonal
            parameter.mul_(
                torch.logspace(-2, 2, parameter.shape[0], dtype=torch.float64).reshape(-1, *[1] * (parameter.ndim - 1))
            )
    return made


def test_every_layers_answer_stays(smaller, generator):
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=generator)
    balanced = balance(smaller)
    with torch.no_grad():
        before, after = smaller.model(x), balanced.model(x)
    assert torch.allclose(before, after, rtol=1e-9)


def test_factors_are_orthogonal_and_of_like_size(smaller):
    before = {k: v.clone() for k, v in smaller.model.state_dict().items()}
    balanced = balance(smaller)
    assert all(torch.equal(v, before[k]) for k, v in smaller.model.state_dict().items())
    for name in ("first", "grouped", "up", "hidden", "last"):
        factors = balanced.model.get_submodule(name)
        norms = [
            float(torch.linalg.vector_norm(w.detach())) for n, w in factors.named_parameters() if n.endswith("weight")
        ]
        assert norms == pytest.approx([norms[0]] * len(norms))
    outer = balanced.model.first.factor_out.weight.flatten(1)
    gram = outer.mT @ outer
    assert torch.allclose(gram, gram[0, 0] * torch.eye(5, dtype=torch.float64), atol=1e-10)


def test_only_decomposed_networks_have_factors(network):
    with pytest.raises(TypeError, match="digits_vgg is an original"):
        balance(network)
