"""Train a network: the training loop of fine-tuning and distillation."""

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
"""Decay per step of the moving average of the weights; smaller in the first steps."""


class Training:
    """Trains a network in place; holds the optimizer, the best weights so far and the progress."""

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        report: Progress,
        *,
        size: int,  # number of training images
        loss: Callable[[Tensor], Tensor],  # summed over the images with these indices
        score: Callable[[], Score],  # of the model's present weights, to choose the best epoch
        average_weights: bool = False,  # train without dropout; score and keep the moving average of the weights
        minutes: float | None = None,  # instead of the recipe's epochs
    ) -> None:
        self.recipe, self.report, self.size, self.loss, self.score = recipe, report, size, loss, score
        self.model, self.device = network.model, network.device
        self.processes = Processes()
        self.processes.broadcast_weights(self.model)
        self.epoch_steps = -(-size // recipe.batch_size)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        momentum: dict[str, Any] = {"momentum": recipe.momentum, "nesterov": recipe.optimizer == "nesterov"}
        self.optimizer = torch.optim.SGD(self.parameters, weight_decay=recipe.weight_decay, **momentum)
        self.state = TrainingState()
        self.best: dict[str, Tensor] = {}
        self.norms = [module for module in self.model.modules() if isinstance(module, BATCH_NORMS)]
        statistics = [b for norm in self.norms for b in norm.buffers() if b.is_floating_point()]
        self.averaged_tensors = [*self.parameters, *statistics] if average_weights else []
        self.averages = [tensor.detach().clone() for tensor in self.averaged_tensors]
        self.checkpoint: Path | None = None
        self.identity: dict[str, Any] = {}
        self.interval_s, self.last_save = 0.0, time.monotonic()
        self.limit_s = None if minutes is None else 60 * minutes
        self.start_time, self.score_seconds = time.perf_counter(), 0.0

    def use_checkpoint(self, file: Path, interval_s: float, identity: dict[str, Any]) -> None:
        """Continue from `file`, if it exists and has the same `identity`, and write it every `interval_s` seconds."""
        self.checkpoint, self.interval_s, self.identity = file, interval_s, {**identity, **asdict(self.recipe)}
        if file.exists():
            self.state, self.best = load_checkpoint(file, self.identity, self.model, self.optimizer)
        self.processes.wait()  # until all processes have read it

    def run(self, on_epoch: Callable[[Epoch], object] | None) -> None:
        """Train to the end, or until it is cancelled; then give the model its best weights, the first ones included.

        If weights are averaged, the average within a cancelled epoch is scored, too.
        """
        on_epoch = on_epoch or (lambda epoch: None)
        if not self.best:
            self.state.start, self.best = self.score(), self.copy_weights()
            self.score_seconds = time.perf_counter() - self.start_time
        try:
            for epoch in self.state.epochs:
                on_epoch(epoch)
            while self.limit_s or len(self.state.epochs) < self.recipe.epochs:
                self.epoch()
                self.save()
                on_epoch(self.state.epochs[-1])
            self.report(1.0, "")
        except Cancelled:
            self.save()
            if self.averages and self.state.step > len(self.state.epochs) * self.epoch_steps:
                self.end_epoch()
        finally:
            self.model.load_state_dict(self.best)
            self._set_evaluation_mode()

    def epoch(self) -> None:
        """Train to the end of an epoch, and score it."""
        number = len(self.state.epochs)
        order = torch.Generator().manual_seed(self.recipe.seed)
        for _ in range(number):  # skip the draws of earlier epochs
            torch.randperm(self.size, generator=order)
        batches = torch.randperm(self.size, generator=order).split(self.recipe.batch_size)
        with self.processes.synchronised_batch_norm(self.model):
            for indices in batches[self.state.step - number * self.epoch_steps :]:  # none if only the score is missing
                started = time.perf_counter()
                self._set_training_mode(len(indices))
                self.step(indices)
                self.state.seconds += time.perf_counter() - started
                if self.checkpoint and time.monotonic() - self.last_save >= self.interval_s:
                    self.save()
        self.end_epoch()

    def end_epoch(self) -> None:
        """Score the weights, or their average, and keep them if no earlier ones were better."""
        number, steps = len(self.state.epochs) + 1, self.state.step - len(self.state.epochs) * self.epoch_steps
        with self._averaged_weights():
            self._set_evaluation_mode()
            score = self.score()
            scores = [self.state.start, *(epoch.validation for epoch in self.state.epochs)]
            if all(score.top1 >= earlier.top1 for earlier in scores if earlier):
                self.state.best, self.best = number, self.copy_weights()
        rate, images = self.optimizer.param_groups[0]["lr"], min(self.size, steps * self.recipe.batch_size)
        self.state.epochs.append(Epoch(number, self.state.loss_sum / images, score, rate, self.state.seconds))
        self.state.loss_sum = self.state.seconds = 0.0

    def _set_training_mode(self, count: int) -> None:
        """Put the model into training mode for a batch of `count` images; a single image has no batch statistics."""
        if self.averages:
            self._set_evaluation_mode()
        else:
            self.model.train()
        is_single = count == 1 and (self.averages or self.recipe.batch_size > 1)  # the last image of an epoch
        uses_batch_statistics = self.recipe.batch_norm != "frozen" and not is_single
        for norm in self.norms:
            norm.train(uses_batch_statistics)

    def _set_evaluation_mode(self) -> None:
        """Put the model into evaluation mode, and empty the cache that models like LeViT keep in that mode."""
        self.model.train()
        self.model.eval()

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Exchange parameters and statistics for their averages, if any, inside the context."""

        def exchange() -> None:
            for i, tensor in enumerate(self.averaged_tensors):
                self.averages[i], tensor.data = tensor.data, self.averages[i]

        exchange()
        yield
        exchange()

    def step(self, indices: Tensor) -> None:
        """Take one step on the images with these indices in all processes; all raise `Cancelled`, or none does."""
        done_steps, total_steps = float(self.state.step), self.epoch_steps * self.recipe.epochs
        elapsed = time.perf_counter() - self.start_time
        if self.limit_s:  # stop if one more step would end too late
            if done_steps and elapsed + elapsed / done_steps + self.score_seconds > self.limit_s:
                raise Cancelled
            done_steps = elapsed / self.limit_s * total_steps
        epoch = len(self.state.epochs) + 1
        note = f"epoch {epoch}" if self.limit_s else f"epoch {epoch} of {self.recipe.epochs}"
        cancelled = 0.0
        try:
            self.report(done_steps / total_steps, note)
        except Cancelled:
            cancelled = 1.0
        if self.processes.sum(cancelled, self.device):
            raise Cancelled
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(done_steps, self.epoch_steps)
        seed_text = f"{self.recipe.seed} {self.state.step} {self.processes.index}".encode()
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            # random numbers depend on seed, step and process only
            torch.manual_seed(int.from_bytes(hashlib.blake2b(seed_text, digest_size=7).digest(), "big"))
            loss = self.loss(self.processes.share(indices))
        value = self.processes.sum(float(loss.detach()), self.device)
        if not math.isfinite(value):
            raise ValueError(
                f"training diverged in epoch {epoch} (the loss is no longer finite): take a smaller learning rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        (loss / len(indices)).backward()
        self.processes.sum_gradients(self.parameters)
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm)
        self.optimizer.step()
        self.state.loss_sum += value
        self.state.step += 1
        decay = min(AVERAGE_DECAY, self.state.step / (self.state.step + 9))
        for average, tensor in zip(self.averages, self.averaged_tensors, strict=True):
            average.lerp_(tensor.detach(), 1 - decay)

    def copy_weights(self) -> dict[str, Tensor]:
        """Return a copy of the model's present weights."""
        return {key: value.detach().clone() for key, value in self.model.state_dict().items()}

    def save(self) -> None:
        """Write the checkpoint, if there is one and this is the process that writes."""
        if self.checkpoint is None or self.processes.index:
            return
        try:
            save_checkpoint(self.checkpoint, self.identity, self.state, self.model, self.optimizer, self.best)
        except OSError as error:  # a full disk must not end the training
            log.warning("training goes on, but the checkpoint %s was not written: %s", self.checkpoint.name, error)
        self.last_save = time.monotonic()
