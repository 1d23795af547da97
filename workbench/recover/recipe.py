"""Settings of fine-tuning."""

import math
from dataclasses import dataclass, fields
from typing import Any

SCHEDULES = ("step", "cosine")
OPTIMIZERS = ("sgd", "nesterov")
BATCH_NORMS = ("auto", "train", "frozen")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of fine-tuning; the defaults are the paper's.

    Attributes
    ----------
    epochs : passes over the training images, at least 1.
    learning_rate : the largest learning rate.
    schedule : "step" (divided by 10 every `drop_every` epochs) or "cosine" (half a cosine from the largest to zero).
    warmup : epochs, or a fraction of one, in which the learning rate first grows from zero.
    optimizer : "sgd" or "nesterov", both with `momentum`.
    weight_decay : L2 penalty on all weights.
    clip_norm : largest norm of a step's gradient over all weights; a longer gradient is scaled down. 0 for no limit.
    batch_size : images per step, over all processes together.
    seed : determines the order of the images, the augmentation and dropout.
    label_weight : with a teacher, the share of the cross-entropy with the labels, 0 to 1; the rest is the divergence
        from the teacher. Unlabelled images have the divergence only.
    temperature : divisor of both networks' logits before the divergence.
    batch_norm : "train" (statistics of each batch, as usual), "frozen" (running statistics, which stay), or "auto":
        frozen, and gradients clipped to norm 1, if the network was calibrated or distilled, else "train". Calibration
        fits layers to the running statistics: a calibrated ResNet fell from 95.6 to 53.5 % in one epoch of "train".
    flip : whether images are mirrored left to right at random.
    shift : largest random shift of images in pixels, in both directions; the border is filled with black.
    mixed_precision : whether a GPU computes in bfloat16 where that is safe; a CPU does not.

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
        """Return a recipe from settings by name; raise TypeError if a setting is unknown or `epochs` is missing."""
        names = [f.name for f in fields(cls)]
        unknown = sorted(settings.keys() - set(names))
        if unknown:
            raise TypeError(f"fine-tuning has no setting {', '.join(unknown)}; it has {', '.join(names)}")
        if "epochs" not in settings:
            raise TypeError("say for how long: epochs=...")
        return cls(**settings)

    def rate(self, step: float, steps_an_epoch: int) -> float:
        """Return the learning rate of a step, counted from 0; it may be fractional, if the time is limited."""
        warmup_steps = self.warmup * steps_an_epoch
        if step < warmup_steps:
            return self.learning_rate * min(1.0, (step + 1) / warmup_steps)
        if self.schedule == "step":
            return self.learning_rate * float(0.1 ** (step // steps_an_epoch // self.drop_every))
        share = (step - warmup_steps) / (self.epochs * steps_an_epoch - warmup_steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
