"""Run a network and its compressed version on one picture: answers, signal to noise of the layers, and feature maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.inspect.comparison import Comparison, compare
from workbench.inspect.gallery import Image, Prediction, as_pictures
from workbench.network.activations import layer_outputs
from workbench.network.data import UNLABELLED, Split
from workbench.network.network import Network, copy_model
from workbench.plan.compressed import CompressedNetwork, expect_compressed

ANSWERS = 2
"""Classes of each network that are named, the most probable ones."""
MAPS = 8
"""Channels of a layer that are shown, those with the most power in the original."""


@dataclass(frozen=True, eq=False)
class Preview:
    """Two networks on one picture.

    Attributes
    ----------
    image : (height, width, 3) uint8.
    name : the true class, or "".
    original, compressed : the most probable classes of each network, best first.
    comparison : of both networks on this picture.
    layer : name of the layer whose maps these are.
    maps : (channels, height, width, 3) of the original and of the compressed network; middle grey is zero, each channel
        has the scale of its largest value in both. None for a layer without maps.
    """

    image: Image
    name: str
    original: tuple[Prediction, ...]
    compressed: tuple[Prediction, ...]
    comparison: Comparison
    layer: str = ""
    maps: tuple[Image, Image] | None = None

    @property
    def changed(self) -> bool:
        """Whether the first answer has changed."""
        return self.original[0].label != self.compressed[0].label


def preview(small: CompressedNetwork, picture: Split, *, layer: str = "", classes: Sequence[str] = ()) -> Preview:
    """Run a compressed network and its original on one picture.

    Parameters
    ----------
    picture : a split of one image; its label may be missing.
    layer : name of a layer of the plan whose maps are wanted, or "".
    classes : class names; the network's by default, numbers where it has none.

    Raises
    ------
    ValueError : if there is not one image, or the outputs are not one row of numbers for each class.
    """
    expect_compressed(small)
    if len(picture) != 1:
        raise ValueError(f"a preview takes one picture, not {len(picture)}")
    names = classes or small.classes
    networks = [network.with_model(copy_model(network.model)) for network in (small.original, small)]  # they get hooks
    images = picture.images[torch.tensor([0])]
    with torch.inference_mode(), layer_outputs([n.model for n in networks], [layer] if layer else []) as kept:
        original, compressed = (_answers(network, images, int(picture.labels[0]), names) for network in networks)
    maps = _maps(*(side[0] for side in kept[layer])) if layer and all(kept[layer]) else None
    name = _class_name(names, int(picture.labels[0]))
    return Preview(as_pictures(images)[0], name, original, compressed, compare(small, images), layer, maps)


def _answers(network: Network, images: Tensor, true_label: int, names: Sequence[str]) -> tuple[Prediction, ...]:
    outputs = network.run(network.inputs(images))
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(f"{network.name} does not give one number for each class: there are no answers to show")
    shares = outputs[0].double().softmax(0).cpu()
    found = shares.topk(min(ANSWERS, len(shares)))
    return tuple(
        Prediction(k, _class_name(names, k), p, None if true_label == UNLABELLED else k == true_label)
        for p, k in zip(found.values.tolist(), found.indices.tolist(), strict=True)
    )


def _class_name(names: Sequence[str], label: int) -> str:
    return "" if label == UNLABELLED else names[label] if label < len(names) else str(label)


def _maps(original: Tensor, compressed: Tensor) -> tuple[Image, Image] | None:
    """Return the channels of two outputs of one layer, (1, channels, height, width), as pictures."""
    if original.ndim != 4 or min(original.shape[2:]) < 2:
        return None
    strongest = original[0].square().sum((1, 2)).topk(min(MAPS, original.shape[1])).indices.sort().values
    both = torch.stack([original[0, strongest], compressed[0, strongest]]).double()
    scale = both.abs().amax((0, 2, 3)).clamp(min=1e-300)[:, None, None, None]
    before, after = (as_pictures(side[:, None] / (2 * scale) + 0.5) for side in both)
    return before, after
