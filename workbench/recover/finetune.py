"""Fine-tune a network: gradient descent over all of it, by labels, by the original's answers, or both."""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from workbench.network.data import Data, Split
from workbench.network.network import Network, copy_model, expect_network
from workbench.network.scores import Score, accuracy, answers, check_labels
from workbench.progress import Cancelled, Progress, reporter
from workbench.recover.augmentation import augmented
from workbench.recover.checkpoint import Epoch, TrainingState, load_checkpoint, save_checkpoint
from workbench.recover.losses import losses
from workbench.recover.processes import BATCH_NORMS, Processes
from workbench.recover.recipe import Recipe

__all__ = ["Epoch", "finetune"]

log = logging.getLogger(__name__)
N = TypeVar("N", bound=Network)

FITTED_CLIP_NORM = 1.0
"""Largest length of a gradient where batch norms keep their statistics and the recipe says none."""
HELD_OUT_SHARE = 0.1
"""Share of the training images that is held out to choose by, where the data have no validation images."""


def finetune(
    network: N,
    data: Data,
    *,
    recipe: Recipe | None = None,
    teacher: Network | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 30.0,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: Progress | bool | None = None,
    **settings: Any,
) -> N:
    """Train a copy of a network on ``data.train`` and return it at its best epoch; ``data.test`` is never touched.

    The network that was given counts as epoch 0: what is returned is never worse by the validation images. Without
    validation images a tenth of the training images is held out for that. Without further settings the recipe is the
    paper's: SGD with momentum, the learning rate divided by 10 every 5 epochs. Where several processes run this
    together (``accelerate launch``), each takes its share of every batch, and all end with the same weights.

    Parameters
    ----------
    recipe : all settings; None for the paper's.
    settings : those of :class:`~workbench.recover.recipe.Recipe` by name, over those of `recipe`: `epochs`,
        `learning_rate`, `drop_every`, `schedule`, `batch_size`, `seed`, `flip` and so on.
    teacher : a network, usually the original, whose softened answers on the same inputs are learned too: together with
        the labels, or alone from images without any; then a compressed network's original is the default.
    checkpoint : a file to which the state of training is written as it goes on. If it exists, training goes on from it,
        bit by bit as if it had never stopped, and the epochs done before are reported again.
    checkpoint_seconds : seconds between two writes; it is also written after every epoch. If it cannot be written, the
        log says so and training goes on.
    on_epoch : called with each :class:`Epoch`.
    progress : called after every batch; raising `Cancelled` ends the training, and the best epoch so far is returned.

    Returns
    -------
    A network of the same kind, with the epochs done in its `history`.

    Raises
    ------
    TypeError : on settings that there are not.
    ValueError : on settings that make no sense, no images to learn from, labels the network has no output for, or a
        loss that is not finite.
    CheckpointError : if the checkpoint is damaged, or of another training.

    References: Kim et al., ICLR 2016, sec. 4 (base learning rate 1e-3, divided by 10 every 5 or 10 epochs).
    """
    expect_network(network)
    recipe = Recipe.of(**settings) if recipe is None else replace(recipe, **settings)
    if recipe.batch_norm == "auto":
        frozen = {"batch_norm": "frozen", "clip_norm": recipe.clip_norm or FITTED_CLIP_NORM}
        recipe = replace(recipe, **(frozen if network.fitted else {"batch_norm": "train"}))
    train, validation = _splits(data)
    if teacher is None and not (train.labelled and validation.labelled):
        teacher = network.original
        if teacher is None:
            raise ValueError(f"{data.name} has images without a label: give a teacher to learn from")
    training = _Training(network, train, validation, data.name, recipe, teacher, reporter(progress))
    if checkpoint is not None:
        training.keep_in(Path(checkpoint), checkpoint_seconds)
    training.run(on_epoch or (lambda epoch: None))
    source = f"{network.source}; fine-tuned" if training.done.best else network.source
    changes = {"source": source, "history": tuple(training.done.epochs)}
    return network.with_model(training.model, **changes)


def _splits(data: Data) -> tuple[Split, Split]:
    """Return the images to train on and the images to choose the best epoch by."""
    if not len(data.train):
        raise ValueError(f"{data.name} has no training images")
    if len(data.validation):
        return data.train, data.validation
    count = max(1, round(HELD_OUT_SHARE * len(data.train)))
    if count == len(data.train):
        raise ValueError(f"{data.name} has {count} training image and no validation images: there is none to choose by")
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    kept, held = order[count:].sort().values, order[:count].sort().values
    split = data.train
    return (
        Split(split.images[kept], split.labels[kept], split.name),
        Split(split.images[held], split.labels[held], "validation"),
    )


class _Training:
    """One training: the weights, the optimizer, and how far it is."""

    def __init__(
        self,
        network: Network,
        train: Split,
        validation: Split,
        name: str,
        recipe: Recipe,
        teacher: Network | None,
        report: Progress,
    ) -> None:
        self.recipe, self.teacher, self.report = recipe, teacher, report
        self.train, self.validation, self.name = train, validation, name
        self.model = copy_model(network.model)
        self.network = network.with_model(self.model)  # to score with
        self.processes = Processes()
        self.steps = -(-len(self.train) // recipe.batch_size)  # of one epoch
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = recipe.optimizer_for(self.parameters)
        self.done = TrainingState()
        self.best: dict[str, Tensor] = {}
        self.file: Path | None = None
        self.pause, self.saved = 0.0, time.monotonic()
        self.low = _low_precision(network.device) if recipe.mixed_precision else None
        self.scaler = torch.amp.GradScaler(network.device.type, enabled=self.low == torch.float16)

    def keep_in(self, file: Path, pause: float) -> None:
        """Go on from the file if it exists, and write to it from now on."""
        self.file, self.pause = file, pause
        if file.exists():
            self.done, self.best = load_checkpoint(file, self.about(), self.model, self.optimizer)
            if self.done.scaler:
                self.scaler.load_state_dict(self.done.scaler)
        self.processes.wait()  # nobody writes before all have read

    def about(self) -> dict[str, Any]:
        """Return what must be the same for training to go on."""
        labels = self.train.labels.cpu().contiguous().view(torch.uint8)
        seen = hashlib.blake2b(labels.numpy().data, digest_size=8).hexdigest()
        teacher = self.teacher.name if self.teacher else None
        about = {"network": self.network.name, "teacher": teacher, "data": self.name, "training labels": seen}
        return {**about, "training images": len(self.train), **self.recipe.to_dict()}

    def run(self, on_epoch: Callable[[Epoch], object]) -> None:
        """Train to the end, or until it is cancelled; the model then has its best weights."""
        self.processes.begin_alike(self.model)
        if not self.validation.labelled:
            assert self.teacher is not None
            labels = answers(self.teacher, self.validation)
            self.validation = Split(self.validation.images, labels, self.validation.name)
        if self.done.start is None:
            self.done.start = self.score()
            self.best = self.weights()
        try:
            for epoch in self.done.epochs:
                on_epoch(epoch)
            while len(self.done.epochs) < self.recipe.epochs:
                with self.training_mode(), self.processes.one_batch_norm(self.model):
                    self.epoch()
                self.end_epoch()
                self.save()
                on_epoch(self.done.epochs[-1])
        except Cancelled:
            self.save()
        finally:
            self.model.load_state_dict(self.best)
            self.model.eval()

    @contextmanager
    def training_mode(self) -> Iterator[None]:
        self.model.train()
        if self.recipe.batch_norm == "frozen":
            for module in self.model.modules():
                if isinstance(module, BATCH_NORMS):
                    module.eval()
        try:
            yield
        finally:
            self.model.eval()

    def epoch(self) -> None:
        """Train to the end of the epoch."""
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
                self.step(piece)
                self.done.seconds = before + time.perf_counter() - started
                if self.file and time.monotonic() - self.saved >= self.pause:
                    self.save()
        finally:
            self.done.seconds = before + time.perf_counter() - started

    def step(self, piece: Tensor) -> None:
        """Take one step on the images with these indices, over all processes; raise `Cancelled` in all or none."""
        device = self.network.device
        done, epochs = self.done.step, self.recipe.epochs
        cancelled = 0.0
        try:
            self.report(done / (self.steps * epochs), f"epoch {len(self.done.epochs) + 1} of {epochs}")
        except Cancelled:
            cancelled = 1.0
        if any(self.processes.sum([cancelled], device)):
            raise Cancelled
        rate = self.recipe.rate(done, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.loss(self.processes.share(piece))
        (value,) = self.processes.sum([float(loss.detach())], device)
        if not math.isfinite(value):
            raise ValueError(
                f"training diverged in epoch {len(self.done.epochs) + 1} (the loss is no longer finite): "
                "take a smaller learning rate"
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

    def loss(self, mine: Tensor) -> Tensor:
        """Sum the losses of the images with these indices; what is random depends on seed and step alone."""
        recipe, device = self.recipe, self.network.device
        images, labels = self.train.images[mine], self.train.labels[mine]
        of_step = f"{recipe.seed} {self.done.step} {self.processes.index}".encode()
        seed = int.from_bytes(hashlib.blake2b(of_step, digest_size=7).digest(), "big")
        if recipe.flip or recipe.shift:
            chance = torch.Generator().manual_seed(seed)
            images = augmented(images, chance, flip=recipe.flip, shift=recipe.shift)
        taught = None
        with self.autocast():
            if self.teacher is not None:
                with torch.no_grad():
                    taught = self.teacher.model(self.teacher.inputs(images)).to(device)
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                torch.manual_seed(seed)  # for dropout
                outputs = self.model(self.network.inputs(images))
        check_labels(outputs, labels, self.train.name)
        if taught is not None and taught.shape != outputs.shape:
            assert self.teacher is not None
            raise ValueError(
                f"the teacher {self.teacher.name} has {taught.shape[1]} classes, {self.network.name} has "
                f"{outputs.shape[1]}: a network learns from one with the same classes"
            )
        each = losses(
            outputs, labels.to(device), taught, temperature=recipe.temperature, label_weight=recipe.label_weight
        )
        return each.sum()

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context of mixed precision if it was requested and there is a GPU for it."""
        return torch.autocast(self.network.device.type, self.low) if self.low else nullcontext()

    def score(self) -> Score:
        """Score the model on the images to choose by."""
        return accuracy(self.network, self.validation)

    def weights(self) -> dict[str, Tensor]:
        """Copy the model's present weights."""
        return {key: value.detach().clone() for key, value in self.model.state_dict().items()}

    def end_epoch(self) -> None:
        """Score the epoch, and keep its weights if none before was better."""
        score = self.score()
        number = len(self.done.epochs) + 1
        rate, loss = self.recipe.rate(self.done.step - 1, self.steps), self.done.loss_sum / len(self.train)
        scores = [self.done.start, *(epoch.validation for epoch in self.done.epochs)]
        self.done.epochs.append(Epoch(number, loss, score, rate, self.done.seconds))
        self.done.loss_sum = self.done.seconds = 0.0
        if all(score.top1 >= before.top1 for before in scores if before is not None):
            self.done.best = number
            self.best = self.weights()

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
