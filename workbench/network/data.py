"""Labelled images in three splits, and how many of them a network gets right."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Protocol

import torch
from torch import Tensor

from workbench.network.network import Network, expect_network

Z = 1.959963984540054
"""The standard normal's quantile of 0.975: an interval for 95 %."""
UNLABELLED = -1
"""Label of an image whose class nobody has said."""


class Images(Protocol):
    """What a split needs of its images: a length, a shape and batches by index."""

    @property
    def shape(self) -> Sequence[int]:
        """(n, channels, height, width)."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels that are used together: for training, for choosing, or for the final score.

    Parameters
    ----------
    images : (n, channels, height, width), as the data set holds them (a network's preprocessing comes later): a tensor,
        or files that behave like one.
    labels : (n,) class indices; ``UNLABELLED`` where the class is not known.
    name : "train", "validation" or "test".
    """

    images: Tensor | Images
    labels: Tensor
    name: str = "images"

    def __post_init__(self) -> None:
        if self.labels.is_floating_point() or self.labels.ndim != 1:
            raise ValueError(
                f"labels of the {self.name} split are class indices, one whole number an image, "
                f"not {self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )
        if len(self.images) != len(self.labels):
            raise ValueError(f"the {self.name} split has {len(self.images)} images but {len(self.labels)} labels")
        if len(self.labels) and int(self.labels.min()) < UNLABELLED:
            raise ValueError(f"the {self.name} split has the class index {int(self.labels.min())}: they begin with 0")

    @classmethod
    def unlabelled(cls, images: Tensor | Images, name: str = "images") -> "Split":
        """Images of which nobody has said what they show: to distil from a teacher, or to calibrate with."""
        return cls(images, torch.full((len(images),), UNLABELLED), name)

    @property
    def labelled(self) -> bool:
        """Whether the class of every image is known."""
        return bool((self.labels != UNLABELLED).all())

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split({self.name}: {len(self)} images of shape {tuple(self.images.shape[1:])})"

    def batches(self, size: int, generator: torch.Generator | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """(images, labels) in pieces of `size`: in order, or shuffled by the generator."""
        order = torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        for piece in order.split(size):
            yield self.images[piece], self.labels[piece]


@dataclass(frozen=True, eq=False)
class Data:
    """A data set: `train` to learn from, `validation` to choose by, `test` to report, each never used for another.

    `classes` are the names of the class indices, `skipped` a sentence for each file that had to be left out.
    """

    train: Split
    validation: Split
    test: Split
    name: str = "data"
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            expect_split(getattr(self, name), f"{name} of a Data")

    def __str__(self) -> str:
        sizes = ", ".join(f"{s.name} {len(s)}" for s in (self.train, self.validation, self.test))
        left_out = f"; {len(self.skipped)} left out" if self.skipped else ""
        return f"{self.name}: {sizes} images of shape {tuple(self.test.images.shape[1:])}{left_out}"

    __repr__ = __str__


@dataclass(frozen=True)
class Accuracy:
    """Percentage of `n` images whose true class is the first answer (`top1`), or among the first five (`top5`)."""

    top1: float
    top5: float
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of `top1` (Wilson's): where it would lie on as many other images of the kind."""
        return _wilson(self.top1, self.n)

    @property
    def top5_interval(self) -> tuple[float, float]:
        """The same of `top5`."""
        return _wilson(self.top5, self.n)

    def __str__(self) -> str:
        both = ((name, value, _wilson(value, self.n)) for name, value in (("top-1", self.top1), ("top-5", self.top5)))
        scores = ", ".join(f"{name} {value:.2f} % ({low:.1f} to {high:.1f})" for name, value, (low, high) in both)
        return f"{scores} of {self.n} images"


def _wilson(percent: float, n: int) -> tuple[float, float]:
    """Ends of Wilson's interval, in percent (1927, as in Brown, Cai and DasGupta, 2001, eq. 4)."""
    share = round(percent * n / 100) / n
    middle = share + Z**2 / (2 * n)
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    low, high = ((middle + sign * half) / (1 + Z**2 / n) for sign in (-1, 1))
    return 100 * (low if share > 0 else 0.0), 100 * (high if share < 1 else 1.0)


ENTRIES = 4_000_000
"""Numbers that a batch of inputs holds at most: 27 images of 224 x 224, whose inner maps then fit into memory."""


def fitting_batch(input_shape: Sequence[int]) -> int:
    """How many inputs of that shape to run at a time, 1 to 256."""
    return max(1, min(256, ENTRIES // prod(input_shape)))


def accuracy(
    network: Network, split: Split, *, batch_size: int | None = None, progress: Callable[[float], None] | None = None
) -> Accuracy:
    """Score a network on a split; the model's training mode is left as it was.

    Parameters
    ----------
    batch_size : images at a time; None for as many as fit.
    progress : called with the share done before each batch; what it raises ends the scoring.

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
    first = fifth = done = 0
    with evaluating(network.model), torch.inference_mode():
        for images, labels in split.batches(batch_size or fitting_batch(network.input_shape)):
            if progress:
                progress(done / len(split))
            done += len(labels)
            outputs = network.model(network.inputs(images))
            check_labels(outputs, labels, split.name)
            best = outputs.topk(min(5, outputs.shape[1]), dim=1).indices == labels.to(outputs.device)[:, None]
            first += int(best[:, 0].sum())
            fifth += int(best.any(dim=1).sum())
    return Accuracy(100 * first / len(split), 100 * fifth / len(split), len(split))


def expect_split(value: object, what: str) -> None:
    """Raise TypeError with a hint unless it is a Split."""
    if not isinstance(value, Split):
        hint = ": say which, like data.test" if isinstance(value, Data) else ""
        raise TypeError(f"{what} is a Split, not a {type(value).__name__}{hint}")


def check_labels(outputs: Tensor, labels: Tensor, split_name: str) -> None:
    """Raise ValueError if a label is not one of the outputs."""
    if outputs.ndim != 2:
        raise ValueError(f"a classifier returns (n, classes); this network returned the shape {tuple(outputs.shape)}")
    worst = int(labels.max()) if len(labels) else UNLABELLED
    if worst >= outputs.shape[1]:
        raise ValueError(
            f"the {split_name} split has class {worst}, but the network has outputs 0 to {outputs.shape[1] - 1} only"
        )


class evaluating:  # noqa: N801 - reads as a verb: `with evaluating(model):`
    """Context in which a model is in eval mode; every module's mode is put back afterwards."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.modes = [(module, module.training) for module in model.modules()]
        self.model = model

    def __enter__(self) -> None:
        self.model.eval()

    def __exit__(self, *_: object) -> None:
        for module, training in self.modes:
            module.training = training
