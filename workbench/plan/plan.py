"""A plan: a decision for each layer of a network, its reason, and the predicted cost."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from numbers import Integral
from typing import Any

from workbench.kernels.complexity import Cost, factorised_cost, total
from workbench.network.inputs import Images
from workbench.network.layers import MAX_SIZE, Layer, whole_number
from workbench.network.network import Network
from workbench.plan.importance import Forecast, Importance
from workbench.plan.importance import importance as measure_importance
from workbench.plan.spectra import Spectra, analyze
from workbench.tables import Table, count

SCHEMA = 1
"""Version of the JSON form."""
MIN_SAVING = 1.001
"""Ratio of weights or MACs up to which a plan saves nothing."""
BY_HAND = ("chosen by hand", "kept by hand")
"""How the reason of a user's decision begins."""
DECISIONS = {"tucker2": "Tucker-2", "tucker1": "Tucker-1", "keep": "keep"}
"""Decision -> its name in tables and on the page."""


class PlanError(ValueError):
    """A plan that is invalid or does not fit; the message names the layer and the mismatch."""


@dataclass(frozen=True)
class LayerPlan:
    """The decision of a plan for one layer.

    Attributes
    ----------
    layer : geometry and cost of the dense layer.
    decision : "tucker2", "tucker1" or "keep".
    rank_in, rank_out : paper's R3 and R4; None where that mode is not reduced.
    reason : the reason of the decision, in words.
    error : predicted relative error of the kernel, ||K - K'|| / ||K||; None without spectra.
    """

    layer: Layer
    decision: str
    rank_in: int | None = None
    rank_out: int | None = None
    reason: str = ""
    error: float | None = None

    def __post_init__(self) -> None:
        name, shape = self.layer.name, self.layer.shape
        if self.decision not in DECISIONS:
            raise PlanError(f"layer {name}: the decision {self.decision!r} is none of {', '.join(DECISIONS)}")
        if self.decision != "keep" and self.layer.method == "keep":
            raise PlanError(f"layer {name} cannot be factorised: {self.layer.reason}")
        if self.decision == "tucker2" and self.layer.method == "tucker1":
            limitation = "is a matrix" if not shape.kernel_size else "is reduced in its output channels only"
            raise PlanError(f"layer {name} {limitation}: it has no Tucker-2, only tucker1 with a rank_out")
        needs_rank = {"rank_in": self.decision == "tucker2", "rank_out": self.decision != "keep"}
        for attribute, needed in needs_rank.items():
            rank = getattr(self, attribute)
            channels = self.layer.max_ranks[attribute == "rank_out"]
            if needed != (rank is not None):
                raise PlanError(f"layer {name}: {self.decision} takes {'a' if needed else 'no'} {attribute}")
            if needed and (type(rank) is bool or not isinstance(rank, Integral)):
                raise PlanError(f"layer {name}: {attribute}={rank!r} is not a whole number")
            if needed and not 1 <= rank <= channels:
                raise PlanError(f"layer {name}: {attribute}={rank} does not fit, it can be 1 to {channels}")
            if needed:
                object.__setattr__(self, attribute, int(rank))  # numpy integers, too

    @classmethod
    def kept(cls, layer: Layer, reason: str) -> "LayerPlan":
        """Return the decision to keep a layer."""
        return cls(layer, "keep", reason=reason, error=0.0)

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @cached_property
    def cost(self) -> Cost:
        """Exact weights and MACs of the planned layer."""
        if self.rank_out is None:
            return self.layer.cost
        return factorised_cost(self.layer.shape, rank_in=self.rank_in, rank_out=self.rank_out)

    @property
    def by_hand(self) -> bool:
        """Whether the user, not a policy, made the decision."""
        return self.reason.startswith(BY_HAND)

    @property
    def macs_ratio(self) -> float:
        """Dense MACs / planned MACs."""
        return ratio(self.layer.cost.macs, self.cost.macs)


@dataclass(frozen=True, repr=False)
class Plan(Table):
    """A decision for every layer of a network. Plans are immutable: each edit returns a new one.

    Attributes
    ----------
    layers : one LayerPlan for each convolution and linear layer, in the order of their calls.
    other : cost of everything else in the network.
    policy : how the plan was made, in words.
    spectra : source of predicted errors; None after `from_json`.
    """

    network: str
    input_shape: tuple[int, ...]
    layers: tuple[LayerPlan, ...]
    other: Cost
    policy: str
    spectra: Spectra | None = field(default=None, repr=False, compare=False)

    @cached_property
    def cost(self) -> Cost:
        """Predicted cost of the whole decomposed network."""
        return total(part.cost for part in self.layers) + self.other

    @cached_property
    def dense(self) -> Cost:
        """Cost of the original network."""
        return total(part.layer.cost for part in self.layers) + self.other

    @property
    def weights(self) -> int:
        """Exact number of parameters of the decomposed model."""
        return self.cost.weights

    @property
    def macs(self) -> int:
        """Predicted multiply-adds of one input."""
        return self.cost.macs

    @property
    def weights_ratio(self) -> float:
        """Original / planned weights, the paper's M."""
        return ratio(self.dense.weights, self.weights)

    @property
    def macs_ratio(self) -> float:
        """Original / planned MACs, the paper's E."""
        return ratio(self.dense.macs, self.macs)

    @property
    def saves_nothing(self) -> bool:
        """Whether the planned network has as many weights and MACs as the original."""
        return self.macs_ratio <= MIN_SAVING and self.weights_ratio <= MIN_SAVING

    def same_decisions(self, other: "Plan") -> bool:
        """Return whether both plans have the same decision and ranks for every layer."""
        own, others = ([(p.name, p.decision, p.rank_in, p.rank_out) for p in plan] for plan in (self, other))
        return own == others

    @property
    def by_hand(self) -> tuple[LayerPlan, ...]:
        """Decisions that the user made."""
        return tuple(part for part in self.layers if part.by_hand)

    @property
    def error(self) -> float | None:
        """Root mean square of the layers' predicted relative errors; None if one of them is None."""
        errors = [part.error for part in self.layers if part.error is not None]
        return math.hypot(*errors) / math.sqrt(len(errors)) if errors and len(errors) == len(self) else None

    def forecast(self, network: Network, images: Images, *, importance: Importance | None = None) -> Forecast:
        """Predict how many answers stay the same after decomposition by this plan and calibration.

        Parameters
        ----------
        network : the plan's network.
        images : 48 or more, as the data hold them (before preprocessing); labels are ignored.
        importance : of the same network and images; None to measure it, in several passes of the network over the
            images.

        Raises
        ------
        PlanError : if network or importance do not belong to the plan.
        """
        spectra = self.spectra if self.spectra is not None else analyze(network)
        measured = importance or measure_importance(network, spectra, images)
        for subject, name in (("network", network.name), ("importance", measured.network)):
            if name != self.network:
                raise PlanError(f"this plan is for {self.network}, this {subject} is {name}")
        return measured.forecast(self.ranks)

    @property
    def ranks(self) -> dict[str, tuple[int | None, int]]:
        """(rank_in, rank_out) of every reduced layer; rank_in is None for Tucker-1."""
        return {part.name: (part.rank_in, part.rank_out) for part in self.layers if part.rank_out is not None}

    def __getitem__(self, name: str) -> LayerPlan:
        parts = {part.name: part for part in self.layers}
        if name not in parts:
            raise KeyError(f"{name!r} is no layer of {self.network}; it has {', '.join(map(repr, parts))}")
        return parts[name]

    def __iter__(self) -> Iterator[LayerPlan]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def with_layer(self, part: LayerPlan) -> "Plan":
        """Return the plan with another decision for one layer."""
        previous = self[part.name]
        return replace(self, layers=tuple(part if p is previous else p for p in self.layers))

    def with_ranks(self, name: str, *, rank_in: int | None = None, rank_out: int | None = None) -> "Plan":
        """Return the plan with a layer's ranks chosen by hand.

        An omitted rank stays as it was. A layer with both ranks becomes Tucker-2, with `rank_out` only Tucker-1.

        Raises
        ------
        KeyError : if there is no such layer.
        PlanError : if a rank does not fit; the message names it and the layer.
        """
        previous = self[name]
        if rank_in is None and rank_out is None:
            raise PlanError(f"layer {name}: give rank_in, rank_out or both")
        is_tucker2 = rank_in is not None or previous.decision == "tucker2"
        rank_in = previous.rank_in if rank_in is None else rank_in
        rank_out = previous.rank_out if rank_out is None else rank_out
        part = LayerPlan(previous.layer, "tucker2" if is_tucker2 else "tucker1", rank_in, rank_out)
        cost, dense = part.cost, previous.layer.cost
        costs = (("MACs", cost.macs, dense.macs), ("weights", cost.weights, dense.weights))
        increases = " and ".join(f"{new / old:.2f} times the {unit}" for unit, new, old in costs if new > old)
        reason = "chosen by hand" + (f", although it costs {increases}" if increases else "")
        return self.with_layer(replace(part, reason=reason, error=self._predict(part)))

    def keep(self, *names: str, reason: str = "kept by hand") -> "Plan":
        """Return the plan with these layers kept as they are."""
        plan = self
        for name in names:
            plan = plan.with_layer(LayerPlan.kept(plan[name].layer, reason))
        return plan

    def describe(self) -> str:
        """Return the policy and the number of layers edited by hand, in words."""
        edited = len(self.by_hand)
        return self.policy + (f", {edited} layer{'s' if edited > 1 else ''} by hand" if edited else "")

    def _predict(self, part: LayerPlan) -> float | None:
        if self.spectra is None or part.name not in self.spectra or part.rank_out is None:
            return None
        return self.spectra[part.name].error(rank_out=part.rank_out, rank_in=part.rank_in)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the plan as JSON: schema version, network, every layer's geometry, decision, ranks and reason."""
        head = {"schema": SCHEMA, "network": self.network, "input_shape": list(self.input_shape)}
        layers = [asdict(part) for part in self.layers]
        return json.dumps({**head, "policy": self.policy, "other": asdict(self.other), "layers": layers}, indent=indent)

    @classmethod
    def from_json(cls, text: str, spectra: Spectra | None = None) -> "Plan":
        """Read a plan; with the network's spectra it can predict errors again.

        Raises PlanError, which says what is wrong and in which layer.
        """
        try:
            values: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise PlanError(f"this is not a plan: no JSON (line {error.lineno}: {error.msg})") from None
        if not isinstance(values, dict) or "schema" not in values:
            raise PlanError("this is not a plan: it has no schema version")
        if values["schema"] != SCHEMA:
            raise PlanError(f"this plan has schema version {values['schema']}; this workbench reads version {SCHEMA}")
        location = "its head"
        try:
            network = str(values["network"])
            input_shape = tuple(whole_number(d, minimum=1) for d in values["input_shape"])
            other_counts, policy = values["other"], str(values["policy"])
            # negative if layers share weights, because each counts them
            other = Cost(whole_number(other_counts["weights"], minimum=-MAX_SIZE), whole_number(other_counts["macs"]))
            parts = []
            for number, entry in enumerate(values["layers"], start=1):
                location = f"layer number {number}"
                layer = Layer.from_dict(entry["layer"])
                location = f"layer {layer.name}"
                kernel_error = None if entry.get("error") is None else float(entry["error"])
                parts.append(LayerPlan(**{**entry, "layer": layer, "error": kernel_error}))
            return cls(network, input_shape, tuple(parts), other, policy, spectra)
        except PlanError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanError(f"this plan is damaged in {location}: {type(error).__name__} {error}") from None

    headers = ("layer", "shape", "decision", "rank in", "rank out", "weights", "MACs", "MACs ratio", "error", "reason")
    left = (0, 1, 2, 9)

    @property
    def caption(self) -> str:
        """Title of the table: network and policy."""
        return f"Plan for {self.network}: {self.describe()}"

    @property
    def rows(self) -> list[list[str]]:
        """One line per layer, and the total."""
        rows = []
        for p in self.layers:
            ranks = ["-" if r is None else str(r) for r in (p.rank_in, p.rank_out)]
            costs = [count(p.cost.weights), count(p.cost.macs), f"x{p.macs_ratio:.2f}"]
            error = "-" if p.error is None else f"{p.error:.1%}"
            rows.append([p.name, p.layer.describe(), p.decision, *ranks, *costs, error, p.reason])
        costs = [count(self.weights), count(self.macs), f"x{self.macs_ratio:.2f}"]
        rows.append(["total", "", "", "", "", *costs, "", f"weights x{self.weights_ratio:.2f}"])
        return rows


def ratio(original: float, compressed: float) -> float:
    """Return original / compressed; 1 if both are zero."""
    return original / compressed if compressed else (1.0 if original == compressed else float("inf"))
