"""Settings of training as the page has them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

LEARN_FROM = {
    "labels": "the labels",
    "both": "labels and the original's answers",
    "original": "the original's answers alone",
}
"""What a network learns from -> its name on the page."""
SCHEDULES = {"step": "the paper's: a tenth every 5 epochs", "cosine": "cosine: smoothly to zero"}
"""Schedule of the learning rate -> its name on the page."""
MAX_EPOCHS = 500
MAX_LEARNING_RATE = 0.5


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of fine-tuning, or of distillation where no labels are used."""

    epochs: int = 10
    learning_rate: float = 1e-3
    schedule: str = "step"
    learn_from: str = "labels"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "TrainingSettings":
        """Return settings from stored ones; ValueError if they make no sense."""
        found = cls(**{field.name: values[field.name] for field in fields(cls)})
        sane = found.schedule in SCHEDULES and found.learn_from in LEARN_FROM
        if not sane or not 1 <= found.epochs <= MAX_EPOCHS or not 0 < found.learning_rate <= MAX_LEARNING_RATE:
            raise ValueError("settings of training make no sense")
        return found

    def __str__(self) -> str:
        words = {"labels": "", "both": " and the original's answers", "original": " on the original's answers alone"}
        return f"learning rate {self.learning_rate:g}{words[self.learn_from]}"
