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
from workbench.runs.attempt import store_run
from workbench.runs.run import Run, Stage, StageName, versions
from workbench.runs.scoring import selection_scores
from workbench.runs.store import RunStore

PlanResult = tuple[bytes, tuple[Stage, ...], float]
"""Content of a safetensors file with the weights, stages, and seconds."""
Results = Generator[tuple[int, PlanResult | str], None, None]
"""Index of a plan, and its result or an error message."""
Step = Callable[[CompressedNetwork, Data], CompressedNetwork]
"""A step of recovery before fine-tuning: (compressed, data) -> a new compressed network."""

POLL_S = 0.2  # between two checks of an executor
ADDRESS = re.compile(r"(\w+://)?[^/]+:\d+|inproc://.+")
"""Address of a Dask scheduler; the second form is for one in the same process."""
CONNECT_TIMEOUT_S = 10
"""Time limit for the first answer of a Dask scheduler."""


try:
    import cloudpickle  # extra "scale": it also sends classes defined in a notebook
except ImportError:
    cloudpickle = pickle


@dataclass(frozen=True)
class _Task:
    """Arguments that all plans of a sweep share."""

    network: Network
    data: Data
    recipe: Recipe | None
    teacher: Network | None
    steps: Mapping[StageName, Step]
    metric: Metric | None
    parent_pid: int
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

    Scores are accuracies on the validation images, or agreement with the original if these have no labels, see
    :func:`~workbench.runs.scoring.selection_scores`.

    Parameters
    ----------
    data : a Data, a dictionary of its splits, or the path of a folder of them.
    epochs : of fine-tuning, 0 for none; further `settings` are those of a :class:`~workbench.recover.recipe.Recipe`.
    teacher : usually the network itself; fine-tuning learns its answers too.
    steps : steps before fine-tuning, each a function (compressed, data) -> CompressedNetwork under the name of its
        stage, like ``{"calibrated": fit}``. Other processes must be able to import it.
    metric : a function (network, split) -> number to score and choose epochs by instead of the accuracy; more is
        better. Other processes must be able to import it.
    executor : any `concurrent.futures.Executor`, a Dask `Client`, or the address of a Dask scheduler
        ("tcp://host:8786", extra ``[scale]``); None to take one plan after the other in this process.
    threads : of PyTorch in each process of an executor.
    store : to which each run is added, with its weights, as soon as it is done.
    progress : called during all work; raising `Cancelled` cancels the plans that have not begun, and ends the sweep.

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
    plans = list(plans)
    if not epochs and (settings or teacher is not None):
        raise ValueError("say for how long to fine-tune: epochs=...")
    recipe = Recipe.of(epochs=epochs, **settings) if epochs else None
    task = _Task(network, data, recipe, teacher, dict(steps or {}), metric, os.getpid(), threads)
    report = reporter(progress)
    used_settings = {**asdict(recipe), "teacher": teacher is not None} if recipe else {}
    fields: dict[str, Any] = {"network_name": network.name, "data_name": data.name, "versions": versions()}
    fields |= {"settings": used_settings, "seed": used_settings.get("seed", 0)}

    def runs() -> Iterator[Run]:
        original: Stage | None = None
        with _open_executor(executor) as pool:
            results = _local_results(task, plans, report) if pool is None else _pool_results(task, plans, pool, report)
            with closing(results):
                for done, (index, result) in enumerate(results, start=1):
                    if isinstance(result, str):
                        run = Run(plans[index], error=result, **fields)
                    else:
                        original = original or _score_stage(StageName.ORIGINAL, network, task)  # while workers go on
                        run = store_run(_run_of(task, plans[index], original, result, fields), store)
                    report(done / len(plans), f"plan {done} of {len(plans)} is done")
                    yield run

    return runs()


def _run_of(task: _Task, plan: Plan, original: Stage, result: PlanResult, fields: Mapping[str, Any]) -> Run:
    """Return the run of a worker's result, with its network."""
    weights, stages, seconds = result
    compressed = rebuild(task.network, plan, load(weights))
    names = ", ".join(s.name for s in stages)
    run = Run(plan, (original, *stages), measured={"seconds": seconds}, **fields)
    source = f"{task.network.source}; {names} ({plan.policy})"
    return replace(run, network=compressed.with_model(compressed.model, source=source, fitted=run.fitted))


@contextmanager
def _open_executor(executor: Any) -> Iterator[Executor | None]:
    """Yield the executor of a Dask `Client`, or of the scheduler at an address; yield any other executor as it is."""
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


def _local_results(task: _Task, plans: list[Plan], report: Progress) -> Results:
    for index, plan in enumerate(plans):
        share = part(report, index / len(plans), (index + 0.99) / len(plans), f"plan {index + 1} of {len(plans)}")
        yield index, _compress(task, plan, share)


def _pool_results(task: _Task, plans: list[Plan], executor: Executor, report: Progress) -> Results:
    try:
        content = cloudpickle.dumps(task)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{task.network.name} cannot be sent to other processes ({error}): its classes, its preprocessing and the "
            "steps have to be importable from a module"
        ) from None
    pending: dict[Future[PlanResult | str], int] = {}
    try:
        for index, plan in enumerate(plans):
            try:
                pending[executor.submit(_compress_in_worker, content, replace(plan, spectra=None))] = index
            except (BrokenExecutor, RuntimeError) as error:
                yield index, _worker_error(error)
        while pending:
            done, _ = wait(pending, timeout=POLL_S, return_when=FIRST_COMPLETED)
            report(1 - len(pending) / len(plans), "")
            for future in done:
                index = pending.pop(future)
                exception = future.exception()
                yield index, future.result() if exception is None else _worker_error(exception)
    finally:
        for future in pending:
            future.cancel()


def _compress_in_worker(content: bytes, plan: Plan) -> PlanResult | str:
    task: _Task = pickle.loads(content)  # noqa: S301 - made by the process that began the sweep
    if os.getpid() != task.parent_pid:  # else this is one of its threads
        torch.set_num_threads(task.threads)
    return _compress(task, plan, reporter(None))


def _compress(task: _Task, plan: Plan, report: Progress) -> PlanResult | str:
    """Compress by one plan and recover; return the result, or an error message."""
    start_s = time.perf_counter()
    try:
        compressed = decompose(task.network, plan, progress=part(report, 0.0, 0.1))
        stages = [_score_stage(StageName.DECOMPOSED, compressed, task)]
        for name, step in task.steps.items():
            report(0.1, str(name))
            compressed = step(compressed, task.data)
            stages.append(_score_stage(StageName(name), compressed, task))
        if task.recipe is not None:
            tuning = part(report, 0.2, 1.0)
            options: dict[str, Any] = {"recipe": task.recipe, "teacher": task.teacher, "metric": task.metric}
            compressed = finetune(compressed, task.data, progress=tuning, **options)
            stages.append(_score_stage(StageName.FINE_TUNED, compressed, task))
        report(1.0, "")
        return safetensors_bytes(compressed), tuple(stages), time.perf_counter() - start_s
    except Cancelled:
        raise
    except Exception as error:  # no error of one plan stops the others
        return f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)


def _score_stage(name: StageName, network: Network, task: _Task) -> Stage:
    scores = selection_scores(network, task.data, metric=task.metric)
    if not scores:
        raise ValueError(f"{network.name} cannot be scored on {task.data.name}: give images to choose by, or a metric")
    return Stage(name, scores)


def _worker_error(error: BaseException) -> str:
    """Return the error message of a plan whose worker did not answer."""
    if isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker":
        return "its worker process died (killed, or out of memory) before it was done: try this plan again"
    return f"its worker failed: {type(error).__name__}: {error}"
