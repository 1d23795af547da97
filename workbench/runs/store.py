"""Store runs in one SQLite file that several notebooks and kernels may use at once.

The weights of a run are a safetensors file in a folder beside the store. The file is complete before the run's row is
written, so that no row lacks its weights. Nothing is unpickled.
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
    path : of the file; a missing file or folder is created.
    wait : seconds to wait for another process that is writing.

    Raises
    ------
    StoreError : here and in every method, if something is wrong with the file, the disk or the run.
    """

    def __init__(self, path: str | Path, *, wait: float = 10.0) -> None:
        self.path = Path(path)
        self._database = Database(self.path, wait)

    def __len__(self) -> int:
        with self._database.reading() as database:
            return int(database.execute("SELECT count(*) FROM run").fetchone()[0])

    @property
    def folder(self) -> Path:
        """The folder of the weights."""
        return self.path.with_name(self.path.name + ".weights")

    def add(self, run: Run, *, weights: bool = True) -> Run:
        """Store a run, and its network's weights if `weights`; return it with its number when all is on the disk."""
        plan, dense = run.plan, run.plan.dense
        row: dict[str, Any] = {key: _json(dict(getattr(run, key)), key) for key in JSON_COLUMNS}
        row["created"] = run.created or datetime.now(UTC).isoformat(timespec="milliseconds")
        row |= {"network": run.network_name, "data": run.data_name, "seed": run.seed}
        row |= {"note": run.note, "tries": _json(run.tries, "tries")}
        row |= {"plan": plan.to_json(indent=None), "macs": plan.macs, "weights": plan.weights}
        row |= {"dense_macs": dense.macs, "dense_weights": dense.weights}
        with self._write_weights(run.network if weights else None) as file, self._database.writing() as database:
            row |= file
            placeholders = ", ".join(f":{key}" for key in row)
            cursor = database.execute(f"INSERT INTO run ({', '.join(row)}) VALUES ({placeholders})", row)  # noqa: S608
            number = int(cursor.lastrowid or 0)
            _write_stages(database, number, run.stages)
        return self._stored(run, number)

    def update(self, run: Run, *, weights: bool = True) -> Run:
        """Store the new stages, settings, measurements, note, tries and weights of a stored run.

        With weights, the run's stages replace the stored ones, but for the stage of the baseline, which is another
        network. Settings and measurements that the run lacks stay.
        """
        old = self[run]
        if run.plan.cost != old.plan.cost:
            raise StoreError(f"run {old.number} is of another plan than this one: add it as a run of its own")
        with self._write_weights(run.network if weights else None) as file, self._database.writing() as database:
            query = "SELECT measured, settings, weights_file FROM run WHERE number = ?"
            row = database.execute(query, (old.number,)).fetchone()
            if row is None:
                raise StoreError(f"run {old.number} is no longer in {self.path.name}")
            values: dict[str, Any] = {"note": run.note, "tries": _json(run.tries, "tries")}
            for key in ("measured", "settings"):
                values[key] = _json({**json.loads(row[key]), **getattr(run, key)}, key)
            if file["weights_file"]:
                parameters = (old.number, StageName.FROM_SCRATCH)
                database.execute("DELETE FROM stage WHERE run = ? AND name != ?", parameters)
                values |= file
            columns = ", ".join(f"{key} = :{key}" for key in values)
            database.execute(f"UPDATE run SET {columns} WHERE number = :number", {**values, "number": old.number})  # noqa: S608
            _write_stages(database, old.number, run.stages)
        if file["weights_file"]:
            self._delete_weights(row["weights_file"])
        return self._stored(run, old.number)

    def _stored(self, run: Run, number: int) -> Run:
        """Return a stored run with the parts of `run` that are not stored: network, spectra, results of each image."""
        stored = self[number]
        by_name = {stage.name: stage for stage in run.stages}
        stages = tuple(by_name[s.name] if by_name.get(s.name) == s else s for s in stored.stages)
        return replace(stored, network=run.network, plan=run.plan, stages=stages)

    def __getitem__(self, run: Run | int) -> Run:
        number = run.number if isinstance(run, Run) else run
        rows = self._select(number=number)
        if not rows:
            raise StoreError(f"there is no run {number} in {self.path.name}")
        return self._run(*rows[0])

    def runs(self, *, network: str | None = None, data: str | None = None) -> Runs:
        """Return all runs, or those of one network or data set, oldest first; damaged ones are left out, and logged."""
        columns = {"network": network, "data": data}
        runs = []
        for rows in self._select(**{key: value for key, value in columns.items() if value is not None}):
            try:
                runs.append(self._run(*rows))
            except StoreError as error:
                log.warning("%s; it is left out", error)
        return Runs(runs)

    def load(self, run: Run | int, network: Network) -> CompressedNetwork:
        """Return the compressed network of a run.

        Parameters
        ----------
        network : the original, which becomes :attr:`original` and which scores compare with. Its weights are not used
            otherwise: ``load_network(run.network_name, weights=None)`` is enough to run the compressed network.
        """
        stored = self[run]
        if not stored.weights_file:
            raise StoreError(f"run {stored.number} was stored without weights")
        path = self.folder / stored.weights_file
        weights = f"the weights of run {stored.number}, {path.name},"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise StoreError(f"{weights} are no longer in {path.parent}") from None
        if hashlib.sha256(content).hexdigest() != stored.weights_hash:
            raise StoreError(f"{weights} are damaged: their checksum is not the stored one")
        try:
            compressed = rebuild(network, stored.plan, load(content))
        except (SafetensorError, PlanError) as error:
            raise StoreError(f"run {stored.number} cannot be loaded into {network.name}: {error}") from None
        return compressed.with_model(compressed.model, fitted=stored.fitted)

    def delete(self, run: Run | int) -> None:
        """Delete a run, which may be damaged, from the store, and its weights from the disk."""
        number = run.number if isinstance(run, Run) else run
        with self._database.writing() as database:
            row = database.execute("SELECT weights_file FROM run WHERE number = ?", (number,)).fetchone()
            if row is None:
                raise StoreError(f"there is no run {number} in {self.path.name}")
            database.execute("DELETE FROM stage WHERE run = ?", (number,))
            database.execute("DELETE FROM run WHERE number = ?", (number,))
        self._delete_weights(row[0])

    def pareto(self) -> Runs:
        """Return the Pareto fronts of MACs and validation score, one for each network, data set and kind of score."""
        return pareto(self.runs())

    def _select(self, **columns: Any) -> list[tuple[sqlite3.Row, list[sqlite3.Row]]]:
        """Return the rows of the runs whose columns have these values, each with the rows of its stages."""
        where = " AND ".join(f"{key} = :{key}" for key in columns) or "TRUE"
        runs_query = f"SELECT * FROM run WHERE {where} ORDER BY number"  # noqa: S608
        stages_query = f"SELECT * FROM stage WHERE run IN (SELECT number FROM run WHERE {where}) ORDER BY run, position"  # noqa: S608
        with self._database.reading() as database:
            runs = database.execute(runs_query, columns).fetchall()
            stages = database.execute(stages_query, columns).fetchall()
        stages_of: dict[int, list[sqlite3.Row]] = {run["number"]: [] for run in runs}
        for stage in stages:
            stages_of[stage["run"]].append(stage)
        return [(run, stages_of[run["number"]]) for run in runs]

    def _run(self, row: sqlite3.Row, stage_rows: Iterable[sqlite3.Row]) -> Run:
        values = {key: row[key] for key in OTHER_COLUMNS}
        stages: dict[str, Stage] = {}
        try:
            plan = Plan.from_json(row["plan"])
            values |= {key: dict(json.loads(row[key])) for key in JSON_COLUMNS}
            values["tries"] = tuple(map(str, json.loads(row["tries"])))
            values["weights_file"] = Path(row["weights_file"]).name  # not a path that others wrote there
            for _, _, name, split, top1, top5, n, kind, note in stage_rows:
                stage = stages.get(name, Stage(StageName(name), {}, note))
                score = {split: Score(top1, top5, n, kind)} if split else {}
                stages[name] = replace(stage, scores={**stage.scores, **score})
        except (ValueError, TypeError) as error:
            raise StoreError(f"run {row['number']} in {self.path.name} is damaged: {error}") from None
        return Run(plan, tuple(stages.values()), network_name=row["network"], data_name=row["data"], **values)

    @contextmanager
    def _write_weights(self, network: CompressedNetwork | None) -> Iterator[dict[str, str]]:
        """Write the weights, and yield the columns with their name and hash; delete them if the block raises."""
        if network is None:
            yield {"weights_file": "", "weights_hash": ""}
            return
        content, name = safetensors_bytes(network), f"{uuid.uuid4().hex}.safetensors"
        try:
            self.folder.mkdir(exist_ok=True)
            write_atomically(self.folder / name, content)
        except OSError as error:
            message = f"the weights cannot be written to {self.folder}, so nothing was stored: {error.strerror}"
            raise StoreError(message) from None
        try:
            yield {"weights_file": name, "weights_hash": hashlib.sha256(content).hexdigest()}
        except BaseException:
            self._delete_weights(name)
            raise

    def _delete_weights(self, name: str) -> None:
        """Delete a file in the folder of the weights; of a path only the last part is used."""
        if Path(name).name:
            (self.folder / Path(name).name).unlink(missing_ok=True)


def _json(value: Any, name: str) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the {name} of a run are JSON values, these are not: {error}") from None


def _write_stages(database: sqlite3.Connection, number: int, stages: Iterable[Stage]) -> None:
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
