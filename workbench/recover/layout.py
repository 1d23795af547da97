"""Lay out images in memory with their channels last, which makes convolutions train faster on a CPU."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from workbench.network.network import Network, copy_model
from workbench.network.outputs import call

TRIAL_IMAGES = 2
"""Number of images to try a network with: batch norms cannot train on one."""


def training_layout(networks: Sequence[Network], images: Any) -> torch.memory_format:
    """Return the memory layout for training inputs: channels last, if all networks are on the CPU and compute with it.

    Code like ``x.view(len(x), -1)`` fails on maps with their channels last: inputs then keep their layout. Copies of
    the networks are tried, in evaluation and in training mode.

    Parameters
    ----------
    images : `TRIAL_IMAGES` or more, as the data hold them (before preprocessing).
    """
    for network in networks:
        inputs = network.inputs(images)
        if network.device.type != "cpu" or not isinstance(inputs, Tensor) or inputs.ndim != 4:
            return torch.preserve_format
        model, trial_inputs = copy_model(network.model), to_layout(inputs[:TRIAL_IMAGES], torch.channels_last)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                for training in (False, True):
                    call(model.train(training), trial_inputs)
        except Exception:  # any error: this network trains with its layout unchanged
            return torch.preserve_format
    return torch.channels_last


def to_layout(inputs: Any, layout: torch.memory_format) -> Any:
    """Return a batch of images in a memory layout, other inputs unchanged."""
    return inputs.to(memory_format=layout) if isinstance(inputs, Tensor) and inputs.ndim == 4 else inputs
