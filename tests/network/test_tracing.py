import json
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import workbench as wb
from tests.helpers.networks import Windows, at_full_rank, flops
from workbench.network.layers import Layer
from workbench.network.tracing import find_layers


def by_name(network):
    return {layer.name: layer for layer in find_layers(network).layers}


def test_costs_are_those_of_the_model(network, mixed):
    for net in (network, mixed):
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            net.model(torch.zeros(1, *net.input_shape, dtype=next(net.model.parameters()).dtype))
        cost = find_layers(net).total
        assert cost.macs == counter.get_total_flops() // 2
        assert cost.weights == net.weights


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


class Stacks(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, images):
        return self.conv(torch.stack(images))


@pytest.mark.parametrize("n", [1, 4])
def test_costs_are_of_one_image_of_a_list(n):
    assert find_layers(wb.Network(Stacks(), example=([torch.rand(3, 9, 9)] * n,))).total.macs == 49 * 8 * 27


def test_shared_weights_are_refused():
    model = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))
    model[1].weight = model[0].weight
    model[0].never_called = nn.Conv2d(8, 8, 3)
    layers = by_name(wb.Network(model, (8, 9, 9)))
    assert "shared" in layers["0"].reason
    assert "shared" in layers["1"].reason
    assert {name: layer.method for name, layer in layers.items()} == dict.fromkeys("01", "keep")


def test_one_module_under_two_names(generator):
    torch.manual_seed(0)
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


def test_a_network_that_does_not_run():
    network = wb.Network(nn.Conv2d(3, 4, 3), (1, 8, 8), name="broken")
    with pytest.raises(ValueError, match=r"broken does not run on one input of shape \(1, 8, 8\)"):
        find_layers(network)


class Reads(nn.Module):
    """Uses the weight of a convolution itself, as fused networks do, and asks another for its number of channels."""

    def __init__(self):
        super().__init__()
        self.called, self.read, self.asked = nn.Conv2d(8, 32, 3), nn.Conv2d(32, 32, 3), nn.Conv2d(32, 32, 3)

    def forward(self, x):
        x = self.called(x)
        x = self.read(x) + nn.functional.conv2d(x, self.read.weight)
        return self.asked(x) / self.asked.out_channels


def test_layers_whose_attributes_the_model_reads_are_kept_with_the_reason():
    network = wb.Network(Reads(), (8, 12, 12))
    layers = by_name(network)
    assert [layer.method for layer in layers.values()] == ["tucker2", "keep", "keep"]
    assert "reads its attributes" in layers["read"].reason
    plan = wb.budget_plan(wb.analyze(network, cached=False), macs_ratio=1.1)
    small = wb.decompose(network, plan)
    x = torch.rand(2, 8, 12, 12)
    assert small.model(x).shape == network.model(x).shape


class Upsamples(nn.Module):
    """Says how large a layer makes its output, as U-Nets do; else runs another only if it is a convolution."""

    def __init__(self, sized):
        super().__init__()
        self.sized = sized
        self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1)

    def forward(self, x):
        if self.sized:
            return self.up(self.down(x), output_size=x.shape[2:])
        if not isinstance(self.down, nn.Conv2d):
            raise TypeError("this takes a convolution")
        return self.up(self.down(x))


@pytest.mark.parametrize(("sized", "methods"), [(True, ["tucker2", "keep"]), (False, ["keep", "keep"])])
def test_layers_that_factors_cannot_take_the_place_of_are_kept(sized, methods):
    network = wb.Network(Upsamples(sized), (8, 12, 12))
    assert [layer.method for layer in find_layers(network).layers] == methods
    x = torch.rand(2, 8, 12, 12)
    small = wb.decompose(network, at_full_rank(network))
    assert torch.allclose(small.model(x), network.model(x), atol=1e-5)


def test_of_a_detector_the_part_that_takes_a_tensor_is_named():
    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = nn.Conv2d(3, 8, 3)

        def forward(self, images):
            return [self.backbone(image["image"]) for image in images]

    with pytest.raises(ValueError, match=r"give the part that takes one: model\.backbone"):
        wb.analyze(wb.Network(Detector(), (3, 8, 8)))
