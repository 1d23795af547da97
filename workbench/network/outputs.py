"""Run models with inputs and outputs of any structure, and compare outputs with those of a reference."""

import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

MAX_SNR_DB = 200.0
"""Signal-to-noise ratio in dB that stands for equal outputs."""
SUM_TOLERANCE = 1e-3
"""Largest difference from one of the sum of all classes' probabilities, by rounding."""
MIN_PROBABILITY = 1e-38
"""Probability in a logarithm where it is zero."""


def call(model: nn.Module, inputs: Any) -> Any:
    """Run a model on a copy of inputs, because it may work in place.

    A tuple holds positional inputs; a dictionary holds keyword inputs, or is the only input.
    """
    inputs = tree_map_only(Tensor, torch.clone, inputs)
    if isinstance(inputs, tuple):
        return model(*inputs)
    if isinstance(inputs, dict) and takes_keywords(model, inputs):
        return model(**inputs)
    return model(inputs)


def takes_keywords(model: nn.Module, inputs: dict[str, Any]) -> bool:
    """Return whether a model's forward pass has a parameter for each key."""
    return inputs.keys() <= inspect.signature(model.forward).parameters.keys()


def tensors_of(outputs: Any) -> list[Tensor]:
    """Return the floating-point tensors of outputs of any nesting, in order."""
    if isinstance(outputs, Tensor):
        return [outputs] if outputs.is_floating_point() else []
    if isinstance(outputs, Mapping):
        parts: Iterable[Any] = outputs.values()
    elif hasattr(outputs, "__dataclass_fields__"):
        parts = [getattr(outputs, name) for name in outputs.__dataclass_fields__]
    elif callable(getattr(outputs, "to_tuple", None)):
        parts = outputs.to_tuple()
    else:
        parts = [leaf for leaf in tree_leaves(outputs) if leaf is not outputs]
    return [tensor for part in parts for tensor in tensors_of(part)]


def size_of(inputs: Any) -> int:
    """Return the number of inputs in a batch: the length of its first tensor."""
    return next((len(leaf) for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor) and leaf.ndim), 0)


def are_classes(outputs: Any) -> bool:
    """Return whether outputs are one tensor of class scores, (n, classes) or (n, classes, height, width)."""
    return isinstance(outputs, Tensor) and outputs.ndim in (2, 4) and outputs.shape[1] > 1


def in_rows(outputs: Tensor) -> Tensor:
    """Reshape (n, classes, height, width) to (n * height * width, classes); return (n, classes) unchanged."""
    return outputs if outputs.ndim == 2 else outputs.movedim(1, -1).flatten(0, -2)


def hits(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return (n, 2): whether the label has the highest of (n, classes) scores, and whether it is in the top five."""
    labels = labels.to(outputs.device)
    top1 = outputs.argmax(1) == labels
    top5 = outputs.topk(min(5, outputs.shape[1]), dim=1).indices == labels[:, None]
    return torch.stack([top1, top1 | top5.any(dim=1)], dim=1).cpu()


def same_answers(reference: Tensor, outputs: Tensor) -> Tensor:
    """Return (n, 2): `hits` with the reference's answers as labels; of dense classes the mean over each image."""
    agreeing = hits(in_rows(outputs), in_rows(reference).argmax(1))
    return agreeing if reference.ndim == 2 else agreeing.double().reshape(len(reference), -1, 2).mean(1)


def probabilities(outputs: Tensor, *, all_classes: bool = True) -> Tensor:
    """Return class probabilities of (n, classes), in float64: the softmax, unless the outputs are probabilities.

    Without `all_classes` the outputs are of the leading classes only, whose probabilities may sum to less than one.
    """
    values = outputs.double()
    return values if _are_probabilities(values, all_classes) else values.softmax(1)


def log_probabilities(outputs: Tensor) -> Tensor:
    """Return the logarithms of the class probabilities of (n, classes, ...), in the outputs' dtype."""
    return outputs.clamp(min=MIN_PROBABILITY).log() if _are_probabilities(outputs) else outputs.log_softmax(1)


def _are_probabilities(outputs: Tensor, all_classes: bool = True) -> bool:
    excess = outputs.sum(1) - 1
    sums_fit = (excess.abs() if all_classes else excess) <= SUM_TOLERANCE
    return bool((outputs >= 0).all()) and bool(sums_fit.all())


def probability_lost(reference: Tensor, outputs: Tensor) -> Tensor:
    """Return the reference's probability of its own answer less that of the outputs' answer, (n,).

    The mean is the expected loss of accuracy, if the reference's probabilities are right.
    """
    p = probabilities(in_rows(reference))
    answered = p.gather(1, in_rows(outputs).argmax(1, keepdim=True).to(p.device))[:, 0]
    return (p.amax(1) - answered).reshape(len(reference), -1).mean(1).cpu()


def powers_of(reference: Tensor, outputs: Tensor) -> Tensor:
    """Return the powers (sums of squares) of the reference and of the difference from it, (2,)."""
    p, q = reference.double(), outputs.double().to(reference.device)
    return torch.stack([p.square().sum(), (q - p).square().sum()]).cpu()


def snr_db(powers: Tensor) -> float:
    """Return the signal-to-noise ratio in dB of two powers, at most 200; -200 if the noise is NaN or infinite."""
    signal, noise = powers.tolist()
    if not math.isfinite(noise):
        return -MAX_SNR_DB
    negligible = noise <= signal * 10 ** (-MAX_SNR_DB / 10)
    return MAX_SNR_DB if negligible else 10 * math.log10(max(signal, 1e-300) / noise)


def divergence(reference: Any, outputs: Any) -> Tensor:
    """Return the divergence of outputs from a reference, summed over the batch.

    For classes it is the Kullback-Leibler divergence of the probabilities in nats, averaged over pixels; for other
    outputs half the squared error as a share of the reference's power, averaged over tensors.
    """
    if are_classes(reference):
        log_p, log_q = (log_probabilities(scores.double()) for scores in (reference, outputs))
        pixels = reference[0, 0].numel()
        return torch.sum(log_p.exp() * (log_p - log_q)) / float(pixels)
    total: Tensor = torch.zeros((), dtype=torch.float64)
    pairs = list(zip(tensors_of(reference), tensors_of(outputs), strict=True))
    for p, q in pairs:
        power = p.double().square().sum().clamp(min=1e-300)
        total = total.to(p.device) + ((p - q).double().square().sum() / power) * (len(p) if p.ndim else 1) / 2
    return total / max(1, len(pairs))


def random_functional(outputs: Any, generator: torch.Generator) -> Tensor:
    """Return a random linear functional of a batch of outputs, with normally distributed coefficients.

    For each input, the mean square of its change is the squared change of the outputs as a share of their power,
    averaged over tensors. The mean of all class scores does not count.
    """
    tensors = [in_rows(outputs)] if are_classes(outputs) else tensors_of(outputs)
    total = torch.zeros((), dtype=torch.float64)
    for tensor in tensors:
        values = tensor.double()
        values = values - values.mean(1, keepdim=True) if are_classes(outputs) else values
        power = values.detach().square().sum().clamp(min=1e-300) / max(1, size_of(tensors_of(outputs)))
        coefficients = torch.randn(values.shape, generator=generator, dtype=torch.float64).to(values.device)
        total = total.to(values.device) + (values * coefficients).sum() / (power * len(tensors)).sqrt()
    return total
