"""Save the state of fine-tuning to a file, from which it goes on exactly as if it had not stopped.

A safetensors file with the weights, the best weights so far, the optimizer's tensors, and in its header as JSON the
step, the epochs done and the settings. The order of the images, the augmentation and dropout are functions of the seed
and the step, so these two are the whole state of their generators. Written whole or not at all, never unpickled.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from workbench.files import write_atomically
from workbench.network.scores import Score

VERSION = 2
"""Version of the file's layout."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the sentence names the file and says why."""


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch of training.

    Attributes
    ----------
    epoch : 1, 2, ...
    loss : mean over the epoch's training images: cross-entropy, the mixture with a teacher, or that of distillation.
    validation : score on the validation images, by labels or by the teacher's answers; None for distillation.
    learning_rate : that of the epoch's last step.
    seconds : wall time of training, without validation.
    """

    epoch: int
    loss: float
    validation: Score | None
    learning_rate: float
    seconds: float

    def __str__(self) -> str:
        score = f", validation {self.validation}" if self.validation else ""
        rate = f"learning rate {self.learning_rate:g}"
        return f"epoch {self.epoch}: loss {self.loss:.4f}{score}, {rate}, {self.seconds:.1f} s"


@dataclass
class TrainingState:
    """How far training is, apart from the weights and the optimizer.

    Attributes
    ----------
    step : steps done, over all epochs.
    loss_sum, seconds : of the epoch that is going on.
    epochs : those done.
    start : score of the network that training began with.
    best : number of the epoch that was best on the validation images; 0 for the start.
    scaler : state of the gradient scaler of float16.
    """

    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    epochs: list[Epoch] = field(default_factory=list)
    start: Score | None = None
    best: int = 0
    scaler: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    path: Path,
    about: Mapping[str, Any],
    progress: TrainingState,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Mapping[str, Tensor],
) -> None:
    """Write the file, whole or not at all.

    Parameters
    ----------
    about : what must be the same when training goes on: settings, names, sizes; JSON values.
    best : weights of the best epoch.
    """
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    tensors |= {f"best.{key}": value for key, value in best.items()}
    numbers: dict[str, Any] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            else:
                numbers[f"{index}.{key}"] = value
    head = {"version": VERSION, "about": dict(about), "progress": asdict(progress), "optimizer": numbers}
    owned = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    write_atomically(path, save(owned, {"checkpoint": json.dumps(head)}))


def load_checkpoint(
    path: Path, about: Mapping[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[TrainingState, dict[str, Tensor]]:
    """Put weights and optimizer back as they were saved.

    Returns
    -------
    How far it was, and the weights of the best epoch.

    Raises
    ------
    CheckpointError : if the file is damaged, of another version, or of another training, naming the first difference;
        model and optimizer are then unchanged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            head = json.loads((file.metadata() or {})["checkpoint"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        version = head["version"]
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path.name} is damaged or no checkpoint of fine-tuning: delete it ({error})") from None
    if version != VERSION:
        raise CheckpointError(f"{path.name} is a checkpoint of version {version}; this workbench reads {VERSION}")
    for key in about.keys() | head["about"].keys():
        then, now = head["about"].get(key), json.loads(json.dumps(about.get(key)))
        if then != now:
            raise CheckpointError(
                f"{path.name} is the checkpoint of another training, its {key} was {then}, not {now}: "
                "go on with the same settings, or delete it"
            )
    own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in _under("model.", tensors).items()}
    if own != found:
        first = sorted(key for key in own.keys() | found.keys() if own.get(key) != found.get(key))[0]
        raise CheckpointError(
            f"{path.name} is the checkpoint of another network: {first} is {found.get(first)}, not {own.get(first)}"
        )
    model.load_state_dict(_under("model.", tensors))
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**_under("optimizer.", tensors), **head["optimizer"]}.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    values = head["progress"]
    epochs = [Epoch(**{**epoch, "validation": Score(**epoch["validation"])}) for epoch in values["epochs"]]
    start = Score(**values["start"]) if values["start"] else None
    return TrainingState(**{**values, "epochs": epochs, "start": start}), _under("best.", tensors)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
