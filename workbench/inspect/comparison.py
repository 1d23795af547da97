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
    """Signal-to-noise ratio of a layer or an output of the compressed network against the original's, in dB."""

    name: str
    snr_db: float


@dataclass(frozen=True, repr=False)
class Comparison(Table):
    """A compressed network beside its original, on the same images, without labels.

    Attributes
    ----------
    agreement : share of the images (of dense classes, of the positions) with the same first answer; NaN where the
        outputs are no classes.
    agreement_top5 : share of the images whose original first answer is among the compressed network's first five.
    n : number of images.
    divergence : mean Kullback-Leibler divergence of the class probabilities, in nats; NaN if an output is no number.
    snr_db : signal-to-noise ratio of the outputs in dB: power of the original's outputs over that of the difference.
    layers : signal-to-noise ratio of every layer of the plan, worst first.
    outputs : signal-to-noise ratio of every output, worst first.
    mean_iou : mean intersection over union of dense classes, over the classes that either network gives; NaN for other
        outputs.
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
        """Whether the outputs are classes, which both networks can agree on."""
        return not math.isnan(self.agreement)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of `agreement`, as shares; (0, 1) where the outputs are no classes."""
        return wilson(self.agreement, self.n) if self.are_classes else (0.0, 1.0)

    @property
    def top5_interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of `agreement_top5`, as shares; (0, 1) likewise."""
        return wilson(self.agreement_top5, self.n) if self.are_classes else (0.0, 1.0)

    def verdict(self, *, max_drop: float = MAX_DROP_POINTS) -> Verdict | None:
        """Judge the share of answers that changed; None where the outputs are no classes."""
        return judge_agreement(self.agreement, self.n, max_drop=max_drop) if self.are_classes else None

    @property
    def rows(self) -> list[list[str]]:
        """One row for each measure."""
        rows = []
        if (verdict := self.verdict()) is not None:
            (low, high), (low5, high5) = self.interval, self.top5_interval
            rows = [
                ["same first answer", f"{self.agreement:.2%} ({low:.1%} to {high:.1%}) of {self.n} images"],
                ["original's answer among the first five", f"{self.agreement_top5:.2%} ({low5:.1%} to {high5:.1%})"],
                ["verdict", str(verdict)],
                ["divergence of the probabilities", f"{self.divergence:.4g} nats"],
            ]
        if not math.isnan(self.mean_iou):
            rows.append(["mean intersection over union", f"{self.mean_iou:.2%}"])
        outputs = [Fidelity(f"output {part.name}", part.snr_db) for part in self.outputs]
        parts = [*(outputs if len(outputs) > 1 else ()), *self.layers][:MAX_ROWS]
        rows.append(["signal-to-noise ratio of the outputs", f"{self.snr_db:.1f} dB"])
        return rows + [[part.name, f"{part.snr_db:.1f} dB"] for part in parts]


MAX_ROWS = 10
"""Number of outputs and layers in the table of a comparison, worst first."""


def compare(network: Network, images: Split | Images, *, progress: Progress | bool | None = None) -> Comparison:
    """Compare a compressed network with its original on images; labels are ignored.

    Parameters
    ----------
    network : a compressed network, which has an `original`.
    progress : called before each batch; raising `Cancelled` ends the comparison.

    Raises
    ------
    ValueError : if there are no images, or the network was not compressed.
    """
    return comparison_of(paired_outputs(network, images, progress=progress))


@dataclass(frozen=True, eq=False)
class OutputPair:
    """Outputs of both networks for one batch, and for each layer of the plan the pairs of outputs of its calls."""

    size: int
    original: Any
    compressed: Any
    layers: dict[str, list[tuple[Tensor, Tensor]]]


def paired_outputs(
    network: Network, images: Split | Images, *, progress: Progress | bool | None = None
) -> Iterator[OutputPair]:
    """Run a compressed network and its original on each batch, as :func:`compare` does."""
    expect_network(network)
    original = network.original
    if original is None:
        raise ValueError(f"{network.name} was not compressed: there is no original to compare it with")
    report = reporter(progress)
    batches = inputs_of(network, images)
    copies = [net.with_model(copy_model(net.model)) for net in (original, network)]  # they get hooks
    names = [part.name for part in getattr(network, "plan", ())]
    with layer_outputs([net.model for net in copies], names) as outputs_by_layer:
        for i, batch in enumerate(batches):
            report(i / len(batches), "comparing answers")
            with torch.inference_mode():
                before, after = (net.run(batch) for net in copies)
            layers = {name: list(zip(*calls, strict=True)) for name, calls in outputs_by_layer.items()}
            yield OutputPair(size_of(batch), before, after, layers)
            for calls in outputs_by_layer.values():
                for tensors in calls:
                    tensors.clear()
    report(1.0, "")


@torch.inference_mode()
def comparison_of(pairs: Iterable[OutputPair]) -> Comparison:
    """Return the comparison over all batches; ValueError if the outputs hold no tensors of numbers."""
    n, nats, answers = 0, 0.0, []
    overlap = torch.zeros(2, 1, dtype=torch.float64)
    outputs: defaultdict[str, Tensor] = defaultdict(lambda: torch.zeros(2, dtype=torch.float64))
    layers = outputs.copy()
    for pair in pairs:
        original, compressed = pair.original, pair.compressed
        n += pair.size
        nats += float(divergence(original, compressed))
        if are_classes(original):
            answers.append(same_answers(original, compressed))
            overlap = overlap + _overlap(original, compressed) if original.ndim > 2 else overlap
        for j, tensors in enumerate(zip(tensors_of(original), tensors_of(compressed), strict=True)):
            outputs[str(j)] += powers_of(*tensors)
        for name, calls in pair.layers.items():
            for tensors in calls:
                layers[name] += powers_of(*tensors)
    if not outputs:
        raise ValueError("the network gives no tensors of numbers that can be compared")
    top1, top5 = torch.cat(answers).double().mean(0).tolist() if answers else (math.nan, math.nan)
    relative = [powers / powers[0].clamp(min=1e-300) for powers in outputs.values()]
    divergence_nats, snr = 0.0 if nats < 0 else nats / n, snr_db(torch.stack(relative).sum(0))
    both, either = overlap
    mean_iou = float((both / either)[either > 0].mean())  # NaN if there are no dense classes
    return Comparison(top1, top5, n, divergence_nats, snr, _worst_first(layers), _worst_first(outputs), mean_iou)


def _worst_first(powers: dict[str, Tensor]) -> tuple[Fidelity, ...]:
    return tuple(sorted((Fidelity(name, snr_db(p)) for name, p in powers.items()), key=lambda part: part.snr_db))


def _overlap(original: Tensor, compressed: Tensor) -> Tensor:
    """Return at how many positions both networks give each class, and at how many either does, (2, classes)."""
    first, second = (in_rows(outputs).argmax(1).cpu() for outputs in (original, compressed))
    both = first[first == second].bincount(minlength=original.shape[1])
    either = first.bincount(minlength=len(both)) + second.bincount(minlength=len(both)) - both
    return torch.stack([both, either]).double()
