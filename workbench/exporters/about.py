"""What a file says of itself: what it was made from, what goes in, what comes out. For people and for programs."""

import json
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import workbench
from workbench.catalog.networks.load import Centred
from workbench.exporters.preparing import ExportError
from workbench.network.network import Network
from workbench.runs.run import versions

PAPER = (
    "Y.-D. Kim, E. Park, S. Yoo, T. Choi, L. Yang, D. Shin: Compression of Deep Convolutional Neural Networks for Fast "
    "and Low Power Mobile Applications. ICLR 2016, arXiv:1511.06530"
)


class Pixels(nn.Module):
    """A model behind the arithmetic of its preprocessing: pixels 0 to 255 as they are -> what the model gives."""

    def __init__(self, model: nn.Module, preprocessing: Centred) -> None:
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        self.model = model
        mean, std = (torch.tensor(v)[:, None, None] for v in (preprocessing.mean, preprocessing.std))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, channels, height, width) in 0 to 255 -> (n, classes)."""
        return self.model(pixels * self.scale + self.shift)  # type: ignore[no-any-return]


def with_pixels(network: Network) -> Network:
    """The network with its preprocessing's arithmetic inside: its inputs are pixels, 0 to 255.

    Raises
    ------
    ExportError : if its preprocessing is not the catalog's, a crop, a scale, a mean and a deviation.
    """
    own = network.preprocessing
    if not isinstance(own, Centred):
        raise ExportError(
            f"the preprocessing of {network.name} is not a scale, a mean and a deviation, so it cannot go into the file"
        )
    plain = replace(own, mean=(0.0,) * len(own.mean), std=(1.0,) * len(own.std))
    return replace(network, model=Pixels(network.model, own), preprocessing=lambda images: 255 * plain(images))


def about(network: Network, *, pixels: bool = False) -> dict[str, Any]:
    """Everything that is known of a network, as JSON values.

    Parameters
    ----------
    pixels : whether the preprocessing's arithmetic is in the file.
    """
    found: dict[str, Any] = {
        "name": network.name,
        "classes": list(network.classes),
        "input_shape": list(network.input_shape),
        "preprocessing": _preprocessing(network, pixels),
        "source": network.source,
        **({"sha256": network.sha256} if network.sha256 else {}),
        "random_weights": network.random_weights,
        "weights": network.weights,
        "versions": {"workbench": workbench.__version__, **versions()},
    }
    if network.plan is not None:
        plan = network.plan
        found["compression"] = {
            "policy": plan.describe(),
            "macs": plan.macs,
            "macs_ratio": round(plan.macs_ratio, 4),
            "weights_ratio": round(plan.weights_ratio, 4),
            "method": "Tucker-2 decomposition",
            "reference": PAPER,
        }
    return found


def texts(known: dict[str, Any]) -> dict[str, str]:
    """The same as a text for each name, for files that hold only these: lists and tables become JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in known.items()}


def _preprocessing(network: Network, pixels: bool) -> dict[str, Any]:
    own, shape = network.preprocessing, " x ".join(map(str, network.input_shape))
    if own is None:
        return {"words": f"Nothing is to be done before: an input is {shape} numbers as the data hold them."}
    if not isinstance(own, Centred):
        name = getattr(own, "__qualname__", type(own).__qualname__)
        return {"words": f"A function of the user's, {name}, that is not in this file; it must give inputs of {shape}."}
    size, of = own.size, "RGB images" if len(own.mean) == 3 else "images"
    words = f"{of}, channels first, resized and cropped to their centre of {size} x {size} pixels. "
    if pixels:
        words += "The file takes the pixels as they are, 0 to 255, and scales and normalises them itself."
    else:
        words += "Divide the pixels by 255, subtract the mean and divide by the deviation of each channel."
    known = {"size": size, "scale": 1 / 255, "mean": list(own.mean), "std": list(own.std), "inside": pixels}
    return {"words": words[0].upper() + words[1:], **known}
