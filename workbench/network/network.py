"""A network: a model, what goes in, what comes out and where it came from."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench.tables import count, html_table, text_table

if TYPE_CHECKING:
    from workbench.plan.plan import Plan


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """Any image classifier, with what is needed to run it.

    Parameters
    ----------
    model : an ``nn.Module`` that takes a batch (n, *input_shape) and returns (n, classes).
    input_shape : shape of one input, e.g. (3, 224, 224).
    name : how it is called in tables and files.
    preprocessing : from a batch of images as the data hold them to a batch of inputs; None if they are the same.
    classes : class names, in the order of the outputs.
    source : where the weights came from, in words.
    example : positional inputs to run it with, for models that take several or other than float images; None for
        one batch of zeros of `input_shape`.
    maps : names of linear layers -> (channels, height, width) of the map that was flattened before them, or None for
        a plain matrix, where the guess by shape is not what you want.
    plan : the plan that made it, if it is a decomposed network.
    sha256 : checksum of the file that the weights are from; empty if they were given in code or made here.
    random_weights : whether nobody has trained it, so that its ranks and accuracies mean nothing.
    """

    model: nn.Module
    input_shape: tuple[int, ...]
    name: str = "network"
    preprocessing: Callable[[Tensor], Tensor] | None = None
    classes: tuple[str, ...] = ()
    source: str = "given in code"
    example: tuple[Any, ...] | None = None
    maps: Mapping[str, tuple[int, int, int] | None] = field(default_factory=dict)
    plan: "Plan | None" = None
    random_weights: bool = False
    sha256: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise TypeError(f"a Network wraps a torch.nn.Module, not a {type(self.model).__name__}")
        shape = tuple(self.input_shape) if isinstance(self.input_shape, Iterable) else ()
        if not shape or not all(isinstance(d, int) and d > 0 for d in shape):
            raise ValueError(f"input_shape is the shape of one input, like (3, 224, 224), not {self.input_shape!r}")
        object.__setattr__(self, "input_shape", shape)

    @property
    def weights(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def device(self) -> torch.device:
        """Where its weights are; it computes there."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def inputs(self, images: Tensor) -> Tensor:
        """A batch of images as the data hold them -> what the model takes, where the model is.

        Raises
        ------
        ValueError : if the images have another shape than the network's input.
        """
        images = images.to(self.device)
        ready = images if self.preprocessing is None else self.preprocessing(images)
        if tuple(ready.shape[1:]) != self.input_shape:
            raise ValueError(
                f"{self.name} takes inputs of shape {self.input_shape}, these images have {tuple(ready.shape[1:])}"
            )
        return ready

    def _rows(self) -> list[tuple[str, str]]:
        rows: list[tuple[str, Any]] = [
            ("name", self.name),
            ("model", type(self.model).__name__),
            ("input", " x ".join(map(str, self.input_shape))),
            ("weights", count(self.weights)),
            ("classes", len(self.classes) or "not named"),
            ("source", self.source),
            *([("sha256", self.sha256)] if self.sha256 else []),
        ]
        if self.plan is not None:
            rows.append(("decomposed", f"MACs x{self.plan.macs_ratio:.2f} fewer, {self.plan.policy}"))
        return [(key, str(value)) for key, value in rows]

    def __repr__(self) -> str:
        return f"Network({self.name}: {type(self.model).__name__}, input {self.input_shape}, {count(self.weights)})"

    def __str__(self) -> str:
        return text_table(["Network", ""], self._rows(), left=(0, 1))

    def _repr_html_(self) -> str:
        return html_table(["Network", ""], self._rows(), left=(0, 1))


def expect_network(value: object) -> None:
    """Raise TypeError with a hint unless it is a Network."""
    if not isinstance(value, Network):
        hint = ": wrap it first, wb.Network(model, input_shape=(3, 224, 224))" if isinstance(value, nn.Module) else ""
        raise TypeError(f"this takes a Network, not a {type(value).__name__}{hint}")
