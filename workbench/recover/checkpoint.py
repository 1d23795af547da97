"""Save and load the state of fine-tuning, so that training continues exactly as if it had not been interrupted.

The file holds only tensors, numbers and text: the weights, the best weights so far, the optimizer's state, the epochs
done and the settings. The order of the images, the augmentation and dropout are functions of the seed and the step, so
no state of a random generator is needed. The file is written atomically, with a checksum, and loading runs no code.
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
"""Relative difference of two numbers in `about` up to which they are the same: a decomposition on another machine, or
in other threads, is rounded otherwise."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the sentence names the file and says why."""


class OtherTrainingError(CheckpointError):
    """A checkpoint of a training with other settings, data or starting weights."""


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch of training.

    Attributes
    ----------
    epoch : 1, 2, ...
    loss : mean over the epoch's training images: cross-entropy, the loss of distillation, or a mixture of both.
    validation : score on the validation images, by labels or by the teacher's answers; of distillation the negative
        divergence from the original on the images that are held out.
    learning_rate : that of the epoch's last step.
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
    """Progress of training: everything but the weights and the optimizer's state."""

    step: int = 0  # over all epochs
    loss_sum: float = 0.0  # of the current epoch
    seconds: float = 0.0  # of training in the current epoch
    epochs: list[Epoch] = field(default_factory=list)
    start: Score | None = None  # score before training
    best: int = 0  # number of the epoch with the best score; 0 for the start


def save_checkpoint(
    path: Path,
    about: Mapping[str, Any],
    progress: TrainingState,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint; `about` has the settings that must not change, `best` the weights of the best epoch."""
    state = {"about": {"version": VERSION, **about}, "progress": asdict(progress), "model": dict(model.state_dict())}
    buffer = io.BytesIO()
    torch.save({**state, "best": dict(best), "optimizer": optimizer.state_dict()}, buffer)
    content = buffer.getvalue()
    write_atomically(path, hashlib.sha256(content).digest() + content)


def load_checkpoint(
    path: Path, about: Mapping[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[TrainingState, dict[str, Tensor]]:
    """Restore the model and the optimizer; return the training state and the weights of the best epoch.

    Raises
    ------
    CheckpointError : if the file is damaged, or `about` or the version differs, naming the first difference; the model
        and the optimizer are then unchanged.
    """
    found = path.read_bytes()
    size = hashlib.sha256().digest_size
    if hashlib.sha256(found[size:]).digest() != found[:size]:
        raise CheckpointError(f"{path.name} is damaged or no checkpoint of fine-tuning: delete it")
    state = torch.load(io.BytesIO(found[size:]), map_location=next(model.parameters()).device, weights_only=True)
    for key, now in {"version": VERSION, **about}.items():
        then = state["about"].get(key)
        both = isinstance(then, float) and isinstance(now, float)
        if not math.isclose(then, now, rel_tol=MAX_ROUNDING) if both else then != now:
            raise OtherTrainingError(
                f"{path.name} is the checkpoint of another training, its {key} was {then}, not {now}: "
                "go on with the same settings, or delete it"
            )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    values = state["progress"]
    epochs = [Epoch(**{**epoch, "validation": Score(**epoch["validation"])}) for epoch in values["epochs"]]
    return TrainingState(**{**values, "epochs": epochs, "start": Score(**values["start"])}), state["best"]
