"""Sample images with each network's answers, and the first convolution's filters before and after compression.

Nothing is drawn here; pictures are uint8 arrays (height, width, 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workbench.kernels.tucker import Tucker1, Tucker2
from workbench.network.data import UNLABELLED, Split, fitting_batch
from workbench.network.inputs import Images, split_of
from workbench.network.layers import Layer, kernel_of
from workbench.network.network import Network, expect_network
from workbench.network.outputs import probabilities
from workbench.network.scores import check_labels
from workbench.plan.compressed import CompressedNetwork, expect_compressed
from workbench.progress import Progress, reporter

Image = NDArray[np.uint8]
MAX_SEARCHED_IMAGES = 1000
"""Largest number of images that are searched for answers that changed."""


@dataclass(frozen=True)
class Prediction:
    """A network's first answer: its class, its probability, and whether it is right (None without a label)."""

    label: int
    name: str
    probability: float
    right: bool | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """One image of a :class:`Gallery`."""

    index: int  # in the split
    image: Image  # grey images have three equal channels
    label: int  # true class; -1 without a label
    name: str
    before: Prediction  # of the original network
    after: Prediction | None = None  # of the compressed one

    @property
    def lines(self) -> list[str]:
        """True class, and each network's answer, right (✓) or wrong (✗)."""
        answers = {"original": self.before} | ({"compressed": self.after} if self.after else {})
        marks = {True: "✓ ", False: "✗ ", None: ""}
        texts = (f"{marks[a.right]}{network}: {a.name}, {100 * a.probability:.0f} %" for network, a in answers.items())
        return [self.name, *texts]

    @property
    def changed(self) -> bool:
        """Whether the compressed network's answer differs from the original's."""
        return self.after is not None and self.after.label != self.before.label


@dataclass(frozen=True, eq=False)
class Gallery:
    """Images of a split with the networks' answers; how many were searched, and how many answers of those changed."""

    pictures: tuple[Picture, ...]
    split: str
    looked_at: int
    changed: int


def gallery(
    network: Network,
    images: Split | Images,
    count: int = 12,
    seed: int = 0,
    *,
    compressed: CompressedNetwork | None = None,
    prefer_changed: bool = False,
    classes: Sequence[str] = (),
    progress: Progress | bool | None = None,
) -> Gallery:
    """Return images of a split with the answers of a network and of its compressed version.

    Parameters
    ----------
    count : largest number of pictures.
    seed : of the order of the images; the same seed gives the same pictures, whatever the networks answer.
    compressed : None for the answers of the original only.
    prefer_changed : put images whose answer changed first, out of the first 1000 of the seed's order.
    classes : class names; the network's by default, numbers where it has none.
    progress : called before each batch; if it raises, so does this function.

    Raises
    ------
    ValueError : if the split is empty, its images are no pictures, a label has no output, or the two networks differ in
        the number of outputs.
    """
    expect_network(network)
    split = split_of(network, images)
    if not len(split):
        raise ValueError(f"the {split.name} split has no images to look at")
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    report = reporter(progress)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    order = order[: MAX_SEARCHED_IMAGES if prefer_changed and compressed is not None else count]
    networks = [network] if compressed is None else [network, compressed]
    pictures: list[Picture] = []
    for batch in order.split(fitting_batch(network.input_shape)):
        report(len(pictures) / len(order), f"looked at {len(pictures)} of {len(order)} images")
        pictures += _pictures(networks, split, batch, classes or network.classes)
        if prefer_changed and sum(p.changed for p in pictures) >= count:
            break
    report(1.0, "")
    ordered = sorted(pictures, key=lambda p: not p.changed) if prefer_changed else pictures
    return Gallery(tuple(ordered[:count]), split.name, len(pictures), sum(p.changed for p in pictures))


def as_pictures(images: Tensor) -> Image:
    """Convert images (n, channels, height, width) of any dtype to pictures (n, height, width, 3) of uint8.

    Integers of 0 to 255 and floats of 0 to 1 keep their scale; other ranges are stretched, from the smallest to the
    largest value of all images. Of other than one or three channels, the mean is shown in grey.
    """
    if images.ndim != 4:
        raise ValueError(f"pictures have the shape (n, channels, height, width), not {tuple(images.shape)}")
    pixels = images.detach().cpu().double().nan_to_num()
    if not images.is_floating_point() and images.dtype != torch.bool:
        pixels = pixels / 255
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 1:
        pixels = (pixels - low) / ((high - low) or 1.0)
    channels = pixels if pixels.shape[1] in (1, 3) else pixels.mean(dim=1, keepdim=True)
    colors = channels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    return (255 * colors.clamp(0, 1)).round().to(torch.uint8).numpy()


def _pictures(networks: Sequence[Network], split: Split, batch: Tensor, classes: Sequence[str]) -> list[Picture]:
    images, labels = split.images[batch], split.labels[batch]
    distributions = []
    with torch.inference_mode():
        for network in networks:
            outputs = network.run(network.inputs(images))
            check_labels(outputs, labels, split.name)
            distributions.append(probabilities(outputs).cpu())
    widths = [probs.shape[1] for probs in distributions]
    if len(set(widths)) > 1:
        raise ValueError(f"the networks have {widths[0]} and {widths[1]} outputs: they cannot be compared")
    rows = zip(batch.tolist(), as_pictures(images), labels.tolist(), *distributions, strict=True)
    return [
        Picture(index, image, label, class_name(classes, label), *(predictions(p, label, classes)[0] for p in probs))
        for index, image, label, *probs in rows
    ]


def predictions(probabilities: Tensor, true_label: int, classes: Sequence[str], n: int = 1) -> tuple[Prediction, ...]:
    """Return the n most probable classes, best first; equal ones in the order of their labels."""
    predictions = []
    for label in probabilities.argsort(descending=True, stable=True)[:n].tolist():
        right = None if true_label == UNLABELLED else label == true_label
        predictions.append(Prediction(label, class_name(classes, label), float(probabilities[label]), right))
    return tuple(predictions)


def class_name(classes: Sequence[str], label: int) -> str:
    """Return the name of a class, or its number if it has none; "" without a label."""
    return "" if label == UNLABELLED else classes[label] if label < len(classes) else str(label)


@dataclass(frozen=True, eq=False)
class Filters:
    """Filters of the first convolution, and the product of its factors.

    Pictures (out_channels, height, width, 3) are on one scale: middle grey is zero, 255 is `scale`, 0 is its negative.
    Filters of other than one or three channels are shown by their mean.
    """

    layer: str
    original: Image
    reconstructed: Image
    scale: float  # largest weight of both, in absolute value
    errors: NDArray[np.float64]  # (out_channels,) relative error ||k - k'|| / ||k|| of each filter
    error: float  # relative error of the whole kernel


def first_filters(compressed: CompressedNetwork) -> Filters:
    """Return the first convolution's filters, beside those of the compressed network.

    Raises
    ------
    ValueError : if the network has no two-dimensional convolution, or its first convolution is not two-dimensional.
    """
    expect_compressed(compressed)
    layer = next((part.layer for part in compressed.plan if part.layer.kind == "conv"), None)
    if layer is None or len(layer.shape.kernel_size) != 2:
        name = compressed.original.name
        raise ValueError(f"{name} has no two-dimensional convolution in front: there are no filters to show")
    networks = (compressed.original, compressed)
    before, after = (reconstruct(network.model.get_submodule(layer.name), layer).cpu() for network in networks)
    scale = float(torch.stack([before, after]).abs().max())
    error_norms, norms = (kernel.flatten(1).norm(dim=1) for kernel in (before - after, before))
    errors = torch.where(error_norms == 0, 0.0, error_norms / norms).numpy()
    original, reconstructed = (as_pictures(kernel / (2 * scale or 1.0) + 0.5) for kernel in (before, after))
    error = float(error_norms.norm() / norms.norm()) if error_norms.any() else 0.0
    return Filters(layer.name, original, reconstructed, scale, errors, error)


def reconstruct(module: nn.Module, layer: Layer) -> Tensor:
    """Return a layer's kernel (out_channels, in_channels per group, ...), or the product of its factors."""
    groups, modules = layer.shape.groups, dict(module.named_children())
    if "core" not in modules:
        return kernel_of(module, layer).detach().double()
    names = [name for name in ("factor_in", "core", "factor_out") if name in modules]
    weights = [modules[name].get_parameter("weight").detach().double().chunk(groups) for name in names]
    kernels = []
    for *factor_in, core, factor_out in zip(*weights, strict=True):
        last = factor_out.flatten(1)
        middle = core.transpose(0, 1) if layer.shape.transposed else core
        factors = Tucker2(middle, factor_in[0].flatten(1).mT, last) if factor_in else Tucker1(middle, last)
        kernels.append(factors.reconstruct())
    return torch.cat(kernels).reshape(layer.kernel_shape)
