"""Networks of the paper that torchvision lacks or has in another variant, and networks for CIFAR and the digits.

Caffe's networks have their original layer names, shapes and pooling, but no auxiliary heads.
References: Krizhevsky et al., NIPS 2012 (AlexNet); Chatfield et al., BMVC 2014 (VGG-S); Szegedy et al., CVPR 2015;
He et al., CVPR 2016, sec. 4.2; Simonyan and Zisserman, ICLR 2015.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu


class LocalResponseNorm(nn.LocalResponseNorm):
    """Caffe's normalisation across channels: x / (k + alpha/n * sum of squares of n neighbours)^0.75.

    It equals ``nn.LocalResponseNorm`` in half the time: it computes roots instead of powers.
    """

    def __init__(self, alpha: float = 1e-4, k: float = 1.0) -> None:
        super().__init__(5, alpha, 0.75, k)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - its name in PyTorch
        """Normalise maps (n, channels, ...)."""
        x, channels = input, input.shape[1]
        squares = pad(x * x, (0, 0) * (x.ndim - 2) + (self.size // 2,) * 2)
        total = squares[:, :channels]
        for i in range(1, self.size):
            total = total + squares[:, i : i + channels]
        root = (self.k + self.alpha / self.size * total).sqrt()
        return x / (root * root.sqrt())


def sequential(**modules: nn.Module) -> nn.Sequential:
    """Return a sequence of named modules."""
    return nn.Sequential(OrderedDict(modules))


def _convolution(s: int, t: int, d: int, *, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(s, t, d, stride=stride, padding=padding, groups=groups)
    return sequential(conv=conv, relu=nn.ReLU(inplace=True))


def _head(features: int) -> nn.Sequential:
    hidden = [(nn.Linear(size, 4096), nn.ReLU(inplace=True), nn.Dropout()) for size in (features, 4096)]
    return nn.Sequential(*hidden[0], *hidden[1], nn.Linear(4096, 1000))


def alexnet_caffe() -> nn.Module:
    """Return Caffe's AlexNet: conv2, conv4 and conv5 in two groups, LRN; 3x227x227."""
    return sequential(
        conv1=_convolution(3, 96, 11, stride=4),
        norm1=LocalResponseNorm(),
        pool1=nn.MaxPool2d(3, 2),
        conv2=_convolution(96, 256, 5, padding=2, groups=2),
        norm2=LocalResponseNorm(),
        pool2=nn.MaxPool2d(3, 2),
        conv3=_convolution(256, 384, 3, padding=1),
        conv4=_convolution(384, 384, 3, padding=1, groups=2),
        conv5=_convolution(384, 256, 3, padding=1, groups=2),
        pool5=nn.MaxPool2d(3, 2),
        flatten=nn.Flatten(1),
        classifier=_head(256 * 6 * 6),
    )


def vgg_s() -> nn.Module:
    """Return Chatfield et al.'s "slow" network: 7x7/2, 5x5, three 3x3 of 512; pooling rounds up; 3x224x224."""
    return sequential(
        conv1=_convolution(3, 96, 7, stride=2),
        norm1=LocalResponseNorm(alpha=5e-4, k=2.0),
        pool1=nn.MaxPool2d(3, 3, ceil_mode=True),
        conv2=_convolution(96, 256, 5),
        pool2=nn.MaxPool2d(2, 2, ceil_mode=True),
        conv3=_convolution(256, 512, 3, padding=1),
        conv4=_convolution(512, 512, 3, padding=1),
        conv5=_convolution(512, 512, 3, padding=1),
        pool5=nn.MaxPool2d(3, 3, ceil_mode=True),
        flatten=nn.Flatten(1),
        classifier=_head(512 * 6 * 6),
    )


INCEPTION = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}
"""Input channels, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection (Szegedy et al., table 1)."""


class Inception(nn.Module):
    """Four branches side by side: 1x1, 3x3 and 5x5 behind a 1x1 each, and a 1x1 behind a pooling."""

    def __init__(self, s: int, one: int, r3: int, three: int, r5: int, five: int, pool: int) -> None:
        super().__init__()
        self.b1x1 = nn.Conv2d(s, one, 1)
        self.b3x3_reduce = nn.Conv2d(s, r3, 1)
        self.b3x3 = nn.Conv2d(r3, three, 3, padding=1)
        self.b5x5_reduce = nn.Conv2d(s, r5, 1)
        self.b5x5 = nn.Conv2d(r5, five, 5, padding=2)
        self.pool = nn.MaxPool2d(3, 1, padding=1)
        self.pool_proj = nn.Conv2d(s, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, height, width) to the concatenated channels of the branches."""
        three = self.b3x3(relu(self.b3x3_reduce(x)))
        five = self.b5x5(relu(self.b5x5_reduce(x)))
        return relu(torch.cat([self.b1x1(x), three, five, self.pool_proj(self.pool(x))], dim=1))


def googlenet_bvlc() -> nn.Module:
    """Return BVLC's Inception v1, the paper's GoogLeNet: 5x5 branches, LRN, biases, no batch norm; 3x224x224."""
    stem = sequential(
        conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
        norm1=LocalResponseNorm(),
        conv2_reduce=nn.Conv2d(64, 64, 1),
        relu2_reduce=nn.ReLU(),
        conv2=nn.Conv2d(64, 192, 3, padding=1),
        relu2=nn.ReLU(),
        norm2=LocalResponseNorm(),
    )
    for name, sizes in INCEPTION.items():
        if name in ("3a", "4a", "5a"):
            stem.add_module(f"pool{name}", nn.MaxPool2d(3, 2, ceil_mode=True))
        stem.add_module(f"inception{name}", Inception(*sizes))
    head = {"average": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(1), "dropout": nn.Dropout(0.4)}
    return sequential(**dict(stem.named_children()), **head, fc=nn.Linear(1024, 1000))


class Block(nn.Module):
    """Residual block of two 3x3 convolutions; the shortcut takes every stride-th pixel, and zeros for new channels."""

    def __init__(self, s: int, t: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(s, t, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(t)
        self.conv2 = nn.Conv2d(t, t, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(t)
        self.stride, self.new_channels = stride, t - s

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, s, h, w) to (n, t, h / stride, w / stride)."""
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.new_channels:
            before = self.new_channels // 2
            x = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.new_channels - before))
        return relu(y + x)


def resnet(blocks: int) -> nn.Module:
    """Return three stages of `blocks` residual blocks with 16, 32 and 64 channels; 3x32x32."""
    stem = {"conv1": nn.Conv2d(3, 16, 3, padding=1, bias=False), "bn1": nn.BatchNorm2d(16), "relu": nn.ReLU()}
    stages = {}
    for stage, (s, t) in enumerate(((16, 16), (16, 32), (32, 64)), start=1):
        later_blocks = (Block(t, t, 1) for _ in range(blocks - 1))
        stages[f"layer{stage}"] = nn.Sequential(Block(s, t, 2 if stage > 1 else 1), *later_blocks)
    average, linear = nn.AdaptiveAvgPool2d(1), nn.Linear(64, 10)
    return sequential(**stem, **stages, average=average, flatten=nn.Flatten(1), linear=linear)


def _vgg(channels: int, layers: Sequence[tuple[int, int] | None], *, bias: bool) -> nn.Sequential:
    """Return convolutions of (output channels, kernel size) with batch norm and ReLU; None is a 2x2 max-pooling."""
    modules: list[nn.Module] = []
    for layer in layers:
        if layer is None:
            modules.append(nn.MaxPool2d(2))
        else:
            width, size = layer
            conv = nn.Conv2d(channels, width, size, padding=size // 2, bias=bias)
            modules += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*modules)


def vgg16_cifar() -> nn.Module:
    """Return VGG-16's thirteen convolutions with batch norm, and one linear layer; 3x32x32."""
    stages = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    layers = [layer for width, count in stages for layer in (*[(width, 3)] * count, None)]
    features = _vgg(3, layers, bias=False)
    return sequential(features=features, flatten=nn.Flatten(1), classifier=nn.Linear(512, 10))


def digits_vgg() -> nn.Module:
    """Return six convolutions (5x5, then 3x3) with batch norm, and two fully connected layers, for digits; 1x8x8.

    Every case of the decomposition occurs: ``features.0`` has one input channel (Tucker-1), the other convolutions are
    Tucker-2, ``classifier.0`` follows a flatten and is a convolution as large as its 2x2 map (Tucker-2), and
    ``classifier.2`` follows no map (Tucker-1).
    """
    features = _vgg(1, ((32, 5), (64, 3), None, (64, 3), (128, 3), None, (128, 3), (128, 3)), bias=True)
    head = nn.Sequential(nn.Linear(128 * 2 * 2, 256), nn.ReLU(inplace=True), nn.Linear(256, 10))
    return sequential(features=features, flatten=nn.Flatten(1), classifier=head)
