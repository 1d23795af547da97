"""Read the weights of an ONNX file as the state dict of a PyTorch model."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.onnx.load import read_proto
from workbench.catalog.onnx.model import OnnxModel
from workbench.catalog.onnx.node import OnnxError
from workbench.network.outputs import log_probabilities

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d)
"""Types of layers that are matched with the file's."""
MAX_DIFFERENCE = 1e-3
"""Largest accepted difference between the model's and the file's outputs, as a share of the file's largest output."""


def onnx_weights(model: nn.Module, path: Path, input_shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Return the weights of an ONNX file as a state dict of `model`, which is set to evaluation mode.

    The file's layers are matched with the model's in the order of their definition; each must have the same shapes.
    Then the model's outputs with these weights are compared with the file's, on a random input of `input_shape` (the
    file may end in a softmax that the model lacks).

    Raises
    ------
    WeightsError : naming every layer that does not fit, or if the outputs differ.
    """
    try:
        graph = OnnxModel(read_proto(path)).eval()
    except OnnxError as error:
        raise WeightsError(str(error)) from None
    file_layers = [(name, graph.get_submodule(name).state_dict()) for name in graph.nodes]
    layers = [(name, module.state_dict()) for name, module in model.named_modules() if isinstance(module, LAYERS)]
    state: dict[str, Tensor] = {}
    if len(file_layers) != len(layers):
        raise WeightsError(f"{path.name} has {len(file_layers)} layers with weights, this network {len(layers)}")
    problems = []
    for (file_name, file_weights), (name, weights) in zip(file_layers, layers, strict=True):
        file_shapes, shapes = ({k: tuple(v.shape) for k, v in s.items() if v.ndim} for s in (file_weights, weights))
        if file_shapes != shapes:
            problems.append(f"{file_name} with {_shapes_text(file_shapes)} is no {name} with {_shapes_text(shapes)}")
        state |= {f"{name}.{key}": value for key, value in file_weights.items()}
    if problems:
        raise WeightsError(f"{path.name} does not fit this network: {'; '.join(problems)}")
    state = {**model.state_dict(), **state}
    x = torch.rand(graph.batch or 1, *input_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = functional_call(model.eval(), state, (x,))
        try:
            file_outputs = graph(x)
        except Exception:
            raise WeightsError(
                f"{path.name} does not run on inputs of {input_shape}, which this network takes"
            ) from None
    if not _have_same_probabilities(logits, file_outputs):
        raise WeightsError(f"{path.name} fits this network layer by layer, but computes something else")
    return state


def _shapes_text(shapes: dict[str, tuple[int, ...]]) -> str:
    return " and ".join(f"{key} {shape}" for key, shape in shapes.items())


def _have_same_probabilities(logits: Tensor, outputs: object) -> bool:
    """Return whether logits (n, classes) give the same probabilities as a file's logits or probabilities."""
    if not isinstance(outputs, Tensor) or outputs.numel() != logits.numel():
        return False
    p, reference = (log_probabilities(values.double()) for values in (logits, outputs.reshape(logits.shape)))
    return bool((p - reference).abs().max() <= MAX_DIFFERENCE * reference.abs().max())
