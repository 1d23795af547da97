"""Distil a compressed network: train it to answer as the original does, without labels.

The loss is the divergence between softened answers plus the relative squared error of every layer's output, behind
its ReLU if it has one. Factors are balanced first, batch norms keep their statistics, and the result is the
exponential moving average of the weights.

References: Hinton, Vinyals, Dean, *Distilling the knowledge in a neural network*, 2015; Romero et al., *FitNets*,
ICLR 2015.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from workbench.network.activations import PairedActivations
from workbench.network.data import Split
from workbench.network.inputs import Images, inputs_of, random_view
from workbench.network.network import Network, copy_model
from workbench.plan.compressed import CompressedNetwork, expect_compressed
from workbench.progress import Cancelled, Progress, reporter
from workbench.recover.balance import balance
from workbench.recover.checkpoint import Epoch

TEMPERATURE = 2.0
"""Divisor of the logits before the divergence."""
FEATURE_WEIGHT = 1.0
"""Weight of the layers' mean relative error beside the divergence of the answers."""
AVERAGE_DECAY = 0.99
"""Decay of the moving average of the weights, for each step; less in the first steps."""
MOMENTUM = 0.9
"""Momentum of SGD. Adam's steps, of one size in all directions, undo a calibration before they can better it."""
WARMUP_SHARE = 0.1
"""Share of the training in which the learning rate rises from zero."""


def distill(
    compressed: CompressedNetwork,
    images: Images,
    *,
    minutes: float | None = None,
    epochs: int | None = None,
    learning_rate: float = 3e-3,
    batch_size: int = 16,
    seed: int = 0,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: Progress | bool | None = None,
) -> CompressedNetwork:
    """Train a compressed network on the original's answers and inner outputs, without labels.

    Parameters
    ----------
    compressed : best calibrated before.
    images : as the data hold them; labels are not looked at. Where images of a Split or a tensor are larger than the
        input, each is cut out at random, rescaled and mirrored anew in each epoch.
    minutes, epochs : how long; give one of them. With `epochs` the result is reproducible.
    learning_rate : the highest of SGD with momentum; it falls along a cosine to zero. Five times as much made a
        calibrated GoogLeNet worse, within ten steps.
    on_epoch : called with each :class:`~workbench.recover.checkpoint.Epoch` (without a validation score).
    progress : called after each step; raising `Cancelled` ends the training, and the average so far is returned.

    Returns
    -------
    CompressedNetwork with the same plan and shapes, its factors balanced, and its `history`.

    Raises
    ------
    ValueError : on settings that make no sense, no images, or a loss that is not finite.
    TypeError : if the network was not compressed.
    """
    expect_compressed(compressed)
    _check_settings(minutes, epochs, learning_rate)
    report = reporter(progress)
    schedule = _Schedule(minutes)
    student = balance(compressed).model.requires_grad_(True)
    average = copy_model(student)
    stream = _Stream(compressed.original, images, batch_size, torch.Generator().manual_seed(seed))
    trained = list(student.parameters())
    optimizer = torch.optim.SGD(trained, lr=learning_rate, momentum=MOMENTUM, nesterov=True)
    schedule.steps = None if epochs is None else epochs * len(stream)
    names = [part.name for part in compressed.plan]
    history: list[Epoch] = []
    losses: list[float] = []
    began = time.perf_counter()
    with _Match(student, compressed.original.model, names, next(iter(stream.batches))) as match:
        for step, batch in enumerate(stream):
            share = schedule.share(step)
            if share >= 1 or not schedule.has_time(step):
                break
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * min(1.0, share / WARMUP_SHARE + 0.01) * _cosine(share)
            loss = match.loss(batch)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise ValueError("distillation diverged (the loss is no longer finite): take a smaller learning rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            _follow(average, student, min(AVERAGE_DECAY, (step + 1) / (step + 10)))
            try:
                if (step + 1) % len(stream) == 0:
                    mean, rate = sum(losses[-len(stream) :]) / len(stream), optimizer.param_groups[0]["lr"]
                    history.append(Epoch(len(history) + 1, mean, None, rate, time.perf_counter() - began))
                    began = time.perf_counter()
                    if on_epoch:
                        on_epoch(history[-1])
                report(min(1.0, schedule.share(step + 1)), f"loss {losses[-1]:.3f}")
            except Cancelled:
                break
    for made, given in zip(average.parameters(), compressed.model.parameters(), strict=True):
        made.requires_grad_(given.requires_grad)
    source = f"{compressed.source}; distilled"
    return compressed.with_model(average, source=source, history=tuple(history), fitted=True)


def _check_settings(minutes: float | None, epochs: int | None, learning_rate: float) -> None:
    if (minutes is None) == (epochs is None):
        raise ValueError("say how long to distill: either minutes or epochs")
    for name, value in (("minutes", minutes), ("epochs", epochs), ("learning_rate", learning_rate)):
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name} must be a number above 0, not {value}")


@dataclass
class _Schedule:
    """How much of the training is done, by time or by steps."""

    minutes: float | None
    steps: int | None = None
    started: float = field(default_factory=lambda: time.perf_counter())  # noqa: PLW0108 - looked up when it is called
    first: float = 0.0  # when the first step began

    def share(self, step: int) -> float:
        if self.steps is not None:
            return step / self.steps
        assert self.minutes is not None
        return (time.perf_counter() - self.started) / (60 * self.minutes)

    def has_time(self, step: int) -> bool:
        """Return whether one more step of the mean length fits."""
        now = time.perf_counter()
        if step == 0:
            self.first = now
        if self.minutes is None or step == 0:
            return True
        return now + (now - self.first) / step <= self.started + 60 * self.minutes


class _Stream:
    """Endless batches of inputs, in a new order and in new views each epoch where images can be drawn by index."""

    def __init__(self, network: Network, images: Images, batch_size: int, generator: torch.Generator) -> None:
        self.network, self.size, self.generator = network, batch_size, generator
        self.batches = inputs_of(network, images, batch_size=batch_size)
        self.images = self.batches.images.images if isinstance(self.batches.images, Split) else self.batches.images

    def __len__(self) -> int:
        """Return the number of steps in an epoch."""
        return len(self.images) if isinstance(self.images, tuple) else -(-len(self.images) // self.size)

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            if isinstance(self.images, tuple):
                yield from self.batches
            else:
                for index in torch.randperm(len(self.images), generator=self.generator).split(self.size):
                    yield random_view(self.network, self.images[index], self.generator)


class _Match:
    """The loss between two networks on a batch; while entered, hooks see the layers' outputs."""

    def __init__(self, student: nn.Module, teacher: nn.Module, names: list[str], batch: Tensor) -> None:
        self.student, self.teacher, self.names = student, copy_model(teacher), names  # it gets hooks
        with torch.no_grad():
            activations = PairedActivations(self.teacher, self.teacher, [batch[:1]])
        self.rectified = {name: activations.rectified(name) for name in names}
        self.wanted: dict[str, list[Tensor]] = {}
        self.terms: list[Tensor] = []
        self.hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> "_Match":
        for name in self.names:
            for model, hook in ((self.teacher, self._wanted_hook), (self.student, self._made_hook)):
                self.hooks.append(model.get_submodule(name).register_forward_hook(hook(name)))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _wanted_hook(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, given: object, output: Tensor) -> None:
            self.wanted.setdefault(name, []).append(output.relu() if self.rectified[name] else output.clone())

        return hook

    def _made_hook(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, given: object, output: Tensor) -> None:
            wanted = self.wanted[name].pop(0)
            error = (output.relu() if self.rectified[name] else output) - wanted
            self.terms.append(error.square().sum() / wanted.square().sum().clamp(min=1e-12))

        return hook

    def loss(self, batch: Tensor) -> Tensor:
        """Return the divergence of softened answers, and the mean relative squared error of the layers' outputs."""
        self.wanted.clear()
        self.terms.clear()
        with torch.no_grad():
            wanted = (self.teacher(batch) / TEMPERATURE).log_softmax(1)
        made = (self.student(batch) / TEMPERATURE).log_softmax(1)
        divergence: Tensor = (wanted.exp() * (wanted - made)).sum(1).mean() * TEMPERATURE**2
        layers = torch.stack(self.terms).mean() if self.terms else torch.zeros(())
        return divergence + FEATURE_WEIGHT * layers


def _cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _follow(average: nn.Module, student: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, now in zip(average.parameters(), student.parameters(), strict=True):
            kept.lerp_(now, 1 - decay)
