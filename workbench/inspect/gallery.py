"""Pictures as numbers: what a network says of single images before and after, and what became of its first filters.

Nothing is drawn here; arrays are uint8 (height, width, 3), ready to be shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workbench.network.data import Split, check_labels, evaluating, expect_split, fitting_batch
from workbench.network.layers import Layer, find_layers, kernel_of
from workbench.network.network import Network, expect_network

Image = NDArray[np.uint8]
LOOKED_AT = 1000
"""Images that are looked at, at most, for predictions that changed."""


@dataclass(frozen=True)
class Prediction:
    """A network's first answer: class index, its name, and its probability (softmax), 0 to 1."""

    label: int
    name: str
    probability: float


@dataclass(frozen=True, eq=False)
class Picture:
    """One image of a :class:`Gallery`.

    Attributes
    ----------
    index : where it is in the split.
    image : (height, width, 3) uint8; grey images have three equal channels.
    label, name : its true class.
    before, after : the original's and the smaller network's answer (`after` is None without one).
    """

    index: int
    image: Image
    label: int
    name: str
    before: Prediction
    after: Prediction | None = None

    @property
    def changed(self) -> bool:
        """Whether the smaller network gives another answer than the original."""
        return self.after is not None and self.after.label != self.before.label


@dataclass(frozen=True, eq=False)
class Gallery:
    """Images with their predictions.

    Attributes
    ----------
    pictures : in the order of the seed; with `prefer_changed`, changed ones first.
    split : name of the split they are from.
    looked_at, changed : how many images were looked at, and for how many of them the answer changed.
    """

    pictures: tuple[Picture, ...]
    split: str
    looked_at: int
    changed: int


def gallery(
    network: Network,
    smaller: Network | None,
    split: Split,
    count: int = 12,
    seed: int = 0,
    *,
    prefer_changed: bool = False,
    classes: Sequence[str] = (),
    progress: Callable[[float], None] | None = None,
) -> Gallery:
    """Some images of a split, with what the network and its smaller version say of them.

    Parameters
    ----------
    smaller : the decomposed (and fine-tuned) network; None for the original alone.
    count : pictures, fewer if the split has fewer.
    seed : which ones; the same seed gives the same pictures, whatever the networks say.
    prefer_changed : images whose answer changed first, sought among the first 1000 of the seed's order.
    classes : class names; the network's own if there are none, else numbers.
    progress : called with the share done before each batch; what it raises ends the work.

    Raises
    ------
    ValueError : if the split is empty, its images are no pictures, a label has no output, or the two networks have
        outputs of different number.
    """
    expect_network(network)
    expect_split(split, "the data to look at")
    if not len(split):
        raise ValueError(f"the {split.name} split has no images to look at")
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    names = classes or network.classes
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    order = order[: LOOKED_AT if prefer_changed and smaller is not None else count]
    pictures: list[Picture] = []
    for piece in order.split(fitting_batch(network.input_shape)):
        if progress:
            progress(len(pictures) / len(order))
        pictures += _pictures(network, smaller, split, piece, names)
        if prefer_changed and sum(p.changed for p in pictures) >= count:
            break
    changed = sum(p.changed for p in pictures)
    shown = sorted(pictures, key=lambda p: not p.changed) if prefer_changed else pictures
    if progress:
        progress(1.0)
    return Gallery(tuple(shown[:count]), split.name, len(pictures), changed)


def as_pictures(images: Tensor) -> Image:
    """(n, channels, height, width) of any kind of number -> (n, height, width, 3) uint8.

    Integers of 0 to 255 and floats of 0 to 1 are taken as they are; other ranges are stretched, all images alike, from
    their least to their largest value. Neither one nor three channels become their mean, in grey.

    Raises
    ------
    ValueError : if they have another number of dimensions.
    """
    if images.ndim != 4:
        raise ValueError(f"pictures have the shape (n, channels, height, width), not {tuple(images.shape)}")
    pixels = images.detach().cpu().double().nan_to_num()
    if not images.is_floating_point():
        pixels = pixels * (1.0 if images.dtype != torch.bool else 255.0) / 255
    least, largest = (float(pixels.min()), float(pixels.max())) if pixels.numel() else (0.0, 1.0)
    if least < 0 or largest > 1:
        pixels = (pixels - least) / ((largest - least) or 1.0)
    if pixels.shape[1] not in (1, 3):
        pixels = pixels.mean(dim=1, keepdim=True)
    colours = pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    return (255 * colours.clamp(0, 1)).round().to(torch.uint8).numpy()


def _pictures(
    network: Network, smaller: Network | None, split: Split, piece: Tensor, names: Sequence[str]
) -> list[Picture]:
    images, labels = split.images[piece], split.labels[piece]
    outputs = _probabilities(network, images)
    check_labels(outputs, labels, split.name)
    others = _probabilities(smaller, images) if smaller is not None else None
    if others is not None and others.shape != outputs.shape:
        raise ValueError(f"the networks have {outputs.shape[1]} and {others.shape[1]} outputs: they cannot be compared")
    shown = as_pictures(images)
    return [
        Picture(
            index,
            shown[i],
            label,
            _name(names, label),
            _prediction(outputs[i], names),
            None if others is None else _prediction(others[i], names),
        )
        for i, (index, label) in enumerate(zip(piece.tolist(), labels.tolist(), strict=True))
    ]


def _probabilities(network: Network, images: Tensor) -> Tensor:
    with evaluating(network.model), torch.inference_mode():
        probabilities: Tensor = network.model(network.inputs(images)).double().softmax(dim=-1)
    return probabilities


def _prediction(probabilities: Tensor, names: Sequence[str]) -> Prediction:
    label = int(probabilities.argmax())
    return Prediction(label, _name(names, label), float(probabilities[label]))


def _name(names: Sequence[str], label: int) -> str:
    return names[label] if 0 <= label < len(names) else str(label)


@dataclass(frozen=True, eq=False)
class Filters:
    """The first convolution's filters, and what the smaller network has in their place.

    Attributes
    ----------
    layer : the convolution's name.
    original, reconstructed : (out_channels, height, width, 3) uint8 on one common scale: middle grey is zero, 255 is
        `scale`, 0 is its negative. Filters on neither one nor three channels are shown by their mean.
    scale : the largest weight of both, in absolute value.
    errors : (out_channels,) relative error ||k - k'|| / ||k|| of each filter.
    error : the same of the whole kernel.
    """

    layer: str
    original: Image
    reconstructed: Image
    scale: float
    errors: NDArray[np.float64]
    error: float


def first_filters(network: Network, smaller: Network) -> Filters:
    """The first convolution's filters, beside those that its factors in the smaller network stand for.

    Raises
    ------
    ValueError : if there is no two-dimensional convolution, or the smaller network does not come from this one.
    """
    expect_network(network)
    expect_network(smaller)
    layer = next((layer for layer in find_layers(network).layers if layer.kind == "conv"), None)
    if layer is None or len(layer.shape.kernel_size) != 2:
        raise ValueError(f"{network.name} has no two-dimensional convolution in front: there are no filters to show")
    before = kernel_of(network.model.get_submodule(layer.name), layer).detach().cpu().double()
    try:
        after = reconstruct(smaller.model.get_submodule(layer.name), layer).cpu().double()
    except (AttributeError, RuntimeError):  # no such layer, or weights of another shape
        raise ValueError(
            f"{smaller.name} was not made from {network.name}: it has no layer {layer.name} of {layer.describe()}"
        ) from None
    scale = float(torch.stack([before.abs().max(), after.abs().max()]).max())
    missed, norms = ((k.flatten(1).square().sum(1).sqrt()) for k in (before - after, before))
    errors = torch.where(missed == 0, 0.0, missed / norms).numpy()
    original, reconstructed = (as_pictures(_grey(k) / (2 * scale or 1.0) + 0.5) for k in (before, after))
    whole = float(missed.norm() / norms.norm()) if float(missed.norm()) else 0.0
    return Filters(layer.name, original, reconstructed, scale, errors, whole)


def reconstruct(module: nn.Module, layer: Layer) -> Tensor:
    """The kernel (out_channels, in_channels per group, ...) that a layer's factors stand for, or that it has itself.

    Parameters
    ----------
    module : what the smaller network has in the layer's place, as :func:`~workbench.recover.decompose.decompose`
        makes it, before or after training.
    layer : the layer as it was.

    Raises
    ------
    ValueError : if it is neither the layer nor its factors.
    """
    parts = dict(module.named_children())
    if not parts:
        return kernel_of(module, layer)
    if not {"core", "factor_out"} <= parts.keys():
        raise ValueError(f"layer {layer.name} is neither a layer nor its factors, but a {type(module).__name__}")
    groups = layer.shape.groups
    kernels = []
    for i in range(groups):
        core = _weight(parts["core"]).chunk(groups)[i]
        core = core.transpose(0, 1) if layer.shape.transposed else core
        factor_out = _weight(parts["factor_out"]).chunk(groups)[i].flatten(1)
        kernel = torch.einsum("ab...,ta->tb...", core, factor_out)
        if "factor_in" in parts:
            factor_in = _weight(parts["factor_in"]).chunk(groups)[i].flatten(1)
            kernel = torch.einsum("tb...,bs->ts...", kernel, factor_in)
        kernels.append(kernel)
    return torch.cat(kernels).reshape(layer.kernel_shape)


def _weight(module: nn.Module) -> Tensor:
    return module.get_parameter("weight").detach().double()


def _grey(kernel: Tensor) -> Tensor:
    return kernel if kernel.shape[1] in (1, 3) else kernel.mean(dim=1, keepdim=True)
