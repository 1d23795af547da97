"""Describe a network inside its file: what it was made from, what goes in and what comes out."""

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
    """Return what is known of a network, as JSON values."""
    found: dict[str, Any] = {
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


def _preprocessing(network: Network) -> dict[str, Any]:
    own: Any = network.preprocessing
    shape = " x ".join(map(str, network.input_shape))
    if own is None:
        floats = network.example is None or (not network.structured and network.example.is_floating_point())
        scaled = "; bytes are divided by 255" if floats else ""
        return {"words": f"No preprocessing: an input is {shape} numbers as the data hold them{scaled}."}
    if not all(hasattr(own, name) for name in ("size", "width", "mean", "std", "shorter")):  # the catalog's
        name = getattr(own, "__qualname__", type(own).__qualname__)
        return {"words": f"A function of the user's, {name}, that is not in this file; it must give inputs of {shape}."}
    kind = "RGB images" if len(own.mean) == 3 else "Images"
    words = f"{kind}, channels first, resized to {own.shorter} pixels on the shorter side and cropped to their centre "
    words += f"of {own.size} x {own.width} pixels. "
    words += "Divide the pixels by 255, subtract the mean and divide by the deviation of each channel."
    numbers = {"size": own.size, "width": own.width, "scale": 1 / 255, "mean": list(own.mean), "std": list(own.std)}
    return {"words": words, **numbers}
