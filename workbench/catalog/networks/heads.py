"""Change the classifier of a model to the shapes in a checkpoint with another number of classes."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def fit_head(model: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Give the last layers of a model the shapes in a checkpoint, in place; return whether any layer was replaced.

    The new layers do not have the checkpoint's weights yet. A layer that differs from the checkpoint only in the number
    of outputs is replaced by one with the checkpoint's number. A child module of several layers is replaced by one
    linear layer if that is all the checkpoint has under the child's name: the layer itself (``classifier.weight``) or a
    ``Sequential`` with the layer at the same index (``classifier.1.weight``).
    """
    own = model.state_dict()
    changed = False
    for key in [k for k in own if k.endswith("weight") and k in weights and own[k].shape != weights[k].shape]:
        name, found = key.rpartition(".")[0], weights[key]
        module = model.get_submodule(name)
        if own[key].shape[1:] == found.shape[1:] and isinstance(module, nn.Linear | nn.Conv2d):
            model.set_submodule(name, _with_outputs(module, len(found), f"{name}.bias" in weights))
            changed = True
    for name, child in list(model.named_children()):
        theirs = {key.removeprefix(f"{name}."): v for key, v in weights.items() if key.startswith(f"{name}.")}
        linear = [key for key, v in theirs.items() if key.endswith("weight") and v.ndim == 2]
        if theirs.keys() == child.state_dict().keys() or len(linear) != 1:
            continue
        place = linear[0].removesuffix("weight").rstrip(".")
        if theirs.keys() <= {linear[0], linear[0].removesuffix("weight") + "bias"} and (not place or place.isdecimal()):
            outputs, inputs = theirs[linear[0]].shape
            head: nn.Module = nn.Linear(inputs, outputs, bias=len(theirs) == 2)
            if place:
                head = nn.Sequential(*(nn.Identity() for _ in range(int(place))), head)
            if isinstance(child, nn.Sequential) and isinstance(child[0], nn.Flatten):
                head = nn.Sequential(nn.Flatten(1), head) if not place else head
            setattr(model, name, head)
            changed = True
    return changed


def _with_outputs(module: nn.Linear | nn.Conv2d, outputs: int, bias: bool) -> nn.Module:
    """Return a copy of a layer with another number of outputs; its weights are zero."""
    made = copy.copy(module)
    made._parameters = dict(module._parameters)
    shape = (outputs, *module.weight.shape[1:])
    made.weight = nn.Parameter(torch.zeros(shape, dtype=module.weight.dtype))
    made.bias = nn.Parameter(torch.zeros(outputs, dtype=module.weight.dtype)) if bias else None
    if isinstance(made, nn.Linear):
        made.out_features = outputs
    else:
        made.out_channels = outputs
    return made
