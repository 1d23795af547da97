"""Train a network: the loop of fine-tuning and of distillation."""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.network.activations import BATCH_NORMS
from workbench.network.network import Network
from workbench.network.scores import Score
from workbench.progress import Cancelled, Progress
from workbench.recover.checkpoint import Epoch, TrainingState, load_checkpoint, save_checkpoint
from workbench.recover.processes import Processes
from workbench.recover.recipe import Recipe

log = logging.getLogger(__name__)

AVERAGE_DECAY = 0.99
"""Decay of the moving average of the weights, for each step; less in the first steps."""


class Training:
    """Trains a network in place: its weights, the optimizer, and how far it is."""

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        report: Progress,
        *,
        size: int,  # images of an epoch
        loss: Callable[[Tensor], Tensor],  # summed over the images with these indices
        score: Callable[[], Score],  # of the model as it is, to choose the best epoch by
        averaged: bool = False,  # train without dropout, and score and keep the moving average of the weights
        minutes: float | None = None,  # instead of the recipe's epochs
    ) -> None:
        self.recipe, self.report, self.size, self.loss, self.score = recipe, report, size, loss, score
        self.model, self.device = network.model, network.device
        self.processes = Processes()
        self.processes.begin_alike(self.model)
        self.steps = -(-size // recipe.batch_size)  # of one epoch
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        momentum: dict[str, Any] = {"momentum": recipe.momentum, "nesterov": recipe.optimizer == "nesterov"}
        self.optimizer = torch.optim.SGD(self.parameters, weight_decay=recipe.weight_decay, **momentum)
        self.done = TrainingState()
        self.best: dict[str, Tensor] = {}
        self.norms = [module for module in self.model.modules() if isinstance(module, BATCH_NORMS)]
        statistics = [b for norm in self.norms for b in norm.buffers() if b.is_floating_point()]
        self.averaged = [*self.parameters, *statistics] if averaged else []
        self.average = [tensor.detach().clone() for tensor in self.averaged]
        self.file: Path | None = None
        self.about: dict[str, Any] = {}
        self.pause, self.saved = 0.0, time.monotonic()
        self.limit = None if minutes is None else 60 * minutes
        self.began, self.score_seconds = time.perf_counter(), 0.0

    def keep_in(self, file: Path, pause: float, about: dict[str, Any]) -> None:
        """Go on from the file if it exists, of a training `about` the same, and write it every `pause` seconds."""
        self.file, self.pause, self.about = file, pause, {**about, **asdict(self.recipe)}
        if file.exists():
            self.done, self.best = load_checkpoint(file, self.about, self.model, self.optimizer)
        self.processes.wait()  # all processes read before one writes

    def run(self, on_epoch: Callable[[Epoch], object] | None) -> None:
        """Train to the end, or until it is cancelled; the model then has its best weights, those of the start included.

        Where weights are averaged, the average at the end of an epoch that was cancelled is scored too.
        """
        on_epoch = on_epoch or (lambda epoch: None)
        if not self.best:
            self.done.start, self.best = self.score(), self.weights()
            self.score_seconds = time.perf_counter() - self.began
        try:
            for epoch in self.done.epochs:
                on_epoch(epoch)
            while self.limit or len(self.done.epochs) < self.recipe.epochs:
                self.epoch()
                self.save()
                on_epoch(self.done.epochs[-1])
            self.report(1.0, "")
        except Cancelled:
            self.save()
            if self.average and self.done.step > len(self.done.epochs) * self.steps:
                self.end_epoch()
        finally:
            self.model.load_state_dict(self.best)
            self._evaluate()

    def epoch(self) -> None:
        """Train to the end of the epoch, score it, and keep its weights if none before was better."""
        number = len(self.done.epochs)
        order = torch.Generator().manual_seed(self.recipe.seed)
        for _ in range(number):  # the order of an epoch is that epoch's draw
            torch.randperm(self.size, generator=order)
        pieces = torch.randperm(self.size, generator=order).split(self.recipe.batch_size)
        with self.processes.one_batch_norm(self.model):
            for piece in pieces[self.done.step - number * self.steps :]:  # none, if it was stopped before the score
                started = time.perf_counter()
                self._train(len(piece))
                self.step(piece)
                self.done.seconds += time.perf_counter() - started
                if self.file and time.monotonic() - self.saved >= self.pause:
                    self.save()
        self.end_epoch()

    def end_epoch(self) -> None:
        """Score the weights, or their average, and keep them if none before were better."""
        number, steps = len(self.done.epochs) + 1, self.done.step - len(self.done.epochs) * self.steps
        with self._averages():
            self._evaluate()
            score = self.score()
            scores = [self.done.start, *(epoch.validation for epoch in self.done.epochs)]
            if all(score.top1 >= before.top1 for before in scores if before):
                self.done.best, self.best = number, self.weights()
        rate, images = self.optimizer.param_groups[0]["lr"], min(self.size, steps * self.recipe.batch_size)
        self.done.epochs.append(Epoch(number, self.done.loss_sum / images, score, rate, self.done.seconds))
        self.done.loss_sum = self.done.seconds = 0.0

    def _train(self, count: int) -> None:
        """Put the model into the mode to train on so many images in: one alone has no statistics."""
        if self.average:
            self._evaluate()
        else:
            self.model.train()
        alone = count == 1 and (self.average or self.recipe.batch_size > 1)  # the rest of an epoch
        trained = self.recipe.batch_norm != "frozen" and not alone
        for norm in self.norms:
            norm.train(trained)

    def _evaluate(self) -> None:
        """Put the model into evaluation mode, and empty what some models, like LeViT, cache in that mode."""
        self.model.train()
        self.model.eval()

    @contextmanager
    def _averages(self) -> Iterator[None]:
        """Exchange parameters and statistics for their averages, if there are any, inside the context."""

        def exchange() -> None:
            for i, tensor in enumerate(self.averaged):
                self.average[i], tensor.data = tensor.data, self.average[i]

        exchange()
        yield
        exchange()

    def step(self, piece: Tensor) -> None:
        """Take one step on the images with these indices, over all processes; raise `Cancelled` in all or none."""
        done, total, elapsed = float(self.done.step), self.steps * self.recipe.epochs, time.perf_counter() - self.began
        if self.limit:
            step_seconds = elapsed / done if done else 0.0
            if done and elapsed + step_seconds + self.score_seconds > self.limit:  # one more step would end too late
                raise Cancelled
            done = elapsed / self.limit * total
        number = len(self.done.epochs) + 1
        cancelled = 0.0
        try:
            self.report(done / total, f"epoch {number}" if self.limit else f"epoch {number} of {self.recipe.epochs}")
        except Cancelled:
            cancelled = 1.0
        if self.processes.sum(cancelled, self.device):
            raise Cancelled
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(done, self.steps)
        of_step = f"{self.recipe.seed} {self.done.step} {self.processes.index}".encode()
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            # what is random depends on seed and step alone
            torch.manual_seed(int.from_bytes(hashlib.blake2b(of_step, digest_size=7).digest(), "big"))
            loss = self.loss(self.processes.share(piece))
        value = self.processes.sum(float(loss.detach()), self.device)
        if not math.isfinite(value):
            raise ValueError(
                f"training diverged in epoch {number} (the loss is no longer finite): take a smaller learning rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        (loss / len(piece)).backward()
        self.processes.sum_gradients(self.parameters)
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm)
        self.optimizer.step()
        self.done.loss_sum += value
        self.done.step += 1
        decay = min(AVERAGE_DECAY, self.done.step / (self.done.step + 9))
        for average, tensor in zip(self.average, self.averaged, strict=True):
            average.lerp_(tensor.detach(), 1 - decay)

    def weights(self) -> dict[str, Tensor]:
        """Copy the model's present weights."""
        return {key: value.detach().clone() for key, value in self.model.state_dict().items()}

    def save(self) -> None:
        """Write the checkpoint, if there is one to be written and this process is the one that writes."""
        if self.file is None or self.processes.index:
            return
        try:
            save_checkpoint(self.file, self.about, self.done, self.model, self.optimizer, self.best)
        except OSError as error:  # a full disk, say: what has been trained so far is worth more than the file
            log.warning("training goes on, but the checkpoint %s was not written: %s", self.file.name, error)
        self.saved = time.monotonic()
