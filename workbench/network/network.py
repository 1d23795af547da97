"""A network: a model with its inputs, outputs and source."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from workbench.network.folding import fold_weights, unwrap
from workbench.network.outputs import call
from workbench.tables import Table, count


@dataclass(frozen=True, eq=False, repr=False)
class Network(Table):
    """A model, usually an image classifier, and all that is needed to run it.

    The network holds a copy of the model in evaluation mode; changing one does not affect the other.

    Parameters
    ----------
    model : an ``nn.Module`` that takes a batch (n, *input_shape), or inputs like `example`, and returns (n, classes),
        or tensors in any nesting. The copy has no wrappers (``DataParallel``, ``torch.compile``), and weights that are
        computed in each run (``weight_norm``, ``spectral_norm``, pruning) become parameters.
    input_shape : shape of one input, e.g. (3, 224, 224); may be omitted if there is an `example`.
    preprocessing : function from a batch of images to a batch of inputs; None if they are equal, or if images are bytes
        whose 0 to 255 stand for inputs of 0 to 1.
    classes : class names, in the order of the outputs.
    source : origin of the weights, in words.
    example : inputs of one run, for models that do not take one batch of float images: a tensor, a tuple of positional
        inputs, or a dictionary of keyword inputs (or the only input). `images` are then batches of the same structure.
        None for one batch of zeros of `input_shape`.
    output : function that selects from the model's outputs: (n, classes) for scores; None for all outputs.
    maps : name of a linear layer -> (channels, height, width) of the map that is flattened before it, None for no map;
        only needed where the guess by shape is wrong.
    random_weights : whether the weights were never trained, so that ranks and scores mean nothing.
    sha256 : checksum of the weights' file, or "".
    history : training epochs of the weights.
    fitted : whether layers were fitted to the running statistics of the batch norms (calibrated or distilled).

    Raises
    ------
    TypeError : if the model is not an ``nn.Module``, or is TorchScript.
    ValueError : if the input shape is invalid, or the model cannot be copied, has no weights yet, or is quantised.
    """

    model: nn.Module
    input_shape: tuple[int, ...] = ()
    name: str = "network"
    preprocessing: Callable[[Tensor], Tensor] | None = None
    classes: tuple[str, ...] = ()
    source: str = "given in code"
    example: Any = None
    maps: Mapping[str, tuple[int, int, int] | None] = field(default_factory=dict)
    random_weights: bool = False
    sha256: str = ""
    history: tuple[Any, ...] = ()
    fitted: bool = False
    output: Callable[[Any], Any] | None = None

    headers = ("Network", "")
    left = (0, 1)

    def __post_init__(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise TypeError(f"a Network wraps a torch.nn.Module, not a {type(self.model).__name__}")
        object.__setattr__(self, "input_shape", _shape_of(self.input_shape, self.example))
        object.__setattr__(self, "classes", tuple(self.classes))
        model = copy_model(unwrap(self.model)).eval()
        fold_weights(model)
        object.__setattr__(self, "model", model)

    @property
    def original(self) -> "Network | None":
        """The network that this one was compressed from; None if it is not a compressed network."""
        return None

    @property
    def weights(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def device(self) -> torch.device:
        """Device of the parameters, on which the network runs."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def with_model(self, model: nn.Module, **changes: Any) -> Self:
        """Return the same network with another model, which is not copied and must not belong to another network."""
        network = copy.copy(self)
        network.__dict__.update(model=model.eval(), **changes)
        return network

    @property
    def structured(self) -> bool:
        """Whether the model's inputs are a tuple or a dictionary."""
        return self.example is not None and not isinstance(self.example, Tensor)

    def run(self, inputs: Any) -> Any:
        """Return the selected outputs for a batch of inputs."""
        outputs = call(self.model, inputs)
        return outputs if self.output is None else self.output(outputs)

    def inputs(self, images: Any) -> Any:
        """Convert a batch of images to inputs of the model, on its device.

        Floats get the dtype of the weights; without preprocessing, bytes of 0 to 255 become floats of 0 to 1.

        Raises
        ------
        ValueError : if the images do not have the shape of the network's input.
        """
        if self.structured:
            return tree_map_only(Tensor, lambda x: x.to(self.device), images)
        images = images.to(self.device)
        inputs = images if self.preprocessing is None else self.preprocessing(images)
        takes_floats = self.example is None or self.example.is_floating_point()
        if self.preprocessing is None and takes_floats and inputs.dtype == torch.uint8:
            inputs = inputs / 255
        if inputs.is_floating_point():
            inputs = inputs.to(self._dtype)
        shape = tuple(inputs.shape[1:])
        if shape != self.input_shape:
            are_images = len(shape) == len(self.input_shape) == 3
            hint = f": load them with size={max(self.input_shape[1:])}" if are_images else ""
            raise ValueError(f"{self.name} takes inputs of shape {self.input_shape}, these images have {shape}{hint}")
        return inputs

    def example_inputs(self) -> Any:
        """Return inputs for one run of the model: the example, or one input of zeros."""
        if self.example is not None:
            return self.example
        return torch.zeros(1, *self.input_shape, dtype=self._dtype, device=self.device)

    @property
    def _dtype(self) -> torch.dtype:
        """Data type of the model's weights."""
        return next((p.dtype for p in self.model.parameters() if p.is_floating_point()), torch.float32)

    @property
    def rows(self) -> list[list[str]]:
        """Name and value of each property."""
        return [
            ["name", self.name],
            ["model", type(self.model).__name__],
            ["input", " x ".join(map(str, self.input_shape))],
            ["weights", count(self.weights)],
            ["classes", str(len(self.classes) or "not named")],
            ["source", self.source],
            *([["sha256", self.sha256]] if self.sha256 else []),
        ]

    def __repr__(self) -> str:
        model = f"{type(self.model).__name__}, input {self.input_shape}, {count(self.weights)}"
        return f"{type(self).__name__}({self.name}: {model})"


def _shape_of(input_shape: Any, example: Any) -> tuple[int, ...]:
    if not input_shape and example is not None:
        first = next((x for x in tree_leaves(example) if isinstance(x, Tensor)), None)
        if first is not None and first.ndim > 1:
            return tuple(first.shape[1:])
    shape = tuple(input_shape) if isinstance(input_shape, Iterable) else ()
    if not shape or not all(isinstance(d, int) and d > 0 for d in shape):
        raise ValueError(f"input_shape is the shape of one input, like (3, 224, 224), not {input_shape!r}")
    return shape


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or of its first cause's; without a message the type's name."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip().rstrip(".")


def copy_model(model: nn.Module) -> nn.Module:
    """Return a deep copy of a model, its modes and buffers included; raise ValueError if it cannot be copied.

    Weights that a hook computes (old-style ``weight_norm``, pruning) are part of an autograd graph after a forward
    pass, and PyTorch does not deep-copy those. The copy gets their values, and its own hooks compute them again.
    """
    attributes = tree_leaves([vars(module) for module in model.modules()])
    computed = {id(v): v.detach().clone() for v in attributes if isinstance(v, Tensor) and v.grad_fn is not None}
    try:
        copied = copy.deepcopy(model, computed)
    except Exception as error:
        raise ValueError(
            f"this {type(model).__name__} cannot be copied, and the workbench works on copies: {first_line(error)}"
        ) from error
    copied.zero_grad()
    return copied


def expect_network(value: object) -> None:
    """Raise TypeError unless the value is a Network."""
    if not isinstance(value, Network):
        hint = ": wrap it first, wb.Network(model, input_shape=(3, 224, 224))" if isinstance(value, nn.Module) else ""
        raise TypeError(f"this takes a Network, not a {type(value).__name__}{hint}")
