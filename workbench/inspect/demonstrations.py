"""Demonstrations: a filter that slides over a picture, filters and feature maps at a rank, EVBMF on noisy digits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from workbench.kernels.evbmf import Evbmf, evbmf
from workbench.kernels.tucker import relative_error, tucker1
from workbench.network.layers import input_padding

Array = NDArray[np.float64]
MAX_FILTERS = 12
"""Largest number of filters and feature maps that are shown, counted from the first."""
MAX_DIGITS = 4


@dataclass(frozen=True, eq=False)
class LowRankFilters:
    """Low-rank filters of a convolution of one input channel, and its feature maps of one picture."""

    rank: int  # of the output unfolding
    max_rank: int
    picture: Array  # (height, width)
    strips: dict[str, Array]  # name -> (height, width): patterns, filters or maps beside each other, NaN between them
    explained: float  # share of the kernel's squared norm that the rank keeps
    maps_error: float  # norm of the difference of all feature maps, divided by the norm of the original's
    weights: int  # of the patterns and of the factor that mixes them
    dense_weights: int  # of the filters

    @classmethod
    def of(cls, layer: nn.Conv2d, picture: Tensor, rank: int) -> "LowRankFilters":
        """Compute filters and maps of a picture (1, height, width); ValueError for several input channels."""
        if layer.in_channels != 1:
            raise ValueError(f"this shows filters of one input channel; the layer has {layer.in_channels}")
        kernel, picture = layer.weight.detach().cpu().double(), picture.cpu().double()
        factors = tucker1(kernel, rank_out=rank)
        low_rank = factors.reconstruct()
        low_rank_maps, maps = (layer._conv_forward(picture[None], weights, None)[0] for weights in (low_rank, kernel))
        rows = {
            "patterns": factors.core[:, 0],
            f"filters, rank {rank}": low_rank[:, 0],
            "filters, original": kernel[:, 0],
            f"maps, rank {rank}": low_rank_maps,
            "maps, original": maps,
        }
        error = float((low_rank_maps - maps).norm() / maps.norm().clamp(min=1e-300))
        explained = 1 - relative_error(kernel, low_rank) ** 2
        weights = factors.core.numel() + factors.factor_out.numel()
        strips = {name: tiled(np.asarray(r, dtype=np.float64)[None, :MAX_FILTERS]).round(3) for name, r in rows.items()}
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
    """Pictures with noise, EVBMF of their matrix, and the denoised pictures."""

    noise: float  # standard deviation of the added noise
    evbmf: Evbmf  # of the matrix (pixels, pictures) less the mean picture
    clean: Array  # (pixels,) singular values without the noise
    pictures: Array  # (height, width), each row one picture: clean, noisy and denoised, NaN between them
    errors: tuple[float, float]  # root mean square difference of the noisy and the denoised from the clean pictures

    @classmethod
    def of(cls, images: Tensor, noise: float) -> "NoisyDigits":
        """Add noise to images (n, 1, height, width) and remove it; ValueError unless n is above height x width."""
        clean = np.asarray(images[:, 0].flatten(1).T, dtype=np.float64)
        pixels, n = clean.shape
        if n <= pixels:
            raise ValueError(f"pictures of {pixels} pixels take more than {pixels} of them, these are {n}")
        mean = clean.mean(axis=1, keepdims=True)
        noisy = clean + noise * np.random.default_rng(0).standard_normal(clean.shape)
        left, values, right = np.linalg.svd(noisy - mean, full_matrices=False)
        solution = evbmf(values, clean.shape)
        denoised = mean + (left[:, : solution.rank] * solution.shrunk) @ right[: solution.rank]
        versions = [version.T.reshape(-1, *images.shape[2:]) for version in (clean, noisy, denoised)]
        pictures = tiled(np.stack(versions, axis=1)[:MAX_DIGITS]).round(3)
        errors = tuple(float(np.sqrt(np.mean((version - clean) ** 2))) for version in (noisy, denoised))
        spectrum = np.linalg.svd(clean - mean, compute_uv=False)
        return cls(noise, solution, spectrum, pictures, (errors[0], errors[1]))

    def free_energy_curve(self) -> tuple[Array, Array]:
        """Return (thresholds, free energies above the minimum) of the noise variances, by the threshold they imply."""
        variances, energies = self.evbmf.curve()
        thresholds = self.evbmf.threshold * np.sqrt(variances / self.evbmf.noise_variance)
        return thresholds, energies - self.evbmf.free_energy(self.evbmf.noise_variance)

    @property
    def summary(self) -> str:
        """Noise, rank and threshold, and the error before and after."""
        solution, (before, after) = self.evbmf, self.errors
        return (
            f"Noise {self.noise:.2f} added, {solution.noise_variance**0.5:.2f} found. Rank {solution.rank}, threshold "
            f"{solution.threshold:.1f}. Error of a pixel: {before:.2f} with noise, {after:.2f} denoised."
        )


def tiled(pictures: Array) -> Array:
    """Join pictures (rows, columns, height, width, ...) to one, with gaps of NaN between them."""
    gaps = [(0, 0), (0, 0), (0, 1), (0, 1), *[(0, 0)] * (pictures.ndim - 4)]
    padded = np.pad(pictures, gaps, constant_values=np.nan)
    rows, columns, height, width, *colors = padded.shape
    return padded.swapaxes(1, 2).reshape(rows * height, columns * width, *colors)[:-1, :-1]


@dataclass(frozen=True, eq=False)
class SlidingWindow:
    """One filter of a convolution of one input channel, at one position of a picture."""

    out_channel: int  # that of the filter
    row: int  # of the feature map
    column: int
    top: int  # row and column of the window's first number in the picture
    left: int
    picture: Array  # (height, width), with the padding
    window: Array  # (kernel_height, kernel_width): the part of the picture under the filter
    weights: Array  # (kernel_height, kernel_width)
    bias: float  # 0 without one
    feature_map: Array  # (height, width) of the outputs, NaN after this position
    max_output: float  # largest magnitude of all outputs

    @classmethod
    def of(cls, layer: nn.Conv2d, picture: Tensor, position: int, out_channel: int) -> "SlidingWindow":
        """Compute the window and the outputs of a picture (1, height, width), at a position counted row by row.

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
        weights, image = layer.weight.detach()[out_channel].cpu().double(), picture.cpu().double()
        bias = 0.0 if layer.bias is None else float(layer.bias.detach()[out_channel])
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        padded = pad(image[None], input_padding(layer), mode=mode)
        feature_map = np.asarray(conv2d(padded, weights[None], stride=layer.stride)[0, 0] + bias)
        if not 0 <= position < feature_map.size:
            raise ValueError(f"the filter has places 0 to {feature_map.size - 1}, not {position}")
        row, column = divmod(position, feature_map.shape[1])
        max_output = float(np.abs(feature_map).max())
        feature_map.flat[position + 1 :] = np.nan
        pixels, filter_weights = np.asarray(padded[0, 0]), np.asarray(weights[0])
        top, left = row * layer.stride[0], column * layer.stride[1]
        height, width = filter_weights.shape
        window = pixels[top : top + height, left : left + width]
        return cls(out_channel, row, column, top, left, pixels, window, filter_weights, bias, feature_map, max_output)

    @property
    def parts(self) -> dict[str, Array]:
        """Title -> numbers (height, width), from the picture to the feature map."""
        return {
            "picture": self.picture,
            "what the filter sees": self.window,
            "times the filter": self.weights,
            "gives these products": self.window * self.weights,
            "their sum, place by place": self.feature_map,
        }

    def limit(self, values: Array) -> float:
        """Return the magnitude at which the colours of a part end; that of the feature map is the same everywhere."""
        return (self.max_output if values is self.feature_map else float(np.abs(values).max())) or 1.0

    @property
    def summary(self) -> str:
        """The products' sum, which is the output."""
        total = float((self.window * self.weights).sum())
        bias = f"; with the bias it is {total + self.bias:.2f}" if self.bias else ""
        products = f"the {self.window.size} products add up to {total:.2f}{bias}"
        return f"Filter {self.out_channel} at row {self.row}, column {self.column}: {products}."
