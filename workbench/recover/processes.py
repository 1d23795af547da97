"""Several processes that train one network together, each on its share of every batch.

Gradients and batch-norm statistics are summed over all images of a batch in all processes, so that the result equals
that of one process, up to rounding. The caller starts the processes (``accelerate launch``, ``torchrun``).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from workbench.network.activations import BATCH_NORMS


class Processes:
    """The group of processes that train together; in a group of one, every sum is the value itself."""

    def __init__(self) -> None:
        is_distributed = dist.is_available() and dist.is_initialized()
        self.index = dist.get_rank() if is_distributed else 0  # 0 writes files
        self.count = dist.get_world_size() if is_distributed else 1

    def share(self, indices: Tensor) -> Tensor:
        """Return this process's share of a batch of indices; it may be empty."""
        return indices[self.index :: self.count]

    def sum(self, value: float, device: torch.device) -> float:
        """Return the sum over all processes."""
        if self.count == 1:
            return value
        # gloo and NCCL sum float64 on the model's device; Apple's GPUs, which cannot, have no process groups
        total = torch.tensor(value, dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return float(total)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum gradients over all processes, in place."""
        for parameter in parameters if self.count > 1 else ():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)

    def broadcast_weights(self, model: nn.Module) -> None:
        """Copy the weights of the first process to all others."""
        if self.count > 1:
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.count > 1:
            dist.barrier()

    @contextmanager
    def synchronised_batch_norm(self, model: nn.Module) -> Iterator[None]:
        """Make batch norms in training mode compute their statistics over all processes."""
        modules = [m for m in model.modules() if isinstance(m, BATCH_NORMS)] if self.count > 1 else []
        for module in modules:
            module.forward = partial(_batch_norm, module)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for module in modules:
                del module.forward


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient of each term is the sum of all processes' gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, *gradients)


def _batch_norm(module: Any, x: Tensor) -> Tensor:
    if not module.training and module.running_mean is not None:
        return type(module).forward(module, x)  # type: ignore[no-any-return]
    dims = [d for d in range(x.ndim) if d != 1]
    shape = [1, -1] + [1] * (x.ndim - 2)
    sum_all: Any = _Sum.apply
    count = sum_all(x.new_tensor(float(x.numel() // x.shape[1])))
    # two passes: the mean of squares minus the square of the mean would cancel
    mean = sum_all(x.sum(dims)) / count
    variance = sum_all((x - mean.view(shape)).square().sum(dims)) / count
    if module.track_running_stats and module.training:
        with torch.no_grad():
            module.num_batches_tracked += 1
            momentum = module.momentum if module.momentum is not None else 1 / float(module.num_batches_tracked)
            module.running_mean.lerp_(mean, momentum)
            module.running_var.lerp_(variance * count / (count - 1), momentum)
    normalised: Tensor = (x - mean.view(shape)) * torch.rsqrt(variance + module.eps).view(shape)
    if module.affine:
        normalised = normalised * module.weight.view(shape) + module.bias.view(shape)
    return normalised
