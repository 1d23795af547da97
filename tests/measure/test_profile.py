import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.progress import Told
from tests.helpers.runners import macs


def traffic(network, batch):
    """Bytes of each call's weights, input and output, seen by hooks on a copy."""
    moved = {}

    def see(name, module, given, output):
        numbers = sum(p.numel() for p in module.parameters()) + given[0].numel() + output.numel()
        moved[name] = moved.get(name, 0) + numbers * output.element_size()

    network = wb.Network(network.model, network.input_shape)
    for name, module in network.model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda m, i, o, n=name: see(n, m, i, o))
    with torch.no_grad():
        network.model(torch.zeros(batch, *network.input_shape, dtype=next(network.model.parameters()).dtype))
    return moved


@pytest.mark.parametrize("batch", [1, 4])
def test_macs_and_bytes_are_those_that_go_through_the_modules(mixed, smaller, batch):
    for network, which in ((mixed, "original"), (smaller, "compressed")):  # `mixed` calls one layer twice
        found = wb.profile(network, repeats=1, batch=batch).networks[which]
        image = torch.zeros(1, *network.input_shape, dtype=next(network.model.parameters()).dtype)
        assert found.total.macs / batch == macs(network.model, image)
        assert {part.name: part.moved for part in found.parts} == traffic(network, batch)
    assert found.total.macs / batch == smaller.plan.macs - smaller.plan.other.macs


def test_each_factor_is_a_part_of_its_layer_and_all_add_up(smaller, mixed):
    told = Told()
    both = wb.profile(smaller, repeats=2, progress=told)
    found = both.compressed
    assert list(found.sums("layer")) == [part.name for part in smaller.plan]
    kinds = {(part.layer, part.part): (part.kind, part.kernel) for part in found.parts}
    assert kinds["features.3", "factor_in"] == ("1x1", "1x1")
    assert kinds["features.3", "core"] == ("core", "3x3")
    assert kinds["features.7", "dense"] == ("dense", "3x3")
    assert kinds["classifier.0", "core"] == ("linear", "2x2")  # a linear layer, seen as a convolution
    assert kinds["classifier.2", "dense"] == ("linear", "linear")
    assert {"3x5", "3x3, 4 groups", "linear"} <= {part.kernel for part in wb.profile(mixed, repeats=1).original.parts}
    for groups in (found.sums("layer").values(), found.sums("kind").values()):
        assert sum(g.macs for g in groups) == found.total.macs < both.original.total.macs
        assert sum(g.moved for g in groups) == found.total.moved
        assert sum(g.seconds for g in groups) + found.other == pytest.approx(found.seconds)
    assert set(found.sums("kind")) == {"dense", "core", "1x1", "linear"}
    assert all(part.seconds > 0 for part in found.parts)
    assert found.other > 0
    assert told[-1][0] == 1.0


def test_a_disturbed_pass_does_not_count(monkeypatch):
    """Every pass loses a second somewhere else, in a layer or between two; the medians do not see it."""
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1))
    clock = iter(range(10**9))
    lost = {6 * i + 1 + i % 5 for i in range(11)}  # the clock is read six times a pass
    elapsed = 0.0

    def now(_):
        nonlocal elapsed
        elapsed += 1000.0 if next(clock) in lost else 1.0
        return elapsed

    monkeypatch.setattr("workbench.measure.profile._PassTimer._now", now)
    found = wb.profile(wb.Network(model, (1, 2, 2)), repeats=9).original
    assert [part.seconds for part in found.parts] == [1.0, 1.0]
    assert found.other == 3.0


def test_a_network_that_calls_other_layers_each_time():
    class Changing(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.calls = nn.Linear(2, 2), nn.Linear(2, 2), 0

        def forward(self, x):
            self.calls += 1
            return self.one(x) if self.calls % 3 == 0 else self.two(self.one(x))

    with pytest.raises(ValueError, match="does not call the same layers each time"):
        wb.profile(wb.Network(Changing(), (2,)))
