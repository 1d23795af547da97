import copy
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from tests.helpers.networks import Computes
from workbench.network import activations
from workbench.network.activations import PairedActivations, _trace, layer_calls


def hooked(model, name, batches):
    """Inputs and outputs of a layer when the model is run whole."""
    given, made = [], []
    layer = model.get_submodule(name)
    with (
        layer.register_forward_pre_hook(lambda _, args: given.append(args[0].clone())),
        layer.register_forward_hook(lambda _, args, out: made.append(out.clone())),
    ):
        for batch in batches:
            model(batch.clone())
    return given, made


def looks(net, x):
    """Looks at values, so that it cannot be traced; works in place, also on its input."""
    x.sub_(0.5)
    x = torch.relu_(net.a(x))
    x = net.b(x if x.sum() > -1e30 else -x).relu_()
    return net.c(x.mean((2, 3)))


def branches(net, x):
    x.sub_(0.5)
    x = net.stem(x)
    right = net.pool(net.right(x)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    y = torch.relu(torch.cat([net.left(x), right], 1))
    return net.last((net.tail(y) + x).relu().mean((2, 3)))


def model_of(forward):
    if forward is looks:
        return Computes(looks, a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(4, 5, 3), c=nn.Linear(5, 2)).eval()
    stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
    sides = {"left": nn.Conv2d(8, 4, 3, padding=1), "right": nn.Conv2d(8, 4, 1), "pool": nn.MaxPool2d(2)}
    return Computes(branches, stem=stem, **sides, tail=nn.Conv2d(8, 8, 3, padding=1), last=nn.Linear(8, 3)).eval()


NAMES = {looks: ("a", "b", "c"), branches: ("stem.0", "right", "left", "tail", "last")}


@pytest.fixture
def batches(generator):
    return [torch.randn(n, 3, 12, 12, generator=generator) for n in (4, 4, 2)]


@pytest.mark.parametrize("forward", NAMES)
@pytest.mark.parametrize("memory", [2**30, 0, 3000])
def test_pairs_are_what_whole_runs_show_also_after_changes(forward, memory, batches, monkeypatch):
    monkeypatch.setattr(activations, "MAX_HELD_BYTES", memory)
    original = model_of(forward)
    compressed = copy.deepcopy(original)
    with torch.no_grad():
        paired = PairedActivations(compressed, original, batches)
        assert bool(paired.nodes) == (forward is branches)
        for name in NAMES[forward]:
            for _ in range(2):  # asked twice, the same
                given, made = zip(*((x.clone(), y.clone()) for x, y in paired.pairs(name)), strict=True)
                torch.testing.assert_close(list(given), hooked(compressed, name, batches)[0])
                torch.testing.assert_close(list(made), hooked(original, name, batches)[1])
            compressed.get_submodule(name).weight.mul_(0.5)  # later layers see what this one gives from now on


def test_a_batch_norm_that_is_called_twice_follows_no_layer(batches):
    first, second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    for last, found in ((second, "1"), (first, None)):
        model = nn.Sequential(nn.Conv2d(3, 3, 1), first, nn.Conv2d(3, 3, 1), last).eval()
        assert PairedActivations(model, model, batches).norm_after("0") == found


def test_tracing_does_not_touch_what_other_threads_run(network):
    """torch.fx patches all modules of the process while it traces."""
    batch = torch.rand(2, *network.input_shape)
    wanted = network.model(batch).detach()
    counted = len(_trace(network.model, batch)[0])
    assert counted > 8

    def run():
        with torch.no_grad():
            return all(torch.equal(network.model(batch), wanted) for _ in range(100))

    def trace():
        other = copy.deepcopy(network.model)
        return all(len(_trace(other, batch)[0]) == counted for _ in range(15))

    pause = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor() as pool:
            assert all(found.result() for found in [pool.submit(work) for work in (run, trace, run, trace)])
    finally:
        sys.setswitchinterval(pause)


def paths(net, x):
    """The map goes two ways, is changed in place, and feeds a layer that no gradient reaches."""
    y = net.one(x).relu_()
    z = net.two(y)
    with torch.no_grad():
        seen = net.blind(y)
    return z + y.mul(3) + seen


def test_gradients_at_a_layer_are_those_of_the_paths_through_it():
    model = Computes(paths, **{name: nn.Conv2d(2, 2, 1, bias=False) for name in ("one", "two", "blind")}).double()
    x = torch.rand(4, 2, 3, 3, dtype=torch.float64)
    calls = {one.name: one for one in layer_calls(model, ["one", "two", "blind"], x, lambda out: out.square().sum())}
    outputs = model(x).detach()
    kernels = {name: layer.weight[:, :, 0, 0].detach() for name, layer in model.named_children()}
    before = torch.einsum("ts,nsij->ntij", kernels["one"], x)
    y, behind = before.relu(), torch.einsum("ts,ntij->nsij", kernels["two"], 2 * outputs)
    assert torch.allclose(calls["one"].output, before)
    assert torch.allclose(calls["two"].input, y)
    assert torch.allclose(calls["two"].output_gradient, 2 * outputs)
    assert torch.allclose(calls["two"].input_gradient, behind)  # not what the sum passes back
    at_one = (behind + 6 * outputs) * (before > 0)
    assert torch.allclose(calls["one"].output_gradient, at_one)
    assert torch.allclose(calls["one"].input_gradient, torch.einsum("ts,ntij->nsij", kernels["one"], at_one))
    assert torch.allclose(calls["blind"].input, y)
    assert not calls["blind"].output_gradient.any()
    assert not any(one.output.requires_grad or one.input.requires_grad for one in calls.values())
    assert all(weight.grad is None for weight in model.parameters())
