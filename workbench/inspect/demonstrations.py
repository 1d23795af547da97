"""What a convolution, a rank and EVBMF do: a filter that slides, feature maps at a rank, digits under noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from workbench.kernels.evbmf import Evbmf, evbmf
from workbench.kernels.tucker import relative_error, tucker1
from workbench.network.layers import input_padding

Array = NDArray[np.float64]
COLUMNS = 12
"""Filters and feature maps that are shown at most, counted from the first."""
SHOWN_DIGITS = 4


@dataclass(frozen=True, eq=False)
class LowRankFilters:
    """Filters of a convolution of one input channel, and its feature maps of one picture, at a rank of the filters."""

    rank: int  # of the output unfolding
    max_rank: int
    picture: Array  # (height, width)
    strips: dict[str, Array]  # name -> (height, width): patterns, filters or maps beside each other, NaN between them
    explained: float  # share of the kernel's squared norm that the rank keeps
    maps_error: float  # norm of the difference of all feature maps, divided by the norm of the original's
    weights: int  # numbers to store: of the patterns, and of what mixes them
    dense_weights: int  # of the filters

    @classmethod
    def of(cls, layer: nn.Conv2d, picture: Tensor, rank: int) -> "LowRankFilters":
        """Compute them for a picture (1, height, width); ValueError if the layer has several input channels."""
        if layer.in_channels != 1:
            raise ValueError(f"this shows filters of one input channel; the layer has {layer.in_channels}")
        kernel, picture = layer.weight.detach().cpu().double(), picture.cpu().double()
        found = tucker1(kernel, rank_out=rank)
        made = found.reconstruct()
        low, full = (layer._conv_forward(picture[None], weights, None)[0] for weights in (made, kernel))
        rows = {
            "patterns": found.core[:, 0],
            f"filters, rank {rank}": made[:, 0],
            "filters, original": kernel[:, 0],
            f"maps, rank {rank}": low,
            "maps, original": full,
        }
        error = float((low - full).norm() / full.norm().clamp(min=1e-300))
        explained = 1 - relative_error(kernel, made) ** 2
        weights = found.core.numel() + found.factor_out.numel()
        strips = {name: tiled(np.asarray(r, dtype=np.float64)[None, :COLUMNS]).round(3) for name, r in rows.items()}
        pixels = np.asarray(picture[0])
        return cls(rank, min(kernel[:, 0].flatten(1).shape), pixels, strips, explained, error, weights, kernel.numel())

    @property
    def summary(self) -> str:
        """What the rank keeps, and what it costs."""
        return (
            f"Rank {self.rank} of {self.max_rank}: {100 * self.explained:.0f} % of the kernel explained, "
            f"feature maps {100 * self.maps_error:.0f} % off, {self.weights} numbers in place of {self.dense_weights}."
        )


@dataclass(frozen=True, eq=False)
class NoisyDigits:
    """Pictures with noise, what EVBMF finds in the matrix of them, and the pictures it gives back."""

    noise: float  # standard deviation of what was added
    found: Evbmf  # of the matrix (pixels, pictures), from which the mean picture was taken
    clean: Array  # (pixels,) singular values without the noise
    pictures: Array  # (height, width), one row a picture: without noise, with it, and denoised; NaN between them
    errors: tuple[float, float]  # root mean square difference from those without noise: noisy, denoised

    @classmethod
    def of(cls, images: Tensor, noise: float) -> "NoisyDigits":
        """Add noise to images (n, 1, height, width) and find it again; ValueError unless n is above height x width."""
        clean = np.asarray(images[:, 0].flatten(1).T, dtype=np.float64)
        pixels, n = clean.shape
        if n <= pixels:
            raise ValueError(f"pictures of {pixels} pixels take more than {pixels} of them, these are {n}")
        mean = clean.mean(axis=1, keepdims=True)
        noisy = clean + noise * np.random.default_rng(0).standard_normal(clean.shape)
        left, values, right = np.linalg.svd(noisy - mean, full_matrices=False)
        found = evbmf(values, clean.shape)
        denoised = mean + (left[:, : found.rank] * found.shrunk) @ right[: found.rank]
        sides = [side.T.reshape(-1, *images.shape[2:]) for side in (clean, noisy, denoised)]
        pictures = tiled(np.stack(sides, axis=1)[:SHOWN_DIGITS]).round(3)
        errors = tuple(float(np.sqrt(np.mean((side - clean) ** 2))) for side in (noisy, denoised))
        spectrum = np.linalg.svd(clean - mean, compute_uv=False)
        return cls(noise, found, spectrum, pictures, (errors[0], errors[1]))

    def valley(self) -> tuple[Array, Array]:
        """Return (thresholds, free energies above the minimum): each noise variance as the threshold it implies."""
        variances, energies = self.found.curve()
        thresholds = self.found.threshold * np.sqrt(variances / self.found.noise_variance)
        return thresholds, energies - self.found.free_energy(self.found.noise_variance)

    @property
    def summary(self) -> str:
        """What EVBMF finds, and how near the denoised pictures come."""
        found, (before, after) = self.found, self.errors
        return (
            f"Noise {self.noise:.2f} added, {found.noise_variance**0.5:.2f} found. Rank {found.rank}, threshold "
            f"{found.threshold:.1f}. Error of a pixel: {before:.2f} with noise, {after:.2f} denoised."
        )


def tiled(pictures: Array) -> Array:
    """Return pictures (rows, columns, height, width, ...) as one, with gaps of NaN between them."""
    gaps = [(0, 0), (0, 0), (0, 1), (0, 1), *[(0, 0)] * (pictures.ndim - 4)]
    padded = np.pad(pictures, gaps, constant_values=np.nan)
    rows, columns, height, width, *colors = padded.shape
    return padded.swapaxes(1, 2).reshape(rows * height, columns * width, *colors)[:-1, :-1]


@dataclass(frozen=True, eq=False)
class SlidingWindow:
    """One filter of a convolution of one input channel, at one place of a picture."""

    out_channel: int  # that of the filter
    row: int  # of the feature map
    column: int
    top: int  # row and column of the window's first number in the picture
    left: int
    picture: Array  # (height, width), with the padding
    window: Array  # (kernel_height, kernel_width): the part of the picture under the filter
    weights: Array  # (kernel_height, kernel_width)
    bias: float  # 0 without one
    feature_map: Array  # (height, width) of the outputs, NaN where the filter has not been yet
    max_output: float  # largest magnitude of all outputs

    @classmethod
    def of(cls, layer: nn.Conv2d, picture: Tensor, position: int, out_channel: int) -> "SlidingWindow":
        """Compute them for a picture (1, height, width), at a position that counts the outputs row by row.

        Raises
        ------
        ValueError : if the layer has several input channels or gaps in its filters, or if there is no such position or
            filter.
        """
        if layer.in_channels != 1 or layer.dilation != (1, 1):
            raise ValueError("this shows filters of one input channel, without gaps (dilation 1)")
        if picture.ndim != 3 or len(picture) != 1:
            raise ValueError(f"the picture must be (1, height, width), not {tuple(picture.shape)}")
        if not 0 <= out_channel < layer.out_channels:
            raise ValueError(f"the layer has filters 0 to {layer.out_channels - 1}, not {out_channel}")
        weights, given = layer.weight.detach()[out_channel].cpu().double(), picture.cpu().double()
        bias = 0.0 if layer.bias is None else float(layer.bias.detach()[out_channel])
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        padded = pad(given[None], input_padding(layer), mode=mode)
        feature_map = np.asarray(conv2d(padded, weights[None], stride=layer.stride)[0, 0] + bias)
        if not 0 <= position < feature_map.size:
            raise ValueError(f"the filter has places 0 to {feature_map.size - 1}, not {position}")
        row, column = divmod(position, feature_map.shape[1])
        max_output = float(np.abs(feature_map).max())
        feature_map.flat[position + 1 :] = np.nan
        shown, filter_weights = np.asarray(padded[0, 0]), np.asarray(weights[0])
        top, left = row * layer.stride[0], column * layer.stride[1]
        height, width = filter_weights.shape
        window = shown[top : top + height, left : left + width]
        return cls(out_channel, row, column, top, left, shown, window, filter_weights, bias, feature_map, max_output)

    @property
    def parts(self) -> dict[str, Array]:
        """Numbers (height, width) by a title, from the picture to the feature map."""
        return {
            "picture": self.picture,
            "what the filter sees": self.window,
            "times the filter": self.weights,
            "gives these products": self.window * self.weights,
            "their sum, place by place": self.feature_map,
        }

    def limit(self, values: Array) -> float:
        """Return the number at which the colours of a part end; the same for the feature map at each place."""
        return (self.max_output if values is self.feature_map else float(np.abs(values).max())) or 1.0

    @property
    def summary(self) -> str:
        """The sum that gives the output."""
        total = float((self.window * self.weights).sum())
        bias = f"; with the bias it is {total + self.bias:.2f}" if self.bias else ""
        products = f"the {self.window.size} products add up to {total:.2f}{bias}"
        return f"Filter {self.out_channel} at row {self.row}, column {self.column}: {products}."
