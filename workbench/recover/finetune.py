"""Recovery with labels, or from the original network's answers: gradient descent over the whole network."""

import hashlib
import logging
import math
import runpy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.network.data import Data, Split, accuracy, check_labels, evaluating, fitting_batch
from workbench.network.network import Network, expect_network
from workbench.recover.augmentation import augmented
from workbench.recover.checkpoint import Epoch, Progress, load_checkpoint, save_checkpoint
from workbench.recover.losses import losses
from workbench.recover.processes import BATCH_NORMS, Processes
from workbench.recover.recipe import Recipe

__all__ = ["Epoch", "finetune"]

log = logging.getLogger(__name__)


def finetune(
    network: Network,
    data: Data,
    *,
    recipe: Recipe | None = None,
    teacher: Network | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 30.0,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] | None = None,
    **settings: Any,
) -> Iterator[Epoch]:
    """Train a (decomposed) network in place on ``data.train``, one result an epoch; ``data.test`` is never touched.

    Without further settings it is the paper's: SGD with momentum, the learning rate divided by 10 every 5 epochs. The
    network that `decompose` was given shares no weights with its result and so stays as it is; it can be the teacher.
    Where several processes run this together (``accelerate launch``), each takes its share of every batch, and all end
    with the same weights.

    Parameters
    ----------
    network : trained in place, where its weights are; its training mode is put back after every epoch.
    recipe : all settings; None for the paper's.
    settings : those of :class:`~workbench.recover.recipe.Recipe` by name, over those of `recipe`: `epochs`,
        `learning_rate`, `drop_every`, `schedule`, `batch_size`, `seed`, `flip`, `keep_best` and so on.
    teacher : a network, usually the original, whose softened answers on the same inputs are learned too: together with
        the labels, or alone from images without any (:meth:`Split.unlabelled`).
    checkpoint : a file to which the state of training is written as it goes on. If it is there already, training goes
        on from it, bit by bit as if it had never stopped, and the epochs done before are yielded again.
    checkpoint_seconds : it is written when so much time has passed since the last, and after every epoch. If it cannot
        be written, the log says so and training goes on.
    cancelled : asked before every batch; if it says True, training stops there and nothing more is yielded. The
        weights are then those of the last step taken (with `keep_best`, of the best epoch, if there was one).
    progress : called with the share of all steps done after every batch.

    Yields
    ------
    Epoch

    Raises
    ------
    TypeError : on settings that there are not.
    ValueError : on settings that make no sense, labels the network has no output for, or a loss that is not finite.
    CheckpointError : if the checkpoint is damaged, or of another training.

    References: Kim et al., ICLR 2016, sec. 4 (base learning rate 1e-3, divided by 10 every 5 or 10 epochs).
    """
    expect_network(network)
    recipe = Recipe.of(**settings) if recipe is None else replace(recipe, **settings)
    if not len(data.train):
        raise ValueError(f"{data.name} has no training images")
    if teacher is None and not data.train.labelled:
        raise ValueError(f"{data.name} has training images without a label: give a teacher to learn from")
    if teacher is None and not data.validation.labelled:
        raise ValueError(f"the validation split of {data.name} has no labels: give a teacher to compare with")
    training = _Training(network, data, recipe, teacher, cancelled, progress)
    if checkpoint is not None:
        training.keep_in(Path(checkpoint), checkpoint_seconds)
    return training.run()


class _Training:
    """One training: the weights, the optimizer, and how far it is."""

    def __init__(
        self,
        network: Network,
        data: Data,
        recipe: Recipe,
        teacher: Network | None,
        cancelled: Callable[[], bool],
        progress: Callable[[float], None] | None,
    ) -> None:
        self.network, self.recipe, self.teacher = network, recipe, teacher
        self.train, self.validation, self.name = data.train, data.validation, data.name
        self.cancelled, self.tell = cancelled, progress
        self.model = network.model
        self.processes = Processes()
        self.steps = -(-len(self.train) // recipe.batch_size)  # of one epoch
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = recipe.optimizer_for(self.parameters)
        self.done = Progress()
        self.best: dict[str, Tensor] = {}
        self.file: Path | None = None
        self.pause, self.saved = 0.0, time.monotonic()
        self.low = _low_precision(network.device) if recipe.mixed_precision else None
        self.scaler = torch.amp.GradScaler(network.device.type, enabled=self.low == torch.float16)

    def keep_in(self, file: Path, pause: float) -> None:
        """Go on from the file if it is there, and write to it from now on."""
        self.file, self.pause = file, pause
        if file.exists():
            self.done, self.best = load_checkpoint(file, self.about(), self.model, self.optimizer)
            if self.done.scaler:
                self.scaler.load_state_dict(self.done.scaler)
        self.processes.wait()  # nobody writes before all have read

    def about(self) -> dict[str, Any]:
        """What must be the same for training to go on."""
        labels = self.train.labels.cpu().contiguous().view(torch.uint8)
        seen = hashlib.blake2b(labels.numpy().data, digest_size=8).hexdigest()
        teacher = self.teacher.name if self.teacher else None
        about = {"network": self.network.name, "teacher": teacher, "data": self.name, "training labels": seen}
        return {**about, "training images": len(self.train), **self.recipe.to_dict()}

    def run(self) -> Iterator[Epoch]:
        self.processes.begin_alike(self.model)
        if not self.validation.labelled:
            assert self.teacher is not None
            self.validation = _answered_by(self.teacher, self.validation)
        yield from tuple(self.done.epochs) if len(self.done.epochs) < self.recipe.epochs else self.done.epochs[:-1]
        try:
            while len(self.done.epochs) < self.recipe.epochs:
                with self.training_mode(), self.processes.one_batch_norm(self.model):
                    if not self.epoch():
                        self.save()
                        return
                self.score()
                self.save()
                if len(self.done.epochs) < self.recipe.epochs:
                    yield self.done.epochs[-1]
        finally:
            if self.best:
                self.model.load_state_dict(self.best)
        yield self.done.epochs[-1]

    @contextmanager
    def training_mode(self) -> Iterator[None]:
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.train()
        if self.recipe.batch_norm == "frozen":
            for module in self.model.modules():
                if isinstance(module, BATCH_NORMS):
                    module.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training

    def epoch(self) -> bool:
        """Train to the end of the epoch; False if it was cancelled before."""
        started = time.perf_counter()
        number = len(self.done.epochs)
        first = self.done.step - number * self.steps  # all of them, if it was stopped before the score
        order = torch.Generator().manual_seed(self.recipe.seed)
        for _ in range(number):  # the order of an epoch is that epoch's draw
            torch.randperm(len(self.train), generator=order)
        pieces = torch.randperm(len(self.train), generator=order).split(self.recipe.batch_size)
        before = self.done.seconds
        try:
            for piece in pieces[first:]:
                if not self.step(piece):
                    return False
                self.done.seconds = before + time.perf_counter() - started
                if self.file and time.monotonic() - self.saved >= self.pause:
                    self.save()
        finally:
            self.done.seconds = before + time.perf_counter() - started
        return True

    def step(self, piece: Tensor) -> bool:
        """One step on the images with these indices, over all processes; False if one of them was cancelled."""
        device = self.network.device
        if any(self.processes.sum([float(self.cancelled())], device)):
            return False
        rate = self.recipe.rate(self.done.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.loss(self.processes.share(piece))
        (value,) = self.processes.sum([float(loss.detach())], device)
        if not math.isfinite(value):
            raise ValueError(
                f"training diverged in epoch {len(self.done.epochs) + 1} (the loss is no longer finite): "
                "begin again from the network before it, with a smaller learning rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss / len(piece)).backward()
        self.processes.sum_gradients(self.parameters)
        if self.recipe.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.done.loss_sum += value
        self.done.step += 1
        if self.tell:
            self.tell(self.done.step / (self.steps * self.recipe.epochs))
        return True

    def loss(self, mine: Tensor) -> Tensor:
        """Sum of the losses of the images with these indices; what is random in it depends on seed and step alone."""
        recipe, device = self.recipe, self.network.device
        images, labels = self.train.images[mine], self.train.labels[mine]
        of_step = f"{recipe.seed} {self.done.step} {self.processes.index}".encode()
        seed = int.from_bytes(hashlib.blake2b(of_step, digest_size=7).digest(), "big")
        if recipe.flip or recipe.shift:
            chance = torch.Generator().manual_seed(seed)
            images = augmented(images, chance, flip=recipe.flip, shift=recipe.shift)
        answers = None
        with self.autocast():
            if self.teacher is not None:
                with evaluating(self.teacher.model), torch.no_grad():
                    answers = self.teacher.model(self.teacher.inputs(images)).to(device)
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                torch.manual_seed(seed)  # for dropout
                outputs = self.model(self.network.inputs(images))
        check_labels(outputs, labels, self.train.name)
        if answers is not None and answers.shape != outputs.shape:
            assert self.teacher is not None
            raise ValueError(
                f"the teacher {self.teacher.name} has {answers.shape[1]} classes, {self.network.name} has "
                f"{outputs.shape[1]}: a network learns from one with the same classes"
            )
        each = losses(
            outputs, labels.to(device), answers, temperature=recipe.temperature, label_weight=recipe.label_weight
        )
        return each.sum()

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision where it was asked for and there is a GPU for it."""
        return torch.autocast(self.network.device.type, self.low) if self.low else nullcontext()

    def score(self) -> None:
        """End an epoch: its accuracy, and whether it was the best."""
        score = accuracy(self.network, self.validation)
        number = len(self.done.epochs) + 1
        rate, loss = self.recipe.rate(self.done.step - 1, self.steps), self.done.loss_sum / len(self.train)
        self.done.epochs.append(Epoch(number, loss, score, rate, self.done.seconds))
        self.done.loss_sum = self.done.seconds = 0.0
        if self.recipe.keep_best and score.top1 >= max(epoch.validation.top1 for epoch in self.done.epochs):
            self.done.best = number
            self.best = {key: value.detach().clone() for key, value in self.model.state_dict().items()}

    def save(self) -> None:
        """Write the checkpoint, if there is one to be written and this process is the one that writes."""
        if self.file is None or self.processes.index:
            return
        self.done.scaler = self.scaler.state_dict()
        try:
            save_checkpoint(self.file, self.about(), self.done, self.model, self.optimizer, self.best)
        except OSError as error:  # a full disk, say: what has been trained so far is worth more than the file
            log.warning("training goes on, but the checkpoint %s was not written: %s", self.file.name, error)
        self.saved = time.monotonic()


def _low_precision(device: torch.device) -> torch.dtype | None:
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _answered_by(teacher: Network, split: Split) -> Split:
    """The same images with the teacher's first answers as labels."""
    found = []
    with evaluating(teacher.model), torch.inference_mode():
        for images, _ in split.batches(fitting_batch(teacher.input_shape)):
            found.append(teacher.model(teacher.inputs(images)).argmax(dim=1).cpu())
    return Split(split.images, torch.cat(found), split.name)


if __name__ == "__main__":  # `accelerate launch -m workbench.recover.finetune`: the command line stands above
    runpy.run_module("workbench.launch", run_name="__main__", alter_sys=True)
