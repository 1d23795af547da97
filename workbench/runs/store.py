"""The run store: every compression that was tried, in one SQLite file that several notebooks may use at once.

A run is a row with the plan, the accuracies at each stage, costs and settings; its weights are a safetensors file in a
folder beside the store, written whole before the row is. So a row without weights cannot come to be, and whatever was
said to be stored is on the disk. Nothing is ever unpickled.
"""

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load, save

from workbench.files import write_atomically
from workbench.network.data import Accuracy
from workbench.network.network import Network, expect_network
from workbench.plan.plan import Plan, PlanError
from workbench.recover.decompose import rebuild
from workbench.runs.database import Database, StoreError
from workbench.runs.run import Comparison, Run, Runs, Stage, pareto, versions

__all__ = ["Comparison", "Run", "RunStore", "Runs", "Stage", "StoreError", "pareto"]

JSON = ("measured", "settings", "versions")
COLUMNS = (
    *("number", "created", "network", "data", "plan", "seed", "note", "weights_file", "weights_hash"),
    *JSON,
)
COSTS = ("macs", "weights", "dense_macs", "dense_weights")


class RunStore:
    """Runs in one SQLite file, with their weights in the folder ``<file>.weights`` beside it.

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

    def __repr__(self) -> str:
        return f"RunStore({str(self.path)!r}, {len(self)} runs)"

    def __len__(self) -> int:
        with self._database.reading() as database:
            return int(database.execute("SELECT count(*) FROM run").fetchone()[0])

    @property
    def folder(self) -> Path:
        """Where the weights are."""
        return self.path.with_name(self.path.name + ".weights")

    def add(
        self,
        network: Network,
        data: str,
        *,
        stages: Mapping[tuple[str, str], Accuracy] | Iterable[Stage] = (),
        measured: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        note: str = "",
        weights: bool = True,
    ) -> Run:
        """Store a decomposed network; when this returns, the run and its weights are on the disk.

        Parameters
        ----------
        network : decomposed, so that it has a plan.
        data : name of the data set that it was scored on.
        stages : accuracies in order, as `Stage` or ``{(stage, split): accuracy}``.
        weights : whether to store the weights too.

        Returns
        -------
        Run with its number.
        """
        expect_network(network)
        if network.plan is None:
            raise StoreError(f"{network.name} has no plan: the store keeps decomposed networks")
        run = Run(
            network.plan.network,
            data,
            network.plan,
            _stages(stages),
            dict(measured or {}),
            dict(settings or {}),
            seed,
            versions(),
            note,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        row = _row(run)
        name, hashed = self._write_weights(network) if weights else ("", "")
        try:
            with self._database.writing() as database:
                number = _insert(database, {**row, "weights_file": name, "weights_hash": hashed})
                _put_stages(database, number, run.stages)
        except BaseException:
            if name:  # no row names it, so nobody will
                (self.folder / name).unlink(missing_ok=True)
            raise
        return self[number]

    def update(
        self,
        run: Run | int,
        *,
        stages: Mapping[tuple[str, str], Accuracy] | Iterable[Stage] = (),
        measured: Mapping[str, Any] | None = None,
        note: str | None = None,
        network: Network | None = None,
    ) -> Run:
        """Add stages to a run (one of the same name and split is replaced), measurements, a note, or newer weights."""
        old = self[_number(run)]
        new = _stages(stages)
        name = hashed = ""
        if network is not None:
            if network.plan is None or network.plan.cost != old.plan.cost:
                raise StoreError(f"run {old.number} is of another plan than this network: add it as a run of its own")
            name, hashed = self._write_weights(network)
        with self._database.writing() as database:
            found = database.execute(
                "SELECT measured, weights_file FROM run WHERE number = ?", (old.number,)
            ).fetchone()
            if found is None:
                raise StoreError(f"run {old.number} is no longer in {self.path.name}")
            merged = {**json.loads(found[0]), **(measured or {})}
            values: dict[str, Any] = {"measured": _json(merged, "measured")}
            if note is not None:
                values["note"] = note
            if name:
                values |= {"weights_file": name, "weights_hash": hashed}
            columns = ", ".join(f"{key} = :{key}" for key in values)
            database.execute(f"UPDATE run SET {columns} WHERE number = :number", {**values, "number": old.number})  # noqa: S608
            _put_stages(database, old.number, new)
        if name and found[1]:
            (self.folder / found[1]).unlink(missing_ok=True)
        return self[old.number]

    def __getitem__(self, number: int) -> Run:
        found = self._select("WHERE number = ?", (number,))
        if not found:
            raise StoreError(f"there is no run {number} in {self.path.name}")
        return found[0]

    def list(self, *, network: str | None = None, data: str | None = None) -> Runs:
        """All runs, or those of one network or data set, oldest first."""
        where = [f"{column} = ?" for column, value in (("network", network), ("data", data)) if value is not None]
        values = tuple(value for value in (network, data) if value is not None)
        return self._select("WHERE " + " AND ".join(where) if where else "", values)

    def load(self, run: Run | int, network: Network) -> Network:
        """The compressed network of a run again.

        Parameters
        ----------
        network : of the original architecture, for instance ``load_network(run.network, weights=None)``; its own
            weights do not matter.
        """
        found = self[_number(run)]
        if not found.weights_file:
            raise StoreError(f"run {found.number} was stored without weights")
        path = self.folder / found.weights_file
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise StoreError(
                f"the weights of run {found.number}, {path.name}, are no longer in {path.parent}"
            ) from None
        if hashlib.sha256(content).hexdigest() != found.weights_hash:
            raise StoreError(
                f"the weights of run {found.number}, {path.name}, are damaged: they are not what was stored"
            )
        try:
            return rebuild(network, found.plan, load(content))
        except (SafetensorError, PlanError) as error:
            raise StoreError(f"run {found.number} cannot be loaded into {network.name}: {error}") from None

    def delete(self, run: Run | int) -> None:
        """Take a run out of the store, and its weights from the disk."""
        found = self[_number(run)]
        with self._database.writing() as database:
            database.execute("DELETE FROM stage WHERE run = ?", (found.number,))
            database.execute("DELETE FROM run WHERE number = ?", (found.number,))
        if found.weights_file:
            (self.folder / found.weights_file).unlink(missing_ok=True)

    def pareto(
        self,
        *,
        network: str | None = None,
        data: str | None = None,
        cost: Literal["macs", "weights"] = "macs",
        split: str = "validation",
    ) -> Runs:
        """The runs worth looking at, see :func:`pareto`."""
        return pareto(self.list(network=network, data=data), cost=cost, split=split)

    def compare(self, *runs: Run | int) -> Comparison:
        """Runs side by side: costs, accuracies, and the layers that differ."""
        return Comparison(Runs(self[_number(run)] for run in runs))

    def to_csv(self, path: str | Path | None = None) -> str:
        """All runs as CSV, see :meth:`Runs.to_csv`; also into a file."""
        text = self.list().to_csv()
        if path is not None:
            try:
                write_atomically(Path(path), text.encode())
            except OSError as error:
                raise StoreError(f"{path} cannot be written: {error.strerror}") from None
        return text

    def tidy(self) -> int:
        """Delete weights that no run names, left by a process that was killed in `add`; returns how many there were."""
        with self._database.writing() as database:  # nobody can add a row meanwhile
            known = {name for (name,) in database.execute("SELECT weights_file FROM run")}
            lost = [p for p in self.folder.glob("*") if p.name not in known and _hours_old(p) > 1]
            for path in lost:
                path.unlink(missing_ok=True)
        return len(lost)

    def _select(self, where: str, values: tuple[Any, ...]) -> Runs:
        columns = ", ".join(COLUMNS)
        scores = f"SELECT * FROM stage WHERE run IN (SELECT number FROM run {where}) ORDER BY run, position"  # noqa: S608
        with self._database.reading() as database:
            rows = database.execute(f"SELECT {columns} FROM run {where} ORDER BY number", values).fetchall()  # noqa: S608
            found = database.execute(scores, values).fetchall()
        stages: dict[int, list[Stage]] = {row[0]: [] for row in rows}
        for number, _, name, split, *score in found:
            stages[number].append(Stage(name, split, Accuracy(*score)))
        return Runs(self._run(dict(zip(COLUMNS, row, strict=True)), stages[row[0]]) for row in rows)

    def _run(self, row: dict[str, Any], stages: Iterable[Stage]) -> Run:
        try:
            row["plan"] = Plan.from_json(row["plan"])
            for key in JSON:
                row[key] = json.loads(row[key])
        except ValueError as error:
            raise StoreError(f"run {row['number']} in {self.path.name} is damaged: {error}") from None
        return Run(**row, stages=tuple(stages))

    def _write_weights(self, network: Network) -> tuple[str, str]:
        tensors = {key: value.detach().cpu().clone().contiguous() for key, value in network.model.state_dict().items()}
        content = save(tensors)
        name = f"{uuid.uuid4().hex}.safetensors"
        try:
            self.folder.mkdir(exist_ok=True)
            write_atomically(self.folder / name, content)
        except OSError as error:
            why = f"{error.strerror or error}"
            raise StoreError(f"the weights cannot be written to {self.folder}, so nothing was stored: {why}") from None
        return name, hashlib.sha256(content).hexdigest()


def _number(run: Run | int) -> int:
    return run.number if isinstance(run, Run) else run


def _stages(given: Mapping[tuple[str, str], Accuracy] | Iterable[Stage]) -> tuple[Stage, ...]:
    if isinstance(given, Mapping):
        return tuple(Stage(name, split, score) for (name, split), score in given.items())
    return tuple(given)


def _json(value: Any, what: str) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the {what} of a run are JSON values, these are not: {error}") from None


def _row(run: Run) -> dict[str, Any]:
    row = {key: _json(dict(getattr(run, key)), key) for key in JSON}
    row |= {key: getattr(run, key) for key in ("created", "network", "data", "seed", "note")}
    costs = (run.plan.macs, run.plan.weights, run.plan.dense.macs, run.plan.dense.weights)
    return {**row, "plan": run.plan.to_json(indent=None), **dict(zip(COSTS, costs, strict=True))}


def _insert(database: sqlite3.Connection, row: Mapping[str, Any]) -> int:
    marks = ", ".join(f":{key}" for key in row)
    found = database.execute(f"INSERT INTO run ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608
    return int(found.lastrowid or 0)


def _put_stages(database: sqlite3.Connection, number: int, stages: Iterable[Stage]) -> None:
    for stage in stages:
        (position,) = database.execute("SELECT count(*) FROM stage WHERE run = ?", (number,)).fetchone()
        score = (stage.accuracy.top1, stage.accuracy.top5, stage.accuracy.n)
        database.execute(
            "INSERT INTO stage VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, name, split) "
            "DO UPDATE SET top1 = excluded.top1, top5 = excluded.top5, n = excluded.n",
            (number, position, stage.name, stage.split, *score),
        )


def _hours_old(path: Path) -> float:
    try:
        return (time.time() - path.stat().st_mtime) / 3600
    except FileNotFoundError:
        return 0.0
