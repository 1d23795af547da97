"""Settings of fine-tuning."""

import math
from dataclasses import dataclass, fields
from typing import Any

SCHEDULES = ("step", "cosine")
OPTIMIZERS = ("sgd", "nesterov")
BATCH_NORMS = ("auto", "train", "frozen")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of fine-tuning; without changes the paper's.

    Attributes
    ----------
    epochs : times that every training image is seen, at least 1.
    learning_rate : the largest one.
    schedule : "step" (divided by 10 every `drop_every` epochs) or "cosine" (half a cosine from the largest to zero).
    warmup : epochs, or a part of one, in which the learning rate first grows from zero.
    optimizer : "sgd" or "nesterov", both with `momentum`.
    weight_decay : on all weights.
    clip_norm : largest length of a step's gradient, over all weights; a longer one is shortened. 0 for no limit.
    batch_size : images a step, over all processes together.
    seed : of the order of the images, the augmentation and dropout.
    label_weight : with a teacher, the share of the cross-entropy with the labels, 0 to 1; the rest is the divergence
        from the teacher. Images without a label have only the divergence.
    temperature : what the logits of both are divided by before that divergence is taken.
    batch_norm : "train" (statistics of each batch, as usual), "frozen" (the network's running ones, which stay), or
        "auto": frozen, and gradients clipped to length 1, where the network was calibrated or distilled. Its layers are
        fitted to the running statistics: a calibrated ResNet fell from 95.6 to 53.5 % in one epoch of "train".
    flip : whether images are mirrored left to right at random.
    shift : pixels by which images are moved at random, at most, in both directions; black comes in.
    mixed_precision : on a GPU, bfloat16 where that is safe; nothing changes on a CPU.

    References: Kim et al., ICLR 2016, sec. 4 (step); Hinton et al., 2015, sec. 2 (teacher, temperature); Loshchilov and
    Hutter, ICLR 2017 (cosine).
    """

    epochs: int
    learning_rate: float = 1e-3
    schedule: str = "step"
    drop_every: int = 5
    warmup: float = 0.0
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip_norm: float = 0.0
    batch_size: int = 32
    seed: int = 0
    label_weight: float = 0.1
    temperature: float = 4.0
    batch_norm: str = "auto"
    flip: bool = False
    shift: int = 0
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        for name, minimum in (("epochs", 1), ("batch_size", 1), ("drop_every", 1), ("shift", 0)):
            value = getattr(self, name)
            if int(value) != value or value < minimum:
                raise ValueError(f"{name} must be a whole number of at least {minimum}, not {value}")
        texts = (("schedule", SCHEDULES), ("optimizer", OPTIMIZERS), ("batch_norm", BATCH_NORMS))
        for name, choices in (*texts, ("flip", (False, True)), ("mixed_precision", (False, True))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is one of {', '.join(map(repr, choices))}, not {getattr(self, name)!r}")
        for name in ("learning_rate", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number above 0, not {getattr(self, name)}")
        for name in ("weight_decay", "clip_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of at least 0, not {getattr(self, name)}")
        if not 0 <= self.momentum < 1 or (self.optimizer == "nesterov" and not self.momentum):
            raise ValueError(f"{self.optimizer} cannot have the momentum {self.momentum}")
        if not 0 <= self.label_weight <= 1:
            raise ValueError(f"label_weight is a share from 0 to 1, not {self.label_weight}")
        if not 0 <= self.warmup < self.epochs:
            raise ValueError(f"warmup must be shorter than the {self.epochs} epochs, not {self.warmup}")

    @classmethod
    def of(cls, **settings: Any) -> "Recipe":
        """Return a recipe from settings by name; raise TypeError for one that is missing or unknown."""
        known = [f.name for f in fields(cls)]
        unknown = sorted(settings.keys() - set(known))
        if unknown:
            raise TypeError(f"fine-tuning has no setting {', '.join(unknown)}; it has {', '.join(known)}")
        if "epochs" not in settings:
            raise TypeError("say for how long: epochs=...")
        return cls(**settings)

    def rate(self, step: float, steps_an_epoch: int) -> float:
        """Return the learning rate of one step, counted from 0; between two steps in a limited time."""
        warm = self.warmup * steps_an_epoch
        if step < warm:
            return self.learning_rate * min(1.0, (step + 1) / warm)
        if self.schedule == "step":
            return self.learning_rate * float(0.1 ** (step // steps_an_epoch // self.drop_every))
        share = (step - warm) / (self.epochs * steps_an_epoch - warm)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
