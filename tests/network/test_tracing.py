import json
from dataclasses import asdict

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import Computes, Windows, at_full_rank, flops
from workbench.network.layers import Layer
from workbench.network.tracing import Node, find_layers


def by_name(network):
    return {layer.name: layer for layer in find_layers(network).layers}


def test_geometry(mixed):
    layers = by_name(mixed)
    assert not any(m._forward_hooks for m in mixed.model.modules())
    assert list(layers) == [name for name, m in mixed.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers["twice"].shape.positions) == 2  # called twice
    assert layers["hidden"].shape.kernel_size == (4, 4)  # found by shape: the pooling is no module
    assert layers["hidden"].describe() == "32 -> 40, 4x4"
    assert layers["pointwise"].pointwise
    assert layers["grouped"].method == "tucker2"
    assert layers["grouped"].max_ranks == (8, 8)
    assert layers["grouped"].describe() == "32 -> 32, 3x3, 4 groups"
    assert layers["depthwise"].method == "keep"
    assert "depthwise" in layers["depthwise"].reason
    for layer in layers.values():
        assert Layer.from_dict(json.loads(json.dumps(asdict(layer)))) == layer


@pytest.mark.parametrize("n", [1, 3])
def test_costs_are_of_one_input_also_in_windows_and_of_many(n):
    network = wb.Network(Windows(16), example=torch.rand(n, 3, 32, 32))
    spectra = wb.analyze(network, cached=False)
    assert spectra["mix"].layer.cost.macs == 64 * 32 * 64
    assert spectra.other.macs == 64 * 64 * 64
    assert n * spectra.total.macs == flops(network) // 2
    plan = wb.evbmf_plan(spectra, layers=[]).with_ranks("mix", rank_out=5)
    assert find_layers(wb.decompose(network, plan)).total.macs == plan.macs


@pytest.mark.parametrize("n", [1, 4])
def test_costs_are_of_one_image_of_a_list(n):
    model = Computes(lambda net, images: net.conv(torch.stack(images)), conv=nn.Conv2d(3, 8, 3))
    assert find_layers(wb.Network(model, example=([torch.rand(3, 9, 9)] * n,))).total.macs == 49 * 8 * 27


def test_shared_weights_are_refused():
    model = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))
    model[1].weight = model[0].weight
    model[0].never_called = nn.Conv2d(8, 8, 3)
    layers = by_name(wb.Network(model, (8, 9, 9)))
    assert "shared" in layers["0"].reason
    assert "shared" in layers["1"].reason
    assert {name: layer.method for name, layer in layers.items()} == dict.fromkeys("01", "keep")


def test_one_module_under_two_names(generator):
    conv, block = nn.Conv2d(8, 8, 3, padding=1), nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    network = wb.Network(nn.Sequential(conv, nn.ReLU(), conv, block, block), (8, 6, 6))
    layers = by_name(network)
    assert {name: layer.method for name, layer in layers.items()} == {"0": "keep", "3.0": "tucker2"}
    plan = wb.evbmf_plan(wb.analyze(network, cached=False), layers=[]).with_ranks("3.0", rank_in=2, rank_out=2)
    small = wb.decompose(network, plan)
    assert small.model[3] is small.model[4]
    assert find_layers(small).total.macs == plan.macs
    x = torch.randn(32, 8, 6, 6, generator=generator)
    before, after = (wb.compare(each, x) for each in (small, wb.calibrate(small, x)))
    assert {part.name for part in after.layers} == {"0", "3.0"}
    assert after.snr_db > before.snr_db


def reads(net, x):
    """Uses the weight of a convolution itself, as fused networks do, and asks another for its number of channels."""
    x = net.called(x)
    x = net.read(x) + nn.functional.conv2d(x, net.read.weight)
    return net.asked(x) / net.asked.out_channels


def test_layers_whose_attributes_the_model_reads_are_kept_with_the_reason():
    convolutions = {"called": nn.Conv2d(8, 32, 3), "read": nn.Conv2d(32, 32, 3), "asked": nn.Conv2d(32, 32, 3)}
    network = wb.Network(Computes(reads, **convolutions), (8, 12, 12))
    layers = by_name(network)
    assert [layer.method for layer in layers.values()] == ["tucker2", "keep", "keep"]
    assert "reads its attributes" in layers["read"].reason
    plan = wb.budget_plan(wb.analyze(network, cached=False), macs_ratio=1.1)
    small = wb.decompose(network, plan)
    x = torch.rand(2, 8, 12, 12)
    assert small.model(x).shape == network.model(x).shape


def sized(net, x):
    """Says how large a layer makes its output, as U-Nets do."""
    return net.up(net.down(x), output_size=x.shape[2:])


def looks_at_kinds(net, x):
    if not isinstance(net.down, nn.Conv2d):
        raise TypeError("this takes a convolution")
    return net.up(net.down(x))


@pytest.mark.parametrize(("forward", "methods"), [(sized, ["tucker2", "keep"]), (looks_at_kinds, ["keep", "keep"])])
def test_layers_that_factors_cannot_take_the_place_of_are_kept(forward, methods):
    down, up = nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1)
    network = wb.Network(Computes(forward, down=down, up=up), (8, 12, 12))
    assert [layer.method for layer in find_layers(network).layers] == methods
    x = torch.rand(2, 8, 12, 12)
    small = wb.decompose(network, at_full_rank(network))
    assert torch.allclose(small.model(x), network.model(x), atol=1e-5)


def test_networks_that_do_not_run_and_what_else_to_give():
    def detect(net, images):
        return [net.backbone(image["image"]) for image in images]

    with pytest.raises(ValueError, match=r"broken does not run on one input of shape \(1, 8, 8\)"):
        find_layers(wb.Network(nn.Conv2d(3, 4, 3), (1, 8, 8), name="broken"))
    with pytest.raises(ValueError, match=r"give the part that takes one: model\.backbone"):
        find_layers(wb.Network(Computes(detect, backbone=nn.Conv2d(3, 8, 3)), (3, 8, 8)))


def graph_of(forward, *names):
    """The graph of a network of 3x3 convolutions of these names."""
    model = Computes(forward, **{name: nn.Conv2d(4, 4, 3, padding=1) for name in names})
    return find_layers(wb.Network(model, (4, 9, 9))).graph


def layer(name, *inputs):
    return Node("layer", name, inputs)


def test_the_graph_of_a_chain():
    found = graph_of(lambda net, x: torch.relu(net.b(nn.functional.max_pool2d(net.a(x), 2) * 2 + 1)), "a", "b")
    assert found == (Node("input"), layer("a", 0), layer("b", 1), Node("output", inputs=(2,)))


@pytest.mark.parametrize("add", [lambda x, y: x + y, lambda x, y: x.add_(y), torch.add, lambda x, y: x.__radd__(y)])
def test_the_graph_of_a_residual_path(add):
    def forward(net, x):
        x = net.a(x)
        return net.d(torch.relu_(add(net.c(torch.relu(net.b(x))), x)))

    wanted = (Node("input"), layer("a", 0), layer("b", 1), layer("c", 2), Node("add", inputs=(3, 1)), layer("d", 4))
    assert graph_of(forward, *"abcd") == (*wanted, Node("output", inputs=(5,)))


def test_the_graph_of_a_layer_that_is_called_twice_and_of_values_that_lead_nowhere():
    def forward(net, x):
        x = net.a(x)
        _ = x + net.b(x)
        return net.a(x)

    wanted = (Node("input"), layer("a", 0), layer("b", 1), Node("again", "a", (1,)))
    assert graph_of(forward, *"ab") == (*wanted, Node("output", inputs=(3,)))


def test_the_graph_of_several_inputs_and_outputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(3, 4), nn.Linear(5, 4)

        def forward(self, first, second):
            return {"both": self.one(first) @ self.two(second).T, "second": second}

    found = find_layers(wb.Network(Two(), example=(torch.zeros(2, 3), torch.zeros(2, 5)))).graph
    wanted = (Node("input"), layer("one", 0), layer("two", 0), Node("join", inputs=(1, 2)))
    assert found == (*wanted, Node("output", inputs=(3, 0)))


def test_every_layer_is_in_the_graph_once(mixed):
    traced = find_layers(mixed)
    assert [node.name for node in traced.graph if node.kind == "layer"] == [one.name for one in traced.layers]
    assert all(i < place for place, node in enumerate(traced.graph) for i in node.inputs)
    assert wb.analyze(mixed).graph == traced.graph
