"""A filter at one place of a picture: what a convolution computes there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from workbench.network.layers import input_padding

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SlidingWindow:
    """One filter of a convolution of one input channel, at one place of a picture.

    Attributes
    ----------
    out_channel : that of the filter.
    row, column : of the feature map.
    top, left : row and column of the window's first number in the picture.
    picture : (height, width), with the padding.
    window, weights : (kernel_height, kernel_width); the window is the part of the picture under the filter.
    bias : 0 without one.
    feature_map : (height, width) of the outputs, NaN where the filter has not been yet.
    max_output : largest magnitude of all outputs.
    """

    out_channel: int
    row: int
    column: int
    top: int
    left: int
    picture: Array
    window: Array
    weights: Array
    bias: float
    feature_map: Array
    max_output: float

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
