"""A compressed network: a network that knows its original and its plan."""

from typing import Any

from torch import nn

from workbench.network.network import Network, expect_network
from workbench.plan.plan import Plan


class CompressedNetwork(Network):
    """A network with factorised layers, as :func:`~workbench.recover.decompose.decompose` returns it.

    Its `history` has the epochs of the last training.
    """

    plan: Plan
    """Decision and ranks of each layer."""
    _original: Network

    @classmethod
    def of(cls, original: Network, plan: Plan, model: nn.Module, **changes: Any) -> "CompressedNetwork":
        """Return a compressed network with this model; the model is not copied and must belong to no other network."""
        compressed = object.__new__(cls)
        compressed.__dict__.update(original.__dict__, sha256="", history=(), fitted=False)
        compressed.__dict__.update(model=model.eval(), _original=original, plan=plan, **changes)
        return compressed

    @property
    def original(self) -> Network:
        """The network before compression."""
        return self._original

    @property
    def rows(self) -> list[list[str]]:
        """Name and value of each property."""
        return [*super().rows, ["compressed", f"MACs x{self.plan.macs_ratio:.2f} fewer, {self.plan.describe()}"]]


def expect_compressed(value: object) -> None:
    """Raise TypeError unless the value is a CompressedNetwork."""
    expect_network(value)
    if not isinstance(value, CompressedNetwork):
        name = getattr(value, "name", "this")
        raise TypeError(f"this takes a compressed network, as wb.decompose returns it; {name} is an original")
