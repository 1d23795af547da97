"""Scores of a network: accuracy by labels, agreement with the original, and fidelity of the outputs."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.network.data import UNLABELLED, Data, Split, expect_split, fitting_batch
from workbench.network.inputs import Images, batches_of
from workbench.network.network import Network, expect_network
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
        found = (("top-1", self.top1, self.interval), ("top-5", self.top5, self.top5_interval))
        return [
            [f"{name} {self.kind}", f"{value:.2%}", f"{low:.1%} to {high:.1%}", str(self.n)]
            for name, value, (low, high) in found
        ]

    def __str__(self) -> str:
        found = (("top-1", self.top1, self.interval), ("top-5", self.top5, self.top5_interval))
        words = (f"{name} {100 * v:.2f} % ({100 * low:.1f} to {100 * high:.1f})" for name, v, (low, high) in found)
        what = "" if self.kind == "accuracy" else f"{self.kind} "
        return f"{what}{', '.join(words)} of {self.n} images"


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of n images (1927; Brown, Cai and DasGupta, 2001, eq. 4)."""
    share = round(share * n) / n
    middle = share + Z_95**2 / (2 * n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2))
    low, high = ((middle + sign * half) / (1 + Z_95**2 / n) for sign in (-1, 1))
    return (low if share > 0 else 0.0), (high if share < 1 else 1.0)


def accuracy(
    network: Network, split: Split, *, batch_size: int | None = None, progress: Progress | bool | None = None
) -> Score:
    """Score a network by the labels of a split.

    Parameters
    ----------
    batch_size : images at a time; None for as many as fit.
    progress : called before each batch; raising `Cancelled` ends the scoring.

    Raises
    ------
    ValueError : if the split is empty, or has images without a label, or labels that the network has no output for.
    """
    expect_network(network)
    expect_split(split, "the data to score on")
    if not len(split):
        raise ValueError(f"the {split.name} split has no images to score")
    if not split.labelled:
        raise ValueError(f"the {split.name} split has images without a label: there is nothing to compare answers with")
    report = reporter(progress)
    first = fifth = done = 0
    with torch.inference_mode():
        for images, labels in split.batches(batch_size or fitting_batch(network.input_shape)):
            report(done / len(split), f"scoring {done} of {len(split)} images")
            done += len(labels)
            outputs = network.model(network.inputs(images))
            check_labels(outputs, labels, split.name)
            hits = _hits(outputs, labels)
            first += int(hits[:, 0].sum())
            fifth += int(hits.any(dim=1).sum())
    return Score(first / len(split), fifth / len(split), len(split))


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
    split = data.test if isinstance(data, Data) else data
    if isinstance(split, Split) and split.labelled:
        return accuracy(network, split, progress=progress)
    if network.original is None:
        raise ValueError(
            f"these images have no labels, and {network.name} was not compressed: there is nothing to compare with"
        )
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
    agreement : share of the images with the same first answer.
    agreement_top5 : share of the images whose original first answer is among the compressed network's first five.
    n : number of images.
    divergence : mean Kullback-Leibler divergence of the class probabilities, in nats.
    snr_db : signal-to-noise ratio of the outputs in dB: power of the original's outputs over that of the difference.
    layers : the same of layers, worst first; empty unless it was asked for.
    """

    agreement: float
    agreement_top5: float
    n: int
    divergence: float
    snr_db: float
    layers: tuple[LayerFidelity, ...] = ()

    headers = ("compared with the original", "value")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of `agreement`, as shares."""
        return wilson(self.agreement, self.n)

    @property
    def rows(self) -> list[list[str]]:
        """One line a measure."""
        low, high = self.interval
        return [
            ["same first answer", f"{self.agreement:.2%} ({low:.1%} to {high:.1%}) of {self.n} images"],
            ["original's answer among the first five", f"{self.agreement_top5:.2%}"],
            ["divergence of the probabilities", f"{self.divergence:.4g} nats"],
            ["signal-to-noise ratio of the outputs", f"{self.snr_db:.1f} dB"],
            *([part.name, f"{part.snr_db:.1f} dB"] for part in self.layers),
        ]


MAX_SNR_DB = 200.0
"""Signal-to-noise ratio in dB that stands for equal outputs."""


def compare(network: Network, images: Split | Images, *, progress: Progress | bool | None = None) -> Comparison:
    """Compare a compressed network with its original on images; labels are not looked at.

    Parameters
    ----------
    network : compressed, so that it has an `original`.
    images : a Split, a tensor of images, or batches of them.
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
    same = among = n = 0
    divergence, signal, noise = 0.0, 0.0, 0.0
    batches = list(batches_of(images, fitting_batch(network.input_shape)))
    with torch.inference_mode():
        for i, batch in enumerate(batches):
            report(i / len(batches), "comparing answers")
            wanted = original.model(original.inputs(batch)).double()
            made = network.model(network.inputs(batch)).double().to(wanted.device)
            check_labels(wanted, torch.zeros(0, dtype=torch.long), "compared")
            hits = _hits(made, wanted.argmax(1))
            same += int(hits[:, 0].sum())
            among += int(hits.any(dim=1).sum())
            n += len(batch)
            log_p, log_q = wanted.log_softmax(1), made.log_softmax(1)
            divergence += float((log_p.exp() * (log_p - log_q)).sum())
            signal += float(wanted.square().sum())
            noise += float((made - wanted).square().sum())
    if not n:
        raise ValueError("there are no images to compare on")
    report(1.0, "")
    return Comparison(same / n, among / n, n, max(0.0, divergence / n), snr_db(signal, noise))


def snr_db(signal: float, noise: float) -> float:
    """Return the signal-to-noise ratio of two powers in dB, at most `MAX_SNR_DB`."""
    if noise <= signal * 10 ** (-MAX_SNR_DB / 10):
        return MAX_SNR_DB
    return 10 * math.log10(max(signal, 1e-300) / noise)


def check_labels(outputs: Any, labels: Tensor, split_name: str) -> None:
    """Raise ValueError if the outputs are not (n, classes), or a label is not one of the classes."""
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        what = f"the shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise ValueError(f"a classifier returns (n, classes); this network returned {what}")
    worst = int(labels.max()) if len(labels) else UNLABELLED
    if worst >= outputs.shape[1]:
        raise ValueError(
            f"the {split_name} split has class {worst}, but the network has outputs 0 to {outputs.shape[1] - 1} only"
        )


def _hits(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return (n, up to 5) booleans: whether the first, second, ... answer is the label."""
    best = outputs.topk(min(5, outputs.shape[1]), dim=1).indices
    return best == labels.to(outputs.device)[:, None]


def answers(network: Network, images: Split | Images) -> Tensor:
    """Return the class that a network answers for each image, (n,)."""
    with torch.inference_mode():
        found: Iterable[Tensor] = (
            network.model(network.inputs(batch)).argmax(1).cpu()
            for batch in batches_of(images, fitting_batch(network.input_shape))
        )
        return torch.cat(list(found))
