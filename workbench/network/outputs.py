"""Run models with inputs and outputs of any structure, and compare their outputs."""

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
"""By how much the probabilities of all classes may miss one, by rounding."""
MIN_PROBABILITY = 1e-38
"""What a probability of zero counts as in a logarithm."""


def call(model: nn.Module, inputs: Any) -> Any:
    """Run a model on a copy of inputs, as it may work in place.

    A tuple holds its positional inputs, a dictionary its keyword inputs, or its only one.
    """
    inputs = tree_map_only(Tensor, torch.clone, inputs)
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
    """Return whether outputs are one tensor of classes, (n, classes) or (n, classes, height, width)."""
    return isinstance(outputs, Tensor) and outputs.ndim in (2, 4) and outputs.shape[1] > 1


def in_rows(outputs: Tensor) -> Tensor:
    """Return classes (n, classes, height, width) as (n * height * width, classes), (n, classes) as they are."""
    return outputs if outputs.ndim == 2 else outputs.movedim(1, -1).flatten(0, -2)


def hits(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return (n, 2): whether the first of (n, classes) answers is the label, and whether one of the first five is."""
    labels = labels.to(outputs.device)
    first, among = outputs.argmax(1) == labels, outputs.topk(min(5, outputs.shape[1]), dim=1).indices == labels[:, None]
    return torch.stack([first, first | among.any(dim=1)], dim=1).cpu()


def same_answers(wanted: Tensor, made: Tensor) -> Tensor:
    """Return `hits` of the wanted answers; of dense classes, the share of an image's places, (n, 2)."""
    found = hits(in_rows(made), in_rows(wanted).argmax(1))
    return found if wanted.ndim == 2 else found.double().reshape(len(wanted), -1, 2).mean(1)


def probabilities(outputs: Tensor, *, all_classes: bool = True) -> Tensor:
    """Return class probabilities of (n, classes), in float64: the softmax, unless the outputs are probabilities.

    Those of the leading classes alone, without `all_classes`, may sum to less than one.
    """
    values = outputs.double()
    return values if _are_probabilities(values, all_classes) else values.softmax(1)


def log_probabilities(outputs: Tensor) -> Tensor:
    """Return the logarithms of the class probabilities of (n, classes, ...), likewise, in the type of the outputs."""
    return outputs.clamp(min=MIN_PROBABILITY).log() if _are_probabilities(outputs) else outputs.log_softmax(1)


def _are_probabilities(outputs: Tensor, all_classes: bool = True) -> bool:
    excess = outputs.sum(1) - 1
    sums_fit = (excess.abs() if all_classes else excess) <= SUM_TOLERANCE
    return bool((outputs >= 0).all()) and bool(sums_fit.all())


def probability_lost(wanted: Tensor, made: Tensor) -> Tensor:
    """Return by how much less probable the wanted outputs hold each new answer than their own, (n,).

    The mean is the accuracy that is expected to be lost, if the probabilities of the wanted classes are right.
    """
    p = probabilities(in_rows(wanted))
    new = p.gather(1, in_rows(made).argmax(1, keepdim=True).to(p.device))[:, 0]
    return (p.amax(1) - new).reshape(len(wanted), -1).mean(1).cpu()


def powers_of(wanted: Tensor, made: Tensor) -> Tensor:
    """Return the powers of the wanted values and of the difference, (2,)."""
    p, q = wanted.double(), made.double().to(wanted.device)
    return torch.stack([p.square().sum(), (q - p).square().sum()]).cpu()


def snr_db(powers: Tensor) -> float:
    """Return the signal-to-noise ratio in dB of the two powers, at most 200; -200 if the noise is NaN or infinite."""
    signal, noise = powers.tolist()
    if not math.isfinite(noise):
        return -MAX_SNR_DB
    equal = noise <= signal * 10 ** (-MAX_SNR_DB / 10)
    return MAX_SNR_DB if equal else 10 * math.log10(max(signal, 1e-300) / noise)


def divergence(wanted: Any, made: Any) -> Tensor:
    """Return how far outputs are from the wanted ones, summed over the batch.

    For classes, the Kullback-Leibler divergence of their probabilities in nats, averaged over places. For all other
    outputs half the squared error relative to the wanted outputs' power, averaged over the tensors.
    """
    if are_classes(wanted):
        log_p, log_q = (log_probabilities(outputs.double()) for outputs in (wanted, made))
        places = wanted[0, 0].numel()
        return torch.sum(log_p.exp() * (log_p - log_q)) / float(places)
    total: Tensor = torch.zeros((), dtype=torch.float64)
    pairs = list(zip(tensors_of(wanted), tensors_of(made), strict=True))
    for p, q in pairs:
        power = p.double().square().sum().clamp(min=1e-300)
        total = total.to(p.device) + ((p - q).double().square().sum() / power) * (len(p) if p.ndim else 1) / 2
    return total / max(1, len(pairs))


def random_functional(outputs: Any, generator: torch.Generator) -> Tensor:
    """Return a random linear function of a batch of outputs, normally distributed.

    The square of its change is on average the squared change of the outputs as a share of their power, averaged over
    the tensors, for each input by itself. Of classes, what all have in common does not count.
    """
    tensors = [in_rows(outputs)] if are_classes(outputs) else tensors_of(outputs)
    total = torch.zeros((), dtype=torch.float64)
    for values in tensors:
        flat = values.double()
        flat = flat - flat.mean(1, keepdim=True) if are_classes(outputs) else flat
        power = flat.detach().square().sum().clamp(min=1e-300) / max(1, size_of(tensors_of(outputs)))
        directions = torch.randn(values.shape, generator=generator, dtype=torch.float64).to(values.device)
        total = total.to(values.device) + (flat * directions).sum() / (power * len(tensors)).sqrt()
    return total
