"""Fine-tune a network: train all its weights on labels, on a teacher's outputs, or on both.

A network can also be trained from Gaussian weights, the baseline of the paper's comparison.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from math import prod, sqrt
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, nll_loss, pad

from workbench.network.data import UNLABELLED, Data, Split
from workbench.network.inputs import Images, data_of
from workbench.network.network import Network, copy_model, expect_network
from workbench.network.outputs import log_probabilities
from workbench.network.scores import Metric, answers, check_labels, score
from workbench.progress import Progress, reporter
from workbench.recover.checkpoint import Epoch
from workbench.recover.layout import TRIAL_IMAGES, to_layout, training_layout
from workbench.recover.recipe import Recipe
from workbench.recover.training import Training

N = TypeVar("N", bound=Network)

FITTED_CLIP_NORM = 1.0
"""Largest norm of a gradient if batch norms are frozen and the recipe has no limit."""
LINEAR_TO_NEXT = ("factor_in", "core")
"""Factors of a layer that another factor follows without a nonlinearity."""
HELD_OUT_SHARE = 0.1
"""Share of the training images that is held out to choose the best epoch, if the data have no validation images."""


def finetune(
    network: N,
    data: Data | Images,
    *,
    recipe: Recipe | None = None,
    teacher: Network | None = None,
    metric: Metric | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 30.0,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: Progress | bool | None = None,
    **settings: Any,
) -> N:
    """Train a copy of a network on ``data.train`` and return it at its best epoch; ``data.test`` is never touched.

    The given network counts as epoch 0: the result is never worse on the validation images. Without validation images
    a tenth of the training images is held out instead. The default recipe is the paper's: SGD with momentum, the
    learning rate divided by 10 every 5 epochs. If several processes run this together (``accelerate launch``), each
    takes its share of every batch, and all end with the same weights.

    Parameters
    ----------
    data : a Data, whose :attr:`~workbench.network.data.Data.held_out` is not trained on; or labelled images, all to
        train on; or the path of a folder of images, whose splits are used.
    recipe : all settings; None for the paper's.
    settings : single settings of :class:`~workbench.recover.recipe.Recipe`, which override those of `recipe`: `epochs`,
        `learning_rate`, `drop_every`, `schedule`, `batch_size`, `seed`, `flip` and so on.
    teacher : a network, usually the original, whose softened outputs are learned too: together with the labels, or
        alone for unlabelled images; for these a compressed network's original is the default.
    metric : a function (network, split) -> number that chooses the best epoch instead of the accuracy; more is better.
    checkpoint : a file for the state of training. If it exists, training continues from it, bit for bit as if it had
        never stopped, and reports the finished epochs again.
    checkpoint_seconds : seconds between two writes; each epoch also ends with one. If a write fails, the log says so
        and training continues.
    on_epoch : called with each :class:`~workbench.recover.checkpoint.Epoch`.
    progress : called after every batch; raising `Cancelled` ends the training, and the best epoch so far is returned.

    Returns
    -------
    Network with the finished epochs in its `history`.

    Raises
    ------
    TypeError, ValueError : if a setting is unknown or out of range, there are no images to train on, a label has no
        output, inputs or outputs are not those of an image classifier, or the loss is not finite.
    CheckpointError : if the checkpoint is damaged, or belongs to another training.

    References: Kim et al., ICLR 2016, sec. 4 (base learning rate 1e-3, divided by 10 every 5 or 10 epochs).
    """
    expect_network(network)
    if network.structured:
        raise ValueError(f"{network.name} takes other inputs than one batch of images: distill it instead")
    data, train_on_all = data_of(network, data), not isinstance(data, Data)
    recipe = Recipe.of(**{**(asdict(recipe) if recipe else {}), **settings})
    if recipe.batch_norm == "auto":
        frozen = {"batch_norm": "frozen", "clip_norm": recipe.clip_norm or FITTED_CLIP_NORM}
        recipe = replace(recipe, **(frozen if network.fitted else {"batch_norm": "train"}))
    train, validation = _splits(data, train_on_all)
    if teacher is None and not (train.labelled and validation.labelled):
        teacher = network.original
        if teacher is None:
            raise ValueError(f"{data.name} has images without a label: give a teacher to learn from")
    tuned = network.with_model(copy_model(network.model))
    memory_format = training_layout([tuned, *([teacher] if teacher else [])], train.images[:TRIAL_IMAGES])
    training = Training(
        tuned,
        recipe,
        reporter(progress),
        size=len(train),
        loss=partial(_loss, tuned, train, teacher, recipe, memory_format),
        score=lambda: score(tuned, validation, metric=metric).without_hits(),
    )
    if checkpoint is not None:
        labels = train.labels.cpu().contiguous().view(torch.uint8).numpy().data
        identity = {
            "network": network.name,
            "weights": network.weights,
            "teacher": teacher.name if teacher else None,
            "metric": None if metric is None else getattr(metric, "__name__", type(metric).__name__),
            "data": data.name,
            "training labels": hashlib.blake2b(labels, digest_size=8).hexdigest(),
            "training images": len(train),
            "norm of the weights": sum(float(p.detach().cpu().double().norm()) for p in tuned.model.parameters()),
        }
        training.use_checkpoint(Path(checkpoint), checkpoint_seconds, identity)
    if teacher is not None and not validation.labelled:
        validation = Split(validation.images, answers(teacher, validation), validation.name)
    training.run(on_epoch)
    source = f"{network.source}; fine-tuned" if training.state.best else network.source
    return tuned.with_model(tuned.model, source=source, history=tuple(training.state.epochs))


def _splits(data: Data, train_on_all: bool) -> tuple[Split, Split]:
    """Return the images to train on (all, or those that `data` does not hold out), and those to choose an epoch by."""
    if not len(data.train):
        raise ValueError(f"{data.name} has no training images")
    train = data.train if train_on_all else data.unlabelled
    if len(data.validation):
        return train, data.validation
    count = max(1, round(HELD_OUT_SHARE * len(train)))
    if count == len(train):
        raise ValueError(f"{data.name} has {count} training image and no validation images: none is left to score")
    validation, train = train.parted(count)
    return train, replace(validation, name="validation")


def _loss(
    network: Network,
    train: Split,
    teacher: Network | None,
    recipe: Recipe,
    layout: torch.memory_format,
    indices: Tensor,
) -> Tensor:
    """Return the sum of the losses of the images with these indices."""
    images, labels = train.images[indices], train.labels[indices]
    if recipe.flip or recipe.shift:
        images = augment(images, flip=recipe.flip, shift=recipe.shift)
    device, teacher_logits = network.device, None
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision and device.type == "cuda"):
        if teacher is not None:
            with torch.no_grad():
                teacher_logits = teacher.run(to_layout(teacher.inputs(images), layout))
            check_labels(teacher_logits, labels[:0], train.name)
            teacher_logits = teacher_logits.to(device)
        outputs = network.run(to_layout(network.inputs(images), layout))
    check_labels(outputs, labels, train.name)
    if teacher is not None and teacher_logits is not None and teacher_logits.shape != outputs.shape:
        raise ValueError(
            f"the teacher {teacher.name} has {teacher_logits.shape[1]} classes, {network.name} has {outputs.shape[1]}: "
            "a network learns from one with the same classes"
        )
    return losses(outputs, labels.to(device), teacher_logits, recipe).sum()


def losses(outputs: Tensor, labels: Tensor, teacher: Tensor | None, recipe: Recipe) -> Tensor:
    """Return each image's loss (n,): cross-entropy, or with a teacher a mixture; unlabelled images: divergence only."""
    label_losses = nll_loss(log_probabilities(outputs.float()), labels, ignore_index=UNLABELLED, reduction="none")
    if teacher is None:
        return label_losses
    label_weight = torch.where(labels == UNLABELLED, 0.0, recipe.label_weight)
    return label_weight * label_losses + (1 - label_weight) * distillation_losses(outputs, teacher, recipe.temperature)


def distillation_losses(outputs: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    r"""Return the divergence (n,) between logits (n, classes) softened by a temperature T, in nats times T squared.

    .. math:: T^2 \, KL(softmax(z_{teacher} / T) \,\|\, softmax(z / T))

    The factor makes the gradient as large as the cross-entropy's at any temperature.

    References: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, sec. 2.
    """
    log_student, log_teacher = ((log_probabilities(z.float()) / temperature).log_softmax(1) for z in (outputs, teacher))
    return temperature**2 * kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=1)


def augment(images: Tensor, *, flip: bool, shift: int) -> Tensor:
    """Mirror each image (n, channels, height, width) with probability 1/2, and shift it by up to `shift` pixels.

    Shifting pads with zeros: black, before a network's preprocessing.
    """
    n, channels, height, width = images.shape
    columns = torch.arange(width).expand(n, width)
    rows = torch.arange(height).expand(n, height)
    if flip:
        columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    if shift:
        shifts = torch.randint(2 * shift + 1, (2, n, 1))
        images = pad(images, (shift,) * 4)
        rows, columns = rows + shifts[0], columns + shifts[1]
    image = torch.arange(n)[:, None, None, None]
    channel = torch.arange(channels)[None, :, None, None]
    return images[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def from_scratch(network: N, *, seed: int = 0) -> N:
    """Return the same architecture with Gaussian weights, to be trained by `finetune`.

    Every convolution and linear layer gets zero-mean Gaussian weights and a zero bias. Their variance is 2 / (inputs of
    one output), which preserves a signal's size through a ReLU, and half of that for factors that no ReLU follows.
    Normalisations start as the identity. No trained weight remains.

    Raises
    ------
    ValueError : if a module with weights has no Gaussian initialisation here.

    References: Kim et al., ICLR 2016, sec. 4 (the comparison); He et al., ICCV 2015, sec. 2.2 (the variance).
    """
    expect_network(network)
    model = copy_model(network.model)
    generator = torch.Generator().manual_seed(seed)
    for name, module in model.named_modules():
        parameters = dict(module.named_parameters(recurse=False))
        weight = parameters.get("weight")
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, nn.modules.conv._ConvNd | nn.Linear) and isinstance(weight, Tensor):
            is_linear = name.rpartition(".")[2] in LINEAR_TO_NEXT
            fan_in: float = prod(weight.shape[1:])
            if isinstance(module, nn.modules.conv._ConvTransposeNd):
                # weight (in, out / groups, ...): an output sees each kernel position once in every `stride`
                fan_in = max(1.0, len(weight) / module.groups * prod(weight.shape[2:]) / prod(module.stride))
            std = sqrt((1 if is_linear else 2) / fan_in)
            with torch.no_grad():
                weight.copy_(std * torch.randn(weight.shape, generator=generator))
                if isinstance(module.bias, Tensor):
                    module.bias.zero_()
        elif parameters:
            description = f"{name or 'the model'} is a {type(module).__name__}"
            raise ValueError(f"{description}, which has no Gaussian initialisation here")
    source = f"Gaussian initialisation (seed {seed})"
    return network.with_model(model, source=source, sha256="", random_weights=True, history=(), fitted=False)
