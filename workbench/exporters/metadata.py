"""Metadata of an exported network: its source, inputs, classes and compression."""

import json
from typing import Any

import workbench
from workbench.network.network import Network
from workbench.plan.compressed import CompressedNetwork
from workbench.runs.run import versions

PAPER = (
    "Y.-D. Kim, E. Park, S. Yoo, T. Choi, L. Yang, D. Shin: Compression of Deep Convolutional Neural Networks for Fast "
    "and Low Power Mobile Applications. ICLR 2016, arXiv:1511.06530"
)


def metadata(network: Network) -> dict[str, Any]:
    """Return the description of a network that goes into its file, as JSON values."""
    description: dict[str, Any] = {
        "name": network.name,
        "classes": list(network.classes),
        "input_shape": list(network.input_shape),
        "preprocessing": _preprocessing(network),
        "source": network.source,
        **({"sha256": network.sha256} if network.sha256 else {}),
        "random_weights": network.random_weights,
        "weights": network.weights,
        "versions": {"workbench": workbench.__version__, **versions()},
    }
    if isinstance(network, CompressedNetwork):
        plan = network.plan
        description["compression"] = {
            "policy": plan.describe(),
            "macs": plan.macs,
            "macs_ratio": round(plan.macs_ratio, 4),
            "weights_ratio": round(plan.weights_ratio, 4),
            "method": "Tucker-2 decomposition",
            "reference": PAPER,
        }
    return description


def as_texts(values: dict[str, Any]) -> dict[str, str]:
    """Return metadata as texts, for files that hold only texts: lists and tables become JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _preprocessing(network: Network) -> dict[str, Any]:
    transform: Any = network.preprocessing
    shape = " x ".join(map(str, network.input_shape))
    if transform is None:
        is_float = network.example is None or (not network.structured and network.example.is_floating_point())
        scaling = "; bytes are divided by 255" if is_float else ""
        return {"words": f"No preprocessing: an input is {shape} numbers as the data hold them{scaling}."}
    if not all(hasattr(transform, name) for name in ("size", "width", "mean", "std", "shorter")):  # the catalog's
        name = getattr(transform, "__qualname__", type(transform).__qualname__)
        return {"words": f"A function of the user's, {name}, that is not in this file; it must give inputs of {shape}."}
    size, width, mean, std = transform.size, transform.width, list(transform.mean), list(transform.std)
    kind = "RGB images" if len(mean) == 3 else "Images"
    words = f"{kind}, channels first, resized to {transform.shorter} pixels on the shorter side and cropped to their "
    words += f"centre of {size} x {width} pixels. "
    words += "Divide the pixels by 255, subtract the mean and divide by the deviation of each channel."
    numbers = {"size": size, "width": width, "shorter": transform.shorter, "scale": 1 / 255, "mean": mean, "std": std}
    return {"words": words, **numbers}
