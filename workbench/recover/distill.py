"""Recovery without labels by gradients: the smaller network learns to answer as the original does.

The loss is the divergence between softened answers plus the relative squared error of every layer's output, behind
its ReLU if it has one. Factors are balanced first, batch norms keep their statistics, and the result is the
exponential moving average of the weights.

References: Hinton, Vinyals, Dean, *Distilling the knowledge in a neural network*, 2015; Romero et al., *FitNets*,
ICLR 2015.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from workbench.network.activations import Walk
from workbench.network.data import Split, evaluating
from workbench.network.inputs import Inputs, inputs_of, random_view
from workbench.network.network import Network, expect_network
from workbench.plan.plan import PlanError
from workbench.recover.balance import balance

TEMPERATURE = 2.0
FEATURES = 1.0
"""Weight of the layers' mean relative error beside the divergence of the answers."""

AVERAGE = 0.99
"""Decay of the moving average of the weights; less in the first steps."""

MOMENTUM = 0.9
"""Of SGD. Adam's steps, of one size in all directions, undo a calibration before they can better it."""

WARMING = 0.1
"""Share of the training in which the learning rate rises from nothing."""


def distill(
    smaller: Network,
    network: Network,
    images: Inputs,
    *,
    minutes: float | None = None,
    epochs: int | None = None,
    learning_rate: float = 3e-3,
    batch_size: int = 16,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
    losses: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Network:
    """Train a decomposed network on the original's answers and inner outputs, without labels.

    Parameters
    ----------
    smaller, network : the decomposed network (best calibrated before) and the original; neither is changed.
    images : a Split, whose labels are never looked at; where its images are larger than the input, each is cut out at
        random, rescaled and mirrored anew in each epoch. Or batches of inputs as the model takes them.
    minutes, epochs : how long; give one of them. All of this call takes at most so many minutes, if a single step
        does not take longer. With `epochs` the result is reproducible.
    learning_rate : of SGD with momentum, at its highest; it falls along a cosine to zero. Five times as much made a
        calibrated GoogLeNet worse, within ten steps.
    progress : called with (share done, the step's loss in words) after each step.
    losses : called with each step's loss, before `progress`: for a curve.
    cancelled : asked before each step; if it says True, the average so far is the result.

    Returns
    -------
    Network with the same plan and shapes, its factors balanced.

    Raises
    ------
    ValueError : on settings that make no sense, no images, or a loss that is not finite.
    PlanError : if `smaller` has no plan.
    """
    expect_network(smaller)
    expect_network(network)
    if smaller.plan is None:
        raise PlanError(f"{smaller.name} was not decomposed: there is nothing to distill into it")
    _check_settings(minutes, epochs, learning_rate)
    clock = _Clock(minutes)
    student = balance(smaller).model.requires_grad_(True)
    average = copy.deepcopy(student)
    stream = _Stream(network, images, batch_size, torch.Generator().manual_seed(seed))
    trained = list(student.parameters())
    optimizer = torch.optim.SGD(trained, lr=learning_rate, momentum=MOMENTUM, nesterov=True)
    clock.steps = None if epochs is None else epochs * len(stream)
    with evaluating(network.model), evaluating(student):
        match = _Match(student, network.model, [part.name for part in smaller.plan], next(stream.peek()))
        with match:
            for step, batch in enumerate(stream):
                share = clock.share(step)
                if share >= 1 or not clock.another(step) or cancelled():
                    break
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * min(1.0, share / WARMING + 0.01) * _cosine(share)
                loss = match.loss(batch)
                if not bool(torch.isfinite(loss)):
                    raise ValueError(
                        "distillation diverged (the loss is no longer finite): take a smaller learning rate"
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                _follow(average, student, min(AVERAGE, (step + 1) / (step + 10)))
                if losses:
                    losses(float(loss.detach()))
                if progress:
                    progress(min(1.0, clock.share(step + 1)), f"loss {float(loss.detach()):.3f}")
    if progress and minutes is not None and not cancelled():
        progress(1.0, "the time is over")
    for made, given in zip(average.parameters(), smaller.model.parameters(), strict=True):
        made.requires_grad_(given.requires_grad)
    return replace(smaller, model=average, source=f"{smaller.source}; distilled")


def _check_settings(minutes: float | None, epochs: int | None, learning_rate: float) -> None:
    if (minutes is None) == (epochs is None):
        raise ValueError("say how long to distill: either minutes or epochs")
    for name, value in (("minutes", minutes), ("epochs", epochs), ("learning_rate", learning_rate)):
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name} must be a number above 0, not {value}")


@dataclass
class _Clock:
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

    def another(self, step: int) -> bool:
        """Whether there is time for one more step of the usual length."""
        now = time.perf_counter()
        if step == 0:
            self.first = now
        if self.minutes is None or step == 0:
            return True
        return now + (now - self.first) / step <= self.started + 60 * self.minutes


class _Stream:
    """Endless batches of inputs in a new order each epoch; of a split, in new views."""

    def __init__(self, network: Network, images: Inputs, batch_size: int, generator: torch.Generator) -> None:
        self.network, self.images, self.size, self.generator = network, images, batch_size, generator
        self.batches = inputs_of(network, images, batch_size=batch_size)
        self.count = -(-len(images) // batch_size) if isinstance(images, Split) else sum(1 for _ in self.batches)

    def __len__(self) -> int:
        """Steps in an epoch."""
        return self.count

    def peek(self) -> Iterator[Tensor]:
        return iter(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            if isinstance(self.images, Split):
                order = torch.randperm(len(self.images), generator=self.generator)
                for index in order.split(self.size):
                    yield random_view(self.network, self.images.images[index], self.generator)
            else:
                yield from self.batches


class _Match:
    """The loss between two networks on a batch; while entered, hooks see the layers' outputs."""

    def __init__(self, student: nn.Module, teacher: nn.Module, names: list[str], batch: Tensor) -> None:
        self.student, self.teacher, self.names = student, teacher, names
        with torch.no_grad():
            walk = Walk(teacher, teacher, [batch[:1]])
        self.rectified = {name: walk.rectified(name) for name in names}
        self.wanted: dict[str, list[Tensor]] = {}
        self.terms: list[Tensor] = []
        self.hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> None:
        for name in self.names:
            for model, see in ((self.teacher, self._see_wanted), (self.student, self._see_made)):
                self.hooks.append(model.get_submodule(name).register_forward_hook(see(name)))

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _see_wanted(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def see(_: nn.Module, given: object, output: Tensor) -> None:
            self.wanted.setdefault(name, []).append(output.relu() if self.rectified[name] else output.clone())

        return see

    def _see_made(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def see(_: nn.Module, given: object, output: Tensor) -> None:
            wanted = self.wanted[name].pop(0)
            error = (output.relu() if self.rectified[name] else output) - wanted
            self.terms.append(error.square().sum() / wanted.square().sum().clamp(min=1e-12))

        return see

    def loss(self, batch: Tensor) -> Tensor:
        """Divergence of softened answers, and the mean relative squared error of the layers' outputs."""
        self.wanted.clear()
        self.terms.clear()
        with torch.no_grad():
            wanted = (self.teacher(batch) / TEMPERATURE).log_softmax(1)
        made = (self.student(batch) / TEMPERATURE).log_softmax(1)
        divergence: Tensor = (wanted.exp() * (wanted - made)).sum(1).mean() * TEMPERATURE**2
        layers = torch.stack(self.terms).mean() if self.terms else torch.zeros(())
        return divergence + FEATURES * layers


def _cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _follow(average: nn.Module, student: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, now in zip(average.parameters(), student.parameters(), strict=True):
            kept.lerp_(now, 1 - decay)
