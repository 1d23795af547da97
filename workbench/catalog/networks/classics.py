"""Networks of the paper that torchvision lacks or has in another variant: Caffe's AlexNet, VGG-S and GoogLeNet.

Layer names, shapes and pooling are the originals'. Auxiliary heads, which only serve training, are left out.

References: Krizhevsky et al., NIPS 2012 (AlexNet); Chatfield et al., BMVC 2014 (VGG-S); Szegedy et al., CVPR 2015.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class LocalResponseNorm(nn.Module):
    """Caffe's normalisation across channels: x / (k + alpha/n * sum of squares of n neighbours)^beta.

    Equal to ``nn.LocalResponseNorm``, but without three-dimensional pooling, which mobile runtimes lack, and without
    powers, which they compute slowly.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """Normalise maps (n, channels, ...)."""
        channels = x.shape[1]
        squares = pad(x * x, (0, 0) * (x.ndim - 2) + (self.size // 2, (self.size - 1) // 2))
        total = squares[:, :channels]
        for i in range(1, self.size):
            total = total + squares[:, i : i + channels]
        base = self.k + self.alpha / self.size * total
        if self.beta != 0.75:
            return x * base.pow(-self.beta)
        root = base.sqrt()
        return x / (root * root.sqrt())


def _convolution(s: int, t: int, d: int, *, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(s, t, d, stride=stride, padding=padding, groups=groups)
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU(inplace=True)))


def _head(features: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in (4096, 4096):
        layers += [nn.Linear(features, size), nn.ReLU(inplace=True), nn.Dropout()]
        features = size
    return nn.Sequential(*layers, nn.Linear(features, classes))


def alexnet_caffe(classes: int = 1000) -> nn.Module:
    """Return Caffe's AlexNet: conv2, conv4 and conv5 in two groups, LRN; 3x227x227."""
    parts = OrderedDict(
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
        classifier=_head(256 * 6 * 6, classes),
    )
    return nn.Sequential(parts)


def vgg_s(classes: int = 1000) -> nn.Module:
    """Return Chatfield et al.'s "slow" network: 7x7/2, 5x5, three 3x3 of 512; pooling rounds up; 3x224x224."""
    parts = OrderedDict(
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
        classifier=_head(512 * 6 * 6, classes),
    )
    return nn.Sequential(parts)


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
        three = self.b3x3(torch.relu(self.b3x3_reduce(x)))
        five = self.b5x5(torch.relu(self.b5x5_reduce(x)))
        return torch.relu(torch.cat([self.b1x1(x), three, five, self.pool_proj(self.pool(x))], dim=1))


class GoogLeNet(nn.Module):
    """BVLC's Inception v1: true 5x5 branches, LRN, biased convolutions, no batch norm."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm = LocalResponseNorm()
        self.conv2_reduce = nn.Conv2d(64, 64, 1)
        self.conv2 = nn.Conv2d(64, 192, 3, padding=1)
        for name, sizes in INCEPTION.items():
            self.add_module(f"inception{name}", Inception(*sizes))
        self.average = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.4)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, 3, 224, 224) to logits (n, classes)."""
        x = self.norm(self.pool(torch.relu(self.conv1(x))))
        x = self.norm(torch.relu(self.conv2(torch.relu(self.conv2_reduce(x)))))
        for name in INCEPTION:
            if name in ("3a", "4a", "5a"):
                x = self.pool(x)
            x = self.get_submodule(f"inception{name}")(x)
        return self.fc(self.dropout(self.average(x).flatten(1)))  # type: ignore[no-any-return]


def googlenet_bvlc(classes: int = 1000) -> nn.Module:
    """Return the paper's GoogLeNet; 3x224x224."""
    return GoogLeNet(classes)
