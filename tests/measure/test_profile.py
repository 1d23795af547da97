import copy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import workbench as wb
from workbench.measure.profile_table import OTHER, Group, Profile


def flops(network, batch=1):
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network.model(torch.zeros(batch, *network.input_shape))
    return counter.get_total_flops()


def traffic(network, batch):
    """Bytes of each call's weights, input and output, seen by hooks."""
    moved = {}

    def see(name, module, given, output):
        numbers = sum(p.numel() for p in module.parameters()) + given[0].numel() + output.numel()
        moved[name] = moved.get(name, 0) + numbers * output.element_size()

    hooks = [
        m.register_forward_hook(lambda m, i, o, n=n: see(n, m, i, o))
        for n, m in network.model.named_modules()
        if isinstance(m, nn.Conv2d | nn.Linear)
    ]
    dtype = next(network.model.parameters()).dtype
    with torch.no_grad():
        network.model(torch.zeros(batch, *network.input_shape, dtype=dtype))
    for hook in hooks:
        hook.remove()
    return moved


def test_macs_are_the_plans_and_torchs(network, smaller):
    found = wb.profile(smaller, repeats=1)
    assert found.macs == smaller.plan.macs - smaller.plan.other.macs
    assert found.macs == flops(smaller) // 2
    assert wb.profile(network, repeats=1, batch=3).macs == flops(network, 3) // 2


@pytest.mark.parametrize("batch", [1, 4])
def test_bytes_are_those_that_go_through_the_modules(mixed, smaller, batch):
    for network in (mixed, smaller):
        rows = wb.profile(network, repeats=1, batch=batch).rows
        assert {row.name: row.moved for row in rows} == traffic(network, batch)  # one layer of `mixed` is called twice


def test_each_factor_is_a_row_of_its_layer(smaller):
    found = wb.profile(smaller, repeats=2)
    layers = [part.name for part in smaller.plan]
    assert list(dict.fromkeys(row.layer for row in found.rows)) == layers
    assert [row.part for row in found.rows if row.layer == "features.3"] == ["factor_in", "core", "factor_out"]
    assert [row.part for row in found.rows if row.layer == "features.0"] == ["core", "factor_out"]
    assert [row.part for row in found.rows if row.layer == "features.7"] == ["dense"]
    kinds = {(row.layer, row.part): (row.kind, row.kernel) for row in found.rows}
    assert kinds["features.3", "factor_in"] == ("1x1", "1x1")
    assert kinds["features.3", "core"] == ("core", "3x3")
    assert kinds["features.7", "dense"] == ("dense", "3x3")
    assert kinds["classifier.0", "core"] == ("linear", "2x2")  # a linear layer, seen as a convolution
    assert kinds["classifier.2", "dense"] == ("linear", "linear")
    assert found.rows[2].name == "features.3.factor_in"


def test_kernels_in_words(mixed):
    kernels = {row.name: row.kernel for row in wb.profile(mixed, repeats=1).rows}
    assert kernels["twice"] == "3x5"
    assert kernels["grouped"] == "3x3, 4 groups"
    assert kernels["depthwise"] == "3x3, depthwise"
    assert kernels["hidden"] == "linear"


def test_sums(smaller):
    found = wb.profile(smaller, repeats=3)
    for groups in (found.by_layer(), found.by_kind()):
        assert sum(g.macs for g in groups) == found.macs
        assert sum(g.moved for g in groups) == found.moved
        assert sum(g.seconds for g in groups) + found.other == pytest.approx(found.seconds)
    assert [g.name for g in found.by_layer()] == [part.name for part in smaller.plan]
    assert {g.name for g in found.by_kind()} == {"dense", "core", "1x1", "linear"}
    assert all(row.seconds > 0 for row in found.rows)
    assert found.other > 0


def test_time_goes_where_it_is_spent():
    """A layer with a thousand times the work of the other takes most of the time."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 256, 5, padding=2), nn.Conv2d(256, 2, 1))
    found = wb.profile(wb.Network(model, (3, 48, 48)), repeats=5)
    assert found.rows[1].seconds > 0.5 * sum(row.seconds for row in found.rows)
    assert found.rows[1].rate == found.rows[1].macs / found.rows[1].seconds
    assert found.rows[1].intensity == found.rows[1].macs / found.rows[1].moved
    assert found.rows[1].macs == 4 * 256 * 25 * 48 * 48


def test_the_network_is_left_as_it_was(network):
    network = wb.Network(copy.deepcopy(network.model).train(), network.input_shape)
    before = {name: p.clone() for name, p in network.model.state_dict().items()}
    threads = torch.get_num_threads()
    wb.profile(network, repeats=1, threads=2, channels_last=True)
    assert network.model.training
    assert all(torch.equal(p, before[name]) for name, p in network.model.state_dict().items())
    assert network.model.get_parameter("features.3.weight").is_contiguous()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.model.modules())
    assert torch.get_num_threads() == threads


def test_hooks_are_gone_when_it_is_stopped(network):
    def stop(share, _):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wb.profile(network, repeats=4, progress=stop)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.model.modules())


def test_two_networks_in_turns(network, smaller):
    seen = []
    before, after = wb.profiles([network, smaller], repeats=2, progress=lambda share, name: seen.append((share, name)))
    assert before.macs > after.macs
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    assert seen[-1][0] == 1.0
    assert len(seen) == 2 * (2 + 2) + 1


def test_a_transposed_convolution_and_inputs_of_ones_own():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.mix = nn.ConvTranspose2d(2, 3, 2, stride=2), nn.Linear(4, 4)

        def forward(self, image, vector):
            return self.up(image).flatten(1)[:, :4] + self.mix(vector)

    network = wb.Network(Two().eval(), (2, 5, 5), example=(torch.ones(1, 2, 5, 5), torch.ones(1, 4)))
    found = wb.profile(network, batch=3, repeats=1)
    assert [row.kernel for row in found.rows] == ["2x2, transposed", "linear"]
    assert found.macs == 3 * (2 * 3 * 4 * 25 + 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch is a whole number"),
        ({"repeats": 1.5}, "repeats is a whole"),
        ({"threads": 0}, "threads is"),
    ],
)
def test_numbers_that_make_no_sense(network, options, message):
    with pytest.raises(ValueError, match=message):
        wb.profile(network, **options)


def test_it_takes_a_network(network):
    with pytest.raises(TypeError, match="this takes a Network"):
        wb.profile(network.model)


def test_a_table(smaller):
    found = wb.profile(smaller, repeats=1)
    lines = str(found).splitlines()
    assert lines[0].startswith("digits_vgg: ")
    assert lines[0].endswith("a pass (1 input, 1 thread, median of 1)")
    assert lines[1].split()[:3] == ["layer", "part", "kernel"]
    assert len(lines) == 3 + len(found.rows) + 2
    assert lines[-2].startswith(OTHER)
    assert lines[-1].startswith("total")
    assert "<table>" in found._repr_html_()
    assert "2 inputs, 1 thread, channels last" in wb.profile(smaller, repeats=1, batch=2, channels_last=True).describe()


def test_nothing_divided_by_nothing():
    assert Group("it", 0, 0, 0.0).rate == Group("it", 0, 0, 0.0).intensity == 0
    assert "total" in str(Profile("it", (), 0.0))


def test_a_pass_that_was_disturbed_does_not_count(monkeypatch):
    """Every pass loses a second somewhere else, in a layer or between two; the medians do not see it."""
    clock = iter(range(10**9))
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1))
    lost = {6 * i + 1 + i % 5 for i in range(11)}  # six looks at the clock a pass
    elapsed = 0.0

    def now(_):
        nonlocal elapsed
        elapsed += 1000.0 if next(clock) in lost else 1.0
        return elapsed

    monkeypatch.setattr("workbench.measure.profile._Run._now", now)
    found = wb.profile(wb.Network(model, (1, 2, 2)), repeats=9)
    assert [row.seconds for row in found.rows] == [1.0, 1.0]
    assert found.other == 3.0


def test_a_network_of_changing_mind():
    class Moody(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.calls = nn.Linear(2, 2), nn.Linear(2, 2), 0

        def forward(self, x):
            self.calls += 1
            return self.one(x) if self.calls % 3 == 0 else self.two(self.one(x))

    with pytest.raises(ValueError, match="does not call the same layers each time"):
        wb.profile(wb.Network(Moody(), (2,)))
