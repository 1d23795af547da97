"""Sessions on a running event loop, with small networks."""

import asyncio
import threading
from contextlib import contextmanager

import torch
from torch import nn

import workbench as wb
from workbench.app.session import Session
from workbench.app.worker import Job, Worker


def trained(model: nn.Module) -> nn.Module:
    """Some steps of training, so that scores tell one network from another."""
    optimizer, split = torch.optim.Adam(model.parameters(), 0.01), tiny_data().train
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(split.images), split.labels).backward()
        optimizer.step()
    return model


def batch_normed() -> nn.Module:
    """A network with batch norm, left in train mode by its user."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    layers += [nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
    return trained(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 3)).train())


class Untraceable(nn.Module):
    """A network that torch.fx cannot trace: it branches by its input."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = nn.Conv2d(1, 12, 3, padding=1), nn.Conv2d(12, 16, 3, padding=1)
        self.last = nn.Linear(16, 3)

    def forward(self, x):
        x = torch.relu(self.first(x))
        if float(x.detach().sum()) < 0:
            x = -x
        return self.last(torch.relu(self.second(x)).mean((2, 3)))


def tiny_data(train=24, validation=15, test=15) -> wb.Data:
    """Random 8 x 8 images of three classes, told apart by the brightness of their thirds."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int, name: str) -> wb.Split:
        labels = torch.arange(n) % 3
        images = 0.5 * torch.rand(n, 1, 8, 8, generator=generator)
        for i, label in enumerate(labels.tolist()):
            images[i, :, 2 * label : 2 * label + 3] += 0.5
        return wb.Split(images, labels, name)

    return wb.Data(split(train, "train"), split(validation, "validation"), split(test, "test"), "tiny")


def unlabelled_data() -> wb.Data:
    """The images of `tiny_data` alone."""
    splits = vars(tiny_data())
    return wb.Data(*(wb.Split.unlabelled(splits[name].images) for name in ("train", "validation", "test")), "bare")


def state_of(model: nn.Module) -> dict[str, object]:
    """Everything that must not change: the bytes of parameters and buffers, modes, hooks, names of attributes."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    state: dict[str, object] = {key: value.numpy().tobytes() for key, value in model.state_dict().items()}
    for name, module in model.named_modules():
        state[f"{name} mode"] = module.training
        state[f"{name} hooks"] = tuple(len(getattr(module, hook)) for hook in hooks)
        state[f"{name} attributes"] = tuple(sorted(vars(module)))
    return state


class Overlaps:
    """In place of a worker's `computing`: counts how often two threads compute at the same time."""

    def __init__(self):
        self.threads, self.count = [], 0

    @contextmanager
    def __call__(self):
        self.threads.append(threading.get_ident())
        self.count += len(set(self.threads)) > 1
        try:
            yield
        finally:
            self.threads.remove(threading.get_ident())


class ThreadPerJob(Worker):
    """A worker that bypasses the queue: each job has a thread of its own."""

    def submit(self, kind, title, function, done=None, *, short=False):
        job = Job(self, kind, title, short=short)
        self.jobs = (*self.jobs, job)
        threading.Thread(target=self.run, args=(job, function, done)).start()
        return job


async def idle(session: Session | Worker, seconds: float = 120) -> None:
    """Wait until no job of a session or a worker runs or waits."""
    worker = getattr(session, "worker", session)
    await asyncio.sleep(0)
    async with asyncio.timeout(seconds):
        while worker.jobs:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0)
