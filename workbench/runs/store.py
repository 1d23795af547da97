"""Store runs in one SQLite file that several notebooks and kernels may use at once.

The weights of a run are a safetensors file in a folder beside the store, written whole before the run's row is: there
is no row without its weights. Nothing is unpickled.
"""

import hashlib
import json
import logging
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load

from workbench.files import write_atomically
from workbench.network.network import Network
from workbench.network.scores import Score
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.plan import Plan, PlanError
from workbench.recover.decompose import rebuild, safetensors_bytes
from workbench.runs.database import Database, StoreError
from workbench.runs.run import Run, Runs, Stage, StageName, pareto

__all__ = ["RunStore", "StoreError"]

log = logging.getLogger(__name__)

JSON_COLUMNS = ("measured", "settings", "versions")
OTHER_COLUMNS = ("number", "created", "seed", "note", "weights_file", "weights_hash")


class RunStore:
    """Keeps runs in one SQLite file, with their weights in the folder ``<file>.weights`` beside it.

    Any number of processes and threads may use it at once. A file that is damaged, not a run store, or from a newer
    workbench is refused and left as it is.

    Parameters
    ----------
    path : of the file; it is made if it is not there, its folder too.
    wait : seconds to wait for another process that is writing.

    Raises
    ------
    StoreError : in one sentence, here and in every method: what is wrong with the file, the disk or the run.
    """

    def __init__(self, path: str | Path, *, wait: float = 10.0) -> None:
        self.path = Path(path)
        self._database = Database(self.path, wait)

    def __len__(self) -> int:
        with self._database.reading() as database:
            return int(database.execute("SELECT count(*) FROM run").fetchone()[0])

    @property
    def folder(self) -> Path:
        """Where the weights are."""
        return self.path.with_name(self.path.name + ".weights")

    def add(self, run: Run, *, weights: bool = True) -> Run:
        """Store a run, with the weights of its network on request; return it with its number.

        When this returns, all of it is on the disk.
        """
        plan, dense = run.plan, run.plan.dense
        row: dict[str, Any] = {key: _json(dict(getattr(run, key)), key) for key in JSON_COLUMNS}
        row["created"] = run.created or datetime.now(UTC).isoformat(timespec="milliseconds")
        row |= {"network": run.network_name, "data": run.data_name, "seed": run.seed}
        row |= {"note": run.note, "tries": _json(run.tries, "tries")}
        row |= {"plan": plan.to_json(indent=None), "macs": plan.macs, "weights": plan.weights}
        row |= {"dense_macs": dense.macs, "dense_weights": dense.weights}
        with self._written(run.network if weights else None) as file, self._database.writing() as database:
            row |= file
            marks = ", ".join(f":{key}" for key in row)
            found = database.execute(f"INSERT INTO run ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608
            number = int(found.lastrowid or 0)
            _put_stages(database, number, run.stages)
        return self._with(run, number)

    def update(self, run: Run, *, weights: bool = True) -> Run:
        """Store the stages, settings, measurements, note, tries and weights that a stored run has got since.

        With weights the stages of that network become the run's; settings and measurements of other names, and the
        stage of the baseline, which is another network, stay.
        """
        old = self[run]
        if run.plan.cost != old.plan.cost:
            raise StoreError(f"run {old.number} is of another plan than this one: add it as a run of its own")
        with self._written(run.network if weights else None) as file, self._database.writing() as database:
            asked = "SELECT measured, settings, weights_file FROM run WHERE number = ?"
            row = database.execute(asked, (old.number,)).fetchone()
            if row is None:
                raise StoreError(f"run {old.number} is no longer in {self.path.name}")
            values: dict[str, Any] = {"note": run.note, "tries": _json(run.tries, "tries")}
            for key in ("measured", "settings"):
                values[key] = _json({**json.loads(row[key]), **getattr(run, key)}, key)
            if file["weights_file"]:
                own = (old.number, StageName.FROM_SCRATCH)
                database.execute("DELETE FROM stage WHERE run = ? AND name != ?", own)
                values |= file
            columns = ", ".join(f"{key} = :{key}" for key in values)
            database.execute(f"UPDATE run SET {columns} WHERE number = :number", {**values, "number": old.number})  # noqa: S608
            _put_stages(database, old.number, run.stages)
        if file["weights_file"]:
            self._delete_weights(row["weights_file"])
        return self._with(run, old.number)

    def _with(self, run: Run, number: int) -> Run:
        """Return a stored run with what is not in the store: network, spectra, and the results of each image."""
        found = self[number]
        own = {stage.name: stage for stage in run.stages}
        stages = tuple(own[s.name] if own.get(s.name) == s else s for s in found.stages)
        return replace(found, network=run.network, plan=run.plan, stages=stages)

    def __getitem__(self, run: Run | int) -> Run:
        number = run.number if isinstance(run, Run) else run
        found = self._select(number=number)
        if not found:
            raise StoreError(f"there is no run {number} in {self.path.name}")
        return self._run(*found[0])

    def runs(self, *, network: str | None = None, data: str | None = None) -> Runs:
        """Return all runs, or those of one network or data set, oldest first; damaged ones are left out, and logged."""
        asked = {"network": network, "data": data}
        found = []
        for row in self._select(**{key: value for key, value in asked.items() if value is not None}):
            try:
                found.append(self._run(*row))
            except StoreError as error:
                log.warning("%s; it is left out", error)
        return Runs(found)

    def load(self, run: Run | int, network: Network) -> CompressedNetwork:
        """Return the compressed network of a run.

        Parameters
        ----------
        network : of the original architecture; it becomes the :attr:`original` that scores compare with. Its weights
            are not used otherwise: ``load_network(run.network_name, weights=None)`` is enough to run the network.
        """
        found = self[run]
        if not found.weights_file:
            raise StoreError(f"run {found.number} was stored without weights")
        path = self.folder / found.weights_file
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            where = f"run {found.number}, {path.name}, are no longer in {path.parent}"
            raise StoreError(f"the weights of {where}") from None
        if hashlib.sha256(content).hexdigest() != found.weights_hash:
            raise StoreError(f"the weights of run {found.number}, {path.name}, are damaged: not what was stored")
        try:
            made = rebuild(network, found.plan, load(content))
        except (SafetensorError, PlanError) as error:
            raise StoreError(f"run {found.number} cannot be loaded into {network.name}: {error}") from None
        return made.with_model(made.model, fitted=found.fitted)

    def delete(self, run: Run | int) -> None:
        """Delete a run from the store, and its weights from the disk; it may be damaged."""
        number = run.number if isinstance(run, Run) else run
        with self._database.writing() as database:
            row = database.execute("SELECT weights_file FROM run WHERE number = ?", (number,)).fetchone()
            if row is None:
                raise StoreError(f"there is no run {number} in {self.path.name}")
            database.execute("DELETE FROM stage WHERE run = ?", (number,))
            database.execute("DELETE FROM run WHERE number = ?", (number,))
        self._delete_weights(row[0])

    def pareto(self) -> Runs:
        """Return the runs that no other of the same network and data beats in MACs and validation score."""
        return pareto(self.runs())

    def _select(self, **columns: Any) -> list[tuple[sqlite3.Row, list[sqlite3.Row]]]:
        """Return the rows of the runs in which these columns have these values, each with those of its stages."""
        where = " AND ".join(f"{key} = :{key}" for key in columns) or "TRUE"
        scores = f"SELECT * FROM stage WHERE run IN (SELECT number FROM run WHERE {where}) ORDER BY run, position"  # noqa: S608
        with self._database.reading() as database:
            rows = database.execute(f"SELECT * FROM run WHERE {where} ORDER BY number", columns).fetchall()  # noqa: S608
            found = database.execute(scores, columns).fetchall()
        stages: dict[int, list[sqlite3.Row]] = {row["number"]: [] for row in rows}
        for stage in found:
            stages[stage["run"]].append(stage)
        return [(row, stages[row["number"]]) for row in rows]

    def _run(self, row: sqlite3.Row, scores: Iterable[sqlite3.Row]) -> Run:
        values = {key: row[key] for key in OTHER_COLUMNS}
        stages: dict[str, Stage] = {}
        try:
            plan = Plan.from_json(row["plan"])
            values |= {key: dict(json.loads(row[key])) for key in JSON_COLUMNS}
            values["tries"] = tuple(map(str, json.loads(row["tries"])))
            values["weights_file"] = Path(row["weights_file"]).name  # not a path that others wrote there
            for _, _, name, split, top1, top5, n, kind, note in scores:
                stage = stages.get(name, Stage(StageName(name), {}, note))
                more = {split: Score(top1, top5, n, kind)} if split else {}
                stages[name] = replace(stage, scores={**stage.scores, **more})
        except (ValueError, TypeError) as error:
            raise StoreError(f"run {row['number']} in {self.path.name} is damaged: {error}") from None
        return Run(plan, tuple(stages.values()), network_name=row["network"], data_name=row["data"], **values)

    @contextmanager
    def _written(self, network: CompressedNetwork | None) -> Iterator[dict[str, str]]:
        """Write the weights, and yield the columns that name them; delete them if the block raises."""
        if network is None:
            yield {"weights_file": "", "weights_hash": ""}
            return
        content, name = safetensors_bytes(network), f"{uuid.uuid4().hex}.safetensors"
        try:
            self.folder.mkdir(exist_ok=True)
            write_atomically(self.folder / name, content)
        except OSError as error:
            where = f"{self.folder}, so nothing was stored: {error.strerror}"
            raise StoreError(f"the weights cannot be written to {where}") from None
        try:
            yield {"weights_file": name, "weights_hash": hashlib.sha256(content).hexdigest()}
        except BaseException:
            self._delete_weights(name)
            raise

    def _delete_weights(self, name: str) -> None:
        """Delete a file in the folder of the weights; a store's own file may name any path."""
        if Path(name).name:
            (self.folder / Path(name).name).unlink(missing_ok=True)


def _json(value: Any, what: str) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the {what} of a run are JSON values, these are not: {error}") from None


def _put_stages(database: sqlite3.Connection, number: int, stages: Iterable[Stage]) -> None:
    for stage in stages:
        scores = stage.scores or {"": Score(0.0, 0.0, 0, "")}  # a stage that was not scored has a row too
        for split, score in scores.items():
            database.execute(
                "INSERT INTO stage VALUES (:run, (SELECT count(*) FROM stage WHERE run = :run), :name, :split, :top1, "
                ":top5, :n, :kind, :note) "
                "ON CONFLICT (run, name, split) DO UPDATE "
                "SET top1 = :top1, top5 = :top5, n = :n, kind = :kind, note = :note",
                {"run": number, "name": stage.name, "split": split, **asdict(score.without_hits()), "note": stage.note},
            )
