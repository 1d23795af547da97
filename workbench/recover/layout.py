"""Lay out images in memory with their channels last, on which convolutions train faster on a processor."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from workbench.network.network import Network, copy_model
from workbench.network.outputs import call

TRIAL_IMAGES = 2
"""Number of images that a network is tried with: batch norms cannot train on one."""


def training_layout(networks: Sequence[Network], images: Any) -> torch.memory_format:
    """Return the layout of inputs to train in: channels last on a processor, if all networks compute on it.

    A network that takes a view of a map, as ``x.view(len(x), -1)`` does, fails on maps with their channels last; then
    inputs stay as they are. Copies are tried, in evaluation and in training mode.

    Parameters
    ----------
    images : `TRIAL_IMAGES` or more, as the data hold them.
    """
    for network in networks:
        inputs = network.inputs(images)
        if network.device.type != "cpu" or not isinstance(inputs, Tensor) or inputs.ndim != 4:
            return torch.preserve_format
        model, few = copy_model(network.model), laid_out(inputs[:TRIAL_IMAGES], torch.channels_last)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                for training in (False, True):
                    call(model.train(training), few)
        except Exception:  # whatever it was: such a network trains as before
            return torch.preserve_format
    return torch.channels_last


def laid_out(inputs: Any, layout: torch.memory_format) -> Any:
    """Return inputs in a layout; what is no batch of images as it is."""
    return inputs.to(memory_format=layout) if isinstance(inputs, Tensor) and inputs.ndim == 4 else inputs
