"""Small networks of kinds that no package of the zoo has: a detector, a 1-D U-Net with an LSTM, a 3-D network."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class ConvNormAct(nn.Sequential):
    """A convolution without bias, batch normalisation and SiLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.SiLU(inplace=True),
        )


class SplitBlock(nn.Module):
    """Split the channels, run a chain of bottlenecks on one half, and mix the halves and all results (C2f)."""

    def __init__(self, in_channels: int, out_channels: int, depth: int = 1, *, residual: bool = True) -> None:
        super().__init__()
        half = out_channels // 2
        self.residual = residual
        self.enter = ConvNormAct(in_channels, 2 * half)
        self.chain = nn.ModuleList(
            nn.Sequential(ConvNormAct(half, half, 3), ConvNormAct(half, half, 3)) for _ in range(depth)
        )
        self.mix = ConvNormAct((2 + depth) * half, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_channels, h, w) to (n, out_channels, h, w)."""
        parts = list(self.enter(x).chunk(2, dim=1))
        for block in self.chain:
            features = block(parts[-1])
            parts.append(parts[-1] + features if self.residual else features)
        return self.mix(torch.cat(parts, dim=1))


class Detector(nn.Module):
    """A one-stage detector: C2f blocks, a pyramid with nearest upsampling, and three heads without anchors.

    The distances from a place to the sides of its box are expected values over `bins`, in strides. In training it
    returns the three heads' maps (n, 4 * bins + classes, h, w) as a list; in evaluation a tuple of the boxes
    (n, places, 4 + classes) in pixels and probabilities, and that list.
    """

    strides = (8, 16, 32)
    bins = 8

    def __init__(self, classes: int = 4, width: int = 16) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(ConvNormAct(3, w, 3, 2), ConvNormAct(w, 2 * w, 3, 2), SplitBlock(2 * w, 2 * w))
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNormAct(a * w, b * w, 3, 2), SplitBlock(b * w, b * w))
            for a, b in ((2, 4), (4, 8), (8, 8))
        )
        self.pools = nn.MaxPool2d(5, 1, 2)
        self.pooled = ConvNormAct(4 * 8 * w, 8 * w)
        self.up = nn.ModuleList([SplitBlock(16 * w, 8 * w, residual=False), SplitBlock(12 * w, 4 * w, residual=False)])
        self.shrink = nn.ModuleList([ConvNormAct(4 * w, 4 * w, 3, 2), ConvNormAct(8 * w, 8 * w, 3, 2)])
        self.down = nn.ModuleList(
            [SplitBlock(12 * w, 8 * w, residual=False), SplitBlock(16 * w, 8 * w, residual=False)]
        )
        self.heads = nn.ModuleList(
            nn.Sequential(ConvNormAct(c * w, 4 * w, 3), nn.Conv2d(4 * w, 4 * self.bins + classes, 1)) for c in (4, 8, 8)
        )

    def forward(self, x: Tensor) -> Any:
        """Map images (n, 3, 32 a, 32 b) to the heads' maps, and in evaluation to boxes before them."""
        maps = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        fine, middle, coarse = maps
        pools = [coarse]
        for _ in range(3):
            pools.append(self.pools(pools[-1]))
        coarse = self.pooled(torch.cat(pools, dim=1))
        middle = self.up[0](torch.cat([interpolate(coarse, scale_factor=2.0, mode="nearest"), middle], dim=1))
        fine = self.up[1](torch.cat([interpolate(middle, scale_factor=2.0, mode="nearest"), fine], dim=1))
        middle = self.down[0](torch.cat([self.shrink[0](fine), middle], dim=1))
        coarse = self.down[1](torch.cat([self.shrink[1](middle), coarse], dim=1))
        outputs = [head(features) for head, features in zip(self.heads, (fine, middle, coarse), strict=True)]
        if self.training:
            return outputs
        return torch.cat([self._boxes(o, s) for o, s in zip(outputs, self.strides, strict=True)], dim=1), outputs

    def _boxes(self, output: Tensor, stride: int) -> Tensor:
        """Return a head's map as corners and probabilities, (n, places, 4 + classes)."""
        height, width = output.shape[-2:]
        rows, columns = (torch.arange(size, device=output.device, dtype=output.dtype) for size in (height, width))
        middle = torch.stack(torch.meshgrid(columns, rows, indexing="xy")) + 0.5
        shares = output[:, : 4 * self.bins].unflatten(1, (4, self.bins)).softmax(2)
        distances = (shares * torch.arange(self.bins, device=output.device)[:, None, None]).sum(2)
        corners = torch.cat([middle - distances[:, :2], middle + distances[:, 2:]], dim=1) * stride
        return torch.cat([corners, output[:, 4 * self.bins :].sigmoid()], dim=1).flatten(2).transpose(1, 2)


class SpeechUNet(nn.Module):
    """A 1-D U-Net on waveforms (n, 1, 4^depth t), with skips and an LSTM over time in the middle."""

    def __init__(self, depth: int = 3, width: int = 16) -> None:
        super().__init__()
        channels = [1, *(width * 2**i for i in range(depth))]
        pairs = list(itertools.pairwise(channels))
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Conv1d(a, b, 8, 4, 2), nn.ReLU(), nn.Conv1d(b, 2 * b, 1), nn.GLU(dim=1)) for a, b in pairs
        )
        self.lstm = nn.LSTM(channels[-1], channels[-1], batch_first=True)
        self.decoders = nn.ModuleList(
            nn.Sequential(nn.Conv1d(b, 2 * b, 3, padding=1), nn.GLU(dim=1), nn.ConvTranspose1d(b, a, 8, 4, 2))
            for a, b in reversed(pairs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map a waveform to one of the same length."""
        skips = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
        x = x + self.lstm(x.transpose(1, 2))[0].transpose(1, 2)
        for i, decoder in enumerate(self.decoders):
            x = decoder(x + skips[-1 - i])
            x = x.relu() if i < len(self.decoders) - 1 else x
        return x


class VolumeNet(nn.Sequential):
    """A classifier of volumes (n, 1, depth, height, width)."""

    def __init__(self, widths: Sequence[int] = (16, 32, 64), classes: int = 5) -> None:
        channels = [1, *widths]
        blocks = [
            nn.Sequential(nn.Conv3d(a, b, 3, padding=1), nn.BatchNorm3d(b), nn.ReLU(), nn.MaxPool3d(2))
            for a, b in itertools.pairwise(channels)
        ]
        super().__init__(*blocks, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(channels[-1], classes))


class Heads(nn.Module):
    """Backbone and heads of a torchvision detector, without the selection of boxes."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.backbone = detector.backbone
        self.head = detector.head

    def forward(self, x: Tensor) -> Any:
        """Map images to the heads' maps."""
        features = self.backbone(x)
        return self.head(list(features.values()))


class SmallNet(nn.Sequential):
    """A small classifier of images (n, 3, height, width), which needs no package."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__(
            ConvNormAct(3, width, 3),
            ConvNormAct(width, 2 * width, 3, 2),
            ConvNormAct(2 * width, 4 * width, 3, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4 * width, classes),
        )
