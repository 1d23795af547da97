"""A plan: what to do with each layer of a network, why, and what the result will cost."""

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
"""Beginnings of the reason of a decision that the user made."""
DECISIONS = {"tucker2": "Tucker-2", "tucker1": "Tucker-1", "keep": "keep"}
"""Decision -> its name in tables and on the page."""


class PlanError(ValueError):
    """A plan that does not fit: the sentence names the layer and the mismatch."""


@dataclass(frozen=True)
class LayerPlan:
    """One layer's part of a plan.

    Attributes
    ----------
    layer : geometry and cost of the dense layer.
    decision : "tucker2", "tucker1" or "keep".
    rank_in, rank_out : paper's R3 and R4; None where that mode is not reduced.
    reason : why this decision, in words.
    error : predicted relative error of the kernel, ||K - K'|| / ||K||; None if no spectra were at hand.
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
            what = "is a matrix" if not shape.kernel_size else "is reduced in its output channels only"
            raise PlanError(f"layer {name} {what}: it has no Tucker-2, only tucker1 with a rank_out")
        wanted = {"rank_in": self.decision == "tucker2", "rank_out": self.decision != "keep"}
        for which, needed in wanted.items():
            rank = getattr(self, which)
            channels = self.layer.max_ranks[which == "rank_out"]
            if needed != (rank is not None):
                raise PlanError(f"layer {name}: {self.decision} takes {'a' if needed else 'no'} {which}")
            if needed and (type(rank) is bool or not isinstance(rank, Integral)):
                raise PlanError(f"layer {name}: {which}={rank!r} is not a whole number")
            if needed and not 1 <= rank <= channels:
                raise PlanError(f"layer {name}: {which}={rank} does not fit, it can be 1 to {channels}")
            if needed:
                object.__setattr__(self, which, int(rank))  # of numpy

    @classmethod
    def kept(cls, layer: Layer, reason: str) -> "LayerPlan":
        """Return the part of a layer that is left as it is."""
        return cls(layer, "keep", reason=reason, error=0.0)

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @cached_property
    def cost(self) -> Cost:
        """Predicted weights and MACs, exact."""
        if self.rank_out is None:
            return self.layer.cost
        return factorised_cost(self.layer.shape, rank_in=self.rank_in, rank_out=self.rank_out)

    @property
    def by_hand(self) -> bool:
        """Whether the user chose this, rather than a policy."""
        return self.reason.startswith(BY_HAND)

    @property
    def macs_ratio(self) -> float:
        """Dense MACs / planned MACs."""
        return ratio(self.layer.cost.macs, self.cost.macs)


@dataclass(frozen=True, repr=False)
class Plan(Table):
    """A decision for every layer of a network. Plans do not change: each edit gives a new one.

    Attributes
    ----------
    layers : one LayerPlan for each convolution and linear layer, in the order of their call.
    other : cost of all other parts.
    policy : how it was made, in words.
    spectra : where predicted errors come from; None after `from_json`.
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
        """Predicted number of parameters, exactly what the decomposed model will have."""
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
        """Return whether both plans do the same to every layer."""
        mine, theirs = ([(p.name, p.decision, p.rank_in, p.rank_out) for p in plan] for plan in (self, other))
        return mine == theirs

    @property
    def by_hand(self) -> tuple[LayerPlan, ...]:
        """Parts that the user chose."""
        return tuple(part for part in self.layers if part.by_hand)

    @property
    def error(self) -> float | None:
        """Root mean square of the layers' predicted relative errors; None if one of them is not known."""
        errors = [part.error for part in self.layers if part.error is not None]
        return math.hypot(*errors) / math.sqrt(len(errors)) if errors and len(errors) == len(self) else None

    def forecast(self, network: Network, images: Images, *, importance: Importance | None = None) -> Forecast:
        """Predict how many answers stay the same when the network is decomposed by this plan and calibrated.

        Parameters
        ----------
        network : the plan's network.
        images : as the data hold them; labels are not looked at. 48 or more.
        importance : of the same network and images, if it is known; else it is measured, in several passes of the
            network over the images.

        Raises
        ------
        PlanError : if network or importance are not those of the plan.
        """
        spectra = self.spectra if self.spectra is not None else analyze(network)
        measured = importance or measure_importance(network, spectra, images)
        for what, name in (("network", network.name), ("importance", measured.network)):
            if name != self.network:
                raise PlanError(f"this plan is for {self.network}, this {what} is {name}")
        return measured.forecast(self.ranks)

    @property
    def ranks(self) -> dict[str, tuple[int | None, int]]:
        """(rank_in, rank_out) of every reduced layer; rank_in is None for Tucker-1."""
        return {part.name: (part.rank_in, part.rank_out) for part in self.layers if part.rank_out is not None}

    def __getitem__(self, name: str) -> LayerPlan:
        known = {part.name: part for part in self.layers}
        if name not in known:
            raise KeyError(f"{name!r} is no layer of {self.network}; it has {', '.join(map(repr, known))}")
        return known[name]

    def __iter__(self) -> Iterator[LayerPlan]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def with_layer(self, part: LayerPlan) -> "Plan":
        """Return the plan with one layer's part exchanged."""
        old = self[part.name]
        return replace(self, layers=tuple(part if p is old else p for p in self.layers))

    def with_ranks(self, name: str, *, rank_in: int | None = None, rank_out: int | None = None) -> "Plan":
        """Return the plan with a layer's ranks chosen by hand.

        Both ranks make it Tucker-2, only `rank_out` Tucker-1 (where the layer was planned as Tucker-2, or could be,
        a rank that is left out stays as it was).

        Raises
        ------
        KeyError : if there is no such layer.
        PlanError : naming the layer and the rank that does not fit.
        """
        old = self[name]
        if rank_in is None and rank_out is None:
            raise PlanError(f"layer {name}: give rank_in, rank_out or both")
        two_sided = rank_in is not None or old.decision == "tucker2"
        rank_in, rank_out = (b if a is None else a for a, b in ((rank_in, old.rank_in), (rank_out, old.rank_out)))
        part = LayerPlan(old.layer, "tucker2" if two_sided else "tucker1", rank_in, rank_out)
        new, dense = part.cost, old.layer.cost
        costs = (("MACs", new.macs, dense.macs), ("weights", new.weights, dense.weights))
        worse = " and ".join(f"{now / then:.2f} times the {what}" for what, now, then in costs if now > then)
        reason = "chosen by hand" + (f", although it costs {worse}" if worse else "")
        return self.with_layer(replace(part, reason=reason, error=self._predict(part)))

    def keep(self, *names: str, reason: str = "kept by hand") -> "Plan":
        """Return the plan with these layers left as they are."""
        plan = self
        for name in names:
            plan = plan.with_layer(LayerPlan.kept(plan[name].layer, reason))
        return plan

    def describe(self) -> str:
        """Return the policy, and how many layers were edited by hand."""
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

        Raises PlanError, saying what is wrong, and in which layer.
        """
        try:
            values: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise PlanError(f"this is not a plan: no JSON (line {error.lineno}: {error.msg})") from None
        if not isinstance(values, dict) or "schema" not in values:
            raise PlanError("this is not a plan: it has no schema version")
        if values["schema"] != SCHEMA:
            raise PlanError(f"this plan has schema version {values['schema']}; this workbench reads version {SCHEMA}")
        where = "its head"
        try:
            network = str(values["network"])
            input_shape = tuple(whole_number(d, minimum=1) for d in values["input_shape"])
            counts, policy = values["other"], str(values["policy"])
            # layers that share weights each count them
            other = Cost(whole_number(counts["weights"], minimum=-MAX_SIZE), whole_number(counts["macs"]))
            parts = []
            for i, entry in enumerate(values["layers"]):
                where = f"layer number {i + 1}"
                layer = Layer.from_dict(entry["layer"])
                where = f"layer {layer.name}"
                loss = entry.get("error")
                parts.append(LayerPlan(**{**entry, "layer": layer, "error": None if loss is None else float(loss)}))
            return cls(network, input_shape, tuple(parts), other, policy, spectra)
        except PlanError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanError(f"this plan is damaged in {where}: {type(error).__name__} {error}") from None

    headers = ("layer", "shape", "decision", "rank in", "rank out", "weights", "MACs", "MACs ratio", "error", "reason")
    left = (0, 1, 2, 9)

    @property
    def caption(self) -> str:
        """Network and policy."""
        return f"Plan for {self.network}: {self.describe()}"

    @property
    def rows(self) -> list[list[str]]:
        """One line a layer, and the total."""
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
