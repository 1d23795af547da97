"""Fine-tune a network: gradient descent over all of it, by labels, by the original's answers, or both.

A network may also be trained from Gaussian weights, the baseline of the paper's comparison.
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
from workbench.recover.layout import TRIAL_IMAGES, laid_out, training_layout
from workbench.recover.recipe import Recipe
from workbench.recover.training import Training

N = TypeVar("N", bound=Network)

FITTED_CLIP_NORM = 1.0
"""Largest length of a gradient where batch norms keep their statistics and the recipe says none."""
LINEAR_TO_NEXT = ("factor_in", "core")
"""Parts of a factorised layer that another part follows with nothing between them."""
HELD_OUT_SHARE = 0.1
"""Share of the training images that is held out to choose by, where the data have no validation images."""


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

    The network that was given counts as epoch 0: what is returned is never worse by the validation images. Without
    validation images a tenth of the training images is held out for that. Without further settings the recipe is the
    paper's: SGD with momentum, the learning rate divided by 10 every 5 epochs. Where several processes run this
    together (``accelerate launch``), each takes its share of every batch, and all end with the same weights.

    Parameters
    ----------
    data : a Data, whose :attr:`~workbench.network.data.Data.held_out` is not trained on; else images with labels, which
        are training images, or the path of a folder of them, whose splits are used.
    recipe : all settings; None for the paper's.
    settings : those of :class:`~workbench.recover.recipe.Recipe` by name, over those of `recipe`: `epochs`,
        `learning_rate`, `drop_every`, `schedule`, `batch_size`, `seed`, `flip` and so on.
    teacher : a network, usually the original, whose softened answers on the same inputs are learned too: together with
        the labels, or by themselves for images without any; then a compressed network's original is the default.
    metric : a function (network, split) -> number by which the best epoch is chosen, in place of the accuracy; more is
        better.
    checkpoint : a file to which the state of training is written as it goes on. If it exists, training goes on from it,
        bit by bit as if it had never stopped, and the epochs done before are reported again.
    checkpoint_seconds : seconds between two writes; it is also written after every epoch. If it cannot be written, the
        log says so and training goes on.
    on_epoch : called with each :class:`~workbench.recover.checkpoint.Epoch`.
    progress : called after every batch; raising `Cancelled` ends the training, and the best epoch so far is returned.

    Returns
    -------
    Network with the epochs done in its `history`.

    Raises
    ------
    TypeError, ValueError : on settings that there are not or make no sense, no images to learn from, labels the
        network has no output for, outputs or inputs that are not those of a classifier of images, or a loss that is not
        finite.
    CheckpointError : if the checkpoint is damaged, or of another training.

    References: Kim et al., ICLR 2016, sec. 4 (base learning rate 1e-3, divided by 10 every 5 or 10 epochs).
    """
    expect_network(network)
    if network.structured:
        raise ValueError(f"{network.name} takes other inputs than one batch of images: distill it instead")
    data, whole = data_of(network, data), not isinstance(data, Data)
    recipe = Recipe.of(**{**(asdict(recipe) if recipe else {}), **settings})
    if recipe.batch_norm == "auto":
        frozen = {"batch_norm": "frozen", "clip_norm": recipe.clip_norm or FITTED_CLIP_NORM}
        recipe = replace(recipe, **(frozen if network.fitted else {"batch_norm": "train"}))
    train, validation = _splits(data, whole)
    if teacher is None and not (train.labelled and validation.labelled):
        teacher = network.original
        if teacher is None:
            raise ValueError(f"{data.name} has images without a label: give a teacher to learn from")
    tuned = network.with_model(copy_model(network.model))
    layout = training_layout([tuned, *([teacher] if teacher else [])], train.images[:TRIAL_IMAGES])
    training = Training(
        tuned,
        recipe,
        reporter(progress),
        size=len(train),
        loss=partial(_loss, tuned, train, teacher, recipe, layout),
        score=lambda: score(tuned, validation, metric=metric).without_hits(),
    )
    if checkpoint is not None:
        labels = train.labels.cpu().contiguous().view(torch.uint8).numpy().data
        about = {
            "network": network.name,
            "weights": network.weights,
            "teacher": teacher.name if teacher else None,
            "metric": None if metric is None else getattr(metric, "__name__", type(metric).__name__),
            "data": data.name,
            "training labels": hashlib.blake2b(labels, digest_size=8).hexdigest(),
            "training images": len(train),
            "norm of the weights": sum(float(p.detach().cpu().double().norm()) for p in tuned.model.parameters()),
        }
        training.keep_in(Path(checkpoint), checkpoint_seconds, about)
    if teacher is not None and not validation.labelled:
        validation = Split(validation.images, answers(teacher, validation), validation.name)
    training.run(on_epoch)
    source = f"{network.source}; fine-tuned" if training.done.best else network.source
    return tuned.with_model(tuned.model, source=source, history=tuple(training.done.epochs))


def _splits(data: Data, whole: bool) -> tuple[Split, Split]:
    """Return the images to train on, all or without those that are held out, and those to choose the best epoch by."""
    if not len(data.train):
        raise ValueError(f"{data.name} has no training images")
    train = data.train if whole else data.unlabelled
    if len(data.validation):
        return train, data.validation
    count = max(1, round(HELD_OUT_SHARE * len(train)))
    if count == len(train):
        raise ValueError(f"{data.name} has {count} training image and no validation images: there is none to choose by")
    held, kept = train.parted(count)
    return kept, replace(held, name="validation")


def _loss(
    network: Network,
    train: Split,
    teacher: Network | None,
    recipe: Recipe,
    layout: torch.memory_format,
    piece: Tensor,
) -> Tensor:
    """Sum the losses of the images with these indices."""
    images, labels = train.images[piece], train.labels[piece]
    if recipe.flip or recipe.shift:
        images = augmented(images, flip=recipe.flip, shift=recipe.shift)
    device, taught = network.device, None
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision and device.type == "cuda"):
        if teacher is not None:
            with torch.no_grad():
                taught = teacher.run(laid_out(teacher.inputs(images), layout))
            check_labels(taught, labels[:0], train.name)
            taught = taught.to(device)
        outputs = network.run(laid_out(network.inputs(images), layout))
    check_labels(outputs, labels, train.name)
    if teacher is not None and taught is not None and taught.shape != outputs.shape:
        raise ValueError(
            f"the teacher {teacher.name} has {taught.shape[1]} classes, {network.name} has {outputs.shape[1]}: "
            "a network learns from one with the same classes"
        )
    return losses(outputs, labels.to(device), taught, recipe).sum()


def losses(outputs: Tensor, labels: Tensor, teacher: Tensor | None, recipe: Recipe) -> Tensor:
    """Return each image's loss (n,): with a teacher's logits a mixture, or only the divergence if it has no label."""
    answers = nll_loss(log_probabilities(outputs.float()), labels, ignore_index=UNLABELLED, reduction="none")
    if teacher is None:
        return answers
    weight = torch.where(labels == UNLABELLED, 0.0, recipe.label_weight)
    return weight * answers + (1 - weight) * distillation_losses(outputs, teacher, recipe.temperature)


def distillation_losses(outputs: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    r"""Return the divergence (n,) between answers (n, classes) softened by a temperature T, in nats times T squared.

    .. math:: T^2 \, KL(softmax(z_{teacher} / T) \,\|\, softmax(z / T))

    The factor makes its gradient as large as the cross-entropy's, whatever the temperature.

    References: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, sec. 2.
    """
    mine, theirs = ((log_probabilities(z.float()) / temperature).log_softmax(1) for z in (outputs, teacher))
    return temperature**2 * kl_div(mine, theirs, reduction="none", log_target=True).sum(dim=1)


def augmented(images: Tensor, *, flip: bool, shift: int) -> Tensor:
    """Mirror each image (n, channels, height, width) with probability 1/2, and move it by up to `shift` pixels.

    Zeros come in: black, before a network's preprocessing.
    """
    n, channels, height, width = images.shape
    columns = torch.arange(width).expand(n, width)
    rows = torch.arange(height).expand(n, height)
    if flip:
        columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    if shift:
        moves = torch.randint(2 * shift + 1, (2, n, 1))
        images = pad(images, (shift,) * 4)
        rows, columns = rows + moves[0], columns + moves[1]
    which = torch.arange(n)[:, None, None, None]
    channel = torch.arange(channels)[None, :, None, None]
    return images[which, channel, rows[:, None, :, None], columns[:, None, None, :]]


def from_scratch(network: N, *, seed: int = 0) -> N:
    """Return the same architecture with Gaussian weights, to be trained by `finetune`.

    Every convolution and linear layer gets zero-mean Gaussian weights and no bias. Their variance is 2 / (inputs of one
    output), which keeps the size of the signal through a ReLU, and half of that for the parts of a factorised layer
    that no ReLU follows. Normalisations begin as the identity. What the network has learned goes nowhere into it.

    Raises
    ------
    ValueError : naming a module with weights that it does not know how to begin with.

    References: Kim et al., ICLR 2016, sec. 4 (the comparison); He et al., ICCV 2015, sec. 2.2 (the variance).
    """
    expect_network(network)
    model = copy_model(network.model)
    generator = torch.Generator().manual_seed(seed)
    for name, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        weight = own.get("weight")
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, nn.modules.conv._ConvNd | nn.Linear) and isinstance(weight, Tensor):
            linear = name.rpartition(".")[2] in LINEAR_TO_NEXT
            inputs: float = prod(weight.shape[1:])  # that one output sums
            if isinstance(module, nn.modules.conv._ConvTransposeNd):
                # weight (in, out / groups, ...): an output sees each kernel position once in every `stride`
                inputs = max(1.0, len(weight) / module.groups * prod(weight.shape[2:]) / prod(module.stride))
            std = sqrt((1 if linear else 2) / inputs)
            with torch.no_grad():
                weight.copy_(std * torch.randn(weight.shape, generator=generator))
                if isinstance(module.bias, Tensor):
                    module.bias.zero_()
        elif own:
            what = f"{name or 'the model'} is a {type(module).__name__}"
            raise ValueError(f"{what}, which has no Gaussian initialisation here")
    source = f"Gaussian initialisation (seed {seed})"
    return network.with_model(model, source=source, sha256="", random_weights=True, history=(), fitted=False)
