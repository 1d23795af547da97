"""Losses of fine-tuning: cross-entropy with the labels, and divergence from a teacher."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from workbench.network.data import UNLABELLED


def distillation_losses(outputs: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    r"""Return the divergence of softened answers for each image.

    .. math:: T^2 \, KL(softmax(z_{teacher} / T) \,\|\, softmax(z / T))

    The factor makes its gradient as large as the cross-entropy's, whatever the temperature.

    Parameters
    ----------
    outputs, teacher : (n, classes) logits.

    Returns
    -------
    (n,) in nats times T squared.

    References: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, sec. 2.
    """
    mine, theirs = (log_softmax(z.float() / temperature, dim=1) for z in (outputs, teacher))
    return temperature**2 * kl_div(mine, theirs, reduction="none", log_target=True).sum(dim=1)


def losses(
    outputs: Tensor, labels: Tensor, teacher: Tensor | None, *, temperature: float, label_weight: float
) -> Tensor:
    """Return the loss of each image: with a teacher a mixture, or only the divergence if there is no label.

    Parameters
    ----------
    outputs : (n, classes) logits.
    labels : (n,) class indices, or ``UNLABELLED``.
    teacher : (n, classes) logits on the same inputs, or None for the cross-entropy alone.

    Returns
    -------
    (n,) in nats.
    """
    answers = cross_entropy(outputs.float(), labels, ignore_index=UNLABELLED, reduction="none")
    if teacher is None:
        return answers
    weight = torch.where(labels == UNLABELLED, 0.0, label_weight)
    return weight * answers + (1 - weight) * distillation_losses(outputs, teacher, temperature)
