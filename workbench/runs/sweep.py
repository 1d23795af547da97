"""Compress a network by many plans, one after the other or on any executor of `concurrent.futures`."""

import os
import pickle
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from safetensors.torch import load

from workbench.network.data import Data
from workbench.network.inputs import Images, data_of
from workbench.network.network import Network, expect_network
from workbench.network.scores import Metric
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.plan import Plan
from workbench.progress import Cancelled, Progress, part, reporter
from workbench.recover.decompose import decompose, rebuild, safetensors_bytes
from workbench.recover.finetune import finetune
from workbench.recover.recipe import Recipe
from workbench.runs.attempt import stored
from workbench.runs.run import Run, Stage, StageName, versions
from workbench.runs.scoring import choosing_scores
from workbench.runs.store import RunStore

Found = tuple[bytes, tuple[Stage, ...], float]
"""What a worker returns: weights as a safetensors file, stages, and seconds."""
Results = Generator[tuple[int, Found | str], None, None]
"""The number of a plan, and what its worker returned or why it failed, as they come."""
Step = Callable[[CompressedNetwork, Data], CompressedNetwork]
"""A step of recovery before fine-tuning: (compressed, data) -> a new compressed network."""

POLL_S = 0.2  # seconds between two checks of an executor
ADDRESS = re.compile(r"(\w+://)?[^/]+:\d+|inproc://.+")
"""Address of a Dask scheduler; the second form is that of one in the same process."""
CONNECT_TIMEOUT_S = 10
"""Seconds in which a Dask scheduler has to answer."""


try:
    import cloudpickle  # extra "scale": it also sends classes defined in a notebook
except ImportError:
    cloudpickle = pickle


@dataclass(frozen=True)
class _Task:
    """What all plans of a sweep share."""

    network: Network
    data: Data
    recipe: Recipe | None
    teacher: Network | None
    steps: Mapping[StageName, Step]
    metric: Metric | None
    home: int
    threads: int


def sweep(
    network: Network,
    plans: Iterable[Plan],
    data: Data | Images,
    *,
    epochs: int = 0,
    teacher: Network | None = None,
    steps: Mapping[StageName, Step] | None = None,
    metric: Metric | None = None,
    executor: Any = None,
    threads: int = 1,
    store: RunStore | None = None,
    progress: Progress | bool | None = None,
    **settings: Any,
) -> Iterator[Run]:
    """Decompose, recover and score a network by many plans.

    Scores are accuracies on the validation images; where they have no labels, or there are none, agreement with the
    original, see :func:`~workbench.runs.scoring.choosing_scores`.

    Parameters
    ----------
    data : a Data, or what holds its splits: the path of a folder, or a dictionary of them.
    epochs : of fine-tuning, 0 for none; further `settings` are those of a :class:`~workbench.recover.recipe.Recipe`.
    teacher : usually the network itself: its answers are learned too.
    steps : steps before fine-tuning, each a function (compressed, data) -> CompressedNetwork under the name of its
        stage, like ``{"calibrated": fit}``. For other processes it has to be importable there.
    metric : a function (network, split) -> number to score and to choose epochs by instead; more is better. For other
        processes it has to be importable there.
    executor : any `concurrent.futures.Executor`, a Dask `Client`, or the address of a Dask scheduler
        ("tcp://host:8786", extra ``[scale]``); None for one after the other, here.
    threads : of PyTorch in each process of an executor.
    store : where runs are added, with their weights, as soon as they are done.
    progress : called all along; raising `Cancelled` takes back the plans that have not begun, and ends the sweep.

    Yields
    ------
    Run, in the order in which they end. One that fails has its `error` and stops no other.

    Raises
    ------
    ValueError : if the settings make no sense, the scheduler does not answer, or the network cannot be sent to other
        processes.
    """
    expect_network(network)
    data = data_of(network, data)
    todo = list(plans)
    if not epochs and (settings or teacher is not None):
        raise ValueError("say for how long to fine-tune: epochs=...")
    recipe = Recipe.of(epochs=epochs, **settings) if epochs else None
    task = _Task(network, data, recipe, teacher, dict(steps or {}), metric, os.getpid(), threads)
    report = reporter(progress)
    used = {**asdict(recipe), "teacher": teacher is not None} if recipe else {}
    about: dict[str, Any] = {"network_name": network.name, "data_name": data.name}
    about |= {"versions": versions(), "settings": used, "seed": used.get("seed", 0)}

    def runs() -> Iterator[Run]:
        original: Stage | None = None
        with _connected(executor) as there:
            results = _here(task, todo, report) if there is None else _there(task, todo, there, report)
            with closing(results) as found:
                for done, (index, result) in enumerate(found, start=1):
                    if isinstance(result, str):
                        run = Run(todo[index], error=result, **about)
                    else:
                        original = original or _scored(StageName.ORIGINAL, network, task)  # while workers work
                        run = stored(_run_of(task, todo[index], original, result, about), store)
                    report(done / len(todo), f"plan {done} of {len(todo)} is done")
                    yield run

    return runs()


def _run_of(task: _Task, plan: Plan, original: Stage, found: Found, about: Mapping[str, Any]) -> Run:
    """Return the run that a worker's result is, with its network."""
    weights, stages, seconds = found
    made = rebuild(task.network, plan, load(weights))
    names = ", ".join(s.name for s in stages)
    run = Run(plan, (original, *stages), measured={"seconds": seconds}, **about)
    source = f"{task.network.source}; {names} ({plan.policy})"
    return replace(run, network=made.with_model(made.model, source=source, fitted=run.fitted))


@contextmanager
def _connected(executor: Any) -> Iterator[Executor | None]:
    """Yield the executor of a Dask `Client`, or of the cluster whose scheduler is at an address; another as it is."""
    if not isinstance(executor, str):
        yield executor.get_executor() if hasattr(executor, "get_executor") else executor
        return
    if not ADDRESS.fullmatch(executor):  # Dask's own errors do not say so
        raise ValueError(f"{executor!r} is no address of a Dask scheduler: take one like tcp://host:8786")
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("a sweep on a cluster needs Dask: pip install -e '.[scale]'") from None
    try:
        client = Client(executor, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"the Dask scheduler at {executor} does not answer: {error}") from None
    with client:
        yield client.get_executor()


def _here(task: _Task, plans: list[Plan], report: Progress) -> Results:
    for index, plan in enumerate(plans):
        share = part(report, index / len(plans), (index + 0.99) / len(plans), f"plan {index + 1} of {len(plans)}")
        yield index, _try(task, plan, share)


def _there(task: _Task, plans: list[Plan], executor: Executor, report: Progress) -> Results:
    try:
        content = cloudpickle.dumps(task)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{task.network.name} cannot be sent to other processes ({error}): its classes, its preprocessing and the "
            "steps have to be importable from a module"
        ) from None
    waiting: dict[Future[Found | str], int] = {}
    try:
        for index, plan in enumerate(plans):
            try:
                waiting[executor.submit(_work, content, replace(plan, spectra=None))] = index
            except (BrokenExecutor, RuntimeError) as error:
                yield index, _lost(error)
        while waiting:
            done, _ = wait(waiting, timeout=POLL_S, return_when=FIRST_COMPLETED)
            report(1 - len(waiting) / len(plans), "")
            for future in done:
                index = waiting.pop(future)
                lost = future.exception()
                yield index, future.result() if lost is None else _lost(lost)
    finally:
        for future in waiting:
            future.cancel()


def _work(content: bytes, plan: Plan) -> Found | str:
    """Do one plan in a worker."""
    task: _Task = pickle.loads(content)  # noqa: S301 - made by the process that began the sweep
    if os.getpid() != task.home:  # else it is a thread of the process that began it
        torch.set_num_threads(task.threads)
    return _try(task, plan, reporter(None))


def _try(task: _Task, plan: Plan, report: Progress) -> Found | str:
    """Do one plan from beginning to end; a failure is returned as a sentence."""
    started = time.perf_counter()
    try:
        compressed = decompose(task.network, plan, progress=part(report, 0.0, 0.1))
        stages = [_scored(StageName.DECOMPOSED, compressed, task)]
        for name, step in task.steps.items():
            report(0.1, str(name))
            compressed = step(compressed, task.data)
            stages.append(_scored(StageName(name), compressed, task))
        if task.recipe is not None:
            tuning = part(report, 0.2, 1.0)
            how: dict[str, Any] = {"recipe": task.recipe, "teacher": task.teacher, "metric": task.metric}
            compressed = finetune(compressed, task.data, progress=tuning, **how)
            stages.append(_scored(StageName.FINE_TUNED, compressed, task))
        report(1.0, "")
        return safetensors_bytes(compressed), tuple(stages), time.perf_counter() - started
    except Cancelled:
        raise
    except Exception as error:  # whatever it is, it stops no other plan
        return f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)


def _scored(name: StageName, network: Network, task: _Task) -> Stage:
    scores = choosing_scores(network, task.data, metric=task.metric)
    if not scores:
        raise ValueError(f"{network.name} cannot be scored on {task.data.name}: give images to choose by, or a metric")
    return Stage(name, scores)


def _lost(error: BaseException) -> str:
    """Return the sentence for a plan whose worker did not answer."""
    if isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker":
        return "its worker process died (killed, or out of memory) before it was done: try this plan again"
    return f"its worker failed: {type(error).__name__}: {error}"
