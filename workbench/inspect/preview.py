"""Compare a network and its compressed version on one picture: answers, signal to noise of the layers, feature maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.inspect.comparison import Comparison, comparison_of, paired_outputs
from workbench.inspect.gallery import Image, Prediction, as_pictures, class_name, predictions
from workbench.network.data import Split
from workbench.network.outputs import are_classes, probabilities
from workbench.plan.compressed import CompressedNetwork, expect_compressed

TOP_CLASSES = 2
"""Number of most probable classes that are named."""
MAX_MAPS = 8
"""Largest number of channels that are shown, those with the most power in the original."""


@dataclass(frozen=True, eq=False)
class Preview:
    """Two networks on one picture: the most probable classes of each, if the outputs are classes, and a layer's maps.

    Maps are (channels, height, width, 3), of the original and of the compressed network: middle grey is zero; each
    channel is scaled by its largest magnitude in both.
    """

    image: Image | None  # (height, width, 3); None for inputs that are no pictures
    name: str  # the true class, or ""
    original: tuple[Prediction, ...]  # best first
    compressed: tuple[Prediction, ...]
    comparison: Comparison  # on this picture
    layer: str = ""  # whose maps these are
    maps: tuple[Image, Image] | None = None  # None for a layer without maps

    @property
    def changed(self) -> bool:
        """Whether the first answer has changed."""
        return [answer.label for answer in self.original[:1]] != [answer.label for answer in self.compressed[:1]]

    @property
    def snr_db(self) -> float | None:
        """Signal to noise of the layer whose maps these are; None if it was not called."""
        return next((part.snr_db for part in self.comparison.layers if part.name == self.layer), None)


def preview(small: CompressedNetwork, picture: Split, *, layer: str = "", classes: Sequence[str] = ()) -> Preview:
    """Run a compressed network and its original on one picture; `layer` is the layer of the plan whose maps to return.

    Raises ValueError if there is not exactly one image, or the outputs hold no tensors of numbers.
    """
    expect_compressed(small)
    if len(picture) != 1:
        raise ValueError(f"a preview takes one picture, not {len(picture)}")
    names, label = classes or small.classes, int(picture.labels[0])
    images = picture.images[torch.tensor([0])]
    (pair,) = paired_outputs(small, images)
    original, compressed = (_answers(outputs, label, names) for outputs in (pair.original, pair.compressed))
    image = as_pictures(images)[0] if images.ndim == 4 else None
    calls = pair.layers.get(layer)
    maps = _maps(*calls[0]) if calls else None
    return Preview(image, class_name(names, label), original, compressed, comparison_of([pair]), layer, maps)


def _answers(outputs: Any, true_label: int, names: Sequence[str]) -> tuple[Prediction, ...]:
    if not are_classes(outputs) or outputs.ndim != 2:
        return ()
    return predictions(probabilities(outputs)[0].cpu(), true_label, names, TOP_CLASSES)


def _maps(original: Tensor, compressed: Tensor) -> tuple[Image, Image] | None:
    """Return the channels of two outputs of one layer, (1, channels, height, width), as pictures."""
    if original.ndim != 4 or min(original.shape[2:]) < 2:
        return None
    strongest = original[0].square().sum((1, 2)).topk(min(MAX_MAPS, original.shape[1])).indices.sort().values
    both = torch.stack([original[0, strongest], compressed[0, strongest]]).double()
    scale = both.abs().amax((0, 2, 3)).clamp(min=1e-300)[:, None, None, None]
    before, after = (as_pictures(side[:, None] / (2 * scale) + 0.5) for side in both)
    return before, after
