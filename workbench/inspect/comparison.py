"""Compare a compressed network with its original: answers, probabilities, and the outputs of every layer."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.network.activations import layer_outputs
from workbench.network.data import Split
from workbench.network.inputs import Images, inputs_of
from workbench.network.network import Network, copy_model, expect_network
from workbench.network.outputs import (
    are_classes,
    divergence,
    in_rows,
    powers_of,
    same_answers,
    size_of,
    snr_db,
    tensors_of,
)
from workbench.network.verdict import MAX_DROP_POINTS, Verdict, judge_agreement, wilson
from workbench.progress import Progress, reporter
from workbench.tables import Table


@dataclass(frozen=True)
class Fidelity:
    """How well a layer or an output of the compressed network gives what the original's gives: SNR in dB."""

    name: str
    snr_db: float


@dataclass(frozen=True, repr=False)
class Comparison(Table):
    """A compressed network beside its original, on the same images, without labels.

    Attributes
    ----------
    agreement : share of the images (of dense classes, of the places) with the same first answer; NaN where the outputs
        are no classes.
    agreement_top5 : share of the images whose original first answer is among the compressed network's first five.
    n : number of images.
    divergence : mean Kullback-Leibler divergence of the class probabilities, in nats; NaN if an output is no number.
    snr_db : signal-to-noise ratio of the outputs in dB: power of the original's outputs over that of the difference.
    layers : the same of every layer of the plan, worst first.
    outputs : the same of every output, worst first.
    mean_iou : of dense classes, the intersection of the places that both networks give a class over their union, mean
        of the classes that either one gives; NaN for other outputs.
    """

    agreement: float
    agreement_top5: float
    n: int
    divergence: float
    snr_db: float
    layers: tuple[Fidelity, ...] = ()
    outputs: tuple[Fidelity, ...] = ()
    mean_iou: float = math.nan

    headers = ("compared with the original", "value")

    @property
    def are_classes(self) -> bool:
        """Whether the outputs are classes, so that there are answers to agree on."""
        return not math.isnan(self.agreement)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of `agreement`, as shares; (0, 1) where the outputs are no classes."""
        return wilson(self.agreement, self.n) if self.are_classes else (0.0, 1.0)

    @property
    def top5_interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of `agreement_top5`, likewise."""
        return wilson(self.agreement_top5, self.n) if self.are_classes else (0.0, 1.0)

    def verdict(self, *, max_drop: float = MAX_DROP_POINTS) -> Verdict | None:
        """Judge the share of answers that changed; None where the outputs are no classes."""
        return judge_agreement(self.agreement, self.n, max_drop=max_drop) if self.are_classes else None

    @property
    def rows(self) -> list[list[str]]:
        """One line a measure."""
        found = []
        if (verdict := self.verdict()) is not None:
            (low, high), (low5, high5) = self.interval, self.top5_interval
            found = [
                ["same first answer", f"{self.agreement:.2%} ({low:.1%} to {high:.1%}) of {self.n} images"],
                ["original's answer among the first five", f"{self.agreement_top5:.2%} ({low5:.1%} to {high5:.1%})"],
                ["verdict", str(verdict)],
                ["divergence of the probabilities", f"{self.divergence:.4g} nats"],
            ]
        if not math.isnan(self.mean_iou):
            found.append(["mean intersection over union", f"{self.mean_iou:.2%}"])
        outputs = [Fidelity(f"output {part.name}", part.snr_db) for part in self.outputs]
        parts = [*(outputs if len(outputs) > 1 else ()), *self.layers][:MAX_ROWS]
        return [
            *found,
            ["signal-to-noise ratio of the outputs", f"{self.snr_db:.1f} dB"],
            *([part.name, f"{part.snr_db:.1f} dB"] for part in parts),
        ]


MAX_ROWS = 10
"""Outputs and layers in the table of a comparison, the worst ones."""


def compare(network: Network, images: Split | Images, *, progress: Progress | bool | None = None) -> Comparison:
    """Compare a compressed network with its original on images; labels are not looked at.

    Parameters
    ----------
    network : compressed, so that it has an `original`.
    progress : called before each batch; raising `Cancelled` ends the comparison.

    Raises
    ------
    ValueError : if there are no images, or the network was not compressed.
    """
    return comparison_of(passes(network, images, progress=progress))


@dataclass(frozen=True, eq=False)
class Pass:
    """Outputs of both networks for one batch, and those of each layer of the plan: pairs, one for each of its calls."""

    size: int
    wanted: Any
    made: Any
    layers: dict[str, list[tuple[Tensor, Tensor]]]


def passes(network: Network, images: Split | Images, *, progress: Progress | bool | None = None) -> Iterator[Pass]:
    """Run a compressed network and its original on each batch, as :func:`compare` does."""
    expect_network(network)
    original = network.original
    if original is None:
        raise ValueError(f"{network.name} was not compressed: there is no original to compare it with")
    report = reporter(progress)
    batches = inputs_of(network, images)
    first, second = (each.with_model(copy_model(each.model)) for each in (original, network))  # they get hooks
    names = [part.name for part in getattr(network, "plan", ())]
    with layer_outputs((first.model, second.model), names) as kept:
        for i, batch in enumerate(batches):
            report(i / len(batches), "comparing answers")
            with torch.inference_mode():
                wanted, made = first.run(batch), second.run(batch)
            yield Pass(size_of(batch), wanted, made, {n: [*zip(*sides, strict=True)] for n, sides in kept.items()})
            for sides in kept.values():
                for side in sides:
                    side.clear()
    report(1.0, "")


@torch.inference_mode()
def comparison_of(found: Iterable[Pass]) -> Comparison:
    """Return the comparison that passes add up to; ValueError if the outputs hold no tensors of numbers."""
    n, nats, same = 0, 0.0, []
    overlap = torch.zeros(2, 1, dtype=torch.float64)
    outputs: defaultdict[str, Tensor] = defaultdict(lambda: torch.zeros(2, dtype=torch.float64))
    inner = outputs.copy()
    for each in found:
        n += each.size
        nats += float(divergence(each.wanted, each.made))
        if are_classes(each.wanted):
            same.append(same_answers(each.wanted, each.made))
            overlap = overlap + _overlap(each.wanted, each.made) if each.wanted.ndim > 2 else overlap
        for j, pair in enumerate(zip(tensors_of(each.wanted), tensors_of(each.made), strict=True)):
            outputs[str(j)] += powers_of(*pair)
        for name, pairs in each.layers.items():
            for pair in pairs:
                inner[name] += powers_of(*pair)
    if not outputs:
        raise ValueError("the network gives no tensors of numbers that can be compared")
    top1, top5 = torch.cat(same).double().mean(0).tolist() if same else (math.nan, math.nan)
    relative = [powers / powers[0].clamp(min=1e-300) for powers in outputs.values()]
    divergence_nats, snr = 0.0 if nats < 0 else nats / n, snr_db(torch.stack(relative).sum(0))
    both, either = overlap
    mean_iou = float((both / either)[either > 0].mean())  # of no class, NaN
    return Comparison(top1, top5, n, divergence_nats, snr, _worst_first(inner), _worst_first(outputs), mean_iou)


def _worst_first(powers: dict[str, Tensor]) -> tuple[Fidelity, ...]:
    return tuple(sorted((Fidelity(name, snr_db(p)) for name, p in powers.items()), key=lambda part: part.snr_db))


def _overlap(wanted: Tensor, made: Tensor) -> Tensor:
    """Return at how many places both networks give each class, and at how many either does, (2, classes)."""
    first, second = (in_rows(outputs).argmax(1).cpu() for outputs in (wanted, made))
    both, one, other = (part.bincount(minlength=wanted.shape[1]) for part in (first[first == second], first, second))
    return torch.stack([both, one + other - both]).double()
