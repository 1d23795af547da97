"""Distil a compressed network: train it to answer as the original does, without labels.

The loss is the divergence between softened answers. The original answers any input, so images are moved, mirrored and
mixed with each other, which makes many of few. Factors are balanced first, batch norms train with the statistics of
each batch, and the result is the exponential moving average of the weights. A part of the images is held out: by the
divergence from the original on them, the best average of all epochs is returned, or the network that was given if none
was better.

References: Hinton, Vinyals, Dean, *Distilling the knowledge in a neural network*, 2015; Beyer et al., *Knowledge
distillation: a good teacher is patient and consistent*, CVPR 2022 (mixed images).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from workbench.network.activations import BATCH_NORMS
from workbench.network.data import Split
from workbench.network.inputs import Images, inputs_of, random_view
from workbench.network.network import copy_model
from workbench.network.outputs import divergence, size_of
from workbench.network.scores import Score
from workbench.plan.compressed import CompressedNetwork, expect_compressed
from workbench.progress import Progress, reporter
from workbench.recover.calibrate import balance
from workbench.recover.checkpoint import Epoch
from workbench.recover.finetune import augmented, distillation_losses
from workbench.recover.layout import TRIAL_IMAGES, laid_out, training_layout
from workbench.recover.recipe import Recipe
from workbench.recover.training import Training

TEMPERATURE = 4.0
"""Divisor of the logits before the divergence."""
WARMUP_SHARE = 0.1
"""Share of the training in which the learning rate rises from zero."""
HELD_OUT_SHARE = 0.2
"""Share of the images that is held out to choose by."""
MIN_IMAGES_TO_HOLD_OUT = 16
"""Smallest number of images from which some are held out; fewer are all learned from, and chosen by."""
MAX_SHIFT_SHARE = 1 / 8
"""Share of their side by which images of the input's size are moved at most."""
MIXED_SHARE = 0.9
"""Share of the images that are mixed."""
MAX_HELD_OUT_IMAGES = 200
"""Largest number of images that are held out."""


def distill(
    compressed: CompressedNetwork,
    images: Images,
    *,
    minutes: float | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: Progress | bool | None = None,
) -> CompressedNetwork:
    """Train a compressed network on the original's answers, without labels.

    A fifth of the images, at most 200, is held out, and the network is compared with the original on them before
    training, after each epoch and at the end. What is returned is the best of these by its divergence from the
    original: never worse there than what was given. They are compared on in their usual view and in a random one,
    because a network that was calibrated on the same images has nearly learned them by heart in their usual view, and
    a random one says little of images that are never turned or moved. Of fewer than 16 images none is held out, and
    all are compared on, so that a network that only memorises them is not noticed.

    Parameters
    ----------
    compressed : best calibrated before.
    images : as the data hold them; labels are not looked at. Images of a Split or a tensor are mirrored at random, and
        moved, or cut out and rescaled where they are larger than the input; nine in ten are mixed.
    minutes, epochs : how long, comparisons included; give one of them. With `epochs` the result is reproducible.
    learning_rate : the highest of SGD with momentum; it falls along a cosine to zero. None for 0.03 with batch norms,
        which bear that, and 0.003 without: five times as much made a calibrated GoogLeNet worse, within ten steps.
    batch_size : None for 64 with batch norms and 16 without.
    seed : of the images that are held out, the order of the others, and how they are cut out.
    on_epoch : called with each :class:`~workbench.recover.checkpoint.Epoch`; its validation score is the negative
        divergence on the images that are held out.
    progress : called before each step; raising `Cancelled` ends the training, and the best so far is returned.

    Returns
    -------
    CompressedNetwork with balanced factors and the epochs in its `history`; with the weights that were given if
    training did not help, and then its `source` says so.

    Raises
    ------
    ValueError : on settings that make no sense, no images, or a loss that is not finite.
    """
    expect_compressed(compressed)
    if (minutes is None) == (epochs is None):
        raise ValueError("say how long to distill: either minutes or epochs")
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ValueError(f"minutes must be a number above 0, not {minutes}")
    normalised = any(isinstance(module, BATCH_NORMS) for module in compressed.model.modules())
    if batch_size is None:
        batch_size = 64 if normalised else 16
    if learning_rate is None:
        learning_rate = 3e-2 if normalised else 3e-3
    batches = inputs_of(compressed.original, images, batch_size=batch_size)
    held = batches.images.images if isinstance(batches.images, Split) else batches.images
    recipe = Recipe(
        epochs=1 if epochs is None else epochs,
        learning_rate=learning_rate,
        schedule="cosine",
        warmup=WARMUP_SHARE * (epochs or 1),
        optimizer="nesterov",  # Adam's steps, of one size in all directions, undo a calibration
        weight_decay=0.0,
        clip_norm=1.0,
        batch_norm="train" if normalised else "frozen",
        batch_size=1 if isinstance(held, tuple) else batch_size,
        seed=seed,
    )
    order = torch.randperm(len(held), generator=torch.Generator().manual_seed(seed))
    count = min(MAX_HELD_OUT_IMAGES, round(HELD_OUT_SHARE * len(held))) if len(held) >= MIN_IMAGES_TO_HOLD_OUT else 0
    learned, judged = order[count:], order[:count] if count else order
    student = balance(compressed)
    student.model.requires_grad_(True)
    match = _Match(student, held)
    training = Training(
        student,
        recipe,
        reporter(progress),
        size=len(learned),
        loss=lambda piece: match.loss(learned[piece]),
        score=lambda: match.score(judged.split(recipe.batch_size), seed),
        averaged=True,
        minutes=minutes,
    )
    training.run(on_epoch)
    history = tuple(training.done.epochs)
    if not training.done.best:
        source = f"{compressed.source}; distilled without success, so with the weights from before"
        return compressed.with_model(copy_model(compressed.model), source=source, history=history)
    for made, given in zip(student.model.parameters(), compressed.model.parameters(), strict=True):
        made.requires_grad_(given.requires_grad)
    return student.with_model(student.model, source=f"{compressed.source}; distilled", history=history, fitted=True)


class _Match:
    """The loss between a compressed network and its original."""

    def __init__(self, student: CompressedNetwork, images: Any) -> None:
        self.student, self.images = student, images  # (n, ...), or a tuple of batches
        few = images[0] if isinstance(images, tuple) else images[:TRIAL_IMAGES]
        self.layout = training_layout([student], few)

    def _images(self, piece: Tensor) -> Any:
        return self.images[int(piece)] if isinstance(self.images, tuple) else self.images[piece]

    def _moved(self, images: Any) -> Any:
        """Return images as inputs, in random views by the default generator."""
        if isinstance(self.images, tuple):
            return self.student.inputs(images)
        if images.ndim == 4 and tuple(images.shape[2:]) == tuple(self.student.input_shape[1:]):
            images = augmented(images, flip=True, shift=round(MAX_SHIFT_SHARE * images.shape[2]))
        return random_view(self.student, images, torch.default_generator)

    def loss(self, piece: Tensor) -> Tensor:
        """Return the divergence between the answers, times the number of the indices."""
        inputs = self._moved(self._images(piece))
        if isinstance(inputs, Tensor) and inputs.ndim == 4 and not isinstance(self.images, tuple):
            inputs = mixed(inputs)
        inputs = laid_out(inputs, self.layout)
        with torch.no_grad():
            wanted = self.student.original.run(inputs)
        made = self.student.run(inputs)
        if isinstance(wanted, Tensor) and wanted.ndim == 2:  # logits
            return len(piece) * distillation_losses(made, wanted, TEMPERATURE).mean()
        return len(piece) * divergence(wanted, made) / max(1, size_of(inputs))

    def score(self, pieces: Iterable[Tensor], seed: int) -> Score:
        """Return the negative mean divergence from the original on batches of indices.

        Each image is seen in its usual view, and in the same random view each time; batches of the user's as they are.
        """
        nats, n = 0.0, 0
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # those of GPUs are the user's
            for piece in pieces:
                images = self._images(piece)
                usual = self.student.inputs(images)
                views = (usual,) if isinstance(self.images, tuple) else (usual, self._moved(images))
                n += size_of(usual)
                for inputs in views:
                    found = divergence(self.student.original.run(inputs), self.student.run(inputs))
                    nats += float(found) / len(views)
        return Score(-nats / max(1, n), -nats / max(1, n), n, "negative divergence")


def mixed(inputs: Tensor) -> Tensor:
    """Return a batch of images (n, channels, height, width), some of them mixed, by the default generator.

    Of nine in ten, half are blended with the image before, and half get a rectangle of it. Each batch has some of all
    kinds, so that its statistics are those of the other batches.

    References: Zhang et al., *mixup*, ICLR 2018; Yun et al., *CutMix*, ICCV 2019.
    """
    kind, share, down, right = torch.rand(4, len(inputs), 1, 1)
    side = share.sqrt()
    rows, columns = (torch.arange(n) / n for n in inputs.shape[2:])
    above, left = (rows[:, None] - down * (1 - side), columns - right * (1 - side))
    inside = (above >= 0) & (above < side) & (left >= 0) & (left < side)
    weights = torch.where(kind < MIXED_SHARE / 2, share, 1 - inside.float())  # of each image's own pixels
    weights = torch.where(kind < MIXED_SHARE, weights, 1.0)
    return inputs.roll(1, 0).lerp(inputs, weights[:, None].to(inputs))
