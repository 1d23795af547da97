"""Distil a compressed network: train it to reproduce the original's outputs, without labels.

The loss is the divergence between softened outputs. The original answers any input, so images are shifted, mirrored and
mixed with each other, which multiplies a few images. Factors are balanced first, batch norms train with the statistics
of each batch, and the weights are averaged exponentially. Some images are held out: the result is the average of the
epoch with the smallest divergence from the original on them, or the given network if no epoch is better.

References: Hinton, Vinyals, Dean, *Distilling the knowledge in a neural network*, 2015; Beyer et al., *Knowledge
distillation: a good teacher is patient and consistent*, CVPR 2022 (mixed images).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from workbench.network.activations import BATCH_NORMS
from workbench.network.data import Split
from workbench.network.images.folders import joined
from workbench.network.inputs import Images, inputs_of, random_view
from workbench.network.network import Network, copy_model
from workbench.network.outputs import divergence, size_of
from workbench.network.scores import Score
from workbench.plan.compressed import CompressedNetwork, expect_compressed
from workbench.progress import Progress, reporter
from workbench.recover.calibrate import balance
from workbench.recover.checkpoint import Epoch
from workbench.recover.finetune import augment, distillation_losses
from workbench.recover.layout import TRIAL_IMAGES, to_layout, training_layout
from workbench.recover.recipe import Recipe
from workbench.recover.training import Training

TEMPERATURE = 4.0
"""Divisor of the logits before the divergence."""
WARMUP_SHARE = 0.1
"""Share of the training in which the learning rate rises from zero."""
HELD_OUT_SHARE = 0.2
"""Share of the images that is held out to choose the best epoch."""
MIN_IMAGES_TO_HOLD_OUT = 16
"""Smallest number of images of which some are held out; fewer images serve both to train and to choose."""
MAX_SHIFT_SHARE = 1 / 8
"""Largest shift of images of the input's size, as a share of their side."""
MIXED_SHARE = 0.9
"""Share of the images that are mixed."""
MAX_HELD_OUT_IMAGES = 200
"""Largest number of held-out images."""


def distill(
    compressed: CompressedNetwork,
    images: Images,
    *,
    auxiliary: Images | None = None,
    minutes: float | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: Progress | bool | None = None,
) -> CompressedNetwork:
    """Train a compressed network on the original's outputs, without labels.

    A fifth of `images`, at most 200, is held out. On them the network is compared with the original before training,
    after each epoch and at the end, and the weights with the smallest divergence from the original are returned: never
    worse ones than the given weights. The comparison uses the usual view and a random view of each image: a network
    calibrated on these images has nearly memorised their usual views, and random views say little about images that
    are never rotated or shifted. Of fewer than 16 images none is held out and all are compared, so that memorising
    remains unnoticed.

    Parameters
    ----------
    compressed : preferably calibrated.
    images : images that the network is for, as the data hold them (before preprocessing); labels are ignored. Images
        of a Split or tensor are mirrored at random, and shifted, or cropped and rescaled if they are larger than the
        input; nine in ten are mixed.
    auxiliary : more images, of the same size and dtype, that are learned from as well and never held out. They may show
        anything, since the original answers them too. They must not contain any of `images`: otherwise held-out images
        are learned from, and memorising remains unnoticed. Many of them make epochs long, and networks are compared
        only between epochs.
    minutes, epochs : duration, comparisons included; give one of them. With `epochs` the result is reproducible.
    learning_rate : largest rate of SGD with momentum; it falls along a cosine to zero. None for 0.03 with batch norms
        and 0.003 without them: five times as much made a calibrated GoogLeNet worse within ten steps.
    batch_size : None for 64 with batch norms and 16 without.
    seed : determines the held-out images, the order of the others, and their random views.
    on_epoch : called with each :class:`~workbench.recover.checkpoint.Epoch`; its validation score is the negative
        divergence on the held-out images.
    progress : called before each step; raising `Cancelled` ends the training, and the best network so far is returned.

    Returns
    -------
    CompressedNetwork with balanced factors and the epochs in its `history`; if training did not help, with the given
    weights, as its `source` says.

    Raises
    ------
    ValueError : if a setting is out of range, there are no images or no auxiliary images, these have another size or
        dtype, or the loss is not finite.
    """
    expect_compressed(compressed)
    if (minutes is None) == (epochs is None):
        raise ValueError("say how long to distill: either minutes or epochs")
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ValueError(f"minutes must be a number above 0, not {minutes}")
    has_batch_norms = any(isinstance(module, BATCH_NORMS) for module in compressed.model.modules())
    if batch_size is None:
        batch_size = 64 if has_batch_norms else 16
    if learning_rate is None:
        learning_rate = 3e-2 if has_batch_norms else 3e-3
    pool = _pool_of(compressed.original, images, batch_size)
    recipe = Recipe(
        epochs=1 if epochs is None else epochs,
        learning_rate=learning_rate,
        schedule="cosine",
        warmup=WARMUP_SHARE * (epochs or 1),
        optimizer="nesterov",  # Adam's steps, of one size in all directions, undo a calibration
        weight_decay=0.0,
        clip_norm=1.0,
        batch_norm="train" if has_batch_norms else "frozen",
        batch_size=1 if isinstance(pool, tuple) else batch_size,
        seed=seed,
    )
    number = len(pool)
    order = torch.randperm(number, generator=torch.Generator().manual_seed(seed))
    count = min(MAX_HELD_OUT_IMAGES, round(HELD_OUT_SHARE * number)) if number >= MIN_IMAGES_TO_HOLD_OUT else 0
    train_indices, score_indices = order[count:], order[:count] if count else order
    if auxiliary is not None:
        pool = _joined(pool, _pool_of(compressed.original, auxiliary, batch_size))
        train_indices = torch.cat([train_indices, torch.arange(number, len(pool))])
    student = balance(compressed)
    student.model.requires_grad_(True)
    distillation = _Distillation(student, pool)
    training = Training(
        student,
        recipe,
        reporter(progress),
        size=len(train_indices),
        loss=lambda indices: distillation.loss(train_indices[indices]),
        score=lambda: distillation.score(score_indices.split(recipe.batch_size), seed),
        average_weights=True,
        minutes=minutes,
    )
    training.run(on_epoch)
    history = tuple(training.state.epochs)
    if not training.state.best:
        source = f"{compressed.source}; distilled without success, so with the weights from before"
        return compressed.with_model(copy_model(compressed.model), source=source, history=history)
    for new, old in zip(student.model.parameters(), compressed.model.parameters(), strict=True):
        new.requires_grad_(old.requires_grad)
    return student.with_model(student.model, source=f"{compressed.source}; distilled", history=history, fitted=True)


def _pool_of(network: Network, images: Images, batch_size: int) -> Any:
    """Return all images (n, ...), or all batches, of any source; ValueError if a batch of them does not fit."""
    source = inputs_of(network, images, batch_size=batch_size).images
    return source.images if isinstance(source, Split) else source


def _joined(images: Any, auxiliary: Any) -> Any:
    """Return all images, or all batches; ValueError if the auxiliary images have another size or dtype."""
    if isinstance(images, tuple):
        return images + auxiliary
    shape, other_shape = (f"{pool[:1].dtype} of shape {tuple(pool.shape[1:])}" for pool in (images, auxiliary))
    if shape != other_shape:
        raise ValueError(f"the auxiliary images are {other_shape}, but the images are {shape}; convert them")
    return joined(images, auxiliary)


class _Distillation:
    """Loss and score of a compressed network against its original."""

    def __init__(self, student: CompressedNetwork, images: Any) -> None:
        self.student, self.images = student, images  # (n, ...), or a tuple of batches
        trial_images = images[0] if isinstance(images, tuple) else images[:TRIAL_IMAGES]
        self.layout = training_layout([student], trial_images)

    def _select(self, indices: Tensor) -> Any:
        return self.images[int(indices)] if isinstance(self.images, tuple) else self.images[indices]

    def _random_views(self, images: Any) -> Any:
        """Return inputs that are random views of images, drawn by the default generator."""
        if isinstance(self.images, tuple):
            return self.student.inputs(images)
        if images.ndim == 4 and tuple(images.shape[2:]) == tuple(self.student.input_shape[1:]):
            images = augment(images, flip=True, shift=round(MAX_SHIFT_SHARE * images.shape[2]))
        return random_view(self.student, images, torch.default_generator)

    def loss(self, indices: Tensor) -> Tensor:
        """Return the divergence between the outputs, times the number of indices."""
        inputs = self._random_views(self._select(indices))
        if isinstance(inputs, Tensor) and inputs.ndim == 4 and not isinstance(self.images, tuple):
            inputs = mix_images(inputs)
        inputs = to_layout(inputs, self.layout)
        with torch.no_grad():
            teacher_outputs = self.student.original.run(inputs)
        outputs = self.student.run(inputs)
        if isinstance(teacher_outputs, Tensor) and teacher_outputs.ndim == 2:  # logits
            return len(indices) * distillation_losses(outputs, teacher_outputs, TEMPERATURE).mean()
        return len(indices) * divergence(teacher_outputs, outputs) / max(1, size_of(inputs))

    def score(self, batches: Iterable[Tensor], seed: int) -> Score:
        """Return the negative mean divergence from the original on batches of indices.

        Each image counts in its usual view and in a random view, the same at each call; the user's batches as they are.
        """
        divergence_sum, count = 0.0, 0
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # leaves the generators of GPUs alone
            for indices in batches:
                images = self._select(indices)
                usual_view = self.student.inputs(images)
                views = (usual_view,) if isinstance(self.images, tuple) else (usual_view, self._random_views(images))
                count += size_of(usual_view)
                for inputs in views:
                    nats = divergence(self.student.original.run(inputs), self.student.run(inputs))
                    divergence_sum += float(nats) / len(views)
        return Score(-divergence_sum / max(1, count), -divergence_sum / max(1, count), count, "negative divergence")


def mix_images(inputs: Tensor) -> Tensor:
    """Mix nine in ten images (n, channels, height, width) of a batch with their predecessors, by the default generator.

    Half of them are blended with the previous image, and half get a rectangle of it. Each batch holds all kinds, so
    that the statistics of batches agree.

    References: Zhang et al., *mixup*, ICLR 2018; Yun et al., *CutMix*, ICCV 2019.
    """
    kind, share, down, right = torch.rand(4, len(inputs), 1, 1)
    side = share.sqrt()
    rows, columns = (torch.arange(size) / size for size in inputs.shape[2:])
    above, left = (rows[:, None] - down * (1 - side), columns - right * (1 - side))
    inside = (above >= 0) & (above < side) & (left >= 0) & (left < side)
    weights = torch.where(kind < MIXED_SHARE / 2, share, 1 - inside.float())  # of each image itself
    weights = torch.where(kind < MIXED_SHARE, weights, 1.0)
    return inputs.roll(1, 0).lerp(inputs, weights[:, None].to(inputs))
