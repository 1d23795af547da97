"""Describe a network inside its file: what it was made from, what goes in and what comes out."""

import json
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

import workbench
from workbench.exporters.tracing import ExportError
from workbench.network.network import Network, copy_model
from workbench.runs.run import versions

PAPER = (
    "Y.-D. Kim, E. Park, S. Yoo, T. Choi, L. Yang, D. Shin: Compression of Deep Convolutional Neural Networks for Fast "
    "and Low Power Mobile Applications. ICLR 2016, arXiv:1511.06530"
)


@runtime_checkable
class Normalisation(Protocol):
    """Preprocessing that crops images to `size` pixels, divides by 255, and normalises each channel: a dataclass."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor: ...


class PixelInputs(nn.Module):
    """A model behind the arithmetic of its preprocessing: it takes pixels, 0 to 255."""

    def __init__(self, model: nn.Module, preprocessing: Normalisation) -> None:
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


def with_pixel_inputs(network: Network) -> Network:
    """Return the network with its preprocessing's arithmetic inside: its inputs are pixels, 0 to 255.

    Raises
    ------
    ExportError : if its preprocessing is no crop followed by a normalisation.
    """
    own: Any = network.preprocessing
    if not isinstance(own, Normalisation):
        raise ExportError(
            f"the preprocessing of {network.name} is not a scale, a mean and a deviation, so it cannot go into the file"
        )
    crop = replace(own, mean=(0.0,) * len(own.mean), std=(1.0,) * len(own.std))  # type: ignore[type-var]
    model = PixelInputs(copy_model(network.model), own).to(network.device)
    return network.with_model(model, preprocessing=lambda images: 255 * crop(images))


def metadata(network: Network, *, pixels: bool = False) -> dict[str, Any]:
    """Return what is known of a network, as JSON values.

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
    plan = getattr(network, "plan", None)
    if plan is not None:
        found["compression"] = {
            "policy": plan.describe(),
            "macs": plan.macs,
            "macs_ratio": round(plan.macs_ratio, 4),
            "weights_ratio": round(plan.weights_ratio, 4),
            "method": "Tucker-2 decomposition",
            "reference": PAPER,
        }
    return found


def as_texts(values: dict[str, Any]) -> dict[str, str]:
    """Return metadata as one text a name, for files that hold nothing else: lists and tables become JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _preprocessing(network: Network, pixels: bool) -> dict[str, Any]:
    own, shape = network.preprocessing, " x ".join(map(str, network.input_shape))
    if own is None:
        return {"words": f"Nothing is to be done before: an input is {shape} numbers as the data hold them."}
    if not isinstance(own, Normalisation):
        name = getattr(own, "__qualname__", type(own).__qualname__)
        return {"words": f"A function of the user's, {name}, that is not in this file; it must give inputs of {shape}."}
    kind = "RGB images" if len(own.mean) == 3 else "Images"
    words = f"{kind}, channels first, resized and cropped to their centre of {own.size} x {own.size} pixels. "
    if pixels:
        words += "The file takes the pixels as they are, 0 to 255, and scales and normalises them itself."
    else:
        words += "Divide the pixels by 255, subtract the mean and divide by the deviation of each channel."
    numbers = {"size": own.size, "scale": 1 / 255, "mean": list(own.mean), "std": list(own.std)}
    return {"words": words, **numbers, "inside": pixels}
