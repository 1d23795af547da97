"""Scores of a network: accuracy by labels, agreement with the original, and fidelity of the outputs."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from workbench.network.data import UNLABELLED, Data, Split, fitting_batch
from workbench.network.inputs import Images, inputs_of, split_of
from workbench.network.network import Network, copy_model, expect_network
from workbench.network.outputs import are_classes, divergence, size_of, tensors_of
from workbench.progress import Progress, reporter
from workbench.tables import Table

Z_95 = 1.959963984540054
"""Quantile of the standard normal distribution at 0.975, for intervals of 95 %."""


@dataclass(frozen=True, repr=False)
class Score(Table):
    """Share of `n` images whose first answer is right (`top1`), or among the first five (`top5`).

    Attributes
    ----------
    top1, top5 : shares, 0 to 1.
    n : number of images.
    kind : "accuracy" (right by their labels) or "agreement" (the first answer is the original network's).
    """

    top1: float
    top5: float
    n: int
    kind: str = "accuracy"

    headers = ("score", "value", "95 % interval", "images")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of `top1`, as shares."""
        return wilson(self.top1, self.n)

    @property
    def top5_interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of `top5`, as shares."""
        return wilson(self.top5, self.n)

    @property
    def rows(self) -> list[list[str]]:
        """Top-1 and top-5 in percent."""
        return [
            [f"{name} {self.kind}", f"{share:.2%}", f"{low:.1%} to {high:.1%}", str(self.n)]
            for name, share, (low, high) in self._shares
        ]

    @property
    def _shares(self) -> list[tuple[str, float, tuple[float, float]]]:
        return [("top-1", self.top1, self.interval), ("top-5", self.top5, self.top5_interval)]

    def __str__(self) -> str:
        words = (f"{name} {100 * v:.2f} % ({100 * a:.1f} to {100 * b:.1f})" for name, v, (a, b) in self._shares)
        what = "" if self.kind == "accuracy" else f"{self.kind} "
        return f"{what}{', '.join(words)} of {self.n} images"


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of n images (1927; Brown, Cai and DasGupta, 2001, eq. 4)."""
    share = round(share * n) / n
    middle = share + Z_95**2 / (2 * n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2))
    low, high = ((middle + sign * half) / (1 + Z_95**2 / n) for sign in (-1, 1))
    return (low if share > 0 else 0.0), (high if share < 1 else 1.0)


def accuracy(network: Network, images: Split | Images, *, progress: Progress | bool | None = None) -> Score:
    """Score a network by the labels of images; ValueError if there are none, or an image has no or no known class.

    `progress` is called before each batch; raising `Cancelled` ends the scoring.
    """
    expect_network(network)
    split = split_of(network, images)
    if not len(split) or not split.labelled:
        what = "images without a label: answers cannot be compared" if len(split) else "no images to score"
        raise ValueError(f"the {split.name} split has {what}")
    report = reporter(progress)
    done, right = 0, torch.zeros(2, dtype=torch.float64)
    with torch.inference_mode():
        for batch, labels in split.batches(fitting_batch(network.input_shape)):
            report(done / len(split), f"scoring {done} of {len(split)} images")
            done += len(labels)
            outputs = network.run(network.inputs(batch))
            check_labels(outputs, labels, split.name)
            right += torch.stack(_hits(outputs, labels)).cpu()
    top1, top5 = (right / done).tolist()
    return Score(top1, top5, done)


def score(network: Network, data: Split | Data | Images, *, progress: Progress | bool | None = None) -> Score:
    """Return the accuracy of a network where the images have labels, else its agreement with the original.

    Parameters
    ----------
    data : a Split, or images without labels; a Data stands for its test split.

    Raises
    ------
    ValueError : if there are no images, or no labels and no original to agree with.
    """
    expect_network(network)
    images = data.test if isinstance(data, Data) else data
    split = images if network.structured else split_of(network, images)
    if isinstance(split, Split) and split.labelled:
        return accuracy(network, split, progress=progress)
    if network.original is None:
        why = f"these images have no labels, and {network.name} was not compressed"
        raise ValueError(f"{why}: there is nothing to compare with")
    found = compare(network, split, progress=progress)
    return Score(found.agreement, found.agreement_top5, found.n, "agreement")


@dataclass(frozen=True)
class LayerFidelity:
    """How well one layer of the compressed network gives what the original's gives: SNR in dB."""

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
    divergence : mean Kullback-Leibler divergence of the class probabilities, in nats.
    snr_db : signal-to-noise ratio of the outputs in dB: power of the original's outputs over that of the difference.
    layers : the same of every layer of the plan, worst first.
    outputs : the same of every output, in their order.
    """

    agreement: float
    agreement_top5: float
    n: int
    divergence: float
    snr_db: float
    layers: tuple[LayerFidelity, ...] = ()
    outputs: tuple[LayerFidelity, ...] = ()

    headers = ("compared with the original", "value")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of `agreement`, as shares; (0, 1) where the outputs are no classes."""
        return wilson(self.agreement, self.n) if self.agreement == self.agreement else (0.0, 1.0)

    @property
    def rows(self) -> list[list[str]]:
        """One line a measure."""
        low, high = self.interval
        found = [
            ["same first answer", f"{self.agreement:.2%} ({low:.1%} to {high:.1%}) of {self.n} images"],
            ["original's answer among the first five", f"{self.agreement_top5:.2%}"],
            ["divergence of the probabilities", f"{self.divergence:.4g} nats"],
        ]
        parts = [*(self.outputs if len(self.outputs) > 1 else ()), *self.layers[:MAX_ROWS]]
        return [
            *(found if self.agreement == self.agreement else []),
            ["signal-to-noise ratio of the outputs", f"{self.snr_db:.1f} dB"],
            *([part.name, f"{part.snr_db:.1f} dB"] for part in parts),
        ]


MAX_ROWS = 10
"""Layers in the table of a comparison, the worst ones."""
MAX_SNR_DB = 200.0
"""Signal-to-noise ratio in dB that stands for equal outputs."""


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
    expect_network(network)
    original = network.original
    if original is None:
        raise ValueError(f"{network.name} was not compressed: there is no original to compare it with")
    report = reporter(progress)
    n, counted, hits, nats = 0, 0, torch.zeros(2, dtype=torch.float64), 0.0
    powers: dict[str, Tensor] = {}
    batches = inputs_of(network, images)
    copies = [each.with_model(copy_model(each.model)) for each in (original, network)]  # they get hooks
    with torch.inference_mode(), _LayerOutputs(*copies) as layers:
        for i, batch in enumerate(batches):
            report(i / len(batches), "comparing answers")
            wanted, made = (each.run(batch) for each in copies)
            n += size_of(batch)
            nats += float(divergence(wanted, made))
            if are_classes(wanted):
                places = wanted[:, 0].numel()
                counted += places
                hits += torch.stack(_hits(_in_rows(made), _in_rows(wanted).argmax(1))).cpu()
            for name, p, q in (*_outputs(wanted, made), *layers.pairs()):
                powers[name] = powers.get(name, torch.zeros(2, dtype=torch.float64)) + _powers(p, q)
    report(1.0, "")
    if not powers:
        raise ValueError(f"{network.name} gives no tensors of numbers that can be compared")
    names = [name for name in powers if name.startswith(OUTPUT)]
    snr_db = _snr_db(torch.stack([powers[name] / powers[name][0].clamp(min=1e-300) for name in names]).sum(0))
    fidelity = [LayerFidelity(name, _snr_db(power)) for name, power in powers.items() if name not in names]
    outputs = tuple(LayerFidelity(name.removeprefix(OUTPUT), _snr_db(powers[name])) for name in names)
    same, among = (hits / counted).tolist() if counted else (float("nan"), float("nan"))
    ordered = tuple(sorted(fidelity, key=lambda layer: layer.snr_db))
    return Comparison(same, among, n, max(0.0, nats / n), snr_db, ordered, outputs)


OUTPUT = "output "
"""Before the number of an output, among the names of layers."""


def _outputs(wanted: Any, made: Any) -> list[tuple[str, Tensor, Tensor]]:
    pairs = zip(tensors_of(wanted), tensors_of(made), strict=True)
    return [(f"{OUTPUT}{i}", p, q) for i, (p, q) in enumerate(pairs)]


def _powers(wanted: Tensor, made: Tensor) -> Tensor:
    """Return the powers of the wanted values and of the difference."""
    p, q = wanted.double(), made.double().to(wanted.device)
    return torch.stack([p.square().sum(), (q - p).square().sum()]).cpu()


def _snr_db(powers: Tensor) -> float:
    signal, noise = powers.tolist()
    equal = noise <= signal * 10 ** (-MAX_SNR_DB / 10)
    return MAX_SNR_DB if equal else 10 * math.log10(max(signal, 1e-300) / noise)


def _in_rows(outputs: Tensor) -> Tensor:
    """Return (n, classes, height, width) as (n * height * width, classes)."""
    return outputs if outputs.ndim == 2 else outputs.movedim(1, -1).flatten(0, -2)


class _LayerOutputs:
    """Outputs of the layers of a compressed network and of the same layers of its original, kept by hooks."""

    def __init__(self, original: Network, network: Network) -> None:
        self.kept: dict[str, list[list[Tensor]]] = {}
        self.hooks = ExitStack()
        self.models = original.model, network.model
        self.names = [part.name for part in getattr(network, "plan", ())]

    def __enter__(self) -> "_LayerOutputs":
        for name in self.names:
            self.kept[name] = [[], []]
            for side, model in enumerate(self.models):
                keep = partial(self._keep, self.kept[name][side])
                self.hooks.enter_context(model.get_submodule(name).register_forward_hook(keep))
        return self

    def __exit__(self, *error: object) -> None:
        self.hooks.close()

    @staticmethod
    def _keep(kept: list[Tensor], module: nn.Module, given: object, output: Tensor) -> None:
        kept.append(output.clone())  # a ReLU may work in place

    def pairs(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield (name, wanted, made) of every call since the last time."""
        for name, (wanted, made) in self.kept.items():
            yield from ((name, p, q) for p, q in zip(wanted, made, strict=True))
            wanted.clear()
            made.clear()


def check_labels(outputs: Any, labels: Tensor, split_name: str) -> None:
    """Raise ValueError if the outputs are not (n, classes), or a label is not one of the classes."""
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        what = f"the shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise ValueError(f"a classifier returns (n, classes); this network returned {what}")
    worst = int(labels.max()) if len(labels) else UNLABELLED
    if worst >= outputs.shape[1]:
        last = outputs.shape[1] - 1
        raise ValueError(f"the {split_name} split has class {worst}, but the network has outputs 0 to {last} only")


def _hits(outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return of how many images the first answer is the label, and of how many one of the first five."""
    right = outputs.topk(min(5, outputs.shape[1]), dim=1).indices == labels.to(outputs.device)[:, None]
    return right[:, 0].sum().double(), right.sum().double()


def answers(network: Network, images: Split | Images) -> Tensor:
    """Return the class that a network answers for each image, (n,)."""
    with torch.inference_mode():
        return torch.cat([network.run(batch).argmax(1).cpu() for batch in inputs_of(network, images)])
