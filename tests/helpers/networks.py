"""Small networks and data that several test modules use."""

from dataclasses import replace

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import workbench as wb

TINY_SETTINGS = {"epochs": 3, "learning_rate": 0.05, "batch_size": 16, "shift": 1}  # seven steps for a hundred images


class Computes(nn.Module):
    """Has these layers, and computes `function(self, x)`."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.function(self, x)


class Caches(nn.Module):
    """Keeps what it computes from a weight while it is in evaluation mode, as LeViT does with its attention biases."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.scale, self.index, self.cache = nn.Parameter(torch.ones(24)), torch.arange(24), {}
        self.layers = nn.Sequential(nn.Conv2d(1, 24, 3), nn.ReLU(), nn.Conv2d(24, 24, 3), nn.ReLU())
        self.head = nn.Linear(24, 10)

    def train(self, mode=True):
        super().train(mode)
        if mode:
            self.cache.clear()
        return self

    def forward(self, x):
        scale = self.scale[self.index] * 2
        if not self.training:
            scale = self.cache.setdefault("scale", scale)
        return self.head((self.layers(x).mean((2, 3)) * scale).relu())


class Windows(nn.Module):
    """A layer that sees windows of an image's 64 tokens, so that its first dimension is not the batch."""

    def __init__(self, size):
        super().__init__()
        self.size = size
        torch.manual_seed(0)
        self.stem, self.mix, self.head = nn.Conv2d(3, 32, 4, stride=4), nn.Linear(32, 64), nn.Linear(64, 10)
        self.register_buffer("table", torch.rand(64, 64))

    def forward(self, x):
        tokens = self.stem(x).flatten(2).mT.reshape(-1, self.size, 32)
        tokens = self.mix(tokens).relu() @ self.table  # a product that is no layer
        return self.head(tokens.reshape(-1, 64, 64).mean(1))


def flops(network):
    """Floating-point operations of one pass, counted by torch: two for each MAC."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.model(network.example_inputs())
    return counter.get_total_flops()


class NoLabels:
    """Labels that must not be looked at."""

    ndim = 1

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def is_floating_point(self):
        return False

    def __getattr__(self, name):
        raise AssertionError(f"the labels were looked at: {name}")


def unlabelled(split, n):
    """The first images of a split, with labels that must not be looked at."""
    made = wb.Split.unlabelled(split.images[:n])
    object.__setattr__(made, "labels", NoLabels(n))
    return made


def listed(*outputs):
    """A model that takes its outputs from these tensors, at the number that an image's only pixel is."""

    def look_up(_, x):
        found = [output[x.flatten().long()] for output in outputs]
        return found[0] if len(found) == 1 else found

    return Computes(look_up)


def numbered(n, labels=None, name="test"):
    """Images of one pixel, which is the number of the image; with labels, or without."""
    images = torch.arange(float(n)).reshape(-1, 1, 1, 1)
    return wb.Split.unlabelled(images, name) if labels is None else wb.Split(images, torch.as_tensor(labels), name)


def compressed_of(plan, wanted, made):
    """A compressed network that computes `made`, whose original computes `wanted`."""
    original = wb.Network(wanted, (1, 1, 1), name="original")
    return wb.CompressedNetwork.of(original, replace(plan, layers=()), made)


def decomposed(network, ranks):
    """The network decomposed by EVBMF's plan, but for these ranks: layer -> (rank_in, None for as it is; rank_out)."""
    plan = wb.evbmf_plan(wb.analyze(network, cached=False))
    for name, (rank_in, rank_out) in ranks.items():
        plan = plan.with_ranks(name, rank_in=rank_in, rank_out=rank_out)
    return wb.decompose(network, plan)


def few(data, n=200):
    """Data with n training images."""
    return replace(data, train=wb.Split(data.train.images[:n], data.train.labels[:n], "train"))


def tiny(classes=10):
    """Batch norm, dropout, and few weights, for 8 x 8 images."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.2))
    return wb.Network(nn.Sequential(*layers, nn.Linear(4 * 36, classes)), (1, 8, 8), name="tiny")


def small():
    """A convolution and a linear layer, for 3 x 8 x 8 images."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 4))
    return wb.Network(model, input_shape=(3, 8, 8), name="small")


def small_compressed(network=None):
    """`small` with its linear layer decomposed."""
    network = network or small()
    return wb.decompose(network, wb.evbmf_plan(wb.analyze(network)).with_ranks("2", rank_in=2, rank_out=2))


def at_full_rank(network, spectra=None):
    """A plan that decomposes all layers that can be, at full rank."""
    plan = wb.evbmf_plan(spectra or wb.analyze(network, cached=False), layers="all")
    for part in plan:
        rank_in, rank_out = part.layer.max_ranks
        if part.layer.method == "tucker2":
            plan = plan.with_ranks(part.name, rank_in=rank_in, rank_out=rank_out)
        elif part.layer.method == "tucker1":
            plan = plan.keep(part.name).with_ranks(part.name, rank_out=rank_out)
    return plan


def same(one, two):
    """Whether two state dictionaries are equal to the bit."""
    return one.keys() == two.keys() and all(torch.equal(v, two[k]) for k, v in one.items())
