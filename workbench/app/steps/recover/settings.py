"""Settings that the page offers for fine-tuning and distillation, and the minutes of *Compress for me*."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

# Text of an option on the page -> value in TrainingSettings
LEARN_FROM = {
    "labels and the original's answers": "both",
    "the labels": "labels",
    "only the original's answers": "original",
}
SCHEDULES = {"the paper's: a tenth every 5 epochs": "step", "cosine: smoothly to zero": "cosine"}
MAX_EPOCHS = 500
COMPRESS_MINUTES, MAX_COMPRESS_MINUTES = 5.0, 600.0
"""Minutes that *Compress for me* takes, and the most that the page accepts."""
RATES = (1e-7, 0.5)  # smallest and largest learning rate that the page accepts


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of fine-tuning, or of distillation where no labels are used."""

    epochs: int = 10
    learning_rate: float = 1e-3
    schedule: str = "step"
    learn_from: str = "both"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "TrainingSettings":
        """Return settings from stored values; raise ValueError if one is unknown or out of range."""
        settings = cls(**{field.name: values[field.name] for field in fields(cls)})
        valid = settings.schedule in SCHEDULES.values() and settings.learn_from in LEARN_FROM.values()
        if not valid or not 1 <= settings.epochs <= MAX_EPOCHS or not RATES[0] <= settings.learning_rate <= RATES[1]:
            raise ValueError("settings of training make no sense")
        return settings

    @property
    def recipe(self) -> dict[str, Any]:
        """The arguments of :func:`~workbench.recover.finetune.finetune` among the settings."""
        return {"epochs": self.epochs, "learning_rate": self.learning_rate, "schedule": self.schedule}

    def __str__(self) -> str:
        targets = {"labels": "", "both": " and the original's answers", "original": " only on the original's answers"}
        return f"learning rate {self.learning_rate:g}{targets[self.learn_from]}"
