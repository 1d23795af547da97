"""Networks for CIFAR's 32x32 images: ResNets with parameter-free shortcuts, and a small VGG-16.

References: He et al., CVPR 2016, sec. 4.2 (option A); Simonyan and Zisserman, ICLR 2015, with one linear layer at the
end, as is usual for CIFAR.
"""

from torch import Tensor, nn
from torch.nn.functional import pad, relu


class Block(nn.Module):
    """Two 3x3 convolutions around an identity; where the map shrinks, every second pixel and zeros for new channels."""

    def __init__(self, s: int, t: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(s, t, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(t)
        self.conv2 = nn.Conv2d(t, t, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(t)
        self.stride, self.more = stride, t - s

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, s, h, w) to (n, t, h / stride, w / stride)."""
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.more:
            x = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return relu(y + x)


class ResNet(nn.Module):
    """Three stages of `depth` blocks with 16, 32 and 64 channels."""

    def __init__(self, depth: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        channels = 16
        for stage, width in enumerate((16, 32, 64), start=1):
            blocks = []
            for i in range(depth):
                blocks.append(Block(channels, width, 2 if stage > 1 and i == 0 else 1))
                channels = width
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.average = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, 3, 32, 32) to logits (n, classes)."""
        x = relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.linear(self.average(x).flatten(1))  # type: ignore[no-any-return]


def vgg16_cifar(classes: int = 10) -> nn.Module:
    """Return VGG-16's thirteen convolutions with batch norm, and one linear layer; 3x32x32."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        if width:
            conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2))
    model = nn.Sequential()
    model.add_module("features", nn.Sequential(*layers))
    model.add_module("flatten", nn.Flatten(1))
    model.add_module("classifier", nn.Linear(512, classes))
    return model
