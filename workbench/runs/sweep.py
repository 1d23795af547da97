"""Many plans, one after the other or on any executor of `concurrent.futures`; each result as soon as it is there."""

import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load, save

from workbench.network.data import Data, accuracy
from workbench.network.network import Network, expect_network
from workbench.plan.plan import Plan
from workbench.recover.decompose import decompose, rebuild
from workbench.recover.finetune import Epoch, finetune
from workbench.recover.recipe import Recipe
from workbench.runs.database import StoreError
from workbench.runs.run import Run, Stage, versions
from workbench.runs.store import RunStore

Step = Callable[[Network, Network, Data], Network]
"""A step of recovery before fine-tuning: (smaller, original, data) -> a new smaller network."""

PAUSE = 0.2
"""Seconds between two looks at whether a sweep on an executor is to stop."""


@dataclass(frozen=True)
class Outcome:
    """What came of one plan.

    Attributes
    ----------
    index : of the plan, from 0, in the order in which they were given.
    plan : as given.
    run : plan, costs and accuracies; stored (with a number) if there is a store. None if it failed.
    network : the smaller network. None if it failed.
    epochs : of fine-tuning.
    error : one sentence if it failed or could not be stored, else "".
    """

    index: int
    plan: Plan
    run: Run | None = field(default=None, repr=False)
    network: Network | None = field(default=None, repr=False)
    epochs: tuple[Epoch, ...] = field(default=(), repr=False)
    error: str = ""

    def __str__(self) -> str:
        return f"plan {self.index + 1}: {self.error or self.run}"


@dataclass(frozen=True)
class _Task:
    """What all plans of a sweep have in common."""

    network: Network
    data: Data
    recipe: Recipe | None
    teacher: Network | None
    steps: Mapping[str, Step]
    split: str
    home: int
    threads: int


@dataclass(frozen=True)
class _Found:
    """What a worker sends back: no modules, and tensors as the bytes of a safetensors file."""

    plan: Plan
    weights: bytes
    stages: tuple[Stage, ...]
    epochs: tuple[Epoch, ...]
    seconds: float


def sweep(
    network: Network,
    plans: Iterable[Plan],
    data: Data,
    *,
    epochs: int = 0,
    recipe: Recipe | None = None,
    teacher: Network | None = None,
    steps: Mapping[str, Step] | None = None,
    split: str = "validation",
    executor: Any = None,
    threads: int = 1,
    store: RunStore | None = None,
    note: str = "",
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] | None = None,
    **settings: Any,
) -> Iterator[Outcome]:
    """Decompose, recover and score a network by many plans; the network itself is never changed.

    Parameters
    ----------
    plans : of the network.
    epochs : of fine-tuning, 0 for none; with further `settings` or a `recipe` as for
        :func:`~workbench.recover.finetune.finetune`.
    teacher : usually the network itself: its answers are learned too.
    steps : what happens before fine-tuning, each a function (smaller, original, data) -> Network under the name of its
        stage, like ``{"calibrated": calibrated}``. On other processes it has to be importable there.
    split : of the data that every stage is scored on. Plans are chosen by "validation"; "test" is for the last word.
    executor : any `concurrent.futures.Executor`, or a Dask `Client`; None for one after the other, here.
    threads : of PyTorch in each process of an executor.
    store : where runs are added, with their weights, as soon as they are there.
    note : stored with every run.
    cancelled : asked again and again; if it says True, plans that have not begun are taken back and nothing more is
        yielded.
    progress : called with the share of the plans done.

    Yields
    ------
    Outcome, in the order in which they end. One that fails says so and stops no other.

    Raises
    ------
    ValueError : if the settings make no sense, or the network cannot be sent to other processes.
    """
    expect_network(network)
    todo = list(plans)
    if split not in ("train", "validation", "test"):
        raise ValueError(f"split is 'train', 'validation' or 'test', not {split!r}")
    if recipe is None and epochs:
        recipe = Recipe.of(epochs=epochs, **settings)
    elif recipe is not None:
        recipe = replace(recipe, epochs=epochs or recipe.epochs, **settings)
    elif settings or teacher is not None:
        raise ValueError("say for how long to fine-tune: epochs=...")
    task = _Task(network, data, recipe, teacher, dict(steps or {}), split, os.getpid(), threads)
    if hasattr(executor, "get_executor"):
        executor = executor.get_executor()
    found = _here(task, todo, cancelled, progress) if executor is None else _there(task, todo, executor, cancelled)
    return _outcomes(task, todo, found, store, note, progress)


def _outcomes(
    task: _Task,
    plans: list[Plan],
    found: Iterator[tuple[int, _Found | str]],
    store: RunStore | None,
    note: str,
    progress: Callable[[float], None] | None,
) -> Iterator[Outcome]:
    original: Stage | None = None
    settings = task.recipe.to_dict() if task.recipe else {}
    seed = task.recipe.seed if task.recipe else 0
    for done, (index, result) in enumerate(found, start=1):
        if isinstance(result, str):
            outcome = Outcome(index, plans[index], error=result)
        else:
            if original is None:  # once, and while workers work
                original = Stage("original", task.split, accuracy(task.network, getattr(task.data, task.split)))
            plan = replace(result.plan, spectra=plans[index].spectra)
            smaller = rebuild(task.network, plan, load(result.weights))
            about = f"{task.network.source}; {', '.join(s.name for s in result.stages)} ({plan.policy})"
            smaller = replace(smaller, source=about)
            more: dict[str, Any] = {
                "measured": {"seconds": result.seconds},
                "settings": settings,
                "seed": seed,
                "note": note,
            }
            stages = (original, *result.stages)
            run, error = Run(task.network.name, task.data.name, plan, stages, versions=versions(), **more), ""
            if store is not None:
                try:
                    run = store.add(smaller, task.data.name, stages=stages, **more)
                except StoreError as problem:
                    error = f"it is done but not stored: {problem}"
            outcome = Outcome(index, plans[index], run, smaller, result.epochs, error)
        if progress:
            progress(done / len(plans))
        yield outcome


def _here(
    task: _Task, plans: list[Plan], cancelled: Callable[[], bool], progress: Callable[[float], None] | None
) -> Iterator[tuple[int, _Found | str]]:
    for index, plan in enumerate(plans):
        share = _share(progress, index, len(plans))
        result = _try(task, plan, cancelled, share)
        if cancelled():
            return
        yield index, result


def _share(progress: Callable[[float], None] | None, index: int, count: int) -> Callable[[float], None] | None:
    return None if progress is None else lambda share: progress((index + min(share, 0.99)) / count)


def _there(
    task: _Task, plans: list[Plan], executor: Executor, cancelled: Callable[[], bool]
) -> Iterator[tuple[int, _Found | str]]:
    try:
        content = _pickler().dumps(task)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{task.network.name} cannot be sent to other processes ({error}): its classes, its preprocessing and the "
            "steps have to be importable from a module"
        ) from None
    waiting: dict[Future[_Found | str], int] = {}
    try:
        for index, plan in enumerate(plans):
            try:
                waiting[executor.submit(_work, content, replace(plan, spectra=None))] = index
            except (BrokenExecutor, RuntimeError) as error:
                yield index, _lost(error)
        while waiting:
            done, _ = wait(waiting, timeout=PAUSE, return_when=FIRST_COMPLETED)
            if cancelled():
                return
            for future in done:
                index = waiting.pop(future)
                lost = future.exception()
                yield index, future.result() if lost is None else _lost(lost)
    finally:
        for future in waiting:
            future.cancel()


def _work(content: bytes, plan: Plan) -> _Found | str:
    """In a worker: the same, from bytes."""
    task: _Task = pickle.loads(content)  # noqa: S301 - made by the process that began the sweep
    if os.getpid() == task.home:  # threads of the process that began it
        return _try(task, plan)
    torch.set_num_threads(task.threads)
    return _try(task, plan)


def _try(
    task: _Task,
    plan: Plan,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] | None = None,
) -> _Found | str:
    """One plan, from beginning to end; a failure as a sentence."""
    started = time.perf_counter()
    scored = getattr(task.data, task.split)
    epochs: tuple[Epoch, ...] = ()
    try:
        smaller = decompose(task.network, plan)
        stages = [Stage("decomposed", task.split, accuracy(smaller, scored))]
        for name, step in task.steps.items():
            smaller = step(smaller, task.network, task.data)
            stages.append(Stage(name, task.split, accuracy(smaller, scored)))
        if task.recipe is not None:
            tuned = finetune(
                smaller, task.data, recipe=task.recipe, teacher=task.teacher, cancelled=cancelled, progress=progress
            )
            epochs = tuple(tuned)
            stages.append(Stage("fine-tuned", task.split, accuracy(smaller, scored)))
        assert smaller.plan is not None
        weights = {key: value.detach().cpu().clone().contiguous() for key, value in smaller.model.state_dict().items()}
        seconds = time.perf_counter() - started
        return _Found(replace(smaller.plan, spectra=None), save(weights), tuple(stages), epochs, seconds)
    except Exception as error:  # whatever it is, it stops no other plan
        return f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)


def _lost(error: BaseException) -> str:
    """What became of a plan whose worker did not answer."""
    if isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker":
        return "its worker process died (killed, or out of memory) before it was done: try this plan again"
    return f"its worker failed: {type(error).__name__}: {error}"


def _pickler() -> ModuleType:
    """Cloudpickle where it is installed (with the extra "scale"): it also sends classes defined in a notebook."""
    try:
        import cloudpickle
    except ImportError:
        return pickle
    return cloudpickle  # type: ignore[no-any-return, unused-ignore]
