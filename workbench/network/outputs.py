"""Run models with inputs and outputs of any structure, and compare their outputs."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


def call(model: nn.Module, inputs: Any) -> Any:
    """Run a model: a tuple holds its positional inputs, a dictionary its keyword inputs, or its only one."""
    if isinstance(inputs, tuple):
        return model(*inputs)
    if isinstance(inputs, dict) and takes_keywords(model, inputs):
        return model(**inputs)
    return model(inputs)


def takes_keywords(model: nn.Module, inputs: dict[str, Any]) -> bool:
    """Return whether a model's forward pass has a parameter for each key."""
    known = inspect.signature(model.forward).parameters
    return all(key in known for key in inputs)


def tensors_of(outputs: Any) -> list[Tensor]:
    """Return the tensors of floating-point numbers in outputs of any nesting, in their order."""
    return [leaf for leaf in tree_leaves(_plain(outputs)) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def size_of(inputs: Any) -> int:
    """Return the number of inputs in a batch: the length of its first tensor."""
    return next((len(leaf) for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor) and leaf.ndim), 0)


def are_classes(outputs: Any) -> bool:
    """Return whether outputs are one tensor of classes, (n, classes) or (n, classes, height, width)."""
    return isinstance(outputs, Tensor) and outputs.ndim in (2, 4) and outputs.shape[1] > 1


def divergence(wanted: Any, made: Any) -> Tensor:
    """Return how far outputs are from the wanted ones, summed over the batch.

    For classes, the Kullback-Leibler divergence of their probabilities in nats, averaged over places. For all other
    outputs half the squared error relative to the wanted outputs' power, averaged over the tensors.
    """
    if are_classes(wanted):
        log_p, log_q = (outputs.double().log_softmax(1) for outputs in (wanted, made))
        places = wanted[0, 0].numel()
        return torch.sum(log_p.exp() * (log_p - log_q)) / float(places)
    total: Tensor = torch.zeros((), dtype=torch.float64)
    pairs = list(zip(tensors_of(wanted), tensors_of(made), strict=True))
    for p, q in pairs:
        power = p.double().square().sum().clamp(min=1e-300)
        total = total.to(p.device) + ((p - q).double().square().sum() / power) * (len(p) if p.ndim else 1) / 2
    return total / max(1, len(pairs))


def _plain(outputs: Any) -> Any:
    """Return mappings and data classes that PyTorch's trees do not know as dictionaries."""
    if hasattr(outputs, "to_tuple"):  # Hugging Face's outputs
        return outputs.to_tuple()
    if isinstance(outputs, dict):
        return {key: _plain(value) for key, value in outputs.items()}
    if isinstance(outputs, list | tuple):
        return [_plain(value) for value in outputs]
    if hasattr(outputs, "__dataclass_fields__"):
        return [_plain(getattr(outputs, name)) for name in outputs.__dataclass_fields__]
    return outputs
