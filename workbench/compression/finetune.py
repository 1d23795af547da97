"""Recovery with labels: ordinary SGD with momentum over the whole network, as in the paper."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from workbench.compression.data import Accuracy, Data, accuracy, check_labels
from workbench.compression.network import Network


@dataclass(frozen=True)
class Epoch:
    """What one epoch of fine-tuning gave.

    Attributes
    ----------
    epoch : 1, 2, ...
    loss : mean cross-entropy over the epoch's training images.
    validation : accuracy on the validation split.
    learning_rate : that of this epoch.
    seconds : wall time of training, without validation.
    """

    epoch: int
    loss: float
    validation: Accuracy
    learning_rate: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: loss {self.loss:.4f}, validation {self.validation}, "
            f"learning rate {self.learning_rate:g}, {self.seconds:.1f} s"
        )


def finetune(
    network: Network,
    data: Data,
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    drop_every: int = 5,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    batch_size: int = 32,
    seed: int = 0,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Epoch]:
    """Train a (decomposed) network in place on ``data.train``, one result an epoch; ``data.test`` is never touched.

    The learning rate is divided by 10 every `drop_every` epochs. The network that `decompose` was given shares no
    weights with its result and so stays as it is.

    Parameters
    ----------
    network : trained in place; its training mode is put back after every epoch.
    epochs : at least 1.
    cancelled : asked before every batch; if it says True, training stops there and nothing more is yielded. The
        weights are then those of the last step taken.
    progress : called with the share of all steps done after every batch.

    Yields
    ------
    Epoch

    Raises
    ------
    ValueError : on settings that make no sense, labels the network has no output for, or a loss that is not finite.

    References: Kim et al., ICLR 2016, sec. 4 (base learning rate 1e-3, divided by 10 every 5 or 10 epochs).
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("drop_every", drop_every)):
        if int(value) != value or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value}")
    if not 0 < learning_rate < float("inf"):
        raise ValueError(f"the learning rate must be a number above 0, not {learning_rate}")
    if not len(data.train):
        raise ValueError(f"{data.name} has no training images")
    return _epochs(
        network,
        data,
        epochs,
        lambda epoch: learning_rate * 0.1 ** (epoch // drop_every),
        momentum,
        weight_decay,
        batch_size,
        torch.Generator().manual_seed(seed),
        cancelled,
        progress,
    )


def _epochs(
    network: Network,
    data: Data,
    epochs: int,
    rate: Callable[[int], float],
    momentum: float,
    weight_decay: float,
    batch_size: int,
    order: torch.Generator,
    cancelled: Callable[[], bool],
    progress: Callable[[float], None] | None,
) -> Iterator[Epoch]:
    model = network.model
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=rate(0), momentum=momentum, weight_decay=weight_decay)
    loss_of = nn.CrossEntropyLoss()
    steps = epochs * -(-len(data.train) // batch_size)
    step = 0
    for epoch in range(epochs):
        started = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate(epoch)
        loss_sum = 0.0
        modes = [(module, module.training) for module in model.modules()]
        model.train()
        try:
            for images, labels in data.train.batches(batch_size, order):
                if cancelled():
                    return
                outputs = model(network.inputs(images))
                check_labels(outputs, labels, data.train.name)
                loss = loss_of(outputs, labels)
                if not bool(torch.isfinite(loss)):
                    raise ValueError(
                        f"training diverged in epoch {epoch + 1} (the loss is no longer finite): "
                        "begin again from the network before it, with a smaller learning rate"
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                loss_sum += loss.item() * len(labels)
                step += 1
                if progress:
                    progress(step / steps)
        finally:
            for module, training in modes:
                module.training = training
        seconds = time.perf_counter() - started
        score = accuracy(network, data.validation)
        yield Epoch(epoch + 1, loss_sum / len(data.train), score, rate(epoch), seconds)
