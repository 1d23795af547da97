"""Save and load the state of fine-tuning, so that an interrupted training continues exactly as if uninterrupted.

The file holds only tensors, numbers and text: the weights, the best weights so far, the optimizer's state, finished
epochs and settings. The order of the images, the augmentation and dropout depend only on the seed and the step, so
no generator's state is needed. The file is written atomically, with a checksum, and loading runs no code.
"""

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.files import write_atomically
from workbench.network.scores import Score

VERSION = 4
"""Version of the file's layout."""
MAX_ROUNDING = 1e-5
"""Relative difference up to which two numbers of `identity` count as equal: rounding in a decomposition depends on the
machine and the number of threads."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and says why."""


class OtherTrainingError(CheckpointError):
    """A checkpoint of a training with other settings, data or starting weights."""


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch of training.

    Attributes
    ----------
    epoch : 1, 2, ...
    loss : mean loss of the epoch's training images: cross-entropy, distillation loss, or a mixture of both.
    validation : score on the validation images, by labels or by the teacher's answers; for distillation the negative
        divergence from the original on the held-out images.
    learning_rate : learning rate of the epoch's last step.
    seconds : wall time of training, without validation.
    """

    epoch: int
    loss: float
    validation: Score
    learning_rate: float
    seconds: float

    def __str__(self) -> str:
        rate = f"learning rate {self.learning_rate:g}"
        return f"epoch {self.epoch}: loss {self.loss:.4f}, validation {self.validation}, {rate}, {self.seconds:.1f} s"


@dataclass
class TrainingState:
    """Progress of training, without weights and the optimizer's state."""

    step: int = 0  # over all epochs
    loss_sum: float = 0.0  # of the current epoch
    seconds: float = 0.0  # of training in the current epoch
    epochs: list[Epoch] = field(default_factory=list)
    start: Score | None = None  # score before training
    best: int = 0  # number of the epoch with the best score; 0 for the start


def save_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    progress: TrainingState,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint; `identity` holds the settings that must not change, `best` the weights of the best epoch."""
    state = {"about": {"version": VERSION, **identity}, "progress": asdict(progress), "model": dict(model.state_dict())}
    buffer = io.BytesIO()
    torch.save({**state, "best": dict(best), "optimizer": optimizer.state_dict()}, buffer)
    content = buffer.getvalue()
    write_atomically(path, hashlib.sha256(content).digest() + content)


def load_checkpoint(
    path: Path, identity: Mapping[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[TrainingState, dict[str, Tensor]]:
    """Restore the model and the optimizer; return the training state and the weights of the best epoch.

    Raises
    ------
    CheckpointError : if the file is damaged, or `identity` or the version differs (the message names the first
        difference); model and optimizer are then unchanged.
    """
    content = path.read_bytes()
    size = hashlib.sha256().digest_size
    if hashlib.sha256(content[size:]).digest() != content[:size]:
        raise CheckpointError(f"{path.name} is damaged or no checkpoint of fine-tuning: delete it")
    state = torch.load(io.BytesIO(content[size:]), map_location=next(model.parameters()).device, weights_only=True)
    for key, value in {"version": VERSION, **identity}.items():
        stored = state["about"].get(key)
        are_floats = isinstance(stored, float) and isinstance(value, float)
        if not math.isclose(stored, value, rel_tol=MAX_ROUNDING) if are_floats else stored != value:
            raise OtherTrainingError(
                f"{path.name} is the checkpoint of another training, its {key} was {stored}, not {value}: "
                "go on with the same settings, or delete it"
            )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    progress = state["progress"]
    epochs = [Epoch(**{**epoch, "validation": Score(**epoch["validation"])}) for epoch in progress["epochs"]]
    return TrainingState(**{**progress, "epochs": epochs, "start": Score(**progress["start"])}), state["best"]
