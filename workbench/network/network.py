"""A network: a model, what goes in, what comes out and where it came from."""

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
    """An image classifier, with what is needed to run it.

    The model is copied and the copy is put into evaluation mode: nothing that the workbench does reaches the object
    that was given, and what is done to that object later does not reach the network.

    Parameters
    ----------
    model : an ``nn.Module`` that takes a batch (n, *input_shape), or inputs like `example`, and returns (n, classes),
        or tensors in any nesting. Wrappers (``DataParallel``, ``torch.compile``) are taken off, and weights that are
        computed in each run (``weight_norm``, ``spectral_norm``, pruning) become parameters, in the copy.
    input_shape : shape of one input, e.g. (3, 224, 224); left out if `example` says it.
    preprocessing : function from a batch of images as the data hold them to a batch of inputs; None if they are equal,
        or bytes whose 0 to 255 are the inputs' 0 to 1.
    classes : class names, in the order of the outputs.
    source : where the weights came from, in words.
    example : inputs to run the model with, for models that take other than one float image: a tensor, a tuple of
        positional inputs, or a dictionary of keyword inputs (or the only input). `images` are then batches like it.
        None for one batch of zeros of `input_shape`.
    output : function from the model's outputs to those that matter: (n, classes) for scores; None for all of them.
    maps : name of a linear layer -> (channels, height, width) of the map that is flattened before it, or None if
        it follows no map, where the guess by shape is wrong.
    random_weights : whether the weights were never trained, so that ranks and scores mean nothing.
    sha256 : checksum of the file that the weights are from, or "".
    history : epochs of the training that made it.
    fitted : whether its layers were fitted to the running statistics of its batch norms (calibrated or distilled).

    Raises
    ------
    TypeError : if the model is no ``nn.Module``, or TorchScript.
    ValueError : if the input shape is no shape, or the model cannot be copied, has no weights yet, or is quantised.
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
        """The network that this one was compressed from; None if it is no compressed network."""
        return None

    @property
    def weights(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def device(self) -> torch.device:
        """Where the parameters are, and so where the network computes."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def with_model(self, model: nn.Module, **changes: Any) -> Self:
        """Return the same network with another model, which is not copied and must belong to no other network."""
        made = copy.copy(self)
        made.__dict__.update(model=model.eval(), **changes)
        return made

    @property
    def structured(self) -> bool:
        """Whether the model's inputs are a tuple or a dictionary."""
        return self.example is not None and not isinstance(self.example, Tensor)

    def run(self, inputs: Any) -> Any:
        """Return the outputs that matter for a batch of inputs."""
        outputs = call(self.model, inputs)
        return outputs if self.output is None else self.output(outputs)

    def inputs(self, images: Any) -> Any:
        """Return a batch of images, as the data hold them, as inputs of the model, where the model is.

        Floats become numbers of the type of the model's weights; without preprocessing, integers of 0 to 255 become
        floats of 0 to 1.

        Raises
        ------
        ValueError : if the images have another shape than the network's input.
        """
        if self.structured:
            return tree_map_only(Tensor, lambda x: x.to(self.device), images)
        images = images.to(self.device)
        ready = images if self.preprocessing is None else self.preprocessing(images)
        floats = self.example is None or self.example.is_floating_point()
        if self.preprocessing is None and floats and ready.dtype == torch.uint8:
            ready = ready / 255
        if ready.is_floating_point():
            ready = ready.to(self._dtype)
        shape = tuple(ready.shape[1:])
        if shape != self.input_shape:
            images_both = len(shape) == len(self.input_shape) == 3
            hint = f": load them with size={max(self.input_shape[1:])}" if images_both else ""
            raise ValueError(f"{self.name} takes inputs of shape {self.input_shape}, these images have {shape}{hint}")
        return ready

    def example_inputs(self) -> Any:
        """Return inputs for one run of the model: the example, or one input of zeros."""
        if self.example is not None:
            return self.example
        return torch.zeros(1, *self.input_shape, dtype=self._dtype, device=self.device)

    @property
    def _dtype(self) -> torch.dtype:
        """The type of the model's weights."""
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
    """Return the first line of the message of an exception, or of the one that caused it; else its type's name."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip().rstrip(".")


def copy_model(model: nn.Module) -> nn.Module:
    """Return a deep copy of a model, its modes and buffers included; raise ValueError if it cannot be copied.

    Weights that a hook computes (old-style ``weight_norm``, pruning) are part of an autograd graph after a forward
    pass, and PyTorch does not deep-copy those; the copy gets their values, which its own hooks compute anew.
    """
    held = tree_leaves([vars(module) for module in model.modules()])
    known = {id(v): v.detach().clone() for v in held if isinstance(v, Tensor) and v.grad_fn is not None}
    try:
        copied = copy.deepcopy(model, known)
    except Exception as error:
        raise ValueError(
            f"this {type(model).__name__} cannot be copied, and the workbench works on copies: {first_line(error)}"
        ) from error
    copied.zero_grad()
    return copied


def expect_network(value: object) -> None:
    """Raise TypeError with a hint unless the value is a Network."""
    if not isinstance(value, Network):
        hint = ": wrap it first, wb.Network(model, input_shape=(3, 224, 224))" if isinstance(value, nn.Module) else ""
        raise TypeError(f"this takes a Network, not a {type(value).__name__}{hint}")
